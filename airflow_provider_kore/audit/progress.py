"""What is said while an audit goes on, a line now and then, and whether it shall go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.clock import Clock

EVERY: Final = 15.0
"""Seconds between two lines, at the least."""


class Progress:
    """Counts, says how far it is, and ends what is told to stop.

    :param say: takes a line.
    :param stop: is looked at now and then; None: nothing stops it.
    """

    def __init__(self, say: Callable[[str], object], *, stop: Stop | None = None, clock: Clock | None = None) -> None:
        self._say = say
        self.stop = stop or Stop()
        self._clock = clock or SystemClock()
        self._last = self._clock.monotonic()
        self.snapshots = 0
        self._rows = 0

    def at(self, key: str, rows: int = 0) -> None:
        """Note that so many more rows were read of an object, and say so if a line is due. Raises StoppedError."""
        self.stop.check()
        self._rows += rows
        now = self._clock.monotonic()
        if now - self._last >= EVERY:
            self._last = now
            self._say(f"{self.snapshots:,} snapshots and {self._rows:,} rows so far; at {quoted(key, 200)}")
