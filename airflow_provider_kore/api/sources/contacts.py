"""A contact list as a source."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kore.api.calls import contacts_of
from airflow_provider_kore.api.endpoints import check_id
from airflow_provider_kore.exceptions import ContractError, RequestRefusedError
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.walk.source import Dataset, Source, SourceState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.api.calls import PagedCall
    from airflow_provider_kore.api.client import CampaignClient

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactListSource(Source):
    """The contacts of one list. Raises ParameterError for an impossible id."""

    contact_list_id: str

    def __post_init__(self) -> None:
        check_id("contact_list_id", self.contact_list_id)

    @property
    def dataset(self) -> Dataset:
        """Contacts; each list has its own partition."""
        return Dataset(
            name=self.contact_list_id,
            title=f"contact list {self.contact_list_id}",
            row="contact",
            rows="contacts",
            file_name="contacts",
            partition=(("contact_list_id", self.contact_list_id),),
            unmarked="The list tells no updatedAt: a contact that gave way to another meanwhile would not be noticed.",
            grows_at_end=True,
        )

    @property
    def call(self) -> PagedCall:
        """The call that serves its contacts."""
        return contacts_of(self.contact_list_id)

    def look(self, client: CampaignClient) -> SourceState:
        """Ask for its details.

        An environment that does not answer this call, but serves pages, costs evidence and not the snapshot.
        Raises NotFoundError if there is no such list.
        """
        details: Mapping[str, object] = {}
        try:
            details = client.get_contact_list(self.contact_list_id)
        except (ContractError, RequestRefusedError) as err:
            log.warning("The list's updatedAt cannot be had, so it cannot bear witness: %s", err)
        return state_of(self.contact_list_id, details)


def state_of(contact_list_id: str, details: Mapping[str, object]) -> SourceState:
    """Return what a list says of itself, in its details or in its entry of the catalogue."""
    mark, records = mark_of(details.get("updatedAt")), _number(details.get("totalRecordCount"))
    return SourceState(
        mark=mark,
        record_count=records,
        identity={"contact_list_id": contact_list_id, "contact_list_name": name_of(details.get("name"))},
        facts={"list_updated_at": mark, "list_record_count": records},
    )


def mark_of(value: object) -> str | None:
    """Return an instant or a status that the server chose, fit for errors, logs and XCom; None if it is no text."""
    return quoted(value) if isinstance(value, str) and value else None


def name_of(value: object) -> str | None:
    """Return a name that the server chose, for the manifest alone: as it is, but not of any length."""
    return value[:1_000] if isinstance(value, str) and value else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
