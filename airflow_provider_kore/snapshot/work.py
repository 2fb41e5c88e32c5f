"""What one snapshot is made with: what it is of, where it goes, by whose clock, and what ends it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.snapshot.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.snapshot.phases import Teller
    from airflow_provider_kore.snapshot.progress import Checkpoint, ProgressLog
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.capabilities import Capabilities
    from airflow_provider_kore.store.store import ObjectStore
    from airflow_provider_kore.walk.reader import Reader


@dataclass(slots=True, kw_only=True)
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


@dataclass(slots=True, kw_only=True)
class Shared:
    """What the snapshots of one task have in common, and find out once."""

    client: Reader
    staging_store: ObjectStore
    """Of the same bucket, for checkpoints; waits for itself."""
    progress: ProgressLog
    """Says how far they are."""
    on_checkpoint: Callable[[Checkpoint], None] | None = None
    """Called after each checkpoint; must not raise."""
    breaks: Callable[[], bool] | None = None
    """Whether a walk shall stop after a page, for others that wait; None: there are no others."""
    capabilities: Capabilities | None = None
    """Of the bucket, once they are known."""
