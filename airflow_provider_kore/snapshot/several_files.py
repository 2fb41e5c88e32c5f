"""A snapshot of several files: their names are this attempt's alone, and the manifest that names them is the commit."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.exceptions import ContentionError, KoreError, RequestRefusedError
from airflow_provider_kore.formats import parts
from airflow_provider_kore.snapshot.commit import TURNS, Commit, Rows
from airflow_provider_kore.snapshot.manifest import Manifest, read_manifest
from airflow_provider_kore.snapshot.rivals import Writer
from airflow_provider_kore.snapshot.target import foreign
from airflow_provider_kore.store.store import AccessRefused, UploadGone
from airflow_provider_kore.walk.ids import IdSet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from airflow_provider_kore.snapshot.target import Target
    from airflow_provider_kore.store.store import StoredObject
    from airflow_provider_kore.store.upload import Uploaded

log = logging.getLogger(__name__)


class SeveralFiles:
    """Writes files that nobody reads before the manifest names them, and deletes those that a manifest has replaced.

    :param rows_per_file: the most rows of one file.
    """

    def __init__(self, commit: Commit, rows_per_file: int) -> None:
        """Write nothing yet."""
        self._commit = commit
        self._rows_per_file = rows_per_file
        self._keys: list[str] = []
        """Of the files that were begun."""
        self._replaced: dict[str, Manifest] = {}
        """Manifests in whose place this one's comes, by their snapshots."""

    def write(self, target: Target, rows: Rows, metadata: Mapping[str, str], expected: int) -> list[dict[str, Any]]:
        """Build and upload the files. Raises SupersededError, SnapshotExistsError, ContentionError."""
        commit, me = self._commit, self._commit.rivals.me
        if target.manifest is not None:
            there = target.manifest.manifest
            commit.rivals.check(Writer.of_manifest(there), commit.where(there.keys[0]), appeared=False)
        files: list[dict[str, Any]] = []
        seen = IdSet()
        for number, some in enumerate(parts(rows.rows(), self._rows_per_file)):
            with commit.built(some, rows.columns, seen) as built:
                # Another attempt of the same walk may hold more, if the list has grown: its manifest stands until ours.
                key = commit.layout.part(f"{me.snapshot}-{me.attempt}", number)
                self._keys.append(key)
                files.append(commit.describe(self._upload(key, built.file, metadata), built))
        commit.check_count(sum(file["rows"] for file in files), expected)
        return files

    def _upload(self, key: str, file: BinaryIO, metadata: Mapping[str, str]) -> Uploaded:
        for _ in range(TURNS):
            with suppress(UploadGone):  # another try cleaned up
                return self._commit.upload(key, file, metadata)
        raise ContentionError(
            f"Others keep aborting the uploads of {self._commit.where(key)}. Look for tasks and tools that clean up "
            "there."
        )

    def check(self, target: Target, found: StoredObject | None) -> None:
        """Give way to the manifest of a newer snapshot."""
        commit = self._commit
        published = read_manifest(commit.store, commit.layout.manifest) if found is not None else None
        if published is None:
            return
        known = target.manifest.etag if target.manifest else None
        writer = Writer.of_manifest(published.manifest)
        commit.rivals.check(writer, commit.where(commit.layout.manifest), appeared=published.etag != known)
        if foreign(published.manifest, commit.layout) is None:
            self._replaced[published.manifest.snapshot_id] = published.manifest

    def withdraw(self) -> None:
        """Delete what was written: the names are this attempt's alone, and no manifest will ever name them."""
        self._commit.delete(self._keys)

    def tidy(self, manifest: Manifest, target: Target) -> None:
        """Delete the files that a manifest has replaced, and those that no manifest will ever name.

        Only files of this very partition, of the form that this package gives their names, with the metadata of the
        snapshot that their name or the replaced manifest tells.
        """
        own = target.own(self._commit.layout)
        if own is not None:
            self._replaced[own.snapshot_id] = own
        try:
            doomed = [*self._replaced_object(target), *self._unnamed(manifest)]
        except KoreError as err:
            log.warning("Files of replaced snapshots may stay behind in %s: %s", self._commit.layout.partition, err)
            return
        self._commit.delete(doomed)

    def _replaced_object(self, target: Target) -> list[str]:
        """Return the one file of a replaced snapshot, if it is still the one that was there at the beginning."""
        key = self._commit.layout.object
        owner = next((each for each in self._replaced.values() if each.keys == [key]), None)
        found = self._commit.store.head(key) if owner is not None and target.object is not None else None
        if owner is None or found is None or target.object is None or found.etag != target.object.etag:
            return []
        return [key] if Writer.of(found, owner).snapshot == owner.snapshot_id else []

    def _unnamed(self, manifest: Manifest) -> list[str]:
        """Return the files that no manifest will name any more, and abort unfinished uploads of the same walk.

        Their writers are other tries of this run, or runs that began before this one: if they still live, they find
        this manifest in the place of theirs, and give way. Others are spared until they are too old to be under way.
        """
        store, layout = self._commit.store, self._commit.layout
        try:
            if self._commit.capabilities.lists_uploads:
                for upload in list(store.list_uploads(layout.parts(self._commit.rivals.me.snapshot))):
                    store.abort_upload(upload)
        except (AccessRefused, RequestRefusedError) as err:
            log.warning("Unfinished uploads of other tries may stay behind: %s", err)
        there = {found.key: found for found in store.list(layout.files)}
        now = max((_seconds(there[key]) for key in manifest.keys if key in there), default=0.0)
        return [
            found.key
            for found in there.values()
            if found.key not in manifest.keys and self._is_left_over(found, now - _seconds(found))
        ]

    def _is_left_over(self, found: StoredObject, age: float) -> bool:
        """Say whether one of several files is this package's own, and nobody will name it any more."""
        snapshot = self._commit.layout.snapshot_of_part(found.key)
        described = self._commit.store.head(found.key) if snapshot is not None else None
        if described is None:
            return False
        replaced = self._replaced.get(snapshot or "")
        files = replaced.files if replaced is not None else []
        writer = Writer.of_object(described)
        if not writer.snapshot:  # the store keeps no metadata, so the manifest has to tell
            return any(file["key"] == found.key and file.get("etag") == described.etag for file in files)
        if writer.snapshot != snapshot:
            return False
        named = any(file["key"] == found.key for file in files)
        return named or age > self._commit.spec.staging_expiry or self._commit.rivals.beats(writer)


def _seconds(found: StoredObject) -> float:
    return found.modified.timestamp() if found.modified else 0.0
