"""One object, read to its end: whether it is ours, the persons' rows, and wherever else a name of theirs stands."""

from __future__ import annotations

import gzip
import json
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from airflow_provider_kore.erasure.partition import CHECKPOINT, MANIFEST, NOTE
from airflow_provider_kore.erasure.persons import CHARACTERS
from airflow_provider_kore.exceptions import CorruptSnapshotError
from airflow_provider_kore.formats.compression import GZIP, NONE, ZSTD, Borrowed, decompressed, lines
from airflow_provider_kore.formats.jsonl import parsed
from airflow_provider_kore.store.store import read_at_most

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from airflow_provider_kore.erasure.partition import Form
    from airflow_provider_kore.erasure.work import Work

_OVERLAP: Final = 4_096
"""Bytes that two pieces of a text share: more than any name takes, however it is spelt."""
_LONGEST_RUN: Final = 256
_SHORTEST_PIECE: Final = 16 * _OVERLAP
MOST_NOTED: Final = 256 << 20
"""Bytes of what an erasure notes."""
_MAGIC: Final = {b"\x1f\x8b": GZIP, b"\x28\xb5\x2f\xfd": ZSTD}
_PARQUET: Final = b"PAR1"
_UNREADABLE: Final = (
    ValueError,
    OSError,
    EOFError,
    zlib.error,
    ImportError,
    ArithmeticError,
    LookupError,
    TypeError,
    NotImplementedError,
    RecursionError,
)
"""What decoders raise about what is not what it seemed; what they have said before that, and its own bytes, count."""


@dataclass(frozen=True, slots=True)
class Found:
    """What an object holds of the persons."""

    ours: bool
    """Whether its bytes prove that this package has written it: those of a checkpoint and of a note do."""
    readable: bool
    """Whether all of it is of the form that its key claims."""
    rows: int
    """That are theirs."""
    mentions: bool
    """Whether one of their ids or numbers stands anywhere in it."""
    size: int
    """Bytes, as stored."""

    @property
    def holds(self) -> bool:
        """Whether it has to go: it has a row of theirs; or what is no longer readable names them."""
        return self.rows > 0 or (self.mentions and not self.readable)


def look(
    work: Work, opened: AbstractContextManager[BinaryIO] | None, form: Form | None, *, is_proven: bool = False
) -> Found | None:
    """Read an object to its end; None if it is gone.

    :param form: what its key claims.
    :param is_proven: whether that is known to be true, so that ids may be learned from a file's rows.
    """
    if opened is None:
        return None
    with work.fetched(opened) as local:
        ours, readable, rows = _rows(work, local.file, form, is_proven)
        return Found(ours, readable, rows, is_mentioned(work, local.file), local.size)


def is_mentioned(work: Work, file: BinaryIO) -> bool:
    """Say whether one of them stands anywhere in a file, as it is, or in what is packed in it."""
    file.seek(0)
    if any(map(work.persons.are_in, _pieces(work.blocks(file.read)))):
        return True
    file.seek(0)
    with suppress(*_UNREADABLE):
        return any(map(work.persons.are_in, _unpacked(work, file)))
    return False


def _rows(work: Work, file: BinaryIO, form: Form | None, is_proven: bool) -> tuple[bool, bool, int]:  # noqa: FBT001
    """Return whether its bytes prove it ours, whether it is of the form that its key claims, and the persons' rows."""
    if form is None or form == MANIFEST:
        return False, True, 0
    if form == CHECKPOINT:
        return _in_checkpoint(work, file)
    if form[0] == NOTE:
        with suppress(ValueError, RecursionError):
            told = json.loads(read_at_most(file, MOST_NOTED))
            return isinstance(told, dict) and told.get("erasure") == form[1], True, 0
        return False, True, 0
    try:
        return False, True, work.persons.sift(file, None, form, work.stop, learn=is_proven).erased
    except CorruptSnapshotError:
        return False, False, 0


def _in_checkpoint(work: Work, file: BinaryIO) -> tuple[bool, bool, int]:
    """Look through a checkpoint, whose first line tells the state of its walk; its seal only its own run can check."""
    ours, rows = False, 0
    try:
        found = lines(decompressed(file, GZIP))
        head = json.loads(next(found, b""))
        ours = isinstance(head, dict) and {"schema_version", "state"} <= head.keys()
        for line in found if ours else ():
            text = line.decode("utf-8")
            rows += work.persons.has_row(*parsed(text), text)
    except _UNREADABLE:
        return ours, False, rows
    return ours, ours, rows


def _unpacked(work: Work, file: BinaryIO) -> Iterator[bytes]:
    start = file.read(4)
    file.seek(0)
    if start == _PARQUET:
        yield from _columns(work, file)
        return
    compression = next((how for magic, how in _MAGIC.items() if start.startswith(magic)), NONE)
    if compression != NONE:
        source = gzip.GzipFile(fileobj=file, mode="rb") if compression == GZIP else decompressed(file, compression)
        read = getattr(source, "read1", source.read)  # read() loses what precedes damage

        def until_damage(size: int) -> bytes:
            try:
                return cast("bytes", read(size))
            except _UNREADABLE:
                return b""

        yield from _pieces(work.blocks(until_damage))


def _pieces(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield all of a text in pieces that overlap, so that each name is whole in one, and none begins or ends in one."""
    text, start = b"", 0
    for block in blocks:
        text += block
        if len(text) < _SHORTEST_PIECE:
            continue
        edge = text[-_OVERLAP:]
        cut = _OVERLAP - len(edge.rstrip(CHARACTERS))
        end = len(text) - (cut if cut <= _LONGEST_RUN else 0)  # what is longer is no name
        yield text[start:end]
        text = text[end - _OVERLAP :]
        start = len(text) - len(text.lstrip(CHARACTERS))
    yield text[start:]


def _columns(work: Work, file: BinaryIO) -> Iterator[bytes]:
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(Borrowed(file)) as table:
        yield json.dumps(table.schema_arrow.names).encode()
        for group in range(table.num_row_groups):
            for batch in table.iter_batches(10_000, row_groups=[group], use_threads=False):
                work.stop.check()
                for column in batch.columns:
                    try:
                        texts = column.cast(pa.string()).to_pylist()
                    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # of others: nested, or bytes
                        texts = [json.dumps(each, default=repr) for each in column.to_pylist()]
                    yield "\n".join(text for text in texts if text).encode("utf-8", "surrogatepass")
            pa.default_memory_pool().release_unused()
