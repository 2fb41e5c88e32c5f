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
from airflow_provider_kore.json_text import Cell, Nested, cells
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pyarrow as pa

    from airflow_provider_kore.iceberg.landed import Landed

ROWS_PER_BATCH: Final = 10_000
CHARACTERS_PER_BATCH: Final = 16 * 1024 * 1024
"""A batch is held in memory until it is whole: it ends with its 10,000th row, or earlier after so much JSON."""


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
    """Turn rows (raw JSON objects) into batches, of which never more than one is held.

    Raises TableMismatchError if a value does not fit its column.
    """
    types, spelling = columns.types, landed.spelling
    group: dict[str, list[Any]] = {column: [] for column in types}
    convert = {column: _CONVERT[type_] for column, type_ in types.items()}
    height = characters = 0
    for row in rows:
        for key, cell in cells(row).items():
            if cell is None:
                continue
            column = spelling.get(key) or (key if key.isascii() else printable(key))
            values = group.get(column)
            if values is None:
                raise _unknown(landed, column)
            try:
                value = convert[column](cell)
            except (ValueError, OverflowError):
                value = None
            if value is None:
                raise _conflict(landed, column, types[column], columns.table)
            if len(values) < height:
                values.extend([None] * (height - len(values)))
            values.append(value)
        height += 1
        characters += len(row)
        if height == ROWS_PER_BATCH or characters >= CHARACTERS_PER_BATCH:
            yield _batch(group, height, columns, landed)
            height = characters = 0
    if height:
        yield _batch(group, height, columns, landed)


def _batch(group: dict[str, list[Any]], height: int, columns: FileColumns, landed: Landed) -> pa.RecordBatch:
    import pyarrow as pa

    names, schema = columns.names, columns.schema
    constant = {
        names["contact_list_id"]: landed.contact_list_id,
        names["snapshot_date"]: date.fromisoformat(landed.snapshot_date),
    }
    of_file = {names[column]: column for column in group}
    arrays = []
    for field in schema:
        if field.name in constant:
            arrays.append(pa.repeat(pa.scalar(constant[field.name], field.type), height))
            continue
        column = of_file[field.name]
        values, group[column] = group[column], []
        arrays.append(_array(values, height, field.type))
    return pa.record_batch(arrays, schema=schema)


def _array(values: list[Any], height: int, type_: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if not values:
        return pa.nulls(height, type_)
    values.extend([None] * (height - len(values)))
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


def _conflict(landed: Landed, column: str, type_: str, name: str) -> TableMismatchError:
    what = landed.columns.get(column) or "text"
    return TableMismatchError(
        f"A value of the column {quoted(column)!r} in the snapshot of {landed.address} does not fit the Iceberg table "
        f"{name}: there the column is {type_}, here {quoted(what)}. The table is as it was. Iceberg cannot change a "
        "column to that type; land the list with the table's type, or commit it to another table."
    )


def _unknown(landed: Landed, column: str) -> TableMismatchError:
    return TableMismatchError(
        f"A contact in the snapshot of {landed.address} has the field {quoted(column)!r}, which its manifest does not "
        f"name: it names no more than a table has columns. Land the fields that you need: "
        f'fields=["{ID}", …]. The table is as it was.'
    )
