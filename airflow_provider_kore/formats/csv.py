"""CSV after RFC 4180: one table for the whole snapshot, read by everything, without types."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from airflow_provider_kore.formats.columns import ID, Column, ColumnSet, id_of
from airflow_provider_kore.formats.compression import (
    LONGEST_LINE,
    CompressedText,
    compressed,
    decompressed,
    lines,
    too_long,
)
from airflow_provider_kore.formats.layout import FileInfo, naming_damage
from airflow_provider_kore.json_text import Cell, Nested, Number, cells, encode, join

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from airflow_provider_kore.formats.compression import Source
    from airflow_provider_kore.formats.layout import Keep

_ROWS_AT_ONCE = 500
_LONGEST_FIELD = LONGEST_LINE
"""Characters. The csv module refuses more than 131,072 unless told otherwise, for the whole process."""
_next_field = re.compile(r'"([^"]*(?:""[^"]*)*)"|([^",]*)').match


class Csv(CompressedText):
    """A header and one line per row, UTF-8, lines ended by CRLF.

    Strings are always quoted, numbers, booleans and nulls never: so ``""`` is the empty string and nothing at all is
    null, ``"1"`` is a string and ``1`` a number. A nested value is its JSON text, quoted.
    """

    name = "csv"
    text_type = "text/csv; charset=utf-8; header=present"
    needs_columns = True
    has_types = False

    def write(self, rows: Iterable[str], file: BinaryIO, *, compression: str, columns: ColumnSet) -> FileInfo:
        """Write the header, then the rows."""
        names = tuple(column.name for column in columns.columns(_on_one_line))
        keys = columns.keys()
        written = 0
        with compressed(file, compression) as sink:
            block = [",".join(map(_quoted, names))]
            for row in rows:
                if len(block) == _ROWS_AT_ONCE:
                    sink.write(encode("\r\n".join(block) + "\r\n"))
                    block.clear()
                found = cells(row)
                block.append(",".join([_field(found.pop(key, None)) for key in keys]))
                if found:
                    raise ValueError(f"row {written} has a field that the columns don't know")
                written += 1
            sink.write(encode("\r\n".join(block) + "\r\n"))
        return FileInfo(rows=written, columns=tuple(Column(name, "string") for name in names))

    def read_ids(self, file: BinaryIO, *, compression: str) -> Iterator[str]:
        """Read every line as the csv module does and return its first field."""
        return naming_damage(self.name, _read_ids(file, compression))

    def read_rows(self, file: BinaryIO, *, compression: str) -> Iterator[tuple[str, str]]:
        """Read every line with what the csv module cannot tell: what is quoted is a string, all else is none."""
        return naming_damage(self.name, _read_rows(file, compression))

    def _kept(self, source: Source, fields: Collection[str], keep: Keep) -> Iterator[bytes]:
        _allow_long_fields()
        table = records(source)
        header = next(table, b"")
        names = _values(header)
        if names[:1] != [ID]:
            raise ValueError(f"its header doesn't begin with {ID}")
        yield header
        shown = [(at, name) for at, name in enumerate(names) if name in fields]
        for record in table:
            row = _values(record)
            if len(row) != len(names):
                raise ValueError("a row has more or fewer fields than the header")
            if keep(id_of({ID: row[0]}), {name: row[at] for at, name in shown}, ""):
                yield record


def _values(record: bytes) -> list[str]:
    return next(csv.reader([record.decode("utf-8").removesuffix("\r")], strict=True), [])


def _read_rows(file: BinaryIO, compression: str) -> Iterator[tuple[str, str]]:
    table = (_fields(record.decode("utf-8").removesuffix("\r")) for record in records(decompressed(file, compression)))
    names = [str(json.loads(name)) for name in next(table, [])]
    if names[:1] != [ID]:
        raise ValueError(f"its header doesn't begin with {ID}")
    for record in table:
        if len(record) != len(names):
            raise ValueError("a row has more or fewer fields than the header")
        row = {name: value for name, value in zip(names, record, strict=True) if value}
        text = join(row)
        yield id_of(cells(text)), text


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


def _fields(record: str) -> list[str]:
    """Return the fields of a record as JSON; a field that is not even quotes is the empty text."""
    found: list[str] = []
    at = -1
    while at < len(record):
        field = _next_field(record, at + 1)
        at = field.end() if field else len(record)
        if field is None or record[at : at + 1] not in {"", ","}:
            raise ValueError("its quoting is damaged")
        quoted, bare = field.groups()
        found.append(bare if quoted is None else json.dumps(quoted.replace('""', '"')))
    return found


def _read_ids(file: BinaryIO, compression: str) -> Iterator[str]:
    _allow_long_fields()
    text = _Text(decompressed(file, compression))
    table = csv.reader(text, strict=True)
    header = next(table, [])
    if header[:1] != [ID]:
        raise ValueError(f"its header doesn't begin with {ID}")
    for row in table:
        text.length = 0
        if len(row) != len(header):
            raise ValueError("a row has more or fewer fields than the header")
        yield id_of({ID: row[0]})


def _allow_long_fields() -> None:
    if csv.field_size_limit() < _LONGEST_FIELD:
        csv.field_size_limit(_LONGEST_FIELD)


class _Text(Iterator[str]):
    """The lines of a file, of which one record may have several, but not any number."""

    def __init__(self, source: Source) -> None:
        self._lines = lines(source)
        self.length = 0
        """Bytes of the record at hand."""

    def __next__(self) -> str:
        line = next(self._lines)
        self.length += len(line)
        if self.length > LONGEST_LINE:
            raise too_long()
        return line.decode("utf-8") + "\n"


def _on_one_line(name: str) -> str:
    """Return a column's name without line breaks: RFC 4180 allows them, DuckDB then takes the first row for header."""
    return name.replace("\r\n", " ").replace("\n", " ").replace("\r", " ")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _field(cell: Cell) -> str:
    if cell.__class__ is str or isinstance(cell, Nested):
        return _quoted(str(cell))
    if isinstance(cell, Number):
        return cell
    if cell is None:
        return ""
    return "true" if cell else "false"
