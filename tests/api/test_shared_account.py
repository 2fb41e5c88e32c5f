"""Real processes on one account, a strict server, and a ledger in a real S3 server: nobody is ever refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from vendor import ROOT, running_vendor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_servers import S3Server
    from vendor import Vendor

GUARD = 110.0
"""Seconds after which a test gives up; nothing is measured by it."""
WINDOW = 6.0
PAGE = 50
KEY = "kore/ledger.json"
TERMS = {
    "beat": 1.0,
    "hungry": 0.5,
    "lease": 20.0,
    "renewed": 5.0,
    "grace": 1.0,
    "settle": 2.0,
    "resettle": 6.0,
    "horizon": 12.0,
}


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    """A server that lets 96 requests pass in any six seconds."""
    with running_vendor(minute_seconds=WINDOW, requests_per_minute=96) as running:
        yield running


class Tasks:
    """Tasks under way."""

    def __init__(self, vendor: Vendor, s3: S3Server, bucket: str, *, tasks: int, pages: int) -> None:
        connection = {"port": None, **vendor.connection}
        connection["extra"] |= {"requests_per_minute": 96}
        job = {
            "connection": connection,
            "window": WINDOW,
            "lists": [vendor.add_list(pages * PAGE) for _ in range(tasks)],
            "ledger": True,
            "bucket": bucket,
            "key": KEY,
            "terms": TERMS,
            "s3": {
                "endpoint_url": s3.url,
                "aws_access_key_id": s3.access_key,
                "aws_secret_access_key": s3.secret_key,
                "region_name": "eu-central-1",
            },
        }
        self.pages: Counter[int] = Counter()
        self.pids: dict[int, int] = {}
        self.ended: dict[int, dict[str, Any]] = {}
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "kit" / "shared_tasks.py"), json.dumps(job)], stdout=subprocess.PIPE, text=True
        )
        self._guard = threading.Timer(GUARD, self.process.kill)
        self._guard.start()

    def until(self, pages: int) -> None:
        """Wait until so many pages were read, by all together, or the end."""
        assert self.process.stdout is not None
        while sum(self.pages.values()) < pages and (line := self.process.stdout.readline()):
            told = json.loads(line)
            self.pages[told["task"]] = told["pages"]
            self.pids[told["task"]] = told["pid"]
            if "ended" in told:
                self.ended[told["task"]] = told

    def kill(self, task: int) -> None:
        os.kill(self.pids[task], signal.SIGKILL)

    def close(self) -> None:
        self._guard.cancel()
        for pid in self.pids.values():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(("tasks", "pages"), [(4, 50), (16, 13)])
def test_tasks_that_share_a_ledger_are_never_refused_whatever_befalls_one_or_the_ledger(
    vendor: Vendor, moto_server: S3Server, moto_bucket: str, tasks: int, pages: int
) -> None:
    s3 = moto_server.client()
    running = Tasks(vendor, moto_server, moto_bucket, tasks=tasks, pages=pages)
    try:
        running.until(30)
        victim = max(running.pages)
        running.kill(victim)
        running.until(70)
        s3.delete_object(Bucket=moto_bucket, Key=KEY)
        running.until(120)
        s3.put_object(Bucket=moto_bucket, Key=KEY, Body=b"{")
        running.until(10**6)
    finally:
        running.close()
    survivors = set(range(tasks)) - {victim}
    assert set(running.ended) >= survivors
    assert {running.pages[task] for task in survivors} == {pages}
    assert {told["refused"] for told in running.ended.values()} == {0}
    refused = [each for each in vendor.call("GET", "requests") if each["status"] == 429]
    assert refused == []
