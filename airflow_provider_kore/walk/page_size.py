"""How many rows to ask for in a page: the most that this server serves well, found on pages that are needed anyway.

The vendor documents no largest page. So a walk begins with :data:`FIRST`, or where the last one of the same list ended,
and asks for the next of :data:`STEPS` as long as pages come full. A server that clamps costs nothing, because its page
is used as it came; one that refuses costs one request. A page is not tried that would save less than two requests, that
may be too large or too slow, or that was refused before.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIRST: Final = 100
"""What a walk that knows nothing asks for: the most that a sibling endpoint of the vendor's allows."""

STEPS: Final = (1, 2, 5, 10, 20, 50, FIRST, 200, 500, 1000, 2000, 5000)
"""Sizes that are tried: limits are round numbers, and four steps lead to a thousand."""

MOST_TEXT: Final = 1 << 20
"""Characters of the rows of a page that is tried: an eighth of the largest body, for rows that grow later."""

_WORTH_A_REFUSAL: Final = 2
"""Requests that a larger page must save before it is tried."""

_WORTH_ASKING_AGAIN: Final = 100
"""The same for one that an earlier walk was refused: servers change, and then it costs one request in a hundred."""

SOON: Final = 0.25
"""Seconds within which an answer is not slow, whatever its size: there fewer requests are the gain."""

_SLOWER: Final = 0.9
"""Of the rows a second that smaller pages gave; below that, a larger page is slower."""

_FAILURES: Final = 2
"""How often a larger page may fail or be slower before it counts as too large: once may be chance."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What a walk has found out about the size of pages."""

    size: int = 0
    """The most rows that were asked for in a page and came; 0: no page was full."""
    too_large: int = 0
    """The fewest that the server refuses or serves badly; 0: none that is known."""

    @classmethod
    def of(cls, told: Mapping[str, object]) -> Self:
        """Read what a manifest tells of its walk, which others may have written: within bounds, or as nothing."""
        size, too_large = (_bounded(told.get(name)) for name in ("page_size", "page_size_too_large"))
        return cls(size, too_large if too_large > size else 0)

    def with_earlier(self, remembered: Learned) -> Learned:
        """Return what the next walk should know: what an earlier one had found out stays true until it fails."""
        failed = 0 < self.too_large <= remembered.size
        size = self.size if failed else max(self.size, remembered.size)
        return Learned(size, self.too_large or (remembered.too_large if remembered.too_large > size else 0))


def _bounded(value: object) -> int:
    known = isinstance(value, int) and not isinstance(value, bool) and FIRST <= value <= STEPS[-1]
    return value if known and isinstance(value, int) else 0


NOTHING: Final = Learned()


class PageSizes:
    """Finds the size of a walk's pages. Sends nothing itself, and trusts nothing that a page does not prove.

    :param learned: by this walk so far, perhaps in another process.
    :param remembered: by an earlier walk of the same list; only a place to start.
    :param known: by walks of other lists on the same server.
    :param slowest: seconds that a page which is tried may take, at the rate of those before.
    :param pace: seconds between two requests that the allowance has; pages that take less, or less than :data:`SOON`,
        are not slower for it.
    :param first: rows to begin with where nothing is remembered.
    :param steps: sizes to try, ascending.
    """

    def __init__(
        self,
        learned: Learned = NOTHING,
        remembered: Learned = NOTHING,
        known: Learned = NOTHING,
        *,
        slowest: float = float("inf"),
        pace: float = 0.0,
        first: int = FIRST,
        steps: Sequence[int] = STEPS,
    ) -> None:
        self.learned = learned
        self.refused = known.too_large
        """The fewest that the server has refused, to whichever list; 0: none."""
        self.size = learned.size or first
        """To ask for where nothing is tried."""
        self.trial: int | None = None
        """A larger size that the next page tries."""
        self._remembered = remembered
        self._known = known
        self._slowest = slowest
        self._pace = max(pace, SOON)
        self._first = first
        self._steps = steps
        self._settled = False
        self._failures = 0
        self._characters = 0.0
        self._rate = 0.0
        if not learned.size and self._is_open(remembered.size):
            self.trial = remembered.size

    @property
    def asked(self) -> int:
        """What the next page is asked for."""
        return self.trial or self.size

    def refuse(self, *, certain: bool = True) -> bool:
        """Step back from a size that the server refuses; return whether there is a smaller one to ask for.

        :param certain: whether it is a refusal, and no failure that may be chance.
        """
        size = self.asked
        if self.trial is None and size <= self._first:
            return False
        if certain:
            self.refused = min(self.refused or size, size)
        if self.trial is None:
            self.size = self._first
        self._step_back(size, for_good=certain or self.trial is None)
        return True

    def shrink(self) -> bool:
        """Step back from a page whose body is too large; return whether there is a smaller one to ask for."""
        if self.trial is not None:
            self._step_back(self.trial, for_good=True)
            return True
        if self.size <= self._steps[0]:
            return False
        before, self.size = self.size, self._steps[bisect_left(self._steps, self.size) - 1]
        self._step_back(before, for_good=True)
        return True

    def note(
        self, rows: int, characters: int, limit: int | None, *, left: int | None, seconds: float | None = None
    ) -> None:
        """Learn from a page that was believed, and decide what to ask for next.

        :param characters: of its rows.
        :param limit: that the server echoed.
        :param left: rows after it; None: unknown.
        :param seconds: that the answer took; None: not measured.
        """
        asked = self.asked
        self._characters = max(self._characters, characters / rows)
        if rows < asked or (limit is not None and limit < asked):
            self._settled = True
            if limit is not None and rows < limit and left != 0:
                if self.trial is not None and left:  # it says that it keeps the limit, and gives fewer
                    self._step_back(asked, for_good=True)
                self.trial = None
            else:
                self.size, self.trial = asked, None  # it takes the limit, and gives what it has
            return
        rate = rows / max(seconds or 0.0, self._pace)
        if self.trial is not None and seconds is not None and rate < _SLOWER * self._rate:
            self._failures += 1
            if self._failures >= _FAILURES:
                self._step_back(asked, for_good=True)
            return  # the next page of this size tells whether that was chance
        if self.trial is not None:
            self._failures = 0
        self.size, self.trial, self._rate = asked, None, rate
        self.learned = replace(self.learned, size=max(self.learned.size, asked))
        if not self._settled:
            self._try_more(left, seconds)

    def _try_more(self, left: int | None, seconds: float | None) -> None:
        step = bisect_right(self._steps, self.size)
        for size in (self._known.size, *self._steps[step : step + 1]):
            if self._is_worth_trying(size, left, seconds):
                self.trial = size
                return
        self._settled = True

    def _is_worth_trying(self, size: int, left: int | None, seconds: float | None) -> bool:
        if not self._is_open(size) or size * self._characters > MOST_TEXT:
            return False
        if seconds is not None and seconds * size / self.size > self._slowest:
            return False
        again = 0 < self._remembered.too_large <= size
        if left is None:
            return not again
        saved = -(-left // self.size) - -(-left // size)
        return saved >= (_WORTH_ASKING_AGAIN if again else _WORTH_A_REFUSAL)

    def _is_open(self, size: int) -> bool:
        """Say whether a size is larger than what is asked for, and not known to be too large."""
        limits = [limit for limit in (self.learned.too_large, self.refused) if limit]
        return self.size < size <= self._steps[-1] and all(size < limit for limit in limits)

    def _step_back(self, size: int, *, for_good: bool) -> None:
        self.trial = None
        self._failures += 1
        if for_good or self._failures >= _FAILURES:
            self.learned = Learned(min(self.learned.size, self.size), min(self.learned.too_large or size, size))
