"""What holds contacts beside published files: checkpoints of walks, older versions of any of them, unfinished uploads.

A checkpoint is sealed with the connection's secret, so it cannot be rewritten; one that holds a person is deleted, and
its walk reads those pages again. Of an older version nothing but the whole can be deleted, and nothing reads it. What
is not proven to be this package's stays, and is named: a key's form proves nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.erasure.look import CHECKPOINT, MANIFEST, form_in, is_ours
from airflow_provider_kore.erasure.names import Names, encoded
from airflow_provider_kore.erasure.search import look
from airflow_provider_kore.exceptions import ErasureIncompleteError, RequestRefusedError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.quoting import count, quoted
from airflow_provider_kore.store.capabilities import SWAP, honoured_by
from airflow_provider_kore.store.store import AccessRefused, CallUnsupported
from airflow_provider_kore.store.upload import abort_leftovers

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from airflow_provider_kore.erasure.look import Form
    from airflow_provider_kore.erasure.search import Found
    from airflow_provider_kore.erasure.work import Work
    from airflow_provider_kore.store.store import Lock, Upload
    from airflow_provider_kore.store.versions import ObjectVersion

log = logging.getLogger(__name__)

_AT_ONCE: Final = 1_000


@dataclass(slots=True)
class OldVersions:
    """Versions that nothing reads any more."""

    doomed: list[ObjectVersion] = field(default_factory=list)
    """Those that hold a person, and are this package's."""
    locked: list[tuple[ObjectVersion, Lock]] = field(default_factory=list)
    """Those of them, and current ones that would become older ones, that Object Lock holds."""
    markers: list[ObjectVersion] = field(default_factory=list)
    """Delete markers that would hide nothing any more."""
    mentions: list[str] = field(default_factory=list)
    """Keys of those in which one of them stands outside of a row of theirs."""
    strangers: list[str] = field(default_factory=list)
    """Keys of others that hold a trace of one."""
    searched: int = 0
    size: int = 0
    """Bytes of those that were read."""


class Versions:
    """Finds and deletes them. What holds no person is read once: a version never changes."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._idle = Names()
        """Versions of which nothing is to be said."""
        self._learned = 0
        """How many ids were known when they were read."""

    def find(self, replaced: Container[str] = ()) -> OldVersions:
        """Look through all of them.

        :param replaced: keys of objects whose current version will be an older one.
        """
        if self._learned != len(self._work.persons.learned):
            self._idle, self._learned = Names(), len(self._work.persons.learned)
        found = OldVersions()
        for prefix in self._work.spec.prefixes:
            for key, versions in groupby(self._work.store.versions(prefix), lambda each: each.key):
                self._look(key, list(versions), key in replaced, found)
        return found

    def _look(self, key: str, versions: list[ObjectVersion], replaced: bool, found: OldVersions) -> None:  # noqa: FBT001
        left = 0
        doomed: list[ObjectVersion] = []
        for version in versions:
            if version.is_marker:
                continue
            if not version.is_current and self._has_to_go(version, found):
                doomed.append(version)
                continue
            left += 1
            if version.is_current and replaced:
                described = self._work.store.head_version(key, version.version_id)
                found.locked += [(version, described[1])] if described is not None and described[1] is not None else []
        found.doomed += doomed
        if doomed and not left:
            found.markers += [each for each in versions if each.is_marker]

    def _has_to_go(self, version: ObjectVersion, found: OldVersions) -> bool:
        self._work.stop.check()
        found.searched += 1
        name = encoded(f"{version.version_id} {version.key}")
        if name in self._idle:
            return False
        opened = self._work.store.get_version(version.key, version.version_id)
        if opened is None:
            return False
        form = form_in(self._work.spec, version.key)
        what = look(self._work, opened, form)
        found.size += what.size
        is_note = what.ours and version.key.startswith(self._work.spec.unfinished)
        if form == MANIFEST or not (what.rows or what.traces or is_note):
            self._idle.add(name)
            return False
        return self._is_doomed(version, form, what, found, is_note=is_note)

    def _is_doomed(
        self, version: ObjectVersion, form: Form | None, what: Found, found: OldVersions, *, is_note: bool
    ) -> bool:
        """Say whether what names a person may go, and has to; note what it is otherwise, and what locks it."""
        described = self._work.store.head_version(version.key, version.version_id)
        if described is None:
            return False
        is_file = form is not None and form[0] in FORMATS
        if not (what.ours or (is_file and is_ours(described[0]))):
            found.strangers.append(version.key)
            return False
        if not (what.holds or is_note):
            found.mentions.append(version.key)
            return False
        if is_file and what.rows and self._work.persons.phones:  # it may tell ids, as what is proven ours
            opened = self._work.store.get_version(version.key, version.version_id)
            if opened is not None:
                look(self._work, opened, form, is_proven=True)
        if described[1] is not None and is_note:
            return False  # it names no one, and a bucket may lock whatever is written
        if described[1] is not None:
            found.locked.append((version, described[1]))
        return True

    def delete(self, found: OldVersions) -> None:
        """Delete versions for good, then the markers that hide nothing any more."""
        for version in (*found.doomed, *found.markers):
            self._work.stop.check()
            self._work.store.delete_version(version.key, version.version_id)


def check_locks(work: Work, found: OldVersions, state: str) -> None:
    """Refuse what may not be deleted, before any of it is.

    :param state: what has been done so far, as a sentence.

    Raises ErasureIncompleteError.
    """
    if found.locked:
        version, lock = found.locked[0]
        raise ErasureIncompleteError(
            f"{count(len(found.locked), 'version')} that would have to go {'is' if len(found.locked) == 1 else 'are'} "
            f"held by Object Lock, such as {work.store.uri(quoted(version.key, 200))}, version "
            f"{quoted(version.version_id)}: {lock}. {state} Lift the hold, wait for the retention to end, "
            "or erase the current objects alone (versions=False)."
        )


def check_conditions(work: Work) -> None:
    """Refuse a store that ignores conditional writes. Raises RequestRefusedError."""
    honoured = honoured_by(work.store, work.spec.probes)
    if SWAP in honoured.ignored or not honoured.usable:
        raise RequestRefusedError(
            f"{work.store.uri(work.spec.prefix)}: the store does not honour conditional writes, so an erasure could "
            "overwrite a snapshot that lands meanwhile. Nothing was changed; docs/s3.md says which stores do."
        )


def checkpoints(work: Work) -> Iterator[tuple[str, int]]:
    """Yield keys and bytes of the checkpoints that hold a person."""
    for prefix in work.spec.staging_prefixes:
        for found in work.store.list(prefix):
            work.stop.check()
            if form_in(work.spec, found.key) == CHECKPOINT and (opened := work.store.get(found.key)) is not None:
                what = look(work, opened, CHECKPOINT)
                if what.ours and what.holds:
                    yield found.key, found.size


def delete_checkpoints(work: Work, keys: list[str]) -> None:
    """Delete checkpoints. Their names hold their seal, so what lies under one is never anything else."""
    for start in range(0, len(keys), _AT_ONCE):
        work.stop.check()
        work.store.delete(keys[start : start + _AT_ONCE])


def try_to_write(work: Work, keys: Iterable[str]) -> None:
    """Begin an upload to each list as a file of it was written, and abort it: what is refused is refused beforehand.

    :param keys: of the files that will be rewritten.
    """
    for key in {key.rpartition("/snapshot_date=")[0]: key for key in keys}.values():
        traits = work.store.traits(key)
        if traits is None:
            continue
        store = work.store.like(traits)
        try:
            store.abort_upload(store.create_upload(key, content_type=traits.content_type))
        except CallUnsupported:
            return


def abort_uploads(work: Work, own: Iterable[str]) -> int:
    """Abort uploads that dead tasks have left, for their parts may hold a contact; return how many.

    :param own: keys to which an earlier try may have left one, be it young.
    """
    before = datetime.fromtimestamp(work.clock.time() - work.spec.staging_expiry, UTC)
    aborted: list[Upload] = []

    def is_published(key: str) -> bool:
        form = form_in(work.spec, key)
        return form is not None and form[0] in FORMATS

    try:
        for prefix in work.spec.table_prefixes:
            aborted += abort_leftovers(work.store, prefix, is_published, started_before=before)
        for key in own:
            aborted += abort_leftovers(work.store, key, key.__eq__)
    except (AccessRefused, RequestRefusedError) as err:
        log.warning("Unfinished uploads of dead tasks are not looked for, and may hold contacts: %s", err)
    return len(aborted)
