"""A model of a paged server without HTTP, in all the variants that the vendor's pages leave open."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.api import endpoints
from airflow_provider_kore.api.answers import page_answer, parse_page
from airflow_provider_kore.walk.pagination import OffsetPagination

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.walk.page import PageAnswer, PageRequest


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How a server pages, for good."""

    max_limit: int = 5
    default_limit: int = 5
    too_large: str = "clamp"  # clamp, lie (clamp, but echo what was asked), refuse, ignore
    changed_limit: int = 0
    changed_from: int = 0
    skip: str = "honour"  # honour, ignore, ignore_unseen (echoes what was asked), pages (counts pages), round (up)
    echo: str = "right"  # right, missing, wrong
    total: str = "list"  # list, page, missing, wrong, string, capped, null
    total_error: int = 0
    total_cap: int = 7
    has_more: str = "right"  # right, missing, always, never, string, full_page
    nested: bool = True
    hole: int | None = None
    """From this offset on (and up to the next page) pages are empty, however often they are asked for."""


@dataclass(frozen=True, kw_only=True)
class Glitch:
    """What goes wrong with one answer."""

    kind: str  # empty, empty_all (total and hasMore say so too), short, repeat, double, echo, first, more, done, total
    amount: int = 1


@dataclass
class PagedServer:
    """Answers page requests, and counts them."""

    ids: list[str]
    habits: Habits = field(default_factory=Habits)
    glitches: Mapping[int, Glitch] = field(default_factory=dict)
    """By the number of the request, from 0."""
    changes: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    """Just before the request of this number: append, insert, remove (at), swap (at)."""
    requests: list[PageRequest] = field(default_factory=list)
    states: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.states.append(list(self.ids))

    def answer(self, request: PageRequest) -> PageAnswer | None:
        """Return the answer as the client reads it from JSON; None: refused."""
        number = len(self.requests)
        self.requests.append(request)
        if number in self.changes:
            self._change(*self.changes[number])
        habits = self.habits
        limit = self._limit(request)
        if limit is None:
            return None
        skip = request.skip
        if habits.skip.startswith("ignore"):
            skip = 0
        elif habits.skip == "pages":
            skip = request.skip * limit
        elif habits.skip == "round":
            skip = -(-request.skip // limit) * limit
        if habits.changed_limit and skip >= habits.changed_from:
            limit = min(limit, habits.changed_limit)
        items = self.ids[skip : skip + limit]
        if habits.hole is not None and skip == habits.hole:
            items = []
        facts = self._facts(request, skip, limit, items)
        items, facts = self._glitch(self.glitches.get(number), request, limit, items, facts)
        return self._printed(items, {key: value for key, value in facts.items() if value is not ...})

    def _limit(self, request: PageRequest) -> int | None:
        habits = self.habits
        if request.limit is None or habits.too_large == "ignore":
            return habits.default_limit
        if request.limit <= habits.max_limit:
            return request.limit
        return None if habits.too_large == "refuse" else habits.max_limit

    def _facts(self, request: PageRequest, skip: int, limit: int, items: list[str]) -> dict[str, Any]:
        habits, n = self.habits, len(self.ids)
        more = skip + limit < n
        echoed = request.skip if habits.skip in {"ignore_unseen", "pages"} else skip
        lied = request.limit if habits.too_large == "lie" and request.limit else limit
        return {
            "skip": {"right": echoed, "missing": ..., "wrong": echoed + 1}[habits.echo],
            "limit": ... if habits.echo == "missing" else lied,
            "hasMore": {
                "right": more,
                "missing": ...,
                "always": True,
                "never": False,
                "string": str(more).lower(),
                "full_page": len(items) == limit,
            }[habits.has_more],
            "totalResults": {
                "list": n,
                "page": len(items),
                "missing": ...,
                "null": None,
                "wrong": max(0, n + habits.total_error),
                "string": str(n),
                "capped": min(n, habits.total_cap),
            }[habits.total],
        }

    def _glitch(
        self, glitch: Glitch | None, request: PageRequest, limit: int, items: list[str], facts: dict[str, Any]
    ) -> tuple[list[str], dict[str, Any]]:
        match glitch.kind if glitch else "":
            case "empty":
                items = []
            case "short":
                items = items[: -glitch.amount] if glitch and glitch.amount else items
            case "repeat":
                items = self.ids[max(0, request.skip - limit) : request.skip] or items
            case "double":
                items = [*items[:-1], items[0]] if items else items
            case "first":
                items = self.ids[:limit]
            case "echo" if facts["skip"] is not ...:
                facts = {**facts, "skip": facts["skip"] + 1}
            case "more":
                facts = {**facts, "hasMore": True}
            case "done":
                facts = {**facts, "hasMore": False}
            case "total" if isinstance(facts["totalResults"], int):
                facts = {**facts, "totalResults": facts["totalResults"] + (glitch.amount if glitch else 0)}
        return items, facts

    def _printed(self, items: list[str], facts: dict[str, Any]) -> PageAnswer:
        results = [{"_id": identifier, "phoneNumber": "1"} for identifier in items]
        body: dict[str, Any] = {"status": "success", "data": {"results": results}}
        (body["data"] if self.habits.nested else body).update(facts)
        return page_answer(parse_page(json.dumps(body).encode()), endpoints.CONTACTS, "a page")

    def _change(self, kind: str, at: int) -> None:
        fresh = f"new-{len(self.states)}"
        match kind:
            case "append":
                self.ids.append(fresh)
            case "insert":
                self.ids.insert(0, fresh)
            case "remove" if self.ids:
                del self.ids[at % len(self.ids)]
            case "swap" if self.ids:
                del self.ids[at % len(self.ids)]
                self.ids.append(fresh)
        self.states.append(list(self.ids))

    def walk(self, pagination: OffsetPagination | None = None, *, at_most: int = 10_000) -> list[str]:
        """Walk it as the client does. Raises what the pagination raises, RuntimeError for a refused request.

        :param at_most: requests; one more is an endless walk.
        """
        pagination = pagination or OffsetPagination()
        found: list[str] = []
        while (request := pagination.next) is not None:
            assert len(self.requests) < at_most, "endless"
            answer = self.answer(request)
            if answer is None:
                if not pagination.refuse_limit():
                    raise RuntimeError("refused")
                continue
            page = pagination.accept(answer)
            if page is not None:
                assert page.end - page.offset >= len(page.records)
                found += [record.id for record in page.records]
        return found


def names(n: int) -> list[str]:
    """Return so many ids."""
    return [f"cc-{number}" for number in range(n)]


__all__ = ["Glitch", "Habits", "PagedServer", "names", "replace"]
