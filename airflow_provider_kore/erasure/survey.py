"""All that lies there, looked through: what is to be done, what that costs, and in the end whether anything is left."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

from airflow_provider_kore.erasure.look import is_mentioned, look
from airflow_provider_kore.erasure.others import OldVersions
from airflow_provider_kore.erasure.partition import CHECKPOINT, MANIFEST, contents_of, form_in, is_ours, partitions
from airflow_provider_kore.erasure.work import Known, Moved
from airflow_provider_kore.exceptions import ContentionError, CorruptSnapshotError, ParameterError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.json_text import cells
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.reading import ERASED_FROM
from airflow_provider_kore.store.capabilities import LAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_provider_kore.erasure.others import Versions
    from airflow_provider_kore.erasure.partition import Contents, File, Partition
    from airflow_provider_kore.erasure.work import Work
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.store.store import StoredObject

T = TypeVar("T")
log = logging.getLogger(__name__)

TURNS: Final = 8
"""How often a partition is looked at anew, because something else writes there, before it is given up."""
_OF_A_FILE: Final = 6
"""Requests that rewriting one takes: HEAD, tags, GET, PUT, HEAD, and a share of a listing."""
_OF_A_PARTITION: Final = 6
"""Those of its manifest: listing, HEAD, GET, HEAD, tags, PUT."""


def survey(work: Work, versions: Versions, known: Mapping[str, Known] | None = None) -> Survey:
    """Look through everything; where a phone number tells an id, once more for that.

    :param known: what an earlier try has counted: that is not read again, and published files are searched for rows
        alone. None: for whatever else names someone, too.

    Raises CorruptSnapshotError where a manifest or a file is not what it should be, ContentionError.
    """
    while True:
        learned, found = len(work.persons.learned), Survey(work, known)
        found.look()
        found.old = versions.find({*found.rewritten, *found.checkpoints})
        if learned == len(work.persons.learned):
            return found
        known = None if known is None else {}  # read again for what was learned


class Survey:
    """What was found."""

    def __init__(self, work: Work, known: Mapping[str, Known] | None = None) -> None:
        self._work, self._store, self._known = work, work.store, known
        self.files: dict[str, Known] = {}
        """All that this package has published, by key."""
        self.work: dict[Partition, dict[str, Known]] = {}
        """Partitions in which something is to be done, a person erased or a manifest made true; with their files."""
        self.checkpoints: list[str] = []
        """Keys of those that hold a person."""
        self.old = OldVersions()
        self.mentions: list[str] = []
        """Keys of this package's objects in which one of them stands outside of a row of theirs."""
        self.strangers: list[str] = []
        """Keys of objects of others that hold a trace of one."""
        self.others: list[str] = []
        """Keys of all that others have put into the tables."""
        self.hidden: list[str] = []
        """Why phone numbers cannot be found in which snapshots, in words."""
        self.values: set[str] = set()
        """Ids of the lists and campaigns of which something was found."""
        self.objects = 0
        self.size = 0
        """Bytes of all objects."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing of ours is left to be done."""
        return not (self.work or self.checkpoints or self.old.doomed)

    @property
    def rewritten(self) -> dict[str, Known]:
        """The files that are to be rewritten, by key."""
        return {key: each for key, each in self.files.items() if each.erased}

    @property
    def rows(self) -> int:
        """Rows to be erased."""
        return sum(each.erased for each in self.files.values())

    @property
    def cost(self) -> dict[str, int]:
        """What erasing will read, write and delete; all that lies there is searched again at the end."""
        files = self.rewritten
        written = sum(each.size for each in files.values())
        deleted = len(self.checkpoints) + len(self.old.doomed) + len(self.old.markers)
        return {
            "objects_to_rewrite": len(files) + len(self.work),
            "bytes_to_read": written + self.size + self.old.size,
            "bytes_to_write": written,
            "objects_to_delete": deleted,
            "requests": _OF_A_FILE * len(files)
            + _OF_A_PARTITION * len(self.work)
            + 2 * deleted
            + self.objects
            + self.old.searched
            + self.objects // 1_000,
        }

    def look(self) -> None:
        """Look through everything but older versions."""
        what = "searching everything again" if self._known is None else "looking for what is to be erased"
        with self._work.teller.phase(what, "objects") as phase:
            for table in self._work.spec.tables:
                for partition, objects in partitions(self._store, table):
                    phase.reached(self.objects)
                    self._add(partition, objects)
            for prefix in self._work.spec.beside:
                for each in self._store.list(prefix):
                    phase.reached(self.objects)
                    self._see(each)

    def gone(self) -> Iterator[str]:
        """Yield the ids of contacts that the changes of the day say are gone.

        Raises ParameterError where a list has no changes of that day, CorruptSnapshotError, ContentionError.
        """
        spec, told = self._work.spec, set[str]()

        def look_for_gone(contents: Contents) -> list[str]:
            found: list[str] = []
            for file in contents.files if contents.published is not None else ():
                with self._work.fetched(self._store.get(file.key)) as local:
                    if self._is_landing(file, local.sha256):
                        raise Moved
                    if file.is_described(local.sha256):
                        rows = FORMATS[file.form[0]].read_rows(local.file, compression=file.form[1])
                        found += [identifier for identifier, row in rows if cells(row).get("change") == "gone"]
                told.add(contents.partition.value)
            return found

        for partition, objects in partitions(self._store, spec.tables[-1]):
            if partition is not None and partition.tells(spec):
                yield from self._settled(partition, objects, look_for_gone)
        lacking = [each for each in spec.contact_list_ids or () if each not in told]
        if lacking or not told:
            which = f"list {quoted(lacking[0])}" if lacking else "any list"
            raise ParameterError(
                "gone_on",
                f"is {spec.gone_on}, and there are no changes of {which} on that day",
                "pass the snapshot_date of changes that have landed, or name the lists that have them",
            )

    # --- Published files ----------------------------------------------------------------------------------------------

    def _add(self, partition: Partition | None, objects: list[StoredObject]) -> None:
        """Add what lies in a partition, or in none."""
        strangers = objects
        if partition is not None:
            strangers = self._settled(partition, objects, self._count)
            for each in objects:
                if each.key == partition.manifest and self._known is None:
                    self._see(each)
        for each in strangers:
            self.others.append(each.key)
            self._see(each)

    def _settled(self, partition: Partition, objects: list[StoredObject] | None, look_at: Callable[[Contents], T]) -> T:
        """Look at what lies in a partition, from the beginning where something else writes there meanwhile."""
        for turn in range(TURNS):
            try:
                listed = self._store.list(partition.prefix) if objects is None else objects
                return look_at(contents_of(self._store, partition, listed))
            except Moved:
                objects = None
                self._work.stop.check()
                self._work.clock.sleep(LAGS[min(turn, len(LAGS) - 1)])
        raise ContentionError(
            f"A snapshot is landing in {self._store.uri(partition.prefix)}, or one was left there unfinished: its "
            "files are not what a manifest names. The next try looks again; if no task lands there, run the one that "
            "did, or wait until staging_expiry is over."
        )

    def _count(self, contents: Contents) -> list[StoredObject]:
        """Count the persons' rows in each file, and add that in the end; return what is not ours."""
        partition, files = contents.partition, dict[str, Known]()
        mentions: list[str] = []
        is_landing = False
        for file in contents.files:
            there = self._known.get(file.key) if self._known is not None else None
            if there is None or there.etag != file.etag:
                with self._work.fetched(self._store.get(file.key)) as local:
                    is_landing |= self._is_landing(file, local.sha256)
                    sifted = self._work.persons.sift(local.file, None, file.form, self._work.stop)
                    rows = sifted.rows + sifted.erased
                    if file.is_described(local.sha256) and not file.is_behind and rows != file.entry["rows"]:
                        raise self._damaged(file, f"holds {rows:,} rows, and its manifest says {file.entry['rows']:,}")
                    if self._known is None and not sifted.erased and is_mentioned(self._work, local.file):
                        mentions.append(file.key)
                there = Known(file.etag, file.size, local.sha256, sifted.erased)
            files[file.key] = there
        is_work = any(each.erased for each in files.values()) or any(each.is_behind for each in contents.files)
        if is_work and is_landing:
            log.info("A snapshot is landing in %s.", self._store.uri(partition.prefix))
            raise Moved
        if is_work:
            self.work[partition] = files
        self.files |= files
        self.mentions += mentions
        self.values.add(partition.value)
        self.objects += len(files)
        self.size += sum(each.size for each in files.values())
        if self._work.persons.phones and contents.published is not None:
            self._add_hidden(partition, contents.published.manifest)
        return contents.strangers

    def _is_landing(self, file: File, sha256: str) -> bool:
        """Say whether no manifest names a file because a snapshot is just landing, for all that is known.

        Raises CorruptSnapshotError if it should be what its manifest describes, and is not; Moved.
        """
        told = file.entry.get("sha256")
        if file.is_behind or (told is not None and told == sha256):
            return False
        found = self._store.head(file.key)
        if found is None or found.etag != file.etag:
            raise Moved
        if file.entry:
            if told is None and is_ours(found):
                return False
            if told is None:
                raise self._damaged(file, "may be anybody's: its manifest says no digest of it, nor does its metadata")
            if file.entry.get("etag") == file.etag or not is_ours(found):
                raise self._damaged(file, "is not the file that its manifest describes")
        if ERASED_FROM in found.metadata:
            return False  # no landing writes that: an earlier erasure has taken it for dead
        now = self._work.clock.time()
        modified = found.modified.timestamp() if found.modified is not None else now
        return now - modified < self._work.spec.staging_expiry

    def _damaged(self, file: File, problem: str) -> CorruptSnapshotError:
        return CorruptSnapshotError(
            f"{self._store.uri(quoted(file.key, 200))} {problem}. Find out what else writes there, and take the "
            "snapshot again; then erase."
        )

    def _add_hidden(self, partition: Partition, manifest: Manifest) -> None:
        """Add why a phone number cannot be found in a snapshot."""
        told = manifest.content.get("fields")
        if not isinstance(told, dict):
            return
        where = f"the snapshot of {partition.date} in {quoted(partition.value)}"
        rules, keep = told.get("policies") or {}, told.get("keep")
        for name in sorted(self._work.persons.fields):
            policy = rules.get(name) if isinstance(rules, dict) else None
            if policy == "hash" and not self._has_key(told.get("hash")):
                is_missing = self._work.policies is None
                problem = (
                    f"has {quoted(name)} hashed, and hash_conn_id {'is missing' if is_missing else 'names another key'}"
                )
            elif policy in {"mask", "drop"}:
                problem = f"has the policy {policy!r} for {quoted(name)}"
            elif isinstance(keep, list) and name not in keep:
                problem = f"keeps no {quoted(name)}"
            else:
                continue
            self.hidden.append(f"{where} {problem}")
            return

    def _has_key(self, told: object) -> bool:
        """Say whether hashes were made with the key that was given, by what a manifest tells of them."""
        policies = self._work.policies
        ours = policies.describe()["hash"] if policies is not None else None
        return isinstance(ours, dict) and isinstance(told, dict) and told.get("key_check") == ours.get("key_check")

    # --- All else -----------------------------------------------------------------------------------------------------

    def _see(self, each: StoredObject) -> None:
        """Look through an object whose key may claim anything."""
        form = form_in(self._work.spec, each.key)
        what = look(self._work, self._store.get(each.key), form)
        if what is None:
            return
        self.objects += 1
        self.size += what.size
        if form == CHECKPOINT and what.ours and what.holds:
            self.checkpoints.append(each.key)
        elif what.rows or what.mentions:
            (self.mentions if what.ours or form == MANIFEST else self.strangers).append(each.key)
