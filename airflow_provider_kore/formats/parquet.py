"""Parquet: typed columns, one schema for the whole snapshot however sparse its custom fields are."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from math import isfinite
from typing import TYPE_CHECKING, Any, BinaryIO

from airflow_provider_kore.formats.columns import (
    FIRST_INSTANT,
    ID,
    LAST_INSTANT,
    ColumnSet,
    id_of,
)
from airflow_provider_kore.formats.compression import GZIP, GZIP_LEVEL, NONE, SNAPPY, ZSTD, Borrowed, require_pyarrow
from airflow_provider_kore.formats.layout import FileInfo, naming_damage
from airflow_provider_kore.formats.row_groups import ROWS_PER_GROUP, RowGroups, arrow_types
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

CELLS_READ_AT_ONCE = 1_000_000
"""Of a group that has more, some columns are decoded after the others."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(hours=23, minutes=59)
"""The largest offset that a time may have."""


class Parquet:
    """A Parquet file of format version 2.6 with a checksum on every page."""

    name = "parquet"
    compressions = (SNAPPY, ZSTD, GZIP, NONE)
    needs_columns = True
    has_types = True

    def suffix(self, compression: str) -> str:  # noqa: ARG002  # the file itself says how its pages are compressed
        """Return ``.parquet``."""
        return ".parquet"

    def media_type(self, compression: str) -> str:  # noqa: ARG002  # as above
        """Return Parquet's registered type."""
        return "application/vnd.apache.parquet"

    def require(self, compression: str) -> None:  # noqa: ARG002  # pyarrow brings all of them
        """Raise ParameterError if pyarrow is missing."""
        require_pyarrow("file_format", self.name, '"jsonl" or "csv"')

    def write(self, rows: Iterable[str], file: BinaryIO, *, compression: str, columns: ColumnSet) -> FileInfo:
        """Write the rows in groups; a file without rows still has its schema."""
        from pyarrow import parquet

        table = RowGroups(columns)
        written = 0
        with parquet.ParquetWriter(
            Borrowed(file),
            table.schema,
            version="2.6",
            compression=compression,
            compression_level=GZIP_LEVEL if compression == GZIP else None,
            write_page_checksum=True,
        ) as writer:
            for group in table.groups(rows):
                writer.write_batch(group)
                written += group.num_rows
                del group  # or the next one is built beside it
                _give_back()
        return FileInfo(rows=written, columns=table.columns)

    def read_ids(self, file: BinaryIO, *, compression: str) -> Iterator[str]:  # noqa: ARG002  # the file knows
        """Decode every column of every group, check its pages' checksums, and return the first column."""
        return naming_damage(self.name, _read_ids(file))

    def read_rows(self, file: BinaryIO, *, compression: str) -> Iterator[tuple[str, str]]:  # noqa: ARG002  # the file knows
        """Decode every column of every group; see :class:`~airflow_provider_kore.formats.Format`."""
        return naming_damage(self.name, _read_rows(file))


def _read_ids(file: BinaryIO) -> Iterator[str]:
    for portions in _blocks(file):
        first = next(portions).column(0).to_pylist()
        for _ in portions:
            pass
        for found in first:
            yield id_of({ID: found})


def _read_rows(file: BinaryIO) -> Iterator[tuple[str, str]]:
    for portions in _blocks(file):
        identifiers: list[str | None] = []
        rows: list[list[str]] = []
        for batch in portions:
            if not rows:
                identifiers = batch.column(0).to_pylist()
                rows = [[] for _ in identifiers]
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                _add_members(rows, json.dumps(name), column)
        for identifier, members in zip(identifiers, rows, strict=True):
            yield id_of({ID: identifier}), "{" + ", ".join(members) + "}"


def _add_members(rows: list[list[str]], name: str, column: pa.Array) -> None:
    """Add a column's values, as members of the rows' JSON objects."""
    import pyarrow as pa

    if column.null_count == len(column):
        return
    is_time = pa.types.is_timestamp(column.type)
    values = (column.cast(pa.int64()) if is_time else column).to_pylist()
    spell = _spell_instant if is_time else _spell
    for members, value in zip(rows, values, strict=True):
        if value is not None:
            members.append(f"{name}: {spell(value)}")


def _spell(value: object) -> str:
    """Return a value of a column as JSON; a double that is whole as the integer that it may have been."""
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError("a number is not finite")
        if value.is_integer() and abs(value) <= 2**53 and str(value) != "-0.0":
            return str(int(value))
    return json.dumps(value)


def _spell_instant(milliseconds: int) -> str:
    """Return a point in time as JSON: with ``Z``, or where it then had another year than 1 to 9999, with an offset."""
    offset = -_DAY if milliseconds > LAST_INSTANT else _DAY if milliseconds < FIRST_INSTANT else timedelta()
    try:
        local = _EPOCH.replace(tzinfo=None) + (timedelta(milliseconds=milliseconds) + offset)
    except OverflowError:
        raise ValueError("a time is outside of the years 1 to 9999") from None
    text = local.replace(tzinfo=timezone(offset)).isoformat(timespec="milliseconds")
    return f'"{text.removesuffix("+00:00")}Z"' if not offset else f'"{text}"'


def _blocks(file: BinaryIO) -> Iterator[Iterator[pa.RecordBatch]]:
    """Decode a file, some rows after the others; of each some columns after the others, where all would be too much."""
    from pyarrow import parquet

    with parquet.ParquetFile(Borrowed(file), page_checksum_verification=True) as table:
        schema = table.schema_arrow
        _check_schema(schema)
        # One group after the other: over all of them, Arrow keeps what it has read of each until the end.
        for group in range(table.num_row_groups):
            height = table.metadata.row_group(group).num_rows
            if height > ROWS_PER_GROUP or height * len(schema) <= CELLS_READ_AT_ONCE:
                for batch in table.iter_batches(ROWS_PER_GROUP, row_groups=[group], use_threads=False):
                    yield iter([batch])
            else:
                yield _portions(table, group, schema.names, max(1, CELLS_READ_AT_ONCE // height))
            _give_back()


def _portions(table: Any, group: int, names: list[str], width: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(names), width):
        some = names[start : start + width]
        # Arrow takes "a" for "a.b" as well, as for a member of it.
        found = table.read_row_group(group, columns=some, use_threads=False).select(some)
        (batch,) = found.combine_chunks().to_batches()
        yield batch
        del found, batch
        _give_back()


def _check_schema(schema: pa.Schema) -> None:
    """Refuse what :class:`Parquet` never writes, and would not be read as it was meant. Raises ValueError."""
    if schema.names[:1] != [ID]:
        raise ValueError(f"its first column isn't {ID}")
    if len(set(schema.names)) != len(schema.names):
        raise ValueError("two of its columns have the same name")
    ours = set(arrow_types().values())
    for number, field in enumerate(schema):
        if field.type not in ours:
            raise ValueError(f"its column {number + 1} has a type that snapshots don't have ({quoted(field.type)})")


def _give_back() -> None:
    """Let Arrow return what it freed; it would keep some 20 MB, and each of its threads has a share of its own."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
