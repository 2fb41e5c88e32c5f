"""What is kept of the answers of an exploration, and what several facts stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple, Self

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


class Told(NamedTuple):
    """What one question found: words, and settings of the simulator that say the same."""

    seen: str
    settings: Mapping[str, object]


def told(seen: str, **settings: object) -> Told:
    """Return what was found."""
    return Told(seen, settings)


def only(*candidates: tuple[bool, Told]) -> Told:
    """Return the one candidate that all answers agree with. Raises NotLearnedError if several do."""
    left = [found for agrees, found in candidates if agrees]
    if len(left) > 1:
        raise NotLearnedError(f"{' or '.join(found.seen for found in left)}: what was seen fits each")
    return left[0] if left else told("something for which the simulator has no setting")


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
        if reply.error is not None:
            return cls(skip=skip, limit=limit, reply=reply)
        payload = reply.payload or {}
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

    catalogue: Sequence[Mapping[str, object]] = field(default=(), repr=False)
    """Per list ``_id``, ``status``, ``source``, ``updatedAt``, ``totalRecordCount``."""
    chosen: str | None = field(default=None, repr=False)
    """The id of the list whose pages are looked at."""
    details: Mapping[str, object] | None = field(default=None, repr=False)
    """``createdAt`` and ``updatedAt`` of that list as it tells them itself."""
    pages: list[PageLook] = field(default_factory=list)
    """The first one is of the list's beginning, and was served."""
    unknown: Reply | None = None
    limit_headers: dict[str, str] = field(default_factory=dict)
    out_of_requests: bool = False

    @property
    def entry(self) -> Mapping[str, object]:
        """The catalogue's entry of the chosen list; empty if it has none."""
        return next((each for each in self.catalogue if each.get("_id") == self.chosen), {})

    @property
    def served(self) -> list[PageLook]:
        """The pages that were not refused. Raises NotLearnedError where there is none."""
        if not self.pages:
            no_list = self.chosen is None and not self.out_of_requests
            raise NotLearnedError("the application has no contact list" if no_list else NO_REQUEST)
        return [page for page in self.pages if page.served]

    @property
    def first(self) -> PageLook:
        """The first page. Raises NotLearnedError where there is none, or it is empty."""
        first = self.served[0]
        if not first.rows:
            raise NotLearnedError("the list is empty")
        return first

    @property
    def total(self) -> int | None:
        """What the first page says that there are."""
        return self.first.count("totalResults")

    @property
    def record_count(self) -> int | None:
        """What the catalogue says that there are."""
        return as_count(self.entry.get("totalRecordCount"))

    @property
    def skip_honoured(self) -> bool | None:
        """Whether the second look began where it was asked to; None if that cannot be told."""
        first = self.first
        second = next((page for page in self.pages if page.limit is None and page.skip and page.served), None)
        if second is None:
            return None
        expected = first.ids[second.skip :]
        if second.ids[:1] == first.ids[:1]:
            return False
        if expected and not second.ids:
            return None
        return True if second.ids[: len(expected)] == expected[: second.rows] else None

    def begin(self, page: PageLook) -> int:
        """Return where a page begins: where it was asked to, or at the start."""
        return page.skip if self.skip_honoured else 0

    def end(self, page: PageLook) -> int:
        """Return where it ends."""
        return self.begin(page) + page.rows

    @property
    def reach(self) -> int:
        """Where the pages with contacts end that lie furthest in the list."""
        return max(self.end(page) for page in self.served if page.rows)

    @property
    def seen_end(self) -> int | None:
        """How many contacts the list has, if a page was seen that was not full; None otherwise."""
        full = max(self.first.rows, self.first.count("limit") or 0)
        ends = [self.end(page) for page in self.served if page.limit is None and page.rows < full]
        return self.reach if self.reach in ends else None

    @property
    def length(self) -> int | None:
        """How many contacts the list has, if its end was seen, or else total and catalogue agree; None otherwise."""
        total = self.total or 0
        beyond = [self.begin(page) for page in self.served if not page.rows]
        agreed = total == self.record_count and self.reach <= total <= min(beyond, default=total)
        return self.seen_end or (total if agreed else None)

    @property
    def at_least(self) -> int:
        """How many contacts the list has at the least."""
        return self.length or self.reach

    @property
    def contacts(self) -> list[tuple[str, str]]:
        """``createdAt`` and id of the contacts seen, in the list's order."""
        found: dict[int, tuple[str, str]] = {}
        for page in self.served:
            for place, (created, identifier) in enumerate(zip(page.created, page.ids, strict=False), self.begin(page)):
                found.setdefault(place, (created, str(identifier)))
        return [found[place] for place in sorted(found)]
