"""Ours, as a task runs it: the operator, inside an Airflow process, with checkpoints in S3."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from contender import Job, compete

from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator


def land(job: Job) -> None:
    """Execute the operator once."""
    operator = ContactListToS3Operator(
        task_id="land", contact_list_id=job.list_id, s3_bucket=job.bucket, s3_prefix=job.prefix, page_size=job.page
    )
    ti = SimpleNamespace(dag_id="bench", run_id=job.prefix, task_id="land", map_index=-1, try_number=1)
    context: Any = {"ti": ti, "dag_run": SimpleNamespace(run_after=datetime.now(UTC))}
    operator.execute(context)


if __name__ == "__main__":
    compete(land)
