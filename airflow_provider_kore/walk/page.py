"""A page of contacts, from what is asked for to what a walk over many of them has learnt. Values only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from airflow_provider_kore.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


def check_page_size(value: object) -> int | None:
    """Return a page size that can be asked for, None if none is given.

    Raises ParameterError.
    """
    if value is None or value == "":
        return None
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise ParameterError("page_size", f"is {value!r}", "pass a whole number, 1 or more, or leave it out")
    return int(text)


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
    """The offset behind it."""
    total: int | None
    """``totalResults`` as this page gave it; None if it gave none, or if it counts the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the witnesses said at the end of a walk."""

    contacts: int
    total: int | None
    agreed: tuple[str, ...]
    """Witnesses that were heard and agree, of: echo, has_more, total, unique_ids; and what proved the end: short_page,
    empty_page, or one_answer where there are no pages."""
    disagreed: tuple[str, ...] = ()
    """Witnesses that were overruled by the others."""
    duplicates: int = 0
    totals: tuple[int, ...] = ()
    """Every different ``totalResults`` in the order they were heard; more than one: the list changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a walk is and what it was told: enough to continue it in another process. Holds no contact data."""

    offset: int = 0
    """Behind the last contact that was read."""
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
    """Where the last page begins; whoever continues looks at it again."""
    ascending: bool = True
    """Whether every contact so far was created after the one before it, as far as ``createdAt`` tells."""
    last_created: str = ""
    """The newest ``createdAt``."""
    newer: int = 0
    """How many contacts were created after the instant that the walk was told to compare with."""
    limit_refused: bool = False
    """Whether the server has refused a page for its limit."""

    @property
    def first_total(self) -> int | None:
        """The total of the list as first heard; None if none was heard, or if it counts the page."""
        return self.totals[0] if self.totals and not self.totals_count_pages else None

    @property
    def total(self) -> int | None:
        """The total of the list as last heard; None if none was heard, or if it counts the page."""
        return self.totals[-1] if self.totals and not self.totals_count_pages else None
