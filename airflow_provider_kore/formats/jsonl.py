"""JSON Lines: each contact on its line, character for character as the server wrote it. The lossless default."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from airflow_provider_kore.formats.columns import ID, ColumnSet, id_of, printable
from airflow_provider_kore.formats.compression import CompressedText, compressed, decompressed, lines
from airflow_provider_kore.formats.layout import FileInfo
from airflow_provider_kore.json_text import cells, encode, scan_value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from airflow_provider_kore.formats.compression import Source
    from airflow_provider_kore.formats.layout import Keep


class Jsonl(CompressedText):
    """One JSON object per line, UTF-8, lines ended by a line feed."""

    name = "jsonl"
    text_type = "application/x-ndjson"
    needs_columns = False

    def write(self, rows: Iterable[str], file: BinaryIO, *, compression: str, columns: ColumnSet) -> FileInfo:
        """Write the rows as they are; ``columns`` only goes into the answer."""
        written = 0
        with compressed(file, compression) as write:
            for row in rows:
                if "\n" in row:
                    raise ValueError(f"row {written} is not on one line")
                write(encode(row + "\n"))
                written += 1
        return FileInfo(rows=written, columns=columns.columns())

    def _ids(self, file: BinaryIO, compression: str) -> Iterator[str]:
        return (identifier for identifier, _ in self._rows(file, compression))

    def _rows(self, file: BinaryIO, compression: str) -> Iterator[tuple[str, str]]:
        for line in lines(decompressed(file, compression)):
            row = line.decode("utf-8")
            yield parsed(row)[0], row

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
