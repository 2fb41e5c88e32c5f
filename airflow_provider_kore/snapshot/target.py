"""What a partition holds before this run, and whether this run may replace it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import ParameterError, SnapshotExistsError
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.manifest import Manifest, Published, read_manifest
from airflow_provider_kore.snapshot.rivals import Writer, instant
from airflow_provider_kore.store.capabilities import LAGS
from airflow_provider_kore.store.store import AccessRefused, ObjectStore, StoredObject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.snapshot.layout import Layout
    from airflow_provider_kore.snapshot.spec import SnapshotSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the partition held when the run began."""

    object: StoredObject | None
    """The one file of a snapshot that is one."""
    manifest: Published | None
    own: Manifest | None
    """The manifest if it is this partition's own: a copied one names files that lie elsewhere."""
    listed: Mapping[str, StoredObject]
    """All that it held, by key; what may be in the way with its metadata, all else as a listing describes it."""
    in_the_way: tuple[str, ...]
    """Keys of what readers would take for data, too, and this run would not replace."""

    def holds(self, manifest: Manifest) -> bool:
        """Say whether the partition still held what a manifest describes."""
        for file in manifest.files:
            found = self.listed.get(file["key"])
            if found is None or found.etag != file.get("etag"):
                return False
            # A walk that was continued may have been committed twice, and two walks may have found the very same.
            if Writer.of_object(found).snapshot not in {"", manifest.snapshot_id}:  # empty: or the store lost it
                return False
        return True


def look(store: ObjectStore, layout: Layout, clock: Clock) -> Target:
    """Look at the partition.

    :param clock: waits for a manifest that is listed, and that a HEAD does not show yet.

    The manifest is asked for even where the listing has none: a role that may not read is found out now, not after
    hours of fetching.
    """
    listed = {found.key: found for found in store.list(layout.partition)}
    manifest = read_manifest(store, layout.manifest)
    for lag in LAGS:
        if manifest is not None or layout.manifest not in listed:
            break
        clock.sleep(lag)
        manifest = read_manifest(store, layout.manifest)
    own = manifest.manifest if manifest is not None and foreign(manifest.manifest, layout) is None else None
    replaced = {file["key"]: file.get("etag") for file in own.files} if own is not None else {}
    strange = {key for key, it in listed.items() if layout.is_of_other_form(key) and replaced.get(key) != it.etag}
    listed |= {key: _described(store, listed[key]) for key in {*strange, layout.object} & listed.keys()}
    if layout.spec.rows_per_file is None:
        # Names with an underscore or a dot in front, and folder markers, are invisible to readers of Hive tables.
        names = {key: key.removeprefix(layout.partition) for key in listed.keys() - {layout.object}}
        in_the_way = [key for key, name in names.items() if name and name[0] not in "_."]
    else:
        in_the_way = [key for key in strange if not _is_earlier(listed[key], layout, instant(clock.time()))]
    return Target(
        object=listed.get(layout.object),
        manifest=manifest,
        own=own,
        listed=listed,
        in_the_way=tuple(sorted(in_the_way)),
    )


def _described(store: ObjectStore, found: StoredObject) -> StoredObject:
    """Describe a listed object, by the listing alone where a HEAD is refused, or doesn't show it yet."""
    try:
        return store.head(found.key) or found
    except AccessRefused:
        return found


def _is_earlier(found: StoredObject, layout: Layout, now: str) -> bool:
    """Say whether an object's metadata prove that it is of an earlier snapshot, which goes as what was replaced."""
    writer = Writer.of_object(found)
    return bool(
        writer.run
        and writer.snapshot
        and layout.snapshot_of_part(found.key) in {None, writer.snapshot}
        and "" < writer.comparable_start < now
    )


def check_target(spec: SnapshotSpec, layout: Layout, target: Target, where: str) -> Manifest | None:
    """Refuse a partition that this run may not write to, before a request is spent.

    :param where: how messages name it.

    Returns the manifest of what this run has published already, if it need not do so again: by the same recipe, and
    for the same request of a person. A retry that comes after the commit (its process died before Airflow heard of the
    success) finds it; a person's Clear, and a new run under an old id, walk anew.

    Raises SnapshotExistsError, ParameterError.
    """
    published = target.own
    mine = published is not None and published.run_digest == spec.run.digest
    if published is not None and mine and _is_same(published, spec, layout) and target.holds(published):
        return published
    if not spec.replace:
        _refuse_to_replace(spec, layout, target, where)
    if published is not None and not spec.dataset.is_same(published.content):
        raise ParameterError(
            "s3_prefix",
            f"{where} already holds {spec.dataset.rows} that other filters let pass, and both would be lost in turn",
            "use another s3_prefix for each set of filters, or delete what is there",
        )
    if target.in_the_way:
        raise ParameterError(
            "file_format",
            f"{where} already holds {quoted(target.in_the_way[0].removeprefix(layout.partition))}, which readers would "
            "count too",
            "delete it, or keep format, compression and rows_per_file as they were, or use another s3_prefix",
        )
    if published is None and target.manifest is not None:
        log.warning(
            "The manifest in %s is not its own: it %s. It will be replaced; nothing that it names is touched.",
            where,
            foreign(target.manifest.manifest, layout),
        )
    return None


def _refuse_to_replace(spec: SnapshotSpec, layout: Layout, target: Target, where: str) -> None:
    """Raise SnapshotExistsError where there is a snapshot that is not this run's own; that one may be taken again."""
    published = target.own
    others_object = any(
        Writer.of(found, published).run != spec.run.digest
        for key, found in target.listed.items()
        if layout.is_published(key) and layout.snapshot_of_part(key) is None
    )
    others_manifest = target.manifest is not None and (
        published is None
        or published.run_digest != spec.run.digest
        # Tries are counted on after a Clear; a run that was deleted and created anew begins again at 1.
        or (published.generation != spec.generation and published.try_number >= spec.try_number)
    )
    if others_object or others_manifest:
        raise SnapshotExistsError(
            f"{where} already holds a snapshot that another run published, and replace is False. Pass replace=True, or "
            "another snapshot_date or s3_prefix."
        )


def _is_same(published: Manifest, spec: SnapshotSpec, layout: Layout) -> bool:
    """Say whether a snapshot of this run is what this try would make."""
    known = spec.generation is not None or not spec.replace
    return known and published.generation == spec.generation and published.recipe == layout.recipe


def foreign(manifest: Manifest, layout: Layout) -> str | None:
    """Say in words that complete "it …" why a manifest is not this partition's; None if it is."""
    problem = manifest.problem(layout.partition, layout.spec.dataset.file_name)
    if problem is not None:
        return problem
    strange = next((key for key in manifest.keys if not layout.is_published(key)), None)
    return f"names {quoted(strange)!r}, which is no name that a snapshot's file is given" if strange else None
