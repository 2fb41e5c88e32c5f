"""One walk: what it asks for, what it trusts, and what it says when it cannot."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from model_vendor import Quirks, append, edit, exchange, insert, remove
from model_world import Process, World

from airflow_provider_kore.exceptions import DriftError
from airflow_provider_kore.walk import walk
from airflow_provider_kore.walk.pagination import OffsetPagination

pytestmark = pytest.mark.usefixtures("short_is_long")


def test_a_quiet_walk_costs_its_pages_and_three_looks() -> None:
    world = World(contacts=20)
    process = world.finish()
    assert process.asked == [0, 4, 8, 12, 16]
    assert world.vendor.requests == 5 + 3


def test_a_list_of_one_page_costs_three_requests() -> None:
    world = World(contacts=3)
    world.finish()
    assert world.vendor.requests == 3


@pytest.mark.parametrize(
    "event", [remove(0), exchange(0), edit(0), insert(0)], ids=["remove", "exchange", "edit", "insert"]
)
@pytest.mark.parametrize("at", [4, 5, 6, 7])
def test_a_change_makes_the_walk_begin_anew_and_land_exactly(event: Any, at: int) -> None:
    world = World(contacts=14, events={at: [event]})
    process = world.finish()
    world.hold(process)
    assert process.manifest is not None
    assert process.manifest.content["walk"]["walks"] == 2
    assert len(world.errors) == 0


def test_the_error_says_what_moved() -> None:
    world = World(contacts=14, events={5: [remove(0)]}, parameters={"on_drift": "fail"})
    with pytest.raises(DriftError, match=r"totalResults went from 14 to 13"):
        world.process().run()
    world = World(contacts=14, events={5: [edit(0)]}, parameters={"on_drift": "fail"})
    with pytest.raises(DriftError, match=r"updatedAt went from"):
        world.process().run()


def test_growth_that_cannot_be_proven_is_found_out_at_once() -> None:
    world = World(contacts=60, quirks=Quirks(created_at=False), events={6: [append()]}, parameters={"on_drift": "fail"})
    process = world.process()
    with pytest.raises(DriftError, match="nothing proves"):
        process.run()
    assert len(process.asked) <= 5


def test_a_change_during_the_first_page_costs_two_requests_and_no_walk() -> None:
    for at in (2, 3):
        world = World(contacts=20, events={at: [append()]})
        process = world.finish()
        world.hold(process)
        assert process.manifest is not None
        assert process.manifest.content["walk"]["walks"] == 1
        assert world.vendor.requests <= 6 + 3 + 3


def test_a_list_that_changes_all_the_time_is_begun_a_few_times_only() -> None:
    world = World(contacts=20, events={at: [edit(0)] for at in range(1, 500)}, parameters={"on_drift": "fail"})
    process = world.process()
    with pytest.raises(DriftError):
        process.run()
    assert process.asked.count(0) == walk.BEGINNINGS + 1


def test_a_long_walk_looks_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "LOOK_EVERY", 3)
    world = World(contacts=80, events={6: [edit(0)]}, parameters={"on_drift": "fail"})
    process = world.process()
    with pytest.raises(DriftError):
        process.run()
    assert len(process.asked) < 12


def test_pages_that_repeat_because_the_list_changed_are_drift_and_not_the_servers_fault() -> None:
    world = World(contacts=20, events={5: [insert(0), insert(0), insert(0), insert(0)]})
    process = world.finish()
    world.hold(process)
    assert process.manifest is not None
    assert process.manifest.content["walk"]["walks"] == 2


@pytest.mark.usefixtures("small_chunks")
def test_a_retry_works_where_every_limit_is_refused() -> None:
    world = World(contacts=30, quirks=Quirks(limit="refuse"))
    for at in range(1, 40):
        world = World(contacts=30, quirks=Quirks(limit="refuse"))
        if world.dies(at, "after") and world.checkpoint() == 16:
            break
    process = world.finish()
    world.hold(process)
    assert process.manifest is not None
    assert process.manifest.content["walk"]["resumed_from"] == 16


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
def test_a_walk_is_let_go_of_before_its_snapshot_is_published() -> None:
    """Its ids are most of what a long list costs, and publishing counts them anew: both at once would cost twice."""
    alive: list[int] = []

    def paginations() -> list[object]:
        gc.collect()
        # `isinstance` would wake every lazy object of every library in the process: it asks for `__class__`.
        return [each for each in gc.get_objects() if type(each) is OffsetPagination]

    def look(process: Process, number: int) -> None:
        if process.effects[-1] == f"put {world.layout.object}":
            alive.append(sum(id(each) not in earlier for each in paginations()))

    held = paginations()  # by tests that ran before in this process
    earlier = {id(each) for each in held}
    world = World(contacts=30)
    world.process(on_effect=look).run()
    assert alive == [0]


def test_growth_is_told_in_the_progress_line_and_not_once_per_page() -> None:
    events = {at: [append(1)] for at in range(4, 40)}
    world = World(contacts=120, events=events, request_seconds=2.0)
    with world.listening() as log:
        world.hold(world.finish())
    told = [line for line in log.lines if "since the walk began" in line]
    assert told, "the progress line says by how much the list grew"
    assert len(told) <= 1 + world.vendor.requests * 2.0 / 10
    assert not any(line.startswith("The list grew") for line in log.lines)
