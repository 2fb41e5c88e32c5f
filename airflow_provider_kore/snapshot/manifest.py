"""The manifest: enough to audit a snapshot without opening it.

It is written last, beside the object, and holds no contact data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_provider_kore.exceptions import CorruptSnapshotError

if TYPE_CHECKING:
    from airflow_provider_kore.snapshot.store import ObjectStore

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as it is stored. ``docs/manifest.md`` describes its fields."""

    content: dict[str, Any]

    @property
    def snapshot_id(self) -> str:
        """What the object's metadata calls it, too."""
        return str(self.content["snapshot_id"])

    @property
    def rows(self) -> int:
        """How many rows landed."""
        return sum(int(file["rows"]) for file in self.content["files"])

    @property
    def consistent(self) -> bool:
        """Whether the list is proven to have held still while it was read."""
        return bool(self.content["consistent"])

    @property
    def run_digest(self) -> str:
        """Which run of which task published it."""
        return str(self.content["run"]["digest"])

    @property
    def generation(self) -> str | None:
        """Which of a person's requests for this run it answered; None if that is not known."""
        found = self.content["run"].get("generation")
        return found if isinstance(found, str) else None

    @property
    def recipe(self) -> str | None:
        """A digest of the parameters that it was made with; None if it does not say."""
        found = self.content["run"].get("recipe")
        return found if isinstance(found, str) else None

    @property
    def try_number(self) -> int:
        """Which try of the run published it; 0 if it does not say."""
        found = self.content["run"].get("try_number")
        return found if isinstance(found, int) else 0

    @property
    def keys(self) -> list[str]:
        """The keys of the snapshot's files."""
        return [str(file["key"]) for file in self.content["files"]]

    def to_bytes(self) -> bytes:
        """Return what is stored."""
        return (json.dumps(self.content, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")

    @classmethod
    def from_bytes(cls, body: bytes, where: str) -> Self:
        """Read what :meth:`to_bytes` returned.

        Raises CorruptSnapshotError if it is no manifest, or of a version this package doesn't know.
        """
        try:
            content = json.loads(body)
            manifest = cls(content)
            known = content["schema_version"] == SCHEMA_VERSION
            _ = (manifest.snapshot_id, manifest.rows, manifest.consistent, manifest.run_digest, manifest.keys)
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise CorruptSnapshotError(
                f"{where} is no manifest that this version of the provider can read. Move it away if it is not needed."
            )
        return manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a partition holds: its manifest, with the ETag to fence on."""

    manifest: Manifest
    etag: str


def read_manifest(store: ObjectStore, key: str) -> Published | None:
    """Return the manifest of a partition, None if it has none. Raises CorruptSnapshotError."""
    found = store.head(key)
    opened = store.get(key) if found is not None else None
    if found is None or opened is None:
        return None
    with opened as stream:
        return Published(manifest=Manifest.from_bytes(stream.read(), f"s3://{store.bucket}/{key}"), etag=found.etag)


__all__ = ["Manifest", "Published", "read_manifest"]
