"""What the second day costs, beside those who read everything again: ``python benchmarks/incremental.py``.

Each contender lands the same list of 100,000 contacts on the day after, once unchanged and once with 500 new contacts:
ours with and without ``incremental=True``, and the others of ``compare.py``, in processes of their own. Then 200 lists
of 500 contacts, of which none or five have changed. Requests are what the vendor counted; the time at 60 requests a
minute is the formula of ``sizing.py``, which real runs have confirmed. Written into ``docs/incremental.md`` by hand.
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
from compare import BUCKET, DLT, HTTP, LOOP, OTHER, PAGE, PER_MINUTE, SHORT, World
from report import table
from servers import environment, start, start_s3

if TYPE_CHECKING:
    from vendor import Vendor

CONTACTS, NEW = 100_000, 500
LISTS, EACH, CHANGED = 200, 500, 5


class Ours:
    """The operator, day after day, each in a process of its own."""

    def __init__(self, world: World, vendor: Vendor, list_id: str | None) -> None:
        """Land nothing yet.

        :param list_id: None: all lists, in one task.
        """
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
    from airflow_provider_kore.transfers.contact_lists_to_s3 import ContactListsToS3Operator

    given = {
        "task_id": "land",
        "s3_bucket": BUCKET,
        "s3_prefix": f"ours-{job['list']}",
        "snapshot_date": f"2026-11-{job['day']:02d}",
        "incremental": job["incremental"],
    }
    operator: Any = (
        ContactListsToS3Operator(**given)
        if job["list"] is None
        else ContactListToS3Operator(contact_list_id=job["list"], **given)
    )
    ti = SimpleNamespace(dag_id="bench", run_id=f"day-{job['day']}", task_id="land", map_index=-1, try_number=1)
    context: Any = {"ti": ti, "dag_run": SimpleNamespace(run_after=datetime.now(UTC))}
    operator.execute(context)


def measure_lists(world: World) -> list[list[str]]:
    """Return the rows of the table of many lists."""
    vendor = world.vendor(PAGE)
    names = [f"cl-{number:03d}" for number in range(LISTS)]
    for name in names:
        vendor.add_list(EACH, name)
    ours = Ours(world, vendor, None)
    ours.land(incremental=False)
    loop = world.ready(LOOP, vendor, SHORT, PAGE, 0)
    rows = []
    for what, changed in (("none changed", 0), (f"{CHANGED} changed", CHANGED)):
        for name in names[:changed]:
            vendor.change(name, "append", n=PAGE)
        counts = {"ours, incremental": ours.land(incremental=True), "ours": ours.land(incremental=False), LOOP.name: 0}
        for name in names:
            loop.go(list_id=name, prefix=f"loop/{what}/{name}")
            loop.read()
            counts[LOOP.name] += int(vendor.report()["requests"])
        rows += rows_of(f"{LISTS} lists, {what}", counts)
    return rows


def rows_of(what: str, counts: dict[str, int]) -> list[list[str]]:
    """Return a row for each contender."""
    least = counts["ours, incremental"]
    return [
        [what, name, f"{count:,}", f"{count / least:,.0f}", f"{sizing.seconds(count, PER_MINUTE) / 60:.0f} min"]
        for name, count in counts.items()
    ]


def measure(world: World, contacts: int) -> list[list[str]]:
    """Return the rows of the table of one list."""
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
        rows += rows_of(f"{contacts:,} contacts, {what}", counts)
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
        rows = [*measure(world, given.contacts), *measure_lists(world)]
    head = ["the day after", "", "requests", "ours, incremental = 1", "at 60 a minute"]
    sys.stdout.write(table(head, rows, left=2) + "\n")


if __name__ == "__main__":
    main()
