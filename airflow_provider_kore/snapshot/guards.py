"""Guards: an empty or collapsed source does not replace good data unnoticed."""

from __future__ import annotations

import heapq
import logging
import re
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import CorruptSnapshotError, ShrunkError
from airflow_provider_kore.snapshot.layout import MANIFEST_NAME
from airflow_provider_kore.snapshot.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from airflow_provider_kore.snapshot.layout import Layout
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.store.store import ObjectStore
    from airflow_provider_kore.walk.source import Source, SourceState

log = logging.getLogger(__name__)

LOOKED_AT = 10
"""How many manifests are read at the most in search of a consistent one."""


def check_guards(
    spec: SnapshotSpec, layout: Layout, store: ObjectStore, rows: int, state: SourceState | None = None
) -> None:
    """Compare a walk's result with what the author expects and with the last good snapshot of it, of any date.

    Raises ShrunkError with both numbers.
    """
    source = spec.source
    has = f"{source.dataset.headline} has {rows:,} {source.dataset.rows}"
    if rows < spec.min_rows:
        parameter = f"min_{source.dataset.file_name}"
        raise ShrunkError(
            f"{has}, and {parameter} is {spec.min_rows:,}. "
            f"Nothing was replaced. Look at the list in Kore.ai; if that is right, lower {parameter}."
        )
    if spec.max_shrink >= 1:
        return
    last = last_good(store, layout.list_prefix, source, state)
    if last is None or last.rows == 0:
        return
    missing = 1 - rows / last.rows
    if missing > spec.max_shrink:
        raise ShrunkError(
            f"{has}, {missing:.1%} fewer than the "
            f"{last.rows:,} of its last good snapshot ({last.snapshot_date or 'no date'}), and max_shrink is "
            f"{spec.max_shrink:g}. Nothing was replaced. Look at the list in Kore.ai; if that is right, raise "
            "max_shrink "
            "for this run (1 allows everything)."
        )


def last_good(store: ObjectStore, prefix: str, source: Source, state: SourceState | None = None) -> Manifest | None:
    """Return the manifest of the source's newest consistent snapshot, None if there is none.

    Passed over is what is damaged, tells of another source, or names files that are not of its own folder. No more than
    :data:`LOOKED_AT` manifests are read.

    :param prefix: below which all its snapshots are: ``Layout.list_prefix``.
    :param state: of the source; then only what it may be compared with in this state is good.
    """
    is_manifest = re.compile(rf"{re.escape(prefix)}snapshot_date=\d{{4}}-\d\d-\d\d/{MANIFEST_NAME}", re.ASCII).fullmatch
    newest = heapq.nlargest(
        LOOKED_AT,
        (each for each in store.list(prefix) if is_manifest(each.key)),
        key=lambda each: (each.modified is not None and each.modified.timestamp(), each.key),
    )
    for each in newest:
        try:
            published = read_manifest(store, each.key)
        except CorruptSnapshotError as err:
            log.info("Passed over: %s", err)  # a sensor looks every minute
            continue
        if published is None:
            continue
        manifest = published.manifest
        if problem := manifest.problem(each.key.removesuffix(MANIFEST_NAME), source.dataset.file_name):
            log.info("%s is passed over: it %s.", store.uri(each.key), problem)
        elif manifest.consistent and (
            source.dataset.is_same(manifest.content) if state is None else source.is_comparable(manifest.content, state)
        ):
            return manifest
    return None
