"""What the second day of a list costs, beside those who read all of it: ``python benchmarks/incremental.py``.

Each contender lands the same list of 100,000 contacts on the day after, once unchanged and once with 500 new contacts:
ours with and without ``incremental=True``, and the others of ``compare.py``, in processes of their own. Requests are
what the vendor counted; the time at 60 requests a minute is the formula of ``sizing.py``, which real runs have
confirmed. Written into ``docs/incremental.md`` by hand.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import sizing
from compare import BUCKET, DLT, HTTP, LOOP, OTHER, PAGE, PER_MINUTE, World
from report import table
from servers import environment, start, start_s3

if TYPE_CHECKING:
    from vendor import Vendor

CONTACTS, NEW = 100_000, 500


class Ours:
    """The operator, day after day, each in a process of its own."""

    def __init__(self, world: World, vendor: Vendor, list_id: str) -> None:
        self._world = world
        self._vendor = vendor
        self._list_id = list_id
        self._day = 0

    def land(self, *, incremental: bool) -> int:
        """Land the next day; return how many requests that took."""
        self._day += 1
        self._vendor.forget()
        job = {"list": self._list_id, "day": self._day, "incremental": incremental}
        process = start(
            [sys.executable, __file__, "--child", json.dumps(job)],
            self._world.folder,
            env=environment(self._world.folder, self._vendor, self._world.s3),
        )
        output, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"ours failed: {output}")
        return int(self._vendor.report()["requests"])


def child(job: dict[str, Any]) -> None:
    """Land one day."""
    from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

    operator = ContactListToS3Operator(
        task_id="land",
        contact_list_id=job["list"],
        s3_bucket=BUCKET,
        s3_prefix="ours",
        snapshot_date=f"2026-11-{job['day']:02d}",
        incremental=job["incremental"],
    )
    ti = SimpleNamespace(dag_id="bench", run_id=f"day-{job['day']}", task_id="land", map_index=-1, try_number=1)
    context: Any = {"ti": ti, "dag_run": SimpleNamespace(run_after=datetime.now(UTC))}
    operator.execute(context)


def measure(world: World, contacts: int) -> list[list[str]]:
    """Return the rows of the table."""
    vendor, list_id = world.vendor(PAGE), f"cl-{contacts}"
    others = [LOOP, HTTP, *([DLT] if OTHER.exists() else [])]
    vendor.add_list(contacts, list_id)
    world.lists.add((vendor.url, list_id))
    ours = Ours(world, vendor, list_id)
    ours.land(incremental=False)
    rows = []
    for what, new in (("unchanged", 0), (f"{NEW} new", NEW)):
        if new:
            vendor.change(list_id, "append", n=new)
        counts = {"ours, incremental": ours.land(incremental=True), "ours": ours.land(incremental=False)}
        for contender in others:
            run = world.ready(contender, vendor, contacts, PAGE, 0)
            run.contacts = contacts + new
            run.go()
            counts[contender.name] = run.result(world.s3).requests
        least = counts["ours, incremental"]
        rows += [
            [what, name, f"{count:,}", f"{count / least:,.0f}", f"{sizing.seconds(count, PER_MINUTE) / 60:.0f} min"]
            for name, count in counts.items()
        ]
    return rows


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=CONTACTS)
    parser.add_argument("--child")
    given = parser.parse_args()
    if given.child:
        child(json.loads(given.child))
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kore-incremental-")))
        world = World(stack, folder, start_s3(stack, folder, BUCKET))
        rows = measure(world, given.contacts)
    head = [f"{given.contacts:,} contacts", "", "requests", "ours, incremental = 1", "at 60 a minute"]
    sys.stdout.write(table(head, rows, left=2) + "\n")


if __name__ == "__main__":
    main()
