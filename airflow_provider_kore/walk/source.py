"""What is walked: its rows in words and names, its pages, and what it says of itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_kore.quoting import count
from airflow_provider_kore.walk.page import Record, Records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_kore.walk.page import Evidence, Page
    from airflow_provider_kore.walk.state import WalkState


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """What a source says of itself at one moment; None where it says nothing."""

    mark: str | None = None
    """What is different after a change; :attr:`Dataset.mark_name` says what it is."""
    record_count: int | None = None
    """A hint only."""
    identity: Mapping[str, object] = field(default_factory=dict)
    """The manifest's fields that say what it is."""
    facts: Mapping[str, object] = field(default_factory=dict)
    """The manifest's fields that say how it was at that moment."""
    warnings: tuple[str, ...] = ()
    """What a reader of the manifest should know."""
    exposed: Mapping[str, str] = field(default_factory=dict)
    """By field: what a reader may learn although a field policy hides it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What a snapshot is of, in words and names."""

    name: str
    """Its id: ``cl-1``."""
    title: str
    """What a person would call it, in the middle of a sentence: ``contact list cl-1``."""
    row: str
    """What one row is, in words: ``contact``."""
    rows: str
    """The same in the plural."""
    file_name: str
    """The plural as a name: of the files, of the manifest's count, after ``min_``, and in objects' metadata."""
    partition: tuple[tuple[str, str], ...]
    """The partition keys above ``snapshot_date``, with their values."""
    filters: Mapping[str, object] | None = None
    """What chose the rows, as the manifest's ``filters`` say it; None: the partition alone."""
    mark_name: str = "updatedAt"
    """What :attr:`SourceState.mark` is, as the vendor calls it."""
    witness: str = "updated_at"
    """What the manifest calls it in its evidence (``witnesses``)."""
    unmarked: str = ""
    """What a reader should know where the source tells no mark."""
    whole: bool = False
    """Whether one answer holds all of it, so that there is nothing to continue."""
    adds_id: bool = False
    """Whether rows may lack ``_id``, which then is put in front: snapshots are verified and resumed by it."""
    forgets: bool = False
    """Whether the vendor drops rows, so that :meth:`Source.check_replaced` is worth a request."""
    grows_at_end: bool = False
    """Whether new rows come last, so that a snapshot can build on the last one."""
    summary: tuple[str, ...] = ()
    """Fields of the manifest that a task's result holds, too."""

    @property
    def headline(self) -> str:
        """The title for the beginning of a sentence."""
        return self.title[:1].upper() + self.title[1:]

    @property
    def identity(self) -> object:
        """A JSON value that differs wherever the rows may: checkpoints of one are no beginning of another."""
        return [self.file_name, self.partition, self.filters]

    def count(self, number: int) -> str:
        """Return a number of rows with their noun."""
        return count(number, self.row, self.rows)

    def moved(self, before: str | None, after: str | None) -> str:
        """Say that the mark has changed."""
        return f"{self.mark_name} went from {before} to {after}"

    def is_same(self, manifest: Mapping[str, object]) -> bool:
        """Say whether a manifest in the partition tells of the very same rows."""
        return self.filters is None or manifest.get("filters") == self.filters

    def warnings(self, state: SourceState, evidence: Evidence) -> list[str]:
        """Return what a reader of the manifest should know of its rows."""
        warnings = [*state.warnings]
        if evidence.total is None and (state.record_count or 0) > evidence.contacts:
            # A hint and never a proof, but where the pages give no total it is the only other count there is.
            warnings.append(
                f"The list says that it has {state.record_count} records, and {evidence.contacts} {self.rows} were "
                "read."
            )
        if self.unmarked and state.mark is None and evidence.contacts:
            warnings.append(self.unmarked)
        return warnings


class LookLater(Exception):  # noqa: N818  # no error: what was walked waits for a look that others share
    """A source can't be looked at after its walk yet; :meth:`Sources.look` comes first."""


class Source(Protocol):
    """A dataset that can be read. Frozen, and checked when it is made."""

    @property
    def dataset(self) -> Dataset:
        """What it is, in words and names."""

    @property
    def call(self) -> object:
        """The call that serves its pages, as the vendor's client takes it."""

    def look(self, client: Any) -> SourceState:
        """Ask it about itself, with the vendor's client. Raises NotFoundError if it does not exist."""

    def first_look(self, client: Any) -> SourceState:
        """Do so before a walk, or before it is continued: what was told since the last page was read is as good."""
        return self.look(client)

    def last_look(self, client: Any, state: WalkState) -> SourceState:  # noqa: ARG002  # some look together
        """Do so after the last page.

        :param state: of the walk.

        Raises LookLater if what tells it shall be asked for other sources, too; then it is called once more.
        """
        return self.look(client)

    def check(self, page: Page) -> None:  # noqa: ARG002  # most ask for everything
        """Raise ContractError if a page holds what was not asked for."""
        return

    def is_comparable(self, manifest: Mapping[str, object], state: SourceState) -> bool:  # noqa: ARG002
        """Say whether as many rows may be expected as a manifest tells of, now that the source is in this state."""
        return self.dataset.is_same(manifest)

    def check_replaced(self, manifest: Mapping[str, object], state: SourceState) -> None:  # noqa: ARG002
        """Raise SnapshotExistsError if what a manifest in its partition tells of would be lost, and not renewed.

        :param state: of the source now.
        """
        return


class Sources(Protocol):
    """Sources that one request tells of."""

    def look(self, client: Any) -> Sequence[Source]:
        """Look at all of them; return those that were not known before, the shortest first."""

    def expected(self, source: Source) -> int:
        """Return how many rows one is said to have; 0: nothing is said. A hint only."""

    def is_gone(self, source: Source) -> bool:
        """Say whether a source that was there has been deleted, and is not missed."""


def with_id(page: Page) -> Page:
    """Return a page whose rows all have ``_id``, in front where it is added."""
    return replace(page, records=Records.of(map(_identified, page.records)))


def _identified(record: Record) -> Record:
    if record.value.get("_id") == record.id:
        return record
    text = f'{{"_id": {json.dumps(record.id)}, {record.text[1:].lstrip()}'
    return Record(record.id, text, {"_id": record.id, **record.value})
