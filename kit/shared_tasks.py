"""Tasks that walk lists of one account at once, each a process of its own: ``python kit/shared_tasks.py '{…}'``.

Says a line of JSON for each page that a task has read, and one when it has ended. All end with the process that has
started this one.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]


def run(number: int, job: dict[str, Any], output: int) -> None:
    """Walk one list to its end."""
    from airflow_provider_kore.api import allowance
    from airflow_provider_kore.api.calls import contacts_of
    from airflow_provider_kore.api.client import CampaignClient, allowance_of
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.api.ledger import LARGEST, Terms
    from airflow_provider_kore.clock import SystemClock
    from airflow_provider_kore.store.s3 import S3Store
    from airflow_provider_kore.store.shared import SharedObject

    def say(**more: Any) -> None:
        os.write(output, json.dumps({"task": number, "pid": os.getpid(), **more}).encode() + b"\n")

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if job["window"]:
        allowance._MINUTE = job["window"]  # type: ignore[misc]  # noqa: SLF001 - a shorter minute
    connection = job["connection"]
    config = ApiConfig.parse(**{name: connection[name] for name in ("host", "login", "password", "port", "extra")})
    clock = SystemClock()
    ledger = None
    if job["ledger"]:
        import boto3
        from botocore.config import Config

        def connect() -> S3Store:
            return S3Store(
                boto3.client("s3", **job["s3"], config=Config(connect_timeout=3, read_timeout=5)), job["bucket"]
            )

        ledger = SharedObject(connect, job["key"], f"s3://{job['bucket']}/{job['key']}", clock, LARGEST)
    shared = allowance_of(config, clock, ledger, **({"terms": Terms(**job["terms"])} if ledger else {}))
    started = time.monotonic()
    pages = 0
    with CampaignClient(config, clock=clock, allowance=shared, in_flight=4) as client:
        for _ in client.iter_pages(contacts_of(job["lists"][number])):
            pages += 1
            say(pages=pages)
    spent = client.spent
    say(pages=pages, ended=time.monotonic() - started, refused=spent.rate_limited, requests=spent.requests)


def end_with_parent() -> None:
    """Be killed when the process that started this one ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main(job: dict[str, Any]) -> None:
    """Start all tasks at once and wait for them."""
    end_with_parent()
    import boto3  # noqa: F401 - before the fork, so that it is loaded once

    from airflow_provider_kore.api import client, sharing  # noqa: F401
    from airflow_provider_kore.store import s3  # noqa: F401

    children = []
    for number in range(len(job["lists"])):
        pid = os.fork()
        if not pid:
            end_with_parent()
            status = 1
            try:
                run(number, job, 1)
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
