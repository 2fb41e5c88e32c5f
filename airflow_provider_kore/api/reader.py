"""The pages of a list in order, some of them asked for ahead where that hides latency."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.api.calls import Way
from airflow_provider_kore.api.refusals import WebPageError
from airflow_provider_kore.api.transport import LARGEST_BODY, TooLargeError
from airflow_provider_kore.exceptions import (
    ContractError,
    CredentialsError,
    KoreError,
    MalformedResponseError,
    RequestRefusedError,
    ServerError,
    UnreachableError,
)
from airflow_provider_kore.walk.page import PageRequest
from airflow_provider_kore.walk.page_size import NOTHING, Learned, PageSizes
from airflow_provider_kore.walk.prefetch import Prefetcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_kore.api.calls import PagedCall, Payload
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.api.endpoints import Endpoint
    from airflow_provider_kore.api.sender import Sender
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.walk.page import Page, PageAnswer, Progress
    from airflow_provider_kore.walk.pagination import OffsetPagination

log = logging.getLogger(__name__)

MEMORY: Final = 32 * 1024 * 1024
"""Bytes that pages which are read ahead may take, parsed."""

_SMALLEST_LIMIT: Final = 64 * 1024

WORTH_READING_AHEAD: Final = 0.005
"""Seconds of latency from which on pages are read ahead: below that, threads cost more than they hide."""

_SLOWEST: Final = 4
"""A larger page is tried if at the rate of those before it takes at most a quarter of the time-out."""

_MANY: Final = 10_000
"""Requests over which the pace of an allowance is taken."""

_OF_A_TRIAL: Final = (RequestRefusedError, ServerError, UnreachableError, MalformedResponseError, ContractError)
"""What a server may answer to a page that is larger than it can serve."""


class Ways:
    """Remembers how each endpoint was asked when it answered."""

    def __init__(self, api_version: str) -> None:
        self._api_version = api_version
        self._worked: dict[str, Way] = {}
        """By the endpoint's name."""

    def best(self, endpoint: Endpoint) -> Way:
        """Return the way in which a server has answered, until then that of the vendor's page."""
        documented = endpoint.account_in_query[self._api_version]
        return self._worked.get(endpoint.name, Way(account=documented is not False))

    def ask(self, endpoint: Endpoint, attempt: Callable[[Way], Any], wordings: int = 1) -> Any:
        """Ask as documented; where the documents leave a choice and that is refused, in the other ways.

        The way that worked is kept as long as the client lives. A refusal that none of them avoids is the first one.
        """
        first = self.best(endpoint)
        ways = [first]
        if endpoint.name not in self._worked:
            # What each page's sample has is sent; only what it lacks may be missing, or be too much.
            certain = endpoint.account_in_query[self._api_version] is True
            accounts = (True,) if certain else (first.account, not first.account)
            ways = [Way(account=account, wording=wording) for account in accounts for wording in range(wordings)]
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


class PageReader:
    """Reads lists page by page.

    :param in_flight: pages that may be asked for at the same time.
    """

    def __init__(self, config: ApiConfig, sender: Sender, ways: Ways, in_flight: int) -> None:
        self._config = config
        self._sender = sender
        self._ways = ways
        self._in_flight = in_flight
        self._known: dict[str, Learned] = {}
        """What the server serves in a page, by the endpoint's name."""

    def sizes(self, call: PagedCall, progress: Progress | None, remembered: Learned) -> PageSizes:
        """Return what finds the size of a walk's pages.

        :param progress: of the walk that is continued.
        :param remembered: of the last walk of the same list.
        """
        return PageSizes(
            progress.learned if progress else NOTHING,
            remembered,
            self._known.get(call.endpoint.name, NOTHING),
            slowest=self._config.timeout / _SLOWEST,
            pace=self._pace,
        )

    def iter_pages(
        self,
        call: PagedCall,
        pagination: OffsetPagination,
        *,
        stop: Stop | None = None,
    ) -> Iterator[Page]:
        """Yield the pages of a list in order, each once, until its end is proven.

        :param pagination: where to begin and what to tolerate; it holds the evidence afterwards.
        :param stop: looked at before each page; StoppedError is raised after the pages that were asked for already.

        Raises PaginationError, DriftError, and whatever :meth:`send` raises.
        """
        with Prefetcher[PageRequest, Any](self._in_flight, self._sender.clock) as ahead:
            ahead.meanwhile = partial(self._read_ahead, call, pagination, ahead)
            while (request := pagination.next) is not None:
                ahead.end(stop.reason() if stop else None)
                if ahead.ending is not None and request not in ahead:
                    raise ahead.ending
                first = partial(ahead.take, request) if request in ahead else None
                try:
                    answer = self._ask(call, request, first, once=pagination.trial is not None)
                except KoreError as err:
                    if not _can_step_back(err, pagination):
                        raise
                    if pagination.limit is None:
                        log.info("The server refuses a page at limit=%s; asking without a limit.", request.limit)
                    else:
                        log.info("%s That was at limit=%s; asking for %s.", err, request.limit, pagination.limit)
                    ahead.keep(())
                    continue
                page = pagination.accept(answer, self._sender.took)
                self._known[call.endpoint.name] = pagination.served(self._known.get(call.endpoint.name, NOTHING))
                self._read_ahead(call, pagination, ahead)
                if page is not None and page.records:
                    self._sender.spend(pages=1, rows=len(page.records))
                    yield page

    def get_page(self, call: PagedCall, request: PageRequest) -> PageAnswer:
        """Fetch one page, as the server gave it; without a limit where it refuses the limit."""
        try:
            return self._ask(call, request)
        except WebPageError:  # it says nothing about the limit
            raise
        except RequestRefusedError:
            if request.limit is None:
                raise
            return self._ask(call, PageRequest(request.skip, None))

    def _ask(
        self,
        call: PagedCall,
        request: PageRequest,
        first: Callable[[], Payload] | None = None,
        *,
        once: bool = False,
    ) -> PageAnswer:
        """Ask for a page.

        :param first: the first attempt, if that was made ahead: then the way to ask is known.
        :param once: not again after a failure.
        """
        retry = replace(self._sender.retry, attempts=1) if once else None

        def attempt(way: Way) -> Any:
            return self._sender.send(call.page(self._config, request, way), first=first, retry=retry)

        answer: PageAnswer = self._ways.ask(call.endpoint, attempt, len(call.wordings))
        return answer

    def _read_ahead(
        self, call: PagedCall, pagination: OffsetPagination, ahead: Prefetcher[PageRequest, Payload]
    ) -> float | None:
        """Ask for the pages that are going to be next, as far as help and the allowance go.

        Returns the seconds until the allowance may have room for the next of them, None where none is left to ask for.
        """
        if pagination.is_in_doubt:
            return None
        worth_it = self._in_flight > 1 and self._sender.latency >= WORTH_READING_AHEAD
        depth = min(ahead.depth, self._most_in_flight) if worth_it and ahead.ending is None else 0
        # What is under way is kept also when the server turns out to be so fast that fewer are worth it.
        room = MEMORY // max(1, self._sender.costliest)
        planned = pagination.planned(min(max(depth, len(ahead)), room))
        ahead.keep(planned)
        for request in planned[:depth]:
            if request in ahead:
                continue
            page = call.page(self._config, request, self._ways.best(call.endpoint))
            wait = self._sender.allowance.book()
            if wait > 0:
                return wait
            ahead.start(request, self._sender.prepare(page, self._most_ahead))
        return None

    @property
    def _most_in_flight(self) -> int:
        burst = self._sender.allowance.limit
        if burst is None:
            return self._in_flight
        # Where a limit sets the pace, a few at a time are as fast in the end, and meet fewer refusals when it is spent;
        # as long as they are as many as start while one is answered.
        needed = self._sender.latency / self._pace if math.isfinite(self._sender.latency) else 0.0
        return max(1, min(self._in_flight, max(burst // 15, math.ceil(needed) + 1)))

    @property
    def _pace(self) -> float:
        """Seconds between two requests, over a long time."""
        return max(self._sender.allowance.shortest_time(_MANY + 1) / _MANY, 1e-6)

    @property
    def _most_ahead(self) -> int:
        """Bytes that the body of a page which is read ahead may have; a longer one is asked for again in its turn."""
        return min(LARGEST_BODY, max(_SMALLEST_LIMIT, 2 * self._sender.largest))


def _can_step_back(err: KoreError, pagination: OffsetPagination) -> bool:
    """Say whether a page may be had that was asked for in vain: with a smaller limit, or without one."""
    if isinstance(err, TooLargeError):
        return pagination.shrink()
    is_refusal = isinstance(err, RequestRefusedError) and not isinstance(err, WebPageError)
    if pagination.trial is not None and isinstance(err, _OF_A_TRIAL):
        return pagination.refuse_limit(certain=is_refusal)
    if is_refusal:
        return pagination.refuse_limit()
    # A sibling endpoint fails outside its limits; a server that has served such a page has other trouble.
    unproven = isinstance(err, ServerError) and not pagination.progress.offset
    slow = isinstance(err, ServerError) or (isinstance(err, UnreachableError) and err.timed_out)
    return (unproven or (slow and pagination.has_grown)) and pagination.refuse_limit(certain=False)
