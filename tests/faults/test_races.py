"""Two processes that want the same partition: one whole snapshot, and a clear winner or a clear error."""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest
from reader import Reader
from world import digest

if TYPE_CHECKING:
    from world import Task, World

pytestmark = pytest.mark.slow

CLEAR = {
    "SupersededError",
    "AirflowSkipException",  # as which an operator raises it: a newer snapshot stands, and needs no person
    "ContentionError",
    "SnapshotExistsError",
    "StoreUnavailableError",
    "StoppedError",
    "CheckpointLostError",
}


@pytest.fixture
def either_world(request: pytest.FixtureRequest, seed: int) -> World:
    """Each seed has a server of its own."""
    world: World = request.getfixturevalue("ministack_world" if seed else "moto_world")
    world.vendor.calm()
    return world


def race(world: World, seed: int, first: Task, second: Task) -> list[str]:
    """Run both at the same time under the eyes of a reader; return the errors of those who lost."""
    random = Random(f"race {seed}")  # noqa: S311 - must be repeatable, not secret
    world.vendor.configure(latency=0.002)
    expected = digest(world.vendor.ids(first.list_id))
    by_manifest = "rows_per_file" in first.parameters
    with Reader(world, first, by_manifest=by_manifest) as reader:
        attempts = [first.start()]
        time.sleep(random.choice([0.0, 0.0, random.uniform(0.0, 0.3)]))
        attempts.append(second.start())
        outcomes = [attempt.wait() for attempt in attempts]
        logs = "\n---\n".join(attempt.log() for attempt in attempts)
        assert any(outcome.kind == "success" for outcome in outcomes), f"seed {seed}: nobody won: {outcomes}\n{logs}"
        errors = [outcome.error for outcome in outcomes if outcome.kind == "error"]
        assert set(errors) <= CLEAR, f"seed {seed}: {outcomes}\n{logs}"
        assert all(seen.digest == expected for seen in reader.news())
    assert digest(first.landed()) == expected
    winner = first.manifest()
    assert winner is not None
    ids = {outcome.summary["snapshot_id"] for outcome in outcomes if outcome.kind == "success"}
    assert winner["snapshot_id"] in ids, f"seed {seed}: the manifest is of somebody who failed\n{logs}"
    return errors


@pytest.mark.parametrize("seed", range(2))
def test_two_runs_race_for_one_partition(either_world: World, seed: int) -> None:
    parameters = {"rows_per_file": 400} if seed == 1 else {}
    first = either_world.task(1000, **parameters)
    second = replace(first, run_id="run-1")
    race(either_world, seed, first, second)
    # whoever lost is retried, and ends at once or with what it found
    outcome = second.run()
    assert outcome.kind == "success" or outcome.error in CLEAR, outcome
    third = replace(first, run_id="run-2", tries=0)
    third.land(tries=1)
    assert digest(third.landed()) == digest(either_world.vendor.ids(first.list_id))


@pytest.mark.parametrize("seed", range(2))
def test_two_runs_race_and_nothing_may_be_replaced(either_world: World, seed: int) -> None:
    first = either_world.task(1000, replace=False)
    second = replace(first, run_id="run-1")
    errors = race(either_world, seed, first, second)
    assert len(errors) == 1, "both say that they published what nobody may replace"
    for task in (first, second):
        again = task.run()
        assert again.kind == "success" or again.error == "SnapshotExistsError"


@pytest.mark.parametrize("seed", range(2))
def test_two_tasks_of_one_run_race(either_world: World, seed: int) -> None:
    first = either_world.task(1000)
    second = replace(first, task_id="land_too")
    race(either_world, seed, first, second)


@pytest.mark.parametrize("seed", range(2))
def test_the_same_task_twice_at_the_same_time(either_world: World, seed: int) -> None:
    """As after a lost supervisor that nobody noticed, for want of a changed parent."""
    first = either_world.task(1000)
    race(either_world, seed, first, replace(first))
    third = replace(first, run_id="run-2", tries=0)
    third.land(tries=1)
    assert digest(third.landed()) == digest(either_world.vendor.ids(first.list_id))
