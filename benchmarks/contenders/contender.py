"""What every contender has in common: it lands a short list to warm up, says so, waits, and lands the measured one.

A contender is a program of its own: ``python contenders/requests_loop.py JOB``, with a :class:`Job` as JSON. Warming up
takes every import and every first connection out of the measurement; what these cost is told apart (``start_…``).
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN_SECONDS = 3600
GZIP_LEVEL = 6
"""Ours compresses at this level; Python's own default, 9, would cost the others more."""


@dataclass(frozen=True)
class Job:
    """One list to land, and how everything is reached."""

    url: str
    """The vendor's scheme, host and port."""
    client_id: str
    secret: str
    stream_id: str
    account_id: str
    list_id: str
    page: int
    """Contacts in a page."""
    s3: str
    bucket: str
    prefix: str
    """In the bucket; everything that lands lies below it."""
    patient: bool
    """Configured for the vendor's limit, rather than as it comes out of the box."""
    requests_per_minute: int

    @property
    def path(self) -> str:
        """Where the list's contacts are, below the vendor's URL."""
        return f"/campaign/api/v2/public/{self.stream_id}/campaign/contactList/{self.list_id}/getAllContacts"

    @property
    def headers(self) -> dict[str, str]:
        """Everything the vendor wants, with a token that outlives the walk."""
        import jwt

        now = int(time.time())
        claims = {"sub": "bench", "appId": self.client_id, "iat": now, "exp": now + TOKEN_SECONDS}
        return {
            "auth": jwt.encode(claims, self.secret, "HS256"),
            "iid": self.stream_id,
            "accountId": self.account_id,
            "Content-Type": "application/json",
        }


def compete(land: Callable[[Job], None]) -> None:
    """Run a contender: warm up, then for each line of the standard input land a list and print what it took.

    A line is a JSON object of what is different from the job: another list, another prefix.
    """
    job = Job(**json.loads(sys.argv[1]))
    land(replace(job, list_id=f"{job.list_id}-short", prefix=f"{job.prefix}-short", requests_per_minute=0))
    _say({"start_cpu": time.process_time(), "base_mb": _status("VmRSS")})
    for line in sys.stdin:
        with suppress(OSError):  # not every container lets it
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        _say(_measure(land, replace(job, **json.loads(line))))
    os._exit(0)  # threads that libraries leave running do not count


def _measure(land: Callable[[Job], None], job: Job) -> dict[str, Any]:
    failed = ""
    wall, cpu = time.perf_counter(), _cpu()
    try:
        land(job)
    except Exception as err:  # noqa: BLE001  # a contender that fails is a result
        failed = " ".join(f"{type(err).__name__}: {err}".split())[:300]
    taken = {"wall": time.perf_counter() - wall, "cpu": _cpu() - cpu, "peak_mb": _status("VmHWM")}
    return taken | {"failed": failed}


def upload(job: Job, path: Path) -> None:
    """Put a file below the prefix, as boto3 does it."""
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=job.s3,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",  # noqa: S106  # opens nothing
        config=Config(s3={"addressing_style": "path"}),
    )
    client.upload_file(str(path), job.bucket, f"{job.prefix}/contacts.jsonl.gz")


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write("\n" + json.dumps(line) + "\n")
    sys.stdout.flush()
