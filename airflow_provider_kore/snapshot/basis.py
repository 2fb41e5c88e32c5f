"""The last snapshot as the beginning of the next one: whether it may be that, and its rows once more.

It may, if nothing says otherwise: it was published by this package with this connection's secret, which its manifest's
seal proves; it is of the same list, account, policies and format; its files are what the manifest says; and it is not
longer ago than its author allows that all of the list was read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_provider_kore.exceptions import (
    CheckpointLostError,
    CorruptSnapshotError,
    DriftError,
    RequestRefusedError,
    StorePermissionError,
)
from airflow_provider_kore.formats import ColumnSet
from airflow_provider_kore.json_text import join, members
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.chunks import temp_space
from airflow_provider_kore.snapshot.fields import FieldCounts
from airflow_provider_kore.snapshot.reading import read_rows
from airflow_provider_kore.snapshot.rivals import TOLERATED_FUTURE, instant
from airflow_provider_kore.snapshot.schema import columns_of
from airflow_provider_kore.snapshot.seal import Seal
from airflow_provider_kore.walk.continuation import Known
from airflow_provider_kore.walk.page import INSTANT_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_kore.formats import Table
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.snapshot.target import Target
    from airflow_provider_kore.snapshot.work import Work
    from airflow_provider_kore.walk.reader import Connection

_ROWS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a manifest tells the next snapshot of the same list (``incremental``)."""

    ascending: bool
    """Whether all rows came in the order they were created."""
    last_created: str
    """The newest ``createdAt``."""
    page_rows: int
    """How many rows its server served in one page."""
    whole_walk_at: str
    """When the last walk over all of the list began."""
    found: Mapping[str, int]
    """How many rows have each field that the author named."""
    off: str | None
    """Why all of this list is read each time; None: that need not be."""

    @classmethod
    def of(cls, manifest: Manifest) -> Self | None:
        """Read it; None if it is not there, or not as this version writes it."""
        told: Any = manifest.content.get("incremental")
        try:
            return cls(
                ascending=told["ascending"] is True,
                last_created=str(told["last_created"]),
                page_rows=int(told["page_rows"]),
                whole_walk_at=instant(datetime.fromisoformat(told["whole_walk_at"]).timestamp()),
                found={str(name): int(number) for name, number in told["found"].items()},
                off=None if told["off"] is None else str(told["off"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            return None

    @property
    def whole_walk_seconds(self) -> float:
        """When the last walk over all of the list began, in seconds since the epoch."""
        return datetime.fromisoformat(self.whole_walk_at).timestamp()


class Basis:
    """A snapshot that the next one may be built on. Its files are fetched and verified each time they are read.

    :param history: what its manifest says of how it came about.
    """

    def __init__(self, manifest: Manifest, history: History, work: Work) -> None:
        self.manifest = manifest
        self.history = history
        self._work = work
        self.known = Known(
            snapshot_id=manifest.snapshot_id,
            rows=manifest.rows,
            mark=str(manifest.content.get("list_updated_at") or ""),
            last_created=history.last_created,
            page_rows=max(1, history.page_rows),
            probes=work.spec.probes,
        )
        self.seal = str(manifest.content["seal"])
        self._format = work.spec.file_format
        self._columns = [(name, type_ or "string") for name, type_ in columns_of(manifest).items()]
        self._json = frozenset(name for name, type_ in self._columns if type_ == "json" and self._format.has_types)

    def ids(self) -> Iterator[str]:
        """Yield the id of every row, in order. Raises CheckpointLostError, TempSpaceError."""
        return (identifier for identifier, _ in self._read())

    def rows(self) -> Iterator[str]:
        """Yield every row, in order, so that its format writes it as it was. Raises as :meth:`ids` does."""
        return (self._unnested(row) if self._json else row for _, row in self._read())

    def _read(self) -> Iterator[tuple[str, str]]:
        manifest, work = self.manifest, self._work
        try:
            for file in manifest.files:
                with (
                    temp_space(),
                    work.teller.phase(f"reading the snapshot of {manifest.snapshot_date}", "rows") as phase,
                ):
                    rows = phase.counted(read_rows(work.store, manifest, file, work.stop))
                    yield from work.stop.guard(rows, every=_ROWS_AT_ONCE)
        except (CorruptSnapshotError, DriftError, RequestRefusedError, StorePermissionError) as err:
            raise CheckpointLostError(
                f"The last snapshot ({manifest.snapshot_date}) cannot be read, and is not built on: {err}"
            ) from err

    def columns(self, empty: ColumnSet) -> ColumnSet:
        """Return its columns, for those of new rows to be added.

        :param empty: how they are counted.
        """
        found = ColumnSet.known(self._columns, typed=empty.typed, times=empty.times)
        found.truncated = bool(self.manifest.content.get("columns_truncated"))
        return found

    def counts(self) -> FieldCounts:
        """Return how many of its rows have each field that the author named."""
        return FieldCounts(contacts=self.known.rows, found=dict(self.history.found))

    def misfit(self, columns: ColumnSet) -> str | None:
        """Say why its rows and new ones can't be in one file as a walk over all of them would write it; None: they can.

        :param columns: of all of them, as they will be written.
        """
        if not self._format.needs_columns:
            return None
        known = dict(self._columns)
        for column in columns.columns() if self._format.has_types else ():
            before = known.get(column.name, column.type)
            if before != column.type:
                return f"the column '{quoted(column.name)}' was {before} and would be {column.type}"
        strange = set(columns.keys()) - known.keys()
        return None if all(map(str.isprintable, strange)) else "a new field is spelt otherwise as the name of a column"

    def describe(self) -> dict[str, Any]:
        """Return what the manifest of a snapshot that builds on this one says of it."""
        manifest = self.manifest
        return {
            "snapshot_date": manifest.snapshot_date,
            "snapshot_id": manifest.snapshot_id,
            "contacts": manifest.rows,
            "list_updated_at": self.known.mark,
        }

    def _unnested(self, row: str) -> str:
        """Return a row whose nested values are JSON again, where the file has them as text."""
        raw = members(row)
        return join({name: json.loads(text) if name in self._json else text for name, text in raw.items()})


def find_basis(
    work: Work, connection: Connection, manifest: Manifest | None, table: Table, target: Target
) -> tuple[Basis | None, str | None]:
    """Say whether the last snapshot may be built on, if the author wants that.

    :param manifest: of the last good one; None: there is none.
    :param table: the columns that the new one will have.
    :param target: what the partition of this run holds.

    Returns it, None if there is none to compare with; and why the list has to be read as a whole, None if it need not.
    """
    spec = work.spec
    if not spec.incremental or not spec.dataset.grows_at_end:
        return None, None
    if manifest is None:
        return None, "there is no consistent snapshot of it yet"
    strange = _another_kind(manifest, spec, connection, Seal(connection, work.layout.list_prefix))
    strange = strange or _another_table(manifest, spec, table)
    history = History.of(manifest) if strange is None else None
    if history is None:
        strange = strange or "says nothing that a walk can build on"
        return None, f"the last snapshot ({manifest.snapshot_date}) {strange}"
    basis = Basis(manifest, history, work)
    return basis, _cleared(spec, target) or _doubt(manifest, basis.known, history, spec, work.clock.time())


def _another_kind(manifest: Manifest, spec: SnapshotSpec, connection: Connection, seal: Seal) -> str | None:
    """Say why a snapshot's rows are none that this run would publish, in words that complete "it …"; None if they are.

    What is not sealed may be anything, so that is looked at first.
    """
    content = manifest.content
    if not manifest.is_sealed(seal):
        return "has a manifest that was not written with this connection's secret, or was changed since"
    if (content.get("account_id"), content.get("stream_id")) != (connection.account_id, connection.stream_id):
        return "is of another account or application"
    fields = {name: value for name, value in dict(content.get("fields") or {}).items() if name != "missing"}
    if fields != spec.policies.describe():
        return "was made with other field policies, or another key for their hashes"
    if content.get("file_format") != spec.file_format.name:
        return f"is in another format ({quoted(str(content.get('file_format')))})"
    return None


def _another_table(manifest: Manifest, spec: SnapshotSpec, table: Table) -> str | None:
    """Say why its rows can't be written with others as they would be alone, in the same words; None if they can."""
    if not spec.file_format.needs_columns:
        return None
    columns, schema = columns_of(manifest), manifest.content.get("schema")
    if schema is not None and any("field" in column for column in schema["columns"]):
        return "has a column whose name is spelt otherwise than its field"
    retyped = [name for name, type_ in table.types.items() if columns.get(name, type_) != type_]
    return f"has another type for '{quoted(retyped[0])}' than the table has now" if retyped else None


def _cleared(spec: SnapshotSpec, target: Target) -> str | None:
    own = target.own
    if own is not None and own.run_digest == spec.run.digest and own.generation != spec.generation:
        return "this run had published already, and was cleared or made anew"
    return None


def _doubt(manifest: Manifest, known: Known, history: History, spec: SnapshotSpec, now: float) -> str | None:
    """Say why a snapshot can't be built on; None if nothing is against it."""
    recent = now - spec.full_walk_every < history.whole_walk_seconds <= now + TOLERATED_FUTURE
    reasons = {
        f"{history.off}, so it is read as a whole each time (a run with incremental=False forgets that)": history.off,
        "it told no updatedAt when the last snapshot was taken": len(known.mark) != INSTANT_LENGTH,
        "the server told no total of it when the last snapshot was taken": manifest.content.get("total_results")
        != known.rows,
        "its contacts did not come in the order they were created": not history.ascending,
        "it is time for it (full_walk_every)": not recent,
        "it is so short that this costs no more": not known.is_worth_it,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)
