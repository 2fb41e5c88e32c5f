"""Time as a parameter, so that a test of an hour takes no time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the core needs to know about time."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards, for windows and deadlines."""
        ...

    def time(self) -> float:
        """Return seconds since the epoch, for tokens, names and manifests."""
        ...

    def sleep(self, seconds: float) -> None:
        """Do nothing for so long."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Return :func:`time.monotonic`."""
        return time.monotonic()

    def time(self) -> float:
        """Return :func:`time.time`."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Sleep, as :func:`time.sleep` does."""
        time.sleep(seconds)
