"""What a walk knows of itself: an immutable value, and the header of each checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_kore.walk.page import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Continued:
    """What a walk has to know of the one that it builds on."""

    snapshot_id: str
    rows: int
    mark: str
    probes: tuple[int, ...]
    """The offsets that were looked at."""
    first_new: str = ""
    """The ``createdAt`` of the first row that is new; empty: it has none, or none was read yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkState:
    """What a continued walk has to know about its beginning. Holds no contact data."""

    walk_id: str
    started: float
    """Seconds since the epoch."""
    mark: str | None = None
    """What the source said before the first page, and says no more once it has changed: a list's ``updatedAt``."""
    told_total: bool = False
    """Whether the first page told the list's total, which growth is measured by."""
    progress: Progress = field(default_factory=Progress)
    """What the pages said so far."""
    pages: int = 0
    resumed_from: int | None = None
    """The offset at which the last try continued."""
    end: str | None = None
    """What proved the end of the list, if all of it was read and only the look after that was missing."""
    drift: tuple[str, ...] = ()
    """What is known to have changed already, in words; only if the author accepts that."""
    continued: Continued | None = None
    """What it builds on; None: it began at offset 0."""
