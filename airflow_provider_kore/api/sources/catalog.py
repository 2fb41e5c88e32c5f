"""The catalogue of contact lists as a source: one answer holds all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_kore.api.calls import contact_lists
from airflow_provider_kore.api.endpoints import check_id
from airflow_provider_kore.walk.source import Source, SourceState

if TYPE_CHECKING:
    from airflow_provider_kore.api.calls import PagedCall
    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.walk.page import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactListsSource(Source):
    """All contact lists of an application, without their contacts.

    The server answers at one moment, so nothing can change meanwhile and nothing has to bear witness of that.
    """

    row: ClassVar[str] = "contact list"
    rows: ClassVar[str] = "contact lists"
    file_name: ClassVar[str] = "contact_lists"
    mark_name: ClassVar[str] = "updatedAt"
    whole: ClassVar[bool] = True

    stream_id: str

    def __post_init__(self) -> None:
        check_id("stream_id", self.stream_id)

    @property
    def name(self) -> str:
        """The application's id."""
        return self.stream_id

    @property
    def title(self) -> str:
        """The catalogue in words."""
        return f"catalogue of {self.stream_id}"

    @property
    def partition(self) -> tuple[tuple[str, str], ...]:
        """Each application has its own."""
        return (("stream_id", self.stream_id),)

    @property
    def identity(self) -> object:
        """The application's id, and what of it."""
        return [self.file_name, self.stream_id]

    def call(self, client: CampaignClient) -> PagedCall:  # noqa: ARG002  # others need its connection
        """Return the call that serves it."""
        return contact_lists()

    def look(self, client: CampaignClient) -> SourceState:  # noqa: ARG002  # costs no request
        """It says nothing of itself."""
        return SourceState()

    def identify(self, state: SourceState) -> dict[str, object]:  # noqa: ARG002  # the manifest has the stream's id
        """Nothing more than each manifest says."""
        return {}

    def describe(self, state: SourceState) -> dict[str, object]:  # noqa: ARG002
        """Nothing more than each manifest says."""
        return {}

    def warnings(self, state: SourceState, evidence: Evidence) -> list[str]:  # noqa: ARG002
        """None."""
        return []
