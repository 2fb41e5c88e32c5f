"""Parquet: typed columns, one schema for the whole snapshot however sparse its custom fields are."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from airflow_provider_kore.formats.columns import (
    FIRST_INSTANT,
    ID,
    KINDS_OF_TYPE,
    LAST_INSTANT,
    ColumnSet,
    id_of,
    kind_of,
    milliseconds,
    printable,
    text_of,
)
from airflow_provider_kore.formats.compression import GZIP, GZIP_LEVEL, NONE, SNAPPY, ZSTD, Borrowed, require_pyarrow
from airflow_provider_kore.formats.layout import FileInfo, naming_damage
from airflow_provider_kore.json_text import Cell, cells
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

ROWS_PER_GROUP = 10_000
CHARACTERS_PER_GROUP = 16 * 1024 * 1024
"""A row group is held in memory until it is whole: it ends with its 10,000th row, or earlier after so much JSON, or if
its columns are many (:func:`rows_per_group`)."""

CELLS_PER_GROUP = 4_000_000
"""Arrow holds four bytes or more for each cell of a group, be it empty; so a table of many columns has lower groups."""

CELLS_READ_AT_ONCE = 1_000_000
"""Of a group that has more, some columns are decoded after the others."""

_BYTES_OF_CHUNK = 1_850
"""What a column of one group costs until the file's end, as measured: its part of the footer, twice."""

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

        table = _Table(columns)
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
        if value.is_integer() and abs(value) <= 2**53:
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
    ours = set(_arrow_types().values())
    for number, field in enumerate(schema):
        if field.type not in ours:
            raise ValueError(f"its column {number + 1} has a type that snapshots don't have ({quoted(field.type)})")


def _arrow_types() -> dict[str, pa.DataType]:
    """Return Arrow's types by the names of ours."""
    import pyarrow as pa

    return {
        "string": pa.string(),
        "json": pa.string(),
        "int64": pa.int64(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "timestamp[ms, UTC]": pa.timestamp("ms", "UTC"),
    }


def _give_back() -> None:
    """Let Arrow return what it freed; it would keep some 20 MB, and each of its threads has a share of its own."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


class _Table:
    """Turns rows into record batches of one schema."""

    def __init__(self, known: ColumnSet) -> None:
        import pyarrow as pa

        types = _arrow_types()
        self.columns = known.columns()
        self.schema: pa.Schema = pa.schema([(column.name, types[column.type]) for column in self.columns])
        self._keys = known.keys()

    def groups(self, rows: Iterable[str]) -> Iterator[pa.RecordBatch]:
        """Return the row groups; never more than one of them is held."""
        group: dict[str, _Column] = {}
        height = characters = written = 0
        most = rows_per_group(len(self.columns), written)
        for row in rows:
            for key, cell in cells(row).items():
                column = group.get(key)
                if column is None:
                    column = group[key] = _Column()
                if column.covered != height:  # rows without this field came before
                    column.cells.append(_Gap(height - column.covered))
                    column.has_gaps = True
                column.cells.append(cell)
                column.covered = height + 1
            height += 1
            characters += len(row)
            if height == most or characters >= CHARACTERS_PER_GROUP:
                yield self._batch(group, height)
                group = {}
                written += height
                height = characters = 0
                most = rows_per_group(len(self.columns), written)
        if height:
            yield self._batch(group, height)

    def _batch(self, group: dict[str, _Column], height: int) -> pa.RecordBatch:
        import pyarrow as pa

        arrays = []
        empty: dict[pa.DataType, pa.Array] = {}
        for key, column, field in zip(self._keys, self.columns, self.schema, strict=True):
            found = group.pop(key, None)
            if found is not None:
                arrays.append(_array(found.to(height), column.type, field.type))
                continue
            if field.type not in empty:  # one for all columns of the type
                empty[field.type] = pa.nulls(height, field.type)
            arrays.append(empty[field.type])
        if group:
            raise ValueError("a row has a field that the columns don't know")
        return pa.record_batch(arrays, schema=self.schema)


class _Gap(int):
    """So many rows that do not have a field."""


class _Column:
    """The cells of one field in a row group. Rows without it take no place: a table may have many such fields."""

    __slots__ = ("cells", "covered", "has_gaps")

    def __init__(self) -> None:
        self.cells: list[Cell | _Gap] = []
        self.covered = 0
        """How many rows they are of."""
        self.has_gaps = False

    def to(self, height: int) -> list[Cell]:
        """Return a cell for each row of a group."""
        if not self.has_gaps:
            found = cast("list[Cell]", self.cells)
        else:
            found = []
            for each in self.cells:
                if isinstance(each, _Gap):
                    found.extend([None] * each)
                else:
                    found.append(each)
        found.extend([None] * (height - self.covered))
        return found


def rows_per_group(columns: int, written: int) -> int:
    """Return how many rows the next group has at the most.

    A group takes memory for each of its cells, and a finished one for each column. So groups of a table of many columns
    begin low, and grow as the square root of what is written, which keeps the sum of both the lowest.
    """
    least = max(1, CELLS_PER_GROUP // max(1, columns))
    return min(ROWS_PER_GROUP, max(least, int(sqrt(written * _BYTES_OF_CHUNK / 4))))


def _array(column: list[Cell], type_: str, arrow_type: pa.DataType) -> pa.Array:
    import pyarrow as pa

    convert = _CONVERT[type_]
    try:
        values = [None if cell is None else convert(cell) for cell in column]
        try:
            return pa.array(values, arrow_type)
        except UnicodeEncodeError:
            return pa.array([None if cell is None else printable(str(cell)) for cell in values], arrow_type)
    except (ValueError, OverflowError):
        pass  # their messages quote the value
    raise ValueError(f"a value doesn't fit its column, which the columns say is {type_}")


def _fitting(type_: str, value: Callable[[str], object]) -> Callable[[Cell], object]:
    """Return a conversion that takes only what :class:`ColumnSet` would have called this type."""
    allowed = KINDS_OF_TYPE[type_]

    def convert(cell: Cell) -> object:
        if not isinstance(cell, str) or not kind_of(cell) & allowed:
            raise ValueError
        return value(cell)

    return convert


def _boolean(cell: Cell) -> bool:
    if not isinstance(cell, bool):
        raise ValueError  # noqa: TRY004  # the row is wrong, not the program
    return cell


def _milliseconds(cell: Cell) -> int:
    found = milliseconds(cell) if cell.__class__ is str else None
    if found is None:
        raise ValueError
    return found


_CONVERT: dict[str, Callable[[Cell], object]] = {
    "string": text_of,
    "json": _fitting("json", str),
    "int64": _fitting("int64", int),
    "double": _fitting("double", float),
    "boolean": _boolean,
    "timestamp[ms, UTC]": _milliseconds,
}
