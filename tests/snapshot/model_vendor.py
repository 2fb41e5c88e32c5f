"""A model of the vendor in memory: one contact list that changes when a script says so, and forgets nothing.

It reads the vendor's contract a third time, for the core's tests: no sockets, no time of its own, and a history of
every state the list ever had, so that a test can tell a landing that is exact from one that only looks so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_kore.api.transport import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_kore.api.transport import HttpRequest
    from airflow_provider_kore.clock import Clock

LIST_ID = "cl-1"
PRIVATE = "NobodysBusiness"
"""Every value of a contact holds this, so that a log or an error that shows one is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How one environment fills the vendor's silence. The defaults are the documented form."""

    total: Literal["list", "page", "missing", "first_page", "later", "string"] = "list"
    has_more: Literal["right", "missing", "always_true", "always_false"] = "right"
    echo: bool = True
    most: int = 1000
    """The largest limit it honours; a larger one is clamped."""
    limit: Literal["honour", "refuse", "refuse_more"] = "honour"
    """``refuse``: a request that names any limit is refused; ``refuse_more``: one above ``most``."""
    default_limit: int = 4
    updated_at: Literal["moves", "stays", "missing", "refused"] = "moves"
    """``stays``: it is told, and is that of the beginning for ever."""
    created_at: bool = True
    newest_first: bool = False
    nested: bool = True

    @property
    def proves_growth(self) -> bool:
        """Whether appends at the end can be proven to be just that."""
        return (
            self.total in {"list", "string"}
            and self.updated_at == "moves"
            and self.created_at
            and not self.newest_first
        )

    @property
    def tells_changes(self) -> bool:
        """Whether a change of the list is told at all."""
        return self.updated_at == "moves"


DOCUMENTED = Quirks()


@dataclass(slots=True)
class Contact:
    """One contact; its text is rendered when it changes."""

    number: int
    created: str
    updated: str
    edits: int = 0
    text: str = ""

    @property
    def id(self) -> str:
        return f"cc-{self.number:06d}"

    def render(self, *, created_at: bool) -> str:
        value: dict[str, Any] = {"_id": self.id}
        if created_at:
            value |= {"createdAt": self.created, "updatedAt": self.updated}
        value |= {"phoneNumber": f"+49{PRIVATE}{self.number:06d}", "firstName": f"{PRIVATE} {self.edits}"}
        self.text = json.dumps(value)
        return self.text


@dataclass(slots=True)
class Vendor:
    """One list. ``events`` happen before the request of their number (1 is the first) arrives."""

    clock: Clock
    contacts: int
    quirks: Quirks = DOCUMENTED
    events: Mapping[int, Sequence[Callable[[Vendor], None]]] = field(default_factory=dict)
    requests: int = 0
    asked: list[int] = field(default_factory=list)
    """The ``skip`` of every page that was asked for."""
    history: list[tuple[str, ...]] = field(default_factory=list)
    """The ids of the list, in order, in every state it ever had."""
    updated_ms: int = 0
    _held: list[Contact] = field(default_factory=list)
    _next: int = 0
    _first_ms: int = 0

    def __post_init__(self) -> None:
        self.updated_ms = int(self.clock.time() * 1000) - 86_400_000
        for _ in range(self.contacts):
            self._touch()
            self._add()
        self._note()

    # --- events ---

    def append(self, number: int = 1) -> None:
        """Contacts that are created now, behind all others."""
        self._touch()
        for _ in range(number):
            self._add()
        self._note()

    def remove(self, index: int) -> None:
        """Take one contact out."""
        if self._held:
            self._touch()
            self._held.pop(index % len(self._held))
            self._note()

    def edit(self, index: int) -> None:
        """Change a contact where it is."""
        if self._held:
            self._touch()
            contact = self._held[index % len(self._held)]
            contact.edits += 1
            contact.updated = instant(self.updated_ms)
            contact.render(created_at=self.quirks.created_at)
            self._note()

    def exchange(self, index: int) -> None:
        """Take one out and add one, in one step: the total stays."""
        if self._held:
            self._touch()
            self._held.pop(index % len(self._held))
            self._add()
            self._note()

    def insert(self, index: int) -> None:
        """Add one that is created now among the others: an order that no page of the vendor promises or excludes."""
        self._touch()
        self._add()
        self._held.insert(index % len(self._held), self._held.pop())
        self._note()

    def swap(self, index: int) -> None:
        """Put a contact that is created now into the place of another: the vendor's lists are said not to do that."""
        if self._held:
            self._touch()
            self._add()
            self._held[index % (len(self._held) - 1)] = self._held.pop()
            self._note()

    def reimport(self) -> None:
        """Empty the list, and add as many contacts."""
        self._touch()
        number = len(self._held)
        self._held.clear()
        for _ in range(number):
            self._add()
        self._note()

    @property
    def ids(self) -> tuple[str, ...]:
        """The list as it is now."""
        return self.history[-1]

    def _touch(self) -> None:
        self.updated_ms = max(int(self.clock.time() * 1000), self.updated_ms + 1)
        self._first_ms = self._first_ms or self.updated_ms

    def _add(self) -> None:
        now = instant(self.updated_ms)
        contact = Contact(self._next, now, now)
        contact.render(created_at=self.quirks.created_at)
        self._held.append(contact)
        self._next += 1

    def _note(self) -> None:
        ids = tuple(contact.id for contact in self._held)
        self.history.append(ids[::-1] if self.quirks.newest_first else ids)

    # --- answers ---

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer one request, after what happens before it."""
        assert request.headers["auth"].count(".") == 2
        assert request.headers["iid"]
        assert request.headers["accountId"]
        assert request.method == "GET"
        self.requests += 1
        for event in self.events.get(self.requests, ()):
            event(self)
        path = request.path.partition("/campaign/contactList/")[2]
        if path == LIST_ID:
            return self._details()
        if path == f"{LIST_ID}/getAllContacts":
            return self._page(request.query)
        return _refusal(404, "Not found")

    def _details(self) -> HttpResponse:
        if self.quirks.updated_at == "refused":
            return _refusal(405, "Method Not Allowed")
        data: dict[str, object] = {"_id": LIST_ID, "name": "A list", "totalRecordCount": 0}
        if self.quirks.updated_at in {"moves", "stays"}:
            data["updatedAt"] = instant(self.updated_ms if self.quirks.updated_at == "moves" else self._first_ms)
        return _json(json.dumps({"status": "success", "data": data}))

    def _page(self, query: Mapping[str, str]) -> HttpResponse:
        quirks, skip = self.quirks, int(query["skip"])
        if "limit" in query and quirks.limit == "refuse":
            return _refusal(400, "Validation errors/ Invalid arguments")
        if quirks.limit == "refuse_more" and int(query.get("limit", 0)) > quirks.most:
            return _refusal(412, "Validation errors/ Invalid arguments")
        self.asked.append(skip)
        limit = min(int(query.get("limit", quirks.default_limit)), quirks.most)
        held = self._held[::-1] if quirks.newest_first else self._held
        page = held[skip : skip + limit]
        more = skip + limit < len(held)
        facts: dict[str, object] = {"skip": skip, "limit": limit} if quirks.echo else {}
        if quirks.has_more != "missing":
            facts["hasMore"] = {"right": more, "always_true": True, "always_false": False}[quirks.has_more]
        if quirks.total in {"list", "page", "string"} or (quirks.total == "first_page") == (skip == 0):
            facts["totalResults"] = len(page) if quirks.total == "page" else len(held)
            if quirks.total == "string":
                facts["totalResults"] = str(len(held))
        if quirks.total == "missing":
            facts.pop("totalResults", None)
        results = f'"results": [{", ".join(contact.text for contact in page)}]'
        said = json.dumps(facts)[1:-1]
        said = f", {said}" if said else ""
        if quirks.nested:
            return _json(f'{{"status": "success", "data": {{{results}{said}}}}}')
        return _json(f'{{"status": "success", "data": {{{results}}}{said}}}')


def append(number: int = 1) -> Callable[[Vendor], None]:
    """See :meth:`Vendor.append`."""
    return lambda vendor: vendor.append(number)


def remove(index: int) -> Callable[[Vendor], None]:
    """See :meth:`Vendor.remove`."""
    return lambda vendor: vendor.remove(index)


def edit(index: int) -> Callable[[Vendor], None]:
    """See :meth:`Vendor.edit`."""
    return lambda vendor: vendor.edit(index)


def exchange(index: int) -> Callable[[Vendor], None]:
    """See :meth:`Vendor.exchange`."""
    return lambda vendor: vendor.exchange(index)


def insert(index: int) -> Callable[[Vendor], None]:
    """See :meth:`Vendor.insert`."""
    return lambda vendor: vendor.insert(index)


def instant(milliseconds: int) -> str:
    """An instant as the vendor writes it."""
    text = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _json(text: str) -> HttpResponse:
    return HttpResponse(status=200, headers={}, body=text.encode())


def _refusal(status: int, message: str) -> HttpResponse:
    body = json.dumps({"errors": [{"msg": message, "code": status}]})
    return HttpResponse(status=status, headers={}, body=body.encode())
