"""What lies in a partition: the manifest, the files that it names, and what no manifest names."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from airflow_provider_kore.exceptions import CorruptSnapshotError, ParameterError
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.chunks import LARGEST_CHUNK
from airflow_provider_kore.snapshot.layout import CHUNK, MANIFEST_NAME, form_of
from airflow_provider_kore.snapshot.manifest import MOST_BYTES, Manifest
from airflow_provider_kore.snapshot.reading import is_erased_from
from airflow_provider_kore.snapshot.rivals import Writer
from airflow_provider_kore.store.store import read_at_most

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_kore.erasure.spec import Table
    from airflow_provider_kore.snapshot.fields import FieldPolicies
    from airflow_provider_kore.store.store import ObjectStore, StoredObject

Status = Literal["described", "behind", "unclaimed", "unknown"]
"""``behind``: an erasure has rewritten the file, and its manifest does not say so yet. ``unclaimed``: no manifest names
what lies there. ``unknown``: its bytes have to tell."""

_chunk = re.compile(rf"(?:[^/]+/){{2}}[0-9a-f]{{16}}-[0-9a-f]{{16}}/{CHUNK}").fullmatch
_LARGEST_CHUNK: Final = LARGEST_CHUNK


class Moved(Exception):  # noqa: N818  # an outcome: something else wrote here, so look again
    """What lies in a partition changed while it was looked at."""


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


@dataclass(slots=True, kw_only=True)
class File:
    """A file that this package has published."""

    key: str
    etag: str
    size: int
    format: str
    compression: str
    status: Status
    entry: Mapping[str, Any] | None = None
    """What the manifest says of it."""
    found: StoredObject | None = None
    """As a HEAD describes it, where the listing did not tell enough."""


@dataclass(slots=True, kw_only=True)
class Contents:
    """What lies in a partition."""

    partition: Partition
    manifest: Manifest | None = None
    manifest_etag: str = ""
    manifest_digest: str = ""
    """SHA-256 of the stored manifest, in hex."""
    files: list[File] = field(default_factory=list)
    strangers: list[StoredObject] = field(default_factory=list)
    """What this package did not write."""


def partitions(store: ObjectStore, table: Table) -> Iterator[tuple[Partition | None, list[StoredObject]]]:
    """List a table by partition; what lies in none comes with None."""
    named = re.compile(
        rf"(?P<prefix>{re.escape(table.prefix + '/' if table.prefix else '')}{table.key}=(?P<value>[^/]+)/"
        r"snapshot_date=(?P<date>\d{4}-\d\d-\d\d)/)[^/]+",
        re.ASCII,
    ).fullmatch
    for prefix in table.prefixes:
        here: Partition | None = None
        objects: list[StoredObject] = []
        for found in store.list(prefix):
            match = named(found.key)
            there = Partition(table, match["prefix"], match["value"], match["date"]) if match else None
            if there != here and objects:
                yield here, objects
                objects = []
            here = there
            objects.append(found)
        if objects:
            yield here, objects


def look_at(store: ObjectStore, partition: Partition, objects: list[StoredObject]) -> Contents:
    """Say what each object of a partition is. Reads the manifest, and no file.

    Raises CorruptSnapshotError where a manifest is not one, or names what is missing; Moved.
    """
    listed = {each.key: each for each in objects}
    contents = Contents(partition=partition)
    told = listed.pop(partition.manifest, None)
    if told is not None:
        _read_manifest(store, contents, told)
    for entry in contents.manifest.files if contents.manifest is not None else ():
        contents.files.append(_named(store, contents, entry, listed.pop(entry["key"], None)))
    for found in listed.values():
        form = form_of(partition.table.file_name, found.key.removeprefix(partition.prefix))
        described = store.head(found.key) if form is not None else None
        if form is None or described is None or not _is_ours(described, form[2]):
            contents.strangers.append(found)
            continue
        contents.files.append(
            File(
                key=found.key,
                etag=found.etag,
                size=found.size,
                format=form[0],
                compression=form[1],
                status="unclaimed",
                found=described,
            )
        )
    return contents


def _is_ours(found: StoredObject, snapshot: str | None) -> bool:
    writer = Writer.of_object(found)
    return bool(writer.run and writer.snapshot) and snapshot in {None, writer.snapshot}


def _read_manifest(store: ObjectStore, contents: Contents, told: StoredObject) -> None:
    where = store.uri(told.key)
    opened = store.get(told.key)
    if opened is None:
        raise Moved
    with opened as stream:
        body = read_at_most(stream, MOST_BYTES)
    manifest = Manifest.from_bytes(body, where)
    problem = manifest.problem(contents.partition.prefix, contents.partition.table.file_name)
    if problem is None and not all(name in manifest.content for name in ("file_format", "compression")):
        problem = "does not say its file_format and compression"
    if problem is not None:
        raise CorruptSnapshotError(
            f"{where} is not the manifest of a snapshot of this source and day: it {problem}. Find out what else "
            "writes there, and move it away or take the snapshot again; then erase."
        )
    contents.manifest, contents.manifest_etag = manifest, told.etag
    contents.manifest_digest = hashlib.sha256(body).hexdigest()


def _named(store: ObjectStore, contents: Contents, entry: Mapping[str, Any], listed: StoredObject | None) -> File:
    """Say what a file is that the manifest names."""
    content = contents.manifest.content if contents.manifest is not None else {}
    key = str(entry["key"])
    found = None
    if listed is None:
        found = store.head(key)
        if found is None:
            _check_manifest_stands(store, contents)
            raise CorruptSnapshotError(
                f"{store.uri(quoted(key, 200))} is missing, and its manifest names it. Find out what deleted it, and "
                "take the snapshot again, or move the manifest away; then erase."
            )
        listed = found
    status: Status = "described" if listed.etag == entry.get("etag") else "unknown"
    if status == "unknown":
        found = found or store.head(key)
        if found is None or found.etag != listed.etag:
            raise Moved
        if is_erased_from(found, entry.get("sha256")):
            status = "behind"
    return File(
        key=key,
        etag=listed.etag,
        size=listed.size,
        format=str(content["file_format"]),
        compression=str(content["compression"]),
        status=status,
        entry=entry,
        found=found,
    )


def _check_manifest_stands(store: ObjectStore, contents: Contents) -> None:
    now = store.head(contents.partition.manifest)
    if now is None or now.etag != contents.manifest_etag:
        raise Moved


def hidden_phones(
    contents: Contents, fields: frozenset[str], policies: FieldPolicies | None, *, strict: bool
) -> str | None:
    """Say why a phone number cannot be found in a partition, in words that complete "it …"; None if it can.

    :param fields: that hold phone numbers.
    :param policies: with the key for hashes.
    :param strict: whether a missing or another key is an error.

    Raises ParameterError if numbers are hashed there, and the key is missing or another one.
    """
    told = contents.manifest.content.get("fields") if contents.manifest is not None else None
    if not isinstance(told, dict):
        return None
    rules, keep = told.get("policies") or {}, told.get("keep")
    for name in sorted(fields):
        policy = rules.get(name) if isinstance(rules, dict) else None
        if policy == "hash" and not _has_key(told.get("hash"), policies):
            if strict:
                raise _without_key(contents, name, policies)
            return f"has {quoted(name)} hashed with another key"
        if policy in {"mask", "drop"}:
            return f"has the policy {policy!r} for {quoted(name)}"
        if isinstance(keep, list) and name not in keep:
            return f"keeps no {quoted(name)}"
    return None


def _has_key(told: object, policies: FieldPolicies | None) -> bool:
    """Say whether hashes were made with this key."""
    ours = policies.describe()["hash"] if policies is not None else None
    check = told.get("key_check") if isinstance(told, dict) else None
    return isinstance(ours, dict) and check == ours.get("key_check")


def _without_key(contents: Contents, name: str, policies: FieldPolicies | None) -> ParameterError:
    where = f"the snapshot of {contents.partition.date} in {quoted(contents.partition.value)}"
    if policies is None:
        return ParameterError(
            "hash_conn_id",
            f"is missing, and {where} has {quoted(name)} hashed, so that no phone number can be found there",
            "pass the connection with the key that it was hashed with, or ids instead of phone numbers",
        )
    return ParameterError(
        "hash_conn_id",
        f"names another key than the one that {quoted(name)} in {where} is hashed with",
        "erase the snapshots of each key in a task of its own, by contact_list_ids, or pass ids",
    )


def is_checkpoint(key: str, prefix: str) -> bool:
    """Say whether a key below a staging prefix has the form of a checkpoint."""
    return _chunk(key.removeprefix(prefix)) is not None
