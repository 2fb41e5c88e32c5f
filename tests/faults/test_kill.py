"""kill -9 at any moment, as often as you like: the next try ends in an exact snapshot, and readers see whole ones."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from kills import Rounds

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.exhaustive

ROUNDS = 2
SEEDS = range(4)
"""Each draws a format and a list of its own; `make soak` plays two thousand rounds more."""
SOAK_ROUNDS = int(os.environ.get("KORE_KILL_ROUNDS", "2000"))
FIRST_SEED = int(os.environ.get("KORE_KILL_SEED", "1000"))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_task_killed_anywhere_lands_an_exact_snapshot_when_retried(request: pytest.FixtureRequest, seed: int) -> None:
    world: World = request.getfixturevalue("ministack_world" if seed % 2 else "moto_world")
    world.vendor.calm()
    Rounds(world, seed).play(ROUNDS)


@pytest.mark.soak
@pytest.mark.timeout(24 * 3600)
@pytest.mark.parametrize("server", ["moto", "ministack"])
def test_thousands_of_kills(request: pytest.FixtureRequest, server: str) -> None:
    """``KORE_KILL_ROUNDS`` of them, from ``KORE_KILL_SEED`` on."""
    world: World = request.getfixturevalue(f"{server}_world")
    world.vendor.calm()
    for seed in range(FIRST_SEED, FIRST_SEED + -(-SOAK_ROUNDS // ROUNDS)):
        Rounds(world, seed).play(ROUNDS)
