"""The account's allowance: rolling windows, what refusals teach about those who share it, and how long to wait.

Source of the windows: the vendor's contact-center limits page (60 requests per rolling minute and account); platform
APIs have a second window of an hour at the same time.

The server counts a request when it arrives, which is at some instant between its start and its answer. So a request
holds its place in a window until ``seconds`` after its *answer*: later than that, it has left the server's window for
certain; earlier, it may not have.

Only a refusal tells that others spend the same allowance: what this client had in the window at that moment is what
the others left to it. From then on it re-uses its own places as they come free, which the others cannot count
on, and so disturbs no other; it tries for more now and then, and gives way a little when that fails.
"""

from __future__ import annotations

import math
import random
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_provider_kore.walk.cost import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_kore.clock import Clock

MARGIN: Final = 0.1
"""Seconds added to each window, for clocks that tick differently: less than 0.2 % of a minute."""

GIVE_WAY: Final = 0.9
"""What is left of a client's share when it is refused again, so that newcomers find room."""

POLITENESS: Final = 0.3
"""Seconds for which a place that came free is left to others, as soon as there are any."""

MOST_WINDOWS: Final = 2
"""Windows between two tries for more at the most."""

SHORTEST_PAUSE: Final = 1.0
"""Seconds of silence after a refusal at the least: ``Retry-After: 0`` is not leave to hammer."""

JITTER: Final = 0.5
"""Seconds by which those who were refused together come back apart, at the most."""

LONGEST_PROBE: Final = 300.0
"""Seconds between two tries at the most while others fill a window and the server doesn't say for how long."""

IN_FLIGHT: Final = 0.05
"""Seconds until asking again while all free places are taken by requests that are under way."""

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_BUCKETS: Final = 600
"""Into how many parts a window is cut to be remembered."""


class RollingWindow:
    """At most ``limit`` requests in any stretch of ``seconds``; less than that while others use it, too.

    :param name: as the vendor's refusals call it: per-minute or hourly.
    """

    def __init__(self, name: str, limit: int, seconds: float) -> None:
        self.name = name
        self.limit = limit
        self.places = limit
        """How many of them are this client's to use: all, unless a ledger hands them out."""
        self.elsewhere = float("-inf")
        """When one that is in no hand comes free, while this client has none."""
        self.seconds = seconds
        self._answers: deque[float] = deque()
        self._in_flight = 0
        self._share: float | None = None
        """What others leave to this client; None: no others have been noticed."""
        self._lesson = float("-inf")
        """When the share was last learned: what was under way then teaches nothing new."""
        self._probe = float("inf")
        """When to try for more than the share."""
        self._gap = 1
        """How many windows lie between two tries."""

    @property
    def unit(self) -> str:
        """What the limit is a number of requests in."""
        return "an hour" if self.name == "hourly" else "a minute"

    def used(self, now: float) -> int:
        """Return how many places are taken, those of requests under way among them."""
        self._forget(now)
        return len(self._answers) + self._in_flight

    def earliest(self, now: float) -> float:
        """Return the first instant, not before ``now``, at which a place is known to be free, or worth a try."""
        missing = self.used(now) - self._allowed(now)
        if missing < 0:
            return now
        if missing < len(self._answers):
            free = self._answers[missing] + self._held
        else:
            free = now + IN_FLIGHT if self.places else max(now + IN_FLIGHT, self.elsewhere)
        return min(free, self._probe) if self._probe > now and self.places else free

    def start(self) -> None:
        """Take a place."""
        self._in_flight += 1

    def settle(self, now: float, *, counted: bool = True) -> None:
        """Note that an answer came, or that none will; ``counted`` says whether it holds a place."""
        self._in_flight -= 1
        if counted:
            self._answers.append(now)
            if len(self._answers) > 1 and self._answers[-2] > now:  # a place that was granted for later
                self.sort()

    def sort(self) -> None:
        """Put the places into the order in which they come free."""
        self._answers = deque(sorted(self._answers))

    def remember(self, answered: float) -> None:
        """Take in a request of another process, older than all that are known."""
        self._answers.appendleft(answered)

    def answers(self, now: float) -> list[float]:
        """Return when the requests in the window were answered."""
        self._forget(now)
        return list(self._answers)

    def grant(self, free: Iterable[float], now: float) -> None:
        """Take over places, each of them free from an instant on."""
        times = list(free)
        self.places += len(times)
        self._answers.extend(at - self.seconds for at in times if at > now)
        self.sort()

    def cede(self, number: int, now: float) -> list[float]:
        """Give up so many places, or all that no request under way has.

        Return from when on each is free: minus infinity for those that are.
        """
        number = min(number, self.places - self._in_flight)
        unused = max(0, min(number, self.places - self.used(now)))
        ceded = [float("-inf")] * unused
        while len(ceded) < number and self._answers:
            ceded.append(self._answers.popleft() + self.seconds)
        self.places -= len(ceded)
        return ceded

    def cede_late(self, after: float) -> list[float]:
        """Give up the places that are free only after an instant; return when each is."""
        ceded: list[float] = []
        while self._answers and self._answers[-1] + self.seconds > after and self.places > 0:
            ceded.append(self._answers.pop() + self.seconds)
            self.places -= 1
        return ceded

    def cede_to_others(self, now: float) -> list[float]:
        """Give up the places that a refusal has shown to be taken by others; return when to try each of them again."""
        if self._share is None or now >= self._probe:
            return []
        number = max(0, self.places - max(int(self._share), self.used(now)))
        self.places -= number
        return [self._probe] * number

    def abandon(self, now: float) -> int:
        """Give up all places, also of what is under way, which may be counted later; return how many those were."""
        self._forget(now)
        self._answers.clear()
        left, self.places = self.places, 0
        return left

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return self._in_flight

    def wanted(self, now: float) -> int:
        """Return how many places can be of use: all of them, unless others were noticed."""
        return self.limit if self._share is None or now >= self._probe else min(self.limit, int(self._share))

    def share_with_others(self, share: int, now: float) -> None:
        """Keep to a share of the limit, and try for more later, as after a refusal."""
        self.places = self.limit
        if share < self.limit:
            self._share, self._gap, self._lesson = float(max(1, share)), 1, now
            self._probe = now + self._held

    def refuse(self, started: float, now: float, uniform: Callable[[float, float], float]) -> bool:
        """Learn from a refusal of a request that was started at ``started``; return whether others had been served."""
        self._forget(now)
        served = len(self._answers)
        if served and started >= self._lesson:
            known = self._share
            if known is None:
                self._share = served
            elif served < int(known) and now < self._probe:
                self._share, self._gap = max(1.0, GIVE_WAY * served), 1
            else:
                # A try for more: as long as it gains nothing, the next one can wait longer.
                self._gap = 1 if served > known else min(MOST_WINDOWS, 2 * self._gap)
                self._share = max(known, served)
            self._lesson = now
            self._probe = now + self._gap * self._held * uniform(0.75, 1.25)
        return served > 0

    @property
    def _held(self) -> float:
        """Seconds for which a place is held: a little longer than it has to be where others are waiting for one."""
        return self.seconds + (POLITENESS if self._share is not None else 0.0)

    def _allowed(self, now: float) -> int:
        if self._share is None:
            return self.places
        if now < self._probe:
            return min(self.places, int(self._share))
        if now - self._probe > self.seconds:  # a whole window of tries without a refusal: the others are gone
            self._share, self._gap, self._probe = None, 1, float("inf")
            return self.places
        # Beyond the share one at a time, so that one refusal ends the try.
        return min(self.places, max(int(self._share), len(self._answers) + (self._in_flight == 0)))

    def _forget(self, now: float) -> None:
        while self._answers and self._answers[0] + self._held <= now:
            self._answers.popleft()


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
        self._lock = threading.Lock()
        self._not_before = float("-inf")
        self._last_start = float("-inf")
        self._refused_in_a_row = 0

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
            width = longest.seconds / _BUCKETS
            found: dict[int, Usage] = {}
            for answered in longest.answers(now):
                bucket = int(answered // width)
                known = found.get(bucket, Usage(0.0, 0))
                found[bucket] = Usage(round(max(known.answered, epoch + answered), 3), known.requests + 1)
            return tuple(found.values())

    def remember(self, usage: Iterable[Usage]) -> None:
        """Take in what another process has spent, as its :meth:`usage` told."""
        with self._lock:
            self._remember(usage)

    def _remember(self, usage: Iterable[Usage]) -> None:
        now = self._clock.monotonic()
        epoch = self._clock.time() - now
        for answered, requests in sorted(usage, reverse=True):
            # A clock that was set back must not make a window longer than it is.
            at = min(now, answered - epoch)
            for window in self._windows:
                if at + window.seconds > now:
                    for _ in range(requests):
                        window.remember(at)

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
