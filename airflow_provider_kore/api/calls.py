"""What is asked: one request (:class:`Call`), or a list in pages (:class:`PagedCall`), and how answers are read.

Contacts and campaigns go by ``skip`` and ``limit``, call results by the number of a page, and the catalogue of contact
lists comes in one piece. A walk knows offsets only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from airflow_provider_kore.api import endpoints
from airflow_provider_kore.api.answers import page_answer, parse_array, parse_object, parse_page
from airflow_provider_kore.walk.pagination import OffsetPagination

if TYPE_CHECKING:
    from airflow_provider_kore.api.campaigns import CampaignQuery
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.api.endpoints import Endpoint
    from airflow_provider_kore.walk.page import PageAnswer, PageRequest

_MOST_RESULTS: Final = 100
"""``status?view=contacts`` takes 1 to 100 and fails outside (docs.kore.ai, campaign status)."""


Payload = Mapping[str, object]
"""The parsed body of a success."""


class Way(NamedTuple):
    """One of the ways to ask that the vendor's pages leave open."""

    account: bool
    """Whether ``accountId`` is in the query."""
    wording: int = 0
    """Which of :attr:`PagedCall.wordings`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as its retries share it. Its repr holds no body."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes | None = field(default=None, repr=False)
    what: str
    """Names it in messages: ``contact list cl-1``."""
    parse: Callable[[bytes], Payload] = parse_object
    """Parses the body of an answer."""
    read: Callable[[Payload], Any] = lambda payload: payload
    """Makes of a success what is returned; a ContractError that it raises is asked again about."""

    @classmethod
    def of(
        cls,
        config: ApiConfig,
        endpoint: Endpoint,
        identifier: str | None,
        way: Way,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        **more: Any,
    ) -> Self:
        """Return the call of an endpoint. Raises ParameterError for an impossible id.

        :param query: beside what the endpoint always has.
        :param body: None: that of the vendor's sample.
        """
        account = {"accountId": config.account_id} if way.account else {}
        return cls(
            method=endpoint.method,
            path=endpoints.path(config, endpoint, identifier),
            query={**account, **endpoint.query, **(query or {})},
            body=endpoint.body.get(config.api_version) if body is None else body,
            **more,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PagedCall:
    """A list that the API serves in pages."""

    endpoint: Endpoint
    identifier: str | None = None
    what: str
    """Names the list in messages: ``the contacts of cl-1``."""
    rows: str
    """What its items are, in messages."""
    body: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """What each page's body holds besides the page."""
    wordings: tuple[Mapping[str, object], ...] = (MappingProxyType({}),)
    """What it holds besides that, in one of several ways: servers differ in which of them they refuse."""
    id_purpose: str = ""
    """Where items have no id of their own, and one is made from what tells them apart: what its key is for."""

    def pagination(self, **options: Any) -> OffsetPagination:
        """Return a walk over its pages; options are those of :class:`OffsetPagination`."""
        return OffsetPagination(
            rows=self.rows,
            id_name="uniqueId-phoneNumber pair" if self.id_purpose else "_id",
            vendor_name=self.endpoint.vendor_name,
            aligned=self.endpoint.paging == "numbers",
            **options,
        )

    def page(self, config: ApiConfig, request: PageRequest, way: Way) -> Call:
        """Return the call for a page; what it returns is a PageAnswer. Raises ParameterError for an impossible id."""
        whole = self.endpoint.paging == "whole"
        what = self.what if whole else f"{self.what} from offset {request.skip}"
        query: dict[str, str] = {}
        body: bytes | None = None
        match self.endpoint.paging:
            case "query":
                query = {name: str(value) for name, value in _offset(request).items()}
            case "body":
                body = _json({**self.body, **_offset(request), **self.wordings[way.wording]})
            case "numbers":
                number, limit = _page_number(request)
                body = _json({**self.body, "page": number, "limit": limit})
        return Call.of(
            config,
            self.endpoint,
            self.identifier,
            way,
            query=query,
            body=body,
            what=what,
            parse=parse_array if whole else parse_page,
            read=partial(self._read, what, config.id_key),
        )

    def _read(self, what: str, id_key: str, payload: Payload) -> PageAnswer:
        identify = None
        if self.id_purpose:
            key = hmac.digest(id_key.encode("utf-8", "surrogatepass"), self.id_purpose.encode(), hashlib.sha256)
            identify = partial(_digest_of, self.endpoint.id_fields, key)
        answer = page_answer(payload, self.endpoint, what, identify)
        return replace(answer, whole=True) if self.endpoint.paging == "whole" else answer


def contacts_of(contact_list_id: str) -> PagedCall:
    """Return the call for the contacts of a list."""
    return PagedCall(
        endpoint=endpoints.CONTACTS,
        identifier=contact_list_id,
        what=f"the contacts of {contact_list_id}",
        rows="contacts",
    )


def contact_lists() -> PagedCall:
    """Return the call for the catalogue of contact lists, which is one page however long it is."""
    return PagedCall(endpoint=endpoints.CONTACT_LISTS, what="the catalogue of contact lists", rows="contact lists")


def campaigns(query: CampaignQuery, *, sort_by: str = "createdAt", order: str = "asc") -> PagedCall:
    """Return the call for the campaigns that a query means, by default so that new ones come last.

    The vendor's page says that ``name`` must be there if any field is sorted by; its sample leaves it out. ``name``
    comes second and the other way round, so that a server which sorts by it first, whatever the order of the fields,
    is not taken for one that sorts by the field that was meant: names often count upwards, like instants.
    """
    other = {"asc": "desc", "desc": "asc"}[order]
    return PagedCall(
        endpoint=endpoints.CAMPAIGNS,
        what=f"the {query.campaign_type} campaigns",
        rows="campaigns",
        body=query.body,
        wordings=({"sortBy": {sort_by: order, "name": other}}, {"sortBy": {sort_by: order}}, {}),
    )


def campaign_contacts(campaign_id: str) -> PagedCall:
    """Return the call for the call results of a campaign, one per contact.

    They carry no id. One is made of ``uniqueId`` and ``phoneNumber``, as a digest under the connection's ``id_key``.
    Without one, anyone who sees the id can find the number by trying all there are. The client secret has no part in
    it: a reader of ids could test guesses of it. Two contacts that share both cannot be told from one
    that was sent twice, so they are an error.
    """
    return PagedCall(
        endpoint=endpoints.CAMPAIGN_CONTACTS,
        identifier=campaign_id,
        what=f"the call results of {campaign_id}",
        rows="call results",
        id_purpose=f"call results of {campaign_id}",
    )


def _offset(request: PageRequest) -> dict[str, int]:
    return {"skip": request.skip} | ({} if request.limit is None else {"limit": request.limit})


def _page_number(request: PageRequest) -> tuple[int, int]:
    """Return number and length of the page that begins at an offset: as long as asked for, if such a page begins there.

    Pages are counted from 1 (docs.kore.ai, campaign status).
    """
    limit = min(request.limit or _MOST_RESULTS, _MOST_RESULTS)
    limit = next(length for length in range(limit, 0, -1) if request.skip % length == 0)
    return request.skip // limit + 1, limit


def _json(body: Mapping[str, object]) -> bytes:
    return json.dumps(dict(body)).encode()


def _digest_of(id_fields: tuple[str, ...], key: bytes, value: Mapping[str, object]) -> str | None:
    """Return an id that stands for these fields; None if none of them says anything."""
    told = [value.get(name) for name in id_fields]
    if all(each in (None, "") for each in told):
        return None
    return hmac.digest(key, json.dumps(told, default=str).encode(), hashlib.sha256).hex()[:24]
