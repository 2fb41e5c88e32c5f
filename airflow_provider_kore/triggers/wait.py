"""Waiting for a moment, in a triggerer: one line in the log, however long it takes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LONGEST_SLEEP = 60.0
"""Seconds between two looks at the clock, which may be set meanwhile."""


class WaitTrigger(BaseTrigger):
    """End at a moment, at once if it is over; Airflow's own ``DateTimeTrigger`` logs a countdown meanwhile.

    A triggerer that is restarted, or another one, waits for the rest of the time.

    :param moment: when to end, with a time zone; or the same as ISO 8601, as it is stored.
    """

    def __init__(self, moment: datetime | str) -> None:
        super().__init__()
        self.moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        if self.moment.tzinfo is None:
            raise ValueError("The moment has no time zone.")

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the database keeps."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"moment": self.moment.isoformat()}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, with the moment, when it has come."""
        if self._left() > 0:
            self.log.info("Waiting until %s UTC, without a worker.", f"{self.moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}")
        while (left := self._left()) > 0:
            await asyncio.sleep(min(left, _LONGEST_SLEEP))
        yield TriggerEvent(self.moment.isoformat())

    def _left(self) -> float:
        return (self.moment - datetime.now(UTC)).total_seconds()
