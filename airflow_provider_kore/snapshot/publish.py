"""The commit: the object, then its manifest, so that at any instant a reader finds one whole snapshot.

S3's own put (or the completion of a multipart upload) is the commit of a snapshot that is one file. It replaces only
what this writer saw when it began (conditional writes), so of two writers one wins, and the other knows. The manifest
follows; whoever owns the object writes it, and whoever finds that the object is another's leaves it alone.
A snapshot of several files is committed by its manifest alone, whose names no other snapshot uses.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import (
    CheckpointLostError,
    ContentionError,
    CorruptSnapshotError,
    KoreError,
    ParameterError,
    RequestRefusedError,
    SnapshotExistsError,
    StorePermissionError,
    StoreUnavailableError,
    SupersededError,
)
from airflow_provider_kore.formats import parts
from airflow_provider_kore.quoting import count, quoted
from airflow_provider_kore.snapshot.build import BuiltFile, build
from airflow_provider_kore.snapshot.manifest import Manifest, Published, read_manifest
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.store.capabilities import LAGS
from airflow_provider_kore.store.conditions import conditions_honoured
from airflow_provider_kore.store.store import (
    ABSENT,
    AccessRefused,
    Condition,
    ConditionFailed,
    ConditionUnsupported,
    ObjectStore,
    StoredObject,
    UploadGone,
    find,
)
from airflow_provider_kore.store.upload import Uploaded, upload_file
from airflow_provider_kore.walk.ids import IdSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.formats import ColumnSet
    from airflow_provider_kore.snapshot.layout import Layout
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.capabilities import Capabilities

log = logging.getLogger(__name__)

TURNS: Final = 8
"""How often a writer yields to others who publish the same partition before it gives up."""

TOLERATED_FUTURE: Final = 86_400.0
"""Seconds by which another machine's clock may be ahead. A walk that claims to have begun later than that is no rival:
its snapshot would keep every other out for ever."""

_NAMES_IN_A_LINE: Final = 20

META_SNAPSHOT: Final = "kore-snapshot-id"
META_RUN: Final = "kore-run"
META_TRY: Final = "kore-try"
META_ATTEMPT: Final = "kore-attempt"
META_STARTED: Final = "kore-walk-started"
META_CONSISTENT: Final = "kore-consistent"


class Rows(Protocol):
    """What is published: a walk's staged rows, say."""

    columns: ColumnSet

    def rows(self) -> Iterator[str]:
        """Yield every row, a raw JSON object."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the partition held when the run began."""

    object: StoredObject | None
    manifest: Published | None
    others: tuple[str, ...]
    """Keys of what readers would take for data, too."""
    listed: Mapping[str, StoredObject] = field(default_factory=dict)
    """All of it, as a listing tells."""

    def own(self, layout: Layout) -> Manifest | None:
        """Return the manifest if it is this partition's own: a copied one names files that lie elsewhere."""
        found = self.manifest.manifest if self.manifest else None
        return found if found is not None and _elsewhere(found, layout) is None else None


def look(store: ObjectStore, layout: Layout, clock: Clock | None = None) -> Target:
    """Look at the partition.

    :param clock: waits for a manifest that is listed, and that a HEAD does not show yet.

    The manifest is asked for even where the listing has none: a role that may not read is found out now, not after
    hours of fetching.
    """
    listed = {found.key: found for found in store.list(layout.partition)}
    manifest = read_manifest(store, layout.manifest)
    for lag in LAGS if clock is not None and layout.manifest in listed else ():
        if manifest is not None or clock is None:
            break
        clock.sleep(lag)
        manifest = read_manifest(store, layout.manifest)
    names = {key: key.removeprefix(layout.partition) for key in listed.keys() - {layout.object, layout.manifest}}
    return Target(
        object=_described(store, layout.object, listed),
        manifest=manifest,
        listed=listed,
        # Names with an underscore or a dot in front, and folder markers, are invisible to readers of Hive tables.
        others=tuple(sorted(key for key, name in names.items() if name and name[0] not in "_.")),
    )


def _described(store: ObjectStore, key: str, listed: Mapping[str, StoredObject]) -> StoredObject | None:
    """Describe a listed object, by the listing alone where a HEAD is refused, or doesn't show it yet."""
    if key not in listed:
        return None
    try:
        return store.head(key) or listed[key]
    except AccessRefused:
        return listed[key]


def _whose(found: StoredObject, published: Manifest | None) -> Mapping[str, str]:
    """Return what is known of an object's writer: by its metadata; where the store keeps none, by its manifest."""
    if META_RUN in found.metadata:
        return found.metadata
    if published is None or published.keys != [found.key]:
        return {}
    return _metadata_of(published) if published.content["files"][0].get("etag") == found.etag else {}


def check_target(spec: SnapshotSpec, layout: Layout, target: Target, bucket: str) -> Manifest | None:
    """Refuse a partition that this run may not write to, before a request is spent.

    Returns the manifest of what this run has published already, if it need not do so again: by the same recipe, and
    for the same request of a person. A retry that comes after the commit (its process died before Airflow heard of the
    success) finds it; a person's Clear, and a new run under an old id, walk anew.

    Raises SnapshotExistsError, ParameterError.
    """
    where = f"s3://{bucket}/{layout.partition}"
    published = target.own(layout)
    foreign = target.manifest is not None and published is None
    mine = published is not None and published.run_digest == spec.run.digest
    if published is not None and mine and _is_same(published, spec, layout) and _is_whole(published, target, layout):
        return published
    if not spec.replace:
        _refuse_to_replace(spec, target, published, where, foreign=foreign)
    if published is not None and not spec.source.is_same(published.content):
        raise ParameterError(
            "s3_prefix",
            f"{where} already holds {spec.source.rows} that other filters let pass, and both would be lost in turn",
            "use another s3_prefix for each set of filters, or delete what is there",
        )
    if spec.rows_per_file is None and target.others:
        raise ParameterError(
            "file_format",
            f"{where} already holds {quoted(target.others[0].removeprefix(layout.partition))}, which readers would "
            "count too",
            "delete it, or keep format, compression and rows_per_file as they were, or use another s3_prefix",
        )
    if foreign and target.manifest is not None:
        log.warning(
            "The manifest in %s is not its own: it %s. It will be replaced; nothing that it names is touched.",
            where,
            _elsewhere(target.manifest.manifest, layout),
        )
    return None


def _refuse_to_replace(
    spec: SnapshotSpec, target: Target, published: Manifest | None, where: str, *, foreign: bool
) -> None:
    """Raise SnapshotExistsError where there is a snapshot that is not this run's own; that one may be taken again."""
    others_object = target.object is not None and _whose(target.object, published).get(META_RUN) != spec.run.digest
    others_manifest = published is not None and (
        published.run_digest != spec.run.digest
        # Tries are counted on after a Clear; a run that was deleted and created anew begins again at 1.
        or (published.generation != spec.generation and published.try_number >= spec.try_number)
    )
    if foreign or others_object or others_manifest:
        raise SnapshotExistsError(
            f"{where} already holds a snapshot that another run published, and replace is False. Pass replace=True, or "
            "another snapshot_date or s3_prefix."
        )


def _is_same(published: Manifest, spec: SnapshotSpec, layout: Layout) -> bool:
    """Say whether a snapshot of this run is what this try would make."""
    known = spec.generation is not None or not spec.replace
    return known and published.generation == spec.generation and published.recipe == layout.recipe


def _is_whole(manifest: Manifest, target: Target, layout: Layout) -> bool:
    """Say whether the partition still holds what the manifest describes."""
    files = manifest.content["files"]
    if manifest.keys == [layout.object]:
        # A walk that was continued may have been committed twice, and two walks may have found the very same.
        found = target.object
        return (
            found is not None
            and found.metadata.get(META_SNAPSHOT, manifest.snapshot_id) == manifest.snapshot_id  # or the store lost it
            and found.etag == files[0].get("etag")
        )
    there = {key: each.etag for key, each in target.listed.items()}
    return bool(files) and all(there.get(file["key"]) == file.get("etag") for file in files)


def _elsewhere(manifest: Manifest, layout: Layout) -> str | None:
    """Say in words that complete "it …" why a manifest is not this partition's; None if it is."""
    problem = manifest.problem(layout.partition, layout.spec.source.file_name)
    if problem is not None:
        return problem
    strange = next((key for key in manifest.keys if not layout.is_published(key)), None)
    return f"names {quoted(strange)!r}, which is no name that a snapshot's file is given" if strange else None


class Publisher:
    """Publishes one snapshot of one run.

    :param started: when the walk began, as the manifest spells it; of two writers, the later walk wins.
    :param now: seconds since the epoch; None: as the clock says. Nobody gives way to a walk of the future.
    :param capabilities: what the store can do; None: find out which conditions it honours.
    :param clock: waits for a store that shows late what it has accepted.
    :param teller: says how far it is where that takes long.
    """

    def __init__(
        self,
        spec: SnapshotSpec,
        layout: Layout,
        store: ObjectStore,
        stop: Stop,
        *,
        snapshot_id: str,
        started: str,
        now: float | None = None,
        capabilities: Capabilities | None = None,
        clock: Clock | None = None,
        teller: Teller | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._capabilities = capabilities
        self._committed: StoredObject | None = None
        """What our own write of the one file was answered."""
        self._replacing: StoredObject | None = None
        """What it replaced."""
        self._spec = spec
        self._layout = layout
        self._store = store
        self._stop = stop
        self._snapshot_id = snapshot_id
        self._started = started
        self._latest = instant((self._clock.time() if now is None else now) + TOLERATED_FUTURE)
        self._teller = teller or Teller()
        self._attempt = secrets.token_hex(4)
        self._conditional = capabilities is None or capabilities.conditional
        self._parts: list[str] = []
        self._replaced: dict[str, Manifest] = {}
        """Manifests in whose place this one's comes, by their snapshots."""

    def publish(self, target: Target, staging: Rows, content: dict[str, Any]) -> Manifest:
        """Build the file or files, commit them, write the manifest; return it.

        :param content: the manifest without its files.

        Raises SupersededError, ContentionError, SnapshotExistsError, CorruptSnapshotError, TempSpaceError, and what the
        store raises.
        """
        with self._teller.phase("trying whether the store honours conditional writes"):
            self._check_conditions()
        rows = int(content[self._spec.source.file_name])
        metadata = {
            META_SNAPSHOT: self._snapshot_id,
            META_RUN: self._spec.run.digest,
            META_TRY: str(self._spec.try_number),
            META_ATTEMPT: self._attempt,
            f"kore-{self._spec.source.file_name.replace('_', '-')}": str(rows),
            META_STARTED: self._started,
            META_CONSISTENT: str(content["consistent"]).lower(),
        }
        try:
            if self._spec.rows_per_file is None:
                files = [self._one_file(target, staging, metadata, rows)]
            else:
                files = self._several_files(target, staging, metadata, self._spec.rows_per_file, rows)
            manifest = Manifest({**content, "files": files})
            with self._teller.phase("writing the manifest"):
                self._write_manifest(manifest, target)
        except (SupersededError, ContentionError, SnapshotExistsError, CheckpointLostError):
            self._delete(self._parts)  # their names are this attempt's alone, and no manifest will ever name them
            raise
        with self._teller.phase("deleting the files that were replaced"):
            self.tidy(manifest, target)
        return manifest

    def _one_file(self, target: Target, staging: Rows, metadata: Mapping[str, str], rows: int) -> dict[str, Any]:
        with self._build(staging.rows(), staging, IdSet()) as built:
            self._check_count(built.rows, rows)
            uploaded = self._commit(self._layout.object, built.file, metadata, target)
            self._committed = uploaded.stored
            return _describe(uploaded, built, self._spec)

    def _several_files(
        self, target: Target, staging: Rows, metadata: Mapping[str, str], rows_per_file: int, expected: int
    ) -> list[dict[str, Any]]:
        """Write files whose names are this attempt's alone; nobody reads them before the manifest names them."""
        if target.manifest is not None:
            self._check_rival(_metadata_of(target.manifest.manifest), target.manifest.manifest.keys[0], appeared=False)
        files: list[dict[str, Any]] = []
        seen = IdSet()
        for number, rows in enumerate(parts(staging.rows(), rows_per_file)):
            with self._build(rows, staging, seen) as built:
                # Another attempt of the same walk may hold more, if the list has grown: its manifest stands until ours.
                key = self._layout.part(f"{self._snapshot_id}-{self._attempt}", number)
                self._parts.append(key)
                files.append(_describe(self._upload_part_of_several(key, built.file, metadata), built, self._spec))
        self._check_count(sum(file["rows"] for file in files), expected)
        return files

    def _upload_part_of_several(self, key: str, file: BinaryIO, metadata: Mapping[str, str]) -> Uploaded:
        for _ in range(TURNS):
            with suppress(UploadGone):  # another try cleaned up
                return self._upload(key, file, metadata, None)
        raise ContentionError(
            f"Others keep aborting the uploads of s3://{self._store.bucket}/{key}. Look for tasks and tools that clean "
            "up there."
        )

    def _upload(self, key: str, file: BinaryIO, metadata: Mapping[str, str], condition: Condition | None) -> Uploaded:
        size = file.seek(0, os.SEEK_END)
        with self._teller.phase("uploading the file", "bytes", size) as phase:

            def on_part() -> None:
                self._stop.check()
                phase.done = file.tell()
                self._teller.look()

            return upload_file(
                self._store,
                key,
                file,
                content_type=self._media_type,
                metadata=metadata,
                condition=condition,
                on_part=on_part,
                **self._sizes,
            )

    def _build(self, rows: Iterator[str], staging: Rows, seen: IdSet) -> AbstractContextManager[BuiltFile]:
        spec = self._spec
        return build(
            rows,
            spec.file_format,
            spec.compression,
            staging.columns,
            seen=seen,
            on_rows=self._stop.check,
            teller=self._teller,
        )

    def _commit(self, key: str, file: BinaryIO, metadata: Mapping[str, str], target: Target) -> Uploaded:
        baseline, manifest = target.object, target.own(self._layout)
        moved = True
        for turn in range(TURNS):
            if baseline is not None and moved:
                self._check_rival(_whose(baseline, manifest), key, appeared=turn > 0)
            condition = ABSENT if baseline is None else Condition(etag=baseline.etag)
            self._replacing = baseline
            try:
                return self._upload(key, file, metadata, condition if self._conditional else None)
            except ConditionUnsupported:
                self._warn_unconditional("it answers that it does not know them")
            except UploadGone:
                baseline, moved = self._look_at(key), True
            except ConditionFailed:
                found = self._look_at(key)
                moved = _etag(found) != _etag(baseline)
                if not moved:
                    self._clock.sleep(LAGS[min(turn, len(LAGS) - 1)])  # what stands in the way does not show yet
                    found = self._look_at(key)
                    moved = _etag(found) != _etag(baseline)
                baseline = found
                if baseline is not None and META_RUN not in baseline.metadata:
                    published = read_manifest(self._store, self._layout.manifest)
                    manifest = published.manifest if published else None
        raise self._gave_up(key, moved=moved)

    def _gave_up(self, key: str, *, moved: bool) -> Exception:
        where = f"s3://{self._store.bucket}/{key}"
        if not moved:
            return StoreUnavailableError(
                f"{where}: the store refuses each conditional write, and shows nothing that could be the reason. Try "
                "again; the next try looks anew at what is there."
            )
        return ContentionError(f"Other writers keep publishing {where}. Look for tasks that write the same partition.")

    def _look_at(self, key: str) -> StoredObject | None:
        """Describe an object, by a listing where a HEAD is refused."""
        try:
            return find(self._store, key)
        except AccessRefused:
            return next((found for found in self._store.list(key) if found.key == key), None)

    @property
    def _sizes(self) -> dict[str, Any]:
        """How files are uploaded: whole, where the store takes no parts."""
        parts = self._capabilities is None or self._capabilities.uploads
        return {} if parts else {"single_put_bytes": sys.maxsize}

    def _check_rival(self, metadata: Mapping[str, str], key: str, *, appeared: bool) -> None:
        """Give way to another run's snapshot if it is newer, and to a later try of this run.

        :param appeared: whether it was published since this try began. What was there before may be replaced by any
            try of the same run: whoever deletes a run and creates it anew counts its tries from 1 again.
        """
        where = f"s3://{self._store.bucket}/{key}"
        if metadata.get(META_RUN) == self._spec.run.digest:
            if appeared and _number(metadata.get(META_TRY)) > self._spec.try_number:
                raise SupersededError(
                    f"A later try of this run has published {where} meanwhile. Its snapshot stays; there is nothing to "
                    "do here."
                )
            return
        if not self._spec.replace:
            raise SnapshotExistsError(
                f"Another run published {where} meanwhile, and replace is False. Its snapshot stays."
            )
        theirs = metadata.get(META_STARTED, "")
        if _is_instant(theirs) and self._started < theirs <= self._latest:
            raise SupersededError(
                f"Another run began to read the list after this one ({theirs}) and has published {where} already. Its "
                "newer snapshot stays; there is nothing to do here."
            )

    def _write_manifest(self, manifest: Manifest, target: Target) -> None:
        """Write the manifest of the object that is there, or of several files, which it commits.

        What stands in its place is looked at first, then the object: whoever replaces the object after that writes a
        manifest after that, too, and then the condition fails.
        """
        key = self._layout.manifest
        failed: list[str] = []
        for turn in range(TURNS):
            found = self._look_at(key)
            if manifest.keys == [self._layout.object]:
                self._check_ownership()
            elif found is not None:
                self._give_way(key, target)
            condition = ABSENT if found is None else Condition(etag=found.etag)
            try:
                self._store.put(
                    key,
                    manifest.to_bytes(),
                    content_type="application/json",
                    metadata=_metadata_of(manifest),
                    condition=condition if self._conditional else None,
                )
            except ConditionUnsupported:
                self._warn_unconditional("it answers that it does not know them")
            except ConditionFailed:
                if _etag(found) in failed:  # what stands in the way does not show yet
                    self._clock.sleep(LAGS[min(turn, len(LAGS) - 1)])
                failed.append(_etag(found))
                continue
            else:
                return
        raise self._gave_up(key, moved=len(set(failed)) > 1)

    def _check_ownership(self) -> None:
        """Leave the manifest alone if the object is another's by now, be it of the same walk and the same bytes.

        The answer to our own write comes first: what a HEAD shows may lag behind it, or lack the metadata.
        """
        key, committed = self._layout.object, self._committed
        where = f"s3://{self._store.bucket}/{key}"
        for lag in (*LAGS, None):
            current = self._shown(key)
            attempt = current.metadata.get(META_ATTEMPT) if current is not None else None
            if attempt == self._attempt or (attempt is None and _etag(current) == _etag(committed)):
                return
            if current is not None and not self._is_replaced(current):
                raise self._replaced_by(current, where)
            if lag is not None:
                self._clock.sleep(lag)
        raise StoreUnavailableError(
            f"{where}: the store accepted the snapshot, and does not show it {sum(LAGS):.0f} s later: either it lags, "
            "or something removed it. The next try looks anew at what is there; find out what else deletes there."
        )

    def _replaced_by(self, current: StoredObject, where: str) -> KoreError:
        """Say who has replaced what was just written: somebody newer, or anybody else."""
        if self._fulfils(_whose(current, self._published())):
            return SupersededError(
                f"{where} was replaced by another writer right after this one. Its newer snapshot stays; there is "
                "nothing to do here."
            )
        return ContentionError(
            f"{where} was replaced right after it was written, by what is no newer snapshot. Find out what else writes "
            "there; the next try publishes again."
        )

    def _published(self) -> Manifest | None:
        found = read_manifest(self._store, self._layout.manifest)
        return found.manifest if found else None

    def _is_replaced(self, current: StoredObject) -> bool:
        """Say whether this is still the object that our own write has replaced."""
        before = self._replacing
        attempt = current.metadata.get(META_ATTEMPT)
        return before is not None and (before.etag, before.metadata.get(META_ATTEMPT)) == (current.etag, attempt)

    def _shown(self, key: str) -> StoredObject | None:
        """Describe the object; where nothing may be described, it is what our own write was told."""
        try:
            return self._look_at(key)
        except AccessRefused:
            return self._committed

    def _fulfils(self, metadata: Mapping[str, str]) -> bool:
        """Say whether what another writer published is what this task is there for, or newer."""
        if metadata.get(META_RUN) == self._spec.run.digest:
            return True
        theirs = metadata.get(META_STARTED, "")
        return _is_instant(theirs) and self._started <= theirs <= self._latest

    def _give_way(self, key: str, target: Target) -> None:
        """Where the manifest is the commit, look at whose it is now."""
        published = read_manifest(self._store, key)
        if published is not None:
            known = target.manifest.etag if target.manifest else None
            self._check_rival(_metadata_of(published.manifest), key, appeared=published.etag != known)
            if _elsewhere(published.manifest, self._layout) is None:
                self._replaced[published.manifest.snapshot_id] = published.manifest

    def tidy(self, manifest: Manifest, target: Target) -> None:
        """Delete the files that a manifest of several files has replaced, and those that no manifest will ever name.

        Only files of this very partition, of the form that this package gives their names, with the metadata of the
        snapshot that their name or the replaced manifest tells. Where a snapshot is one file it is replaced in place,
        and nothing is deleted.
        """
        if manifest.keys == [self._layout.object]:
            return
        own = target.own(self._layout)
        if own is not None:
            self._replaced[own.snapshot_id] = own
        try:
            doomed = [*self._replaced_object(target), *self._unnamed(manifest)]
        except KoreError as err:
            log.warning("Files of replaced snapshots may stay behind in %s: %s", self._layout.partition, err)
            return
        self._delete(doomed)

    def _replaced_object(self, target: Target) -> list[str]:
        """Return the one file of a replaced snapshot, if it is still the one that was there at the beginning."""
        key = self._layout.object
        owner = next((each for each in self._replaced.values() if each.keys == [key]), None)
        found = self._store.head(key) if owner is not None and target.object is not None else None
        if owner is None or found is None or target.object is None or found.etag != target.object.etag:
            return []
        return [key] if _whose(found, owner).get(META_SNAPSHOT) == owner.snapshot_id else []

    def _delete(self, keys: list[str]) -> None:
        for start in range(0, len(keys), _NAMES_IN_A_LINE):
            some = keys[start : start + _NAMES_IN_A_LINE]
            names = ", ".join(key.removeprefix(self._layout.partition) for key in some)
            try:
                self._store.delete(some)
            except KoreError as err:
                left = len(keys) - start
                named = count(left, "file that no manifest names stays", "files that no manifest names stay")
                log.warning("%s in %s: %s", named, self._layout.partition, err)
                return
            log.info("Deleted from s3://%s/%s, replaced: %s.", self._store.bucket, self._layout.partition, names)

    def _unnamed(self, manifest: Manifest) -> list[str]:
        """Return the files that no manifest will name any more, and abort unfinished uploads of the same walk.

        Their writers are other tries of this run, or runs that began before this one: if they still live, they find
        this manifest in the place of theirs, and give way. Others are spared until they are too old to be under way.
        """
        uploads = self._capabilities is None or self._capabilities.lists_uploads
        try:
            for upload in list(self._store.list_uploads(self._layout.parts(self._snapshot_id))) if uploads else ():
                self._store.abort_upload(upload)
        except (AccessRefused, RequestRefusedError) as err:
            log.warning("Unfinished uploads of other tries may stay behind: %s", err)
        there = {found.key: found for found in self._store.list(self._layout.files)}
        now = max((_seconds(there[key].modified) for key in manifest.keys if key in there), default=0.0)
        return [
            found.key
            for found in there.values()
            if found.key not in manifest.keys and self._is_left_over(found, now - _seconds(found.modified))
        ]

    def _is_left_over(self, found: StoredObject, age: float) -> bool:
        """Say whether one of several files is this package's own, and nobody will name it any more."""
        snapshot = self._layout.snapshot_of_part(found.key)
        described = self._store.head(found.key) if snapshot is not None else None
        if described is None:
            return False
        replaced = self._replaced.get(snapshot or "")
        named = replaced is not None and found.key in replaced.keys
        if META_SNAPSHOT not in described.metadata:  # the store keeps no metadata, so the manifest has to tell
            files = replaced.content["files"] if replaced is not None else []
            return any(file["key"] == found.key and file.get("etag") == described.etag for file in files)
        if described.metadata[META_SNAPSHOT] != snapshot:
            return False
        return named or age > self._spec.staging_expiry or self._is_beaten(described)

    def _is_beaten(self, described: StoredObject) -> bool:
        """Say whether the writer of this file gives way to this snapshot."""
        if META_RUN not in described.metadata:
            return False
        if described.metadata[META_RUN] == self._spec.run.digest:
            return _number(described.metadata.get(META_TRY)) <= self._spec.try_number
        theirs = described.metadata.get(META_STARTED, "")
        return _is_instant(theirs) and theirs < self._started

    def _check_conditions(self) -> None:
        """Find out which conditions the store honours, unless that is known already."""
        if self._capabilities is not None:
            return
        try:
            # Below this run's own staging, so that a probe whose process died goes with the checkpoints.
            honoured = conditions_honoured(self._store, self._layout.staging)
        except StorePermissionError as err:
            log.warning("Whether the store honours conditional writes cannot be tried: %s", err)
            return
        if not honoured.usable:
            self._warn_unconditional("it refuses or ignores them")
        elif honoured.missing():
            log.warning(
                "The store ignores conditional writes (%s): two runs that publish the same partition at the same "
                "moment are told apart only by who was last.",
                ", ".join(honoured.missing()),
            )

    def _warn_unconditional(self, why: str) -> None:
        if self._conditional:
            self._conditional = False
            log.warning(
                "The store has no conditional writes (%s): two runs that publish the same partition at the same "
                "moment are "
                "told apart only by who was last.",
                why,
            )

    def _check_count(self, stored: int, read: int) -> None:
        if stored != read:
            raise CorruptSnapshotError(
                f"{read:,} {self._spec.source.rows} were read, but {stored:,} rows were to be stored. Nothing was "
                "published; please report this."
            )

    @property
    def _media_type(self) -> str:
        return self._spec.file_format.media_type(self._spec.compression)


def instant(seconds: float) -> str:
    """Return seconds since the epoch as manifests spell an instant; of two, the later compares as greater."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_instant(text: str) -> bool:
    return re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text) is not None


def _number(text: str | None) -> int:
    """Return a number that an object's metadata holds, 0 for anything else."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,9}", text) else 0


def _etag(found: StoredObject | None) -> str:
    return found.etag if found is not None else ""


def _seconds(modified: datetime | None) -> float:
    return modified.timestamp() if modified else 0.0


def _metadata_of(manifest: Manifest) -> dict[str, str]:
    return {
        META_SNAPSHOT: manifest.snapshot_id,
        META_RUN: manifest.run_digest,
        META_TRY: str(manifest.content["run"]["try_number"]),
        META_STARTED: str(manifest.content["walk"]["started_at"]),
    }


def _describe(uploaded: Uploaded, built: BuiltFile, spec: SnapshotSpec) -> dict[str, Any]:
    """Describe one file: what the store says it holds, and the rows that were decoded from those very bytes."""
    stored = uploaded.stored
    typed = spec.file_format.needs_columns
    return {
        "key": stored.key,
        "bytes": stored.size,
        "rows": built.rows,
        "etag": stored.etag,
        "checksum": stored.checksum,
        "sha256": uploaded.sha256,
        "evidence": uploaded.evidence,
        "columns": [
            {"name": column.name, "type": column.type} if typed else {"name": column.name} for column in built.columns
        ],
    }
