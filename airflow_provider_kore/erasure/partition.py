"""What lies where: of a key, what its name claims; of a partition, the manifest, its files, and what is not ours."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.erasure.work import Moved
from airflow_provider_kore.exceptions import CorruptSnapshotError
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.layout import CHUNK, MANIFEST_NAME, form_of
from airflow_provider_kore.snapshot.manifest import read_manifest
from airflow_provider_kore.snapshot.reading import is_erased_from
from airflow_provider_kore.snapshot.rivals import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_provider_kore.erasure.spec import ErasureSpec, Table
    from airflow_provider_kore.snapshot.manifest import Published
    from airflow_provider_kore.store.store import ObjectStore, StoredObject

_chunk = re.compile(rf"(?:[^/]+/){{2}}[0-9a-f]{{16}}-[0-9a-f]{{16}}/{CHUNK}").fullmatch
CHECKPOINT: Final = ("checkpoint", "")
NOTE: Final = "note"
MANIFEST: Final = ("manifest", "")

Form = tuple[str, str]
"""What a key claims of an object: a published file's format and compression, :data:`CHECKPOINT`, :data:`MANIFEST`, or
:data:`NOTE` and the name of an erasure. What lies there may be anybody's."""


def form_in(spec: ErasureSpec, key: str) -> Form | None:
    """Return what a key claims; None if it is none of this package's."""
    for table in spec.tables:
        if found := _partition_of(table, key):
            form = form_of(table.file_name, key.removeprefix(found.prefix))
            return form[:2] if form is not None else MANIFEST if key == found.manifest else None
    if any(key.startswith(prefix) and _chunk(key.removeprefix(prefix)) for prefix in spec.staging_prefixes):
        return CHECKPOINT
    note = re.fullmatch(rf"{re.escape(spec.receipt_prefix)}/(?:unfinished/)?([0-9a-f]+)\.json", key)
    return (NOTE, note[1]) if note else None


@lru_cache(maxsize=8)
def _in_partition(prefix: str, key: str) -> re.Pattern[str]:
    """Return the form of a key of a table: in a partition, and there a name without a slash."""
    base = re.escape(f"{prefix}/" if prefix else "")
    date = r"snapshot_date=(?P<date>\d{4}-\d\d-\d\d)/"
    return re.compile(rf"(?P<prefix>{base}{key}=(?P<value>[^/]+)/{date})[^/]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Partition:
    """A source on one date."""

    table: Table
    prefix: str
    """Ends with a slash."""
    value: str
    """Of the table's partition key."""
    date: str

    @property
    def manifest(self) -> str:
        """The manifest's key."""
        return f"{self.prefix}{MANIFEST_NAME}"

    def tells(self, spec: ErasureSpec) -> bool:
        """Say whether it tells who is to be erased, and so comes last."""
        return self.date == spec.gone_on and self.table == spec.tables[-1]


@dataclass(slots=True, kw_only=True)
class File:
    """A file that this package has published."""

    key: str
    etag: str
    size: int
    form: Form
    entry: Mapping[str, Any] = field(default_factory=dict)
    """What the manifest says under its name; empty: no manifest names it."""
    is_behind: bool = False
    """Whether an erasure has rewritten it, and the manifest does not say so yet."""

    def is_described(self, sha256: str) -> bool:
        """Say whether the manifest speaks of it, and not of another one that had its name.

        :param sha256: its own digest. A manifest may tell none.
        """
        return bool(self.entry) and (self.is_behind or self.entry.get("sha256") in {None, sha256})


@dataclass(slots=True, kw_only=True)
class Contents:
    """What lies in a partition."""

    partition: Partition
    published: Published | None = None
    files: list[File] = field(default_factory=list)
    strangers: list[StoredObject] = field(default_factory=list)
    """What this package did not write."""


def partitions(store: ObjectStore, table: Table) -> Iterator[tuple[Partition | None, list[StoredObject]]]:
    """List a table by partition; what lies in none comes with None."""
    for prefix in table.prefixes:
        for partition, objects in groupby(store.list(prefix), lambda each: _partition_of(table, each.key)):
            yield partition, list(objects)


def _partition_of(table: Table, key: str) -> Partition | None:
    found = _in_partition(table.prefix, table.key).fullmatch(key)
    return Partition(table, found["prefix"], found["value"], found["date"]) if found else None


def contents_of(store: ObjectStore, partition: Partition, objects: Iterable[StoredObject]) -> Contents:
    """Say what each object of a partition is. Reads the manifest, and no file.

    Raises CorruptSnapshotError where a manifest is not one, or names what is missing; Moved.
    """
    listed = {each.key: each for each in objects}
    contents = Contents(partition=partition)
    if listed.pop(partition.manifest, None) is not None:
        contents.published = published = _published(store, partition)
        for entry in published.manifest.files:
            contents.files.append(_named(store, published, entry, listed.pop(entry["key"], None)))
    for each in listed.values():
        form = form_of(partition.table.file_name, each.key.removeprefix(partition.prefix))
        found = store.head(each.key) if form is not None else None
        if form is None or found is None or not is_ours(found, form[2]):
            contents.strangers.append(each)
        else:
            contents.files.append(File(key=each.key, etag=each.etag, size=each.size, form=form[:2]))
    return contents


def is_ours(found: StoredObject, snapshot: str | None = None) -> bool:
    """Say whether an object's metadata proves that this package has written it.

    :param snapshot: the one that its name tells; None: it tells none.
    """
    writer = Writer.of_object(found)
    return bool(writer.run and writer.snapshot) and snapshot in {None, writer.snapshot}


def _published(store: ObjectStore, partition: Partition) -> Published:
    published = read_manifest(store, partition.manifest)
    if published is None:
        raise Moved
    manifest = published.manifest
    problem = manifest.problem(partition.prefix, partition.table.file_name)
    if problem is None and not all(name in manifest.content for name in ("file_format", "compression")):
        problem = "does not say its file_format and compression"
    if problem is not None:
        raise CorruptSnapshotError(
            f"{store.uri(partition.manifest)} is not the manifest of a snapshot of this source and day: it {problem}. "
            "Find out what else writes there, and move it away or take the snapshot again; then erase."
        )
    return published


def _named(store: ObjectStore, published: Published, entry: Mapping[str, Any], listed: StoredObject | None) -> File:
    """Say what a file is that the manifest names."""
    content, key = published.manifest.content, str(entry["key"])
    found = None
    if listed is None or listed.etag != entry.get("etag"):
        found = store.head(key)
        if found is None:
            now = store.head(published.key)
            if now is None or now.etag != published.etag:
                raise Moved
            raise CorruptSnapshotError(
                f"{store.uri(quoted(key, 200))} is missing, and its manifest names it. Find out what deleted it, and "
                "take the snapshot again, or move the manifest away; then erase."
            )
        listed = listed or found
        if found.etag != listed.etag:
            raise Moved
    is_behind = found is not None and found.etag != entry.get("etag") and is_erased_from(found, entry.get("sha256"))
    return File(
        key=key,
        etag=listed.etag,
        size=listed.size,
        form=(str(content["file_format"]), str(content["compression"])),
        entry=entry,
        is_behind=is_behind,
    )
