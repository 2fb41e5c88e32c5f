"""The commit: the object, then its manifest, so that at any instant a reader finds one whole snapshot.

S3's own put (or the completion of a multipart upload) is the commit of a snapshot that is one file. The manifest
follows; the object's owner writes it, and a try that finds another's object leaves it alone.
A snapshot of several files is committed by its manifest alone, whose names no other snapshot uses.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.exceptions import (
    CheckpointLostError,
    ContentionError,
    CorruptSnapshotError,
    ParameterError,
    SnapshotExistsError,
    SupersededError,
)
from airflow_provider_kore.snapshot.commit import TURNS, Commit, Conditions, etag
from airflow_provider_kore.snapshot.files import OneFile, SeveralFiles
from airflow_provider_kore.snapshot.manifest import Manifest, Published
from airflow_provider_kore.snapshot.manifest_checks import MOST_REPLACED
from airflow_provider_kore.snapshot.rivals import Rivals, Writer
from airflow_provider_kore.snapshot.schema import describe_previous, describe_schema, tell_changes
from airflow_provider_kore.snapshot.target import foreign
from airflow_provider_kore.snapshot.work import Work
from airflow_provider_kore.store.capabilities import Capabilities
from airflow_provider_kore.store.store import ConditionFailed, ConditionUnsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_kore.formats import ColumnSet
    from airflow_provider_kore.snapshot.past import Past
    from airflow_provider_kore.snapshot.seal import Seal
    from airflow_provider_kore.snapshot.target import Target
    from airflow_provider_kore.store.store import StoredObject


_UNPUBLISHED: Final = (
    CheckpointLostError,
    ContentionError,
    CorruptSnapshotError,
    ParameterError,
    SnapshotExistsError,
    SupersededError,
)
"""What no store raises, but we do before a manifest is written: none will ever name the files of this attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher(Work):
    """Publishes what one run has made."""

    past: Past | None = None
    """What stands already; None: it can't be had."""
    seal: Seal | None = None
    """Proves that the next run may build on what is published; None: it builds on nothing."""

    def publish(
        self,
        target: Target,
        rows: Iterator[str],
        columns: ColumnSet,
        content: dict[str, Any],
        capabilities: Capabilities,
    ) -> Manifest:
        """Build the file or files, commit them, write the manifest; return it.

        :param rows: raw JSON objects.
        :param columns: that they are written with.
        :param content: the manifest without its files. Of two writers the one whose walk began later wins.

        Raises SupersededError, ContentionError, SnapshotExistsError, CorruptSnapshotError, TempSpaceError, and what the
        store raises.
        """
        commit = self._commit(content["snapshot_id"], content["walk"]["started_at"], capabilities)
        strategy = self._strategy(commit)
        name = self.spec.dataset.file_name
        metadata = {
            **commit.rivals.me.metadata(),
            f"kore-{name.replace('_', '-')}": str(content[name]),
            "kore-consistent": str(content["consistent"]).lower(),
        }
        try:
            files = strategy.write(target, rows, columns, metadata, int(content[name]))
            before = self.past.before(self.layout.manifest) if self.past is not None else None
            described = {
                **content,
                "schema": describe_schema(columns.keys(), files[0]["columns"], before),
                "previous": describe_previous(before),
                "files": files,
            }
            with self.teller.phase("writing the manifest"):
                manifest = self._write_manifest(commit, strategy, described, target)
        except _UNPUBLISHED:
            strategy.withdraw()
            raise
        tell_changes(described["schema"], self.layout.list_prefix)
        with self.teller.phase("deleting the files that were replaced"):
            strategy.tidy(manifest, target)
        return manifest

    def tidy(self, manifest: Manifest, target: Target) -> None:
        """Delete what a manifest that this run has published before has replaced."""
        self._strategy(self._commit(manifest.snapshot_id, manifest.started_at, Capabilities())).tidy(manifest, target)

    def _write_manifest(
        self, commit: Commit, strategy: OneFile | SeveralFiles, content: Mapping[str, Any], target: Target
    ) -> Manifest:
        """Write the manifest of the object that is there, or of several files, which it commits; return it.

        What stands in its place is looked at first, then the object: a try that replaces the object after that writes a
        manifest after that, too, and then the condition fails.
        """
        key = commit.layout.manifest
        failed: list[str] = []
        for turn in range(TURNS):
            found = commit.look_at(key)
            strategy.check(target, found)
            manifest = Manifest({**content, "replaces": _replaced(commit, found, target.manifest)})
            if self.seal is not None:
                manifest = manifest.sealed(self.seal)
            body = manifest.to_bytes()
            try:
                commit.store.put(
                    key,
                    body,
                    content_type="application/json",
                    metadata=replace(commit.rivals.me, attempt="").metadata(),
                    condition=commit.conditions.to_replace(found),
                )
            except ConditionUnsupported:
                commit.conditions.refused()
            except ConditionFailed as refused:
                there = commit.published() if refused.in_doubt else None
                if there is not None and there.sha256 == hashlib.sha256(body).hexdigest():
                    return manifest  # it was written, and only the answer was lost
                if etag(found) in failed:  # what stands in the way does not show yet
                    commit.wait(turn)
                failed.append(etag(found))
            else:
                return manifest
        raise commit.gave_up(key, moved=len(set(failed)) > 1)

    def _commit(self, snapshot_id: str, started: str, capabilities: Capabilities) -> Commit:
        me = Writer(
            snapshot=snapshot_id,
            run=self.spec.run.digest,
            try_number=self.spec.try_number,
            started=started,
            attempt=secrets.token_hex(4),
        )
        return Commit(
            **self.parts(),
            capabilities=capabilities,
            conditions=Conditions(sent=capabilities.conditional),
            rivals=Rivals(me=me, replace=self.spec.replace, now=self.clock.time()),
        )

    def _strategy(self, commit: Commit) -> OneFile | SeveralFiles:
        rows_per_file = self.spec.rows_per_file
        return OneFile(commit) if rows_per_file is None else SeveralFiles(commit, rows_per_file)


def _replaced(commit: Commit, found: StoredObject | None, known: Published | None) -> list[str]:
    """Return the digests of the manifests that stood in this partition, newest first.

    :param found: what stands there now.
    :param known: what stood there when the run began.
    """
    if found is None:
        return []
    if known is None or known.etag != found.etag:
        known = commit.published()
    if known is None or foreign(known.manifest, commit.layout) is not None:
        return []
    return [known.sha256, *known.manifest.content.get("replaces", [])][:MOST_REPLACED]
