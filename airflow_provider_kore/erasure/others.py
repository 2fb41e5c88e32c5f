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
from typing import TYPE_CHECKING

from airflow_provider_kore.erasure.look import look
from airflow_provider_kore.erasure.names import Names, encoded
from airflow_provider_kore.erasure.partition import MANIFEST, form_in, is_ours
from airflow_provider_kore.exceptions import ErasureIncompleteError, RequestRefusedError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.quoting import count, quoted
from airflow_provider_kore.store.store import AccessRefused

if TYPE_CHECKING:
    from collections.abc import Container

    from airflow_provider_kore.erasure.work import Work
    from airflow_provider_kore.store.store import Lock
    from airflow_provider_kore.store.versions import ObjectVersion

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class OldVersions:
    """Versions that nothing reads any more."""

    doomed: list[ObjectVersion] = field(default_factory=list)
    """Those that hold a person, and are this package's."""
    locked: list[tuple[ObjectVersion, Lock]] = field(default_factory=list)
    """Those of them, and current ones that would become older ones, that Object Lock holds."""
    markers: list[ObjectVersion] = field(default_factory=list)
    """Delete markers that will hide nothing any more."""
    notes: list[ObjectVersion] = field(default_factory=list)
    """Those of what erasures have noted, which name no one, and markers above nothing else."""
    mentions: list[str] = field(default_factory=list)
    """Keys of those in which one of them stands outside of a row of theirs."""
    strangers: list[str] = field(default_factory=list)
    """Keys of others that hold a trace of one."""
    searched: int = 0
    size: int = 0
    """Bytes of those that were read."""


class Versions:
    """Finds and deletes older ones. What holds no person is read once: a version never changes."""

    def __init__(self, work: Work) -> None:
        """Ask whether there may be any."""
        self._work = work
        self._idle = Names()
        """Versions of which nothing is to be said."""
        self._learned = 0
        """How many ids were known when they were read."""
        kept = work.store.keeps_versions()
        self._is_searched = work.spec.versions and kept is not False
        self.said = {True: "kept, not searched", False: "none", None: "not known"}[kept]
        """What is done about them, in words."""
        if self._is_searched:
            self.said = "searched"
        elif kept:
            log.warning(
                "Bucket %s keeps older versions of objects, and versions is False: what is erased stays in them.",
                work.store.bucket,
            )

    def find(self, replaced: Container[str] = ()) -> OldVersions:
        """Look through all of them, if that is asked for.

        :param replaced: keys of objects whose current version will be an older one.
        """
        found = OldVersions()
        if self._learned != len(self._work.persons.learned):
            self._idle, self._learned = Names(), len(self._work.persons.learned)
        for prefix in self._work.spec.prefixes if self._is_searched else ():
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
        is_note = key.startswith(self._work.spec.unfinished)
        (found.notes if is_note else found.doomed).extend(doomed)
        if doomed and not left:
            (found.notes if is_note else found.markers).extend(each for each in versions if each.is_marker)

    def _has_to_go(self, version: ObjectVersion, found: OldVersions) -> bool:
        """Say whether an older version holds a person, and is ours; note what it is otherwise, and what locks it."""
        work, form = self._work, form_in(self._work.spec, version.key)
        work.stop.check()
        found.searched += 1
        name = encoded(f"{version.version_id} {version.key}")
        opened = None if name in self._idle else work.store.get_version(version.key, version.version_id)
        what = look(work, opened, form)
        if what is None:
            return False
        found.size += what.size
        is_note = what.ours and version.key.startswith(work.spec.unfinished)
        if form == MANIFEST or not (what.rows or what.mentions or is_note):
            self._idle.add(name)
            return False
        described = work.store.head_version(version.key, version.version_id)
        if described is None:
            return False
        stored, lock = described
        is_file = form is not None and form[0] in FORMATS
        if not (what.ours or (is_file and is_ours(stored))):
            found.strangers.append(version.key)
        elif is_note:
            return lock is None  # it names no one, and a bucket may lock whatever is written
        elif not what.holds:
            found.mentions.append(version.key)
        else:
            if is_file and what.rows and work.persons.phones:  # it may tell ids, as what is proven ours
                look(work, work.store.get_version(version.key, version.version_id), form, is_proven=True)
            found.locked += [(version, lock)] if lock is not None else []
            return True
        return False

    def check(self, found: OldVersions, state: str) -> None:
        """Refuse what may not be deleted, before any of it is.

        :param state: what has been done so far, as a sentence.

        Raises ErasureIncompleteError.
        """
        if found.locked:
            version, lock = found.locked[0]
            raise ErasureIncompleteError(
                f"{count(len(found.locked), 'version')} that would have to go "
                f"{'is' if len(found.locked) == 1 else 'are'} held by Object Lock, such as "
                f"{self._work.store.uri(quoted(version.key, 200))}, version "
                f"{quoted(version.version_id)}: {lock}. {state} Lift the hold, wait for the retention to end, "
                "or erase the current objects alone (versions=False)."
            )

    def delete(self, versions: list[ObjectVersion]) -> int:
        """Delete versions for good; return how many."""
        for version in versions:
            self._work.stop.check()
            self._work.store.delete_version(version.key, version.version_id)
        return len(versions)


def abort_uploads(work: Work, own: Container[str]) -> int:
    """Abort uploads that dead tasks have left, for their parts may hold a contact; return how many.

    :param own: keys to which an earlier try may have left one, be it young.
    """
    before = datetime.fromtimestamp(work.clock.time() - work.spec.staging_expiry, UTC)
    aborted = 0
    try:
        for upload in (each for prefix in work.spec.prefixes for each in work.store.list_uploads(prefix)):
            form = form_in(work.spec, upload.key)
            is_dead = upload.key in own or (upload.started is not None and upload.started < before)
            if is_dead and form is not None and form[0] in FORMATS:
                work.store.abort_upload(upload)
                aborted += 1
    except (AccessRefused, RequestRefusedError) as err:
        log.warning("Unfinished uploads of dead tasks are not looked for, and may hold contacts: %s", err)
    return aborted
