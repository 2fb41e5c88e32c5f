"""An application's campaigns as a source."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kore.api import calls
from airflow_provider_kore.api.endpoints import check_id
from airflow_provider_kore.api.sources.contacts import mark_of
from airflow_provider_kore.exceptions import ContractError, RequestRefusedError
from airflow_provider_kore.walk.source import Dataset, Source, SourceState

if TYPE_CHECKING:
    from airflow_provider_kore.api.calls import PagedCall
    from airflow_provider_kore.api.campaigns import CampaignQuery
    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.walk.page import Page

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignsSource(Source):
    """The voice or the SMS campaigns of an application, or those that filters let pass.

    They are read in the order they were created. The newest ``updatedAt`` among them is to this list what a contact
    list's own ``updatedAt`` is to it: whatever happens to one of them, and whichever comes, moves it; what only goes
    moves the total.
    """

    stream_id: str
    query: CampaignQuery

    def __post_init__(self) -> None:
        check_id("stream_id", self.stream_id)

    @property
    def dataset(self) -> Dataset:
        """Campaigns; each application has its own partition, for each type."""
        return Dataset(
            name=self.stream_id,
            title=f"list of {self.query.campaign_type} campaigns of {self.stream_id}",
            row="campaign",
            rows="campaigns",
            file_name="campaigns",
            partition=(("stream_id", self.stream_id), ("campaign_type", self.query.campaign_type)),
            filters=self.query.describe(),
            mark_name="the newest updatedAt",
            unmarked="The server does not tell which campaign changed last: one that gave way to another meanwhile "
            "would not be noticed.",
            adds_id=True,  # SMS campaigns have ``id`` instead
        )

    @property
    def call(self) -> PagedCall:
        """The call that serves them."""
        return calls.campaigns(self.query)

    def look(self, client: CampaignClient) -> SourceState:
        """Ask for the campaign that changed last."""
        mark: str | None = None
        try:
            mark = mark_of(client.get_newest_update(self.query))
        except (ContractError, RequestRefusedError) as err:
            log.warning("The newest updatedAt cannot be had, so it cannot bear witness: %s", err)
        return SourceState(
            mark=mark,
            identity={"campaign_type": self.query.campaign_type, "filters": self.query.describe()},
            facts={"newest_updated_at": mark},
        )

    def check(self, page: Page) -> None:
        """Raise ContractError if the server ignores a filter."""
        self.query.checked(page)
