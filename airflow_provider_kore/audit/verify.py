"""Everything below a prefix, verified: each manifest, each file it names, and the chain that the snapshots are.

Read as a stream: one page of a listing, one file at a time in a temporary one, and 12 to 27 bytes for each id of one
snapshot.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.audit import manifests
from airflow_provider_kore.audit.chain import Link, check_chain, gaps
from airflow_provider_kore.audit.files import UNSEEN, Files, not_looked_at
from airflow_provider_kore.audit.findings import Finding, Findings, worst
from airflow_provider_kore.audit.locks import Locked, LockReader
from airflow_provider_kore.audit.partitions import Listing, Partition, partition_of
from airflow_provider_kore.exceptions import KoreError, StoppedError
from airflow_provider_kore.quoting import count, quoted
from airflow_provider_kore.snapshot.layout import MANIFEST_NAME
from airflow_provider_kore.walk.ids import IdSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_kore.audit.manifests import Read
    from airflow_provider_kore.audit.partitions import Found
    from airflow_provider_kore.audit.progress import Progress
    from airflow_provider_kore.store.store import ObjectStore

_TRIES: Final = 3
"""How often a partition is looked at that is replaced meanwhile."""

_NAMES_SHOWN: Final = 3

_LANDING: Final = 3_600.0
"""Seconds for which files without a manifest may be those of a snapshot that is being published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """One snapshot, as its manifest tells of it."""

    date: str
    snapshot_id: str
    manifest_sha256: str
    rows: int
    files: int
    bytes: int
    consistent: bool
    erased: int
    locked: Locked | None
    """None: no lock is set, or nobody looked."""
    status: str
    """``fine``, ``wrong`` or ``unseen``."""


@dataclass(slots=True)
class Table:
    """The snapshots of one source."""

    address: str
    kind: str = ""
    """What its rows are: ``contacts``."""
    snapshots: list[Verified] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What was looked at, and what was found."""

    address: str
    tables: list[Table] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    elsewhere: int = 0
    """Objects that lie in no partition, and were passed over."""

    @property
    def snapshots(self) -> list[Verified]:
        """All of them."""
        return [one for table in self.tables for one in table.snapshots]


def verify(store: ObjectStore, prefix: str, *, progress: Progress) -> Report:
    """Look at everything below a prefix; what is wrong, and what could not be looked at, is in the report.

    :param prefix: a table, a list, or one day of a list; empty for all of the bucket.

    Raises StoppedError.
    """
    prefix = scope(prefix)
    report = Report(store.uri(quoted(prefix, 300)))
    try:
        _Audit(store, prefix, report, progress).run()
    except StoppedError:
        raise
    except KoreError as err:  # about all of the bucket, or of this machine
        report.findings.add([not_looked_at(report.address, err)])
    return report


def scope(prefix: str) -> str:
    """Return below which keys are looked at, for an address as a person may write it."""
    prefix = prefix.rstrip("/")
    folder = prefix.removesuffix(MANIFEST_NAME).rstrip("/")
    return f"{folder}/" if folder else ""


class _Audit:
    def __init__(self, store: ObjectStore, prefix: str, report: Report, progress: Progress) -> None:
        self._store = store
        self._prefix = prefix
        self._report = report
        self._progress = progress
        self._files = Files(store, progress)
        self._locks = LockReader(store)

    def run(self) -> None:
        listing = Listing(self._store, self._prefix)
        for table, partitions in listing.tables():
            self._table(table, partitions)
        report = self._report
        report.elsewhere = listing.elsewhere
        if self._locks.refused:
            said = f"Object Lock was not looked at: {self._locks.refused}"
            report.findings.add([Finding("locks_not_looked_at", report.address, said)])
        if not report.snapshots and report.findings.status == "fine":
            others = f"{count(listing.elsewhere, 'object lies', 'objects lie')} there." if listing.elsewhere else ""
            said = f"There is no snapshot. {others}".rstrip()
            report.findings.add([Finding("nothing_found", report.address, said)])

    def _table(self, prefix: str, partitions: Iterable[tuple[Partition, Iterator[Found]]]) -> None:
        where = self._where(prefix)
        table = Table(where)
        links: dict[str, Link] = {}
        for partition, objects in partitions:
            self._progress.at(partition.manifest)
            found, read = self._partition(partition, objects, table)
            if read is not None:
                links[partition.date] = Link.of(read, self._where(partition.manifest))
            self._report.findings.add(found)
            self._progress.snapshots += 1
        if not links and not table.snapshots:
            return
        self._report.tables.append(table)

        @cache
        def fetch(day: str) -> Link | None:
            read = manifests.read(self._store, Partition(prefix, day))
            return Link.of(read, self._where(read.partition.manifest)) if read else None

        @cache
        def oldest() -> str:
            keys = (one.key for one in self._store.list(f"{prefix}snapshot_date="))
            return next((found.date for key in keys if (found := partition_of(key)) and key == found.manifest), "")

        try:
            found = list(check_chain(links, fetch, oldest))
        except UNSEEN as err:
            found = [not_looked_at(where, err)]
        self._report.findings.add([*found, *gaps([*links], where)])

    def _partition(
        self, partition: Partition, objects: Iterator[Found], table: Table
    ) -> tuple[list[Finding], Read | None]:
        """Look at one snapshot; once more, if it was replaced meanwhile."""
        where = self._where(partition.prefix)
        try:
            read = manifests.read(self._store, partition)
            aside = self._leftovers(partition, objects, read)
            for _ in range(_TRIES):
                if read is None:
                    return aside, None
                found, snapshot = self._snapshot(read, table)
                again = (
                    manifests.read(self._store, partition) if snapshot is None or snapshot.status != "fine" else read
                )
                if again is not None and again.sha256 == read.sha256:
                    break
                read = again
            else:
                return [
                    Finding("keeps_changing", where, "It was replaced each time that it was read.", retry=True)
                ], None
        except UNSEEN as err:
            return [not_looked_at(where, err)], None
        if snapshot is not None:
            table.snapshots.append(snapshot)
        return [*found, *aside], read

    def _snapshot(self, read: Read, table: Table) -> tuple[list[Finding], Verified | None]:
        found = list(read.findings)
        manifest = read.manifest
        if manifest is None:
            return found, None
        table.kind = table.kind or read.kind
        if any(one.kind == "manifest_foreign" for one in found):
            return found, None  # nothing that it names is looked at
        seen = IdSet()
        for file in manifest.files:
            found += self._files.check(manifest, file, seen)
        locked = self._locks.look([read.partition.manifest, *manifest.keys])
        return found, Verified(
            date=read.partition.date,
            snapshot_id=manifest.snapshot_id,
            manifest_sha256=read.sha256,
            rows=manifest.rows,
            files=len(manifest.files),
            bytes=sum(file.get("bytes") or 0 for file in manifest.files),
            consistent=manifest.consistent,
            erased=told if isinstance(told := manifest.content.get("erased"), int) else 0,
            locked=locked,
            status=worst(one.level for one in found),
        )

    def _leftovers(self, partition: Partition, objects: Iterator[Found], read: Read | None) -> list[Finding]:
        """Tell of objects in the partition that its manifest does not name."""
        named = {partition.manifest, *(read.manifest.keys if read and read.manifest else ())}
        shown: list[str] = []
        seen = hidden = 0
        newest = 0.0
        for _, each in objects:
            name = each.key.removeprefix(partition.prefix)
            if each.key in named or not name:  # a folder's marker
                continue
            seen, hidden = seen + 1, hidden + (name[0] in "_.")
            newest = max(newest, each.modified.timestamp() if each.modified else 0.0)
            if len(shown) < _NAMES_SHOWN:
                shown.append(f"'{quoted(name)}'")
        if not seen:
            return []
        where = self._where(partition.prefix)
        names = ", ".join(shown) + (f" and {seen - len(shown):,} more" if seen > len(shown) else "")
        if read is None:
            if seen == hidden:
                return []
            if time.time() - newest < _LANDING:
                said = f"There is no {MANIFEST_NAME} beside {names} yet: a snapshot may be landing."
                return [Finding("keeps_changing", where, said, retry=True)]
            return [Finding("manifest_missing", where, f"There is no {MANIFEST_NAME} beside {names}.")]
        what = f"{count(seen, 'object')} beside the snapshot: {names}. Its manifest names none of them."
        if seen > hidden:
            what += " Engines that read the whole folder read them, too."
        return [Finding("leftovers", where, what)]

    def _where(self, key: str) -> str:
        return self._store.uri(quoted(key, 300))
