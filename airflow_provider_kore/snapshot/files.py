"""The two ways of committing a snapshot: one file under a stable key, or several that the manifest names.

S3's own put, or the completion of a multipart upload, is the commit of one file: it replaces only what this writer saw,
so of two writers one wins, and the other knows. The names of several files are this attempt's alone, and the manifest
that names them is the commit.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.exceptions import (
    ContentionError,
    KoreError,
    RequestRefusedError,
    StoreUnavailableError,
    SupersededError,
)
from airflow_provider_kore.formats import parts
from airflow_provider_kore.snapshot.commit import TURNS, Commit, etag
from airflow_provider_kore.snapshot.rivals import Writer
from airflow_provider_kore.snapshot.target import foreign
from airflow_provider_kore.store.capabilities import LAGS
from airflow_provider_kore.store.store import AccessRefused, ConditionFailed, ConditionUnsupported, UploadGone
from airflow_provider_kore.walk.ids import IdSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from airflow_provider_kore.formats import ColumnSet
    from airflow_provider_kore.snapshot.manifest import Manifest, Published
    from airflow_provider_kore.store.store import StoredObject
    from airflow_provider_kore.store.upload import Uploaded


log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class OneFile(Commit):
    """Commits one file under a stable key; the manifest follows, written by the owner of the object."""

    _committed: StoredObject | None = None
    """What our own write was answered."""
    _replaced: StoredObject | None = None
    """What it replaced."""

    def write(
        self, rows: Iterator[str], columns: ColumnSet, metadata: Mapping[str, str], expected: int
    ) -> list[dict[str, Any]]:
        """Build the file and commit it. Raises SupersededError, SnapshotExistsError, ContentionError."""
        with self.built(rows, columns, IdSet()) as built:
            self.check_count(built.rows, expected)
            uploaded, self._replaced = self._put(built.file, metadata)
        self._committed = uploaded.stored
        return [self.describe(uploaded, built)]

    def _put(self, file: BinaryIO, metadata: Mapping[str, str]) -> tuple[Uploaded, StoredObject | None]:
        """Upload the file in the place of what is there; return it, and what it replaced."""
        key, target = self.layout.object, self.target
        there, manifest = target.object, target.own
        if not self.capabilities.fenced:  # else the condition tells what has happened since
            there = self.look_at(key)
            manifest = manifest if etag(there) == etag(target.object) else _of(self.published())
        moved = True
        for turn in range(TURNS):
            if there is not None and moved:
                appeared = etag(there) != etag(target.object)
                self.rivals.check(Writer.of(there, manifest), self.store.uri(key), appeared=appeared)
            try:
                return self.upload(key, file, metadata, self.condition(there)), there
            except ConditionUnsupported:
                self.no_conditions()
            except UploadGone:
                there, moved = self.look_at(key), True
            except ConditionFailed:
                found = self.look_at(key)
                if etag(found) == etag(there):  # what stands in the way does not show yet
                    self.wait(turn)
                    found = self.look_at(key)
                moved = etag(found) != etag(there)
                there = found
                if there is not None and not Writer.of_object(there).run:
                    manifest = _of(self.published())
        raise self.gave_up(key, moved=moved)

    def check(self, found: StoredObject | None) -> None:  # noqa: ARG002  # whose object it is decides
        """Leave the manifest alone if the object is another's by now, be it of the same walk and the same bytes.

        The answer to our own write comes first: what a HEAD shows may be older, or lack the metadata.
        """
        where = self.store.uri(self.layout.object)
        for lag in (*LAGS, None):
            current = self._shown()
            attempt = _attempt(current)
            if attempt == self.rivals.me.attempt or (not attempt and etag(current) == etag(self._committed)):
                return
            if current is not None and (etag(current), attempt) != (etag(self._replaced), _attempt(self._replaced)):
                raise self._replaced_by(current, where)
            if lag is not None:
                self.clock.sleep(lag)
        raise StoreUnavailableError(
            f"{where}: the store accepted the snapshot, and does not show it {sum(LAGS):.0f} s later: either it lags, "
            "or something removed it. The next try looks anew at what is there; find out what else deletes there."
        )

    def _shown(self) -> StoredObject | None:
        """Describe the object; where nothing may be described, it is what our own write was told."""
        try:
            return self.look_at(self.layout.object)
        except AccessRefused:
            return self._committed

    def _replaced_by(self, current: StoredObject, where: str) -> KoreError:
        """Say who has replaced what was just written: a newer try, or any other."""
        if self.rivals.fulfils(Writer.of(current, _of(self.published()))):
            return SupersededError(
                f"{where} was replaced by another writer right after this one. Its newer snapshot stays; there is "
                "nothing to do here."
            )
        return ContentionError(
            f"{where} was replaced right after it was written, by what is no newer snapshot. Find out what else writes "
            "there; the next try publishes again."
        )


def _of(published: Published | None) -> Manifest | None:
    return published.manifest if published else None


def _attempt(found: StoredObject | None) -> str:
    return Writer.of_object(found).attempt if found is not None else ""


@dataclass(slots=True, kw_only=True)
class SeveralFiles(Commit):
    """Writes files that are not read before the manifest names them, and deletes those that a manifest has replaced."""

    rows_per_file: int
    """The most rows of one file."""
    _keys: list[str] = field(default_factory=list)
    """Of the files that were begun."""
    _replaced: dict[str, Manifest] = field(default_factory=dict)
    """Manifests in whose place this one's comes, by the files that they name."""

    def write(
        self, rows: Iterator[str], columns: ColumnSet, metadata: Mapping[str, str], expected: int
    ) -> list[dict[str, Any]]:
        """Build and upload the files. Raises SupersededError, SnapshotExistsError, ContentionError."""
        me = self.rivals.me
        if self.target.manifest is not None:
            there = self.target.manifest.manifest
            self.rivals.check(Writer.of_manifest(there), self.store.uri(there.keys[0]), appeared=False)
        files: list[dict[str, Any]] = []
        seen = IdSet()
        for number, some in enumerate(parts(rows, self.rows_per_file)):
            with self.built(some, columns, seen) as built:
                # Another attempt of the same walk may hold more, if the list has grown: its manifest stands until ours.
                key = self.layout.part(f"{me.snapshot}-{me.attempt}", number)
                self._keys.append(key)
                files.append(self.describe(self._upload(key, built.file, metadata), built))
        self.check_count(sum(file["rows"] for file in files), expected)
        return files

    def _upload(self, key: str, file: BinaryIO, metadata: Mapping[str, str]) -> Uploaded:
        for _ in range(TURNS):
            with suppress(UploadGone):  # another try cleaned up
                return self.upload(key, file, metadata)
        raise ContentionError(
            f"Others keep aborting the uploads of {self.store.uri(key)}. Look for tasks and tools that clean up there."
        )

    def check(self, found: StoredObject | None) -> None:
        """Give way to the manifest of a newer snapshot."""
        published = self.published() if found is not None else None
        if published is None:
            return
        known = self.target.manifest.etag if self.target.manifest else None
        writer = Writer.of_manifest(published.manifest)
        self.rivals.check(writer, self.store.uri(self.layout.manifest), appeared=published.etag != known)
        if foreign(published.manifest, self.layout) is None:
            self._replaced |= _by_key(published.manifest)

    def withdraw(self) -> None:
        """Delete what was written: the names are this attempt's alone, and no manifest names them but one of ours."""
        with suppress(KoreError):  # never in place of the error that is on its way out
            published = self.published()
            if published is None or not set(self._keys) & set(published.manifest.keys):
                self.delete(self._keys)

    def tidy(self, manifest: Manifest) -> None:
        """Delete the files that a manifest has replaced, and those that no manifest will ever name.

        Only files of this very partition, of the form that this package gives their names, with the metadata of the
        snapshot that their name or the replaced manifest tells.
        """
        replaced = {**_by_key(self.target.own), **self._replaced}
        try:
            doomed = self._unnamed(manifest, replaced)
        except KoreError as err:
            log.warning("Files of replaced snapshots may stay behind in %s: %s", self.layout.partition, err)
            return
        self.delete(doomed)

    def _unnamed(self, manifest: Manifest, replaced: Mapping[str, Manifest]) -> list[str]:
        """Return the files that no manifest will name any more, and abort unfinished uploads of the same walk.

        Their writers are other tries of this run, or runs that began before this one: if they still live, they find
        this manifest in the place of theirs, and give way. Others are spared until they are too old to be under way.
        """
        store, layout = self.store, self.layout
        try:
            if self.capabilities.lists_uploads:
                for upload in list(store.list_uploads(layout.parts(self.rivals.me.snapshot))):
                    store.abort_upload(upload)
        except (AccessRefused, RequestRefusedError) as err:
            log.warning("Unfinished uploads of other tries may stay behind: %s", err)
        there = {found.key: found for found in store.list(layout.files)}
        named = set(manifest.keys)
        now = max((_seconds(there[key]) for key in named if key in there), default=0.0)
        return [
            found.key
            for found in there.values()
            if found.key not in named and self._is_left_over(found, now - _seconds(found), replaced.get(found.key))
        ]

    def _is_left_over(self, found: StoredObject, age: float, owner: Manifest | None) -> bool:
        """Say whether a file is this package's own, and no manifest will name it any more.

        :param age: in seconds.
        :param owner: the replaced manifest that names it.
        """
        layout = self.layout
        described = self.store.head(found.key) if layout.is_published(found.key) else None
        if described is None:
            return False
        writer, snapshot_of_part = Writer.of(described, owner), layout.snapshot_of_part(found.key)
        if not writer.snapshot or snapshot_of_part not in {None, writer.snapshot}:
            return False
        if owner is not None and owner.snapshot_id == writer.snapshot:
            return True
        beaten = self.rivals.beats(writer)
        if snapshot_of_part is None:  # it was a whole snapshot, whose manifest is lost or was never written
            return beaten and (self.rivals.replace or writer.run == self.rivals.me.run)
        return beaten or age > self.spec.staging_expiry


def _by_key(manifest: Manifest | None) -> dict[str, Manifest]:
    return dict.fromkeys(manifest.keys, manifest) if manifest is not None else {}


def _seconds(found: StoredObject) -> float:
    return found.modified.timestamp() if found.modified else 0.0
