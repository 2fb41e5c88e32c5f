"""What is kept of the answers of an exploration, and what several facts stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

from airflow_provider_kore.api.answers import as_count
from airflow_provider_kore.exceptions import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kore.exceptions import KoreError

LARGEST: Final = 1000
"""The largest ``limit`` that is asked for: a page of some 300 kB."""

LIMITS: Final = (5, 10, 20, 25, 30, 40, 50, 75, 100, 150, 200, 250, 300, 400, 500)
"""Limits among which the largest is searched where a larger one is refused: four requests find it."""

_PAGING: Final = ("skip", "limit", "hasMore", "totalPages", "totalResults")

NO_REQUEST: Final = "no request was left"


class NotLearnedError(Exception):
    """Why something could not be found out."""


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

    @classmethod
    def of(cls, skip: int, limit: int | None, reply: Reply) -> Self:
        """Keep of an answer what is needed of it. Raises ContractError for a success that is no page."""
        payload = reply.payload or {}
        if reply.error is not None:
            return cls(skip=skip, limit=limit, reply=replace(reply, payload=None if limit is None else payload))
        data = payload.get("data")
        inner = data if isinstance(data, Mapping) else {}
        results = inner.get("results", payload.get("results"))
        if not isinstance(results, list) or not all(isinstance(each, Mapping) for each in results):
            raise ContractError(
                "The answer for a page of contacts has no list of results. Check that host is the Kore.ai environment, "
                "and the connection's api_version."
            )
        created = tuple(each["createdAt"] for each in results if isinstance(each.get("createdAt"), str))
        return cls(
            skip=skip,
            limit=limit,
            reply=replace(reply, payload=None),
            ids=tuple(str(each.get("_id")) for each in results),
            created=created if len(created) == len(results) else (),
            nested={name: inner[name] for name in _PAGING if name in inner},
            top={name: payload[name] for name in _PAGING if name in payload},
        )

    @property
    def promises_more(self) -> bool:
        """Whether a first page hints at a second one."""
        full = self.rows > 1 and (self.count("limit") or 0) <= self.rows
        return self.rows > 0 and (full or self.said("hasMore") is True or (self.count("totalResults") or 0) > self.rows)

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

    def need_first(self) -> PageLook:
        """Return the first page. Raises NotLearnedError where there is none, or it is empty."""
        if self.first is not None:
            return self.first
        if self.pages:
            raise NotLearnedError("the list is empty")
        no_list = self.chosen is None and not self.out_of_requests
        raise NotLearnedError("the application has no contact list" if no_list else NO_REQUEST)

    def need_served(self) -> list[PageLook]:
        """Return the pages that were served, if there is one, else as :meth:`need_first`."""
        return self.served or [self.need_first()]

    def need_details(self) -> Mapping[str, object]:
        """Return the list's own details. Raises NotLearnedError where they are not known."""
        if self.chosen is None:
            self.need_first()
        if self.details is None:
            raise NotLearnedError(NO_REQUEST if self.out_of_requests else "the list's own details are refused")
        return self.details

    def need_entry(self) -> Mapping[str, object]:
        """Return the catalogue's entry of the list. Raises NotLearnedError where it has none."""
        if self.entry is None:
            raise NotLearnedError("the catalogue does not have this list")
        return self.entry

    @property
    def skip_honoured(self) -> bool | None:
        """Whether the second look began where it was asked to; None if that cannot be told."""
        first = self.first
        second = next((page for page in self.pages if page.limit is None and page.skip and page.served), None)
        if first is None or second is None:
            return None
        shared = first.ids[second.skip :][: second.rows]
        if second.ids and second.ids[0] == first.ids[0] and (not shared or shared[0] != first.ids[0]):
            return False
        if shared:
            return True if second.ids[: len(shared)] == shared else None
        return None if first.ids[second.skip :] else True

    @property
    def at_least(self) -> int:
        """How many contacts the list has at the least, by what its pages held."""
        return max((page.skip * self.moves + page.rows for page in self.served if page.rows), default=0)

    @property
    def length(self) -> int | None:
        """How many contacts the list has, if a page was seen that was not full; None otherwise."""
        least = self.at_least
        for page in self.served:
            end = page.skip * self.moves + page.rows
            if page.rows and page.rows < self._size(page) and end >= least:
                return end
        return None

    @property
    def claimed_length(self) -> int | None:
        """How many contacts the list says it has: its total, or else the catalogue's count; None if neither."""
        totals = [page.count("totalResults") for page in self.served]
        if totals and totals[0] and not self.totals_count_pages:
            return totals[0]
        return as_count((self.entry or {}).get("totalRecordCount")) or None

    @property
    def known_length(self) -> int:
        """How many contacts there are at the least, by the pages, or by total and catalogue where these agree."""
        total = self.pages[0].count("totalResults")
        agree = total is not None and total == as_count((self.entry or {}).get("totalRecordCount"))
        return max(self.at_least, (total or 0) if agree else 0)

    @property
    def first(self) -> PageLook | None:
        """The first page that was looked at; None if there is none, or it is empty."""
        return self.pages[0] if self.pages and self.pages[0].rows else None

    @property
    def served(self) -> list[PageLook]:
        """The pages that were not refused."""
        return [page for page in self.pages if page.served]

    @property
    def moves(self) -> int:
        """1 if pages begin where they are asked to, 0 if all begin at the start."""
        return 1 if self.skip_honoured else 0

    @property
    def totals_count_pages(self) -> bool:
        """Whether each total is as long as its page, and pages differ in length."""
        counts = [(page.rows, page.count("totalResults")) for page in self.served]
        return len({rows for rows, _ in counts}) > 1 and all(rows == total for rows, total in counts)

    @property
    def contacts(self) -> list[tuple[str, str]]:
        """``createdAt`` and id of the contacts seen, in the list's order."""
        found: dict[int, tuple[str, str]] = {}
        for page in self.served:
            for number, (created, identifier) in enumerate(zip(page.created, page.ids, strict=False)):
                found.setdefault(page.skip * self.moves + number, (created, str(identifier)))
        return [found[place] for place in sorted(found)]

    def _size(self, page: PageLook) -> int:
        """Return how long a full page of this request is: by its echo, or by the longest page that was asked for so."""
        longest = max(each.rows for each in self.served if each.limit == page.limit)
        if page.limit is not None and page.limit <= max(each.rows for each in self.served if each.limit is not None):
            return page.limit  # a larger one was served
        echo = page.count("limit") or 0
        return max(longest, echo) if page.limit is None or echo <= page.limit else longest


@dataclass(frozen=True, slots=True)
class Told:
    """What one question found: words, and settings of the simulator that say the same."""

    seen: str
    settings: Mapping[str, object]


def told(seen: str, **settings: object) -> Told:
    """Return what was found."""
    return Told(seen, settings)
