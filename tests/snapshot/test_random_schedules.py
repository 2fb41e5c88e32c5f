"""Random misfortune, reproducible from its seed: lists, changes, quirks, formats, deaths, errors and second writers.

``KORE_SEEDS`` says which: ``17`` that one, ``100-200`` a range. A failure prints its seed; run that one again with
``KORE_SEEDS=17 pytest tests/snapshot/test_random_schedules.py -m ""``.
"""

from __future__ import annotations

import os
import random
from contextlib import suppress
from typing import Any
from unittest import mock

import pytest
from model_vendor import Quirks, append, edit, exchange, insert, remove
from model_world import OTHER_RUN, Died, Plan, Process, World

from airflow_provider_kore.exceptions import (
    FatalError,
    KoreError,
    PaginationError,
    RetryableError,
    StoreUnavailableError,
    SupersededError,
    UnreachableError,
)

pytestmark = pytest.mark.exhaustive

SEEDS = 120
SOAK = 100_000
PORTIONS = 8


def seeds(default: int) -> list[range]:
    """Return the seeds to try, in portions that are one test each."""
    given = os.environ.get("KORE_SEEDS", "")
    first, _, last = given.partition("-")
    span = range(int(first), int(last or first) + 1) if given else range(default)
    return [span[at : at + default // PORTIONS] for at in range(0, len(span), default // PORTIONS)]


def quirks_of(chance: random.Random) -> Quirks:
    if chance.random() < 0.4:
        return Quirks(default_limit=chance.randint(1, 6))
    total = chance.choice(["list", "list", "list", "page", "missing", "first_page", "later", "string"])
    wrong = ["always_true", "always_false"] if total in {"list", "string"} else []  # else nothing tells the end
    return Quirks(
        total=total,
        has_more=chance.choice(["right", "right", "missing", *wrong]),
        echo=chance.random() < 0.8,
        most=chance.choice([2, 3, 1000]),
        limit=chance.choice(["honour", "honour", "refuse"]),
        default_limit=chance.randint(1, 6),
        created_at=chance.random() < 0.9,
        newest_first=chance.random() < 0.1,
        nested=chance.random() < 0.5,
    )


def event_of(chance: random.Random) -> Any:
    index = chance.randint(0, 30)
    return chance.choice(
        [append(chance.randint(1, 6)), append(1), remove(index), edit(index), exchange(index), insert(index)]
    )


def world_of(chance: random.Random) -> World:
    events: dict[int, list[Any]] = {}
    for _ in range(chance.choice([0, 0, 1, 1, 2, 3, 5])):
        events.setdefault(chance.randint(1, 30), []).append(event_of(chance))
    parameters: dict[str, Any] = {
        "file_format": chance.choice(["jsonl", "jsonl", "csv", "parquet"]),
        "durable": chance.random() < 0.8,
        "on_drift": chance.choice(["retry", "retry", "fail", "accept"]),
        "rows_per_file": chance.choice([None, None, 1, 4, 100]),
        "page_size": chance.choice([None, 1, 2, 4, 7]),
        "max_shrink": 1,
        "generation": chance.choice([None, 1]),
    }
    return World(
        contacts=chance.choice([0, 1, 2, 5, 11, 20, 33]),
        quirks=quirks_of(chance),
        events=events,
        parameters=parameters,
        request_seconds=chance.choice([0.1, 0.5, 3.0]),
        honours_conditions=chance.choice([True, True, None]),
    )


def misfortune(chance: random.Random) -> Plan | None:
    error: BaseException = chance.choice(
        [Died(), Died(), Died(), UnreachableError("no answer"), StoreUnavailableError("no answer")]
    )
    return Plan(int(chance.expovariate(1 / 15)) + 1, chance.choice(["before", "after"]), error)


def try_once(world: World, chance: random.Random) -> None:
    """Run one try that may die, that may be told to stop, or in the middle of which another one runs."""
    at = int(chance.expovariate(1 / 15)) + 1
    kind = chance.random()

    def meanwhile(process: Process, number: int) -> None:
        if number != at:
            return
        if kind < 0.2:
            process.stop.requested = True
        elif kind < 0.5:
            other = world.process(plan=misfortune(chance) if chance.random() < 0.5 else None, **changes)
            outlast(other)

    changes = {"run": OTHER_RUN} if chance.random() < 0.3 else {}
    outlast(world.process(plan=misfortune(chance), on_effect=meanwhile))


def outlast(process: Process) -> None:
    """Run to whatever end; anything but these is a defect."""
    with suppress(Died, RetryableError, SupersededError):
        process.run()


def one_schedule(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    names = random.Random(seed)  # noqa: S311
    with mock.patch("secrets.token_hex", lambda length: names.randbytes(length).hex()):
        run_schedule(chance)


def run_schedule(chance: random.Random) -> None:
    world = world_of(chance)
    # A list without contacts whose server says that there are more is refused: nobody can tell which of both is wrong.
    contradiction = [PaginationError] if world.quirks.has_more == "always_true" else []
    with world.listening(), suppress(*contradiction):
        for _ in range(chance.choice([0, 1, 1, 2, 3])):
            try_once(world, chance)
            world.clock.now += chance.choice([0, 10, 3600])
        world.vendor.events = {}
        try:
            world.hold(world.finish(generation=99), leftovers=True)
        except SupersededError:
            assert any(each.spec.run == OTHER_RUN for each in world.processes), "nobody else was there"
        world.clock.now += 200_000
        final = world.finish(run=OTHER_RUN, generation=100)
        world.hold(final)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("portion", seeds(SEEDS), ids=str)
def test_a_random_schedule_ends_with_an_exact_snapshot(portion: range) -> None:
    run(portion)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("portion", seeds(SOAK), ids=str)
def test_random_schedules_for_long(portion: range) -> None:
    run(portion)


def run(portion: range) -> None:
    for seed in portion:
        try:
            one_schedule(seed)
        except (AssertionError, FatalError, KoreError, KeyError, TypeError, ValueError) as err:
            raise AssertionError(f"KORE_SEEDS={seed}: {err}") from err


def test_a_schedule_is_the_same_each_time() -> None:
    def effects(seed: int) -> list[list[str]]:
        chance = random.Random(seed)  # noqa: S311
        world = world_of(chance)
        try_once(world, chance)
        return [[effect.split(" ")[0] for effect in process.effects] for process in world.processes]

    assert [effects(seed) for seed in range(20)] == [effects(seed) for seed in range(20)]
