"""Data files: written from verified snapshots, batch by batch, and taken away again where no commit took them in."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final, cast

from airflow_provider_kore.exceptions import CorruptSnapshotError, TableMismatchError
from airflow_provider_kore.formats.columns import ID
from airflow_provider_kore.iceberg.rows import FileColumns, batches
from airflow_provider_kore.iceberg.table import FILLED_BY, PARTITION, not_writable
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.reading import read_rows
from airflow_provider_kore.walk.ids import IdSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pyiceberg.io import FileIO, OutputFile
    from pyiceberg.io.fileformat import DataFileStatistics
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table.metadata import TableMetadata

    from airflow_provider_kore.iceberg.landed import Landed
    from airflow_provider_kore.snapshot.phases import Teller
    from airflow_provider_kore.stop import Stop

    _Layout = tuple[int, list[tuple[str, int, str]]]
    """The number of a partitioning, and names, ids and types of columns."""

log = logging.getLogger(__name__)

BYTES_PER_FILE: Final = 256 * 1024 * 1024
"""Of batches in memory; with the one that reaches this, a data file ends. What a reader opens at once is smaller."""


@dataclass(slots=True)
class Written:
    """What a task has written for a table, and no commit has taken in."""

    files: dict[tuple[str, str], tuple[_Layout, list[DataFile]]] = field(default_factory=dict)
    """By partition, with what they were written for."""
    paths: dict[str, None] = field(default_factory=dict)
    """Of all objects, those that were only begun too."""
    io: FileIO | None = None
    in_doubt: bool = False
    """Whether a commit may have taken them in, or may still do so."""

    def fits(self, landed: Landed, metadata: TableMetadata) -> bool:
        """Say whether the files of a snapshot are there, and as a table with this metadata wants them."""
        layout, _ = self.files.get(landed.partition, (None, []))
        return layout == _layout(metadata, landed)

    def keep(self, paths: Iterable[str]) -> None:
        """Note that a commit has taken these in."""
        for path in paths:
            self.paths.pop(path, None)
        self.in_doubt = False

    def discard(self, name: str) -> None:
        """Delete what no commit has taken in; tell of what stays.

        :param name: of the table.
        """
        left = len(self.paths) if self.in_doubt else 0
        for path in () if self.in_doubt else self.paths:
            try:
                cast("FileIO", self.io).delete(path)
            except FileNotFoundError:
                pass
            except Exception:  # noqa: BLE001  # whatever the storage raises: what is wrong has been raised already
                left += 1
        self.paths.clear()
        if left:
            log.warning(
                "%d files that this task wrote for the Iceberg table %s stay in its storage, although no commit may "
                "ever take them in. No reader sees them; Spark's remove_orphan_files takes them away.",
                left,
                name,
            )


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes snapshots as data files of a table, which is what its metadata says, committed or not yet."""

    metadata: TableMetadata
    io: FileIO
    name: str
    stop: Stop
    teller: Teller

    def write(self, landed: Landed, written: Written) -> None:
        """Write one snapshot, and note its data files; of an empty one there are none.

        Raises CorruptSnapshotError, DriftError, TableMismatchError, what the table's storage raises.
        """
        import pyarrow as pa
        from pyiceberg.io.fileformat import FileFormatFactory
        from pyiceberg.manifest import FileFormat

        schema = self.metadata.schema()
        layout = _, chosen = _layout(self.metadata, landed)
        _check(chosen, schema, self.name)
        files: list[DataFile] = []
        file_schema, columns = _file_columns(schema, chosen, self.name)
        source = batches(self._rows(landed), columns, landed)
        batch = next(source, None)
        while batch is not None:
            output, size = self._new_file(landed, written.paths), 0
            with FileFormatFactory.get(FileFormat.PARQUET).create_writer(
                output, file_schema, self.metadata.properties
            ) as writer:
                while batch is not None and size < BYTES_PER_FILE:
                    writer.write(pa.Table.from_batches([batch]))
                    size += batch.nbytes
                    batch = None  # or the next one is built beside it
                    pa.default_memory_pool().release_unused()
                    batch = next(source, None)
            files.append(self._data_file(landed, output, writer.result()))
        written.files[landed.partition] = layout, files

    def _rows(self, landed: Landed) -> Iterator[str]:
        """Read the files of a snapshot as their manifest describes them."""
        manifest, seen = landed.manifest(), IdSet()
        seen.expect(landed.rows)
        what = f"committing {quoted(landed.contact_list_id)} of {landed.snapshot_date}"
        with self.teller.phase(what, "contacts", landed.rows) as phase:
            for file in manifest.files:
                before = len(seen)
                for identifier, row in read_rows(landed.store, manifest, file, self.stop):
                    if not seen.add(identifier):
                        raise _not_as_described(landed, file, "holds an _id twice, or that of another file")
                    if len(seen) % 10_000 == 0:
                        self.stop.check()
                        phase.reached(len(seen))
                    yield row
                if len(seen) - before != file["rows"]:
                    found = f"holds {len(seen) - before:,} contacts, and the manifest says {file['rows']:,}"
                    raise _not_as_described(landed, file, found)

    def _new_file(self, landed: Landed, paths: dict[str, None]) -> OutputFile:
        from pyiceberg.table.locations import load_location_provider

        places = load_location_provider(self.metadata.location, self.metadata.properties)
        name = f"kore-{landed.snapshot_id}-{uuid.uuid4().hex}.parquet"
        path = places.new_data_location(name, self._partition(landed))
        paths[path] = None
        return self.io.new_output(path)

    def _data_file(self, landed: Landed, output: OutputFile, statistics: DataFileStatistics) -> DataFile:
        """Return how the table's metadata describes a file."""
        from pyiceberg.manifest import DataFile, DataFileContent, FileFormat

        return DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=output.location,
            file_format=FileFormat.PARQUET,
            partition=self._partition(landed).partition,
            file_size_in_bytes=len(output),
            sort_order_id=None,
            spec_id=self.metadata.default_spec_id,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        )

    def _partition(self, landed: Landed) -> Any:
        from pyiceberg.partitioning import PartitionFieldValue, PartitionKey

        schema, spec = self.metadata.schema(), self.metadata.spec()
        values: dict[str, object] = {
            "contact_list_id": landed.contact_list_id,
            "snapshot_date": date.fromisoformat(landed.snapshot_date),
        }
        told = [PartitionFieldValue(each, values[str(schema.find_column_name(each.source_id))]) for each in spec.fields]
        return PartitionKey(told, spec, schema)


def _file_columns(schema: Schema, chosen: list[tuple[str, int, str]], table: str) -> tuple[Schema, FileColumns]:
    """Return those columns of a table that a file has, under names that every engine can read."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow
    from pyiceberg.schema import Schema, make_compatible_name

    fields = [schema.find_field(number) for _, number, _ in chosen]
    safe = [make_compatible_name(each.name) for each in fields]
    if len(set(safe)) != len(safe):  # "a b" is written as a_x20b, which may be another field's name
        safe = [f"c{each.field_id}" for each in fields]
    part = Schema(*(each.model_copy(update={"name": name}) for each, name in zip(fields, safe, strict=True)))
    names = {each.name: name for each, name in zip(fields, safe, strict=True)}
    types = {column: type_ for column, _, type_ in chosen if column not in PARTITION}
    return part, FileColumns(schema_to_pyarrow(part), names, types, table)


def _layout(metadata: TableMetadata, landed: Landed) -> _Layout:
    """Return the partitioning and the columns of the data files of a snapshot."""
    wanted = {*PARTITION, ID, *landed.columns.types}
    fields = [each for each in metadata.schema().fields if each.name in wanted]
    return metadata.default_spec_id, [(each.name, each.field_id, str(each.field_type)) for each in fields]


def _check(chosen: list[tuple[str, int, str]], schema: Schema, name: str) -> None:
    for column, _, type_ in chosen:
        if column not in PARTITION and type_ not in FILLED_BY:
            raise not_writable(name, column, type_)
    there = {column for column, _, _ in chosen}
    for each in schema.fields:
        if each.required and each.name not in there:
            raise TableMismatchError(
                f"The Iceberg table {name} requires the column {quoted(each.name)!r}, which the snapshot does not "
                "have. The table is as it was; make the column optional, or pass another table."
            )


def _not_as_described(landed: Landed, file: Mapping[str, Any], problem: str) -> CorruptSnapshotError:
    return CorruptSnapshotError(
        f"{landed.store.uri(quoted(file['key'], 200))} {problem}. Don't use it; take the snapshot again. The table is "
        "as it was."
    )
