"""Random histories of a list, landed day after day with ``incremental=True``: never another list than the vendor's.

Each seed is a list, what happens to it between its landings and during them, days that are missed, and tries that die.
``KORE_SEEDS`` says which, as in ``test_random_schedules.py``.
"""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from typing import Any
from unittest import mock

import pytest
from model_vendor import Quirks, Vendor
from model_world import Died, Plan, World
from test_incremental import Days
from test_random_schedules import seeds

from airflow_provider_kore.exceptions import FatalError, KoreError, RetryableError

pytestmark = pytest.mark.exhaustive

SEEDS = 160
SOAK = 100_000


class Members(tuple[str, ...]):
    """Ids of a server that changes its order: the same if they are the same set."""

    __slots__ = ()
    __hash__ = tuple.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple) and sorted(self) == sorted(other)


class Reordering(Vendor):
    """A server that gives its contacts in another order now and then, and says nothing of it."""

    def _note(self) -> None:
        self.history.append(Members(contact.id for contact in self._held))

    def reorder(self, chance: random.Random) -> None:
        first, second = (chance.randrange(len(self._held)) for _ in range(2))
        self._held[first], self._held[second] = self._held[second], self._held[first]
        self._note()


def quirks_of(chance: random.Random) -> Quirks:
    if chance.random() < 0.6:
        return Quirks()
    return Quirks(
        total=chance.choice(["list", "list", "list", "string", "page"]),
        has_more=chance.choice(["right", "missing"]),
        echo=chance.random() < 0.8,
        most=chance.choice([2, 3, 1000]),
        limit=chance.choice(["honour", "honour", "refuse"]),
        created_at=chance.random() < 0.9,
    )


def change(vendor: Vendor, chance: random.Random) -> None:
    """Let one thing happen that the vendor's own words allow; what is new comes last."""
    index = chance.randrange(200)
    {
        "append": lambda: vendor.append(chance.randint(1, 9)),
        "remove": lambda: vendor.remove(index),
        "edit": lambda: vendor.edit(index),
        "exchange": lambda: vendor.exchange(index),
        "reimport": vendor.reimport,
        "reorder": lambda: vendor.reorder(chance) if isinstance(vendor, Reordering) and vendor._held else None,
        "remove the last": lambda: vendor.remove(len(vendor._held) - 1),
    }[
        chance.choices(
            ["append", "remove", "edit", "exchange", "reimport", "reorder", "remove the last"], [24, 2, 1, 2, 1, 3, 1]
        )[0]
    ]()
    vendor.clock.sleep(chance.choice([0, 0, 0.001, 1, 60]))


def days_of(chance: random.Random) -> Days:
    days = Days(
        contacts=chance.choice([0, 3, 17, 24, 40, 61, 61, 61]),
        quirks=quirks_of(chance),
        file_format=chance.choice(["jsonl", "jsonl", "csv", "parquet"]),
        rows_per_file=chance.choice([None, None, 7]),
        durable=chance.random() < 0.8,
        probes=chance.choice([0, 1, 2, 2, 3]),
        full_walk_every=chance.choice([0, 2.5 * 86_400, 604_800.0, 604_800.0]),
    )
    if chance.random() < 0.2:
        world = days.world
        world.vendor = Reordering(world.clock, world.contacts, world.quirks)
    return days


def one_history(seed: int) -> Counter[str]:
    chance = random.Random(seed)  # noqa: S311
    names = random.Random(seed)  # noqa: S311
    with mock.patch("secrets.token_hex", lambda length: names.randbytes(length).hex()):
        return run_history(days_of(chance), chance)


def run_history(days: Days, chance: random.Random) -> Counter[str]:
    world, ways = days.world, Counter[str]()
    for _ in range(chance.randint(2, 5)):
        for _ in range(chance.choice([0, 0, 1, 1, 1, 2])):
            change(world.vendor, chance)
        for _ in range(chance.choice([0, 0, 0, 1, 2])):
            days.next()
        changes = days.next()
        world.vendor.events = meanwhile(world, chance)
        for number in range(chance.choice([0, 0, 1, 2])):
            plan = Plan(int(chance.expovariate(1 / 12)) + 1, chance.choice(["before", "after"]), Died())
            with suppress(Died, RetryableError):
                world.process(plan=plan, **{**changes, "try_number": number + 1}).run()
            if chance.random() < 0.3:
                change(world.vendor, chance)
        world.vendor.events = meanwhile(world, chance) if chance.random() < 0.5 else {}
        process = world.finish(**{**changes, "try_number": 9})
        world.hold(process, leftovers=True)
        assert process.manifest is not None
        ways["built on" if process.manifest.content["incremental"]["based_on"] else "walked"] += 1
    return ways


def meanwhile(world: World, chance: random.Random) -> dict[int, list[Any]]:
    """Return what happens while the list is read."""
    found: dict[int, list[Any]] = {}
    for _ in range(chance.choice([0, 0, 0, 1, 2])):
        at = world.vendor.requests + int(chance.expovariate(1 / 8)) + 1
        found.setdefault(at, []).append(lambda vendor: change(vendor, chance))
    return found


def run(portion: range) -> None:
    ways = Counter[str]()
    for seed in portion:
        try:
            ways += one_history(seed)
        except (AssertionError, FatalError, KoreError, KeyError, TypeError, ValueError) as err:
            raise AssertionError(f"KORE_SEEDS={seed}: {err}") from err
    if len(portion) > 50:
        assert min(ways["built on"], ways["walked"]) > ways.total() // 5, ways


@pytest.mark.parametrize("portion", seeds(SEEDS), ids=str)
@pytest.mark.usefixtures("small_chunks")
def test_a_random_history_lands_exactly(portion: range) -> None:
    run(portion)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("portion", seeds(SOAK), ids=str)
def test_random_histories_for_long(portion: range) -> None:
    run(portion)
