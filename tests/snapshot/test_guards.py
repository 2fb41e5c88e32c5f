"""Guards: an empty or collapsed list does not replace good data, and the error gives both numbers."""

from __future__ import annotations

from typing import Any

import pytest
from model_vendor import exchange
from model_world import OTHER_RUN, World

from airflow_provider_kore.exceptions import ShrunkError


def shrunk(to: int, **parameters: Any) -> World:
    """Return a world with a good snapshot of 100, whose list has shrunk since."""
    world = World(contacts=100, parameters={"page_size": 50, **parameters})
    world.finish(run=OTHER_RUN, snapshot_date="2025-12-31")
    world.clock.now += 60
    for _ in range(100 - to):
        world.vendor.remove(0)
    return world


def test_an_empty_list_does_not_replace_good_data_unless_that_is_allowed() -> None:
    world = shrunk(0)
    before = world.bucket.bodies(world.layout.list_prefix)
    with pytest.raises(ShrunkError, match=r"has 0 contacts.* 100 .*max_shrink"):
        world.process().run()
    assert world.bucket.bodies(world.layout.list_prefix) == before
    world.hold(world.finish(max_shrink=1))


@pytest.mark.parametrize(
    ("to", "max_shrink", "refused"), [(50, 0.5, False), (49, 0.5, True), (1, 0.99, False), (99, 0, True)]
)
def test_max_shrink_is_a_share_of_the_last_good_snapshot(to: int, max_shrink: float, refused: bool) -> None:
    world = shrunk(to)
    if refused:
        with pytest.raises(ShrunkError, match=rf"has {to} contacts.* 100 "):
            world.process(max_shrink=max_shrink).run()
        assert world.seen == []
    else:
        world.hold(world.finish(max_shrink=max_shrink))


def test_min_contacts_gives_both_numbers() -> None:
    world = World(contacts=7)
    with pytest.raises(ShrunkError, match=r"has 7 contacts, and min_contacts is 8"):
        world.process(min_contacts=8).run()
    assert world.seen == []
    world.hold(world.finish(min_contacts=7))


def test_an_inconsistent_snapshot_is_no_measure() -> None:
    world = World(contacts=100, events={4: [exchange(0)]}, parameters={"page_size": 10, "on_drift": "accept"})
    assert world.finish(run=OTHER_RUN, snapshot_date="2025-12-31").manifest.consistent is False  # type: ignore[union-attr]
    for _ in range(99):
        world.vendor.remove(0)
    world.hold(world.finish(max_shrink=0.1))


def test_a_manifest_that_cannot_be_read_is_passed_over() -> None:
    world = shrunk(40)
    world.bucket.put(f"{world.layout.list_prefix}snapshot_date=2026-02-01/_manifest.json", b"{}", content_type="x")
    with pytest.raises(ShrunkError):
        world.process(max_shrink=0.5).run()


@pytest.mark.usefixtures("small_chunks")
def test_a_refused_walk_is_kept_for_whoever_lowers_the_guard() -> None:
    world = shrunk(20)
    with pytest.raises(ShrunkError):
        world.process(max_shrink=0.5).run()
    before = world.vendor.requests
    world.hold(world.finish(max_shrink=1))
    assert world.vendor.requests - before <= 5
