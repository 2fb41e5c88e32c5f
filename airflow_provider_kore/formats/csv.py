"""CSV after RFC 4180: one table for the whole snapshot, read by everything, without types."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING, BinaryIO

from airflow_provider_kore.formats.columns import ID, Column, ColumnSet, id_of, text_of
from airflow_provider_kore.formats.compression import (
    LONGEST_LINE,
    CompressedText,
    compressed,
    decompressed,
    lines,
    too_long,
)
from airflow_provider_kore.formats.layout import FileInfo
from airflow_provider_kore.json_text import Cell, Nested, cells, encode, join

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from airflow_provider_kore.formats.compression import Source
    from airflow_provider_kore.formats.layout import Keep

_next_field = re.compile(r'"([^"]*(?:""[^"]*)*)"|([^",]*)').match


class Csv(CompressedText):
    """A header and one line per row, UTF-8, lines ended by CRLF.

    Strings are always quoted, numbers, booleans and nulls never: so ``""`` is the empty string and nothing at all is
    null, ``"1"`` is a string and ``1`` a number. A nested value is its JSON text, quoted.
    """

    name = "csv"
    text_type = "text/csv; charset=utf-8; header=present"
    needs_columns = True

    def write(self, rows: Iterable[str], file: BinaryIO, *, compression: str, columns: ColumnSet) -> FileInfo:
        """Write the header, then the rows."""
        names = tuple(column.name for column in columns.columns(_on_one_line))
        keys = columns.keys()
        written = 0
        with compressed(file, compression) as write:
            write(encode(",".join(map(_quoted, names)) + "\r\n"))
            for row in rows:
                found = cells(row)
                line = ",".join([_field(found.pop(key, None)) for key in keys])
                if found:
                    raise ValueError(f"row {written} has a field that the columns don't know")
                write(encode(line + "\r\n"))
                written += 1
        return FileInfo(rows=written, columns=tuple(Column(name, "string") for name in names))

    def _ids(self, file: BinaryIO, compression: str) -> Iterator[str]:
        table = _table(decompressed(file, compression), _values)
        next(table)
        for _, row in table:
            yield id_of({ID: row[0]})

    def _rows(self, file: BinaryIO, compression: str) -> Iterator[tuple[str, str]]:
        table = _table(decompressed(file, compression), _fields)
        names = [str(json.loads(name)) for name in next(table)[1]]
        for _, row in table:
            text = join({name: value for name, value in zip(names, row, strict=True) if value})
            yield id_of(cells(text)), text

    def _kept(self, source: Source, fields: Collection[str], keep: Keep) -> Iterator[bytes]:
        table = _table(source, _values)
        header, names = next(table)
        yield header
        shown = [(at, name) for at, name in enumerate(names) if name in fields]
        for record, row in table:
            if keep(id_of({ID: row[0]}), {name: row[at] for at, name in shown}, ""):
                yield record


def _table(source: Source, read: Callable[[bytes], list[str]]) -> Iterator[tuple[bytes, list[str]]]:
    """Yield each record as it stands, with its fields; the first one is the header. Raises ValueError, EOFError."""
    table = records(source)
    header = next(table, b"")
    names = read(header)
    if names[:1] != read(encode(_quoted(ID))):
        raise ValueError(f"its header doesn't begin with {ID}")
    yield header, names
    for record in table:
        row = read(record)
        if len(row) != len(names):
            raise ValueError("a row has more or fewer fields than the header")
        yield record, row


def _values(record: bytes) -> list[str]:
    """Return the fields of a record as the csv module reads them."""
    if csv.field_size_limit() < LONGEST_LINE:  # characters; it refuses more than 131,072 in the whole process
        csv.field_size_limit(LONGEST_LINE)
    return next(csv.reader([_text(record)], strict=True), [])


def _text(record: bytes) -> str:
    return record.decode("utf-8").removesuffix("\r")


def records(source: Source) -> Iterator[bytes]:
    """Yield each record as it stands, without its last line feed. Raises ValueError, EOFError."""
    pending: list[bytes] = []
    quotes = length = 0
    for line in lines(source):
        length += len(line)
        if length > LONGEST_LINE:
            raise too_long()
        pending.append(line)
        quotes += line.count(b'"')
        if quotes % 2 == 0:  # an odd number: a quoted value goes on after this line break
            yield b"\n".join(pending) if len(pending) > 1 else line
            pending, quotes, length = [], 0, 0
    if pending:
        raise EOFError


def _fields(record: bytes) -> list[str]:
    """Return the fields of a record as JSON, which the csv module cannot tell: what is quoted is a string, else none.

    A field that is not even quotes is the empty text.
    """
    text = _text(record)
    found: list[str] = []
    at = -1
    while at < len(text):
        field = _next_field(text, at + 1)
        at = field.end() if field else len(text)
        if field is None or text[at : at + 1] not in {"", ","}:
            raise ValueError("its quoting is damaged")
        quoted, bare = field.groups()
        found.append(bare if quoted is None else json.dumps(quoted.replace('""', '"')))
    return found


def _on_one_line(name: str) -> str:
    """Return a column's name without line breaks: RFC 4180 allows them, DuckDB then takes the first row for header."""
    return name.replace("\r\n", " ").replace("\n", " ").replace("\r", " ")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _field(cell: Cell) -> str:
    text = text_of(cell) or ""
    return _quoted(text) if cell.__class__ is str or isinstance(cell, Nested) else text
