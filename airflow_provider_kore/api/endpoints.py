"""The API as data: method, path, query and paging of each call.

Source: the vendor's pages, APIs → Contact Center. v1 and v2 have the same resources below different bases; what their
samples send differs. ``tests/contract/vendor-calls.json`` is those pages as a table; each call is tested against it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.parameters import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.api.config import ApiConfig

_BASES: Final = {"v2": "/campaign/api/v2/public", "v1": "/agentassist/api/v1/public"}
_EXAMPLES: Final = {"contact_list_id": "cl-…", "campaign_id": "cd-…"}
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


_ONLY_V2: Final[Mapping[str, bool | None]] = MappingProxyType({"v2": True, "v1": False})


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One call of the API."""

    name: str
    method: str
    path: str
    """Below ``{base}/{streamId}/campaign``; ``{id}`` stands for the id of ``resource``."""
    resource: str | None = None
    """What ``{id}`` names, as a parameter: ``contact_list_id``."""
    query: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    id_fields: tuple[str, ...] = ("_id",)
    """Where an item keeps its id; the vendor's spelling varies."""
    paging: Literal["query", "body", "numbers", "whole"] | None = None
    """By offset, in the query or in the body; by the page's number; all of it in one answer. None: no list."""
    account_in_query: Mapping[str, bool | None] = field(default_factory=lambda: _ONLY_V2)
    """By version of the API: whether the sample's query has ``accountId``; None: some samples have it."""
    body: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """By version of the API: the body of a sample that says nothing; none where it is not there."""

    @property
    def vendor_name(self) -> str:
        """What the vendor's pages call it."""
        view = self.query.get("view")
        return self.path.rpartition("/")[2] + (f"?view={view}" if view else "")


CONTACTS: Final = Endpoint(
    name="contacts",
    method="GET",
    path="/contactList/{id}/getAllContacts",
    resource="contact_list_id",
    paging="query",
    account_in_query=MappingProxyType({"v2": True, "v1": True}),
)
CONTACT_LIST: Final = Endpoint(
    name="contact list",
    method="GET",
    path="/contactList/{id}",
    resource="contact_list_id",
    account_in_query=MappingProxyType({"v2": True, "v1": None}),
)
CONTACT_LISTS: Final = Endpoint(
    name="contact lists",
    method="POST",
    path="/contactList/getAllListDetails",
    # The only type the vendor documents: lists for voice.
    query=MappingProxyType({"type": "call"}),
    paging="whole",
)
CAMPAIGNS: Final = Endpoint(
    name="campaigns",
    method="POST",
    path="/getAllCampaignDetails",
    id_fields=("_id", "id"),  # voice, SMS
    paging="body",
)
CAMPAIGN: Final = Endpoint(name="campaign", method="GET", path="/{id}", resource="campaign_id")
CAMPAIGN_STATUS: Final = Endpoint(
    name="campaign status",
    method="POST",
    path="/{id}/status",
    resource="campaign_id",
    query=MappingProxyType({"view": "status"}),
    body=MappingProxyType({"v2": b"{}"}),
)
CAMPAIGN_CONTACTS: Final = Endpoint(
    name="campaign contacts",
    method="POST",
    path="/{id}/status",
    resource="campaign_id",
    account_in_query=MappingProxyType({"v2": False, "v1": False}),
    query=MappingProxyType({"view": "contacts"}),
    id_fields=("uniqueId", "phoneNumber"),  # together: an item has no id
    paging="numbers",
)


def check_id(parameter: str, value: object) -> str:
    """Return an id that is safe in a path and in an S3 key.

    :param parameter: the name the author of the DAG knows it by.
    Raises ParameterError.
    """
    if not isinstance(value, str) or not value:
        example = _EXAMPLES.get(parameter, "…")
        problem = "is empty" if value is None or value == "" else f"is {shown(value)}"
        raise ParameterError(parameter, problem, f"pass an id such as '{example}', as Kore.ai shows it")
    if not _IDENTIFIER.fullmatch(value):
        raise ParameterError(
            parameter,
            f"{value!r} holds a character that no Kore.ai id has",
            "pass the id (letters, digits, '-', '_', '.', ':'), not a name, a path or a URL",
        )
    return value


def path(config: ApiConfig, endpoint: Endpoint, identifier: str | None = None) -> str:
    """Return the path of a call below the connection's ``base_url``. Raises ParameterError for an impossible id."""
    below = endpoint.path
    if endpoint.resource is not None:
        below = below.replace("{id}", _quote(check_id(endpoint.resource, identifier)))
    return f"{_BASES[config.api_version]}/{_quote(config.stream_id)}/campaign{below}"


@lru_cache
def _quote(segment: str) -> str:
    return quote(segment, safe="")
