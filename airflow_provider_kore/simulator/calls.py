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

BASES = {"campaign/api/v2/public": "v2", "agentassist/api/v1/public": "v1"}
"""Path before the stream id, and the version it stands for."""

ENDPOINTS = ("contacts", "list", "lists", "campaigns", "campaign_status", "campaign_results", "add_contacts")
"""Names by which faults, the request report and the documentation call the endpoints."""

UNKNOWN = "unknown"
"""Endpoint name of a request that the vendor documents no endpoint for."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request.

    :param number: its place in the order of arrival, from 1.
    :param headers: names in lower case.
    :param endpoint: one of :data:`ENDPOINTS`, or ``unknown``.
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

    @property
    def list_id(self) -> str:
        """The contact list in the path, empty for calls about anything else."""
        return self.target_id if self.endpoint in {"contacts", "list", "add_contacts"} else ""

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
    segments = [unquote(segment) for segment in path.strip("/").split("/")]
    version = BASES.get("/".join(segments[:4]), "")
    stream_id, endpoint, target_id, allowed = "", UNKNOWN, "", ""
    if version and segments[5:6] == ["campaign"]:
        stream_id = segments[4]
        endpoint, target_id, allowed = _endpoint(segments[6:], query.get("view", "status"))
    return Call(
        number=number,
        method=method,
        path=path,
        query=query,
        headers=headers,
        body=body,
        version=version,
        stream_id=stream_id,
        endpoint=endpoint,
        target_id=target_id,
        allowed=allowed,
    )


_ROUTES = {
    ("contactList", "getAllListDetails"): ("lists", "POST"),
    ("contactList", "*"): ("list", "GET"),
    ("contactList", "*", "getAllContacts"): ("contacts", "GET"),
    ("contactList", "*", "addContacts"): ("add_contacts", "POST"),
    ("campaign", "getAllCampaignDetails"): ("campaigns", "POST"),
    ("campaign", "*", "status"): ("campaign_status", "POST"),
}


def _endpoint(rest: list[str], view: str) -> tuple[str, str, str]:
    """Find endpoint, id and method for the path behind ``/campaign/``; a literal path goes before one with an id."""
    for route in (tuple(rest), (*rest[:1], *("*" for _ in rest[1:2]), *rest[2:])):
        if route in _ROUTES:
            endpoint, method = _ROUTES[route]
            if endpoint == "campaign_status" and view == "contacts":
                endpoint = "campaign_results"
            return endpoint, rest[1] if "*" in route else "", method
    return UNKNOWN, "", ""
