"""The whole flow, one way: walk, stage, verify, publish."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import (
    FatalError,
    KoreError,
    PausedError,
    StoppedError,
)
from airflow_provider_kore.snapshot.basis import Basis, find_basis
from airflow_provider_kore.snapshot.chunks import ChunkStore, LocalChunks, StoredChunks, check_temp_space
from airflow_provider_kore.snapshot.content import describe
from airflow_provider_kore.snapshot.guards import check_guards
from airflow_provider_kore.snapshot.leftovers import remove_leftovers
from airflow_provider_kore.snapshot.past import find_past
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.snapshot.progress import Checkpoint, Progress, ProgressLog, ShownCheckpoints
from airflow_provider_kore.snapshot.publish import Publisher
from airflow_provider_kore.snapshot.schema import Settled, table_of
from airflow_provider_kore.snapshot.seal import Seal
from airflow_provider_kore.snapshot.staging import Staging
from airflow_provider_kore.snapshot.target import check_target, look
from airflow_provider_kore.snapshot.walking import Walking
from airflow_provider_kore.snapshot.work import Work
from airflow_provider_kore.stop import Stop
from airflow_provider_kore.store.capabilities import find_out
from airflow_provider_kore.store.patient import PatientStore
from airflow_provider_kore.walk.page_size import NOTHING, Learned

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.formats import Table
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.store.capabilities import Capabilities
    from airflow_provider_kore.store.store import ObjectStore
    from airflow_provider_kore.walk.reader import Reader
    from airflow_provider_kore.walk.source import Dataset

log = logging.getLogger(__name__)


def take_snapshot(
    spec: SnapshotSpec,
    client: Reader,
    store: ObjectStore,
    clock: Clock,
    stop: Stop | None = None,
    *,
    staging_store: ObjectStore | None = None,
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
    teller: Teller | None = None,
) -> Manifest:
    """Land one verified snapshot of a source, or raise and leave the previous one in place.

    Continues where an earlier try of the same run left off.

    :param staging_store: writes checkpoints to the same bucket with other settings (no tags, no storage class).
    :param on_checkpoint: called after each checkpoint; must not raise.
    :param teller: says what goes on where that takes long.

    Raises RetryableError if the same call may succeed later, FatalError if a person has to change something.
    """
    stop = stop or Stop()
    patient = PatientStore(store, clock, stop)
    teller = teller or Teller(clock)
    work = Work(spec=spec, source=client.config.source, store=patient, clock=clock, stop=stop, teller=teller)
    staged = patient if staging_store is None else patient.beside(staging_store)
    steps = snapshot_in_steps(work, client, staged, on_checkpoint=on_checkpoint)
    while True:  # a source that is looked at alone has one step
        try:
            next(steps)
        except StopIteration as end:
            landed: Manifest = end.value
            return landed


@dataclass(slots=True)
class Shared:
    """What the snapshots of one task have in common, and find out once."""

    progress: Callable[[Dataset], Progress]
    """Returns what says how far one of them is."""
    breaks: Callable[[], bool]
    """Whether a walk shall stop after a page, for others that wait."""
    capabilities: Capabilities | None = None
    """Of the bucket, once they are known."""


def snapshot_in_steps(
    work: Work,
    client: Reader,
    staging_store: ObjectStore,
    *,
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
    shared: Shared | None = None,
) -> Generator[bool, None, Manifest]:
    """Do what :func:`take_snapshot` does, and stop now and then.

    :param work: its store waits for itself, and so does ``staging_store``.

    Yields True where the source has to be looked at together with others. Everything is in a checkpoint then: closed
    there, it leaves to the next try to look. Yields False where others may go first; it ends by an error there.
    """
    spec, layout, store, clock, teller = work.spec, work.layout, work.store, work.clock, work.teller
    layout.check_keys()
    check_temp_space()
    with teller.phase("looking at what the bucket holds"):
        target = look(store, layout, clock)
    published = check_target(spec, layout, target, store.uri(layout.partition))
    seal = Seal(client.config, layout.list_prefix) if spec.dataset.grows_at_end else None
    publisher = Publisher(**work.parts(), seal=seal)
    if published is not None:
        log.log(
            logging.INFO if shared is None else logging.DEBUG,
            "This run has published %s already.",
            spec.dataset.count(published.rows),
        )
        with teller.phase("cleaning up what this run has left"):
            _clean_up(work, client, staging_store)
        publisher.tidy(published, target)
        return published
    own = target.own
    with teller.phase("trying what the bucket can do"):
        known = None if shared is None else shared.capabilities
        capabilities = known or find_out(
            store,
            staging_store,
            clock,
            key=layout.object,
            media_type=spec.file_format.media_type(spec.compression),
            staging=layout.staging,
            durable=spec.durable,
        )
    if shared is not None:
        shared.capabilities = capabilities
    if own is not None and spec.dataset.forgets:
        spec.source.check_replaced(own.content, spec.source.look(client))
    with teller.phase("cleaning up what earlier runs have left"):
        remove_leftovers(work, uploads=capabilities.lists_uploads, others=known is None)
    shown = ShownCheckpoints(on_checkpoint if spec.durable else None, store.uri(layout.staging))
    progress = ProgressLog(spec.dataset, client, clock, teller) if shared is None else shared.progress(spec.dataset)
    past = find_past(work)
    last = past.good() if past is not None and not spec.dataset.whole else None
    remembered = Learned.of(last.content["walk"]) if last is not None and spec.page_size is None else NOTHING
    table = table_of(spec, past)
    basis, whole_because = find_basis(work, client.config, last, table, target)
    with _staging(work, client, staging_store, shown=shown, table=table, basis=basis) as staging:
        ended = yield from Walking(
            **work.parts(),
            client=client,
            staging=staging,
            shown=shown,
            progress=progress,
            table=table,
            breaks=None if shared is None else shared.breaks,
            remembered=remembered,
            basis=basis,
            whole_because=whole_because,
        ).read()
        rows, walked = Settled(table.settle(staging.columns), staging.rows), ended.walked
        content = describe(
            work,
            client,
            staging,
            ended,
            columns=rows.columns,
            past_told=past is not None,
            basis=basis,
            remembered=remembered,
        )
        if own is not None:
            spec.source.check_replaced(own.content, walked.source_state)
        with teller.phase("comparing with the last good snapshot"):
            check_guards(spec, past, walked.evidence.contacts, walked.source_state)
        if staging.stored_until:
            staging.checkpoint(walked.state)  # publishing takes a while, too
            shown.show(staging.stored_until, walked.evidence.total)
        manifest = replace(publisher, past=past).publish(target, rows, content, capabilities)
        with teller.phase("deleting the checkpoints"):
            _remove_staging(staging)
    log.info(
        "Landed %s of %s in %s.",
        spec.dataset.count(manifest.rows),
        spec.dataset.name,
        store.uri(layout.partition),
    )
    work.stop.check()
    return manifest


@contextmanager
def _staging(
    work: Work,
    client: Reader,
    store: ObjectStore,
    *,
    shown: ShownCheckpoints | None = None,
    table: Table | None = None,
    basis: Basis | None = None,
) -> Iterator[Staging]:
    spec, prefix = work.spec, work.layout.staging
    chunks: ChunkStore = StoredChunks(store, prefix) if spec.durable else LocalChunks()
    staging = Staging(
        chunks,
        work.clock,
        spec.policies,
        Seal(client.config, prefix),
        typed_columns=spec.file_format.needs_columns,
        table=table,
        meter=client,
        stop=work.stop,
        teller=work.teller,
        try_number=spec.try_number,
        basis=basis,
    )
    try:
        with staging:
            yield staging
    except GeneratorExit:  # of a walk that waits for the look after it
        raise
    except BaseException as error:
        if spec.durable and staging.kept_until:
            if shown is not None:
                shown.show(staging.kept_until)
            where = f"{spec.dataset.row} {staging.kept_until:,}"
            log.info("Checkpointed at %s; %s.", where, _who_continues(spec, error))
        raise


def _who_continues(spec: SnapshotSpec, error: BaseException) -> str:
    """Say who continues after the checkpoint, by what ended this try."""
    if isinstance(error, PausedError):
        return "the task continues there after the wait"
    if isinstance(error, StoppedError):  # marked failed, cleared, or its worker goes down: Airflow does not tell which
        return "a retry or a Clear continues there"
    if isinstance(error, FatalError) or not spec.retry_follows:
        return "clear the task to continue there"
    return "a retry continues there"


def _clean_up(work: Work, client: Reader, store: ObjectStore) -> None:
    with _staging(work, client, store) as staging:
        staging.find(oldest=0.0)
        _remove_staging(staging)


def _remove_staging(staging: Staging) -> None:
    try:
        staging.clean_up()
    except KoreError as err:
        log.warning("The snapshot is published, but its checkpoints stay behind: %s", err)
