"""Every byte that lies there, read again to its end: by another way than the persons' rows were taken out."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from airflow_provider_kore.erasure.look import CHECKPOINT, MANIFEST, NOTE, form_in, is_ours
from airflow_provider_kore.erasure.persons import CHARACTERS
from airflow_provider_kore.erasure.work import BLOCK, temporary
from airflow_provider_kore.exceptions import CorruptSnapshotError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.formats.compression import GZIP, NONE, ZSTD, Borrowed, decompressed, lines
from airflow_provider_kore.formats.jsonl import parsed
from airflow_provider_kore.snapshot.manifest import MOST_BYTES, Manifest
from airflow_provider_kore.snapshot.reading import is_erased_from
from airflow_provider_kore.store.store import read_at_most

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator
    from contextlib import AbstractContextManager

    from airflow_provider_kore.erasure.look import Form
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
    traces: int
    """How often one of their ids or numbers stands in it."""
    size: int
    """Bytes, as stored."""
    sha256: str
    """Of all that was looked through, in hex."""

    @property
    def holds(self) -> bool:
        """Whether it has to go: it has a row of theirs; or what is no longer readable names them."""
        return self.rows > 0 or (self.traces > 0 and not self.readable)


def look(work: Work, opened: AbstractContextManager[BinaryIO], form: Form | None, *, is_proven: bool = False) -> Found:
    """Read an object to its end.

    :param form: what its key claims.
    :param is_proven: whether that is known to be true, so that ids may be learned from a file's rows.
    """
    with temporary() as file:
        size, raw, sha = 0, 0, hashlib.sha256()

        def blocks(stream: BinaryIO) -> Iterator[bytes]:
            nonlocal size
            for block in _blocks(work, stream.read):
                size += file.write(block)
                sha.update(block)
                yield block

        with opened as stream:
            raw = sum(map(work.persons.traces, _pieces(blocks(stream))))
        file.seek(0)
        ours, readable, rows = _rows(work, file, form, is_proven)
        file.seek(0)
        return Found(ours, readable, rows, max(raw, _packed_traces(work, file)), size, sha.hexdigest())


def _rows(work: Work, file: BinaryIO, form: Form | None, is_proven: bool) -> tuple[bool, bool, int]:  # noqa: FBT001
    """Return whether its bytes prove it ours, whether it is of the form that its key claims, and the persons' rows."""
    if form is None or form == MANIFEST:
        return False, True, 0
    if form == CHECKPOINT:
        return _in_checkpoint(work, file)
    if form[0] == NOTE:
        return _is_note(file, form[1]), True, 0
    try:
        return False, True, work.persons.sift(file, None, form, work.stop, learn=is_proven).erased
    except CorruptSnapshotError:
        return False, False, 0


def _is_note(file: BinaryIO, name: str) -> bool:
    try:
        told = json.loads(read_at_most(file, MOST_NOTED))
    except (ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("erasure") == name


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


def _packed_traces(work: Work, file: BinaryIO) -> int:
    """Count traces in what is packed."""
    found = 0
    try:
        for text in _unpacked(work, file):
            found += work.persons.traces(text)
    except _UNREADABLE:
        return found
    return found


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

        yield from _pieces(_blocks(work, until_damage))


def _blocks(work: Work, read: Callable[[int], bytes]) -> Iterator[bytes]:
    while block := read(BLOCK):
        work.stop.check()
        yield block


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


@dataclass(slots=True, kw_only=True)
class Searched:
    """What the last search has come to."""

    objects: int = 0
    size: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of persons that are still in published files, by key."""
    checkpoints: list[str] = field(default_factory=list)
    """Keys of those that hold a person."""
    untrue: list[str] = field(default_factory=list)
    """Keys of files that are others than their manifest describes: another erasure was cut off, or goes on."""
    mentions: list[str] = field(default_factory=list)
    """Keys of published files in which one of them stands outside of a row of theirs."""
    strangers: list[str] = field(default_factory=list)
    """Keys of objects of others that hold a trace of one."""
    digests: dict[str, str] = field(default_factory=dict)
    """By the key of each object that was rewritten."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing of ours is left to be done."""
        return not (self.rows or self.checkpoints or self.untrue)


def search(work: Work, rewritten: Container[str], *, sources: bool) -> Searched:
    """Search everything: the tables, the staging prefixes and the receipts.

    :param rewritten: keys whose digests are wanted.
    :param sources: also the changes that tell who is to be erased, which come last.
    """
    found = Searched()
    told: dict[str, str | None] = {}  # by one manifest, which comes before its files
    with work.teller.phase("searching everything again", "objects") as phase:
        for number, key in enumerate(_everything(work)):
            work.stop.check()
            phase.reached(number)
            if not sources and work.spec.tells(key):
                continue
            form = form_in(work.spec, key)
            if form == MANIFEST:
                told = _told_by(work, key)
            opened = work.store.get(key)
            if opened is None:
                continue
            what = look(work, opened, form)
            if (told.get(key) or what.sha256) != what.sha256 and _is_untrue(work, key, told[key]):
                found.untrue.append(key)
            if key in rewritten:
                found.digests[key] = what.sha256
            if what.rows or what.traces:
                _note(found, key, form, what, ours=_is_ours(work, key, form, what, key in told))
            found.objects += 1
            found.size += what.size
    return found


def _everything(work: Work) -> Iterator[str]:
    for prefix in work.spec.prefixes:
        yield from (found.key for found in work.store.list(prefix))


def _is_ours(work: Work, key: str, form: Form | None, what: Found, named: bool) -> bool:  # noqa: FBT001
    if form is None or form == MANIFEST or named:
        return form is not None
    if form[0] not in FORMATS:
        return what.ours
    there = work.store.head(key)
    return there is not None and is_ours(there)


def _note(found: Searched, key: str, form: Form | None, what: Found, *, ours: bool) -> None:
    if not ours:
        found.strangers.append(key)
    elif form == CHECKPOINT and what.holds:
        found.checkpoints.append(key)
    elif what.rows:
        found.rows[key] = what.rows
    else:
        found.mentions.append(key)


def _is_untrue(work: Work, key: str, told: str | None) -> bool:
    there = work.store.head(key)
    return there is not None and is_erased_from(there, told)


def _told_by(work: Work, key: str) -> dict[str, str | None]:
    """Return the digests that a manifest says, by the keys of its files."""
    opened = work.store.get(key)
    if opened is None:
        return {}
    with opened as stream:
        manifest = Manifest.from_bytes(read_at_most(stream, MOST_BYTES), work.store.uri(key))
    return {file["key"]: file.get("sha256") for file in manifest.files}
