"""How many requests a list takes where the server gives larger pages than the vendor's samples show.

``python benchmarks/pages.py`` measures that alone, and rewrites its rows of ``results.json`` and of the page.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import report
from sizing import SkippingClock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from compare import Contender, World
    from vendor import Vendor

SERVED = (50, 100, 500, 1_000)
"""Contacts in the largest page of a server."""
HANDLING = {"clamps": "clamp", "refuses": "reject_412"}
"""What it does with more than that, and what the simulator calls it."""
DAYS = ("2026-11-23", "2026-11-24")


def measure(
    world: World, others: Iterable[Contender], contacts: int, page: int, per_minute: int
) -> list[dict[str, Any]]:
    """Return the requests for one list: ours on two days, told no size; others with pages as in the samples."""
    found = []
    for served in SERVED:
        vendor = world.vendor(served)
        vendor.configure(default_limit=page)
        beside = {}
        for other in others:
            run = world.ready(other, vendor, contacts, page, 0)
            run.go()
            beside[other.name] = run.result(world.s3).requests
        for words, handling in HANDLING.items():
            vendor.configure(limit_handling=handling)
            row: dict[str, Any] = {"served": served, "handling": words, "contacts": contacts, "others": beside}
            row["ours"] = [_land(world, vendor, f"pages-{served}-{words}", day, (contacts, per_minute)) for day in DAYS]
            found.append(row)
    return found


def _land(world: World, vendor: Vendor, name: str, day: str, size: tuple[int, int]) -> dict[str, float]:
    """Take a snapshot on a clock that skips the waiting; return its requests, and the seconds that it took.

    :param size: contacts in the list, and requests a minute.
    """
    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.api.sources.contacts import ContactListSource
    from airflow_provider_kore.snapshot.run import take_snapshot
    from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec
    from airflow_provider_kore.store.s3 import S3Store

    contacts, per_minute = size
    connection, list_id = vendor.connection, f"cl-{contacts}"
    if (vendor.url, list_id) not in world.lists:
        world.lists.add((vendor.url, list_id))
        vendor.add_list(contacts, list_id)
    extra = {key: connection["extra"][key] for key in ("stream_id", "account_id")}
    config = ApiConfig.parse(
        host=vendor.url,
        login=connection["login"],
        password=connection["password"],
        extra=extra | {"requests_per_minute": per_minute},
    )
    spec = SnapshotSpec.parse(
        source=ContactListSource(contact_list_id=list_id),
        s3_prefix=f"{name}/contacts",
        snapshot_date=day,
        run=RunKey(dag_id="bench", run_id=f"{name}-{day}", task_id="land"),
    )
    clock = SkippingClock()
    vendor.configure(requests_per_minute=0)
    vendor.forget()
    began = clock.monotonic()
    with CampaignClient(config, clock=clock) as client:
        manifest = take_snapshot(spec, client, S3Store(world.s3.client(retries=2), "bench"), clock)
    if manifest.rows != contacts:
        raise SystemExit(f"{manifest.rows:,} of {contacts:,} contacts landed")
    return {"requests": int(vendor.report()["requests"]), "wall": clock.monotonic() - began}


def main() -> int:
    """Measure these rows alone, and print them into the page."""
    import compare
    from servers import start_s3

    found = json.loads(report.RESULTS.read_text(encoding="utf-8"))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kore-bench-")))
        world = compare.World(stack, folder, start_s3(stack, folder, compare.BUCKET))
        found["pages"] = measure(world, compare.FULL.beside, compare.FULL.pages, compare.PAGE, compare.PER_MINUTE)
    report.RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return report.main()


if __name__ == "__main__":
    sys.exit(main())
