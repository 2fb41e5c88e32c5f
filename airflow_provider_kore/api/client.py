"""The client: what the Campaign API tells of one application."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_provider_kore.api import calls, endpoints
from airflow_provider_kore.api.allowance import Allowance
from airflow_provider_kore.api.answers import catalogue_of
from airflow_provider_kore.api.calls import Call
from airflow_provider_kore.api.campaigns import CampaignQuery
from airflow_provider_kore.api.reader import PageReader, Ways
from airflow_provider_kore.api.retry import NO_RETRIES, RetryPolicy
from airflow_provider_kore.api.sender import Sender
from airflow_provider_kore.api.transport import RequestsTransport, Transport
from airflow_provider_kore.clock import Clock, SystemClock
from airflow_provider_kore.exceptions import ContractError, DriftError, NotFoundError, RequestRefusedError
from airflow_provider_kore.parameters import check_count
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.walk.page import PageRequest
from airflow_provider_kore.walk.page_size import NOTHING, Learned
from airflow_provider_kore.walk.pagination import AHEAD_EVENLY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from airflow_provider_kore.api.calls import PagedCall, Way
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.api.endpoints import Endpoint
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.shared import SharedObject
    from airflow_provider_kore.walk.cost import Spent
    from airflow_provider_kore.walk.page import Page, PageAnswer
    from airflow_provider_kore.walk.pagination import OffsetPagination

log = logging.getLogger(__name__)

_NEWEST: Final = 10
"""Campaigns that are looked at to find the newest: enough to see whether they are sorted."""

_LOOKED_THROUGH: Final = 100
"""Campaigns among which one is looked for: a page."""

MOST_IN_FLIGHT: Final = 32
"""Requests under way at the same time at the most: what hides 50 ms of latency twice over."""


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
        clock = clock or SystemClock()
        self.allowance = allowance or allowance_of(config, clock)
        self._sender = Sender(
            config,
            clock,
            transport or RequestsTransport(config, clock, connections=in_flight),
            self.allowance,
            retry or RetryPolicy(),
            on_token=on_token,
            pause_after=pause_after,
        )
        self._ways = Ways(config.api_version)
        self._reader = PageReader(config, self._sender, self._ways, in_flight)
        self._known: set[tuple[str, str]] = set()
        """Calls and ids that the server has told something about."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connections, and what of a shared allowance was not used."""
        self._sender.close()
        self.allowance.close()

    @property
    def spent(self) -> Spent:
        """Since the client was made."""
        return self._sender.spent

    def pagination(
        self, call: PagedCall, *, page_size: object = None, remembered: Learned = NOTHING, **options: Any
    ) -> OffsetPagination:
        """Return a walk over the pages of a list; options are those of :class:`OffsetPagination`.

        :param page_size: rows to ask for in a page; None: as the connection says.
        :param remembered: of the last walk of the same list, where none is named.

        Raises ParameterError for an impossible size.
        """
        asked = check_count("page_size", page_size, least=1, default=0)
        sizes = self._reader.sizes(call, options.get("progress"), remembered)
        ahead = AHEAD_EVENLY if self.config.even_pacing else None
        return call.pagination(page_size=asked or self.config.page_size, sizes=sizes, ahead=ahead, **options)

    def iter_pages(
        self,
        call: PagedCall,
        pagination: OffsetPagination | None = None,
        *,
        stop: Stop | None = None,
    ) -> Iterator[Page]:
        """Yield the pages of a list in order, each once, until its end is proven.

        :param pagination: where to begin and what to tolerate; it holds the evidence afterwards. None: all of it.
        :param stop: looked at before each page; StoppedError is raised after the pages that were asked for already.

        Raises PaginationError, DriftError, and whatever :meth:`send` raises.
        """
        return self._reader.iter_pages(call, pagination or self.pagination(call), stop=stop)

    def get_page(self, call: PagedCall, request: PageRequest) -> PageAnswer:
        """Fetch one page, as the server gave it; without a limit where it refuses the limit."""
        return self._reader.get_page(call, request)

    def iter_contact_pages(self, contact_list_id: str, *, page_size: int | None = None) -> Iterator[Page]:
        """Yield the pages of a contact list in order, and prove at the end that it held still meanwhile.

        Its ``updatedAt`` is read before and after: a contact that is removed while another is added shifts the others
        without any page looking wrong.

        :param page_size: contacts to ask for in a page; None: as the connection says.

        Raises DriftError, PaginationError, ParameterError, and whatever :meth:`send` raises.
        """
        call = calls.contacts_of(contact_list_id)
        pages = self.iter_pages(call, self.pagination(call, page_size=page_size))
        return _held_still(pages, lambda: {"its updatedAt": self.get_contact_list(contact_list_id).get("updatedAt")})

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
        pages = map(query.checked, self.iter_pages(calls.campaigns(query)))
        return _held_still(pages, lambda: {"the newest updatedAt": self.get_newest_update(query)})

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
        return self.get_page(calls.campaigns(query, sort_by="updatedAt", order="desc"), PageRequest(0, number))

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
        call = calls.campaign_contacts(campaign_id)

        def look() -> dict[str, object]:
            told = self.look_at_campaign(campaign_id)
            return {f"the campaign's {name}": told.get(name) for name in ("status", "campaignInstanceUpdatedAt")}

        return _held_still(self.iter_pages(call, self.pagination(call, page_size=page_size)), look)

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
        return self._catalogue()

    def check(self) -> int:
        """Make one cheap authenticated call, without retries; return the number of contact lists it saw."""
        return len(self._catalogue(retry=NO_RETRIES))

    def _catalogue(self, **more: Any) -> list[Mapping[str, object]]:
        found: list[Mapping[str, object]] = self.send(
            endpoints.CONTACT_LISTS, what="the catalogue of contact lists", read=catalogue_of, **more
        )
        return found

    def send(
        self,
        endpoint: Endpoint,
        identifier: str | None = None,
        *,
        retry: RetryPolicy | None = None,
        **more: Any,
    ) -> Any:
        """Send one request, again if that may help, and return the parsed body of its success.

        :param more: what :class:`Call` takes besides: ``what``, ``query``, ``body``, ``parse``, ``read``.

        Raises RetryableError when the retries are used up, FatalError at once, PausedError where that is asked for.
        """

        def attempt(way: Way) -> Any:
            return self._sender.send(Call.of(self.config, endpoint, identifier, way, **more), retry=retry)

        return self._ways.ask(endpoint, attempt)


def allowance_of(config: ApiConfig, clock: Clock, ledger: SharedObject | None = None, **terms: Any) -> Allowance:
    """Return the allowance of the connection's account: this client's alone, or shared by a ledger.

    :param terms: what :class:`~airflow_provider_kore.api.sharing.SharedAllowance` takes besides.
    """
    make: Any = Allowance.per_minute_and_hour
    if ledger is not None and (config.requests_per_minute or config.requests_per_hour):
        from airflow_provider_kore.api.sharing import SharedAllowance

        make = partial(SharedAllowance.per_minute_and_hour, ledger=ledger, **terms)
    found: Allowance = make(
        config.requests_per_minute, config.requests_per_hour, clock, reserve=config.reserve, even=config.even_pacing
    )
    return found


def _held_still(pages: Iterable[Page], look: Callable[[], Mapping[str, object]]) -> Iterator[Page]:
    """Yield the pages of a list, and prove that it held still meanwhile.

    :param look: what the list tells of itself, by what that is called; asked before and after.

    Raises DriftError.
    """
    before = look()
    yield from pages
    after = look()
    for what, was in before.items():
        if after[what] != was:
            raise DriftError(
                f"The list changed while it was read: {what} went from {quoted(was, 40)} to {quoted(after[what], 40)}."
            )
