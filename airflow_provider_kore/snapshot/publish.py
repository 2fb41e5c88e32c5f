"""The commit: the object, then its manifest, so that at any instant a reader finds one whole snapshot.

S3's own put (or the completion of a multipart upload) is the commit of a snapshot that is one file. The manifest
follows; the object's owner writes it, and a try that finds another's object leaves it alone.
A snapshot of several files is committed by its manifest alone, whose names no other snapshot uses.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.exceptions import (
    CheckpointLostError,
    ContentionError,
    CorruptSnapshotError,
    ParameterError,
    SnapshotExistsError,
    SupersededError,
)
from airflow_provider_kore.snapshot.commit import TURNS, Commit, etag
from airflow_provider_kore.snapshot.files import OneFile, SeveralFiles
from airflow_provider_kore.snapshot.manifest import Manifest, Published
from airflow_provider_kore.snapshot.manifest_checks import MOST_REPLACED
from airflow_provider_kore.snapshot.rivals import Rivals, Writer
from airflow_provider_kore.snapshot.schema import describe_previous, describe_schema, tell_changes
from airflow_provider_kore.snapshot.target import foreign
from airflow_provider_kore.store.capabilities import Capabilities
from airflow_provider_kore.store.store import ConditionFailed, ConditionUnsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_kore.formats import ColumnSet
    from airflow_provider_kore.snapshot.past import Past
    from airflow_provider_kore.snapshot.seal import Seal
    from airflow_provider_kore.snapshot.target import Target
    from airflow_provider_kore.snapshot.work import Work
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


def publish(
    work: Work,
    target: Target,
    rows: Iterator[str],
    columns: ColumnSet,
    content: dict[str, Any],
    *,
    capabilities: Capabilities,
    past: Past | None = None,
    seal: Seal | None = None,
) -> Manifest:
    """Build the file or files, commit them, write the manifest; return it.

    :param rows: raw JSON objects.
    :param columns: that they are written with.
    :param content: the manifest without its files. Of two writers the one whose walk began later wins.
    :param past: what stands already; None: it can't be had.
    :param seal: proves that the next run may build on what is published; None: it builds on nothing.

    Raises SupersededError, ContentionError, SnapshotExistsError, CorruptSnapshotError, TempSpaceError, and what the
    store raises.
    """
    started = content["walk"]["started_at"]
    commit = _commit(work, target, content["snapshot_id"], started, capabilities)
    name = work.spec.dataset.file_name
    metadata = {
        **commit.rivals.me.metadata(),
        f"kore-{name.replace('_', '-')}": str(content[name]),
        "kore-consistent": str(content["consistent"]).lower(),
    }
    try:
        files = commit.write(rows, columns, metadata, int(content[name]))
        before = past.before(work.layout.manifest) if past is not None else None
        described = {
            **content,
            "schema": describe_schema(columns.keys(), files[0]["columns"], before),
            "previous": describe_previous(before),
            "files": files,
        }
        with work.teller.phase("writing the manifest"):
            manifest = _write_manifest(commit, described, seal)
    except _UNPUBLISHED:
        commit.withdraw()
        raise
    tell_changes(described["schema"], work.layout.list_prefix)
    with work.teller.phase("deleting the files that were replaced"):
        commit.tidy(manifest)
    return manifest


def tidy(work: Work, manifest: Manifest, target: Target) -> None:
    """Delete what a manifest that this run has published before has replaced."""
    _commit(work, target, manifest.snapshot_id, manifest.started_at, Capabilities()).tidy(manifest)


def _commit(
    work: Work, target: Target, snapshot_id: str, started: str, capabilities: Capabilities
) -> OneFile | SeveralFiles:
    spec = work.spec
    me = Writer(
        snapshot=snapshot_id,
        run=spec.run.digest,
        try_number=spec.try_number,
        started=started,
        attempt=secrets.token_hex(4),
    )
    known = {
        **work.parts(),
        "target": target,
        "capabilities": capabilities,
        "conditional": capabilities.conditional,
        "rivals": Rivals(me=me, replace=spec.replace, now=work.clock.time()),
    }
    return OneFile(**known) if spec.rows_per_file is None else SeveralFiles(**known, rows_per_file=spec.rows_per_file)


def _write_manifest(commit: OneFile | SeveralFiles, content: Mapping[str, Any], seal: Seal | None) -> Manifest:
    """Write the manifest of the object that is there, or of several files, which it commits; return it.

    What stands in its place is looked at first, then the object: a try that replaces the object after that writes a
    manifest after that, too, and then the condition fails.
    """
    key = commit.layout.manifest
    failed: list[str] = []
    for turn in range(TURNS):
        found = commit.look_at(key)
        commit.check(found)
        manifest = Manifest({**content, "replaces": _replaced(commit, found, commit.target.manifest)})
        if seal is not None:
            manifest = manifest.sealed(seal)
        body = manifest.to_bytes()
        try:
            commit.store.put(
                key,
                body,
                content_type="application/json",
                metadata=replace(commit.rivals.me, attempt="").metadata(),
                condition=commit.condition(found),
            )
        except ConditionUnsupported:
            commit.no_conditions()
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
