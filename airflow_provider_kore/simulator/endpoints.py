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
from airflow_provider_kore.simulator.calls import add_routes
from airflow_provider_kore.simulator.campaigns import interaction
from airflow_provider_kore.simulator.paging import cut_page, whole_number
from airflow_provider_kore.simulator.state import Pushed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.simulator.calls import Call
    from airflow_provider_kore.simulator.paging import Page
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
Endpoint = Callable[["State", "Call"], "Answer | Page"]

ENDPOINTS: dict[str, Endpoint] = {}
"""What answers each endpoint, by the name that faults, the request report and the documentation call it."""


class UnknownIdError(Exception):
    """There is no such list or campaign; says so in words."""


def endpoint(
    name: str, method: str, path: str, account: Mapping[str, bool | None], view: str = ""
) -> Callable[[Endpoint], Endpoint]:
    """Declare a function as what answers a call; see :func:`~airflow_provider_kore.simulator.calls.add_routes`."""

    def declare(answer: Endpoint) -> Endpoint:
        add_routes(name, method, path, account, view)
        ENDPOINTS[name] = answer
        return answer

    return declare


@endpoint("contacts", "GET", "contactList/{id}/getAllContacts", account={"v2": True, "v1": True})
def contacts(state: State, call: Call) -> Page:
    """``GET …/contactList/{id}/getAllContacts``."""
    held, settings = _known(state.lists, call).contacts, state.settings
    return cut_page(
        "Contacts retrieved successfully",
        lambda start, stop: held.texts(start, stop, settings.sort),
        len(held),
        call.query,
        settings,
    )


@endpoint("list", "GET", "contactList/{id}", account={"v2": True, "v1": None})
def contact_list(state: State, call: Call) -> Answer:
    """``GET …/contactList/{id}``."""
    return success("Contact list retrieved successfully", _known(state.lists, call).fields(state.settings))


@endpoint("lists", "POST", "contactList/getAllListDetails", account={"v2": True, "v1": None})
def contact_lists(state: State, call: Call) -> Answer:
    """``POST …/contactList/getAllListDetails``, which is not paged."""
    if not call.query.get("type"):
        raise RefusedError(412, INVALID_ARGUMENTS, "no type")
    items = [record.catalogue_fields(state.settings) for record in state.lists.values()]
    return success("Contact lists retrieved successfully", items)


@endpoint("campaigns", "POST", "getAllCampaignDetails", account={"v2": True, "v1": None})
def campaigns(state: State, call: Call) -> Page:
    """``POST …/getAllCampaignDetails``."""
    asked = call.fields
    if asked.get("type") not in {"voice", "sms"}:
        raise RefusedError(412, INVALID_ARGUMENTS, "type is neither voice nor sms")
    if asked.keys() - {"type", "skip", "limit", "page", "startDate", "endDate", "sortBy", "filters"}:
        raise RefusedError(412, INVALID_ARGUMENTS, "a field that is not documented")
    if any(isinstance(asked.get(name), str) and asked[name] for name in ("skip", "limit", "page")):
        raise RefusedError(412, INVALID_ARGUMENTS, "a number as text")
    found = [campaign.fields() for campaign in state.campaigns.values() if campaign.type == asked["type"]]
    found = _sorted(_filtered(found, asked), _object(asked, "sortBy"), state.settings)
    if state.settings.campaign_instance == "missing":
        found = [_without_instance(item) for item in found]
    texts = [json.dumps(item) for item in found]
    return cut_page(
        "Campaigns retrieved successfully",
        lambda start, stop: texts[start:stop],
        len(texts),
        asked,
        state.settings,
    )


@endpoint("campaign", "GET", "{id}", account={"v2": True})
def campaign(state: State, call: Call) -> Answer:
    """``GET …/{id}``, documented for v2 only."""
    told = _known(state.campaigns, call).detail_fields()
    if state.settings.campaign_instance != "both":
        told = _without_instance(told)
    return success("Campaign retrieved successfully", told)


@endpoint("campaign_status", "POST", "{id}/status", account={"v2": True, "v1": None}, view="status")
def campaign_status(state: State, call: Call) -> Answer:
    """``POST …/{id}/status?view=status``."""
    campaign = _known(state.campaigns, call)
    data = {"id": campaign.campaign_id, "status": campaign.status, "name": campaign.name}
    return success("Campaign status retrieved successfully", data)


@endpoint("campaign_results", "POST", "{id}/status", account={"v2": None, "v1": None}, view="contacts")
def campaign_results(state: State, call: Call) -> Page:
    """``POST …/{id}/status?view=contacts``: pages from 1, no ``hasMore``."""
    results = _known(state.campaigns, call).results
    if any(isinstance(call.fields.get(name), str) for name in ("page", "limit")):
        raise RefusedError(412, INVALID_ARGUMENTS, "a number as text")
    number = whole_number(call.fields.get("page", 1), least=1) or 1
    limit = whole_number(call.fields.get("limit", 50), least=1) or 1
    if limit > _RESULTS_LIMIT:
        raise RefusedError(412, INVALID_ARGUMENTS, "limit outside 1 to 100")
    if state.settings.changed_limit:
        limit = min(limit, state.settings.changed_limit)
    page = cut_page(
        "Campaign contacts retrieved successfully",
        lambda start, stop: results[start:stop],
        len(results),
        {"skip": (number - 1) * limit, "limit": limit},
        # Its limits are documented, so the settings for limits are not about them.
        replace(state.settings, limit_handling="honour"),
    )
    return replace(page, numbered=True)


@endpoint("interaction_details", "POST", "interactionDetails", account={"analytics": False})
def interaction_details(state: State, call: Call) -> Answer:
    """``POST …/analytics/account/{account}/v2/interactionDetails``, another API's; offset is a page.

    One record per call result of every campaign; no more than the page shows.
    """
    asked = call.fields
    start, end = (_date(asked.get(name), _INTERACTION_DATE) for name in ("startDate", "endDate"))
    if not start <= end <= start + timedelta(days=7) or asked.get("direction", "Both") not in _DIRECTIONS:
        raise RefusedError(412, INVALID_ARGUMENTS, "date or direction")
    offset = whole_number(call.query.get("offset"), least=0) or 0
    limit = whole_number(call.query.get("limit"), least=1) or _INTERACTIONS_LIMIT
    if limit > _INTERACTIONS_LIMIT or offset > _INTERACTIONS_OFFSET:
        raise RefusedError(412, INVALID_ARGUMENTS, "offset or limit")
    most = _INTERACTIONS_LIMIT * (_INTERACTIONS_OFFSET + 1)
    records = [
        interaction(found, json.loads(text)) for found in state.campaigns.values() for text in found.results[:most]
    ]
    page = records[offset * limit : (offset + 1) * limit]
    return Answer(status=200, body=json.dumps({"numResults": len(page), "data": page}).encode())


@endpoint("add_contacts", "POST", "contactList/addContacts", account={"1.1": False})
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
        raise UnknownIdError("Contact list not found")
    due_time = call.arrived + state.settings.add_contacts_delay
    state.pushed.append(Pushed(record.list_id, pushed, due_time, call.number + state.settings.add_contacts_requests))
    return Answer(status=200, body=json.dumps({"message": "Adding contacts to public list is in progress"}).encode())


def _has_phone_number(contact: object) -> bool:
    return isinstance(contact, dict) and bool(contact.get("phoneNumber"))


def _known(held: Mapping[str, T], call: Call) -> T:
    """Return what a call is about. Raises UnknownIdError."""
    if call.target_id not in held:
        raise UnknownIdError("Contact list not found" if call.list_id else "Campaign not found")
    return held[call.target_id]


def answer_to_unknown_id(settings: Settings, call: Call, text: str) -> Answer | Page:
    """Answer a call about a list or campaign that does not exist."""
    how = settings.unknown_id
    if how == "error_200":
        return refusal_under_200(text, "unknown id", settings.failure_status)
    if how != "empty_200":
        raise RefusedError(int(how), text, "unknown id")
    if call.endpoint == "contacts":
        return cut_page("No contacts found", lambda _start, _stop: [], 0, call.query, settings)
    return success("Nothing found", None)


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
    start, end = asked.get("startDate"), asked.get("endDate")
    for instant in filter(None, (start, end)):
        _date(instant, _INSTANT)
    return [item for item in found if (start or "") <= item["createdAt"] <= (end or item["createdAt"])]


def _object(asked: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = asked.get(name) or {}
    if not isinstance(value, dict):
        raise RefusedError(412, INVALID_ARGUMENTS, name)
    return value


def _date(text: object, form: re.Pattern[str]) -> datetime:
    """Read a date of this form. Raises RefusedError."""
    try:
        if isinstance(text, str) and form.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise RefusedError(412, INVALID_ARGUMENTS, "date")


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
