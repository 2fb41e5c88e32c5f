"""The catalogue of contact lists as a source: one answer holds all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kore.api.calls import contact_lists
from airflow_provider_kore.api.endpoints import check_id
from airflow_provider_kore.walk.source import Dataset, Source, SourceState

if TYPE_CHECKING:
    from airflow_provider_kore.api.calls import PagedCall
    from airflow_provider_kore.api.client import CampaignClient


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactListsSource(Source):
    """All contact lists of an application, without their contacts.

    The server answers at one moment, so nothing can change meanwhile and nothing has to prove that.
    """

    stream_id: str

    def __post_init__(self) -> None:
        check_id("stream_id", self.stream_id)

    @property
    def dataset(self) -> Dataset:
        """Contact lists; each application has its own partition."""
        return Dataset(
            name=self.stream_id,
            title=f"catalogue of {self.stream_id}",
            row="contact list",
            rows="contact lists",
            file_name="contact_lists",
            partition=(("stream_id", self.stream_id),),
            whole=True,
        )

    @property
    def call(self) -> PagedCall:
        """The call that serves it."""
        return contact_lists()

    def look(self, client: CampaignClient) -> SourceState:  # noqa: ARG002  # costs no request
        """It says nothing of itself: the manifest has the application's id anyway."""
        return SourceState()
