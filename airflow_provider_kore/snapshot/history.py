"""What the manifest of one snapshot of a list tells the next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_kore.snapshot.rivals import instant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.snapshot.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a manifest tells the next snapshot of the same list (``incremental``)."""

    ascending: bool
    """Whether all rows came in the order they were created."""
    last_created: str
    """The newest ``createdAt``."""
    page_rows: int
    """How many rows its server served in one page."""
    whole_walk_at: str
    """When the last walk over all of the list began."""
    found: Mapping[str, int]
    """How many rows have each field that the author named."""
    off: str | None
    """Why all of this list is read each time; None: that need not be."""

    @classmethod
    def of(cls, manifest: Manifest) -> Self | None:
        """Read it; None if it is not there, or not as this version writes it."""
        told: Any = manifest.content.get("incremental")
        try:
            return cls(
                ascending=told["ascending"] is True,
                last_created=str(told["last_created"]),
                page_rows=int(told["page_rows"]),
                whole_walk_at=instant(datetime.fromisoformat(told["whole_walk_at"]).timestamp()),
                found={str(name): int(number) for name, number in told["found"].items()},
                off=None if told["off"] is None else str(told["off"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            return None

    @property
    def whole_walk_seconds(self) -> float:
        """When the last walk over all of the list began, in seconds since the epoch."""
        return datetime.fromisoformat(self.whole_walk_at).timestamp()
