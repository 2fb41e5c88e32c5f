"""JSON Lines: each contact on its line, character for character as the server wrote it. The lossless default."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from airflow_provider_kore.json_text import cells, encode
from airflow_provider_kore.snapshot.formats.columns import ColumnSet, id_of
from airflow_provider_kore.snapshot.formats.compression import (
    GZIP,
    NONE,
    SUFFIXES,
    ZSTD,
    compressed,
    decompressed,
    lines,
    require_pyarrow,
)
from airflow_provider_kore.snapshot.formats.layout import FileInfo, naming_damage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ROWS_AT_ONCE = 500


class Jsonl:
    """One JSON object per line, UTF-8, lines ended by a line feed."""

    name = "jsonl"
    compressions = (GZIP, ZSTD, NONE)
    needs_columns = False

    def suffix(self, compression: str) -> str:
        """Return ``.jsonl``, ``.jsonl.gz`` or ``.jsonl.zst``."""
        return f".jsonl{SUFFIXES[compression]}"

    def media_type(self, compression: str) -> str:
        """Return the type of what the object's bytes are: compressed data, or JSON Lines."""
        return "application/x-ndjson" if compression == NONE else f"application/{compression}"

    def require(self, compression: str) -> None:
        """Raise ParameterError if zstd is asked for without pyarrow."""
        if compression == ZSTD:
            require_pyarrow("compression", ZSTD, f'"{GZIP}"')

    def write(
        self, rows: Iterable[str], file: BinaryIO, *, compression: str, columns: ColumnSet | None = None
    ) -> FileInfo:
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
        return FileInfo(rows=written, columns=columns.columns() if columns else ())

    def read_ids(self, file: BinaryIO, *, compression: str) -> Iterator[str]:
        """Read every line as JSON and return its ``_id``."""
        source = lines(decompressed(file, compression))
        return naming_damage(self.name, (id_of(cells(line.decode("utf-8"))) for line in source))
