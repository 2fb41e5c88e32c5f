"""How long a list takes: a formula, and what it is checked against.

    requests = pages + 2, + 1 from 100 pages on, + 1 for every 500 pages
    wait     = floor((requests - 1) / per_minute) minutes
    hourly   = floor((requests - 1) / per_hour) hours + floor(((requests - 1) % per_hour) / per_minute) minutes
    time     = wait + requests of the last minute * seconds per answer, or all requests * seconds per answer if longer

The allowance of a minute goes out at once, then the walk waits until the minute is over: hence the floors. Each is
longer by the limiter's margin and by an answer: a place in a window is free again so long after its answer.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.api.allowance import MARGIN
from airflow_provider_kore.walk.walk import LONG, LOOK_EVERY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3_servers import S3Server
    from vendor import Vendor

MINUTE, HOUR = 60.0 + MARGIN, 3600.0 + MARGIN
"""Seconds."""


def requests(contacts: int, page: int) -> int:
    """Return how many requests a quiet list takes."""
    pages = max(1, -(-contacts // page))
    return pages + 2 + (contacts >= LONG * page) + pages // LOOK_EVERY


def seconds(count: int, per_minute: int, per_hour: int = 0, answer: float = 0.0) -> float:
    """Return how long so many requests take; a limit of 0 is none.

    :param answer: seconds from one request to the next while nothing holds them back.
    """
    before, waited = count - 1, 0.0
    if per_hour:
        waited += before // per_hour * (HOUR + answer)
        before %= per_hour
    if per_minute:
        waited += before // per_minute * (MINUTE + answer)
        before %= per_minute
    return max(waited + before * answer, count * answer)


class SkippingClock:
    """The machine's clock, on which a sleep is over at once and is counted all the same; threads may share it."""

    def __init__(self) -> None:
        self._skipped = 0.0
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        """Return the machine's, and everything that was slept."""
        return time.monotonic() + self._skipped

    def time(self) -> float:
        """Return the machine's time of day, which the vendor's tokens are checked against."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Be so much later. Two threads that sleep at the same time are so much later together."""
        until = self.monotonic() + seconds
        with self._lock:
            self._skipped += max(0.0, until - self.monotonic())


def skip_through(vendor: Vendor, s3: S3Server, bucket: str, contacts: int, page: int, **limits: int) -> dict[str, Any]:
    """Take a snapshot under limits on a clock that skips the waiting; the vendor itself limits nothing."""
    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.api.sources.contacts import ContactListSource
    from airflow_provider_kore.snapshot.run import take_snapshot
    from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec
    from airflow_provider_kore.store.s3 import S3Store

    list_id = f"cl-{contacts}"
    vendor.add_list(contacts, list_id)
    vendor.forget()
    connection = vendor.connection
    known = {"stream_id", "account_id"}
    extra = {name: value for name, value in connection["extra"].items() if name in known}
    config = ApiConfig.parse(
        host=vendor.url,
        login=connection["login"],
        password=connection["password"],
        extra=extra | {"page_size": page, **limits},
    )
    name = f"sizing-{contacts}-{'-'.join(map(str, limits.values()))}"
    spec = SnapshotSpec.parse(
        source=ContactListSource(contact_list_id=list_id),
        s3_prefix=f"{name}/contacts",
        snapshot_date="2026-11-23",
        run=RunKey(dag_id="bench", run_id=name, task_id="land"),
    )
    clock = SkippingClock()
    began, really = clock.monotonic(), time.monotonic()
    with CampaignClient(config, clock=clock) as campaign:
        manifest = take_snapshot(spec, campaign, S3Store(s3.client(retries=2), bucket), clock)
    if manifest.rows != contacts:
        raise SystemExit(f"{manifest.rows:,} of {contacts:,} contacts landed")
    wall, real = clock.monotonic() - began, time.monotonic() - really
    count = int(vendor.report()["requests"])
    return row(contacts, page, limits, count=count, wall=wall, really=real)


def row(
    contacts: int, page: int, limits: Mapping[str, int], *, count: int, wall: float, really: float | None = None
) -> dict[str, Any]:
    """Return one line of the table: what was measured beside what the formula says.

    :param really: seconds that passed on the machine's clock, where the waiting was skipped.
    """
    per_minute, per_hour = limits.get("requests_per_minute", 0), limits.get("requests_per_hour", 0)
    expected = requests(contacts, page)
    answer = really / count if really else 0.0
    return {
        "contacts": contacts,
        "page": page,
        "per_minute": per_minute,
        "per_hour": per_hour,
        "skipped": really is not None,
        "requests": count,
        "wall": wall,
        "expected_requests": expected,
        "expected_wall": seconds(expected, per_minute, per_hour, answer),
    }
