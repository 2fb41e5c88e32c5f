"""What one snapshot is made with: what it is of, where it goes, by whose clock, and what ends it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.snapshot.layout import Layout

if TYPE_CHECKING:
    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.snapshot.phases import Teller
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.store import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One snapshot at work."""

    spec: SnapshotSpec
    source: tuple[str, ...] = ()
    """Which environment, account and application it belongs to."""
    store: ObjectStore
    clock: Clock
    stop: Stop
    teller: Teller

    @property
    def layout(self) -> Layout:
        """Its keys."""
        return Layout(self.spec, self.source)

    def parts(self) -> dict[str, Any]:
        """Return the same as arguments of a class that has more."""
        return {each.name: getattr(self, each.name) for each in fields(Work)}
