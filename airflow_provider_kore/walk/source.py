"""What is walked: its pages, what it says of itself, and the words and names for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from airflow_provider_kore.walk.page import Record, Records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.walk.page import Evidence, Page
    from airflow_provider_kore.walk.reader import Call


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


class Policies(Protocol):
    """What is done to fields before anything is stored."""

    def hides(self, name: str) -> bool:
        """Say whether readers of the snapshot do not see a field as it is."""


class Source(Protocol):
    """One kind of what a snapshot is of. Frozen, and checked when it is made.

    Its ``client`` is the vendor's, and its ``config`` that client's connection: each source knows its own.
    """

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
    forgets: ClassVar[bool] = False
    """Whether the vendor drops rows, so that :meth:`check_replaced` is worth a request."""
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

    def call(self, client: Any) -> Call:
        """Return the call that serves its pages."""

    def look(self, client: Any) -> SourceState:
        """Ask it about itself. Raises NotFoundError if it does not exist."""

    def identify(self, state: SourceState) -> dict[str, object]:
        """Return the manifest's fields that say what it is."""

    def describe(self, state: SourceState) -> dict[str, object]:
        """Return the manifest's fields that say how it was at the end of the walk."""

    def warnings(self, state: SourceState, evidence: Evidence) -> list[str]:
        """Return what a reader of the manifest should know."""

    def exposures(self, policies: Policies, config: Any) -> list[str]:  # noqa: ARG002  # most have none
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

    def check_replaced(self, manifest: Mapping[str, object], state: SourceState) -> None:  # noqa: ARG002
        """Raise SnapshotExistsError if what a manifest in its partition tells of would be lost, and not renewed.

        :param state: of the source now.
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
