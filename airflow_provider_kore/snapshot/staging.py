"""Checkpoints: what was read goes into small immutable chunks, whose names say which offsets they hold.

The chunks themselves are the checkpoint. A retry lists them, follows the chain from offset 0 and continues after it.

What is in no chunk yet is all that a death costs, and that has a limit. The next pages are under way while a chunk is
written, so that it costs nothing of the allowance.
"""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

from airflow_provider_kore import json_text
from airflow_provider_kore.exceptions import (
    CheckpointLostError,
    CorruptSnapshotError,
    DriftError,
    FatalError,
    KoreError,
    PausedError,
    StoppedError,
    SupersededError,
)
from airflow_provider_kore.formats import Table
from airflow_provider_kore.quoting import count
from airflow_provider_kore.snapshot.checkpoints import Checkpoints, Chunk, Head, Note
from airflow_provider_kore.snapshot.chunks import STORE_FAILS, LocalChunks, StoredChunks
from airflow_provider_kore.snapshot.fields import FieldCounts
from airflow_provider_kore.snapshot.intake import Intake
from airflow_provider_kore.snapshot.progress import Checkpoint
from airflow_provider_kore.snapshot.rivals import TOLERATED_FUTURE
from airflow_provider_kore.snapshot.seal import FIRST, Seal
from airflow_provider_kore.walk.state import WalkState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from airflow_provider_kore.snapshot.basis import Basis
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.snapshot.work import Shared, Work
    from airflow_provider_kore.walk.cost import Spent
    from airflow_provider_kore.walk.page import Page

log = logging.getLogger(__name__)

CHUNK_SECONDS: Final = 8.0
"""A chunk is cut when its first page is this old: with the time it takes to write, below ten seconds of fetching."""

CHUNK_ROWS: Final = 10_000
"""At most so many contacts, and the rest of a page, are in no checkpoint, to bound memory: some 5 MB."""

SMALLEST_CHUNK_ROWS: Final = 100
"""Below this a chunk is not cut for its share of the walk: reading two pages again is no loss worth an object."""

SHARE: Final = 6
"""At most a sixth of a list is in no checkpoint, so that a fast walk that dies anywhere repeats at most a third of it.

That is not all that is read twice: the page that goes beyond it, those under way, and a retry reads the last one again.
"""

CHUNK_CHARACTERS: Final = 12 << 20
"""At most so much text, and the rest of a page, is in no checkpoint, where contacts are long."""

_ROWS_AT_ONCE: Final = 1_000


class Staging:
    """The rows of one walk: most of them in chunks, the newest still in memory.

    Closing it after an error cuts a last chunk, whatever the error was: nothing that was fetched is lost.

    :param table: the columns that the table has already.
    :param basis: the rows that a walk may build on, instead of offset 0.
    """

    def __init__(self, work: Work, shared: Shared, table: Table | None = None, basis: Basis | None = None) -> None:
        spec, prefix = work.spec, work.layout.staging
        chunks = StoredChunks(shared.staging_store, prefix) if spec.durable else LocalChunks()
        self._work = work
        self._basis = basis
        self.on_basis = False
        """Whether the rows of this walk come after those of the basis."""
        self._checkpoints = Checkpoints(chunks, Seal(shared.client.config, prefix))
        self._location = work.store.uri(prefix)
        self._on_checkpoint = shared.on_checkpoint if spec.durable else None
        self._intake = Intake(policies=spec.policies, typed=spec.file_format.needs_columns, table=table or Table())
        self._meter = shared.client
        self._unbilled = self._meter.spent
        """What the meter showed before this walk, less what other processes have spent on it."""
        self._ended: str | None = None
        self._chain: list[Chunk] = []
        self._stale: list[str] = []
        self._rows: list[str] = []
        self._characters = 0
        self._born = 0.0
        self._expected: int | None = None
        self.columns = self._intake.no_columns()
        self.fields = FieldCounts()
        self._state = WalkState(walk_id="", started=0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            # The next try begins anew, or a newer snapshot stands: nothing is going to continue from these.
            if isinstance(error, (CheckpointLostError, CorruptSnapshotError, SupersededError)):
                self.discard()
            elif error is not None and not isinstance(error, DriftError):
                self._ended = type(error).__name__
                had_rows = bool(self._rows)
                self._cut()
                self._tell(error)
                if self._chain and not had_rows and not isinstance(error, (*STORE_FAILS, GeneratorExit)):
                    self._cut(rows_or_not=True)  # all rows were written already: then only how it ended
        except KoreError as err:  # never in place of the error that is on its way out
            rows = f", and without the last {count(len(self._rows), 'row')}" if self._rows else ""
            log.warning("The checkpoints of this run stay as they were%s: %s", rows, err)
        finally:
            self._checkpoints.chunks.close()

    def _tell(self, error: BaseException) -> None:
        """Say what is kept, and who continues there."""
        # A walk that waits for the look after it is closed by GeneratorExit.
        if self._work.spec.durable and self.stored_until and not isinstance(error, GeneratorExit):
            where = f"{self._work.spec.dataset.row} {self.stored_until:,}"
            log.info("Checkpointed at %s; %s.", where, _who_continues(self._work.spec, error))

    @property
    def stored_until(self) -> int:
        """The offset after the last contact in a chunk: where a retry would continue."""
        return self._chain[-1].end if self._chain else self._foundation[0]

    @property
    def _foundation(self) -> tuple[int, str]:
        """The offset at which the first chunk begins, and the seal that it continues."""
        return _on(self._basis) if self.on_basis else _on(None)

    @property
    def next_offset(self) -> int:
        """The offset after the last contact that was added."""
        return self._state.progress.offset

    @property
    def spent(self) -> Spent:
        """What the walk has cost so far, in all tries together."""
        return self._meter.spent - self._unbilled

    def find(self, oldest: float) -> Head | None:
        """Look for the beginning that earlier tries left, and build on there; None if there is none.

        :param oldest: seconds since the epoch; a walk that started before is no beginning of this one.
        """
        there = list(self._checkpoints)
        youngest = self._work.clock.time() + TOLERATED_FUTURE
        longest = self._checkpoints.longest(there, {_on(None), _on(self._basis)}, oldest=oldest, youngest=youngest)
        # Of the same walk, what lies beside the chain is an orphan's; it is cleaned up with the rest at the end.
        self._stale += [chunk.name for chunk in there if chunk not in longest]
        if not longest:
            return None
        self._chain = longest
        self.on_basis = longest[0].start > 0
        head = self._checkpoints.head(longest[-1])
        self._state, self.fields = head.state, head.fields
        self._unbilled = self._meter.spent - head.note.spent
        self.columns = self._intake.columns_again(head.columns, self.rows())
        return head

    def ids(self) -> Iterator[str]:
        """Yield the id of every contact in order, reading the chunks again. Raises as :meth:`rows` does."""
        return (str(json_text.cells(row)["_id"]) for row in self.rows())

    def begin(self, *, on_basis: bool = False) -> None:
        """Drop what an earlier walk has left; what is spent from now on is for the next one.

        :param on_basis: whether it builds on the basis.
        """
        self.discard()
        self.columns = self._intake.no_columns()
        self.fields = FieldCounts()
        if on_basis and self._basis is not None:
            self.on_basis = True
            self.columns, self.fields = self._basis.columns(self._intake.no_columns()), self._basis.counts()
        self._unbilled = self._meter.spent

    def add(self, page: Page, state: WalkState) -> None:
        """Take in a page that was believed, after field policies.

        :param state: what its walk knows now.

        Raises ParameterError if a contact lacks a field that a policy names, and the author wants to fail then; or if
        there are more fields than a table may have; SchemaChangedError if a value does not fit its column. Then the
        page is not taken in.
        """
        if not self._rows:
            self._born = self._work.clock.monotonic()
        rows, fields, columns = self._intake.take(page, self.fields, self.columns)
        # No call between these: Airflow's execution_timeout can come out of any.
        self._rows += rows
        self._state, self.fields, self.columns = state, fields, columns
        self._characters += sum(map(len, rows))

    def checkpoint_if_due(self, expected: int | None) -> None:
        """Write a chunk if it is time to.

        :param expected: contacts in the whole list, None if unknown.
        """
        rows, self._expected = len(self._rows), expected or self._expected
        if not rows:
            return
        share = (self.stored_until // 2) if expected is None else expected // SHARE
        most = min(CHUNK_ROWS, max(SMALLEST_CHUNK_ROWS, share))
        old = self._work.clock.monotonic() - self._born >= CHUNK_SECONDS
        if rows >= most or self._characters >= CHUNK_CHARACTERS or old:
            self._cut()

    def checkpoint(self, state: WalkState, *, rows_or_not: bool = False) -> None:
        """Write the open chunk.

        :param state: what the walk has learned since its last page.
        :param rows_or_not: write that down, too, where no row is left to be written.
        """
        news, self._state = state != self._state, state
        self._cut(rows_or_not=rows_or_not and news)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let others read until the end of the block, at their own expense."""
        before = self._meter.spent
        try:
            yield
        finally:
            self._unbilled += self._meter.spent - before

    def _cut(self, *, rows_or_not: bool = False) -> None:
        """Write the open chunk: only then it is a checkpoint."""
        if not self._rows and not rows_or_not:
            return
        before = self._chain[-1].seal if self._chain else self._foundation[1]
        note = Note(
            spent=self.spent,
            usage=self._meter.allowance.usage(),
            try_number=self._work.spec.try_number,
            written=self._work.clock.time(),
            ended=self._ended,
        )
        head = Head(self._state, note, self.columns, self.fields).to_json()
        chunk = Chunk(self._state.walk_id, self.stored_until, self.next_offset, before, "")
        with self._work.teller.phase("writing a checkpoint"):
            sealed = self._checkpoints.write(chunk, json.dumps(head), self._rows)
        # Nor between these: no row may be in both, or in neither.
        self._chain, self._rows, self._characters = [*self._chain, sealed], [], 0
        if self._on_checkpoint is not None and chunk.end > chunk.start:
            self._on_checkpoint(Checkpoint(rows=chunk.end, total=self._expected, location=self._location))

    def rows(self) -> Iterator[str]:
        """Yield every row in order, reading the chunks again.

        Raises CheckpointLostError if a chunk is not what this run wrote.
        """
        if self.on_basis and self._basis is not None:
            yield from self._work.stop.guard(self._basis.rows(), every=_ROWS_AT_ONCE)
        for chunk in self._work.stop.guard(self._chain):
            self._work.teller.look()
            yield from self._checkpoints.rows(chunk)
        yield from self._rows

    def discard(self) -> None:
        """Delete every chunk of this run: they were published, or are no beginning of anything."""
        self._checkpoints.chunks.delete([*self._stale, *(chunk.name for chunk in self._chain)])
        self._stale, self._chain, self._rows = [], [], []
        self.on_basis = False

    def clean_up(self, *, unseen: bool = False) -> None:
        """Delete every chunk of this run, those of an orphaned process too, or say in the log that they stay.

        :param unseen: also where no chunk was found or written.
        """
        try:
            if unseen or self._chain or self._stale:
                self._stale = [chunk.name for chunk in self._checkpoints if chunk not in self._chain]
            self.discard()
        except KoreError as err:
            log.warning("The snapshot is published, but its checkpoints stay behind: %s", err)


def _who_continues(spec: SnapshotSpec, error: BaseException) -> str:
    """Say who continues after the checkpoint, by what ended this try."""
    if isinstance(error, PausedError):
        return "the task continues there after the wait"
    if isinstance(error, StoppedError):  # marked failed, cleared, or its worker goes down: Airflow does not tell which
        return "a retry or a Clear continues there"
    if isinstance(error, FatalError) or not spec.retry_follows:
        return "clear the task to continue there"
    return "a retry continues there"


def _on(basis: Basis | None) -> tuple[int, str]:
    """Return where the first chunk of a walk begins, and what it continues."""
    return (basis.known.rows, basis.seal) if basis is not None else (0, FIRST)
