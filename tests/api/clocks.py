"""Clocks for tests that take no time."""

from __future__ import annotations

import time


class StoppedClock:
    """Time moves only when somebody sleeps, or a test says so."""

    def __init__(self, epoch: float = 1_800_000_000.0) -> None:
        self.now = 0.0
        self.epoch = epoch
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.epoch + self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += seconds


class ImpatientClock:
    """The machine's clock, on which sleeping is over at once: for real HTTP with pauses nobody waits for.

    Only the monotonic clock counts what was slept; the time of day stays the server's.

    :param offset: seconds by which the time of day is ahead of the server's.
    :param longest: seconds that it really sleeps at the most.
    """

    def __init__(self, offset: float = 0.0, longest: float = 0.0) -> None:
        self.offset = offset
        self.longest = longest
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return time.monotonic() + sum(self.slept)

    def time(self) -> float:
        return time.time() + self.offset

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        if self.longest:
            time.sleep(min(seconds, self.longest))
