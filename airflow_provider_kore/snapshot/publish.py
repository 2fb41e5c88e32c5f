"""The commit: the object, then its manifest, so that at any instant a reader finds one whole snapshot.

S3's own put (or the completion of a multipart upload) is the commit of a snapshot that is one file. It replaces only
what this writer saw when it began (conditional writes), so of two writers one wins, and the other knows. The manifest
follows; whoever owns the object writes it, and whoever finds that the object is another's leaves it alone.
A snapshot of several files is committed by its manifest alone, whose names no other snapshot uses.
"""

from __future__ import annotations

import logging
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

from airflow_provider_kore.api.ids import IdSet
from airflow_provider_kore.exceptions import (
    CheckpointLostError,
    CorruptSnapshotError,
    KoreError,
    ParameterError,
    SnapshotExistsError,
    StorePermissionError,
    SupersededError,
)
from airflow_provider_kore.snapshot.build import BuiltFile, build
from airflow_provider_kore.snapshot.conditions import conditions_honoured
from airflow_provider_kore.snapshot.formats import parts
from airflow_provider_kore.snapshot.manifest import Manifest, Published, read_manifest
from airflow_provider_kore.snapshot.store import (
    ABSENT,
    Condition,
    ConditionFailed,
    ConditionUnsupported,
    ObjectStore,
    StoredObject,
    UploadGone,
)
from airflow_provider_kore.snapshot.upload import Uploaded, upload_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from airflow_provider_kore.snapshot.formats import ColumnSet
    from airflow_provider_kore.snapshot.layout import Layout
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.snapshot.stop import Stop

log = logging.getLogger(__name__)

TURNS: Final = 8
"""How often a writer yields to others who publish the same partition before it gives up."""

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


def look(store: ObjectStore, layout: Layout) -> Target:
    """Look at the partition.

    The manifest is asked for even where the listing has none: a role that may not read is found out now, not after
    hours of fetching.
    """
    keys = {found.key for found in store.list(layout.partition)}
    names = {key: key.removeprefix(layout.partition) for key in keys - {layout.object, layout.manifest}}
    return Target(
        object=store.head(layout.object) if layout.object in keys else None,
        manifest=read_manifest(store, layout.manifest),
        # Names with an underscore or a dot in front, and folder markers, are invisible to readers of Hive tables.
        others=tuple(sorted(key for key, name in names.items() if name and name[0] not in "_.")),
    )


def check_target(spec: SnapshotSpec, layout: Layout, target: Target, bucket: str) -> Manifest | None:
    """Refuse a partition that this run may not write to, before a request is spent.

    Returns the manifest of what this run has published already, if it need not do so again.

    What this run has published is found again by a retry that comes after the commit (its process died before Airflow
    heard of the success), and with ``replace=False`` ("mine or absent") by everybody; a person's Clear walks anew.

    Raises SnapshotExistsError, ParameterError.
    """
    where = f"s3://{bucket}/{layout.partition}"
    published = target.manifest.manifest if target.manifest else None
    mine = published is not None and published.run_digest == spec.run.digest
    if published is not None and mine and _is_whole(published, target.object, layout):
        same_generation = spec.generation is not None and published.generation == spec.generation
        if same_generation or not spec.replace:
            return published
    others_object = target.object is not None and target.object.metadata.get(META_RUN) != spec.run.digest
    if not spec.replace and (others_object or (published is not None and not mine)):
        raise SnapshotExistsError(
            f"{where} already holds a snapshot that another run published, and replace is False. Pass replace=True, or "
            "another snapshot_date or s3_prefix."
        )
    if published is not None and not spec.source.is_same(published.content):
        raise ParameterError(
            "s3_prefix",
            f"{where} already holds {spec.source.rows} that other filters let pass, and both would be lost in turn",
            "use another s3_prefix for each set of filters, or delete what is there",
        )
    if spec.rows_per_file is None and target.others:
        raise ParameterError(
            "file_format",
            f"{where} already holds {target.others[0].removeprefix(layout.partition)!r}, which readers would count too",
            "delete it, or keep format, compression and rows_per_file as they were, or use another s3_prefix",
        )
    return None


def _is_whole(manifest: Manifest, found: StoredObject | None, layout: Layout) -> bool:
    """Say whether the partition still holds what the manifest describes."""
    if manifest.keys != [layout.object]:
        return all(key != layout.object for key in manifest.keys)  # several files: the manifest is their commit
    # A walk that was continued may have been committed twice, and two walks may have found the very same.
    return (
        found is not None
        and found.metadata.get(META_SNAPSHOT) == manifest.snapshot_id
        and found.etag == manifest.content["files"][0].get("etag")
    )


def check_writable(spec: SnapshotSpec, layout: Layout, store: ObjectStore) -> None:
    """Begin an upload to the very key of the snapshot, and abort it: a refusal comes before the walk, nothing shows.

    Raises StorePermissionError (for KMS keys as well), RequestRefusedError.
    """
    upload = store.create_upload(layout.object, content_type=spec.file_format.media_type(spec.compression))
    try:
        store.abort_upload(upload)
    except StorePermissionError as err:
        log.warning("An empty upload stays behind until a lifecycle rule removes it: %s", err)


class Publisher:
    """Publishes one snapshot of one run.

    :param started: when the walk began, as the manifest spells it; of two writers, the later walk wins.
    """

    def __init__(
        self, spec: SnapshotSpec, layout: Layout, store: ObjectStore, stop: Stop, *, snapshot_id: str, started: str
    ) -> None:
        self._spec = spec
        self._layout = layout
        self._store = store
        self._stop = stop
        self._snapshot_id = snapshot_id
        self._started = started
        self._attempt = secrets.token_hex(4)
        self._conditional = True
        self._parts: list[str] = []
        self._replaced: set[str] = set()

    def publish(self, target: Target, staging: Rows, content: dict[str, Any]) -> Manifest:
        """Build the file or files, commit them, write the manifest; return it.

        :param content: the manifest without its files.

        Raises SupersededError, SnapshotExistsError, CorruptSnapshotError, TempSpaceError, and what the store raises.
        """
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
            self._write_manifest(manifest, target)
        except (SupersededError, SnapshotExistsError, CheckpointLostError):
            self._delete(self._parts)  # their names are this attempt's alone, and no manifest will ever name them
            raise
        self.tidy(manifest, target)
        return manifest

    def _one_file(self, target: Target, staging: Rows, metadata: Mapping[str, str], rows: int) -> dict[str, Any]:
        with self._build(staging.rows(), staging, IdSet()) as built:
            self._check_count(built.rows, rows)
            uploaded = self._commit(self._layout.object, built.file, metadata, target.object)
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
                return upload_file(
                    self._store,
                    key,
                    file,
                    content_type=self._media_type,
                    metadata=metadata,
                    on_part=self._stop.check,
                )
        raise SupersededError(f"Others keep aborting the uploads of s3://{self._store.bucket}/{key}.")

    def _build(self, rows: Iterator[str], staging: Rows, seen: IdSet) -> AbstractContextManager[BuiltFile]:
        spec = self._spec
        return build(rows, spec.file_format, spec.compression, staging.columns, seen=seen, on_rows=self._stop.check)

    def _commit(self, key: str, file: BinaryIO, metadata: Mapping[str, str], baseline: StoredObject | None) -> Uploaded:
        for turn in range(TURNS):
            if baseline is not None:
                self._check_rival(baseline.metadata, key, appeared=turn > 0)
            condition = ABSENT if baseline is None else Condition(etag=baseline.etag)
            try:
                return upload_file(
                    self._store,
                    key,
                    file,
                    content_type=self._media_type,
                    metadata=metadata,
                    condition=condition if self._conditional else None,
                    on_part=self._stop.check,
                )
            except ConditionUnsupported:
                self._warn_unconditional("it answers that it does not know them")
            except ConditionFailed:
                baseline = self._store.head(key)
        raise SupersededError(
            f"Other writers keep publishing s3://{self._store.bucket}/{key}. Look for tasks that write the same "
            "partition."
        )

    def _check_rival(self, metadata: Mapping[str, str], key: str, *, appeared: bool) -> None:
        """Give way to another run's snapshot if it is newer, and to a later try of this run.

        :param appeared: whether it was published since this try began. What was there before may be replaced by any
            try of the same run: whoever deletes a run and creates it anew counts its tries from 1 again.
        """
        where = f"s3://{self._store.bucket}/{key}"
        if metadata.get(META_RUN) == self._spec.run.digest:
            if appeared and int(metadata.get(META_TRY, "0")) > self._spec.try_number:
                raise SupersededError(
                    f"A later try of this run has published {where} meanwhile. Its snapshot stays; there is nothing to "
                    "do."
                )
            return
        if not self._spec.replace:
            raise SnapshotExistsError(
                f"Another run published {where} meanwhile, and replace is False. Its snapshot stays."
            )
        if metadata.get(META_STARTED, "") > self._started:
            raise SupersededError(
                f"Another run began to read the list after this one ({metadata[META_STARTED]}) and has published "
                f"{where} "
                "already. Its newer snapshot stays; there is nothing to do."
            )

    def _write_manifest(self, manifest: Manifest, target: Target) -> None:
        """Write the manifest of the object that is there, or of several files, which it commits.

        What stands in its place is looked at first, then the object: whoever replaces the object after that writes a
        manifest after that, too, and then the condition fails.
        """
        key = self._layout.manifest
        for _ in range(TURNS):
            found = self._store.head(key)
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
                continue
            else:
                return
        raise SupersededError(
            f"Other writers keep writing s3://{self._store.bucket}/{key}. Look for tasks that share it."
        )

    def _check_ownership(self) -> None:
        """Leave the manifest alone if the object is another's by now, be it of the same walk and the same bytes."""
        current = self._store.head(self._layout.object)
        if current is None or current.metadata.get(META_ATTEMPT) != self._attempt:
            raise SupersededError(
                f"s3://{self._store.bucket}/{self._layout.object} was replaced by another writer right after this one. "
                "Its snapshot stays; there is nothing to do."
            )

    def _give_way(self, key: str, target: Target) -> None:
        """Where the manifest is the commit, look at whose it is now."""
        published = read_manifest(self._store, key)
        if published is not None:
            known = target.manifest.etag if target.manifest else None
            self._check_rival(_metadata_of(published.manifest), key, appeared=published.etag != known)
            self._replaced.update(published.manifest.keys)

    def tidy(self, manifest: Manifest, target: Target) -> None:
        """Remove what the manifest has replaced, and of several files those that no manifest will ever name."""
        replaced = self._replaced | (set(target.manifest.manifest.keys) if target.manifest else set())
        try:
            if manifest.keys != [self._layout.object]:
                replaced |= self._unnamed(manifest)
        except KoreError as err:
            log.warning("Files of replaced snapshots may stay behind in %s: %s", self._layout.partition, err)
        self._delete(sorted(replaced - set(manifest.keys)))

    def _delete(self, keys: list[str]) -> None:
        try:
            if keys:
                self._store.delete(keys)
        except KoreError as err:
            log.warning("%d files that no manifest names stay in %s: %s", len(keys), self._layout.partition, err)

    def _unnamed(self, manifest: Manifest) -> set[str]:
        """Return the files that no manifest will name any more, and abort unfinished uploads of the same walk.

        Their writers are other tries of this run, or runs that began before this one: if they still live, they find
        this manifest in the place of theirs, and give way. Others are spared until they are too old to be under way.
        """
        for upload in self._store.list_uploads(self._layout.parts(self._snapshot_id)):
            self._store.abort_upload(upload)
        there = {found.key: found for found in self._store.list(self._layout.files)}
        now = max((_seconds(there[key].modified) for key in manifest.keys if key in there), default=0.0)
        return {
            found.key
            for found in there.values()
            if found.key not in manifest.keys
            and (now - _seconds(found.modified) > self._spec.staging_expiry or self._is_beaten(found.key))
        }

    def _is_beaten(self, key: str) -> bool:
        """Say whether whoever wrote this file gives way to this snapshot."""
        described = self._store.head(key)
        if described is None or META_RUN not in described.metadata:
            return False
        if described.metadata[META_RUN] == self._spec.run.digest:
            return int(described.metadata.get(META_TRY, "0")) <= self._spec.try_number
        return described.metadata.get(META_STARTED, self._started) < self._started

    def _check_conditions(self) -> None:
        if self._store.honours_conditions is not None:
            if not self._store.honours_conditions:
                self._warn_unconditional("it is known to ignore them")
            return
        try:
            # Below this run's own staging, so that a probe whose process died goes with the checkpoints.
            missing = conditions_honoured(self._store, self._layout.staging).missing()
        except StorePermissionError as err:
            log.warning("Whether the store honours conditional writes cannot be tried: %s", err)
            return
        if missing:
            log.warning(
                "The store ignores conditional writes (%s): two runs that publish the same partition at the same "
                "moment "
                "are told apart only by who was last.",
                ", ".join(missing),
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
