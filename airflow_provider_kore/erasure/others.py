"""What holds contacts beside published files: checkpoints of walks, and older versions of any of them.

A checkpoint is sealed with the connection's secret, so it cannot be rewritten; one that holds a person is deleted, and
its walk reads those pages again. Of an older version nothing but the whole can be deleted, and nothing reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.erasure.look import is_checkpoint
from airflow_provider_kore.exceptions import ErasureIncompleteError
from airflow_provider_kore.quoting import count, quoted
from airflow_provider_kore.snapshot.layout import MANIFEST_NAME, form_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from airflow_provider_kore.erasure.search import Searcher
    from airflow_provider_kore.erasure.spec import ErasureSpec, Table
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.versions import ObjectVersion, VersionedStore

_AT_ONCE: Final = 1_000


@dataclass(slots=True)
class OldVersions:
    """Versions that nothing reads any more."""

    doomed: list[ObjectVersion] = field(default_factory=list)
    """Those that hold a person, and are of this package's own form."""
    markers: list[ObjectVersion] = field(default_factory=list)
    """Delete markers that would hide nothing any more."""
    strangers: list[str] = field(default_factory=list)
    """Keys of others that hold a trace of one."""
    current: dict[str, str] = field(default_factory=dict)
    """Ids of the versions that will be old ones, by key."""
    searched: int = 0
    size: int = 0
    """Bytes of those that were read."""


def form_in(table: Table, key: str) -> tuple[str, str] | None:
    """Return format and compression of a published file of a table; None of any other key."""
    base = f"{table.prefix}/" if table.prefix else ""
    found = re.fullmatch(rf"{re.escape(base)}{table.key}=[^/]+/snapshot_date=\d{{4}}-\d\d-\d\d/([^/]+)", key, re.ASCII)
    form = form_of(table.file_name, found[1]) if found else None
    return (form[0], form[1]) if form is not None else None


def form_in_any(spec: ErasureSpec, key: str) -> tuple[str, str] | None:
    """Return the same for any of the tables that are looked through."""
    return next((form for table in spec.tables if (form := form_in(table, key)) is not None), None)


class Others:
    """Finds and deletes them."""

    def __init__(self, spec: ErasureSpec, store: VersionedStore, searcher: Searcher, stop: Stop) -> None:
        self._spec = spec
        self._store = store
        self._searcher = searcher
        self._stop = stop

    def checkpoints(self) -> Iterator[tuple[str, int]]:
        """Yield keys and bytes of the checkpoints that hold a person."""
        for prefix in self._spec.staging_prefixes:
            for found in self._store.list(prefix):
                self._stop.check()
                if is_checkpoint(found.key, prefix):
                    opened = self._store.get(found.key)
                    if opened is not None and self._searcher.look(opened, None).traces:
                        yield found.key, found.size

    def delete(self, keys: list[str]) -> None:
        """Delete checkpoints. Their names hold their seal, so what lies under one is never anything else."""
        for start in range(0, len(keys), _AT_ONCE):
            self._stop.check()
            self._store.delete(keys[start : start + _AT_ONCE])

    def versions(self, rewritten: Container[str] = ()) -> OldVersions:
        """Look through all older versions.

        :param rewritten: keys of objects whose current version will be an older one.
        """
        found = OldVersions()
        places: list[tuple[Table | None, str]] = [
            (table, prefix) for table in self._spec.tables for prefix in table.prefixes
        ]
        places += [(None, prefix) for prefix in (*self._spec.staging_prefixes, self._spec.unfinished)]
        for table, prefix in places:
            self._of_keys(table, prefix, found, rewritten)
        return found

    def _of_keys(self, table: Table | None, prefix: str, found: OldVersions, rewritten: Container[str]) -> None:
        """Look at the versions below a prefix, one key after the other."""
        by_key: dict[str, list[ObjectVersion]] = {}  # a page tells its versions, then its markers
        for version in self._store.versions(prefix):
            by_key.setdefault(version.key, []).append(version)
            if version.is_current and version.key in rewritten:
                found.current[version.key] = version.version_id
        for each in by_key.values():
            self._of_one(table, prefix, each, found)

    def _of_one(self, table: Table | None, prefix: str, of_key: list[ObjectVersion], found: OldVersions) -> None:
        key = of_key[0].key
        form = form_in(table, key) if table is not None else None
        is_note = table is None and key.startswith(self._spec.unfinished)
        ours = form is not None or is_note or (table is None and is_checkpoint(key, prefix))
        left = 0
        doomed: list[ObjectVersion] = []
        for version in of_key:
            if version.is_marker:
                continue
            if version.is_current:
                left += 1
                continue
            self._stop.check()
            opened = self._store.get_version(key, version.version_id)
            if opened is None:
                continue
            what = self._searcher.look(opened, form)
            found.searched += 1
            found.size += what.size
            if (what.rows or what.traces) and not ours and not key.endswith(f"/{MANIFEST_NAME}"):
                found.strangers.append(key)
            if (ours and (what.rows or what.traces)) or is_note:
                doomed.append(version)
            else:
                left += 1
        found.doomed += doomed
        if doomed and not left:
            found.markers += [each for each in of_key if each.is_marker]

    def check_locks(self, versions: list[tuple[str, str]]) -> None:
        """Refuse, before anything is changed, what may not be deleted. Raises ErasureIncompleteError."""
        locked = []
        for key, version_id in versions:
            self._stop.check()
            lock = self._store.lock(key, version_id)
            if lock is not None:
                locked.append((key, version_id, lock))
        if locked:
            key, version_id, lock = locked[0]
            raise ErasureIncompleteError(
                f"{count(len(locked), 'version')} that would have to go {'is' if len(locked) == 1 else 'are'} held by "
                f"Object Lock, such as {self._store.uri(quoted(key, 200))}, version {quoted(version_id)}: {lock}. "
                "Nothing was changed. Lift the hold, wait for the retention to end, or erase the current objects alone "
                "(versions=False)."
            )

    def delete_versions(self, found: OldVersions) -> None:
        """Delete versions for good, then the markers that hide nothing any more."""
        for version in (*found.doomed, *found.markers):
            self._stop.check()
            self._store.delete_version(version.key, version.version_id)
