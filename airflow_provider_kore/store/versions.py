"""What it takes to rewrite objects of others as they were, and to reach the older versions of a versioned bucket.

Landing needs none of this; see :class:`~airflow_provider_kore.store.store.ObjectStore` for what it needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from airflow_provider_kore.exceptions import StoreUnavailableError
from airflow_provider_kore.store.patient import PatientStore
from airflow_provider_kore.store.store import Lock, ObjectStore, StoredObject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.stop import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """How an object was written, as far as the store shows it."""

    stored: StoredObject
    content_type: str
    others: Mapping[str, Any] = field(default_factory=dict)
    """The store's own names and values: tags, encryption, storage class, Cache-Control and the like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectVersion:
    """A version of an object, or a delete marker."""

    key: str
    version_id: str
    size: int = 0
    """Bytes."""
    is_current: bool = False
    is_marker: bool = False


class VersionedStore(ObjectStore, Protocol):
    """One bucket, with all that it keeps of an object. Each method is one request, :meth:`traits` two."""

    def traits(self, key: str) -> Traits | None:
        """Describe an object with all that :meth:`like` repeats; None if there is none."""
        ...

    def like(self, traits: Traits) -> ObjectStore:
        """Return the same bucket, whose writes have tags, encryption, storage class and headers as told."""
        ...

    def keeps_versions(self) -> bool | None:
        """Say whether the bucket keeps older versions; None where that may not be asked."""
        ...

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """List all versions and delete markers below a prefix, key by key, in order (one request per thousand)."""
        ...

    def get_version(self, key: str, version_id: str) -> AbstractContextManager[BinaryIO] | None:
        """Open one version for reading; None if it is gone."""
        ...

    def head_version(self, key: str, version_id: str) -> tuple[StoredObject, Lock | None] | None:
        """Describe one version, and what keeps it from being deleted; None if it is gone."""
        ...

    def delete_version(self, key: str, version_id: str) -> None:
        """Delete one version, or a delete marker, for good; one that is gone is no error."""
        ...


class PatientVersionedStore(PatientStore):
    """A :class:`VersionedStore` around another one, which is waited for as :class:`PatientStore` waits."""

    def __init__(self, store: VersionedStore, clock: Clock, stop: Stop) -> None:
        super().__init__(store, clock, stop)
        self._versioned = store

    def traits(self, key: str) -> Traits | None:
        """See :class:`VersionedStore`; so for the methods below."""
        return self._retried(lambda: self._versioned.traits(key))

    def like(self, traits: Traits) -> ObjectStore:
        """Wait for its answers, too."""
        return self.beside(self._versioned.like(traits))

    def keeps_versions(self) -> bool | None:
        """Ask."""
        return self._retried(self._versioned.keeps_versions)

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """List all; after an interruption from the beginning, without those that were told already."""
        listing: Iterator[ObjectVersion] | None = None
        key, told = "", set[str]()  # of the key at hand

        def following() -> ObjectVersion | None:
            nonlocal listing
            if listing is None:
                listing = iter(self._versioned.versions(prefix))
            try:
                for found in listing:
                    if found.key.encode() > key.encode() or (found.key == key and found.version_id not in told):
                        return found
            except StoreUnavailableError:
                listing = None  # a generator that has raised is at its end
                raise
            return None

        while (found := self._retried(following)) is not None:
            if found.key != key:
                key, told = found.key, set()
            told.add(found.version_id)
            yield found

    def get_version(self, key: str, version_id: str) -> AbstractContextManager[BinaryIO] | None:
        """Open one version."""
        return self._retried(lambda: self._versioned.get_version(key, version_id))

    def head_version(self, key: str, version_id: str) -> tuple[StoredObject, Lock | None] | None:
        """Describe one version."""
        return self._retried(lambda: self._versioned.head_version(key, version_id))

    def delete_version(self, key: str, version_id: str) -> None:
        """Delete one version."""
        self._retried(lambda: self._versioned.delete_version(key, version_id))
