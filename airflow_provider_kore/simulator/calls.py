"""One request, and the calls that the vendor documents."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from airflow_provider_kore.simulator.answers import INVALID_ARGUMENTS, METHOD_NOT_ALLOWED, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Route:
    """One documented call: ``{stream}`` and ``{id}`` stand for what differs.

    :param endpoint: the name by which faults, the request report and the documentation call it.
    :param account: whether the sample's query has ``accountId``; None: as the setting ``account_in_query`` says.
    :param view: of the query, where that tells two calls of one path apart.
    """

    endpoint: str
    method: str
    path: str
    account: bool | None = False
    view: str = ""

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.path)))

    def named(self, path: str) -> dict[str, str] | None:
        """Return what stands for its placeholders in a path, as it was sent; None if that is another call's."""
        found = self._pattern.fullmatch(path)
        return found and {name: unquote(text) for name, text in found.groupdict().items()}


NOWHERE = Route(endpoint="unknown", method="", path="")
"""Of a request that the vendor documents no call for."""


class Call:
    """A request, read far enough to know which endpoint it means."""

    def __init__(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, *, number: int, arrived: float
    ) -> None:
        """Read it.

        :param target: path and query as they stand in the request line.
        :param headers: names in lower case.
        :param number: its place in the order of arrival, from 1.
        :param arrived: seconds, monotonic.
        """
        self.method, self.headers, self.body = method, headers, body
        self.number, self.arrived = number, arrived
        self.path, _, query_text = target.partition("?")
        self.query = dict(parse_qsl(query_text, keep_blank_values=True))
        self.route, named = _route(self.path[1:], self.query)
        self.stream_id = named.get("stream", "")
        self.target_id = named.get("id", "")
        """The contact list or campaign in its path, if any."""

    @property
    def endpoint(self) -> str:
        """The endpoint's name, or ``unknown``."""
        return self.route.endpoint

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
        if self.route is NOWHERE:
            raise RefusedError(404, "Not Found", "no such path")
        if self.method != self.route.method:
            raise RefusedError(405, METHOD_NOT_ALLOWED, "method")


BASES = {
    "v2": "campaign/api/v2/public/{stream}/campaign",
    "v1": "agentassist/api/v1/public/{stream}/campaign",
    "1.1": "api/1.1/public/{stream}/campaign",
    "analytics": "agentassist/api/public/analytics/account/{id}/v2",
}
"""Where the paths of each API begin, by its version or name."""

ROUTES: list[Route] = []
"""The vendor's calls, and nothing else; each is declared beside its answer, by :func:`add_routes`."""


def add_routes(endpoint: str, method: str, path: str, account: Mapping[str, bool | None], view: str = "") -> None:
    """Add a call. A literal path stands before one with an id in its place.

    :param path: below the base.
    :param account: by the bases below which the call is documented.
    """
    for base, in_query in account.items():
        where = f"{BASES[base]}/{path}"
        ROUTES.append(Route(endpoint=endpoint, method=method, path=where, account=in_query, view=view))
    ROUTES.sort(key=lambda route: route.path.count("{"))


_STREAM = re.compile(r"(?:campaign/api/v2|agentassist/api/v1|api/1\.1)/public/(?P<stream>[^/]+)(?:/.*)?")
"""The stream id of a path that is no documented one, so that a wrong id is told before a wrong path."""

_LITERAL = {"contactList", "getAllListDetails", "getAllCampaignDetails", "addContacts"}
"""Names of the API that are no ids: ``…/campaign/contactList`` is no campaign."""


def _route(path: str, query: Mapping[str, str]) -> tuple[Route, dict[str, str]]:
    """Find the call that a path means, and what stands for its placeholders."""
    for route in ROUTES:
        named = route.named(path)
        if named is not None and named.get("id") not in _LITERAL and route.view in {"", query.get("view")}:
            return route, named
    found = _STREAM.fullmatch(path)
    return NOWHERE, {"stream": unquote(found["stream"])} if found else {}
