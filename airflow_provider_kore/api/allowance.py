"""The account's allowance: several rolling windows at once, silence after refusals, and how long to wait.

Source of the windows: the vendor's contact-center limits page (60 requests per rolling minute and account); platform
APIs have a second window of an hour at the same time.
"""

from __future__ import annotations

import math
import random
import threading
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_provider_kore.api.rolling_window import RollingWindow
from airflow_provider_kore.walk.cost import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_kore.clock import Clock

MARGIN: Final = 0.1
"""Seconds added to each window, for clocks that tick differently: less than 0.2 % of a minute."""

SHORTEST_PAUSE: Final = 1.0
"""Seconds of silence after a refusal at the least: ``Retry-After: 0`` is not leave to hammer."""

JITTER: Final = 0.5
"""Seconds by which those who were refused together come back apart, at the most."""

LONGEST_PROBE: Final = 300.0
"""Seconds between two tries at the most while others fill a window and the server doesn't say for how long."""

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_BUCKETS: Final = 600
"""Into how many parts a window is cut to be remembered."""


class Allowance:
    """Several windows at once. It answers, the caller waits; safe to share between threads, and between clients.

    :param even: spread the requests over the window instead of sending them as soon as they are allowed.
    """

    def __init__(
        self,
        windows: Sequence[RollingWindow],
        clock: Clock,
        *,
        even: bool = False,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._windows = tuple(windows)
        self._clock = clock
        self._uniform = uniform
        self._interval = max((window.seconds / window.limit for window in windows), default=0.0) if even else 0.0
        self._lock = threading.RLock()
        self._not_before = float("-inf")
        self._last_start = float("-inf")
        self._refused_in_a_row = 0
        self._remembered: dict[int, int] = {}
        """Requests of other processes, by the part of time in which they were answered."""

    @classmethod
    def per_minute_and_hour(
        cls, per_minute: int, per_hour: int, clock: Clock, *, reserve: float = 0.0, even: bool = False, **more: Any
    ) -> Self:
        """Make the allowance of an account; 0 says that a window has no limit.

        :param reserve: the share of each window that is left for others, from 0 to 1.
        :param more: what a subclass takes besides.
        """
        windows = [
            RollingWindow(name, max(1, math.floor(limit * (1.0 - reserve))), seconds + MARGIN)
            for name, limit, seconds in (("per-minute", per_minute, _MINUTE), ("hourly", per_hour, _HOUR))
            if limit
        ]
        return cls(windows, clock, even=even, **more)

    def __str__(self) -> str:
        return " and ".join(f"{window.limit:,} requests {window.unit}" for window in self._windows) or "no limit"

    @property
    def limit(self) -> int | None:
        """How many requests may start at once at the most; None: as many as you like."""
        return min((window.limit for window in self._windows), default=None)

    def book(self) -> float:
        """Take a place and return 0.0; or take none, and return the seconds after which to ask again."""
        with self._lock:
            now = self._clock.monotonic()
            start = max(now, self._not_before, self._last_start + self._interval)
            for window in self._windows:
                start = max(start, window.earliest(now))
            if start > now:
                return start - now
            self._last_start = now
            for window in self._windows:
                window.start()
            return 0.0

    def settle(self) -> None:
        """Note that a booked request was answered, or failed."""
        with self._lock:
            now = self._clock.monotonic()
            self._refused_in_a_row = 0
            for window in self._windows:
                window.settle(now)

    def refused(self, *, started: float, hourly: bool, retry_after: float | None) -> None:
        """Learn from a refusal for the rate. The request is settled by this.

        :param started: when it was booked, on the clock's monotonic scale.
        :param retry_after: seconds the server asked to wait, within reason.
        """
        with self._lock:
            now = self._clock.monotonic()
            self._refused_in_a_row += 1
            served = False
            for window in self._windows:
                window.settle(now, counted=False)
                if (window.name == "hourly") == hourly:
                    served = window.refuse(started, now, self._uniform)
            if retry_after is not None:
                pause = max(SHORTEST_PAUSE, retry_after)
            elif served:
                pause = SHORTEST_PAUSE  # the own places that come free are what there is to wait for
            else:
                # Others have filled the window. A minute from now that can only be because they went on.
                pause = min(LONGEST_PROBE, max(_MINUTE, 2.0 ** min(self._refused_in_a_row, 9)))
            self._not_before = max(self._not_before, now + pause + self._uniform(0.0, JITTER))

    def shortest_time(self, requests: int) -> float:
        """Return the seconds from the first to the last of so many requests, if no other spends the allowance.

        A window's worth goes out at once. Each request's own time comes on top.
        """
        limits = {window.name: window.limit for window in self._windows}
        minutely, hourly = limits.get("per-minute"), limits.get("hourly")
        last = max(0, requests - 1)
        hours, rest = divmod(last, hourly) if hourly else (0, last)
        burst = hours * _HOUR + (rest // minutely * _MINUTE if minutely else 0.0)
        return max(burst, self._interval * (requests - 1))

    def usage(self) -> tuple[Usage, ...]:
        """Return what is in the longest window, for a process that continues this one's work."""
        with self._lock:
            if not self._windows:
                return ()
            longest = max(self._windows, key=lambda window: window.seconds)
            now = self._clock.monotonic()
            epoch = self._clock.time() - now
            found: dict[int, Usage] = {}
            for answered in longest.answers(now):
                at = round(epoch + answered, 3)
                known = found.get(self._part_of(at), Usage(0.0, 0))
                found[self._part_of(at)] = Usage(max(known.answered, at), known.requests + 1)
            return tuple(found.values())

    def remember(self, usage: Iterable[Usage]) -> None:
        """Take in what another process has spent, as its :meth:`usage` told.

        Checkpoints of several lists tell of the same requests: what was told before does not count again.
        """
        with self._lock:
            now = self._clock.monotonic()
            epoch = self._clock.time() - now
            for answered, requests in usage:
                part = self._part_of(answered)
                news = requests - self._remembered.get(part, 0)
                self._remembered[part] = max(requests, self._remembered.get(part, 0))
                # A clock that was set back must not make a window longer than it is.
                at = min(now, answered - epoch)
                for window in self._windows:
                    window.remember([at + window.seconds] * news, now)

    def _part_of(self, instant: float) -> int:
        """Return the number of the part of the longest window, counted since the epoch, that an instant is in."""
        return int(instant * _BUCKETS // max((window.seconds for window in self._windows), default=1.0))

    longest_wait = math.inf
    """Seconds that a request waits for its place at the most."""

    @property
    def patience(self) -> float:
        """Seconds after which to ask again, however long the wait is said to be."""
        return math.inf

    def give_up(self, seconds: float) -> None:
        """Note that a request will not wait for its place now, but may come back after so many seconds."""

    def close(self) -> None:
        """Give back what others may use."""
