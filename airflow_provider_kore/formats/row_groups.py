"""Rows become the row groups of a Parquet file: typed columns, one group after the other, one of them in memory."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.formats.columns import (
    KINDS_OF_TYPE,
    TIMESTAMP_TYPE,
    ColumnSet,
    kind_of,
    milliseconds,
    printable,
    text_of,
)
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
        TIMESTAMP_TYPE: pa.timestamp("ms", "UTC"),
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
        group: dict[str, Cells] = {}
        height = characters = written = 0
        most = rows_per_group(len(self.columns), written)
        for row in rows:
            for key, cell in cells(row).items():
                column = group.get(key)
                if column is None:
                    column = group[key] = Cells()
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

    def _batch(self, group: dict[str, Cells], height: int) -> pa.RecordBatch:
        import pyarrow as pa

        arrays = []
        empty: dict[pa.DataType, pa.Array] = {}
        for key, column, field in zip(self._keys, self.columns, self.schema, strict=True):
            found = group.pop(key, None)
            if found is not None:
                arrays.append(array_of(found.of(height), column.type, field.type))
                continue
            if field.type not in empty:  # one for all columns of the type
                empty[field.type] = pa.nulls(height, field.type)
            arrays.append(empty[field.type])
        if group:
            raise ValueError("a row has a field that the columns don't know")
        return pa.record_batch(arrays, schema=self.schema)


class Cells:
    """What was found in a column of one group. Rows without it take no place: a table may have many such columns."""

    __slots__ = ("cells", "rows")

    def __init__(self) -> None:
        self.rows: list[int] = []
        """The number of the row of each cell."""
        self.cells: list[Cell] = []

    def of(self, height: int) -> list[Cell]:
        """Return a cell for each of so many rows."""
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

    try:
        values = [_value(cell, type_) for cell in column]
        try:
            return pa.array(values, arrow_type)
        except UnicodeEncodeError:
            return pa.array([None if cell is None else printable(str(cell)) for cell in values], arrow_type)
    except (ValueError, OverflowError):
        pass  # their messages quote the value
    raise ValueError(f"a value doesn't fit its column, which the columns say is {type_}")


def _value(cell: Cell, type_: str) -> object:
    """Return a cell as a column of one of our types holds it.

    Raises ValueError for what :class:`ColumnSet` would not have called this type.
    """
    if cell is None:
        return None
    if type_ == "string":
        return text_of(cell)
    found: object = None
    if type_ == TIMESTAMP_TYPE:
        found = milliseconds(cell) if cell.__class__ is str else None
    elif kind_of(cell) & KINDS_OF_TYPE[type_]:
        found = _PYTHON[type_](cell)
    if found is None:
        raise ValueError
    return found


_PYTHON: dict[str, Callable[[Any], object]] = {"json": str, "int64": int, "double": float, "boolean": bool}
