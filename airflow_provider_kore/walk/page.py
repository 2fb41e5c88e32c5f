"""A page of contacts, from what is asked for to what a walk over many of them has learnt. Values only."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, cast

from airflow_provider_kore.walk.page_size import NOTHING, Learned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


class Record(NamedTuple):
    """One item of a page, both parsed and as the server wrote it."""

    id: str
    text: str
    """JSON text of the item, on one line, otherwise untouched."""
    value: Mapping[str, object]

    def __repr__(self) -> str:
        return f"Record({self.id})"  # tracebacks that show local variables shall not show contacts


class Records:
    """The items of a page in order, kept as columns: most of those who look at a page need one of them only.

    :param ids: one for each item, as all of them.
    """

    __slots__ = ("ids", "texts", "values")

    def __init__(self, ids: Sequence[str], texts: Sequence[str], values: Sequence[Mapping[str, object]]) -> None:
        self.ids = ids
        self.texts = texts
        self.values = values

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        """Collect single records."""
        found = list(records)
        return cls([each.id for each in found], [each.text for each in found], [each.value for each in found])

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Record]:
        return map(Record, self.ids, self.texts, self.values)

    def __repr__(self) -> str:
        return f"Records({len(self)})"


_TOTALS_KEPT: Final = 20
INSTANT_LENGTH: Final = len("2025-12-09T04:28:44.832Z")
"""Of an instant as the vendor writes it: those of this length compare as text."""

NO_RECORDS = Records((), (), ())


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What to ask for."""

    skip: int
    limit: int | None
    """None: leave the page size to the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAnswer:
    """One answer as the server gave it; None where it said nothing, or nothing of the documented type."""

    records: Records
    skip: int | None = None
    limit: int | None = None
    has_more: bool | None = None
    total: int | None = None
    whole: bool = False
    """Whether the endpoint has no pages: this is all there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page that was believed."""

    records: Records
    offset: int
    """Where it begins in the list."""
    end: int
    """The offset after it."""
    total: int | None
    """``totalResults`` as this page gave it; None if it gave none, or if it counts the page."""
    grows: bool = False
    """Whether the next page is asked for more than this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The evidence at the end of a walk."""

    contacts: int
    total: int | None
    agreed: tuple[str, ...]
    """Evidence that was found and agrees, of: echo, has_more, total, unique_ids; and what proved the end: short_page,
    empty_page, or one_answer where there are no pages."""
    disagreed: tuple[str, ...] = ()
    """Evidence that was overruled by the rest."""
    duplicates: int = 0
    totals: tuple[int, ...] = ()
    """Every different ``totalResults`` in the order they were heard; more than one: the list changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a walk is and what it was told: enough to continue it in another process. Holds no contact data."""

    offset: int = 0
    """The offset after the last contact that was read."""
    totals: tuple[int, ...] = ()
    """The first ``totalResults``, and the different ones that followed, as far back as matters."""
    totals_like_pages: bool = True
    """Whether every total so far was as long as its page."""
    totals_count_pages: bool = False
    """Whether that is what they count."""
    echo_heard: bool = True
    """Whether every page echoed its skip."""
    has_more_heard: bool = True
    has_more_wrong: bool = False
    last_has_more: bool | None = None
    duplicates: int = 0
    last_page: int = 0
    """Where the last page begins; a walk that continues looks at it again."""
    ascending: bool = True
    """Whether every contact so far was created after the one before it, as far as ``createdAt`` tells."""
    last_created: str = ""
    """The newest ``createdAt``."""
    newer: int = 0
    """How many contacts were created after the instant that the walk was told to compare with."""
    limit_refused: bool = False
    """Whether the server has refused a page for its limit."""
    learned: Learned = NOTHING
    """About the size of its pages."""

    @property
    def first_total(self) -> int | None:
        """The total of the list as first heard; None if none was heard, or if it counts the page."""
        return self.totals[0] if self.totals and not self.totals_count_pages else None

    @property
    def total(self) -> int | None:
        """The total of the list as last heard; None if none was heard, or if it counts the page."""
        return self.totals[-1] if self.totals and not self.totals_count_pages else None

    def after(self, answer: PageAnswer, records: Records, newer_than: str) -> Progress:
        """Return what is known after a page that was believed.

        :param records: those of its records that had not been read before.
        :param newer_than: an instant as the vendor writes it; contacts created after it are counted.
        """
        count = len(answer.records)
        belied = self.last_has_more is (count == 0)  # it had promised this page, or denied it
        lies = count == 0 and answer.has_more is True
        return replace(
            self,
            offset=self.offset + count,
            echo_heard=self.echo_heard and answer.skip is not None,
            has_more_heard=self.has_more_heard and answer.has_more is not None,
            has_more_wrong=self.has_more_wrong or belied or lies,
            last_has_more=answer.has_more,
            duplicates=self.duplicates + count - len(records),
            last_page=self.offset if count else self.last_page,
            **self._hear_total(answer.total, count),
            **self._hear_order(records, newer_than),
        )

    def _hear_total(self, total: int | None, count: int) -> dict[str, Any]:
        """Learn what ``totalResults`` means on this server, and whether it moved.

        Some servers count the list, some the page. As long as every total equals its page and the pages reach
        further than that, it counts the page and proves nothing.
        """
        after = self.offset + count
        if total is None or (count == 0 and total in {0, after}):
            return {}  # past the end some servers have nothing to count
        like_pages = self.totals_like_pages and total == count
        moved = not self.totals or self.totals[-1] != total
        return {
            "totals_like_pages": like_pages,
            "totals_count_pages": like_pages and total < after,
            # A server that counts pages has at most two lengths of them, unless it has changed its limit.
            "totals": (*self.totals[:1], *self.totals[1:][-_TOTALS_KEPT:], total) if moved else self.totals,
        }

    def _hear_order(self, records: Records, newer_than: str) -> dict[str, Any]:
        """Learn whether contacts come in the order they were created, which is what makes new ones come last."""
        if not self.ascending or not records:
            return {}
        created = [value.get("createdAt") for value in records.values]
        if {*map(type, created)} != {str}:
            return {"ascending": False}
        instants = cast("list[str]", created)
        # Instants of the documented form compare as text.
        ascending = sorted(instants) == instants and instants[0] >= self.last_created
        if not ascending or {*map(len, instants)} != {INSTANT_LENGTH}:
            return {"ascending": False}
        newer = len(instants) - bisect_right(instants, newer_than)
        return {"last_created": instants[-1], "newer": self.newer + newer}
