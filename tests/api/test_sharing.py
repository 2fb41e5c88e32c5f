"""An account's allowance shared by a ledger, against a model: whatever happens, nobody is ever refused.

The vendor's window is strict, the clients' clocks have nothing in common, and the store tells whole seconds.
"""

from __future__ import annotations

import json
import logging
import random
from typing import TYPE_CHECKING, Any

import pytest
from shared_account import EPOCH, Client, Clock, World
from test_allowance import World as Alone

from airflow_provider_kore.api import sharing
from airflow_provider_kore.api.ledger import LARGEST, Ledger, LedgerError, Terms, parse
from airflow_provider_kore.exceptions import StorePermissionError
from airflow_provider_kore.store.shared import ServerTime

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE = 60.1


@pytest.fixture(autouse=True)
def _warn_anew() -> Iterator[None]:
    sharing._warned.clear()
    yield
    sharing._warned.clear()


def optimum(requests: int, per_minute: int) -> float:
    """Return how long one task takes that has the account for itself."""
    world = Alone(per_minute, 0)
    walk = world.client(requests)
    world.run()
    return walk.ended


def with_ledger(world: World) -> World:
    """Let somebody have used the ledger long ago."""
    world.client(1)
    world.run()
    begin = world.now + 120.0
    world.clients.clear()
    world.at(begin, lambda: None)
    world.run()
    world.counted.clear()
    return world


@pytest.mark.parametrize("tasks", [1, 4, 16])
@pytest.mark.parametrize("seed", range(2))
def test_tasks_that_share_a_ledger_take_as_long_as_one_would_and_are_never_refused(tasks: int, seed: int) -> None:
    world = with_ledger(World(seed=seed))
    begun = world.now
    for _ in range(tasks):
        world.client(288 // tasks, start=begun)
    world.run()
    assert world.refused == 0
    assert world.ended - begun <= 1.03 * optimum(288, 60)


def story(seed: int) -> World:
    """Play a random story of an account: deaths, a ledger deleted or damaged, lost requests and answers, rivals."""
    rng = random.Random(seed)  # noqa: S311
    world = World(
        seed=seed,
        latency=rng.choice([0.01, 0.05, 0.5]),
        per_minute=rng.choice([10, 20, 60]),
        per_hour=rng.choice([0, 0, 0, 600]),
    )
    world.bucket.trouble = rng.choice([0.0, 0.0, 0.02, 0.1])

    def alive() -> list[Client]:
        return [client for client in world.clients if client.started and client.left and not client.dead]

    def rival(writer: Clock) -> None:
        others = [client for client in alive() if client.allowance._clock is not writer]
        if others:
            rng.choice(others).allowance.beat()

    def delete() -> None:
        if alive():  # of one that nobody keeps in mind, nobody knows what it held
            world.bucket.body = None

    def damage() -> None:
        if alive() and world.bucket.body is not None:  # a ledger that nobody uses is not anybody's to replace
            world.bucket.body, world.bucket.version = b"[", world.bucket.version + 1

    if rng.random() < 0.7:
        world.bucket.between = rival
    tasks = rng.choice([2, 3, 5, 8])
    for _ in range(tasks):
        world.client(rng.randrange(1, 4 * world.per_minute) // tasks + 1, start=rng.choice([0.0, 150 * rng.random()]))
    if rng.random() < 0.5:
        for client in rng.sample(world.clients, rng.randrange(1, tasks)):
            world.at(rng.random() * 200, lambda client=client: world.kill(client))
    for what in (delete, damage):
        for _ in range(rng.choice([0, 0, 1, 3])):
            world.at(rng.random() * 200, what)
    world.run()
    return world


def check(world: World) -> None:
    assert all(client.dead or not client.left for client in world.clients)
    assert [client.allowance._state.name for client in world.clients if not client.dead and client.left] == []
    assert world.refused == 0


@pytest.mark.parametrize("seed", range(12))
def test_no_story_ends_with_a_refusal(seed: int) -> None:
    check(story(seed))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(12, 212))
def test_none_of_many_stories_ends_with_a_refusal(seed: int) -> None:
    check(story(seed))
