"""One request, read far enough to know which endpoint it means."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from airflow_provider_kore.simulator.answers import INVALID_ARGUMENTS, METHOD_NOT_ALLOWED, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_kore.simulator.paging import Page

UNKNOWN = "unknown"
"""Endpoint name of a request that the vendor documents no endpoint for."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request.

    :param number: its place in the order of arrival, from 1.
    :param arrived: seconds, monotonic.
    :param headers: names in lower case.
    :param endpoint: a name in :data:`ROUTES`, or ``unknown``.
    :param account: whether the sample's query has ``accountId``; None: where the pages differ or have none.
    :param target_id: the contact list or campaign in its path, if any.
    :param allowed: the method that the endpoint wants, empty for an unknown one.
    :param shape: what faults make of its page.
    """

    number: int
    arrived: float
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
    shape: Callable[[Page], Page] = lambda page: page

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


def read_call(
    method: str, target: str, headers: Mapping[str, str], body: bytes, *, number: int, arrived: float
) -> Call:
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
        arrived=arrived,
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
class Route:
    """One documented call: ``{stream}`` and ``{id}`` stand for what differs.

    :param endpoint: the name by which faults, the request report and the documentation call it.
    :param account: whether the sample's query has ``accountId``; None: where the pages differ or have none.
    :param view: of the query, where that tells two calls of one path apart.
    """

    endpoint: str
    version: str
    method: str
    path: str
    account: bool | None = None
    view: str = ""


ROUTES: list[Route] = []
"""The vendor's calls, and nothing else; each is declared beside its answer, by :func:`add_routes`."""


def add_routes(routes: Iterable[Route]) -> None:
    """Add calls. A literal path stands before one with an id in its place."""
    ROUTES.extend(routes)
    ROUTES.sort(key=lambda route: route.path.count("{"))


def campaign_routes(
    endpoint: str, method: str, path: str, *, account: Mapping[str, bool | None], view: str = ""
) -> list[Route]:
    """Return the routes of a call of the Campaign API.

    :param path: below ``…/{stream}/campaign``.
    :param account: by version of the API, for those that document the call.
    """
    return [
        Route(
            endpoint=endpoint,
            version=version,
            method=method,
            path=f"{_BASES[version]}/{{stream}}/campaign/{path}",
            account=in_query,
            view=view,
        )
        for version, in_query in account.items()
    ]


_BASES = {"v2": "campaign/api/v2/public", "v1": "agentassist/api/v1/public"}

_LITERAL = {"contactList", "getAllListDetails", "getAllCampaignDetails", "addContacts"}
"""Names of the API that are no ids: ``…/campaign/contactList`` is no campaign."""


def _route(segments: list[str], query: Mapping[str, str]) -> tuple[Route | None, dict[str, str]]:
    """Find the call that a path means, and what stands for its placeholders."""
    for route in ROUTES:
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
    for base in (*_BASES.values(), "api/1.1/public"):
        length = base.count("/") + 1
        if "/".join(segments[:length]) == base and len(segments) > length:
            return segments[length]
    return ""
