"""Contacts as record batches of the table's columns: each value as the column holds it, or not at all.

A column's type is the table's, whatever the snapshot calls it: so csv, which has no types, and jsonl go into the same
table as parquet does. A value goes into a column only if it says the same there: text takes everything, as JSON writes
it, a number no text, and no number of which a digit would be lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.exceptions import TableMismatchError
from airflow_provider_kore.formats.columns import (
    FLOAT,
    ID,
    INTEGER,
    SMALL,
    kind_of,
    milliseconds,
    printable,
    text_of,
)
from airflow_provider_kore.formats.row_groups import CHARACTERS_PER_GROUP, rows_per_group
from airflow_provider_kore.json_text import Cell, Nested, cells
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pyarrow as pa

    from airflow_provider_kore.iceberg.landed import Landed


@dataclass(frozen=True, slots=True)
class FileColumns:
    """The columns of a data file."""

    schema: pa.Schema
    names: Mapping[str, str]
    """The columns of the schema by those of the table."""
    types: Mapping[str, str]
    """Iceberg's types by the columns of the table, all but the partition's."""
    table: str
    """Its name, for messages."""


def batches(rows: Iterable[str], columns: FileColumns, landed: Landed) -> Iterator[pa.RecordBatch]:
    """Turn rows (raw JSON objects) into batches, as large as a snapshot's row groups; never more than one is held.

    Raises TableMismatchError if a value does not fit its column.
    """
    group: dict[str, _Cells] = {column: _Cells(column, type_) for column, type_ in columns.types.items()}
    by_field: dict[str, _Cells] = {}
    height = characters = written = 0
    most = rows_per_group(len(columns.schema), written)
    for row in rows:
        for name, cell in cells(row).items():
            if cell is None:
                continue
            column = by_field.get(name)
            if column is None:
                column = by_field[name] = _column_of(name, group, landed)
            if not column.put(cell, height):
                raise _conflict(landed, column, columns.table)
        height += 1
        characters += len(row)
        if height == most or characters >= CHARACTERS_PER_GROUP:
            yield _batch(group, height, columns, landed)
            written += height
            height = characters = 0
            most = rows_per_group(len(columns.schema), written)
    if height:
        yield _batch(group, height, columns, landed)


class _Cells:
    """What was found in a column of one batch. Rows without it take no place: a table may have many such columns."""

    __slots__ = ("convert", "is_text", "name", "rows", "type", "values")

    def __init__(self, name: str, type_: str) -> None:
        self.name, self.type = name, type_
        self.convert = _CONVERT[type_]
        self.is_text = type_ == "string"
        self.rows: list[int] = []
        """The number of the row of each value."""
        self.values: list[Any] = []

    def put(self, cell: Cell, row: int) -> bool:
        """Take in the cell of a row; say whether it fits."""
        if self.rows and self.rows[-1] == row:
            return False  # two fields of a row are spelt alike
        if self.is_text and cell.__class__ is str:
            value: object = cell
        else:
            try:
                value = self.convert(cell)
            except (ValueError, OverflowError):
                return False
        self.rows.append(row)
        self.values.append(value)
        return value is not None

    def take(self, height: int) -> list[Any]:
        """Return a value for each of so many rows, and begin anew."""
        rows, values = self.rows, self.values
        self.rows, self.values = [], []
        if len(values) == height:
            return values
        found: list[Any] = [None] * height
        for row, value in zip(rows, values, strict=True):
            found[row] = value
        return found


def _column_of(field: str, group: Mapping[str, _Cells], landed: Landed) -> _Cells:
    """Return the column of a field as rows spell it. Raises TableMismatchError."""
    name = landed.columns.spelling.get(field) or printable(field)
    if name not in group:
        raise _unknown(landed, name)
    return group[name]


def _batch(group: Mapping[str, _Cells], height: int, columns: FileColumns, landed: Landed) -> pa.RecordBatch:
    import pyarrow as pa

    names, schema = columns.names, columns.schema
    constant = {
        names["contact_list_id"]: landed.contact_list_id,
        names["snapshot_date"]: date.fromisoformat(landed.snapshot_date),
    }
    of_file = {names[name]: column for name, column in group.items()}
    arrays = []
    for field in schema:
        if field.name in constant:
            arrays.append(pa.repeat(pa.scalar(constant[field.name], field.type), height))
            continue
        column = of_file[field.name]
        arrays.append(_array(column.take(height), field.type) if column.values else pa.nulls(height, field.type))
    return pa.record_batch(arrays, schema=schema)


def _array(values: list[Any], type_: pa.DataType) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(values, type_)
    except UnicodeEncodeError:
        return pa.array([None if value is None else printable(value) for value in values], type_)


def _text(cell: Cell) -> str | None:
    found = text_of(cell)
    return None if found is None else str(found)


def _number(kinds: int, convert: Callable[[str], object]) -> Callable[[Cell], object]:
    return lambda cell: convert(str(cell)) if kind_of(cell) & kinds else None


def _boolean(cell: Cell) -> bool | None:
    return cell if isinstance(cell, bool) else None


def _microseconds(cell: Cell) -> int | None:
    found = milliseconds(cell) if isinstance(cell, str) and not isinstance(cell, Nested) else None
    return None if found is None else found * 1000


_CONVERT: Final[Mapping[str, Callable[[Cell], object]]] = {
    "string": _text,
    "long": _number(SMALL | INTEGER, int),
    "double": _number(SMALL | FLOAT, float),
    "boolean": _boolean,
    "timestamptz": _microseconds,
}
WRITABLE: Final = frozenset(_CONVERT)
"""Iceberg's types that snapshots can fill."""


def _conflict(landed: Landed, column: _Cells, table: str) -> TableMismatchError:
    here = landed.columns.types.get(column.name) or "text"
    return TableMismatchError(
        f"A value of the column {quoted(column.name)!r} in the snapshot of {landed.address} does not fit the Iceberg "
        f"table {table}: there the column is {column.type}, here {quoted(here)}. The table is as it was. Iceberg "
        "cannot change a column to that type; land the list with the table's type, or commit it to another table."
    )


def _unknown(landed: Landed, column: str) -> TableMismatchError:
    return TableMismatchError(
        f"A contact in the snapshot of {landed.address} has the field {quoted(column)!r}, which its manifest does not "
        f"name: it names no more than a table has columns. Land the fields that you need: "
        f'fields=["{ID}", …]. The table is as it was.'
    )
