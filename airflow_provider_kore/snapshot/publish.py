"""The commit: the object, then its manifest, so that at any instant a reader finds one whole snapshot.

S3's own put (or the completion of a multipart upload) is the commit of a snapshot that is one file. The manifest
follows; whoever owns the object writes it, and whoever finds that the object is another's leaves it alone.
A snapshot of several files is committed by its manifest alone, whose names no other snapshot uses.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import (
    CheckpointLostError,
    ContentionError,
    SnapshotExistsError,
    SupersededError,
)
from airflow_provider_kore.snapshot.commit import TURNS, Commit, Conditions, Rows, etag
from airflow_provider_kore.snapshot.manifest import Manifest
from airflow_provider_kore.snapshot.one_file import OneFile
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.snapshot.rivals import Rivals, Writer
from airflow_provider_kore.snapshot.several_files import SeveralFiles
from airflow_provider_kore.store.capabilities import Capabilities
from airflow_provider_kore.store.store import ConditionFailed, ConditionUnsupported

if TYPE_CHECKING:
    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.snapshot.layout import Layout
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.snapshot.target import Target
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.store import ObjectStore


class Publisher:
    """Publishes one snapshot of one run.

    :param started: when the walk began, as the manifest spells it; of two writers, the later walk wins.
    :param now: seconds since the epoch; None: as the clock says. Nobody gives way to a walk of the future.
    :param capabilities: what the store can do; None: all of it, until it says otherwise.
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
        clock, capabilities = clock or SystemClock(), capabilities or Capabilities()
        me = Writer(
            snapshot=snapshot_id,
            run=spec.run.digest,
            try_number=spec.try_number,
            started=started,
            attempt=secrets.token_hex(4),
        )
        self._commit = Commit(
            spec=spec,
            layout=layout,
            store=store,
            stop=stop,
            clock=clock,
            teller=teller or Teller(),
            capabilities=capabilities,
            conditions=Conditions(sent=capabilities.conditional),
            rivals=Rivals(me=me, replace=spec.replace, now=clock.time() if now is None else now),
        )
        self._strategy = (
            OneFile(self._commit) if spec.rows_per_file is None else SeveralFiles(self._commit, spec.rows_per_file)
        )

    def publish(self, target: Target, rows: Rows, content: dict[str, Any]) -> Manifest:
        """Build the file or files, commit them, write the manifest; return it.

        :param content: the manifest without its files.

        Raises SupersededError, ContentionError, SnapshotExistsError, CorruptSnapshotError, TempSpaceError, and what the
        store raises.
        """
        name = self._commit.spec.dataset.file_name
        metadata = {
            **self._commit.rivals.me.metadata(),
            f"kore-{name.replace('_', '-')}": str(content[name]),
            "kore-consistent": str(content["consistent"]).lower(),
        }
        try:
            files = self._strategy.write(target, rows, metadata, int(content[name]))
            manifest = Manifest({**content, "files": files})
            with self._commit.teller.phase("writing the manifest"):
                self._write_manifest(manifest, target)
        except (SupersededError, ContentionError, SnapshotExistsError, CheckpointLostError):
            self._strategy.withdraw()
            raise
        with self._commit.teller.phase("deleting the files that were replaced"):
            self.tidy(manifest, target)
        return manifest

    def tidy(self, manifest: Manifest, target: Target) -> None:
        """Delete what a manifest has replaced."""
        self._strategy.tidy(manifest, target)

    def _write_manifest(self, manifest: Manifest, target: Target) -> None:
        """Write the manifest of the object that is there, or of several files, which it commits.

        What stands in its place is looked at first, then the object: whoever replaces the object after that writes a
        manifest after that, too, and then the condition fails.
        """
        commit, key = self._commit, self._commit.layout.manifest
        failed: list[str] = []
        for turn in range(TURNS):
            found = commit.look_at(key)
            self._strategy.check(target, found)
            try:
                commit.store.put(
                    key,
                    manifest.to_bytes(),
                    content_type="application/json",
                    metadata=replace(commit.rivals.me, attempt="").metadata(),
                    condition=commit.conditions.to_replace(found),
                )
            except ConditionUnsupported:
                commit.conditions.refused()
            except ConditionFailed:
                if etag(found) in failed:  # what stands in the way does not show yet
                    commit.wait(turn)
                failed.append(etag(found))
            else:
                return
        raise commit.gave_up(key, moved=len(set(failed)) > 1)
