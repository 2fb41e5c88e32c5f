"""What would end half done is refused before anything is changed; what dead tasks have begun is ended."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_kore.erasure.others import form_in_any
from airflow_provider_kore.exceptions import RequestRefusedError
from airflow_provider_kore.store.capabilities import SWAP, honoured_by
from airflow_provider_kore.store.store import AccessRefused, CallUnsupported
from airflow_provider_kore.store.upload import abort_leftovers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_kore.erasure.others import Others
    from airflow_provider_kore.erasure.plan import Plan
    from airflow_provider_kore.erasure.spec import ErasureSpec
    from airflow_provider_kore.store.store import ObjectStore, Upload

log = logging.getLogger(__name__)


def check_possible(spec: ErasureSpec, store: ObjectStore, others: Others, plan: Plan) -> None:
    """Refuse a store that ignores conditions, and versions that are locked.

    Raises RequestRefusedError, ErasureIncompleteError.
    """
    honoured = honoured_by(store, f"{spec.receipt_prefix}/")
    if SWAP in honoured.ignored or not honoured.usable:
        raise RequestRefusedError(
            f"{store.uri(spec.prefix)}: the store does not honour conditional writes, so an erasure could overwrite a "
            "snapshot that lands meanwhile. Nothing was changed; docs/s3.md says which stores do."
        )
    old = plan.old
    others.check_locks([*((each.key, each.version_id) for each in old.doomed), *old.current.items()])


def try_to_write(store: ObjectStore, plan: Plan) -> None:
    """Begin an upload to each list, and abort it: a refusal comes before any of them is changed."""
    places = {key.rpartition("/snapshot_date=")[0]: key for key in plan.rewritten}
    for key in places.values():
        try:
            upload = store.create_upload(key, content_type="application/octet-stream")
        except CallUnsupported:
            return
        store.abort_upload(upload)


def abort_uploads(spec: ErasureSpec, store: ObjectStore, own: Iterable[str], now: float) -> int:
    """Abort uploads that dead tasks have left, for their parts may hold a contact; return how many.

    :param own: keys to which an earlier try may have left one, be it young.
    :param now: seconds since the epoch.
    """
    before = datetime.fromtimestamp(now - spec.staging_expiry, UTC)
    aborted: list[Upload] = []

    def is_published(key: str) -> bool:
        return form_in_any(spec, key) is not None

    try:
        for prefix in (prefix for table in spec.tables for prefix in table.prefixes):
            aborted += abort_leftovers(store, prefix, is_published, started_before=before)
        for key in own:
            aborted += abort_leftovers(store, key, key.__eq__)
    except (AccessRefused, RequestRefusedError) as err:
        log.warning("Unfinished uploads of dead tasks are not looked for, and may hold contacts: %s", err)
    return len(aborted)
