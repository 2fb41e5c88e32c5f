"""Each manifest names the snapshot before it by its digest, and the manifests that it replaced: a chain over days."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from model_vendor import exchange
from model_world import OTHER_RUN, RUN, World

from airflow_provider_kore.exceptions import RequestRefusedError, StorePermissionError
from airflow_provider_kore.snapshot.manifest import Manifest
from airflow_provider_kore.snapshot.manifest_checks import MOST_REPLACED

if TYPE_CHECKING:
    from model_world import Process

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")


def land(world: World, date: str, **changes: Any) -> dict[str, Any]:
    world.clock.now += 3_600
    process = world.finish(snapshot_date=date, **changes)
    assert process.manifest is not None
    stored = Manifest.from_bytes(body_of(world, date), "m").content
    assert stored == process.manifest.content
    return stored


def key_of(date: str) -> str:
    return f"kore/lists/contact_list_id=cl-1/snapshot_date={date}/_manifest.json"


def body_of(world: World, date: str) -> bytes:
    return world.bucket.bodies(key_of(date))[key_of(date)]


def link_to(world: World, date: str) -> dict[str, str]:
    """Return what a manifest says of the one that stands there now."""
    body = body_of(world, date)
    return {
        "snapshot_date": date,
        "snapshot_id": json.loads(body)["snapshot_id"],
        "manifest": key_of(date),
        "manifest_sha256": hashlib.sha256(body).hexdigest(),
    }


@pytest.mark.parametrize("form", [{}, {"rows_per_file": 5}, {"incremental": True}], ids=str)
def test_each_manifest_names_the_one_before_by_the_digest_of_its_bytes(form: dict[str, Any]) -> None:
    world = World(contacts=12, parameters=form)
    assert land(world, DAYS[0])["previous"] is None
    for before, date in pairwise(DAYS):
        world.vendor.append(1)
        link = link_to(world, before)
        found = land(world, date, run=OTHER_RUN, try_number=1)
        assert found["previous"] == link
        assert found["schema"]["from"] == {name: link[name] for name in ("snapshot_date", "snapshot_id")}
        assert found["replaces"] == []


def test_an_inconsistent_snapshot_is_a_link_too() -> None:
    world = World(contacts=12, events={4: [exchange(0)]}, parameters={"on_drift": "accept", "max_shrink": 1})
    assert land(world, DAYS[0])["consistent"] is False
    link = link_to(world, DAYS[0])
    assert land(world, DAYS[1])["previous"] == link


@pytest.mark.parametrize("form", [{}, {"rows_per_file": 5}], ids=str)
def test_what_a_manifest_replaces_is_told_newest_first_and_its_predecessor_is_of_another_date(
    form: dict[str, Any],
) -> None:
    world = World(contacts=12, parameters=form)
    land(world, DAYS[0])
    link, replaced = link_to(world, DAYS[0]), []
    for number, run in enumerate((RUN, OTHER_RUN, RUN)):
        found = land(world, DAYS[1], run=run, generation=str(number), try_number=1)
        assert found["previous"] == link
        assert found["replaces"] == replaced
        replaced = [hashlib.sha256(body_of(world, DAYS[1])).hexdigest(), *replaced]


def test_of_what_was_replaced_the_newest_are_told() -> None:
    world = World(contacts=3)
    land(world, DAYS[0])
    key = key_of(DAYS[0])
    many = [f"{number:064x}" for number in range(MOST_REPLACED)]
    world.bucket.put(
        key, json.dumps({**json.loads(body_of(world, DAYS[0])), "replaces": many}).encode(), content_type="x/y"
    )
    mine = hashlib.sha256(body_of(world, DAYS[0])).hexdigest()
    assert land(world, DAYS[0], run=OTHER_RUN, try_number=1)["replaces"] == [mine, *many[:-1]]


def test_what_replaces_a_manifest_that_another_run_wrote_meanwhile_names_that_one() -> None:
    world = World(contacts=12)
    land(world, DAYS[0])
    newer: list[Process] = []

    def meanwhile(process: Process, number: int) -> None:
        if number == 8 and not newer:
            newer.append(world.process(run=OTHER_RUN, try_number=1))
            newer[0].run()

    world.clock.now += 60
    process = world.process(on_effect=meanwhile, generation="2")
    process.run()
    stored = json.loads(body_of(world, DAYS[0]))
    assert newer[0].manifest is not None
    assert stored["run"]["digest"] == process.spec.run.digest
    assert len(stored["replaces"]) == 2
    assert stored["replaces"][1:] == newer[0].manifest.content["replaces"]


def test_a_copied_manifest_is_no_link_and_nothing_that_was_replaced() -> None:
    world = World(contacts=12)
    land(world, DAYS[0])
    world.bucket.put(key_of(DAYS[1]), body_of(world, DAYS[0]), content_type="x/y")
    link = link_to(world, DAYS[0])
    found = land(world, DAYS[1], run=OTHER_RUN, try_number=1)
    assert (found["previous"], found["replaces"]) == (link, [])


@pytest.mark.parametrize("body", [b"{}", b"\xff", b"[" * 100_000], ids=["no manifest", "no text", "too deep"])
def test_a_damaged_manifest_is_passed_over(body: bytes) -> None:
    world = World(contacts=12)
    land(world, DAYS[0])
    world.clock.now += 60
    world.bucket.put(key_of(DAYS[2]), body, content_type="x/y")
    link = link_to(world, DAYS[0])
    assert land(world, DAYS[1])["previous"] == link


@pytest.mark.parametrize("error", [RequestRefusedError("archived"), StorePermissionError("refused")], ids=str)
def test_a_last_manifest_that_cannot_be_had_ends_a_run_with_a_guard_before_its_first_request(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(contacts=12)
    land(world, DAYS[0])
    process = world.process(snapshot_date=DAYS[1])
    get = process.store.get

    def refuse(key: str) -> Any:
        if DAYS[0] in key:
            raise error
        return get(key)

    monkeypatch.setattr(process.store, "get", refuse)
    with pytest.raises(type(error)):
        process.run()
    assert not [effect for effect in process.effects if effect.startswith("http")]


@pytest.mark.parametrize("form", [{}, {"incremental": True}, {"max_shrink": 1}], ids=str)
def test_what_stands_is_listed_once_in_a_run_and_each_manifest_read_once(form: dict[str, Any]) -> None:
    world = World(contacts=40, parameters=form)
    land(world, DAYS[0])
    land(world, DAYS[1], run=OTHER_RUN, try_number=1)
    world.clock.now += 60
    process = world.finish(snapshot_date=DAYS[2], try_number=1)
    prefix = world.layout.list_prefix
    assert process.effects.count(f"list {prefix}") == 1
    others = [effect for effect in process.effects if effect.startswith("get") and "_manifest" in effect]
    assert others == [f"get {key_of(DAYS[1])}"]
