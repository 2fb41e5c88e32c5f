"""One list read for one snapshot.

What an earlier try began is continued; else the last snapshot is built on; else all of the list is walked.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.exceptions import (
    CheckpointLostError,
    DriftError,
    KoreError,
    PaginationError,
    TempSpaceError,
)
from airflow_provider_kore.snapshot.work import Shared, Work
from airflow_provider_kore.walk.page_size import NOTHING, Learned
from airflow_provider_kore.walk.source import LookLater
from airflow_provider_kore.walk.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Generator

    from airflow_provider_kore.formats import Table
    from airflow_provider_kore.snapshot.basis import Basis
    from airflow_provider_kore.snapshot.staging import Staging
    from airflow_provider_kore.walk.proof import Walked

log = logging.getLogger(__name__)

TIMES_BUILT_ON: Final = 2
"""How often the last snapshot is built on, because the list changed meanwhile, before all of it is walked."""


@dataclass(slots=True, kw_only=True)
class Walking(Work):
    """Reads one list into staging.

    :param remembered: what the last snapshot's walk found out about the list's pages.
    :param table: the columns that the table has already.
    :param basis: the last snapshot, if it may be built on or compared with.
    """

    shared: Shared
    staging: Staging
    table: Table
    remembered: Learned = NOTHING
    basis: Basis | None = None
    whole_because: str | None = None
    """Why all of the list has to be read, or was; None: it need not be, if there is a basis."""
    walks: int = 1
    """How often all of it is walked, because it changed."""

    def read(self) -> Generator[bool, None, Walked]:
        """Read the list; walk it again if it changed meanwhile and the author wants that.

        Yields True where the list has to be looked at together with others, with everything in a checkpoint, and False
        where others may go first.

        To build on the last snapshot costs little and does not count as a walk. Whatever is doubted about it, all of
        the list is walked.

        Raises DriftError, PaginationError, and what the client and the store raise.
        """
        built_on, resumable = 0, True
        while True:
            try:
                return (yield from self._walk(resumable=resumable))
            except (DriftError, PaginationError) as err:
                resumable, on_basis = False, self.staging.on_basis
                if isinstance(err, PaginationError) and not on_basis:
                    raise
                self.staging.discard()
                if on_basis:
                    log.info("Not built on the last snapshot: %s", err)
                    built_on += 1
                    self.whole_because = None if built_on < TIMES_BUILT_ON else _reason(err)
                else:
                    self._check_again(err)

    def _walk(self, *, resumable: bool) -> Generator[bool, None, Walked]:
        staging, walk = self.staging, self._new_walk()
        resumed = resumable and self._resume(walk)
        if not resumed:
            with self.shared.progress.waiting(self.spec.dataset):
                walk = self._begin()
        while (yield from self._read_on(walk)):
            staging.checkpoint(walk.state, rows_or_not=True)
            with staging.aside():
                yield True
        if staging.on_basis and self.basis is not None:
            self.whole_because = self.basis.misfit(self.table.settle(staging.columns))
            if self.whole_because is not None:
                return (yield from self._walk(resumable=False))
        elif resumed and self.basis is not None:
            self.whole_because = self.whole_because or "an earlier try of this run had begun to walk all of it"
        return walk.verdict()

    def _read_on(self, walk: Walk) -> Generator[bool, None, bool]:
        """Read to the end; return whether the list has to be looked at with others then. Leaves no page in memory."""
        staging = self.staging
        try:
            with self.shared.progress.waiting(self.spec.dataset):
                for page in walk.pages():  # ends after a stop, with the pages that were asked for already
                    staging.add(page, walk.state)
                    staging.checkpoint_if_due(page.total)
                    self.shared.progress.page(self.spec.dataset, page)
                    if self.shared.breaks is not None and self.shared.breaks():
                        with staging.aside():
                            yield False
        except LookLater:
            return True
        return False

    def _begin(self) -> Walk:
        """Return a walk that has begun; say why, if it is one over all of the list."""
        walk = self._new_walk()
        if self.basis is not None and self.whole_because is None:
            self.staging.begin(on_basis=True)
            known = self.basis.known
            self.shared.progress.built_on(self.spec.dataset, self.basis.manifest.snapshot_date, known.rows)
            try:
                walk.build_on(known, self.basis.ids())
            except (CheckpointLostError, DriftError, PaginationError, TempSpaceError) as err:
                walk, self.whole_because = self._new_walk(), _reason(err)
            else:
                return walk
        if self.whole_because is not None:
            log.info("All of %s is read: %s.", self.spec.dataset.title, self.whole_because)
        self.staging.begin()
        walk.start()
        return walk

    def _new_walk(self) -> Walk:
        spec = self.spec
        return Walk(
            spec.source,
            self.shared.client,
            self.clock,
            self.stop,
            page_size=spec.page_size,
            remembered=self.remembered,
            most=spec.max_rows,
            accept_drift=spec.on_drift == "accept",
        )

    def _resume(self, walk: Walk) -> bool:
        """Continue where an earlier try left off; return False where there is nothing to continue, or it is damaged."""
        spec, staging = self.spec, self.staging
        with self.teller.phase("looking for checkpoints of earlier tries"):
            found = staging.find(self.clock.time() - spec.staging_expiry)
        if found is None or spec.dataset.whole:
            return False
        self.shared.progress.resumed(spec.dataset, staging.next_offset, found.note, spec.try_number)
        try:
            with self.teller.phase("reading back the checkpoints of earlier tries"):
                walk.resume(found.state, staging.ids(), usage=found.note.usage)
        except CheckpointLostError as err:
            log.warning("Walking anew: %s", err)
            return False
        return True

    def _check_again(self, err: KoreError) -> None:
        """Raise DriftError if the list may not be walked again."""
        spec = self.spec
        if spec.on_drift == "fail" or self.walks == spec.max_walks:
            raise DriftError(
                f"{err} Nothing was published. Read the list when it is quiet; on_drift and max_walks say "
                "how often it is walked again, or that it may land as inconsistent."
            ) from err
        self.walks += 1
        log.info("%s Walking again (%d of %d).", err, self.walks, spec.max_walks)


def _reason(err: KoreError) -> str:
    return str(err).removesuffix(".")
