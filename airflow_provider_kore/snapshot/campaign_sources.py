"""Campaigns as sources: an application's campaigns, and the call results of one of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from airflow_provider_kore.api import paging
from airflow_provider_kore.api.client import check_filters
from airflow_provider_kore.api.endpoints import check_id
from airflow_provider_kore.exceptions import ContractError, RequestRefusedError
from airflow_provider_kore.snapshot.source import Source, SourceState, mark_of, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.api.campaigns import CampaignQuery
    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.api.page import Evidence, Page
    from airflow_provider_kore.api.paging import PagedCall
    from airflow_provider_kore.snapshot.fields import FieldPolicies

log = logging.getLogger(__name__)

SETTLED: Final = ("Completed", "Stopped")
"""Statuses after which a campaign calls nobody any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignsSource(Source):
    """The voice or the SMS campaigns of an application, or those that filters let pass.

    They are read in the order they were created. The newest ``updatedAt`` among them is to this list what a contact
    list's own ``updatedAt`` is to it: whatever happens to one of them, and whichever comes, moves it; what only goes
    moves the total.
    """

    row: ClassVar[str] = "campaign"
    rows: ClassVar[str] = "campaigns"
    file_name: ClassVar[str] = "campaigns"
    mark_name: ClassVar[str] = "the newest updatedAt"
    adds_id: ClassVar[bool] = True  # SMS campaigns have ``id`` instead

    stream_id: str
    query: CampaignQuery

    def __post_init__(self) -> None:
        check_id("stream_id", self.stream_id)

    @property
    def name(self) -> str:
        """The application's id."""
        return self.stream_id

    @property
    def title(self) -> str:
        """The campaigns in words."""
        return f"list of {self.query.campaign_type} campaigns of {self.stream_id}"

    @property
    def partition(self) -> tuple[tuple[str, str], ...]:
        """Each application has its own, for each type."""
        return (("stream_id", self.stream_id), ("campaign_type", self.query.campaign_type))

    @property
    def identity(self) -> object:
        """Application, type and filters."""
        return [self.file_name, self.stream_id, self.query.campaign_type, self.query.describe()]

    def call(self, client: CampaignClient) -> PagedCall:  # noqa: ARG002  # others need its connection
        """Return the call that serves them."""
        return paging.campaigns(self.query)

    def look(self, client: CampaignClient) -> SourceState:
        """Ask for the campaign that changed last."""
        try:
            return SourceState(mark=mark_of(client.get_newest_update(self.query)))
        except (ContractError, RequestRefusedError) as err:
            log.warning("The newest updatedAt cannot be had, so it cannot bear witness: %s", err)
            return SourceState()

    def identify(self, state: SourceState) -> dict[str, object]:  # noqa: ARG002
        """Return type and filters."""
        return {"campaign_type": self.query.campaign_type, "filters": self.query.describe()}

    def describe(self, state: SourceState) -> dict[str, object]:
        """Return when one of them changed last."""
        return {"newest_updated_at": state.mark}

    def warnings(self, state: SourceState, evidence: Evidence) -> list[str]:
        """Say whether the witness was missing."""
        if state.mark is not None or not evidence.contacts:
            return []
        return [
            "The server does not tell which campaign changed last: one that gave way to another meanwhile would not be "
            "noticed."
        ]

    def check(self, page: Page) -> None:
        """Raise ContractError if the server ignores a filter."""
        check_filters(self.query, page)

    def is_same(self, manifest: Mapping[str, object]) -> bool:
        """Other filters let other campaigns pass."""
        return manifest.get("filters") == self.query.describe()


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignContactsSource(Source):
    """The call results of one campaign, one per contact. Raises ParameterError for an impossible id.

    While a campaign calls people its results change, and nothing tells which. What can be noticed: that the campaign's
    status moves, that the total does, and that a contact comes twice.
    """

    row: ClassVar[str] = "call result"
    rows: ClassVar[str] = "call results"
    file_name: ClassVar[str] = "contacts"
    mark_name: ClassVar[str] = "the campaign's status"
    witness: ClassVar[str] = "campaign_status"
    adds_id: ClassVar[bool] = True
    summary: ClassVar[tuple[str, ...]] = ("campaign_status",)

    campaign_id: str

    def __post_init__(self) -> None:
        check_id("campaign_id", self.campaign_id)

    @property
    def name(self) -> str:
        """The campaign's id."""
        return self.campaign_id

    @property
    def title(self) -> str:
        """The campaign in words."""
        return f"campaign {self.campaign_id}"

    @property
    def partition(self) -> tuple[tuple[str, str], ...]:
        """Each campaign has its own."""
        return (("campaign_id", self.campaign_id),)

    @property
    def identity(self) -> object:
        """The campaign's id, and what of it."""
        return ["campaign_contacts", self.campaign_id]

    def call(self, client: CampaignClient) -> PagedCall:
        """Return the call that serves its results."""
        return paging.campaign_contacts(self.campaign_id, client.config)

    def look(self, client: CampaignClient) -> SourceState:
        """Ask for its name and status.

        An environment that does not answer this call, but serves pages, costs a witness and not the snapshot.
        Raises NotFoundError if there is no such campaign.
        """
        try:
            details = client.get_campaign_status(self.campaign_id)
        except (ContractError, RequestRefusedError) as err:
            log.warning("The campaign's status cannot be had, so it cannot bear witness: %s", err)
            return SourceState()
        return SourceState(name=name_of(details.get("name")), mark=mark_of(details.get("status")))

    def identify(self, state: SourceState) -> dict[str, object]:
        """Return its id and name."""
        return {"campaign_id": self.campaign_id, "campaign_name": state.name}

    def describe(self, state: SourceState) -> dict[str, object]:
        """Return its status when the last page had been read."""
        return {"campaign_status": state.mark}

    def warnings(self, state: SourceState, evidence: Evidence) -> list[str]:  # noqa: ARG002
        """Say whether these results are its last."""
        if state.mark in SETTLED:
            return []
        return [
            f"The campaign's status is {state.mark or 'not told'}: its call results may change, and may have changed "
            "while they were read. Land them again when it is Completed."
        ]

    def exposures(self, policies: FieldPolicies, config: ApiConfig) -> list[str]:
        """Say that ``_id`` can be linked to a guessed number, where a policy hides the numbers."""
        if config.id_key or not policies.hides("phoneNumber"):
            return []
        return [
            "A field policy hides phoneNumber, but _id is made of it without a key: who guesses a number can find its "
            "row. Set id_key in the Kore connection."
        ]
