"""What tasks that share an account lose, with and without a ledger: ``python benchmarks/sharing.py``, some six minutes.

One task has an account for itself; four, and sixteen, share one, each in a process of its own; all read as many pages.
Each way has a vendor of its own, strict and at its documented 60 requests a minute, and all run at the same time: they
wait most of it. What is printed is the time of the last of them as a ratio to that of the one, and the refusals.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servers import ROOT, start_s3, start_vendor

if TYPE_CHECKING:
    from s3_servers import S3Server

BUCKET = "bench"
PAGES = 400
PAGE = 50
PER_MINUTE = 60
WAYS = {
    "one task": (1, False),
    "four, without a ledger": (4, False),
    "four, with one": (4, True),
    "sixteen, without a ledger": (16, False),
    "sixteen, with one": (16, True),
}


def walk(stack: ExitStack, folder: Path, s3: S3Server, name: str) -> dict[str, Any]:
    """Let tasks read their lists to the end; return seconds and refusals of all together."""
    tasks, ledger = WAYS[name]
    vendor = start_vendor(stack, folder, requests_per_minute=PER_MINUTE, latency=0.05)
    connection = {"port": None, **vendor.connection}
    connection["extra"] |= {"requests_per_minute": PER_MINUTE}
    job = {
        "connection": connection,
        "window": 0,
        "lists": [vendor.add_list(PAGES // tasks * PAGE) for _ in range(tasks)],
        "ledger": ledger,
        "bucket": BUCKET,
        "key": f"{tasks}.json",
        "terms": {},
        "s3": {
            "endpoint_url": s3.url,
            "aws_access_key_id": s3.access_key,
            "aws_secret_access_key": s3.secret_key,
            "region_name": "eu-central-1",
        },
    }
    command = [sys.executable, str(ROOT / "kit" / "shared_tasks.py"), json.dumps(job)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    ended = [told for told in map(json.loads, done.stdout.splitlines()) if "ended" in told]
    if sum(told["pages"] for told in ended) != PAGES:
        raise SystemExit(f"{name}: not all pages were read")
    return {"seconds": max(told["ended"] for told in ended), "refused": sum(told["refused"] for told in ended)}


def main() -> None:
    """Print the numbers of ``docs/allowance.md``."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        s3 = start_s3(stack, folder, BUCKET)
        with ThreadPoolExecutor() as pool:
            found = dict(zip(WAYS, pool.map(lambda name: walk(stack, folder, s3, name), WAYS), strict=True))
    alone = found["one task"]["seconds"]
    sys.stdout.write(f"{PAGES} pages at {PER_MINUTE} requests a minute; one task takes {alone:.0f} s\n\n")
    sys.stdout.write("| | time | refusals |\n|---|---:|---:|\n")
    for name, each in found.items():
        sys.stdout.write(f"| {name} | {each['seconds'] / alone:.3f} | {each['refused']} |\n")


if __name__ == "__main__":
    main()
