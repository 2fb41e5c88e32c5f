"""Time as a parameter, so that a test of an hour takes no time."""

from __future__ import annotations

import math
import time
from typing import Final, Protocol


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


LONGEST_WAIT: Final = 21_600.0
"""Seconds (six hours) that a server's ``Retry-After`` is obeyed for at the most: it can't park a task for years."""


def bounded_wait(asked: object, most: float = LONGEST_WAIT) -> float | None:
    """Return the seconds to wait, whatever was asked for: from 0 to ``most``; None if it is no number."""
    if (
        isinstance(asked, bool)
        or not isinstance(asked, int | float)
        or (isinstance(asked, float) and math.isnan(asked))
    ):
        return None
    return float(min(max(asked, 0), most))
