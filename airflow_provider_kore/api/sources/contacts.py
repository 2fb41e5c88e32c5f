"""A contact list as a source."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_kore.api.calls import contacts_of
from airflow_provider_kore.api.endpoints import check_id
from airflow_provider_kore.api.sources.texts import mark_of, name_of
from airflow_provider_kore.exceptions import ContractError, RequestRefusedError
from airflow_provider_kore.walk.source import Source, SourceState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.api.calls import PagedCall
    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.walk.page import Evidence

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactListSource(Source):
    """The contacts of one list. Raises ParameterError for an impossible id."""

    row: ClassVar[str] = "contact"
    rows: ClassVar[str] = "contacts"
    file_name: ClassVar[str] = "contacts"
    mark_name: ClassVar[str] = "updatedAt"

    contact_list_id: str

    def __post_init__(self) -> None:
        check_id("contact_list_id", self.contact_list_id)

    @property
    def name(self) -> str:
        """The list's id."""
        return self.contact_list_id

    @property
    def title(self) -> str:
        """The list in words."""
        return f"contact list {self.contact_list_id}"

    @property
    def partition(self) -> tuple[tuple[str, str], ...]:
        """Each list has its own."""
        return (("contact_list_id", self.contact_list_id),)

    @property
    def identity(self) -> object:
        """Its id."""
        return self.contact_list_id

    def call(self, client: CampaignClient) -> PagedCall:  # noqa: ARG002  # others need its connection
        """Return the call that serves its contacts."""
        return contacts_of(self.contact_list_id)

    def look(self, client: CampaignClient) -> SourceState:
        """Ask for its details.

        An environment that does not answer this call, but serves pages, costs a witness and not the snapshot.
        Raises NotFoundError if there is no such list.
        """
        details: Mapping[str, object] = {}
        try:
            details = client.get_contact_list(self.contact_list_id)
        except (ContractError, RequestRefusedError) as err:
            log.warning("The list's updatedAt cannot be had, so it cannot bear witness: %s", err)
        return SourceState(
            name=name_of(details.get("name")),
            mark=mark_of(details.get("updatedAt")),
            record_count=_number(details.get("totalRecordCount")),
        )

    def identify(self, state: SourceState) -> dict[str, object]:
        """Return its id and name."""
        return {"contact_list_id": self.contact_list_id, "contact_list_name": state.name}

    def describe(self, state: SourceState) -> dict[str, object]:
        """Return when it changed last, and how long it says that it is."""
        return {"list_updated_at": state.mark, "list_record_count": state.record_count}

    def warnings(self, state: SourceState, evidence: Evidence) -> list[str]:
        """Say which witness was missing."""
        warnings: list[str] = []
        records = state.record_count
        if evidence.total is None and records is not None and records > evidence.contacts:
            # A hint and never a proof, but where the pages give no total it is the only other count there is.
            warnings.append(f"The list says that it has {records} records, and {evidence.contacts} contacts were read.")
        if state.mark is None:
            warnings.append(
                "The list tells no updatedAt: a contact that gave way to another meanwhile would not be noticed."
            )
        return warnings


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
