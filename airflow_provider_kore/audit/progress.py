"""What is said while an audit goes on: a line now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.clock import Clock

EVERY: Final = 15.0
"""Seconds between two lines, at the least."""


class Progress:
    """Counts, and says how far it is.

    :param say: takes a line.
    """

    def __init__(self, say: Callable[[str], object], clock: Clock | None = None) -> None:
        self._say = say
        self._clock = clock or SystemClock()
        self._last = self._clock.monotonic()
        self.snapshots = 0
        self._rows = 0

    def at(self, key: str, rows: int = 0) -> None:
        """Note that so many more rows were read of an object, and say so if a line is due."""
        self._rows += rows
        now = self._clock.monotonic()
        if now - self._last >= EVERY:
            self._last = now
            self._say(f"{self.snapshots:,} snapshots and {self._rows:,} rows so far; at {quoted(key, 200)}")
