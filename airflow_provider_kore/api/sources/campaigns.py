"""An application's campaigns as a source."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_kore.api import calls
from airflow_provider_kore.api.client import check_filters
from airflow_provider_kore.api.endpoints import check_id
from airflow_provider_kore.api.sources.texts import mark_of
from airflow_provider_kore.exceptions import ContractError, RequestRefusedError
from airflow_provider_kore.walk.source import Source, SourceState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.api.calls import PagedCall
    from airflow_provider_kore.api.campaigns import CampaignQuery
    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.walk.page import Evidence, Page

log = logging.getLogger(__name__)


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
        return calls.campaigns(self.query)

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
