"""The model of S3 with what an erasure needs on top: how objects were written, and their older versions."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from model_store import MemoryStore

from airflow_provider_kore.store.versions import ObjectVersion, Traits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_provider_kore.store.store import Condition, Lock, StoredObject


@dataclass(slots=True)
class _Kept:
    """What one key has seen: bodies by version id, the last one current; None: a delete marker."""

    versions: list[tuple[str, bytes | None]] = field(default_factory=list)


class VersionedMemoryStore(MemoryStore):
    """A :class:`MemoryStore` that keeps traits, and versions if it is told to.

    :param versioned: None: it doesn't say.
    """

    def __init__(self, bucket: str = "memory", *, versioned: bool | None = False, **given: Any) -> None:
        super().__init__(bucket, **given)
        self.versioned = versioned
        self.others: dict[str, Mapping[str, Any]] = {}
        """Traits by key, as this store's writes left them."""
        self.kept: dict[str, _Kept] = {}
        self.locks: dict[str, Lock] = {}
        """By version id."""
        self.described: dict[str, StoredObject] = {}
        """By version id, as a HEAD described it when it was written."""
        self.given = given
        self._like: Mapping[str, Any] = {}
        self._number = [0]

    def reopen(self) -> VersionedMemoryStore:
        other = VersionedMemoryStore(self.bucket, versioned=self.versioned, **self.given)
        other._share(self)
        return other

    def clone(self) -> VersionedMemoryStore:
        other = self.reopen()
        other._state = super().clone()._state
        other.others = dict(self.others)
        other.kept = {key: _Kept(list(kept.versions)) for key, kept in self.kept.items()}
        other._number = list(self._number)
        return other

    def _share(self, other: VersionedMemoryStore) -> None:
        self._state, self.others, self.kept = other._state, other.others, other.kept
        self.locks, self.described, self._number = other.locks, other.described, other._number

    # --- the protocol ---

    def traits(self, key: str) -> Traits | None:
        with self._effect("traits", key):
            found = self._state.objects.get(key)
            if found is None:
                return None
            return Traits(stored=found.described, content_type=found.content_type, others=self.others.get(key, {}))

    def like(self, traits: Traits) -> VersionedMemoryStore:
        other = VersionedMemoryStore(self.bucket, versioned=self.versioned, **self.given)
        other._share(self)
        other._like = traits.others
        other.effects = self.effects
        other._effect = self._effect  # type: ignore[method-assign]
        return other

    def keeps_versions(self) -> bool | None:
        with self._effect("keeps_versions", ""):
            return self.versioned

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        with self._effect("versions", prefix):
            found = [
                ObjectVersion(
                    key=key,
                    version_id=version_id,
                    size=len(body or b""),
                    is_current=number == len(kept.versions) - 1,
                    is_marker=body is None,
                )
                for key, kept in sorted(self.kept.items())
                if key.startswith(prefix)
                for number, (version_id, body) in enumerate(kept.versions)
            ]
        yield from found

    def get_version(self, key: str, version_id: str) -> BinaryIO | None:
        with self._effect("get_version", key):
            body = dict(self.kept[key].versions).get(version_id) if key in self.kept else None
            return None if body is None else io.BytesIO(body)

    def head_version(self, key: str, version_id: str) -> tuple[StoredObject, Lock | None] | None:
        with self._effect("head_version", key):
            found = self.described.get(version_id)
            return None if found is None else (found, self.locks.get(version_id))

    def delete_version(self, key: str, version_id: str) -> None:
        with self._effect("delete_version", key, writes=True):
            kept = self.kept.get(key, _Kept())
            kept.versions = [each for each in kept.versions if each[0] != version_id]

    # --- writes, which leave versions and traits ---

    def put(
        self,
        key: str,
        body: bytes | BinaryIO,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        condition: Condition | None = None,
    ) -> StoredObject:
        try:
            return super().put(key, body, content_type=content_type, metadata=metadata, condition=condition)
        finally:
            self._keep(key)

    def complete_upload(self, upload: Any, parts: Sequence[Any], *, condition: Condition | None = None) -> StoredObject:
        try:
            return super().complete_upload(upload, parts, condition=condition)
        finally:
            self._keep(upload.key)

    def delete(self, keys: Sequence[str]) -> None:
        try:
            super().delete(keys)
        finally:
            for key in keys:
                self._keep(key)

    def _keep(self, key: str) -> None:
        """Note what lies there now, if it is another thing than before."""
        found = self._state.objects.get(key)
        body = found.body if found else None
        if found is not None:
            self.others[key] = self._like
        versions = self.kept.setdefault(key, _Kept()).versions
        if not versions and body is None:
            return
        if versions and versions[-1][1] == body:
            return
        self._number[0] += 1
        if not self.versioned:
            versions.clear()
            if body is None:
                return
        versions.append((f"v{self._number[0]}", body))
        if found is not None:
            self.described[f"v{self._number[0]}"] = found.described


def old_bodies(store: VersionedMemoryStore) -> Iterator[bytes]:
    """Yield what all versions hold."""
    for kept in store.kept.values():
        for _, body in kept.versions:
            if body is not None:
                yield body


__all__ = ["VersionedMemoryStore", "old_bodies", "replace"]
