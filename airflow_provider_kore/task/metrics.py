"""What a snapshot cost, as Airflow's own metrics (``kore.rows``, ``kore.requests``, …), wherever those are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_kore.hooks.airflow_versions import stats

if TYPE_CHECKING:
    from airflow_provider_kore.walk.cost import Spent


def send_metrics(spent: Spent, *, dag_id: str, task_id: str) -> None:
    """Add what one stretch of a walk has cost to the counters, tagged with its DAG and task.

    ``kore.waited`` counts milliseconds, ``kore.bytes`` those of unpacked answers.
    """
    tags = {"dag_id": dag_id, "task_id": task_id}
    counters = {
        "rows": spent.rows,
        "pages": spent.pages,
        "requests": spent.requests,
        "retries": spent.retries,
        "rate_limited": spent.rate_limited,
        "waited": round(1000 * spent.waited),
        "bytes": spent.bytes,
    }
    for name, count in counters.items():
        if count:
            stats().incr(f"kore.{name}", count, tags=tags)
