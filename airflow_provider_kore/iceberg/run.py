"""Commit snapshots to an Iceberg table: in one commit, which replaces the partition of each list and day, exactly once.

The table's readers see the old snapshots or the new ones: one Iceberg snapshot takes the old files out and the new ones
in, so there is no moment between them, not even for who travels in time. The same commit carries new columns, the tags
of the days, and in its summary what a retry knows it by.

What may go wrong between two calls of the catalog, does no harm: until the commit nothing belongs to the table, and the
commit demands that the table still is as it was read. If another writer won, or an answer was lost, the table is read
again, and its commits say whether ours is in.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import CatalogUnavailableError, ContentionError
from airflow_provider_kore.iceberg.errors import iceberg_errors, in_our_words
from airflow_provider_kore.iceberg.files import Writer, Written
from airflow_provider_kore.iceberg.landed import find_landed, merged_columns
from airflow_provider_kore.iceberg.marks import committed, marks_of
from airflow_provider_kore.iceberg.proposal import Proposal
from airflow_provider_kore.iceberg.table import ancestors, check_columns, check_table, check_tags, find_table
from airflow_provider_kore.snapshot.chunks import temp_space
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.stop import Stop, StoppableClock
from airflow_provider_kore.store.patient import PatientStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.exceptions import KoreError
    from airflow_provider_kore.iceberg.landed import Landed
    from airflow_provider_kore.iceberg.spec import Wanted
    from airflow_provider_kore.store.store import ObjectStore

log = logging.getLogger(__name__)

ATTEMPTS: Final = 6
"""How often a commit is tried that other writers win against."""

FIRST_WAIT: Final = 0.5
"""Seconds; doubled after each attempt."""

TAG: Final = "kore-"
"""What the name of a day's tag begins with: ``kore-2026-11-26``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a table holds now."""

    snapshot_id: int | None
    """Of the table's new commit; None if it held everything already."""
    landed: Sequence[Landed]
    """All that were wanted."""
    new: Sequence[Landed]
    """Those of them that this call has committed."""
    tags: Sequence[str]
    """The days' tags that it has set."""


def commit_snapshots(
    wanted: Iterable[Wanted],
    open_store: Callable[[str], ObjectStore],
    catalog: Catalog,
    name: str,
    *,
    tags: bool = True,
    stop: Stop | None = None,
    teller: Teller | None = None,
    clock: Clock | None = None,
) -> Outcome:
    """Commit snapshots to a table, which is created if it does not exist, or raise and leave it as it was.

    :param open_store: returns the store of a bucket.
    :param name: of the table, with its namespace.
    :param tags: whether each day gets a tag, ``kore-2026-11-26``.

    Raises ParameterError where a snapshot has not landed; CorruptSnapshotError where one is not as its manifest says;
    TableMismatchError where the table is none of ours, or its columns are of another type; CredentialsError;
    RetryableError if the same call may succeed later: ContentionError, CatalogUnavailableError, DriftError.
    """
    stop, teller = stop or Stop(), teller or Teller()
    patient = StoppableClock(clock or SystemClock(), stop)
    landed = find_landed(wanted, lambda bucket: PatientStore(open_store(bucket), patient, stop), stop, teller)
    for each in landed:
        if not each.consistent:
            log.warning("The snapshot of %s is not proven consistent, and is committed as it landed.", each.address)
    run = _Run(catalog=catalog, name=name, landed=landed, tags=tags, stop=stop, teller=teller, clock=patient)
    outcome = run.commit()
    log.info(
        "The Iceberg table %s holds %d snapshots, of which %d are new, with %s contacts.",
        name,
        len(outcome.landed),
        len(outcome.new),
        f"{sum(each.rows for each in outcome.new):,}",
    )
    return outcome


@dataclass(slots=True, kw_only=True)
class _Run:
    """One call of :func:`commit_snapshots`."""

    catalog: Catalog
    name: str
    landed: Sequence[Landed]
    tags: bool
    stop: Stop
    teller: Teller
    clock: Clock
    written: Written = field(default_factory=Written)

    def commit(self) -> Outcome:
        """Commit what the table does not hold yet."""
        try:
            for attempt in range(ATTEMPTS):
                self.stop.check()
                outcome = self._attempt()
                if outcome is not None:
                    return outcome
                log.info("Another writer has changed the Iceberg table %s meanwhile; trying again.", self.name)
                self.clock.sleep(FIRST_WAIT * 2**attempt * random.uniform(1, 1.5))  # noqa: S311  # no secret
        finally:
            self.written.discard(self.name)
        raise ContentionError(
            f"Other writers keep changing the Iceberg table {self.name}: {ATTEMPTS} commits in a row came too late. "
            "Nothing was committed. Try again when they are done, or let one task at a time write to it (a pool with "
            "one slot)."
        )

    def _attempt(self) -> Outcome | None:
        """Try once; None if another writer won."""
        with iceberg_errors("reading the table", self.name):
            table = find_table(self.catalog, self.name)
            missing = self._missing(table)
        if not missing:
            return Outcome(snapshot_id=None, landed=self.landed, new=(), tags=())
        with iceberg_errors("writing its files", self.name), temp_space():
            proposal = self._propose(table, missing)
        self.stop.check()
        if not self._send(proposal):
            return None
        return Outcome(snapshot_id=proposal.snapshot_id, landed=self.landed, new=missing, tags=proposal.tags)

    def _missing(self, table: Table | None) -> list[Landed]:
        """Return the snapshots that the table does not hold yet."""
        if table is None:
            return list(self.landed)
        check_table(table, self.name)
        inside = committed(ancestors(table), self.landed)
        return [each for each in self.landed if each.partition not in inside]

    def _propose(self, table: Table | None, missing: Sequence[Landed]) -> Proposal:
        """Write everything that a commit needs, none of which belongs to the table yet."""
        columns = merged_columns(missing)
        check_columns(columns)
        proposal = Proposal.of(self.catalog, self.name, table, columns)
        self.written.io = io = proposal.table.io
        writer = Writer(proposal.metadata, io, self.name, self.stop, self.teller)
        for each in missing:
            if not self.written.fits(each, proposal.metadata):
                writer.write(each, self.written)
        tags = sorted({f"{TAG}{each.snapshot_date}" for each in missing}) if self.tags else []
        check_tags(proposal.metadata, tags, self.name)
        replaced = proposal.files_of({each.partition for each in missing}, self.name)
        new = [file for each in missing for file in self.written.files[each.partition][1]]
        try:
            proposal.fill(replaced, new, marks_of(missing), tags)
        finally:
            self.written.paths.update(dict.fromkeys(proposal.paths))
        return proposal

    def _send(self, proposal: Proposal) -> bool:
        """Commit; False if another writer won. What is in doubt is looked up."""
        self.written.in_doubt = True  # whatever ends this block, an interruption too
        failure: Exception | None = None
        try:
            proposal.commit()
        except Exception as err:  # noqa: BLE001  # whatever it is: only a look at the table tells whether it is in
            failure = err
        if failure is None or self._is_in(proposal, failure):
            self.written.keep(proposal.paths)
            return True
        if not proposal.is_conflict(failure):
            raise _in_doubt(self.name, failure)
        self.written.in_doubt = False
        return False

    def _is_in(self, proposal: Proposal, failure: Exception) -> bool:
        """Look whether a commit that ended with an error is in the table. Raises CatalogUnavailableError."""
        try:
            table = find_table(self.catalog, self.name)
        except Exception:  # noqa: BLE001  # what ended the commit says more
            raise _in_doubt(self.name, failure) from None
        return table is not None and table.metadata.snapshot_by_id(proposal.snapshot_id) is not None


def _in_doubt(name: str, failure: Exception) -> KoreError:
    error = in_our_words(failure, "committing", name)
    if isinstance(error, CatalogUnavailableError):
        return CatalogUnavailableError(
            f"The catalog of the Iceberg table {name} gave no good answer to the commit ({type(failure).__name__}), "
            "and it is not known whether it will be in. Try again: the next try looks first, and commits nothing "
            "twice. If it stays, check the catalog and the network."
        )
    return error
