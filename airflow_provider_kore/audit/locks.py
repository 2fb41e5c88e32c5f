"""S3 Object Lock, as far as it may be looked at: until when the objects of a snapshot cannot be deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.audit.files import UNSEEN
from airflow_provider_kore.store.store import LockingStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kore.store.store import ObjectStore

_MOST: Final = 100
"""Objects of one snapshot that are asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """The locks of a snapshot's objects, manifest included."""

    objects: int
    """How many were looked at."""
    locked: int
    """How many of them are locked."""
    mode: str
    """The weakest: ``GOVERNANCE``, ``COMPLIANCE``; empty: held alone."""
    until: str
    """The earliest end, ISO 8601; empty: held alone, and until that is taken off."""
    held: int
    """How many are under a legal hold."""

    def __str__(self) -> str:
        """Say it in words."""
        said = f"{self.locked} of {self.objects} objects locked"
        if self.until:
            said += f" until {self.until} or longer ({self.mode})"
        return f"{said}, {self.held} under legal hold" if self.held else said


class LockReader:
    """Looks at locks until the store refuses."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store if isinstance(store, LockingStore) else None
        self.refused = ""
        """Why it was not looked at."""

    def look(self, keys: Sequence[str]) -> Locked | None:
        """Return the locks of some objects; None: there are none, or they may not be looked at."""
        if self._store is None:
            return None
        try:
            found = [self._store.lock_of(key) for key in keys[:_MOST]]
        except UNSEEN as err:
            self._store, self.refused = None, str(err)
            return None
        locks = [lock for lock in found if lock is not None]
        if not locks:
            return None
        ends = [(lock.until, lock.mode) for lock in locks if lock.until]
        modes = {mode for _, mode in ends}
        return Locked(
            objects=len(found),
            locked=len(locks),
            mode="GOVERNANCE" if "GOVERNANCE" in modes else next(iter(modes), ""),
            until=min(ends)[0] if ends else "",
            held=sum(lock.held for lock in locks),
        )
