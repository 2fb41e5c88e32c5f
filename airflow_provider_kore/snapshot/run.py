"""The whole flow, one way: walk, stage, verify, publish."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_kore.snapshot.basis import find_basis
from airflow_provider_kore.snapshot.chunks import check_temp_space
from airflow_provider_kore.snapshot.content import describe
from airflow_provider_kore.snapshot.guards import check_guards
from airflow_provider_kore.snapshot.leftovers import remove_leftovers
from airflow_provider_kore.snapshot.past import find_past
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.snapshot.progress import ProgressLog
from airflow_provider_kore.snapshot.publish import publish, tidy
from airflow_provider_kore.snapshot.schema import table_of
from airflow_provider_kore.snapshot.seal import Seal
from airflow_provider_kore.snapshot.staging import Staging
from airflow_provider_kore.snapshot.target import check_target, look
from airflow_provider_kore.snapshot.walking import Walking
from airflow_provider_kore.snapshot.work import Shared, Work
from airflow_provider_kore.stop import Stop
from airflow_provider_kore.store.capabilities import find_out
from airflow_provider_kore.store.patient import PatientStore
from airflow_provider_kore.walk.page_size import NOTHING, Learned

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.snapshot.progress import Checkpoint
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.store.store import ObjectStore
    from airflow_provider_kore.walk.reader import Reader

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
    shared = Shared(
        client=client,
        staging_store=patient if staging_store is None else patient.beside(staging_store),
        progress=ProgressLog(spec.dataset, client, clock, teller),
        on_checkpoint=on_checkpoint,
    )
    steps = snapshot_in_steps(work, shared)
    while True:  # a source that is looked at alone has one step
        try:
            next(steps)
        except StopIteration as end:
            landed: Manifest = end.value
            return landed


def snapshot_in_steps(work: Work, shared: Shared) -> Generator[bool, None, Manifest]:
    """Do what :func:`take_snapshot` does, and stop now and then.

    :param work: its store waits for itself.

    Yields True where the source has to be looked at together with others. Everything is in a checkpoint then: closed
    there, it leaves to the next try to look. Yields False where others may go first; it ends by an error there.
    """
    spec, layout, store, clock, teller = work.spec, work.layout, work.store, work.clock, work.teller
    client, known = shared.client, shared.capabilities
    layout.check_keys()
    check_temp_space()
    with teller.phase("looking at what the bucket holds"):
        target = look(store, layout, clock)
    published = check_target(spec, layout, target, store.uri(layout.partition))
    if published is not None:
        log.log(shared.progress.level, "This run has published %s already.", spec.dataset.count(published.rows))
        with teller.phase("cleaning up what this run has left"), Staging(work, shared) as staging:
            staging.clean_up(unseen=True)
        tidy(work, published, target)
        return published
    own = target.own
    with teller.phase("trying what the bucket can do"):
        shared.capabilities = capabilities = known or find_out(
            store,
            shared.staging_store,
            clock,
            key=layout.object,
            media_type=spec.file_format.media_type(spec.compression),
            staging=layout.staging,
            durable=spec.durable,
        )
    if own is not None and spec.dataset.forgets:
        spec.source.check_replaced(own.content, spec.source.look(client))
    with teller.phase("cleaning up what earlier runs have left"):
        remove_leftovers(work, uploads=capabilities.lists_uploads, others=known is None)
    past = find_past(work)
    last = past.good() if past is not None and not spec.dataset.whole else None
    table = table_of(spec, past)
    basis, whole_because = find_basis(work, client.config, last, table, target)
    with Staging(work, shared, table, basis) as staging:
        walking = Walking(
            **work.parts(),
            shared=shared,
            staging=staging,
            table=table,
            remembered=Learned.of(last.content["walk"]) if last is not None and spec.page_size is None else NOTHING,
            basis=basis,
            whole_because=whole_because,
        )
        walked = yield from walking.read()
        seal = Seal(client.config, layout.list_prefix) if spec.dataset.grows_at_end else None
        columns = table.settle(staging.columns)
        content = describe(walking, walked, columns, past_told=past is not None)
        if own is not None:
            spec.source.check_replaced(own.content, walked.source_state)
        with teller.phase("comparing with the last good snapshot"):
            check_guards(spec, past, walked.evidence.contacts, walked.source_state)
        if staging.stored_until:
            staging.checkpoint(walked.state)  # publishing takes a while, too
        rows = staging.rows()
        manifest = publish(work, target, rows, columns, content, capabilities=capabilities, past=past, seal=seal)
        with teller.phase("deleting the checkpoints"):
            staging.clean_up()
    where = store.uri(layout.partition)
    log.info("Landed %s of %s in %s.", spec.dataset.count(manifest.rows), spec.dataset.name, where)
    work.stop.check()
    return manifest
