"""What Airflow says of the run that a task belongs to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.snapshot.spec import RunKey, digest

if TYPE_CHECKING:
    from airflow.sdk import Context

_OF_RUN: Final = ("start_date", "clear_number")


def run_parameters(context: Context, retries: int | None) -> dict[str, Any]:
    """Return what :class:`~airflow_provider_kore.snapshot.spec.SnapshotSpec` wants to know of a run and its try.

    :param retries: of the task.
    """
    ti = context["ti"]
    logical_date = context.get("logical_date")
    return {
        "run": RunKey(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
        ),
        "try_number": ti.try_number,
        "generation": _generation(context, retries),
        "logical_date": logical_date.isoformat() if logical_date else None,
    }


def _generation(context: Context, retries: int | None) -> str | None:
    """Return what stays the same in each retry, and differs after each Clear and in each new run under an old id.

    Clearing a task sets its ``max_tries`` to the tries so far plus its ``retries``; clearing a run that is over, and
    creating one anew, sets the run's ``start_date``; and ``clear_number`` counts (Airflow 3.0 to 3.2: only clears of a
    run that is over; 3.3: all). None of them is enough alone. None if Airflow does not tell.
    """
    run: Any = context["dag_run"]
    tries = getattr(context["ti"], "max_tries", None)
    if tries is None:
        return None
    return digest([str(each) for each in (tries, retries, *(getattr(run, name, None) for name in _OF_RUN))])


def retry_follows(context: Context, retries: int | None) -> bool:
    """Say whether Airflow tries again by itself after this try."""
    ti = context["ti"]
    most = getattr(ti, "max_tries", None)
    return bool(ti.try_number <= ((retries or 0) if most is None else most))


def run_type(context: Context) -> str | None:
    """Return what kind of run this is: ``scheduled``, ``manual``, ``backfill``, … (Airflow 3.0 to 3.3)."""
    found = getattr(context["dag_run"], "run_type", None)
    return None if found is None else str(getattr(found, "value", found))


def run_date(context: Context) -> str:
    """Return the date (UTC, YYYY-MM-DD) that names the partition of a run.

    A run that was triggered by hand or by an asset may have no logical date; ``run_after`` is never missing, and the
    same in every try (Airflow 3.0 to 3.3).
    """
    run = context["dag_run"]
    instant: Any = context.get("partition_date") or context.get("logical_date") or run.run_after
    if isinstance(instant, datetime):
        return instant.astimezone(UTC).date().isoformat()
    return str(instant)[:10]
