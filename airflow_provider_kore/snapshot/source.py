"""What is walked: its pages, what it says of itself, and the words and names for it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Protocol

from airflow_provider_kore.api.endpoints import check_id
from airflow_provider_kore.api.paging import contacts_of
from airflow_provider_kore.exceptions import ContractError, RequestRefusedError
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.walk.page import Record, Records

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.api.paging import PagedCall
    from airflow_provider_kore.snapshot.fields import FieldPolicies
    from airflow_provider_kore.walk.page import Evidence, Page

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """What a source says of itself at one moment; None where it says nothing."""

    name: str | None = None
    mark: str | None = None
    """What is different after a change; :attr:`Source.mark_name` says what it is."""
    record_count: int | None = None
    """A hint only."""
    told: Mapping[str, object] = field(default_factory=dict)
    """What else, for a source to read."""


class Source(Protocol):
    """One kind of what a snapshot is of. Frozen, and checked when it is made."""

    row: ClassVar[str]
    """What one row is, in words: ``contact``."""
    rows: ClassVar[str]
    """The same in the plural."""
    file_name: ClassVar[str]
    """The plural as a name: of the files, of the manifest's count, behind ``min_``, and in objects' metadata."""
    mark_name: ClassVar[str]
    """What :attr:`SourceState.mark` is, as the vendor calls it: ``updatedAt``."""
    witness: ClassVar[str] = "updated_at"
    """What the manifest calls it among the witnesses."""
    whole: ClassVar[bool] = False
    """Whether one answer holds all of it, so that there is nothing to continue."""
    adds_id: ClassVar[bool] = False
    """Whether rows may lack ``_id``, which then is put in front: snapshots are verified and resumed by it."""
    summary: ClassVar[tuple[str, ...]] = ()
    """Fields of the manifest that a task's result holds, too."""

    @property
    def name(self) -> str:
        """Its id: ``cl-1``."""

    @property
    def title(self) -> str:
        """What a person would call it, in the middle of a sentence: ``contact list cl-1``."""

    @property
    def partition(self) -> tuple[tuple[str, str], ...]:
        """The partition keys above ``snapshot_date``, with their values."""

    @property
    def identity(self) -> object:
        """A JSON value that differs wherever the rows may: checkpoints of one are no beginning of another."""

    def call(self, client: CampaignClient) -> PagedCall:
        """Return the call that serves its pages."""

    def look(self, client: CampaignClient) -> SourceState:
        """Ask it about itself. Raises NotFoundError if it does not exist."""

    def identify(self, state: SourceState) -> dict[str, object]:
        """Return the manifest's fields that say what it is."""

    def describe(self, state: SourceState) -> dict[str, object]:
        """Return the manifest's fields that say how it was at the end of the walk."""

    def warnings(self, state: SourceState, evidence: Evidence) -> list[str]:
        """Return what a reader of the manifest should know."""

    def exposures(self, policies: FieldPolicies, config: ApiConfig) -> list[str]:  # noqa: ARG002  # most have none
        """Return what a reader may learn although a field policy hides it."""
        return []

    def check(self, page: Page) -> None:  # noqa: ARG002  # most ask for everything
        """Raise ContractError if a page holds what was not asked for."""
        return

    def is_same(self, manifest: Mapping[str, object]) -> bool:  # noqa: ARG002  # most are what their partition says
        """Say whether a manifest in its partition tells of the very same rows that this source has."""
        return True

    def is_comparable(self, manifest: Mapping[str, object], state: SourceState) -> bool:  # noqa: ARG002
        """Say whether as many rows may be expected as a manifest tells of, now that the source is in this state."""
        return self.is_same(manifest)

    def check_replaced(self, manifest: Mapping[str, object], look: Callable[[], SourceState]) -> None:  # noqa: ARG002
        """Raise SnapshotExistsError if what a manifest in its partition tells of would be lost, and not renewed.

        :param look: tells the state of the source; may cost a request.
        """
        return


def with_id(page: Page) -> Page:
    """Return a page whose rows all have ``_id``, in front where it is added."""
    return replace(page, records=Records.of(map(_identified, page.records)))


def _identified(record: Record) -> Record:
    if record.value.get("_id") == record.id:
        return record
    text = f'{{"_id": {json.dumps(record.id)}, {record.text[1:].lstrip()}'
    return Record(record.id, text, {"_id": record.id, **record.value})


def headline(source: Source) -> str:
    """Return its title for the beginning of a sentence."""
    return source.title[:1].upper() + source.title[1:]


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


def mark_of(value: object) -> str | None:
    """Return an instant or a status that the server chose, fit for errors, logs and XCom; None if it is no text."""
    return quoted(value) if isinstance(value, str) and value else None


def name_of(value: object) -> str | None:
    """Return a name that the server chose, for the manifest alone: as it is, but not of any length."""
    return value[:1_000] if isinstance(value, str) and value else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
