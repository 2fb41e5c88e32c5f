"""One task for many lists, in processes that are killed and that race: real HTTP, a real S3 server, real signals."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from attempt import Job
from world import DATE, Task

if TYPE_CHECKING:
    from attempt import Attempt
    from world import World

pytestmark = pytest.mark.slow

LISTS = 8
CONTACTS = 120
PAGES = 3


@dataclass
class Lists:
    """A task for lists of its own."""

    world: World
    names: list[str]
    prefix: str
    run_id: str = "run-0"
    tries: int = field(default=0)

    @classmethod
    def of(cls, world: World) -> Lists:
        names = [world.vendor.add_list(CONTACTS) for _ in range(LISTS)]
        return cls(world, names, f"lists-{names[0]}-{next(world.logs)}")

    def start(self, **parameters: Any) -> Attempt:
        """Begin the next try."""
        self.tries += 1
        job = Job(
            parameters={
                "contact_list_ids": self.names,
                "s3_bucket": self.world.bucket,
                "s3_prefix": self.prefix,
                "snapshot_date": DATE,
                **parameters,
            },
            environment=self.world.environment(),
            log=self.world.folder / f"try-{next(self.world.logs)}.log",
            run_id=self.run_id,
            try_number=self.tries,
            operator="contact_lists_to_s3.ContactListsToS3Operator",
        )
        return self.world.start(job)

    def one(self, name: str) -> Task:
        return Task(self.world, name, self.prefix, {})

    def hold(self) -> None:
        """Check that every list stands as it is, and that nothing else is left."""
        for name in self.names:
            assert self.one(name).landed() == self.world.vendor.ids(name)
        assert self.one("").staged() == []


@pytest.mark.parametrize("pages", [13, LISTS * PAGES])
def test_a_task_that_is_killed_is_continued_and_reads_little_again(world: World, pages: int) -> None:
    lists = Lists.of(world)
    world.vendor.configure(latency=0.03)
    world.vendor.forget()
    attempt = lists.start()
    deadline = time.monotonic() + 60
    while world.vendor.pages() < pages and time.monotonic() < deadline:
        time.sleep(0.005)
    attempt.kill()
    assert attempt.wait().kind in {"killed", "success"}
    world.vendor.calm()
    outcome = lists.start().wait()
    assert (outcome.kind, outcome.summary.get("contact_lists")) == ("success", LISTS), outcome
    # The list in which it died may be read again, and pages that had been asked for ahead.
    assert world.vendor.pages() <= LISTS * PAGES + 2 * PAGES
    lists.hold()


def test_two_runs_that_race_leave_whole_snapshots_and_clear_errors(world: World) -> None:
    first = Lists.of(world)
    second = Lists(world, first.names, first.prefix, run_id="run-1")
    world.vendor.configure(latency=0.005)
    attempts = [first.start(), second.start()]
    outcomes = [attempt.wait() for attempt in attempts]
    assert "success" in {outcome.kind for outcome in outcomes}, outcomes
    assert {outcome.error for outcome in outcomes} <= {"", "SupersededError", "AirflowSkipException"}, outcomes
    first.hold()


def test_two_tries_of_one_run_that_race_leave_whole_snapshots(world: World) -> None:
    lists = Lists.of(world)
    world.vendor.configure(latency=0.005)
    attempts = [lists.start(), lists.start()]
    for attempt in attempts:
        attempt.wait()
    assert lists.start().wait().kind == "success"
    lists.hold()


def test_a_task_that_is_told_to_stop_ends_in_time_and_keeps_what_it_read(world: World) -> None:
    lists = Lists.of(world)
    world.vendor.configure(latency=0.05)
    world.vendor.forget()
    attempt = lists.start()
    deadline = time.monotonic() + 60
    while world.vendor.pages() < 14 and time.monotonic() < deadline:
        time.sleep(0.005)
    attempt.kill_task(15)
    outcome = attempt.wait(within=30)
    assert (outcome.kind, outcome.error) == ("error", "StoppedError"), outcome
    world.vendor.calm()
    assert lists.start().wait().kind == "success"
    assert world.vendor.pages() <= LISTS * PAGES + 2 * PAGES
    lists.hold()
