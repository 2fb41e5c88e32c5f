"""How far a snapshot is and where its checkpoint lies, where Airflow shows what a task remembers (3.3).

To look at, and for nothing else: where a retry continues is decided by the checkpoints themselves, on every version.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.snapshot.progress import Checkpoint

KEY: Final = "progress"
"""Under which a task's state holds it."""


class ShownProgress:
    """Writes into the task's state store, or nothing at all where Airflow has none. Never fails a task."""

    def __init__(self, context: Context) -> None:
        self._store: Any = context.get("task_state_store")

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Show a checkpoint that was just written."""
        share = {"percent": 100 * checkpoint.rows // checkpoint.total} if checkpoint.total else {}
        self._set({"rows": checkpoint.rows, "total": checkpoint.total, **share, "checkpoint": checkpoint.location})

    def landed(self, rows: int, manifest: str) -> None:
        """Show that the snapshot stands, and its checkpoints are gone."""
        self._set({"rows": rows, "total": rows, "percent": 100, "manifest": manifest})

    def _set(self, value: dict[str, object]) -> None:
        if self._store is not None:
            with contextlib.suppress(Exception):  # of whatever kind: it is a show
                self._store.set(KEY, value | {"at": datetime.now(UTC).isoformat(timespec="seconds")})
