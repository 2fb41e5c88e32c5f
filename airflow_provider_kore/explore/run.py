"""What the vendor leaves open, asked of a real environment with a handful of read requests.

:func:`explore` asks, :mod:`~airflow_provider_kore.explore.facts` reads the answers, and
:mod:`~airflow_provider_kore.explore.report` prints them. What is kept of an answer is in :class:`PageLook` and
:class:`Seen`: no name, no phone number, and ids only as long as two pages have to be compared.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore import json_text
from airflow_provider_kore.api import endpoints
from airflow_provider_kore.api.answers import as_count, catalogue_of, parse_object
from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.retry import NO_RETRIES
from airflow_provider_kore.clock import Clock, SystemClock
from airflow_provider_kore.exceptions import (
    CredentialsError,
    KoreError,
    MalformedResponseError,
    NotFoundError,
    ParameterError,
    RateLimitedError,
    ScopeError,
    UnreachableError,
)
from airflow_provider_kore.explore.facts import facts_of
from airflow_provider_kore.explore.seen import LARGEST, LIMITS, PageLook, Reply, Seen

if TYPE_CHECKING:
    from airflow_provider_kore.api.allowance import Allowance
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.api.endpoints import Endpoint
    from airflow_provider_kore.api.transport import HttpRequest, HttpResponse, Transport
    from airflow_provider_kore.explore.facts import Fact

MOST_REQUESTS: Final = 12
"""Requests of one exploration at the most: a fifth of a minute's allowance."""

UNKNOWN_LIST: Final = "cl-00000000-0000-4000-8000-000000000000"
"""An id of the documented form that no list has."""

_NOT_AN_ANSWER: Final = (RateLimitedError, MalformedResponseError, UnreachableError)
_NOT_ABOUT_THE_REQUEST: Final = (*_NOT_AN_ANSWER, CredentialsError, ScopeError, NotFoundError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was learned. Holds no contact data, no id and no secret."""

    facts: tuple[Fact, ...]
    requests: int
    api_version: str
    place: int | None
    """Which list of the catalogue was looked at, from 1; None: one it doesn't have."""
    lists: int

    @property
    def settings(self) -> dict[str, object]:
        """Settings of the simulator that make it behave as what was seen."""
        return {name: value for fact in self.facts for name, value in fact.settings.items()}


class _OutOfRequestsError(Exception):
    """The next request would be one too many."""


class CountingTransport:
    """Sends no more requests than it may, and remembers the last answer and its seconds."""

    def __init__(self, transport: Transport, clock: Clock, most: int) -> None:
        self._transport = transport
        self._clock = clock
        self.most = most
        self.requests = 0
        self.last: HttpResponse | None = None
        self.seconds = 0.0

    def send(self, request: HttpRequest) -> HttpResponse:
        """See :meth:`~airflow_provider_kore.api.transport.Transport.send`."""
        if self.requests >= self.most:
            raise _OutOfRequestsError
        self.requests += 1
        self.last = None
        started = self._clock.monotonic()
        self.last = self._transport.send(request)
        self.seconds = self._clock.monotonic() - started
        return self.last

    def close(self) -> None:
        """See :meth:`~airflow_provider_kore.api.transport.Transport.close`."""
        self._transport.close()


def explore(
    config: ApiConfig,
    *,
    contact_list_id: str | None = None,
    most_requests: int = MOST_REQUESTS,
    clock: Clock | None = None,
    transport: Transport | None = None,
    allowance: Allowance | None = None,
) -> Findings:
    """Ask an environment what the vendor's pages leave open.

    :param contact_list_id: whose pages to look at; None: a list of the catalogue that promises most.
    :param most_requests: from 1 to 12, whatever is sent again included; the connection's limits are obeyed.
    :param transport: how to reach the server; None: requests.
    :param allowance: of the connection's account; None: its limits, alone.

    Raises KoreError if the connection does not work, or stops working: a refused token, a spent allowance, an answer
    that is none.
    """
    from airflow_provider_kore.api.transport import RequestsTransport

    clock = clock or SystemClock()
    counting = CountingTransport(transport or RequestsTransport(config, clock), clock, most_requests)
    with CampaignClient(config, clock=clock, transport=counting, retry=NO_RETRIES, allowance=allowance) as client:
        explorer = _Explorer(client, counting)
        explorer.run(contact_list_id)
    seen = explorer.seen
    ids = [each.get("_id") for each in seen.catalogue]
    return Findings(
        facts=facts_of(seen),
        requests=counting.requests,
        api_version=config.api_version,
        place=ids.index(seen.chosen) + 1 if seen.chosen in ids else None,
        lists=len(ids),
    )


class _Explorer:
    """Asks one question after the other, each in the light of the answers so far."""

    def __init__(self, client: CampaignClient, counting: CountingTransport) -> None:
        self._client = client
        self._counting = counting
        self.seen = Seen()

    def run(self, contact_list_id: str | None) -> None:
        """Ask until all is known or the requests are used up. Raises KoreError."""
        try:
            self._look_at_catalogue()
            self._choose(contact_list_id)
            ends: list[int] = []
            if self.seen.pages and self.seen.pages[0].rows:
                # the middle of the first page tells whether the offset counts contacts
                for skip, limit in ((max(1, self.seen.first.rows // 2), None), (0, LARGEST), (0, 1)):
                    self._look(skip, limit)
                ends = self._claimed_ends()
            self._look_at_ends(ends[:1])
            if self.seen.chosen is not None:
                self._look_at_list()
            what = "a contact list that does not exist"
            self.seen.unknown = self._ask(endpoints.CONTACT_LIST, UNKNOWN_LIST, what=what)
            self._search_limit()
            self._look_at_ends(ends[1:])
        except _OutOfRequestsError:
            self.seen.out_of_requests = True

    def _ask(self, endpoint: Endpoint, identifier: str | None = None, *, what: str, **more: Any) -> Reply:
        """Send one request. Raises KoreError where there is no answer that tells anything."""
        counting, error = self._counting, None
        try:
            payload = self._client.send(endpoint, identifier, what=what, parse=parse_object, **more)
        except KoreError as err:
            if counting.last is None or isinstance(err, _NOT_AN_ANSWER):
                raise
            error, payload = err, _object(counting.last.body)
        response = counting.last
        assert response is not None  # noqa: S101 - a success, or a refusal that was read
        for name, value in response.headers.items():
            if any(word in name.lower().replace("-", "") for word in ("ratelimit", "retryafter", "quota")):
                self.seen.limit_headers[name] = value
        return Reply(status=response.status, seconds=counting.seconds, payload=payload, error=error)

    def _look_at_catalogue(self) -> None:
        reply = self._ask(endpoints.CONTACT_LISTS, what="the catalogue of contact lists", body=b"{}")
        if reply.error is not None:
            raise reply.error
        items = catalogue_of(reply.payload or {})
        kept = ("_id", "status", "source", "updatedAt", "totalRecordCount")
        self.seen.catalogue = [{name: item[name] for name in kept if name in item} for item in items]

    def _choose(self, contact_list_id: str | None) -> None:
        """Look at the first page of the list that was named, or of one or two that promise more pages than one."""
        known = [entry for entry in self.seen.catalogue if _is_id(entry.get("_id"))]
        promising = [str(entry["_id"]) for entry in sorted(known, key=_promise)[:2]]
        looks: list[tuple[str, PageLook]] = []
        for chosen in promising if contact_list_id is None else [contact_list_id]:
            self.seen.pages, self.seen.chosen = [], chosen
            looks.append((chosen, self._look(0, None)))
            if looks[-1][1].promises_more:
                return
        if looks:
            self.seen.chosen, first = max(looks, key=lambda look: look[1].rows)
            self.seen.pages = [first]

    def _look(self, skip: int, limit: int | None) -> PageLook:
        query = {"skip": str(skip)} | ({} if limit is None else {"limit": str(limit)})
        what = "a page of contacts" + ("" if limit is None else f" with limit={limit}")
        reply = self._ask(endpoints.CONTACTS, self.seen.chosen, what=what, query=query)
        if reply.error is not None and (not self.seen.pages or isinstance(reply.error, _NOT_ABOUT_THE_REQUEST)):
            raise reply.error
        page = PageLook.of(skip, limit, reply)
        self.seen.pages.append(page)
        return page

    def _claimed_ends(self) -> list[int]:
        """Return where the list ends by its total and by the catalogue, or else after the next contact."""
        seen = self.seen
        claims = [claim for claim in (seen.total, seen.record_count) if claim and claim >= seen.reach]
        return list(dict.fromkeys(claims or [seen.reach + 1]))

    def _look_at_ends(self, ends: list[int]) -> None:
        """Look at both sides of where the list is said to end, if its end was not seen."""
        seen = self.seen
        for end in ends:
            if seen.seen_end is None and seen.skip_honoured:
                self._look(max(0, end - max(1, seen.first.rows // 2)), None)

    def _look_at_list(self) -> None:
        """Read the list's own ``updatedAt``, and the catalogue again if that differs: it may just have moved."""
        reply = self._ask(endpoints.CONTACT_LIST, self.seen.chosen, what="the contact list")
        if isinstance(reply.error, (CredentialsError, ScopeError)):
            raise reply.error
        data = reply.payload.get("data") if reply.error is None and reply.payload else None
        if isinstance(data, list) and len(data) == 1:
            data = data[0]
        if not isinstance(data, Mapping):
            return
        self.seen.details = {name: data.get(name) for name in ("createdAt", "updatedAt")}
        if self.seen.entry.get("updatedAt") not in (None, data.get("updatedAt"), data.get("createdAt")):
            self._look_at_catalogue()

    def _search_limit(self) -> None:
        """Find the largest limit that is served, by halves, where a larger one is refused and a small one is not."""
        asked = {page.limit: page.served for page in self.seen.pages if page.limit is not None}
        if asked.get(LARGEST, True) or not asked.get(1, False):
            return
        bisect_left(LIMITS, True, key=lambda limit: not self._look(0, limit).served)


def _promise(entry: Mapping[str, object]) -> tuple[bool, bool, int]:
    """Sort those first that have more contacts than the largest page, the shorter ones before the longer."""
    contacts = as_count(entry.get("totalRecordCount")) or 0
    return (entry.get("status") != "Ready", contacts <= LARGEST, contacts if contacts > LARGEST else -contacts)


def _is_id(value: object) -> bool:
    try:
        endpoints.check_id("contact_list_id", value)
    except ParameterError:
        return False
    return True


def _object(body: bytes) -> Mapping[str, object] | None:
    try:
        payload = json_text.parse(json_text.decode(body))
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, Mapping) else None
