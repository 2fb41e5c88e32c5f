"""What each endpoint answers when nothing is wrong with the request. An endpoint more is a function more.

Each stands below its routes, and registers itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_kore.simulator.answers import (
    INVALID_ARGUMENTS,
    Answer,
    RefusedError,
    refusal_under_200,
    success,
)
from airflow_provider_kore.simulator.calls import Route, add_routes, campaign_routes
from airflow_provider_kore.simulator.campaigns import interaction
from airflow_provider_kore.simulator.paging import cut_page, print_numbered_page, print_page, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.simulator.calls import Call
    from airflow_provider_kore.simulator.campaigns import Campaign
    from airflow_provider_kore.simulator.settings import Settings
    from airflow_provider_kore.simulator.state import State

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_INTERACTION_DATE = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?", re.ASCII)
_INTERACTIONS_LIMIT = 100
_INTERACTIONS_OFFSET = 10
_DIRECTIONS = ("Inbound", "Outbound", "Both")
_FILTERS = ("status", "priority", "dialingMode")

_RESULTS_LIMIT = 100
"""``status?view=contacts`` takes 1 to 100 and fails outside (docs.kore.ai, campaign status)."""


T = TypeVar("T")
Endpoint = Callable[["State", "Call"], Answer]

ENDPOINTS: dict[str, Endpoint] = {}
"""What answers each endpoint, by the name that faults, the request report and the documentation call it."""


class _UnknownIdError(Exception):
    """There is no such list or campaign; says so in words."""


def endpoint(*routes: Route) -> Callable[[Endpoint], Endpoint]:
    """Declare a function as what answers these calls."""

    def declare(answer: Endpoint) -> Endpoint:
        def answer_or_say_that_it_is_unknown(state: State, call: Call) -> Answer:
            try:
                return answer(state, call)
            except _UnknownIdError as err:
                return _answer_to_unknown_id(state, call, str(err))

        add_routes(routes)
        ENDPOINTS[routes[0].endpoint] = answer_or_say_that_it_is_unknown
        return answer

    return declare


@endpoint(*campaign_routes("contacts", "GET", "contactList/{id}/getAllContacts", account={"v2": True, "v1": True}))
def contacts(state: State, call: Call) -> Answer:
    """``GET …/contactList/{id}/getAllContacts``."""
    record = _known(state.lists, call)
    held, sort = record.contacts, state.settings.sort
    page = cut_page(lambda start, stop: held.texts(start, stop, sort), len(held), call.query, state.settings)
    return Answer(status=200, body=print_page(call.shape(page), "Contacts retrieved successfully", state.settings))


@endpoint(*campaign_routes("list", "GET", "contactList/{id}", account={"v2": True, "v1": None}))
def contact_list(state: State, call: Call) -> Answer:
    """``GET …/contactList/{id}``."""
    record = _known(state.lists, call)
    return success("Contact list retrieved successfully", json.dumps(record.fields(state.settings)))


@endpoint(*campaign_routes("lists", "POST", "contactList/getAllListDetails", account={"v2": True, "v1": None}))
def contact_lists(state: State, call: Call) -> Answer:
    """``POST …/contactList/getAllListDetails``, which is not paged."""
    if not call.query.get("type"):
        raise RefusedError(412, INVALID_ARGUMENTS, "no type")
    items = [record.catalogue_fields(state.settings) for record in state.lists.values()]
    return success("Contact lists retrieved successfully", json.dumps(items))


@endpoint(*campaign_routes("campaigns", "POST", "getAllCampaignDetails", account={"v2": True, "v1": None}))
def campaigns(state: State, call: Call) -> Answer:
    """``POST …/getAllCampaignDetails``."""
    asked = call.fields
    if asked.get("type") not in {"voice", "sms"}:
        raise RefusedError(412, INVALID_ARGUMENTS, "type is neither voice nor sms")
    unknown = asked.keys() - {"type", "skip", "limit", "page", "startDate", "endDate", "sortBy", "filters"}
    if unknown:
        raise RefusedError(412, INVALID_ARGUMENTS, "a field that is not documented")
    if any(isinstance(asked.get(name), str) and asked[name] for name in ("skip", "limit", "page")):
        raise RefusedError(412, INVALID_ARGUMENTS, "a number as text")
    found = [campaign.fields() for campaign in state.campaigns.values() if campaign.type == asked["type"]]
    found = _sorted(_filtered(found, asked), _object(asked, "sortBy"), state.settings)
    if state.settings.campaign_instance == "missing":
        found = [_without_instance(item) for item in found]
    page = cut_page(
        lambda start, stop: [json.dumps(item) for item in found[start:stop]], len(found), asked, state.settings
    )
    return Answer(status=200, body=print_page(call.shape(page), "Campaigns retrieved successfully", state.settings))


@endpoint(*campaign_routes("campaign", "GET", "{id}", account={"v2": True}))
def campaign(state: State, call: Call) -> Answer:
    """``GET …/{id}``, documented for v2 only."""
    told = _known(state.campaigns, call).detail_fields()
    if state.settings.campaign_instance != "both":
        told = _without_instance(told)
    return success("Campaign retrieved successfully", json.dumps(told))


@endpoint(*campaign_routes("campaign_status", "POST", "{id}/status", account={"v2": True, "v1": None}, view="status"))
def campaign_status(state: State, call: Call) -> Answer:
    """``POST …/{id}/status?view=status``."""
    campaign = _known(state.campaigns, call)
    data = {"id": campaign.campaign_id, "status": campaign.status, "name": campaign.name}
    return success("Campaign status retrieved successfully", json.dumps(data))


@endpoint(
    *campaign_routes("campaign_results", "POST", "{id}/status", account={"v2": None, "v1": None}, view="contacts")
)
def campaign_results(state: State, call: Call) -> Answer:
    """``POST …/{id}/status?view=contacts``: pages from 1, no ``hasMore``."""
    campaign = _known(state.campaigns, call)
    if any(isinstance(call.fields.get(name), str) for name in ("page", "limit")):
        raise RefusedError(412, INVALID_ARGUMENTS, "a number as text")
    number = whole_number(call.fields.get("page", 1), least=1) or 1
    limit = whole_number(call.fields.get("limit", 50), least=1) or 1
    if limit > _RESULTS_LIMIT:
        raise RefusedError(412, INVALID_ARGUMENTS, "limit outside 1 to 100")
    if state.settings.changed_limit:
        limit = min(limit, state.settings.changed_limit)
    asked = {"skip": (number - 1) * limit, "limit": limit}
    # Its limits are documented, so the settings for limits are not about them.
    page = cut_page(
        campaign.result_texts, campaign.result_count(), asked, replace(state.settings, limit_handling="honour")
    )
    body = print_numbered_page(call.shape(page), "Campaign contacts retrieved successfully", state.settings)
    return Answer(status=200, body=body)


@endpoint(
    Route(
        endpoint="interaction_details",
        version="v2",
        method="POST",
        path="agentassist/api/public/analytics/account/{id}/v2/interactionDetails",
    )
)
def interaction_details(state: State, call: Call) -> Answer:
    """``POST …/analytics/account/{account}/v2/interactionDetails``, another API's; offset is a page.

    One record per call result of every campaign; no more than the page shows.
    """
    asked = call.fields
    if not all(_INTERACTION_DATE.fullmatch(str(asked.get(name))) for name in ("startDate", "endDate")):
        raise RefusedError(412, INVALID_ARGUMENTS, "date")
    try:
        start, end = (datetime.fromisoformat(asked[name]) for name in ("startDate", "endDate"))
    except ValueError:
        raise RefusedError(412, INVALID_ARGUMENTS, "date") from None
    if not start <= end <= start + timedelta(days=7) or asked.get("direction", "Both") not in _DIRECTIONS:
        raise RefusedError(412, INVALID_ARGUMENTS, "date or direction")
    offset = whole_number(call.query.get("offset"), least=0) or 0
    limit = whole_number(call.query.get("limit"), least=1) or _INTERACTIONS_LIMIT
    if limit > _INTERACTIONS_LIMIT or offset > _INTERACTIONS_OFFSET:
        raise RefusedError(412, INVALID_ARGUMENTS, "offset or limit")
    records = [interaction(found, result) for found in state.campaigns.values() for result in _results_of(found)]
    page = records[offset * limit : (offset + 1) * limit]
    return Answer(status=200, body=json.dumps({"numResults": len(page), "data": page}).encode())


def _results_of(found: Campaign) -> list[dict[str, Any]]:
    return [json.loads(text) for text in found.result_texts(0, min(found.result_count(), 1_100))]


@endpoint(
    Route(
        endpoint="add_contacts",
        version="1.1",
        method="POST",
        path="api/1.1/public/{stream}/campaign/contactList/addContacts",
    )
)
def add_contacts(state: State, call: Call) -> Answer:
    """``POST /api/1.1/public/{stream}/campaign/contactList/addContacts``: by the list's name, visible later.

    Its answer has no ``status``. How long it takes is not documented.
    """
    asked = call.fields
    name, pushed = asked.get("contact_list_name"), asked.get("data")
    if not (isinstance(name, str) and name):
        raise RefusedError(412, INVALID_ARGUMENTS, "no contact_list_name")
    if not (isinstance(pushed, list) and pushed and all(_has_phone_number(contact) for contact in pushed)):
        raise RefusedError(412, INVALID_ARGUMENTS, "contacts without phoneNumber")
    record = next((record for record in state.lists.values() if record.name == name), None)
    if record is None:
        raise _UnknownIdError("Contact list not found")
    state.push(record.list_id, pushed, call.arrived, call.number)
    return Answer(status=200, body=json.dumps({"message": "Adding contacts to public list is in progress"}).encode())


def _has_phone_number(contact: object) -> bool:
    return isinstance(contact, dict) and bool(contact.get("phoneNumber"))


def _known(held: Mapping[str, T], call: Call) -> T:
    """Return what a call is about. Raises _UnknownIdError."""
    if call.target_id not in held:
        raise _UnknownIdError("Contact list not found" if call.list_id else "Campaign not found")
    return held[call.target_id]


def _answer_to_unknown_id(state: State, call: Call, text: str) -> Answer:
    how = state.settings.unknown_id
    if how == "error_200":
        return refusal_under_200(text, "unknown id", state.settings.failure_status)
    if how != "empty_200":
        raise RefusedError(int(how), text, "unknown id")
    if call.endpoint == "contacts":
        nothing = cut_page(lambda _start, _stop: [], 0, call.query, state.settings)
        return Answer(status=200, body=print_page(call.shape(nothing), "No contacts found", state.settings))
    return success("Nothing found", "null")


def _without_instance(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "campaignInstanceUpdatedAt"}


def _filtered(found: list[dict[str, Any]], asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    for name, allowed in _object(asked, "filters").items():
        if name not in _FILTERS or not isinstance(allowed, list):
            raise RefusedError(412, INVALID_ARGUMENTS, "filters")
        if not all(type(value) is (int if name == "priority" else str) for value in allowed):
            raise RefusedError(412, INVALID_ARGUMENTS, "filters")
        if allowed:
            # Campaigns tell their priority as text; the filter has numbers.
            found = [item for item in found if str(item.get(name)) in {str(value) for value in allowed}]
    # Timestamps in this one format sort like text.
    if start := _instant(asked.get("startDate")):
        found = [item for item in found if item["createdAt"] >= start]
    if end := _instant(asked.get("endDate")):
        found = [item for item in found if item["createdAt"] <= end]
    return found


def _object(asked: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = asked.get(name) or {}
    if not isinstance(value, dict):
        raise RefusedError(412, INVALID_ARGUMENTS, name)
    return value


def _instant(text: object) -> str:
    if text in (None, ""):
        return ""
    if not (isinstance(text, str) and _INSTANT.fullmatch(text)):
        raise RefusedError(412, INVALID_ARGUMENTS, "date")
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise RefusedError(412, INVALID_ARGUMENTS, "date") from None
    return text


def _sorted(found: list[dict[str, Any]], sort_by: Mapping[str, Any], settings: Settings) -> list[dict[str, Any]]:
    if sort_by and (
        (settings.sort_by_name == "required" and "name" not in sort_by)
        or (settings.sort_by_name == "refused" and "name" in sort_by)
    ):
        raise RefusedError(412, INVALID_ARGUMENTS, "name in sortBy")
    fields = list(sort_by.items())
    if settings.sort_by_order == "name_first":
        fields.sort(key=lambda each: each[0] != "name")
    for name, direction in reversed(fields):
        if name not in {"name", "createdAt", "updatedAt"} or direction not in {"asc", "desc"}:
            raise RefusedError(412, INVALID_ARGUMENTS, "sortBy")
        found = sorted(found, key=itemgetter(name), reverse=direction == "desc")
    return found
