"""What earlier runs of a task have left: checkpoints of those that never came back, and unfinished uploads."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import RequestRefusedError
from airflow_provider_kore.quoting import count
from airflow_provider_kore.store.store import AccessRefused
from airflow_provider_kore.store.upload import abort_leftovers

if TYPE_CHECKING:
    from airflow_provider_kore.snapshot.layout import Layout
    from airflow_provider_kore.snapshot.work import Work
    from airflow_provider_kore.store.store import ObjectStore, StoredObject

log = logging.getLogger(__name__)


def remove_leftovers(work: Work, *, uploads: bool, others: bool) -> None:
    """Clean up after runs of this task that never came back, and after own uploads that were cut off.

    :param uploads: whether the store lists them.
    :param others: whether to look for what other runs have staged; False: this task has done so.
    """
    layout, store = work.layout, work.store
    before = datetime.fromtimestamp(work.clock.time() - work.spec.staging_expiry, UTC)
    try:
        removed = _delete_expired(store, layout, before=before) if others else 0
        if removed:
            log.info("Removed %s of runs that never came back.", count(removed, "checkpoint"))
        if not uploads:
            return
        # Another try that still uploads to this very key is fenced off; of the list's other keys, only what is old is
        # left over, and only uploads to keys of our own form: other tools may have some below this prefix.
        aborted = abort_leftovers(store, layout.object, lambda key: key == layout.object)
        aborted += abort_leftovers(
            store, layout.list_prefix, lambda key: layout.is_published(key, any_date=True), started_before=before
        )
        if aborted:
            log.info("Aborted %s of earlier tries.", count(len(aborted), "unfinished upload"))
    except (AccessRefused, RequestRefusedError) as err:
        log.warning("Leftovers of earlier runs are not cleaned up: %s", err)


def _delete_expired(store: ObjectStore, layout: Layout, *, before: datetime) -> int:
    """Delete what other runs of this task that never came back have staged; return how many objects.

    Nothing but keys of the form of checkpoints, and of a run only if the newest of them is old: a walk may take longer
    than that.

    :param before: objects modified later may belong to a run that is still going.
    """
    staged: dict[str, list[StoredObject]] = {}  # not every store lists by key, so a run's need not come together
    expired: list[str] = []
    for found in store.list(layout.task_staging):
        if found.key.startswith(f"{layout.staging}probe-") and layout.staged_by(found.key):
            expired.append(found.key)  # of a try of this very run that died while it was asking what the store can do
        elif run := layout.staged_by(found.key):
            staged.setdefault(run, []).append(found)
    for theirs in staged.values():
        old = all(each.modified is not None and each.modified.astimezone(UTC) < before for each in theirs)
        if old and not theirs[0].key.startswith(layout.staging):
            expired += [each.key for each in theirs]
    if expired:
        store.delete(expired)
    return len(expired)
