"""What each endpoint answers when nothing is wrong with the request. An endpoint more is a function more."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import date
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.simulator.answers import (
    INVALID_ARGUMENTS,
    Answer,
    RefusedError,
    refusal_under_200,
    success,
)
from airflow_provider_kore.simulator.paging import Page, cut_page, print_numbered_page, print_page, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_kore.simulator.calls import Call
    from airflow_provider_kore.simulator.state import State

_RESULTS_LIMIT = 100
"""``status?view=contacts`` takes 1 to 100 and fails outside (docs.kore.ai, campaign status)."""


def contacts(state: State, call: Call, shape: Callable[[Page], Page]) -> Answer:
    """``GET …/contactList/{id}/getAllContacts``."""
    record = state.lists.get(call.target_id)
    if record is None:
        return _unknown_id(state, call, shape)
    held, sort = record.contacts, state.settings.sort
    page = cut_page(lambda start, stop: held.texts(start, stop, sort), len(held), call.query, state.settings)
    return Answer(status=200, body=print_page(shape(page), "Contacts retrieved successfully", state.settings))


def contact_list(state: State, call: Call, shape: Callable[[Page], Page]) -> Answer:
    """``GET …/contactList/{id}``."""
    record = state.lists.get(call.target_id)
    if record is None:
        return _unknown_id(state, call, shape)
    return success("Contact list retrieved successfully", json.dumps(record.fields(state.settings)))


def contact_lists(state: State, call: Call, shape: Callable[[Page], Page]) -> Answer:  # noqa: ARG001  # not paged
    """``POST …/contactList/getAllListDetails``, which is not paged."""
    if not call.query.get("type"):
        raise RefusedError(412, INVALID_ARGUMENTS, "no type")
    items = [record.catalogue_fields(state.settings) for record in state.lists.values()]
    return success("Contact lists retrieved successfully", json.dumps(items))


def campaigns(state: State, call: Call, shape: Callable[[Page], Page]) -> Answer:
    """``POST …/campaign/getAllCampaignDetails``."""
    asked = call.fields
    if asked.get("type") not in {"voice", "sms"}:
        raise RefusedError(412, INVALID_ARGUMENTS, "type is neither voice nor sms")
    found = [campaign.fields() for campaign in state.campaigns.values() if campaign.type == asked["type"]]
    found = _sorted(_filtered(found, asked), _object(asked, "sortBy"))
    page = cut_page(
        lambda start, stop: [json.dumps(item) for item in found[start:stop]], len(found), asked, state.settings
    )
    return Answer(status=200, body=print_page(shape(page), "Campaigns retrieved successfully", state.settings))


def campaign_status(state: State, call: Call, shape: Callable[[Page], Page]) -> Answer:
    """``POST …/campaign/{id}/status?view=status``."""
    campaign = state.campaigns.get(call.target_id)
    if campaign is None:
        return _unknown_id(state, call, shape)
    data = {"id": campaign.campaign_id, "status": campaign.status, "name": campaign.name}
    return success("Campaign status retrieved successfully", json.dumps(data))


def campaign_results(state: State, call: Call, shape: Callable[[Page], Page]) -> Answer:
    """``POST …/campaign/{id}/status?view=contacts``: pages from 1, no ``hasMore``."""
    campaign = state.campaigns.get(call.target_id)
    if campaign is None:
        return _unknown_id(state, call, shape)
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
    body = print_numbered_page(shape(page), "Campaign contacts retrieved successfully", state.settings)
    return Answer(status=200, body=body)


def add_contacts(state: State, call: Call, shape: Callable[[Page], Page]) -> Answer:
    """``POST …/contactList/{id}/addContacts``, body ``{"contacts": […]}``: accepted now, visible later.

    The vendor's pages say that it answers "in progress"; the rest is a plausible guess.
    """
    if call.target_id not in state.lists:
        return _unknown_id(state, call, shape)
    pushed = call.fields.get("contacts")
    if not (isinstance(pushed, list) and pushed and all(_has_phone_number(contact) for contact in pushed)):
        raise RefusedError(412, INVALID_ARGUMENTS, "contacts without phoneNumber")
    state.push(call.target_id, pushed, time.monotonic(), call.number)
    return success("Contacts addition is in progress")


ENDPOINT_ANSWERS: dict[str, Callable[[State, Call, Callable[[Page], Page]], Answer]] = {
    "contacts": contacts,
    "list": contact_list,
    "lists": contact_lists,
    "campaigns": campaigns,
    "campaign_status": campaign_status,
    "campaign_results": campaign_results,
    "add_contacts": add_contacts,
}


def _has_phone_number(contact: object) -> bool:
    return isinstance(contact, dict) and bool(contact.get("phoneNumber"))


def _unknown_id(state: State, call: Call, shape: Callable[[Page], Page]) -> Answer:
    text = "Contact list not found" if call.list_id else "Campaign not found"
    match state.settings.unknown_id:
        case "404":
            raise RefusedError(404, text, "unknown id")
        case "400":
            raise RefusedError(400, text, "unknown id")
        case "error_200":
            return refusal_under_200(text, "unknown id", state.settings.failure_status)
        case "empty_200":
            if call.endpoint == "contacts":
                nothing = cut_page(lambda _start, _stop: [], 0, call.query, state.settings)
                return Answer(status=200, body=print_page(shape(nothing), "No contacts found", state.settings))
            return success("Nothing found", "null")


def _filtered(found: list[dict[str, Any]], asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    for name, allowed in _object(asked, "filters").items():
        if not isinstance(allowed, list):
            raise RefusedError(412, INVALID_ARGUMENTS, "filters")
        if allowed:
            found = [item for item in found if item.get(name) in allowed]
    # Timestamps in this one format sort like text, and a bare date sorts before all of its day.
    if start := _day(asked.get("startDate")):
        found = [item for item in found if item["createdAt"] >= start]
    if end := _day(asked.get("endDate")):
        found = [item for item in found if item["createdAt"][: len(end)] <= end]
    return found


def _object(asked: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = asked.get(name) or {}
    if not isinstance(value, dict):
        raise RefusedError(412, INVALID_ARGUMENTS, name)
    return value


def _day(text: object) -> str:
    if text is None:
        return ""
    try:
        date.fromisoformat(str(text)[:10])
    except ValueError:
        raise RefusedError(412, INVALID_ARGUMENTS, "date") from None
    return str(text)


def _sorted(found: list[dict[str, Any]], sort_by: Mapping[str, Any]) -> list[dict[str, Any]]:
    for name, direction in reversed(list(sort_by.items())):
        if name not in {"name", "createdAt", "updatedAt"} or direction not in {"asc", "desc"}:
            raise RefusedError(412, INVALID_ARGUMENTS, "sortBy")
        found = sorted(found, key=itemgetter(name), reverse=direction == "desc")
    return found
