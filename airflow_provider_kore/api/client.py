"""The client: limit, sign, send, map errors, retry; and read ahead where that hides latency."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from airflow_provider_kore import json_text
from airflow_provider_kore.api import calls, endpoints, refusals
from airflow_provider_kore.api.allowance import Allowance
from airflow_provider_kore.api.answers import memory_of, parse_object
from airflow_provider_kore.api.auth import TokenSource
from airflow_provider_kore.api.campaigns import CampaignQuery
from airflow_provider_kore.api.refusals import WebPageError
from airflow_provider_kore.api.retry import NO_RETRIES, RetryPolicy
from airflow_provider_kore.api.transport import (
    LARGEST_BODY,
    HttpRequest,
    HttpResponse,
    RequestsTransport,
    Transport,
)
from airflow_provider_kore.clock import Clock, SystemClock
from airflow_provider_kore.exceptions import (
    ContractError,
    CredentialsError,
    DriftError,
    KoreError,
    MalformedResponseError,
    NotFoundError,
    PausedError,
    RateLimitedError,
    RequestRefusedError,
    RetryableError,
    ServerError,
)
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.walk.cost import Spent
from airflow_provider_kore.walk.page import PageRequest, check_page_size
from airflow_provider_kore.walk.prefetch import Prefetcher

if TYPE_CHECKING:
    from types import TracebackType

    from airflow_provider_kore.api.calls import Ask, PagedCall
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.api.endpoints import Endpoint
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.walk.page import Page, PageAnswer
    from airflow_provider_kore.walk.pagination import OffsetPagination

log = logging.getLogger(__name__)

_NEWEST: Final = 10
"""Campaigns that are looked at to find the newest: enough to see whether they are sorted."""

_LOOKED_THROUGH: Final = 100
"""Campaigns among which one is looked for: a page."""

LONG_WAIT: Final = 5.0
"""Seconds from which on a wait is worth a line in the log."""

TELL_EVERY: Final = 25.0
"""Seconds between two lines of a wait, so that with what comes in between there is one every 30 s."""

MOST_IN_FLIGHT: Final = 32
"""Requests under way at the same time at the most: what hides 50 ms of latency twice over."""


MEMORY: Final = 32 * 1024 * 1024
"""Bytes that pages which are read ahead may take, parsed."""

_SMALLEST_LIMIT: Final = 64 * 1024

ASK_AGAIN: Final = 2
"""How often an answer that breaks the contract is asked for again before that is an error."""

WORTH_READING_AHEAD: Final = 0.005
"""Seconds of latency from which on pages are read ahead: below that, threads cost more than they hide."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A request as its retries share it."""

    method: str
    url: str
    query: Mapping[str, str]
    body: bytes | None
    what: str
    parse: Callable[[bytes], Mapping[str, object]]


class _Way(NamedTuple):
    """One of the ways to ask that the vendor's pages leave open."""

    account: bool
    """Whether ``accountId`` is in the query."""
    wording: int
    """Which of :attr:`PagedCall.wordings`."""


def _as_it_is(payload: Mapping[str, object]) -> Mapping[str, object]:
    return payload


class CampaignClient:
    """Reads the Campaign API of one application.

    :param transport: how to reach the server; None: requests.
    :param on_token: called with every token that is minted (a secrets masker wants to know).
    :param allowance: one that several clients of the same account share; None: the connection's limits, alone.
    :param in_flight: pages that may be asked for at the same time; there are never more than help, and than the
        allowance has room for.
    :param pause_after: seconds; instead of waiting longer, raise PausedError. None: wait.
    """

    def __init__(
        self,
        config: ApiConfig,
        *,
        clock: Clock | None = None,
        transport: Transport | None = None,
        retry: RetryPolicy | None = None,
        on_token: Callable[[str], None] | None = None,
        allowance: Allowance | None = None,
        in_flight: int = 1,
        pause_after: float | None = None,
    ) -> None:
        self.config = config
        self._totals: dict[str, float] = asdict(Spent())
        self._clock = clock or SystemClock()
        self._transport = transport or RequestsTransport(config, self._clock, connections=in_flight)
        self._retry = retry or RetryPolicy()
        self._refusal: RateLimitedError | None = None
        """What the last answer was, if it was a refusal for the rate."""
        self._largest = 0
        """Bytes of the largest body so far."""
        self._costliest = 0
        """Bytes that the page in one took at the most."""
        self._tokens = TokenSource(config, self._clock, on_token)
        self._accepted = False
        self._worked: dict[str, _Way] = {}
        """How each endpoint was asked when it answered, by the endpoint's name."""
        self._known: set[tuple[str, str]] = set()
        """Calls and ids that the server has told something about."""
        self._lock = threading.Lock()
        self._latency = float("inf")
        """Seconds of the fastest answer."""
        self._in_flight = in_flight
        self._pause_after = pause_after
        self.allowance = allowance or Allowance.per_minute_and_hour(
            config.requests_per_minute,
            config.requests_per_hour,
            self._clock,
            reserve=config.reserve,
            even=config.even_pacing,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connections."""
        self._transport.close()

    @property
    def spent(self) -> Spent:
        """Since the client was made."""
        with self._lock:
            return Spent(**self._totals)  # type: ignore[arg-type]  # all of them but the seconds are counts

    def iter_pages(
        self,
        call: PagedCall,
        pagination: OffsetPagination | None = None,
        *,
        stop: Stop | None = None,
    ) -> Iterator[Page]:
        """Yield the pages of a list in order, each once, until its end is proven.

        :param pagination: where to begin and what to tolerate; it holds the evidence afterwards.
        :param stop: looked at before each page; StoppedError is raised after the pages that were asked for already.

        Raises PaginationError, DriftError, and whatever :meth:`send` raises.
        """
        pagination = pagination or call.pagination(page_size=self.config.page_size)
        with Prefetcher[PageRequest, Mapping[str, object]](self._most_in_flight, self._clock) as ahead:
            while (request := pagination.next) is not None:
                ahead.end(stop.reason() if stop else None)
                if ahead.ending is not None and request not in ahead:
                    raise ahead.ending
                try:
                    answer = self._next_page(call, request, ahead)
                except WebPageError:  # it says nothing about the limit
                    raise
                except (RequestRefusedError, ServerError) as err:
                    # A sibling endpoint fails outside its limits; a server that has served such a page has other
                    # trouble.
                    unproven = isinstance(err, RequestRefusedError) or not pagination.progress.offset
                    if not unproven or not pagination.refuse_limit():
                        raise
                    log.info("The server refuses a page at limit=%s; asking without a limit.", request.limit)
                    ahead.keep(())
                    continue
                page = pagination.accept(answer)
                self._read_ahead(call, pagination, ahead)
                if page is not None and page.records:
                    self._spend(pages=1, rows=len(page.records))
                    yield page

    def _next_page(
        self, call: PagedCall, request: PageRequest, ahead: Prefetcher[PageRequest, Mapping[str, object]]
    ) -> PageAnswer:
        known = self._known_way(call.endpoint)
        ask = call.ask(request, known.wording)
        if request not in ahead:
            return self.get_page(call, request)
        answer: PageAnswer = self._send(
            self._paged(call, ask, known),
            self._retry,
            partial(ahead.take, request),
            lambda payload: call.read(payload, ask),
        )
        return answer

    def _read_ahead(
        self, call: PagedCall, pagination: OffsetPagination, ahead: Prefetcher[PageRequest, Mapping[str, object]]
    ) -> None:
        """Ask for the pages that are going to be next, as far as help and the allowance go."""
        worth_it = self._in_flight > 1 and self._latency >= WORTH_READING_AHEAD
        # What is under way is kept also when the server turns out to be so fast that no more is worth it.
        depth = min(ahead.depth, MEMORY // max(1, self._costliest))
        planned = pagination.planned(depth) if depth and (worth_it or len(ahead)) else []
        ahead.keep(planned)
        for request in planned if worth_it and ahead.ending is None else ():
            if request in ahead:
                continue
            if self.allowance.book() > 0:
                return
            known = self._known_way(call.endpoint)
            ask = call.ask(request, known.wording)
            ahead.start(request, self._prepare(self._paged(call, ask, known), self._most_ahead))

    @property
    def _most_in_flight(self) -> int:
        burst = self.allowance.limit
        # Where a limit sets the pace, a few at a time are as fast in the end, and meet fewer refusals when it is spent.
        return self._in_flight if burst is None else max(1, min(self._in_flight, burst // 15))

    @property
    def _most_ahead(self) -> int:
        """Bytes that the body of a page which is read ahead may have; a longer one is asked for again in its turn."""
        return min(LARGEST_BODY, max(_SMALLEST_LIMIT, 2 * self._largest))

    def iter_contact_pages(self, contact_list_id: str, *, page_size: int | None = None) -> Iterator[Page]:
        """Yield the pages of a contact list in order, and prove at the end that it held still meanwhile.

        Its ``updatedAt`` is read before and after: a contact that is removed while another is added shifts the others
        without any page looking wrong.

        :param page_size: contacts to ask for in a page; None: as the connection says.

        Raises DriftError, PaginationError, ParameterError, and whatever :meth:`send` raises.
        """
        call = calls.contacts_of(contact_list_id)
        pagination = call.pagination(page_size=check_page_size(page_size) or self.config.page_size)
        before = self.get_contact_list(contact_list_id).get("updatedAt")
        yield from self.iter_pages(call, pagination)
        after = self.get_contact_list(contact_list_id).get("updatedAt")
        if before != after:
            raise DriftError(
                f"The list changed while it was read: its updatedAt went from {_told(before)} to {_told(after)}."
            )

    def get_page(self, call: PagedCall, request: PageRequest) -> PageAnswer:
        """Fetch one page, as the server gave it."""

        def attempt(way: _Way) -> Any:
            ask = call.ask(request, way.wording)
            paged = self._paged(call, ask, way)
            return self._send(paged, self._retry, read=lambda payload: call.read(payload, ask))

        answer: PageAnswer = self._any_way(call.endpoint, len(call.wordings), attempt)
        return answer

    def get_contact_list(self, contact_list_id: str) -> Mapping[str, object]:
        """Return the details of one contact list, with the vendor's field names.

        Raises NotFoundError if there is none.
        """
        return self._details(endpoints.CONTACT_LIST, contact_list_id, what=f"contact list {contact_list_id}")

    def get_campaign_status(self, campaign_id: str) -> Mapping[str, object]:
        """Return ``id``, ``name`` and ``status`` of a campaign. Raises NotFoundError if there is none."""
        return self._details(endpoints.CAMPAIGN_STATUS, campaign_id, what=f"campaign {campaign_id}")

    def get_campaign(self, campaign_id: str) -> Mapping[str, object]:
        """Return the details of a voice or SMS campaign, with the vendor's field names.

        Documented for v2 only. Raises NotFoundError if there is none.
        """
        return self._details(endpoints.CAMPAIGN, campaign_id, what=f"campaign {campaign_id}")

    def iter_campaign_pages(self, query: CampaignQuery) -> Iterator[Page]:
        """Yield the pages of an application's campaigns, the oldest first, and prove at the end that none has changed.

        Raises DriftError, PaginationError, and whatever :meth:`send` raises; ContractError if the server ignores a
        filter.
        """
        before = self.get_newest_update(query)
        for page in self.iter_pages(calls.campaigns(query)):
            check_filters(query, page)
            yield page
        after = self.get_newest_update(query)
        if before != after:
            raise DriftError(
                f"The list changed while it was read: the newest updatedAt went from {_told(before)} to {_told(after)}."
            )

    def get_newest_update(self, query: CampaignQuery) -> str | None:
        """Return the newest ``updatedAt`` of the campaigns, which any change of one moves; None if that is not told.

        It is what the first page tells when the server sorts by it; one that doesn't sort tells nothing.
        """
        answer = self._newest_campaigns(query, _NEWEST)
        told = [value.get("updatedAt") for value in answer.records.values]
        instants = [each for each in told if isinstance(each, str) and each]
        sorts = len(instants) == len(told) and instants == sorted(instants, reverse=True)
        return instants[0] if instants and sorts else None

    def _newest_campaigns(self, query: CampaignQuery, number: int) -> PageAnswer:
        """Return so many of the campaigns, those that changed last if the server sorts by that."""
        call = calls.campaigns(query, sort_by="updatedAt", order="desc")
        try:
            return self.get_page(call, PageRequest(0, number))
        except RequestRefusedError:  # for the limit, perhaps
            return self.get_page(call, PageRequest(0, None))

    def find_campaign(self, campaign_id: str) -> Mapping[str, object]:
        """Return what the API tells of the instance of a campaign, in one request or two; empty if nothing.

        A campaign that is started again, and each recurrence, is a new instance. ``campaignInstanceUpdatedAt`` is in
        the list of campaigns only, of which the voice campaigns that changed last are looked at. What that does not
        tell, the campaign's details may (v2).
        """
        answer = self._newest_campaigns(CampaignQuery.parse(), _LOOKED_THROUGH)
        fields = endpoints.CAMPAIGNS.id_fields
        found = [value for value in answer.records.values if campaign_id in [value.get(name) for name in fields]]
        told: Mapping[str, object] = found[0] if found else {}
        if told.get("campaignInstanceUpdatedAt") or self.config.api_version != "v2":
            return told
        return {**self.get_campaign(campaign_id), **told}

    def look_at_campaign(self, campaign_id: str) -> Mapping[str, object]:
        """Return ``name`` and ``status`` of a campaign, and what is told of its instance: :meth:`find_campaign`.

        One request if it is among the campaigns that changed last, else two. Raises NotFoundError if there is none.
        """
        told: Mapping[str, object] = {}
        try:
            told = self.find_campaign(campaign_id)
        except (ContractError, RequestRefusedError, NotFoundError) as err:
            log.info("Which run of campaign %s this is cannot be had: %s", campaign_id, err)
        return told if told.get("status") else {**told, **self.get_campaign_status(campaign_id)}

    def iter_campaign_contact_pages(self, campaign_id: str, *, page_size: int | None = None) -> Iterator[Page]:
        """Yield the pages of a campaign's call results, one per contact, and prove that status and instance stayed.

        What a call that is still going on changes in a page that has been read is not noticed.

        :param page_size: call results to ask for in a page, 100 at the most; None: as the connection says.

        Raises NotFoundError, DriftError, PaginationError, ParameterError, and whatever :meth:`send` raises.
        """
        call = calls.campaign_contacts(campaign_id, self.config)
        pagination = call.pagination(page_size=check_page_size(page_size) or self.config.page_size)
        before = self.look_at_campaign(campaign_id)
        yield from self.iter_pages(call, pagination)
        after = self.look_at_campaign(campaign_id)
        for what in ("status", "campaignInstanceUpdatedAt"):
            if before.get(what) != after.get(what):
                raise DriftError(
                    f"The list changed while it was read: the campaign's {what} went from {_told(before.get(what))} "
                    f"to {_told(after.get(what))}."
                )

    def _details(self, endpoint: Endpoint, identifier: str, *, what: str) -> Mapping[str, object]:
        key = (endpoint.name, identifier)

        def read(answer: Mapping[str, object]) -> Mapping[str, object]:
            data = answer.get("data")
            if "data" in answer and data in (None, {}, []):
                # What was there a moment ago is not gone because of one odd answer.
                kind = ContractError if key in self._known else NotFoundError
                raise kind(
                    f"The server has nothing to say about {what}. Check the id, and that it belongs to the "
                    "connection's stream and account."
                )
            if isinstance(data, list) and len(data) == 1:
                data = data[0]
            if not isinstance(data, Mapping) or not data:
                raise ContractError(
                    f"The answer for {what} has no 'data' object. Check the id, and the connection's api_version."
                )
            return data

        details: Mapping[str, object] = self.send(endpoint, identifier, what=what, read=read)
        self._known.add(key)
        return details

    def get_contact_lists(self) -> list[Mapping[str, object]]:
        """Return the details of all contact lists of the application, with the vendor's field names."""
        found: list[Mapping[str, object]] = self.send(
            endpoints.CONTACT_LISTS, what="the catalogue of contact lists", read=_catalogue
        )
        return found

    def check(self) -> int:
        """Make one cheap authenticated call, without retries; return the number of contact lists it saw."""
        data = self.send(endpoints.CONTACT_LISTS, what="the catalogue of contact lists", retry=NO_RETRIES).get("data")
        return len(data) if isinstance(data, list) else 0

    def send(
        self,
        endpoint: Endpoint,
        identifier: str | None = None,
        *,
        what: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        parse: Callable[[bytes], Mapping[str, object]] = parse_object,
        retry: RetryPolicy | None = None,
        read: Callable[[Mapping[str, object]], Any] = _as_it_is,
    ) -> Any:
        """Send one request, again if that may help, and return the parsed body of its success.

        :param what: names the call in messages: "contact list cl-1".
        :param read: makes of the parsed body what is returned; a ContractError that it raises is asked again about.

        Raises RetryableError when the retries are used up, FatalError at once, PausedError where that is asked for.
        """
        url = endpoints.url(self.config, endpoint, identifier)
        body = endpoint.body.get(self.config.api_version) if body is None else body

        def attempt(way: _Way) -> Any:
            asked = {**self._account(way), **endpoint.query, **(query or {})}
            call = _Call(endpoint.method, url, asked, body, what, parse)
            return self._send(call, retry or self._retry, read=read)

        return self._any_way(endpoint, 1, attempt)

    def _paged(self, call: PagedCall, ask: Ask, way: _Way) -> _Call:
        endpoint = call.endpoint
        url = endpoints.url(self.config, endpoint, call.identifier)
        query = {**self._account(way), **endpoint.query, **ask.query}
        return _Call(endpoint.method, url, query, ask.body, ask.what, call.parse)

    def _account(self, way: _Way) -> Mapping[str, str]:
        return {"accountId": self.config.account_id} if way.account else {}

    def _known_way(self, endpoint: Endpoint) -> _Way:
        """Return the way in which a server has answered, until then that of the vendor's page."""
        documented = endpoint.account_in_query[self.config.api_version]
        return self._worked.get(endpoint.name, _Way(account=documented is not False, wording=0))

    def _any_way(self, endpoint: Endpoint, wordings: int, attempt: Callable[[_Way], Any]) -> Any:
        """Ask as documented; where the documents leave a choice and that is refused, in the other ways.

        The way that worked is kept as long as the client lives. A refusal that none of them avoids is the first one.
        """
        first = self._known_way(endpoint)
        ways = [first]
        if endpoint.name not in self._worked:
            # What each page's sample has is sent; only what it lacks may be missing, or be too much.
            certain = endpoint.account_in_query[self.config.api_version] is True
            accounts = (True,) if certain else (first.account, not first.account)
            ways = [_Way(account=account, wording=wording) for account in accounts for wording in range(wordings)]
        refusal: RequestRefusedError | CredentialsError | None = None
        account_missed = False
        for way in ways:
            if account_missed and not way.account:
                continue
            try:
                payload = attempt(way)
            except WebPageError:  # it says nothing about the way
                raise
            except RequestRefusedError as err:
                refusal = refusal or err
            except CredentialsError as err:
                # A missing account may be told as a token that is not good; one that is there is no reason to ask on.
                refusal = refusal or err
                if way.account:
                    break
                account_missed = True
            else:
                self._worked[endpoint.name] = way
                return payload
        raise refusal or ContractError(f"There is no way to ask for {endpoint.name}.")

    def _send(
        self,
        call: _Call,
        retry: RetryPolicy,
        first: Callable[[], Mapping[str, object]] | None = None,
        read: Callable[[Mapping[str, object]], Any] = _as_it_is,
    ) -> Any:
        """Send a request until it succeeds; ``first`` is its first attempt, if that was made ahead."""
        failures = 0
        broken = 0
        refusal: RateLimitedError | None = None
        waited = 0.0
        renewed = False
        while True:
            if first is not None:
                attempt, first = first, None
            else:
                waited += self._wait_for_place(refusal, retry.longest_rate_wait - waited)
                attempt = self._prepare(call)
            try:
                return read(attempt())
            except (ContractError, WebPageError) as err:
                broken += 1
                self._before_asking_again(retry, broken, err)
            except CredentialsError:
                # Once per request, if a new token can differ: this one worked before, or the clocks were just compared.
                if renewed or not (self._accepted or self._tokens.corrected):
                    raise
                renewed = True
                self._tokens.renew()
            except RateLimitedError as err:
                refusal = err
            except RetryableError as err:
                failures += 1
                delay = retry.delay(failures, err)
                if delay is None:
                    raise
                if delay >= LONG_WAIT:
                    log.info("%s Trying again in %.0f s (%d of %d).", err, delay, failures, retry.attempts - 1)
                self._wait(delay, "the server asked for it")
            self._spend(retries=1)

    def _before_asking_again(self, retry: RetryPolicy, broken: int, err: KoreError) -> None:
        """Wait a moment after an answer that breaks the contract, or raise if it stays so."""
        delay = retry.delay(broken, err) if broken <= ASK_AGAIN else None
        if delay is None:
            raise err
        log.info("%s Asking again (%d of %d).", err, broken, ASK_AGAIN)
        self._wait(delay, "an answer broke the contract")

    def _wait_for_place(self, refusal: RateLimitedError | None, patience: float) -> float:
        """Wait until the allowance has room for a request, and book it; return the seconds that took.

        :param refusal: why the request is not sent at once, if it was sent before.
        :param patience: seconds to wait after a refusal.
        """
        refusal = refusal or self._refusal  # a page that was read ahead may have met it
        waited = 0.0
        while (wait := self.allowance.book()) > 0:
            if refusal is not None and waited + wait > patience:
                raise refusal
            if wait >= LONG_WAIT:
                log.info(
                    "%s Next request in %.0f s, at %s UTC.",
                    refusal or f"The allowance of {self.allowance} is spent.",
                    wait,
                    _instant(self._clock.time(), wait),
                )
            self._wait(wait, "the allowance is spent")
            self._spend(waited=wait)
            waited += wait
        return waited

    def _spend(self, **more: float) -> None:
        with self._lock:
            for name, amount in more.items():
                self._totals[name] += amount

    def _wait(self, seconds: float, why: str) -> None:
        if self._pause_after is not None and seconds > self._pause_after:
            raise PausedError(f"Pausing for {seconds:.0f} s: {why}.", seconds)
        left = seconds
        while left > 0:
            step = min(left, TELL_EVERY)
            self._clock.sleep(step)
            left -= step
            if left >= 1:
                log.info("Still waiting: %s. Going on in %.0f s.", why, left)

    def _prepare(self, call: _Call, largest: int | None = None) -> Callable[[], Mapping[str, object]]:
        """Return the exchange of a booked request, which any thread may make once."""
        self._spend(requests=1)
        request = HttpRequest(
            method=call.method,
            url=call.url,
            query=call.query,
            headers={
                "auth": self._tokens.token(),
                "iid": self.config.stream_id,
                "accountId": self.config.account_id,
                "Content-Type": "application/json",
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
                "User-Agent": "airflow-provider-kore",
            },
            body=call.body,
            largest=largest,
        )
        return partial(self._exchange, request, call, self._clock.monotonic())

    def _exchange(self, request: HttpRequest, call: _Call, started: float) -> Mapping[str, object]:
        refusal: RateLimitedError | None = None
        try:
            response = self._transport.send(request)
            self._latency = min(self._latency, self._clock.monotonic() - started)
            self._largest = max(self._largest, len(response.body))
            self._costliest = max(self._costliest, memory_of(response.body))
            self._spend(bytes=len(response.body))
            return self._judge(response, call.what, call.parse)
        except RateLimitedError as err:
            refusal = err
            raise
        finally:
            self._refusal = refusal
            if refusal is None:
                self.allowance.settle()
            else:
                self._spend(rate_limited=1)
                hourly = refusal.window == "hourly"
                self.allowance.refused(started=started, hourly=hourly, retry_after=refusal.retry_after)

    def _judge(
        self, response: HttpResponse, what: str, parse: Callable[[bytes], Mapping[str, object]]
    ) -> Mapping[str, object]:
        """Return the parsed body of a success; raise what any other answer stands for."""
        date = refusals.parse_date(response.headers.get("Date"))
        if date is not None:
            self._tokens.observe(date)
        payload: Mapping[str, object] | None = None
        error: ValueError | None = None
        try:
            payload = parse(response.body)
        except ValueError as err:
            error = err
        if response.status == HTTPStatus.OK and payload is not None:
            status = payload.get("status")
            if isinstance(status, str) and status.lower() == "success":
                self._accepted = True
                return payload
        text = _text(response.body)
        if response.status == HTTPStatus.OK and payload is None:
            raise self._blame(error, text, response, what)
        raise refusals.explain(
            status=response.status,
            headers=response.headers,
            payload=payload,
            text=text,
            what=what,
            skew=self._tokens.skew,
            now=self._clock.time(),
        )

    def _blame(self, error: ValueError | None, text: str, response: HttpResponse, what: str) -> Exception:
        """Return the error for a body that is no answer of this API, although its status says success.

        :param error: what its parser raised.
        """
        limited = refusals.rate_limit(text, response.headers, what, self._clock.time())
        if limited is not None:
            return limited
        if refusals.is_web_page(text, response.headers):
            return MalformedResponseError(
                f"The answer for {what} is a web page instead of JSON. Check that the connection's host is the Kore.ai "
                "environment itself, and that no proxy or login page stands in between."
            )
        if isinstance(error, json_text.ShapeError):  # up to there it was good JSON
            error = _not_json(text) or error
        if isinstance(error, json_text.EncodingError):
            return ContractError(
                f"The answer for {what} holds bytes that are no UTF-8. Ask Kore.ai support about this page."
            )
        if isinstance(error, json_text.DepthError):
            return ContractError(
                f"The answer for {what} is JSON nested too deeply to be read. Ask Kore.ai support about this page, and "
                "check that the connection's host is the Kore.ai environment."
            )
        if isinstance(error, json_text.ShapeError):
            return ContractError(
                f"The answer for {what} is JSON, but not of the documented shape. Check the connection's host and "
                "api_version."
            )
        return MalformedResponseError(
            f"The answer for {what} is no JSON; it was probably cut on its way. Try again; if it stays so, check what "
            "stands between here and the connection's host."
        )


def _instant(now: float, wait: float) -> str:
    """Return the time of day after a wait; the date as well where that is not today."""
    then = datetime.fromtimestamp(now + wait, UTC)
    today = then.date() == datetime.fromtimestamp(now, UTC).date()
    return then.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def _catalogue(answer: Mapping[str, object]) -> list[Mapping[str, object]]:
    data = answer.get("data")
    if isinstance(data, Mapping):
        data = data.get("results")
    if not isinstance(data, list) or not all(isinstance(item, Mapping) for item in data):
        raise ContractError("The catalogue of contact lists has no 'data' array. Check the connection's api_version.")
    return data


def check_filters(query: CampaignQuery, page: Page) -> None:
    """Raise ContractError if a page holds a campaign that was not asked for."""
    for record in page.records:
        name = query.contradicts(record.value)
        if name is not None:
            raise ContractError(
                f"The server ignores the filter {name!r}: campaign {quoted(record.id)} does not pass it. Leave "
                "the filter out, and ask Kore.ai support about it."
            )


def _told(value: object) -> str:
    return quoted(value, 40)


def _text(body: bytes) -> str:
    try:
        return json_text.decode(body)
    except ValueError:
        return ""


def _not_json(text: str) -> ValueError | None:
    """Return why a text is no JSON, None if it is."""
    try:
        json_text.parse(text)
    except ValueError as err:
        return err
    return None
