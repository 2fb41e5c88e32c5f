"""How far a snapshot is and where its checkpoint lies, where Airflow shows what a task remembers (3.3).

To look at, and for nothing else: where a retry continues is decided by the checkpoints themselves, on every version.

A write goes through the task's supervisor to the API server, and while that is down, the supervisor tries again and
again for 16 to 19 seconds (3.3.2). So a walk waits a moment for a write, and no longer: it is finished on a thread of
its own, one at a time.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.hooks.airflow_versions import threads_may_ask_the_supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Context

    from airflow_provider_kore.snapshot.progress import Checkpoint

log = logging.getLogger(__name__)

KEY: Final = "progress"
"""Under which a task's state holds it."""

PATIENCE: Final = 1.0
"""Seconds that a walk waits for a write; one that takes longer is slow."""

SELDOM: Final = 300.0
"""Seconds to the next write after one that was slow."""

LAST: Final = 30.0
"""Seconds to wait at the end for a write under way: what Airflow is told next would wait for it, too."""


class ShownProgress:
    """Writes into the task's state store, or nothing at all where Airflow has none. Never fails a task, nor holds it.

    :param monotonic: a clock, in seconds.
    """

    def __init__(self, context: Context, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store: Any = context.get("task_state_store")
        self._monotonic = monotonic
        self._writing: threading.Thread | None = None
        self._not_before = -math.inf

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Show a checkpoint that was just written."""
        share = {"percent": 100 * checkpoint.rows // checkpoint.total} if checkpoint.total else {}
        self._set({"rows": checkpoint.rows, "total": checkpoint.total, **share, "checkpoint": checkpoint.location})

    def landed(self, rows: int, manifest: str) -> None:
        """Show that the snapshot stands, and its checkpoints are gone."""
        self._not_before = -math.inf
        self._set({"rows": rows, "total": rows, "percent": 100, "manifest": manifest})
        self.close()

    def close(self) -> None:
        """Wait for a write under way, but not for long."""
        if self._writing is not None:
            self._writing.join(LAST)

    def _set(self, value: dict[str, object]) -> None:
        if self._store is None or self._is_too_soon():
            return
        began = self._monotonic()
        shown = value | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
        if threads_may_ask_the_supervisor():
            self._writing = threading.Thread(target=self._write, args=(shown,), name="kore-progress", daemon=True)
            self._writing.start()
            self._writing.join(PATIENCE)
            is_slow = self._writing.is_alive()
        else:
            self._write(shown)
            is_slow = self._monotonic() - began > PATIENCE
        if is_slow:
            self._not_before = self._monotonic() + SELDOM
            log.warning(
                "Airflow took more than a second to store this task's progress. It is shown again in %.0f minutes at "
                "the earliest; the walk goes on, and this log tells how far it is.",
                SELDOM / 60,
            )

    def _is_too_soon(self) -> bool:
        under_way = self._writing is not None and self._writing.is_alive()
        return under_way or self._monotonic() < self._not_before

    def _write(self, shown: dict[str, object]) -> None:
        with contextlib.suppress(Exception):  # of whatever kind: it is a show
            self._store.set(KEY, shown)
