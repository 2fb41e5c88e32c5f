"""Guards: an empty or collapsed source does not replace good data unnoticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import CorruptSnapshotError, ShrunkError
from airflow_provider_kore.snapshot.layout import MANIFEST_NAME
from airflow_provider_kore.snapshot.manifest import Manifest, read_manifest
from airflow_provider_kore.snapshot.source import headline

if TYPE_CHECKING:
    from airflow_provider_kore.snapshot.layout import Layout
    from airflow_provider_kore.snapshot.source import Source
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.snapshot.store import ObjectStore

LOOKED_AT = 10
"""How many manifests are read at the most in search of a consistent one."""


def check_guards(spec: SnapshotSpec, layout: Layout, store: ObjectStore, rows: int) -> None:
    """Compare a walk's result with what the author expects and with the last good snapshot of it, of any date.

    Raises ShrunkError with both numbers.
    """
    source = spec.source
    has = f"{headline(source)} has {rows:,} {source.rows}"
    if rows < spec.min_rows:
        parameter = f"min_{source.file_name}"
        raise ShrunkError(
            f"{has}, and {parameter} is {spec.min_rows:,}. "
            f"Nothing was replaced. Look at the list in Kore.ai; if that is right, lower {parameter}."
        )
    if spec.max_shrink >= 1:
        return
    last = last_good(store, layout.list_prefix, source)
    if last is None or last.rows == 0:
        return
    missing = 1 - rows / last.rows
    if missing > spec.max_shrink:
        raise ShrunkError(
            f"{has}, {missing:.1%} fewer than the "
            f"{last.rows:,} of its last good snapshot ({last.content['snapshot_date']}), and max_shrink is "
            f"{spec.max_shrink:g}. Nothing was replaced. Look at the list in Kore.ai; if that is right, raise "
            "max_shrink "
            "for this run (1 allows everything)."
        )


def last_good(store: ObjectStore, prefix: str, source: Source) -> Manifest | None:
    """Return the manifest of the source's newest consistent snapshot, None if there is none.

    :param prefix: below which all its snapshots are: ``Layout.list_prefix``.
    """
    found = [each for each in store.list(prefix) if each.key.endswith(f"/{MANIFEST_NAME}")]
    newest = sorted(
        found, key=lambda each: (each.modified is not None and each.modified.timestamp(), each.key), reverse=True
    )
    for each in newest[:LOOKED_AT]:
        try:
            published = read_manifest(store, each.key)
        except CorruptSnapshotError:
            continue
        if published is not None and published.manifest.consistent and source.is_same(published.manifest.content):
            return published.manifest
    return None
