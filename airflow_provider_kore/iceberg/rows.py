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
    group: list[dict[str, Cell]] = []
    spelt: dict[str, str] = {}
    characters = written = 0
    most = rows_per_group(len(columns.schema), written)
    for row in rows:
        group.append(_cells(row, spelt, columns, landed))
        characters += len(row)
        if len(group) == most or characters >= CHARACTERS_PER_GROUP:
            batch = _batch(group, columns, landed)
            written += len(group)
            characters, group = 0, []
            yield batch
            del batch  # or the next one is built beside it
            most = rows_per_group(len(columns.schema), written)
    if group:
        yield _batch(group, columns, landed)


def _cells(row: str, spelt: dict[str, str], columns: FileColumns, landed: Landed) -> dict[str, Cell]:
    """Return a row's values by the columns of the table.

    :param spelt: the columns by the fields as rows spell them, as far as they are known; more are added.
    """
    found: dict[str, Cell] = {}
    for field, cell in cells(row).items():
        if cell is None:
            continue
        name = spelt.get(field)
        if name is None:
            name = spelt[field] = landed.columns.spelling.get(field) or printable(field)
            if name not in columns.types:
                raise _unknown(landed, name)
        if name in found:  # two fields of a row are spelt alike
            raise _conflict(landed, name, columns)
        found[name] = cell
    return found


def _batch(group: list[dict[str, Cell]], columns: FileColumns, landed: Landed) -> pa.RecordBatch:
    import pyarrow as pa

    constant = {"contact_list_id": landed.contact_list_id, "snapshot_date": date.fromisoformat(landed.snapshot_date)}
    filled = {name for row in group for name in row}
    of_file, types = {own: name for name, own in columns.names.items()}, arrow_types()
    arrays = []
    for field in columns.schema:
        name = of_file[field.name]
        if name in constant:
            arrays.append(pa.repeat(pa.scalar(constant[name], field.type), len(group)))
        elif name not in filled:
            arrays.append(pa.nulls(len(group), field.type))
        else:
            type_ = FILLED_BY[columns.types[name]]
            try:
                found = array_of([row.get(name) for row in group], type_, types[type_])
            except ValueError:
                raise _conflict(landed, name, columns) from None
            arrays.append(found.cast(field.type))  # instants, from milliseconds
    return pa.record_batch(arrays, schema=columns.schema)


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
