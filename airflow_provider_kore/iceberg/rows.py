"""Contacts as record batches of the table's columns: each value as the column holds it, or not at all.

A column's type is the table's, whatever the snapshot calls it: so csv, which has no types, and jsonl go into the same
table as parquet does. A value goes into a column only if it says the same there: text takes everything, as JSON writes
it, a number no text, and no number of which a digit would be lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import TableMismatchError
from airflow_provider_kore.formats.columns import ID, printable
from airflow_provider_kore.formats.row_groups import CHARACTERS_PER_GROUP, array_of, arrow_types, rows_per_group
from airflow_provider_kore.iceberg.table import FILLED_BY
from airflow_provider_kore.json_text import Cell, cells
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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
    group: dict[str, _Cells] = {column: _Cells() for column in columns.types}
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
            if column.rows and column.rows[-1] == height:  # two fields of a row are spelt alike
                raise _conflict(landed, _spelt(name, landed), columns)
            column.rows.append(height)
            column.cells.append(cell)
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

    __slots__ = ("cells", "rows")

    def __init__(self) -> None:
        self.rows: list[int] = []
        """The number of the row of each cell."""
        self.cells: list[Cell] = []

    def take(self, height: int) -> list[Cell]:
        """Return a cell for each of so many rows, and begin anew."""
        rows, cells = self.rows, self.cells
        self.rows, self.cells = [], []
        if len(cells) == height:
            return cells
        found: list[Cell] = [None] * height
        for row, cell in zip(rows, cells, strict=True):
            found[row] = cell
        return found


def _column_of(field: str, group: Mapping[str, _Cells], landed: Landed) -> _Cells:
    """Return the column of a field as rows spell it. Raises TableMismatchError."""
    name = _spelt(field, landed)
    if name not in group:
        raise _unknown(landed, name)
    return group[name]


def _spelt(field: str, landed: Landed) -> str:
    return landed.columns.spelling.get(field) or printable(field)


def _batch(group: Mapping[str, _Cells], height: int, columns: FileColumns, landed: Landed) -> pa.RecordBatch:
    import pyarrow as pa

    names, schema = columns.names, columns.schema
    constant = {
        names["contact_list_id"]: landed.contact_list_id,
        names["snapshot_date"]: date.fromisoformat(landed.snapshot_date),
    }
    of_file, types = {names[name]: name for name in group}, arrow_types()
    arrays = []
    for field in schema:
        name = of_file.get(field.name)
        if name is None:
            arrays.append(pa.repeat(pa.scalar(constant[field.name], field.type), height))
        elif not group[name].cells:
            arrays.append(pa.nulls(height, field.type))
        else:
            type_ = FILLED_BY[columns.types[name]]
            try:
                found = array_of(group[name].take(height), type_, types[type_])
            except ValueError:
                raise _conflict(landed, name, columns) from None
            arrays.append(found.cast(field.type))  # instants, from milliseconds
    return pa.record_batch(arrays, schema=schema)


def _conflict(landed: Landed, column: str, columns: FileColumns) -> TableMismatchError:
    here = landed.columns.types.get(column) or "text"
    return TableMismatchError(
        f"A value of the column {quoted(column)!r} in the snapshot of {landed.address} does not fit the Iceberg "
        f"table {columns.table}: there the column is {columns.types[column]}, here {quoted(here)}. The table is as it "
        "was. Iceberg cannot change a column to that type; land the list with the table's type, or commit it to "
        "another table."
    )


def _unknown(landed: Landed, column: str) -> TableMismatchError:
    return TableMismatchError(
        f"A contact in the snapshot of {landed.address} has the field {quoted(column)!r}, which its manifest does not "
        f"name: it names no more than a table has columns. Land the fields that you need: "
        f'fields=["{ID}", …]. The table is as it was.'
    )
