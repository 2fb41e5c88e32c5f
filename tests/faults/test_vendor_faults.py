"""Faults of the vendor against the real operator and a real store: never landed wrong, and exact once they are gone.

One of each kind of end. The search over every fault, page and number of times is ``tests/api/test_hostile.py``, which
needs no process of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from world import Task, World

pytestmark = pytest.mark.exhaustive

PARAMETERS: dict[str, dict[str, Any]] = {"list_append": {"n": 3}, "list_insert": {"n": 3}}
ONCE = ("cut_json", "duplicate_id", "list_append", "list_insert", "reset_after_headers")
"""A broken body, a contradiction, growth, drift, a lost connection."""
LASTING = ("cut_json", "list_insert", "not_found", "server_error")
"""A broken body, drift, a refusal, a server that is down."""
CONTACTS = 120
SPEED = 500.0
"""How much faster the task's clock goes, so that waiting for a retry costs nothing."""
TIMEOUT = 3_600
"""Seconds of that clock an answer may take, so that one that is only slow is not given up."""


def hurry(operator: Any, tell: Callable[..., None]) -> None:
    """In the child: let waits pass quickly. Dates stay what they are: the vendor checks them."""
    import time

    from airflow_provider_kore.clock import SystemClock

    SystemClock.monotonic = lambda _: time.monotonic() * SPEED
    SystemClock.sleep = lambda _, seconds: time.sleep(seconds / SPEED)


def new_task(world: World, **parameters: Any) -> Task:
    task = world.task(CONTACTS, page_size=20, **parameters)
    task.new_run()
    return task


def repair(world: World, task: Task) -> None:
    """Lift the fault; a list that it deleted is there again."""
    world.vendor.call("DELETE", "faults")
    try:
        world.vendor.ids(task.list_id)
    except OSError:
        world.vendor.add_list(CONTACTS, task.list_id)


@pytest.mark.parametrize("name", ONCE)
def test_a_fault_that_happens_once_costs_no_contact(world: World, name: str) -> None:
    task = new_task(world)
    world.vendor.fault(name, endpoint="contacts", after_requests=3, times=1, **PARAMETERS.get(name, {}))
    outcome = task.run(prepare=hurry, timeout=TIMEOUT)
    assert world.vendor.fired() == 1, f"the fault did not happen: {outcome}"
    repair(world, task)
    if outcome.kind == "success":
        assert task.landed() == world.vendor.ids(task.list_id)
    else:
        assert task.manifest() is None, "a task that failed has published"
        task.land(tries=2, prepare=hurry, timeout=TIMEOUT)
    task.check()


@pytest.mark.parametrize("name", LASTING)
def test_a_fault_that_stays_lands_nothing_wrong_and_a_retry_continues(world: World, name: str) -> None:
    task = new_task(world)
    changes = {"times": 1000} if name.startswith("list_") else {}
    world.vendor.fault(name, endpoint="contacts", after_requests=3, **changes, **PARAMETERS.get(name, {}))
    attempt = task.start(prepare=hurry, timeout=TIMEOUT)
    outcome = attempt.wait()
    assert outcome.kind != "killed"
    repair(world, task)
    if outcome.kind == "success" and not name.startswith("list_"):
        assert task.landed() == world.vendor.ids(task.list_id), attempt.log()
    elif outcome.kind == "error":
        assert task.manifest() is None, "a task that failed has published"
        assert outcome.error.endswith("Error"), outcome
        task.land(tries=2, prepare=hurry, timeout=TIMEOUT)
        task.check()
    task.new_run()
    assert task.run().kind == "success"
    task.check()
