"""Every byte of an object, looked through for traces of the persons: by another way than their rows were taken out."""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from airflow_provider_kore.erasure.sift import sift
from airflow_provider_kore.exceptions import CorruptSnapshotError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.formats.compression import GZIP, NONE, ZSTD, Borrowed, decompressed
from airflow_provider_kore.snapshot.chunks import temp_space

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from airflow_provider_kore.erasure.persons import Persons
    from airflow_provider_kore.stop import Stop

_BLOCK: Final = 1 << 20
_OVERLAP: Final = 512
"""Bytes that two blocks share where no line ends: longer than any trace."""
_MAGIC: Final = {b"\x1f\x8b": GZIP, b"\x28\xb5\x2f\xfd": ZSTD}
_PARQUET: Final = b"PAR1"
_UNREADABLE: Final = (ValueError, OSError, EOFError, zlib.error, ImportError, ArithmeticError, LookupError, TypeError)
"""What decoders raise about what is not what it seemed; its own bytes are looked through then."""


@dataclass(frozen=True, slots=True)
class Found:
    """What an object holds of the persons."""

    rows: int
    """That are theirs."""
    traces: int
    """How often one of their ids or numbers stands in it."""
    size: int
    """Bytes, as stored."""
    sha256: str
    """Of all that was looked through, in hex."""


class Searcher:
    """Looks through objects."""

    def __init__(self, persons: Persons, stop: Stop) -> None:
        self._persons = persons
        self._stop = stop

    def look(self, opened: AbstractContextManager[BinaryIO], form: tuple[str, str] | None) -> Found:
        """Read an object to its end.

        :param form: format and compression of one that this package has published; None: any other.
        """
        with temp_space(), tempfile.SpooledTemporaryFile(max_size=_BLOCK, prefix="kore-") as spool:
            file, size, raw, sha = cast("BinaryIO", spool), 0, 0, hashlib.sha256()
            with opened as stream:
                for block in self._blocks(stream):
                    raw += self._persons.traces(block)
                    own = block[_OVERLAP:] if size else block
                    size += file.write(own)
                    sha.update(own)
            file.seek(0)
            rows = self._rows(file, form) if form is not None else 0
            return Found(rows, max(raw, self._unpacked(file)), size, sha.hexdigest())

    def _rows(self, file: BinaryIO, form: tuple[str, str]) -> int:
        name, compression = form
        try:
            FORMATS[name].require(compression)
            found = sift(file, None, name=name, compression=compression, persons=self._persons, stop=self._stop).erased
        except CorruptSnapshotError:  # its bytes are looked through all the same
            found = 0
        file.seek(0)
        return found

    def _unpacked(self, file: BinaryIO) -> int:
        """Count traces in what is packed."""
        start = file.read(4)
        file.seek(0)
        try:
            if start == _PARQUET:
                return sum(self._persons.traces(text) for text in self._columns(file))
            compression = next((how for magic, how in _MAGIC.items() if start.startswith(magic)), NONE)
            if compression == NONE:
                return 0
            source = gzip.GzipFile(fileobj=file, mode="rb") if compression == GZIP else decompressed(file, compression)
            return sum(self._persons.traces(block) for block in self._blocks(cast("Any", source)))
        except _UNREADABLE:
            return 0

    def _blocks(self, source: Any) -> Iterator[bytes]:
        """Yield all of it; each block but the first begins with the last bytes of the one before."""
        before = b""
        while block := source.read(_BLOCK):
            self._stop.check()
            yield before + block
            before = block[-_OVERLAP:].rjust(_OVERLAP, b"\n")

    def _columns(self, file: BinaryIO) -> Iterator[bytes]:
        import pyarrow as pa
        from pyarrow import parquet

        with parquet.ParquetFile(Borrowed(file)) as table:
            yield json.dumps(table.schema_arrow.names).encode()
            for group in range(table.num_row_groups):
                for batch in table.iter_batches(10_000, row_groups=[group], use_threads=False):
                    self._stop.check()
                    for column in batch.columns:
                        texts = column if pa.types.is_string(column.type) else column.cast(pa.string())
                        yield "\n".join(text for text in texts.to_pylist() if text).encode("utf-8", "surrogatepass")
                pa.default_memory_pool().release_unused()
