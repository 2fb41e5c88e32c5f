"""Pages that grow during a walk land what small ones land: every search of the other files once more, growing from one.

The largest page is looked for among 1, 2, 4, 8 and 16 here, so that a list of a few contacts has all of them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import test_growth
import test_random_schedules
from model_vendor import Quirks, append, edit, exchange, remove
from model_world import World
from reading_ahead import Order, reading_ahead
from test_growth import QUIRKS, search, walk

from airflow_provider_kore.api import reader
from airflow_provider_kore.walk import pagination
from airflow_provider_kore.walk.page_size import PageSizes

if TYPE_CHECKING:
    import random

    from airflow_provider_kore.snapshot.manifest import Manifest

SERVERS = {
    **QUIRKS,
    "clamps at 2": Quirks(most=2),
    "clamps at 3, without echo": Quirks(most=3, echo=False),
    "clamps at 4, total missing": Quirks(most=4, total="missing"),
    "refuses more than 1": Quirks(most=1, limit="refuse_more"),
    "refuses more than 2": Quirks(most=2, limit="refuse_more"),
    "refuses more than 5, hasMore missing": Quirks(most=5, limit="refuse_more", has_more="missing"),
}


@pytest.fixture(autouse=True)
def growing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pages grow from one contact on, in every walk for which no size is named."""
    monkeypatch.setattr(reader, "PageSizes", partial(PageSizes, first=1, steps=(1, 2, 4, 8, 16)))
    monkeypatch.setattr(
        test_growth, "SPECS", {each: World().spec(page_size=None, on_drift=each) for each in ("fail", "accept")}
    )


def test_the_pages_of_these_tests_grow() -> None:
    vendor, ids, walked = walk(65, [])
    assert ids == list(vendor.ids)
    assert vendor.asked == [0, 1, 3, 7, 15, 31, 47, 63]
    assert walked is not None
    assert walked.state.progress.learned.size == 16


@pytest.mark.exhaustive
@pytest.mark.usefixtures("short_is_long")
@pytest.mark.parametrize("name", ["documented", "total and hasMore missing", *list(SERVERS)[len(QUIRKS) :]])
def test_no_placement_of_two_events_lands_anything_wrong(name: str) -> None:
    kinds = {"append": append(), "remove 1": remove(1), "remove last": remove(-1), "exchange": exchange(2)}
    exact, _ = search(SERVERS[name], 7, kinds, requests=6, most=2)
    assert exact > 5


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("short_is_long")
@pytest.mark.parametrize("contacts", [5, 9, 17])
@pytest.mark.parametrize("name", SERVERS)
def test_no_placement_of_any_two_events_lands_anything_wrong(name: str, contacts: int) -> None:
    kinds: dict[str, Any] = {"append": append(), "append 2": append(2), "edit": edit(0), "exchange last": exchange(-1)}
    kinds |= {f"remove {index}": remove(index) for index in (0, 2, 4, contacts - 1)}
    kinds |= {"exchange 1": exchange(1)}
    exact, _ = search(SERVERS[name], contacts, kinds, requests=9, most=2)
    assert exact > 10


@pytest.mark.exhaustive
@pytest.mark.usefixtures("short_is_long")
@pytest.mark.parametrize(
    ("order", "name"),
    [("backward", "documented"), (0, "clamps at 3, without echo"), ("at once", "refuses more than 2")],
)
def test_nothing_that_is_read_ahead_lands_anything_wrong(
    order: Order, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagination, "AHEAD", 1)
    kinds = {"append": append(), "remove": remove(3), "exchange": exchange(6)}
    with reading_ahead(order):
        exact, refused = search(SERVERS[name], 17, kinds, requests=8, most=2, in_flight=8)
    assert exact > 10
    assert refused > 10


def test_pages_are_read_ahead_at_the_size_that_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "AHEAD", 1)
    with reading_ahead("at once"):
        vendor, ids, _ = walk(100, [], in_flight=8)
    assert ids == list(vendor.ids)
    assert vendor.asked == [0, 1, 3, 7, 15, 31, 47, 63, 79, 95]


@pytest.fixture
def any_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let random schedules name no page size, and half of their servers refuse what is too large."""
    world_of, quirks_of = test_random_schedules.world_of, test_random_schedules.quirks_of

    def without_size(chance: random.Random) -> World:
        world = world_of(chance)
        world.parameters["page_size"] = None
        return world

    def refusing(chance: random.Random) -> Quirks:
        quirks = quirks_of(chance)
        if quirks.limit == "refuse" or chance.random() < 0.5:
            return quirks
        return replace(quirks, most=chance.randint(1, 9), limit="refuse_more", default_limit=1)

    monkeypatch.setattr(test_random_schedules, "world_of", without_size)
    monkeypatch.setattr(test_random_schedules, "quirks_of", refusing)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("small_chunks", "any_server")
def test_a_random_schedule_ends_with_an_exact_snapshot() -> None:
    test_random_schedules.run(range(1000, 1040))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("small_chunks", "any_server")
@pytest.mark.parametrize("thousand", range(10))
def test_random_schedules_for_long(thousand: int) -> None:
    test_random_schedules.run(range(1000 * thousand, 1000 * thousand + 1000))


def snapshot_of(world: World, **changes: Any) -> Manifest:
    manifest = world.finish(**changes).manifest
    assert manifest is not None
    return manifest


@pytest.mark.usefixtures("small_chunks")
def test_a_retry_after_a_death_goes_on_with_the_size_that_was_found() -> None:
    world = World(contacts=150, parameters={"page_size": None})
    assert world.dies(24, "before")
    asked = len(world.vendor.asked)
    world.hold(world.finish())
    again, *rest = world.vendor.asked[asked:]
    assert again < rest[0]  # the last page that was checkpointed is looked at again
    assert {after - before for before, after in pairwise(rest)} == {16}


@pytest.mark.usefixtures("small_chunks")
def test_the_next_days_walk_begins_with_it() -> None:
    world = World(contacts=128, parameters={"page_size": None})
    first = snapshot_of(world)
    assert first.content["walk"]["page_size"] == 16
    world.vendor.asked.clear()
    second = snapshot_of(world, snapshot_date="2026-01-02")
    assert second.content["walk"]["page_size"] == 16
