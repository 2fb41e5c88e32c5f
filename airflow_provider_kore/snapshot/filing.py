"""Under which day a snapshot is filed, and what is said where that is not the day on which it was read.

The API shows everything as it is now. A backfill, and a run that comes days late, would file it under a day on which it
was different, and nothing about such a partition looks wrong.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.parameters import check_boolean

BACKFILL: Final = "backfill"
"""What Airflow (3.0 to 3.3) says of a run that a backfill has made, as ``dag_run.run_type``."""

TOLERATED: Final = timedelta(days=1)
"""A run of yesterday's interval reads today, after midnight, and is on time."""


def check_backfill(run_type: str | None, allow_backfill: object) -> None:
    """Refuse a run of a backfill unless its author allows it, before a request is spent.

    :param run_type: as Airflow calls it; None: unknown.

    Raises ParameterError.
    """
    if check_boolean("allow_backfill", allow_backfill) or run_type != BACKFILL:
        return
    raise ParameterError(
        "allow_backfill",
        "is False, and this run belongs to a backfill: Kore.ai shows everything as it is now, so today's contacts "
        "would be filed under a day that is over",
        "leave such days without a snapshot, or pass allow_backfill=True; the manifest then says when it was read",
    )


def filed_elsewhere(snapshot_date: str, started: float, *, title: str, run_type: str | None) -> str | None:
    """Return the sentence about a snapshot whose partition is not the day on which it was read; None if it is.

    :param snapshot_date: YYYY-MM-DD.
    :param started: when the walk began, in seconds since the epoch.
    :param title: of what was read: ``contact list cl-1``.
    """
    read = datetime.fromtimestamp(started, UTC).date()
    backfill = run_type == BACKFILL
    if abs(read - date.fromisoformat(snapshot_date)) <= (timedelta(0) if backfill else TOLERATED):
        return None
    return (
        f"This snapshot shows {title} as it was on {read}, and is filed under {snapshot_date}"
        f"{', by a backfill' if backfill else ''}."
    )
