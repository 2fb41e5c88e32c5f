"""What is kept of the answers of an exploration, and what several facts stand on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_kore.exceptions import KoreError

LARGEST: Final = 1000
"""The largest ``limit`` that is asked for: a page of some 300 kB."""

LIMITS: Final = (5, 10, 20, 25, 30, 40, 50, 75, 100, 150, 200, 250, 300, 400, 500)
"""Limits among which the largest is searched where a larger one is refused: four requests find it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer. Its repr holds no body."""

    status: int
    seconds: float
    payload: Mapping[str, object] | None = field(repr=False)
    """None if it is no JSON object."""
    error: KoreError | None
    """What the client makes of it; None for a success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLook:
    """What is kept of a page of contacts."""

    skip: int
    limit: int | None
    """As asked for; None: it was left to the server."""
    reply: Reply = field(repr=False)
    ids: tuple[object, ...] = field(default=(), repr=False)
    created: tuple[str, ...] = field(default=(), repr=False)
    """``createdAt`` of its contacts; empty if one of them has none."""
    nested: Mapping[str, object] = field(default_factory=dict)
    """Paging fields in ``data``."""
    top: Mapping[str, object] = field(default_factory=dict)
    """Paging fields beside it."""

    @property
    def served(self) -> bool:
        """Whether it is a page at all, and no refusal."""
        return self.reply.error is None

    @property
    def rows(self) -> int:
        """Contacts on it."""
        return len(self.ids)

    def said(self, name: str) -> object:
        """Return a paging field, wherever it is; None if it is not there."""
        return self.nested.get(name, self.top.get(name))

    def count(self, name: str) -> int | None:
        """Return a paging field that is a whole number, also one in a string; None otherwise."""
        return as_count(self.said(name))


@dataclass(slots=True, kw_only=True)
class Seen:
    """Everything the answers have told so far."""

    api_version: str
    catalogue: Sequence[Mapping[str, object]] = field(default=(), repr=False)
    """Per list ``_id``, ``status``, ``source``, ``updatedAt``, ``totalRecordCount``."""
    chosen: str | None = field(default=None, repr=False)
    """The id of the list whose pages are looked at."""
    details: Mapping[str, object] | None = field(default=None, repr=False)
    """``createdAt`` and ``updatedAt`` of that list as it tells them itself."""
    pages: list[PageLook] = field(default_factory=list)
    unknown: Reply | None = None
    other_version: Reply | None = None
    limit_headers: dict[str, str] = field(default_factory=dict)
    out_of_requests: bool = False

    @property
    def entry(self) -> Mapping[str, object] | None:
        """The catalogue's entry of the chosen list; None if it has none."""
        return next((each for each in self.catalogue if each.get("_id") == self.chosen), None)


def as_count(value: object) -> int | None:
    """Return a whole number from 0 on, also one in a string; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 16:  # noqa: PLR2004
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def skip_honoured(seen: Seen) -> bool | None:
    """Return whether the second look began where it was asked to; None if that cannot be told."""
    first = first_page(seen)
    second = next((page for page in seen.pages if page.limit is None and page.skip and page.served), None)
    if first is None or second is None:
        return None
    shared = first.ids[second.skip :][: second.rows]
    if second.ids and second.ids[0] == first.ids[0] and (not shared or shared[0] != first.ids[0]):
        return False
    if shared:
        return True if second.ids[: len(shared)] == shared else None
    return None if first.ids[second.skip :] else True


def at_least(seen: Seen) -> int:
    """Return how many contacts the list has at the least, by what its pages held."""
    return max((page.skip * moves(seen) + page.rows for page in served_pages(seen) if page.rows), default=0)


def length(seen: Seen) -> int | None:
    """Return how many contacts the list has, if a page was seen that was not full; None otherwise."""
    least = at_least(seen)
    for page in served_pages(seen):
        end = page.skip * moves(seen) + page.rows
        if page.rows and page.rows < _size(seen, page) and end >= least:
            return end
    return None


def claimed_length(seen: Seen) -> int | None:
    """Return how many contacts the list says it has: its total, or else the catalogue's count; None if neither."""
    pages = served_pages(seen)
    totals = [page.count("totalResults") for page in pages]
    if totals and totals[0] and not totals_count_pages(pages):
        return totals[0]
    return as_count((seen.entry or {}).get("totalRecordCount")) or None


def known_length(seen: Seen) -> int:
    """Return how many contacts there are at the least, by the pages, or by total and catalogue where these agree."""
    total = seen.pages[0].count("totalResults")
    agree = total is not None and total == as_count((seen.entry or {}).get("totalRecordCount"))
    return max(at_least(seen), (total or 0) if agree else 0)


def first_page(seen: Seen) -> PageLook | None:
    """Return the first page that was looked at; None if there is none, or it is empty."""
    return seen.pages[0] if seen.pages and seen.pages[0].rows else None


def served_pages(seen: Seen) -> list[PageLook]:
    """Return the pages that were not refused."""
    return [page for page in seen.pages if page.served]


def moves(seen: Seen) -> int:
    """Return 1 if pages begin where they are asked to, 0 if all begin at the start."""
    return 1 if skip_honoured(seen) else 0


def _size(seen: Seen, page: PageLook) -> int:
    """Return how long a full page of this request is: by its echo, or by the longest page that was asked for so."""
    longest = max(each.rows for each in served_pages(seen) if each.limit == page.limit)
    if page.limit is not None and page.limit <= max(each.rows for each in served_pages(seen) if each.limit is not None):
        return page.limit  # a larger one was served
    echo = page.count("limit") or 0
    return max(longest, echo) if page.limit is None or echo <= page.limit else longest


def totals_count_pages(pages: list[PageLook]) -> bool:
    """Return whether each total is as long as its page, and pages differ in length."""
    counts = [(page.rows, page.count("totalResults")) for page in pages]
    return len({rows for rows, _ in counts}) > 1 and all(rows == total for rows, total in counts)


def contacts_seen(seen: Seen) -> list[tuple[str, str]]:
    """Return ``createdAt`` and id of the contacts seen, in the list's order."""
    found: dict[int, tuple[str, str]] = {}
    for page in served_pages(seen):
        for number, (created, identifier) in enumerate(zip(page.created, page.ids, strict=False)):
            found.setdefault(page.skip * moves(seen) + number, (created, str(identifier)))
    return [found[place] for place in sorted(found)]


class NotLearnedError(Exception):
    """Why something could not be found out."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one question found: words, and settings of the simulator that say the same."""

    seen: str
    settings: Mapping[str, object]


def told(seen: str, **settings: object) -> Told:
    """Return what was found."""
    return Told(seen, settings)


NO_REQUEST: Final = "no request was left"


def missing(seen: Seen) -> NotLearnedError:
    """Return why nothing about pages is known."""
    if seen.chosen is None:
        return NotLearnedError("the application has no contact list" if not seen.out_of_requests else NO_REQUEST)
    return NotLearnedError("the list is empty" if seen.pages else NO_REQUEST)
