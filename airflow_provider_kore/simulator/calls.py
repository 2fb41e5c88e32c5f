"""One request, read far enough to know which endpoint it means."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from airflow_provider_kore.simulator.answers import INVALID_ARGUMENTS, METHOD_NOT_ALLOWED, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDPOINTS = (
    "contacts",
    "list",
    "lists",
    "campaigns",
    "campaign",
    "campaign_status",
    "campaign_results",
    "interaction_details",
    "add_contacts",
)
"""Names by which faults, the request report and the documentation call the endpoints."""

UNKNOWN = "unknown"
"""Endpoint name of a request that the vendor documents no endpoint for."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request.

    :param number: its place in the order of arrival, from 1.
    :param headers: names in lower case.
    :param endpoint: one of :data:`ENDPOINTS`, or ``unknown``.
    :param account: whether the sample's query has ``accountId``; None: where the pages differ or have none.
    :param target_id: the contact list or campaign in its path, if any.
    :param allowed: the method that the endpoint wants, empty for an unknown one.
    """

    number: int
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    version: str = ""
    stream_id: str = ""
    endpoint: str = UNKNOWN
    target_id: str = ""
    allowed: str = ""
    account: bool | None = None

    @property
    def list_id(self) -> str:
        """The contact list in the path, empty for calls about anything else."""
        return self.target_id if self.endpoint in {"contacts", "list"} else ""

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The body's JSON object; an empty body is an empty object.

        Raises RefusedError (412) for any other body.
        """
        try:
            parsed = json.loads(self.body or b"{}")
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise RefusedError(412, INVALID_ARGUMENTS, "body is no JSON object")
        return parsed

    def check_method(self) -> None:
        """Raise RefusedError (404 or 405) unless the endpoint exists and answers this method."""
        if not self.allowed:
            raise RefusedError(404, "Not Found", "no such path")
        if self.method != self.allowed:
            raise RefusedError(405, METHOD_NOT_ALLOWED, "method")


def read_call(number: int, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Call:
    """Read a request.

    :param target: path and query as they stand in the request line.
    """
    path, _, query_text = target.partition("?")
    query = dict(parse_qsl(query_text, keep_blank_values=True))
    # Split before decoding: an id with an encoded slash is one segment.
    segments = [unquote(segment) for segment in path[1:].split("/")]
    route, named = _route(segments, query)
    return Call(
        number=number,
        method=method,
        path=path,
        query=query,
        headers=headers,
        body=body,
        version=route.version if route else "",
        stream_id=named.get("stream", _stream_of(segments)),
        endpoint=route.endpoint if route else UNKNOWN,
        target_id=named.get("id", ""),
        allowed=route.method if route else "",
        account=route.account if route else None,
    )


@dataclass(frozen=True, kw_only=True)
class _Route:
    """One documented call: ``{stream}`` and ``{id}`` stand for what differs."""

    endpoint: str
    version: str
    method: str
    path: str
    account: bool | None
    view: str = ""


def _routes() -> list[_Route]:
    v2, v1 = "campaign/api/v2/public/{stream}/campaign", "agentassist/api/v1/public/{stream}/campaign"
    contacts, lists = "contactList/{id}/getAllContacts", "contactList/getAllListDetails"
    table: list[tuple[str, str, str, str, bool | None, str]] = [
        ("lists", "v2", "POST", f"{v2}/{lists}", True, ""),
        ("lists", "v1", "POST", f"{v1}/{lists}", None, ""),
        ("list", "v2", "GET", f"{v2}/contactList/{{id}}", True, ""),
        ("list", "v1", "GET", f"{v1}/contactList/{{id}}", None, ""),
        ("contacts", "v2", "GET", f"{v2}/{contacts}", True, ""),
        ("contacts", "v1", "GET", f"{v1}/{contacts}", True, ""),
        ("campaigns", "v2", "POST", f"{v2}/getAllCampaignDetails", True, ""),
        ("campaigns", "v1", "POST", f"{v1}/getAllCampaignDetails", None, ""),
        ("campaign", "v2", "GET", f"{v2}/{{id}}", True, ""),
        ("campaign_status", "v2", "POST", f"{v2}/{{id}}/status", True, "status"),
        ("campaign_status", "v1", "POST", f"{v1}/{{id}}/status", None, "status"),
        ("campaign_results", "v2", "POST", f"{v2}/{{id}}/status", None, "contacts"),
        ("campaign_results", "v1", "POST", f"{v1}/{{id}}/status", None, "contacts"),
        (
            "interaction_details",
            "v2",
            "POST",
            "agentassist/api/public/analytics/account/{id}/v2/interactionDetails",
            None,
            "",
        ),
        ("add_contacts", "1.1", "POST", "api/1.1/public/{stream}/campaign/contactList/addContacts", None, ""),
    ]
    return [
        _Route(endpoint=endpoint, version=version, method=method, path=path, account=account, view=view)
        for endpoint, version, method, path, account, view in table
    ]


_ROUTES = _routes()
"""The vendor's calls, and nothing else; a literal path stands before one with an id in its place."""

_LITERAL = {"contactList", "getAllListDetails", "getAllCampaignDetails", "addContacts"}
"""Names of the API that are no ids: ``…/campaign/contactList`` is no campaign."""


def _route(segments: list[str], query: Mapping[str, str]) -> tuple[_Route | None, dict[str, str]]:
    """Find the call that a path means, and what stands for its placeholders."""
    for route in _ROUTES:
        wanted = route.path.split("/")
        if len(wanted) != len(segments) or (route.view and query.get("view") != route.view):
            continue
        named = {
            want[1:-1]: given for want, given in zip(wanted, segments, strict=True) if want.startswith("{") and given
        }
        if [named.get(want[1:-1], want) for want in wanted] == segments and named.get("id") not in _LITERAL:
            return route, named
    return None, {}


def _stream_of(segments: list[str]) -> str:
    """Return the stream id of a path that is no documented one, so that a wrong id is told before a wrong path."""
    for base in ("campaign/api/v2/public", "agentassist/api/v1/public", "api/1.1/public"):
        length = base.count("/") + 1
        if "/".join(segments[:length]) == base and len(segments) > length:
            return segments[length]
    return ""
