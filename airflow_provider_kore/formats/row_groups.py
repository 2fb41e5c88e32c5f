"""Rows become the row groups of a Parquet file: typed columns, one group after the other, one of them in memory."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from airflow_provider_kore.formats.columns import KINDS_OF_TYPE, ColumnSet, kind_of, milliseconds, printable, text_of
from airflow_provider_kore.json_text import Cell, cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

ROWS_PER_GROUP = 10_000
CHARACTERS_PER_GROUP = 16 * 1024 * 1024
"""A row group is held in memory until it is whole: it ends with its 10,000th row, or earlier after so much JSON, or if
its columns are many (:func:`rows_per_group`)."""

CELLS_PER_GROUP = 4_000_000
"""Arrow holds four bytes or more for each cell of a group, be it empty; so a table of many columns has lower groups."""

_BYTES_OF_CHUNK = 1_850
"""What a column of one group costs until the file's end, as measured: its part of the footer, twice."""


def arrow_types() -> dict[str, pa.DataType]:
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


class RowGroups:
    """Turns rows into record batches of one schema."""

    def __init__(self, known: ColumnSet) -> None:
        import pyarrow as pa

        types = arrow_types()
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
                column.rows.append(height)
                column.cells.append(cell)
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
                arrays.append(array_of(found.to(height), column.type, field.type))
                continue
            if field.type not in empty:  # one for all columns of the type
                empty[field.type] = pa.nulls(height, field.type)
            arrays.append(empty[field.type])
        if group:
            raise ValueError("a row has a field that the columns don't know")
        return pa.record_batch(arrays, schema=self.schema)


class _Column:
    """The cells of one field in a row group. Rows without it take no place: a table may have many such fields."""

    __slots__ = ("cells", "rows")

    def __init__(self) -> None:
        self.rows: list[int] = []
        """Whose cells they are."""
        self.cells: list[Cell] = []

    def to(self, height: int) -> list[Cell]:
        """Return a cell for each row of a group."""
        found: list[Cell] = [None] * height
        for row, cell in zip(self.rows, self.cells, strict=True):
            found[row] = cell
        return found


def rows_per_group(columns: int, written: int) -> int:
    """Return how many rows the next group has at the most.

    A group takes memory for each of its cells, and a finished one for each column. So groups of a table of many columns
    begin low, and grow as the square root of what is written, which keeps the sum of both the lowest.
    """
    least = max(1, CELLS_PER_GROUP // max(1, columns))
    return min(ROWS_PER_GROUP, max(least, int(sqrt(written * _BYTES_OF_CHUNK / 4))))


def array_of(column: list[Cell], type_: str, arrow_type: pa.DataType) -> pa.Array:
    """Return cells as a column of one of our types. Raises ValueError, without the value, if one does not fit."""
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
