"""Parquet: typed columns, one schema for the whole snapshot however sparse its custom fields are."""

from __future__ import annotations

import json
from contextlib import nullcontext
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
from airflow_provider_kore.formats.layout import FileInfo, Format, naming_damage
from airflow_provider_kore.formats.row_groups import ROWS_PER_GROUP, RowGroups, arrow_types
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import pyarrow as pa

    from airflow_provider_kore.formats.layout import Keep

CELLS_READ_AT_ONCE = 1_000_000
"""Of a group that has more, some columns are decoded after the others."""

MOST_BYTES_OF_GROUP = 256 * 1024 * 1024
"""Before it is decoded; what is written here has a tenth of that, and a bomb may claim any number."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(hours=23, minutes=59)
"""The largest offset that a time may have."""


class Parquet(Format):
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
        table = RowGroups(columns)
        written = 0
        with _writer(file, table.schema, compression) as writer:
            for group in table.groups(rows):
                writer.write_batch(group)
                written += group.num_rows
                del group  # or the next one is built beside it
                _give_back()
        return FileInfo(rows=written, columns=table.columns)

    def _ids(self, file: BinaryIO, compression: str) -> Iterator[str]:  # noqa: ARG002  # the file knows
        """Decode every column of every group, check its pages' checksums, and yield the first column."""
        for portions in _blocks(file):
            first = _values(next(portions).column(0))
            for _ in portions:
                pass
            for found in first:
                yield id_of({ID: found})

    def _rows(self, file: BinaryIO, compression: str) -> Iterator[tuple[str, str]]:  # noqa: ARG002  # the file knows
        for portions in _blocks(file):
            identifiers: list[str | None] = []
            rows: list[list[str]] = []
            for batch in portions:
                if not rows:
                    identifiers = _values(batch.column(0))
                    rows = [[] for _ in identifiers]
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    _add_members(rows, json.dumps(name), column)
            for identifier, members in zip(identifiers, rows, strict=True):
                yield id_of({ID: identifier}), "{" + ", ".join(members) + "}"

    def sift(
        self, file: BinaryIO, into: BinaryIO | None, *, compression: str, fields: Collection[str], keep: Keep
    ) -> None:
        """Copy group by group, under the same schema; see :class:`~airflow_provider_kore.formats.Format`."""
        kept = naming_damage(self.name, _kept(file, fields, keep, whole=into is not None))
        schema = next(kept)
        with nullcontext() if into is None else _writer(into, schema, compression) as writer:
            for group in kept:
                if writer is not None and group.num_rows:
                    writer.write_batch(group)
                del group  # or the next one is read beside it
                _give_back()


def _writer(file: BinaryIO, schema: pa.Schema, compression: str) -> Any:
    from pyarrow import parquet

    return parquet.ParquetWriter(
        Borrowed(file),
        schema,
        version="2.6",
        compression=compression,
        compression_level=GZIP_LEVEL if compression == GZIP else None,
        write_page_checksum=True,
    )


def _kept(file: BinaryIO, fields: Collection[str], keep: Keep, *, whole: bool) -> Iterator[Any]:
    """Yield the schema, then the rows that stay, batch by batch.

    :param whole: False: no more of them than what ``keep`` is shown.
    """
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(Borrowed(file), page_checksum_verification=True) as table:
        schema = table.schema_arrow
        _check_schema(schema)
        yield schema
        shown = [name for name in schema.names if name in fields]
        columns = None if whole else [ID, *shown]
        # One group after the other: over all of them, Arrow keeps what it has read of each until the end.
        for group in range(table.num_row_groups):
            for batch in table.iter_batches(ROWS_PER_GROUP, row_groups=[group], columns=columns, use_threads=False):
                cells = zip(*(batch.column(name).to_pylist() for name in (ID, *shown)), strict=True)
                stays = [keep(id_of({ID: row[0]}), dict(zip(shown, row[1:], strict=True)), "") for row in cells]
                yield batch if all(stays) else batch.filter(pa.array(stays, pa.bool_()))


def _add_members(rows: list[list[str]], name: str, column: pa.Array) -> None:
    """Add a column's values, as members of the rows' JSON objects."""
    import pyarrow as pa

    if column.null_count == len(column):
        return
    if pa.types.is_dictionary(column.type):
        told = [f"{name}: {_spell(value)}" for value in column.dictionary.to_pylist()]
        for members, number in zip(rows, column.indices.to_pylist(), strict=True):
            if number is not None:
                members.append(told[number])
        return
    is_time = pa.types.is_timestamp(column.type)
    values = (column.cast(pa.int64()) if is_time else column).to_pylist()
    spell = _spell_instant if is_time else _spell
    for members, value in zip(rows, values, strict=True):
        if value is not None:
            members.append(f"{name}: {spell(value)}")


def _values(texts: pa.Array) -> list[str | None]:
    """Return texts that were read as a dictionary: each is made once, however often it stands there."""
    known = texts.dictionary.to_pylist()
    return [None if number is None else known[number] for number in texts.indices.to_pylist()]


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
    """Decode a file, some rows after the others; of each some columns after the others, where all would be too much.

    Texts come as dictionaries, as they are stored: a file of 20 KB may hold a text of 1 MB thousands of times.
    """
    import pyarrow as pa
    from pyarrow import parquet

    metadata = parquet.read_metadata(Borrowed(file))
    schema = metadata.schema.to_arrow_schema()
    _check_schema(schema)
    texts = [field.name for field in schema if field.type == pa.string()]
    with parquet.ParquetFile(
        Borrowed(file), metadata=metadata, read_dictionary=texts, page_checksum_verification=True
    ) as table:
        # One group after the other: over all of them, Arrow keeps what it has read of each until the end.
        for group in range(table.num_row_groups):
            height = metadata.row_group(group).num_rows
            if metadata.row_group(group).total_byte_size > MOST_BYTES_OF_GROUP:
                raise ValueError(f"a group of its rows has more than {MOST_BYTES_OF_GROUP:,} bytes")
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
