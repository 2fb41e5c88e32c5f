"""A snapshot of one file: S3's own put, or the completion of a multipart upload, is its commit.

It replaces only what this writer saw, so of two writers one wins, and the other knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kore.exceptions import ContentionError, KoreError, StoreUnavailableError, SupersededError
from airflow_provider_kore.snapshot.commit import TURNS, Commit, etag
from airflow_provider_kore.snapshot.rivals import Writer
from airflow_provider_kore.store.capabilities import LAGS
from airflow_provider_kore.store.store import AccessRefused, ConditionFailed, ConditionUnsupported, UploadGone
from airflow_provider_kore.walk.ids import IdSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from airflow_provider_kore.formats import ColumnSet
    from airflow_provider_kore.snapshot.manifest import Manifest, Published
    from airflow_provider_kore.snapshot.target import Target
    from airflow_provider_kore.store.store import StoredObject
    from airflow_provider_kore.store.upload import Uploaded


class OneFile:
    """Commits one file under a stable key; the manifest follows, written by the owner of the object."""

    def __init__(self, commit: Commit) -> None:
        """Write nothing yet."""
        self._commit = commit
        self._committed: StoredObject | None = None
        """What our own write was answered."""
        self._replaced: StoredObject | None = None
        """What it replaced."""

    def write(
        self, target: Target, rows: Iterator[str], columns: ColumnSet, metadata: Mapping[str, str], expected: int
    ) -> list[dict[str, Any]]:
        """Build the file and commit it. Raises SupersededError, SnapshotExistsError, ContentionError."""
        with self._commit.built(rows, columns, IdSet()) as built:
            self._commit.check_count(built.rows, expected)
            uploaded, self._replaced = self._put(built.file, metadata, target)
        self._committed = uploaded.stored
        return [self._commit.describe(uploaded, built)]

    def _put(self, file: BinaryIO, metadata: Mapping[str, str], target: Target) -> tuple[Uploaded, StoredObject | None]:
        """Upload the file in the place of what is there; return it, and what it replaced."""
        commit, key = self._commit, self._commit.layout.object
        there, manifest = target.object, target.own
        if not commit.capabilities.fenced:  # else the condition tells what has happened since
            there = commit.look_at(key)
            manifest = manifest if etag(there) == etag(target.object) else _of(commit.published())
        moved = True
        for turn in range(TURNS):
            if there is not None and moved:
                appeared = etag(there) != etag(target.object)
                commit.rivals.check(Writer.of(there, manifest), commit.store.uri(key), appeared=appeared)
            try:
                return commit.upload(key, file, metadata, commit.conditions.to_replace(there)), there
            except ConditionUnsupported:
                commit.conditions.refused()
            except UploadGone:
                there, moved = commit.look_at(key), True
            except ConditionFailed:
                found = commit.look_at(key)
                if etag(found) == etag(there):  # what stands in the way does not show yet
                    commit.wait(turn)
                    found = commit.look_at(key)
                moved = etag(found) != etag(there)
                there = found
                if there is not None and not Writer.of_object(there).run:
                    manifest = _of(commit.published())
        raise commit.gave_up(key, moved=moved)

    def check(self, target: Target, found: StoredObject | None) -> None:  # noqa: ARG002  # whose object it is decides
        """Leave the manifest alone if the object is another's by now, be it of the same walk and the same bytes.

        The answer to our own write comes first: what a HEAD shows may be older, or lack the metadata.
        """
        where = self._commit.store.uri(self._commit.layout.object)
        for lag in (*LAGS, None):
            current = self._shown()
            attempt = _attempt(current)
            if attempt == self._commit.rivals.me.attempt or (not attempt and etag(current) == etag(self._committed)):
                return
            if current is not None and (etag(current), attempt) != (etag(self._replaced), _attempt(self._replaced)):
                raise self._replaced_by(current, where)
            if lag is not None:
                self._commit.clock.sleep(lag)
        raise StoreUnavailableError(
            f"{where}: the store accepted the snapshot, and does not show it {sum(LAGS):.0f} s later: either it lags, "
            "or something removed it. The next try looks anew at what is there; find out what else deletes there."
        )

    def withdraw(self) -> None:
        """Do nothing: what was committed stands, or was replaced."""

    def tidy(self, manifest: Manifest, target: Target) -> None:
        """Do nothing: one file is replaced in its place."""

    def _shown(self) -> StoredObject | None:
        """Describe the object; where nothing may be described, it is what our own write was told."""
        try:
            return self._commit.look_at(self._commit.layout.object)
        except AccessRefused:
            return self._committed

    def _replaced_by(self, current: StoredObject, where: str) -> KoreError:
        """Say who has replaced what was just written: a newer try, or any other."""
        if self._commit.rivals.fulfils(Writer.of(current, _of(self._commit.published()))):
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
