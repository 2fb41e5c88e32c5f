"""Rolling windows: they say how long it is until the next request may start.

Source: the vendor's contact-center limits page (60 requests per rolling minute and account); platform APIs have a
second window of an hour at the same time.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kore.clock import Clock

MARGIN = 0.5
"""Seconds added to each window: the server counts when a request arrives, we count when it leaves."""


class RollingWindow:
    """At most ``limit`` requests start in any stretch of ``seconds``."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._starts: deque[float] = deque(maxlen=limit)

    def earliest(self, now: float) -> float:
        """Return the first instant, not before ``now``, at which another request may start."""
        if len(self._starts) < self.limit:
            return now
        return max(now, self._starts[0] + self.seconds)

    def add(self, start: float) -> None:
        """Note that a request starts at ``start``; instants come in order."""
        self._starts.append(start)


class Allowance:
    """Several windows at once. It answers, the caller waits; safe to share between threads."""

    def __init__(self, windows: Sequence[RollingWindow], clock: Clock) -> None:
        self._windows = tuple(windows)
        self._clock = clock
        self._lock = threading.Lock()
        self._not_before = float("-inf")

    @classmethod
    def per_minute_and_hour(cls, per_minute: int, per_hour: int, clock: Clock) -> Allowance:
        """Make the allowance of an account; 0 says that a window has no limit."""
        windows = [(per_minute, 60.0 + MARGIN), (per_hour, 3600.0 + MARGIN)]
        return cls([RollingWindow(limit, seconds) for limit, seconds in windows if limit], clock)

    def book(self) -> float:
        """Book the next request and return the seconds to wait before sending it; 0.0 means now."""
        with self._lock:
            now = self._clock.monotonic()
            start = max(now, self._not_before)
            for window in self._windows:
                start = max(start, window.earliest(start))
            for window in self._windows:
                window.add(start)
            # Bookings are served in the order they were made.
            self._not_before = max(self._not_before, start)
            return start - now

    def pause(self, seconds: float) -> None:
        """Let nothing start for so long: the server said that the allowance is spent."""
        with self._lock:
            self._not_before = max(self._not_before, self._clock.monotonic() + seconds)
