"""JSON Lines: each contact on its line, character for character as the server wrote it. The lossless default."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from airflow_provider_kore.formats.columns import ID, ColumnSet, id_of, printable
from airflow_provider_kore.formats.compression import CompressedText, compressed, decompressed, lines
from airflow_provider_kore.formats.layout import FileInfo, naming_damage
from airflow_provider_kore.json_text import cells, encode, scan_value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from airflow_provider_kore.formats.compression import Source
    from airflow_provider_kore.formats.layout import Keep

_ROWS_AT_ONCE = 500


class Jsonl(CompressedText):
    """One JSON object per line, UTF-8, lines ended by a line feed."""

    name = "jsonl"
    text_type = "application/x-ndjson"
    needs_columns = False
    has_types = False

    def write(self, rows: Iterable[str], file: BinaryIO, *, compression: str, columns: ColumnSet) -> FileInfo:
        """Write the rows as they are; ``columns`` only goes into the answer."""
        source = iter(rows)
        written = 0
        with compressed(file, compression) as sink:
            while block := list(islice(source, _ROWS_AT_ONCE)):
                text = "\n".join(block) + "\n"
                written += len(block)
                if text.count("\n") != len(block):
                    raise ValueError(f"a row before row {written} is not on one line")
                sink.write(encode(text))
        return FileInfo(rows=written, columns=columns.columns())

    def read_ids(self, file: BinaryIO, *, compression: str) -> Iterator[str]:
        """Read every line as JSON and return its ``_id``."""
        source = lines(decompressed(file, compression))
        return naming_damage(self.name, (_id(line.decode("utf-8")) for line in source))

    def read_rows(self, file: BinaryIO, *, compression: str) -> Iterator[tuple[str, str]]:
        """Read every line as JSON and return its ``_id`` and itself."""
        rows = (line.decode("utf-8") for line in lines(decompressed(file, compression)))
        return naming_damage(self.name, ((_id(row), row) for row in rows))

    def _kept(self, source: Source, fields: Collection[str], keep: Keep) -> Iterator[bytes]:  # noqa: ARG002  # shows all
        for line in lines(source):
            text = line.decode("utf-8")
            if keep(*parsed(text), text):
                yield line


def parsed(row: str) -> tuple[str, Mapping[str, object]]:
    """Return the ``_id`` of a row, and its members. Raises ValueError."""
    members, end = scan_value(row, 0)
    if not isinstance(members, dict) or end != len(row):
        raise ValueError("a row is no JSON object")
    found = members.get(ID)
    return printable(found) if found and isinstance(found, str) else id_of(cells(row)), members


def _id(row: str) -> str:
    """Return what ``id_of(cells(row))`` does, without a look at the other members where the row is as we wrote it."""
    try:
        value, end = scan_value(row, 0)
    except ValueError:
        return id_of(cells(row))  # says what is wrong
    found = value.get(ID) if isinstance(value, dict) and end == len(row) else None
    return printable(found) if found and isinstance(found, str) else id_of(cells(row))
