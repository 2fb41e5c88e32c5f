"""The snapshots that are to be committed, as their manifests describe them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_provider_kore.exceptions import CorruptSnapshotError, DriftError, ParameterError
from airflow_provider_kore.iceberg.spec import EACH
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_provider_kore.iceberg.spec import Wanted
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.snapshot.phases import Teller
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.store import ObjectStore

_FILE_NAME: Final = "contacts"


class Columns(NamedTuple):
    """What a manifest says of a snapshot's columns; snapshots that say the same share it."""

    types: Mapping[str, str | None]
    """By their names, in the table's order; None where nothing is known of one.

    What csv says of its columns is that they are text, and its values say more: ``"1"`` is text, ``1`` a number.
    """
    spelling: Mapping[str, str]
    """The names of columns by the fields of its rows, where they differ."""

    @classmethod
    def of(cls, manifest: Manifest) -> Columns:
        """Read them."""
        columns, file_format = _columns(manifest), manifest.content["file_format"]
        if file_format == "csv":
            return cls(dict.fromkeys(each["name"] for each in columns), {})
        known = {each["name"]: each.get("type") for each in manifest.files[0].get("columns") or ()}
        types = {each["name"]: each.get("type") or known.get(each["name"]) for each in columns}
        spelt = {each["field"]: each["name"] for each in columns if "field" in each}
        return cls(types, spelt if file_format == "jsonl" else {})  # rows of others have the names of their columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """One list on one day: little enough to hold tens of thousands."""

    contact_list_id: str
    snapshot_date: str
    snapshot_id: str
    manifest_sha256: str
    """Of the manifest's bytes as they are stored."""
    rows: int
    consistent: bool
    columns: Columns
    store: ObjectStore
    key: str
    """Of the manifest."""

    @property
    def partition(self) -> tuple[str, str]:
        """The values of the table's partition."""
        return self.contact_list_id, self.snapshot_date

    @property
    def address(self) -> str:
        """Of the manifest, made fit to be shown."""
        return self.store.uri(quoted(self.key, 200))

    def manifest(self) -> Manifest:
        """Read it again: of many, only one is held. Raises DriftError if another one is there now."""
        found = read_manifest(self.store, self.key)
        if found is None or found.sha256 != self.manifest_sha256:
            raise DriftError(f"The snapshot of {self.address} was replaced while others were read. Try again.")
        return found.manifest


def find_landed(
    wanted: Iterable[Wanted], open_store: Callable[[str], ObjectStore], stop: Stop, teller: Teller
) -> list[Landed]:
    """Read the manifests of all snapshots that are wanted; sorted by day, then by list.

    :param open_store: returns the store of a bucket.

    Raises ParameterError where none has landed, or two are of the same list and day; CorruptSnapshotError.
    """
    open_store = cache(open_store)
    shared: dict[str, Columns] = {}
    found: dict[tuple[str, str], Landed] = {}
    with teller.phase("reading manifests", "of them") as phase:
        for each in wanted:
            store = open_store(each.bucket)
            keys = list(_keys(store, each))
            for key in keys:
                stop.check()
                landed = _read(store, key, shared)
                before = found.setdefault(landed.partition, landed)
                if before.address != landed.address:
                    raise ParameterError(
                        "snapshots",
                        f"names two snapshots of {quoted(landed.contact_list_id)!r} on {landed.snapshot_date}: "
                        f"{before.address} and {landed.address}",
                        "pass one of them: the table has one partition for both",
                    )
                phase.reached(len(found))
            if len(keys) < each.least:
                lie = f"{len(keys):,} of at least {each.least:,} snapshots lie" if keys else "no snapshot lies"
                raise ParameterError(
                    "snapshots", f"names {each.address}, where {lie}", "land them first, or correct the address"
                )
    return sorted(found.values(), key=lambda landed: (landed.snapshot_date, landed.contact_list_id))


def merged_columns(landed: Iterable[Landed]) -> dict[str, str]:
    """Return the types of all columns that some of these snapshots have: where they differ, one that holds both."""
    found: dict[str, str | None] = {}
    for each in landed:
        for name, type_ in each.columns.types.items():
            before = found.setdefault(name, type_)
            if before != type_ and type_ is not None:
                found[name] = type_ if before is None else _either(before, type_)
    return {name: type_ or "string" for name, type_ in found.items()}


def _either(one: str, other: str) -> str:
    return "double" if {one, other} == {"int64", "double"} else "string"


def _keys(store: ObjectStore, wanted: Wanted) -> Iterator[str]:
    """Return the keys of the manifests; of one that is named in full whether it is there or not."""
    listed, several, _ = wanted.key.partition(EACH)
    if not several:
        yield wanted.key
        return
    dated = re.escape(wanted.key).replace(r"/snapshot_date=\*", r"/snapshot_date=\d{4}-\d\d-\d\d")
    named = re.compile(dated.replace(r"\*", "[^/]+"), re.ASCII).fullmatch
    yield from (each.key for each in store.list(listed) if named(each.key))


def _read(store: ObjectStore, key: str, shared: dict[str, Columns]) -> Landed:
    where = store.uri(quoted(key, 200))
    found = read_manifest(store, key)
    if found is None:
        raise ParameterError(
            "snapshots",
            f"names {where}, which does not exist: no snapshot has landed there",
            "land it first, or correct the address",
        )
    manifest = found.manifest
    folder, _, date = key.rpartition("/")[0].rpartition("/snapshot_date=")
    list_id = folder.rpartition("contact_list_id=")[2]
    problem = manifest.problem(f"{key.rpartition('/')[0]}/", _FILE_NAME) or _incomplete(manifest)
    if problem is not None:
        raise CorruptSnapshotError(
            f"{where} is not the manifest of a snapshot of this list and day: it {problem}. Take the snapshot again, "
            "and find out what else writes there. The table is as it was."
        )
    columns = Columns.of(manifest)
    return Landed(
        contact_list_id=list_id,
        snapshot_date=date,
        snapshot_id=manifest.snapshot_id,
        manifest_sha256=found.sha256,
        rows=manifest.rows,
        consistent=manifest.consistent,
        columns=shared.setdefault(repr(columns), columns),
        store=store,
        key=key,
    )


def _incomplete(manifest: Manifest) -> str | None:
    """Return what a manifest lacks to be committed, in words that complete "it …"."""
    content = manifest.content
    for name in ("contact_list_id", "snapshot_date", "file_format", "compression"):
        if content.get(name) is None:
            return f"does not say its {name}"
    if not all(file.get("sha256") for file in manifest.files):
        return "does not say the sha256 of its files"
    return None if _columns(manifest) else "does not name its columns"


def _columns(manifest: Manifest) -> list[dict[str, Any]]:
    """Return the columns that a manifest names: those of its table, or else those of its first file."""
    schema = manifest.content.get("schema")
    return list(schema["columns"] if schema else manifest.files[0].get("columns") or ())
