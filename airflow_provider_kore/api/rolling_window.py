"""A rolling window of an account's allowance: which places of it this client holds, and what refusals teach of others.

The server counts a request when it arrives, which is at some instant between its start and its answer. So a request
holds its place in a window until ``seconds`` after its *answer*: later than that, it has left the server's window for
certain; earlier, it may not have.

Only a refusal tells that others spend the same allowance: what this client had in the window at that moment is what
the others left to it. From then on it re-uses its own places as they come free, which the others cannot count
on, and so disturbs no other; it tries for more now and then, and gives way a little when that fails.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

GIVE_WAY: Final = 0.9
"""What is left of a client's share when it is refused again, so that newcomers find room."""

POLITENESS: Final = 0.3
"""Seconds for which a place that came free is left to others, as soon as there are any."""

MOST_WINDOWS: Final = 2
"""Windows between two tries for more at the most."""

IN_FLIGHT: Final = 0.05
"""Seconds until asking again while all free places are taken by requests that are under way."""


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
        self._answers: list[float] = []
        """In the order in which their places come free."""
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
            insort(self._answers, now)  # after it may be places that were granted for later

    def remember(self, free: Iterable[float], now: float) -> None:
        """Take in places that others' requests have, or an earlier process's, each until an instant."""
        self._answers = sorted([*self._answers, *(at - self.seconds for at in free if at > now)])

    def answers(self, now: float) -> list[float]:
        """Return when the requests in the window were answered."""
        self._forget(now)
        return list(self._answers)

    def grant(self, free: Iterable[float], now: float) -> None:
        """Take over places, each of them free from an instant on."""
        times = list(free)
        self.places += len(times)
        self.remember(times, now)

    def cede(self, number: int, now: float) -> list[float]:
        """Give up so many places, or all that no request under way has.

        Return from when on each is free: minus infinity for those that are.
        """
        number = min(number, self.places - self._in_flight)
        unused = max(0, min(number, self.places - self.used(now)))
        ceded = [float("-inf")] * unused
        while len(ceded) < number and self._answers:
            ceded.append(self._answers.pop(0) + self.seconds)
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
            del self._answers[0]
