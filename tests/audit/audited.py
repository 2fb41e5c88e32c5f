"""Snapshots in a bucket in memory, as the package lands them, to be damaged and looked at."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from test_incremental import Days

from airflow_provider_kore.audit.progress import Progress
from airflow_provider_kore.audit.verify import Report, verify
from airflow_provider_kore.snapshot.manifest import Manifest

if TYPE_CHECKING:
    from model_store import MemoryStore

LIST = "kore/lists/contact_list_id=cl-1/"
CONTACTS = 12


@cache
def _landed(days: int, contacts: int, parameters: str) -> MemoryStore:
    """Land a list that grows by a contact each day."""
    landed = Days(contacts=contacts, **json.loads(parameters))
    for day in range(days):
        if day:
            landed.vendor.append()
        landed.land()
    return landed.world.bucket


def lake(days: int = 3, *, contacts: int = CONTACTS, **parameters: Any) -> MemoryStore:
    """Return a bucket of its own with a list on so many days, from 2026-01-01 on."""
    return _landed(days, contacts, json.dumps(parameters)).clone()


def partition(day: int) -> str:
    return f"{LIST}snapshot_date=2026-01-{day:02d}/"


def manifest_key(day: int) -> str:
    return f"{partition(day)}_manifest.json"


def manifest(store: MemoryStore, day: int) -> dict[str, Any]:
    return dict(Manifest.from_bytes(store.bodies()[manifest_key(day)], "m").content)


def write(store: MemoryStore, day: int, content: dict[str, Any]) -> None:
    """Put a manifest in the place of the one that is there, as whoever knows how could do."""
    store.put(manifest_key(day), Manifest(content).to_bytes(), content_type="application/json")


def write_unchecked(store: MemoryStore, key: str, content: dict[str, Any]) -> None:
    """Put a manifest with its digest, whatever its schema says of it."""
    told = {name: value for name, value in content.items() if name != "content_sha256"}
    lines = (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode()
    digest = hashlib.sha256(lines).hexdigest().encode()
    store.put(key, b'{\n  "content_sha256": "' + digest + b'",' + lines[1:], content_type="application/json")


def change(store: MemoryStore, day: int, **members: Any) -> None:
    write(store, day, manifest(store, day) | members)


def overwrite(store: MemoryStore, key: str, body: bytes) -> None:
    """Replace an object's bytes, and leave its metadata as they are."""
    stored = store.head(key)
    assert stored is not None
    store.put(key, body, content_type="x/y", metadata=stored.metadata)


def link_to(store: MemoryStore, day: int) -> dict[str, str]:
    """Return what the manifest of a later snapshot says of this one."""
    return {
        "snapshot_date": f"2026-01-{day:02d}",
        "snapshot_id": manifest(store, day)["snapshot_id"],
        "manifest": manifest_key(day),
        "manifest_sha256": hashlib.sha256(store.bodies()[manifest_key(day)]).hexdigest(),
    }


def audit(store: MemoryStore, prefix: str = LIST, **given: Any) -> Report:
    return verify(store, prefix, progress=Progress(str), **given)


def kinds(report: Report, *, notes: bool = False) -> list[str]:
    """Return what was found, without notes."""
    return [one.kind for one in report.findings.kept if notes or one.level != "note"]


def copy(store: MemoryStore, source: str, target: str) -> None:
    """Copy all objects below a prefix, with their metadata."""
    for key, body in store.bodies(source).items():
        found = store._state.objects[key]
        store.put(
            target + key.removeprefix(source),
            body,
            content_type=found.content_type,
            metadata=replace(found.described).metadata,
        )
