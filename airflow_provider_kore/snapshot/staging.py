"""Checkpoints: what was read goes into small immutable chunks, whose names say which offsets they hold.

The chunks themselves are the checkpoint. A retry lists them, follows the chain from offset 0 and continues behind it.
Each one begins with a line of state, so that the newest tells a retry everything about the walk so far.

A chunk is compressed and written on a thread of its own, and the walk goes on meanwhile, but not far: what is in no
chunk yet, or in one that is only being written, is all that a death costs, and that has a limit. Chunks never overtake
each other.
"""

from __future__ import annotations

import gzip
import json
import logging
import re
import secrets
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from airflow_provider_kore import json_text
from airflow_provider_kore.api.client import Spent
from airflow_provider_kore.api.page import Page, Progress
from airflow_provider_kore.api.prefetch import Prefetcher
from airflow_provider_kore.api.rate_limit import Usage
from airflow_provider_kore.exceptions import CheckpointLostError, CorruptSnapshotError, DriftError, KoreError
from airflow_provider_kore.snapshot.fields import FieldCounts
from airflow_provider_kore.snapshot.formats import ColumnSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.snapshot.chunks import ChunkStore
    from airflow_provider_kore.snapshot.fields import FieldPolicies

log = logging.getLogger(__name__)

CHUNK_SECONDS: Final = 8.0
"""A chunk is cut when its first page is this old: with the time it takes to write, below ten seconds of fetching."""

AHEAD_SECONDS: Final = 1.0
"""For so long the walk goes on while its last chunk is being written."""

CHUNK_ROWS: Final = 10_000
"""At most so many contacts, and the rest of a page, are in no checkpoint, to bound memory: some 5 MB."""

SMALLEST_CHUNK_ROWS: Final = 100
"""Below this a chunk is not cut for its share of the walk: reading two pages again is no loss worth an object."""

SHARE: Final = 6
"""At most a sixth of a list is in no checkpoint, so that a fast walk that dies anywhere repeats at most a third of it.

That is not all that is read twice: the page that goes beyond it, those under way, and whoever continues reads the last
one again.
"""

_NAME = re.compile(
    r"(?P<walk>[0-9a-f]{12})/(?P<start>\d{12})-(?P<end>\d{12})-(?P<writer>[0-9a-f]{8})-(?P<before>[0-9a-f]{8})\.jsonl\.gz"
)
_NOBODY: Final = "00000000"
_SCHEMA_VERSION: Final = 1
_LINES_AT_ONCE: Final = 500
_GZIP: Final = 31
"""What zlib calls a gzip file with the largest window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkState:
    """What a continued walk has to know about its beginning. Holds no contact data."""

    walk_id: str
    started: float
    """Seconds since the epoch."""
    mark: str | None = None
    """What the source said before the first page, and says no more once it has changed: a list's ``updatedAt``."""
    told_total: bool = False
    """Whether the first page told the list's total, which growth is measured by."""
    progress: Progress = field(default_factory=Progress)
    """What the pages said so far."""
    pages: int = 0
    spent: Spent = field(default_factory=Spent)
    """By all tries together."""
    resumed_from: int | None = None
    """The offset at which the last try continued."""
    drift: tuple[str, ...] = ()
    """What is known to have changed already, in words; only if the author accepts that."""
    usage: tuple[Usage, ...] = ()
    """What the last try had spent of the allowance: it may still fill the window when the next one starts."""

    def to_json(self) -> dict[str, object]:
        """Return what :meth:`from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read what :meth:`to_json` returned. Raises TypeError for anything else."""
        try:
            fields = dict(value)
            fields["progress"] = Progress(**{**fields["progress"], "totals": tuple(fields["progress"]["totals"])})
            fields["spent"] = Spent(**fields["spent"])
            fields["drift"] = tuple(fields["drift"])
            fields["usage"] = tuple(Usage(*each) for each in fields["usage"])
            return cls(**fields)
        except (KeyError, AttributeError) as err:
            raise TypeError(f"not a walk's state: {err}") from None


class _Chunk(NamedTuple):
    name: str
    start: int
    end: int
    writer: str
    before: str
    """Who wrote the chunk that this one continues."""


class _Write(NamedTuple):
    """A chunk that is being written."""

    chunk: _Chunk
    rows: list[str]
    total: int | None


class Staging:
    """The rows of one walk: most of them in chunks, the newest still in memory.

    Closing it after an error cuts a last chunk, whatever the error was: nothing that was fetched is lost.

    :param typed_columns: whether the file's format has to know each column's type.
    :param on_chunk: called for each chunk that is read or about to be written; may raise to stop.
    :param on_cut: called after each checkpoint, with the offset behind it and the list's total.
    """

    def __init__(
        self,
        chunks: ChunkStore,
        clock: Clock,
        policies: FieldPolicies,
        *,
        typed_columns: bool,
        on_chunk: Callable[[], None],
        on_cut: Callable[[int, int | None], None] | None = None,
    ) -> None:
        self._chunks = chunks
        self._clock = clock
        self._policies = policies
        self._typed_columns = typed_columns
        self._on_chunk = on_chunk
        self._on_cut = on_cut
        self._writer = secrets.token_hex(4)  # no two processes write the same name, so no chunk ever changes
        self._chain: list[_Chunk] = []
        self._stale: list[str] = []
        self._writes = Prefetcher[str, None](1, lambda: None)
        self._written: _Write | None = None
        self._rows: list[str] = []
        self._born = 0.0
        self.columns = ColumnSet(typed=typed_columns)
        self.fields = FieldCounts()
        self.state = WalkState(walk_id="", started=0.0)
        self.usage: Callable[[], tuple[Usage, ...]] = tuple
        """Tells what has been spent of the allowance, when a chunk is cut."""
        self.spent: Callable[[], Spent] = Spent
        """Tells what the walk has cost so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, (CheckpointLostError, CorruptSnapshotError)):
                self.discard()  # the next try begins anew
            elif error is not None and not isinstance(error, DriftError):
                self._cut_last()
        finally:
            self._writes.close()
            self._chunks.close()

    @property
    def stored_until(self) -> int:
        """The offset behind the last contact in a chunk: where a retry would continue."""
        return self._chain[-1].end if self._chain else 0

    @property
    def next_offset(self) -> int:
        """The offset behind the last contact that was added."""
        return self.state.progress.offset

    def find(self, oldest: float) -> WalkState | None:
        """Look for the beginning that earlier tries left, and take on its state; None if there is none.

        :param oldest: seconds since the epoch; a walk that started before is no beginning of this one.
        """
        walks: dict[str, list[_Chunk]] = {}
        for name in self._chunks.names():
            if found := _NAME.fullmatch(name):
                chunk = _Chunk(name, int(found["start"]), int(found["end"]), found["writer"], found["before"])
                walks.setdefault(found["walk"], []).append(chunk)
            else:
                self._stale.append(name)
        longest: list[_Chunk] = []
        for chunks in walks.values():
            chain = self._usable(_chain(chunks), oldest)
            self._stale += [chunk.name for chunk in chunks]
            longest = max(longest, chain, key=lambda each: each[-1].end if each else 0)
        if not longest:
            return None
        kept = {chunk.name for chunk in longest}
        # Of the same walk, what lies beside the chain is an orphan's; it is cleaned up with the rest at the end.
        self._stale = [name for name in self._stale if name not in kept]
        self._chain = longest
        self._take_state(longest[-1])
        return self.state

    def ids(self) -> Iterator[str]:
        """Yield the id of every contact in order, reading the chunks again.

        Raises CheckpointLostError if they do not hold what their names say.
        """
        return (_id(row) for row in self.rows())

    def begin(self, state: WalkState) -> None:
        """Begin a walk, and drop what an earlier one has left."""
        self.discard()
        self.columns = ColumnSet(typed=self._typed_columns)
        self.fields = FieldCounts()
        self.state = state

    def add(self, page: Page, progress: Progress) -> None:
        """Take in a page that was believed, after field policies.

        :param progress: what its walk knows now.

        Raises ParameterError if a contact lacks a field that a policy names, and the author wants to fail then; or if
        there are more fields than a table may have.
        """
        if not self._rows:
            self._born = self._clock.monotonic()
        rows, fields = page.records.texts, self.fields
        if not self._policies.unchanged:
            fields = fields.copy()
            rows = [self._policies.apply(text, fields) for text in rows]
            fields.contacts += len(rows)
            self._policies.check_missing(fields)
        if self._typed_columns or not self._policies.unchanged:
            for text in rows:
                self.columns.add(text)
        elif not self.columns.covers(chain.from_iterable(page.records.values)):
            self._take_new_names(page)
        state = replace(self.state, progress=progress, pages=self.state.pages + 1)
        # No call between these: Airflow's execution_timeout can come out of any.
        self._rows += rows
        self.state, self.fields = state, fields

    def _take_new_names(self, page: Page) -> None:
        for record in page.records:
            if not self.columns.covers(record.value):
                self.columns.add(record.text)

    def checkpoint_if_due(self, expected: int | None) -> None:
        """Cut a chunk if it is time to, and see to the one that is being written.

        :param expected: contacts in the whole list, None if nobody knows.
        """
        rows = len(self._rows)
        if not rows:
            return
        share = (self.stored_until // 2) if expected is None else expected // SHARE
        most = min(CHUNK_ROWS, max(SMALLEST_CHUNK_ROWS, share))
        age = self._clock.monotonic() - self._born
        if (write := self._written) is not None and (
            self._writes.is_done(write.chunk.name) or len(write.rows) + rows >= most or age >= AHEAD_SECONDS
        ):
            self._settle()
        # The last third is what may be read while the chunk is being written.
        if rows >= min(most, max(SMALLEST_CHUNK_ROWS, 2 * most // 3)) or age >= CHUNK_SECONDS:
            self._cut()

    def checkpoint(self) -> None:
        """Write the open chunk, and return when everything is written."""
        self._cut()
        self._settle()

    def _cut(self) -> None:
        """Begin to write the open chunk."""
        self._settle()
        if not self._rows:
            return
        start, end = self.stored_until, self.next_offset
        before = self._chain[-1].writer if self._chain else _NOBODY
        self.state = replace(self.state, spent=self.spent(), usage=self.usage())
        name = f"{self.state.walk_id}/{start:012d}-{end:012d}-{self._writer}-{before}.jsonl.gz"
        head = {
            "schema_version": _SCHEMA_VERSION,
            "rows": len(self._rows),
            "state": self.state.to_json(),
            "columns": self.columns.to_json(),
            "fields": self.fields.to_json(),
        }
        chunk = _Chunk(name, start, end, self._writer, before)
        write = partial(self._write, name, [json.dumps(head), *self._rows])
        # Nor between these two: no row may be in both, or in neither.
        self._written, self._rows = _Write(chunk, self._rows, self.state.progress.total), []
        self._writes.start(name, write)

    def _write(self, name: str, lines: list[str]) -> None:
        self._chunks.write(name, _packed(lines))

    def _settle(self) -> None:
        """Wait until the chunk that was cut is written: only then it is a checkpoint."""
        write = self._written
        if write is None:
            return
        if write.chunk not in self._chain[-1:]:
            written = False
            try:
                if write.chunk.name in self._writes:
                    self._writes.take(write.chunk.name)
                    written = True
            finally:
                if not written:  # the next cut tries again
                    self._rows, self._written = write.rows + self._rows, None
            if not written:
                return
            self._chain.append(write.chunk)
        self._written = None
        if self._on_cut:
            self._on_cut(write.chunk.end, write.total)

    def rows(self) -> Iterator[str]:
        """Yield every row in order, reading the chunks again.

        Raises CheckpointLostError if a chunk does not hold what its name says.
        """
        self._settle()
        for chunk in self._chain:
            self._on_chunk()
            yield from self._read(chunk)[1]
        yield from self._rows

    def discard(self) -> None:
        """Delete every chunk of this run: they were published, or are no beginning of anything."""
        with suppress(KoreError):
            self._settle()
        self._chunks.delete([*self._stale, *(chunk.name for chunk in self._chain)])
        self._stale, self._chain, self._rows = [], [], []

    def clean_up(self) -> None:
        """Delete every chunk of this run, those of an orphaned process too."""
        if self._chain or self._stale:
            self._stale = [name for name in self._chunks.names() if name not in {chunk.name for chunk in self._chain}]
        self.discard()

    def _cut_last(self) -> None:
        try:
            self.checkpoint()
        except KoreError as err:
            log.warning("The last %d contacts could not be checkpointed: %s", len(self._rows), err)
            return
        if self.stored_until:
            log.info("Checkpointed at contact %s; a retry continues there.", f"{self.stored_until:,}")

    def _usable(self, chain: list[_Chunk], oldest: float) -> list[_Chunk]:
        """Return the chain up to its newest chunk that is whole; an empty one if the walk is too old."""
        while chain:
            try:
                head, rows = self._read(chain[-1])
                state = WalkState.from_json(head["state"])
                ColumnSet.from_json(head["columns"])
                FieldCounts.from_json(head["fields"])
                sum(1 for _ in rows)
            except (CheckpointLostError, KeyError, TypeError, ValueError):
                chain = chain[:-1]
                continue
            return chain if state.started >= oldest else []
        return []

    def _take_state(self, chunk: _Chunk) -> None:
        head, _ = self._read(chunk)
        self.state = WalkState.from_json(head["state"])
        self.fields = FieldCounts.from_json(head["fields"])
        self.columns = ColumnSet.from_json(head["columns"])
        if self._typed_columns and not self.columns.typed:  # the format was another, and had no need to know them all
            self.columns = ColumnSet()
            for row in self.rows():
                self.columns.add(row)
        self.columns.typed = self._typed_columns

    def _read(self, chunk: _Chunk) -> tuple[dict[str, object], Iterator[str]]:
        """Return a chunk's state, and its rows."""
        try:
            text = gzip.decompress(self._chunks.read(chunk.name)).decode("utf-8")
            first, *rows, last = text.split("\n")
            head = json.loads(first)
            damaged = last != "" or head["schema_version"] != _SCHEMA_VERSION or len(rows) != head["rows"]
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError):
            damaged = True
        if damaged:
            raise CheckpointLostError(
                f"The checkpoint {chunk.name} does not hold what was written. The next try walks anew; check what else "
                "writes below the staging prefix."
            )
        return head, iter(rows)


def _chain(chunks: list[_Chunk]) -> list[_Chunk]:
    """Return the chunks that continue each other from offset 0 and reach furthest.

    An orphan and its retry may both have read the same offsets, of a list that changed in between: what one of them
    knows of the walk is true of its own chunks and of those that it has continued, never of the other's.
    """
    written = {(chunk.end, chunk.writer): chunk for chunk in chunks}
    for last in sorted(chunks, key=lambda chunk: (chunk.end, chunk.name), reverse=True):
        chain: list[_Chunk] = []
        link: _Chunk | None = last
        while link is not None and link.start < link.end:
            chain.append(link)
            if link.start == 0:
                return chain[::-1]
            link = written.get((link.start, link.before))
    return []


def _packed(lines: list[str]) -> bytes:
    """Compress lines in small blocks: as one text, a chunk would be in memory three times over."""
    # Level 1: a chunk lives for hours, and the walk waits for it.
    compressor = zlib.compressobj(1, wbits=_GZIP)
    packed = [
        compressor.compress(json_text.encode("\n".join([*lines[start : start + _LINES_AT_ONCE], ""])))
        for start in range(0, len(lines), _LINES_AT_ONCE)
    ]
    return b"".join([*packed, compressor.flush()])


def _id(row: str) -> str:
    return str(json_text.cells(row)["_id"])
