"""Airflow's own parts: ``HttpOperator`` with a pagination function, and ``S3Hook`` for what it returns.

Out of the box a refusal fails the task. A patient one has ``retry_args`` that wait a minute.
"""

from __future__ import annotations

import json
from typing import Any

import tenacity
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.http.operators.http import HttpOperator
from contender import Job, compete

PAUSE_SECONDS = 60.0


def land(job: Job) -> None:
    """Execute the operator, then load what it returned."""

    def next_page(response: Any) -> dict[str, Any] | None:
        data = response.json()["data"]
        if not data["hasMore"]:
            return None
        return {"data": query | {"skip": data["skip"] + len(data["results"])}}

    def rows(responses: list[Any]) -> str:
        return "".join(json.dumps(contact) + "\n" for page in responses for contact in page.json()["data"]["results"])

    query = {"accountId": job.account_id, "skip": 0, "limit": job.page}
    retry = {
        "wait": tenacity.wait_fixed(PAUSE_SECONDS),
        "stop": tenacity.stop_after_attempt(10),
        "retry": tenacity.retry_if_exception_type(Exception),
    }
    operator = HttpOperator(
        task_id="read",
        http_conn_id="kore_http",
        method="GET",
        endpoint=job.path,
        data=query,
        headers=job.headers,
        pagination_function=next_page,
        response_filter=rows,
        retry_args=retry if job.patient else None,
    )
    text = operator.execute({})
    hook = S3Hook(aws_conn_id="aws_default")
    hook.load_string(text, f"{job.prefix}/contacts.jsonl.gz", job.bucket, replace=True, compression="gzip")


if __name__ == "__main__":
    compete(land)
