"""What is deleted, aborted, believed and overwritten is this package's own, whatever lies beside it."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_vendor import LIST_ID, append
from model_world import CONFIG, OTHER_RUN, RUN, World

from airflow_provider_kore.exceptions import (
    ContentionError,
    CorruptSnapshotError,
    OversizedError,
    ParameterError,
    SnapshotExistsError,
    SupersededError,
)
from airflow_provider_kore.snapshot.fields import FieldPolicies
from airflow_provider_kore.snapshot.layout import Layout
from airflow_provider_kore.store.store import ConditionFailed

DAY = 86_400.0
PARTITION = f"contact_list_id={LIST_ID}/snapshot_date=2026-01-01/"


def copied(world: World, to: str, *, of: str = "kore/lists") -> World:
    """Copy a whole table inside its bucket, as ``aws s3 cp --recursive`` does; return a world that writes there."""
    for key, body in world.bucket.bodies(f"{of}/").items():
        found = world.bucket.head(key)
        assert found is not None
        world.bucket.put(f"{to}/{key.removeprefix(f'{of}/')}", body, content_type="x", metadata=found.metadata)
    world.parameters = {**world.parameters, "s3_prefix": to}
    world.layout = Layout(world.spec(), CONFIG.source)
    return world


def unwatched(world: World) -> World:
    """Let no reader look at the table: what a test does to it is no whole snapshot."""
    world.look = lambda: None  # type: ignore[method-assign]
    return world


@pytest.mark.parametrize("parameters", [{}, {"rows_per_file": 5}], ids=["one file", "several files"])
@pytest.mark.parametrize("run", [RUN, OTHER_RUN], ids=["same run id", "another run"])
def test_a_run_on_a_copy_of_production_leaves_production_alone(parameters: dict[str, Any], run: Any) -> None:
    world = World(contacts=12, parameters=parameters)
    world.finish()
    production = world.bucket.bodies("kore/lists/")
    world.clock.now += 3600
    copied(world, "dev/lists")
    with world.listening() as log:
        process = world.finish(run=run, generation=1)
    assert world.bucket.bodies("kore/lists/") == production
    assert process.asked, "what was copied is not what this run has made"
    assert any("is not its own" in line for line in log.lines)
    world.hold(process)


def test_a_missing_day_filled_with_a_copy_of_yesterday_keeps_yesterday() -> None:
    world = World(contacts=12, parameters={"rows_per_file": 5})
    world.finish()
    yesterday = world.bucket.bodies()
    for key, body in yesterday.items():
        found = world.bucket.head(key)
        assert found is not None
        world.bucket.put(key.replace("01-01", "01-02"), body, content_type="x", metadata=found.metadata)
    world.clock.now += DAY
    world.finish(run=OTHER_RUN, snapshot_date="2026-01-02")
    assert {key: world.bucket.bodies().get(key) for key in yesterday} == yesterday


@pytest.mark.parametrize("parameters", [{}, {"rows_per_file": 5}], ids=["one file", "several files"])
@pytest.mark.parametrize(
    "named",
    [
        "secrets/payroll.csv",
        f"kore/lists/{PARTITION}../../x",
        f"kore/lists/{PARTITION}contacts_quality_report.json",
        "",
    ],
)
def test_a_forged_manifest_deletes_nothing_that_it_names(parameters: dict[str, Any], named: str) -> None:
    world = unwatched(World(contacts=12, parameters=parameters))
    world.finish()
    stored = world.stored_manifest()
    assert stored is not None
    content = json.loads(stored.to_bytes())
    content["files"].append({**content["files"][0], "key": named, "rows": 0})
    world.bucket.put(world.layout.manifest, json.dumps(content).encode(), content_type="x")
    before = {}
    if named and named[0] == "s":
        world.bucket.put(named, b"not ours", content_type="x")
        before = {named: b"not ours"}
    if named:
        world.finish(generation=2)
    else:
        with pytest.raises(CorruptSnapshotError, match="Move it away"):
            world.finish(generation=2)
    assert {key: world.bucket.bodies()[key] for key in before} == before


def test_a_published_object_is_never_deleted_where_a_snapshot_is_one_file() -> None:
    world = World(contacts=12)
    world.finish()
    for day in range(3):
        process = world.finish(generation=day)
        assert not any(effect.startswith(("delete kore/lists",)) for effect in process.effects)


def test_each_deleted_file_of_a_replaced_snapshot_is_in_the_log() -> None:
    world = World(contacts=12, parameters={"rows_per_file": 2})
    first = world.finish()
    assert first.manifest is not None
    with world.listening() as log:
        world.hold(world.finish(generation=2))
    said = "\n".join(line for line in log.lines if line.startswith("Deleted from s3://"))
    assert all(key.rpartition("/")[2] in said for key in first.manifest.keys)


NAMES = st.sampled_from(
    [
        "contacts_quality_report.json",
        "contacts-2025.jsonl.gz",
        "contacts.backup.jsonl.gz",
        "contacts-0123456789ab-01234567-00000.jsonl.gz",
        "contacts-0123456789ab-01234567-00000.parquet.tmp",
        "_SUCCESS",
        ".hidden",
        "_staging/contacts.jsonl.gz",
    ]
)
PLACES = st.sampled_from(
    [
        f"kore/lists/{PARTITION}",
        f"kore/lists/contact_list_id={LIST_ID}/snapshot_date=2025-12-01/",
        f"kore/lists/contact_list_id={LIST_ID}/",
        "kore/lists/",
        "kore/_staging/",
        "kore/_staging/lists/",
        "kore/_staging/lists/dag/land/",
        "kore/_staging/lists/dag/land/0123456789abcdef-0123456789abcdef/",
        "",
        "elsewhere/",
    ]
)
METADATA = st.sampled_from([{}, {"kore-run": "x"}, {"kore-snapshot-id": "ffffffffffff", "kore-run": "x"}])


@pytest.mark.slow
@given(
    neighbours=st.lists(st.tuples(PLACES, NAMES, METADATA), max_size=8),
    uploads=st.lists(st.tuples(PLACES, NAMES), max_size=4),
    split=st.booleans(),
    days=st.integers(0, 40),
)
@settings(max_examples=100, deadline=None)
def test_nothing_but_our_own_is_ever_deleted(
    neighbours: list[tuple[str, str, dict[str, str]]], uploads: list[tuple[str, str]], split: bool, days: int
) -> None:
    world = unwatched(World(contacts=6, parameters={"rows_per_file": 2} if split else {}))
    world.finish()
    if not split:  # readers would count it too, which is refused by name
        neighbours = [each for each in neighbours if each[0] != f"kore/lists/{PARTITION}" or each[1][0] in "_."]
    foreign = {place + name: (b"theirs", metadata) for place, name, metadata in neighbours}
    for key, (body, metadata) in foreign.items():
        world.bucket.put(key, body, content_type="x", metadata=metadata)
    theirs = [world.bucket.create_upload(place + name, content_type="x").key for place, name in uploads]
    theirs = [key for key in theirs if not world.layout.is_published(key, any_date=True)]
    world.clock.now += days * DAY
    world.vendor.append(1)
    world.finish(run=OTHER_RUN)
    world.finish(generation=7)
    there = world.bucket.bodies()
    assert {key: there.get(key) for key in foreign} == {key: body for key, (body, _) in foreign.items()}
    still = [each.key for each in world.bucket.uploads()]
    assert all(still.count(key) >= theirs.count(key) for key in theirs)


@pytest.mark.parametrize(
    ("prefix", "staging"),
    [
        ("kore/lists", ""),
        ("kore/lists", "kore"),
        ("kore/lists", "kore/lists"),
        ("kore/lists", "kore/lists/_staging"),
        ("a/b/c", "a"),
        ("a/b/c", "a/b"),
        ("", "staging"),
    ],
)
def test_staging_and_table_never_lie_in_each_other(prefix: str, staging: str) -> None:
    with pytest.raises(ParameterError) as caught:
        World(parameters={"s3_prefix": prefix, "staging_prefix": staging})
    assert caught.value.parameter == "staging_prefix"


@pytest.mark.parametrize(
    ("prefix", "staging"), [("a/b", "a/bc"), ("a/bc", "a/b"), ("", "_staging"), ("a", "_staging/a")]
)
def test_neighbours_by_name_are_no_overlap(prefix: str, staging: str) -> None:
    world = World(contacts=6, parameters={"s3_prefix": prefix, "staging_prefix": staging})
    world.hold(world.finish())


def test_keys_that_s3_would_refuse_are_refused_before_a_request() -> None:
    world = World(parameters={"run": replace(RUN, dag_id="d" * 250, task_id="ü" * 250), "s3_prefix": "p" * 400})
    with pytest.raises(ParameterError, match="1,024"):
        world.process().run()
    assert world.vendor.requests == 0


# --- "this run has published already" ---

CHANGES: dict[str, dict[str, Any]] = {
    "a policy": {"policies": FieldPolicies.parse(None, {"phoneNumber": "mask"})},
    "fields": {"policies": FieldPolicies.parse({"drop": ["firstName"]}, None)},
    "rows per file": {"rows_per_file": 5},
    "drift": {"on_drift": "fail"},
    "least": {"min_contacts": 3},
    "encryption": {"made_with": {"encryption": "aws:kms"}},
    "another Clear": {"generation": 2},
    "a run of the same id": {"generation": 2, "try_number": 1},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_what_is_found_again_is_what_this_try_would_make(changes: dict[str, Any]) -> None:
    world = unwatched(World(contacts=12))
    first = world.finish(generation=1)
    before = world.vendor.requests
    assert world.finish(generation=1).manifest == first.manifest
    assert world.vendor.requests == before, "the very same is found again"
    again = world.finish(**{"generation": 1, **changes})
    assert world.vendor.requests > before
    assert again.manifest is not None
    assert again.manifest.snapshot_id != first.manifest.snapshot_id  # type: ignore[union-attr]


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_with_replace_false_too_the_old_snapshot_does_not_pass_for_another(changes: dict[str, Any]) -> None:
    world = unwatched(World(contacts=12, parameters={"replace": False}))
    first = world.finish(generation=1, try_number=1)
    try:
        again = world.finish(**{"generation": 1, "try_number": 2, **changes})
    except SnapshotExistsError:
        assert changes["try_number"] == 1
    else:
        assert again.asked, "a person's Clear takes this run's own snapshot anew"
        assert again.manifest != first.manifest


@pytest.mark.parametrize("change", ["deleted", "overwritten"])
def test_several_files_are_found_again_only_if_all_are_there(change: str) -> None:
    world = unwatched(World(contacts=12, parameters={"rows_per_file": 5, "generation": 1}))
    first = world.finish()
    assert first.manifest is not None
    if change == "deleted":
        world.bucket.delete(first.manifest.keys[1:2])
    else:
        world.bucket.put(first.manifest.keys[1], b"x", content_type="x")
    again = world.finish()
    assert again.asked
    world.hold(again, leftovers=change == "overwritten")  # what was put there instead is not ours


@pytest.mark.parametrize("started", ["2099-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "zzzz", ""])
@pytest.mark.parametrize("parameters", [{}, {"rows_per_file": 5}], ids=["one file", "several files"])
def test_nothing_gives_way_to_a_snapshot_of_the_future(started: str, parameters: dict[str, Any]) -> None:
    world = World(contacts=12, parameters=parameters)
    world.finish(run=OTHER_RUN)
    stored = world.stored_manifest()
    assert stored is not None
    content = json.loads(stored.to_bytes())
    content["walk"]["started_at"] = started if started.endswith("Z") else "2099-01-01T00:00:00.000Z"
    for key in [*stored.keys, world.layout.manifest]:
        found = world.bucket.head(key)
        assert found is not None
        body = json.dumps(content).encode() if key == world.layout.manifest else world.bucket.bodies(key)[key]
        world.bucket.put(key, body, content_type="x", metadata={**found.metadata, "kore-walk-started": started})
    world.clock.now += 60
    process = world.finish()
    assert process.asked


def test_an_endless_list_ends_with_both_numbers() -> None:
    world = World(contacts=30, parameters={"max_rows": 20})
    with pytest.raises(OversizedError, match="30 contacts or more, and max_contacts is 20"):
        world.process().run()
    assert len(world.processes[0].asked) == 1, "the first page tells"
    world = World(contacts=10, events={at: [append(10)] for at in range(2, 500)}, parameters={"max_rows": 100})
    with pytest.raises(OversizedError):
        world.process().run()


@pytest.mark.parametrize("form", [{}, {"rows_per_file": 5}], ids=str)
def test_what_is_put_in_the_place_of_the_manifest_meanwhile_costs_nothing_that_was_read(form: dict[str, Any]) -> None:
    world = unwatched(World(contacts=40, parameters=form))

    def litter(process: Any, number: int) -> None:
        if process.asked and world.layout.manifest not in world.bucket.bodies():
            world.bucket.put(world.layout.manifest, b"garbage", content_type="x/y")

    process = world.process(on_effect=litter)
    process.run()
    world.hold(process)


@pytest.mark.parametrize("conditions", ["honoured", "refused", "ignored"])
@pytest.mark.parametrize("form", [{}, {"rows_per_file": 5}], ids=str)
def test_a_walk_that_began_earlier_never_replaces_a_later_one_that_landed_while_it_went_on(
    conditions: str, form: dict[str, Any]
) -> None:
    """Where nothing fences off two writers of one moment, the hours of a walk are no such moment."""
    ignored = ["put_create", "put_swap", "complete_create", "complete_swap"] if conditions == "ignored" else []
    honours = {"honoured": True, "refused": False, "ignored": None}[conditions]
    world = World(contacts=40, honours_conditions=honours, ignored=frozenset(ignored), parameters=form)
    others: list[Any] = []

    def land_another(process: Any, number: int) -> None:
        if len(process.asked) > 4 and not others:
            world.clock.now += 60
            others.append(world.process(run=OTHER_RUN, try_number=1))
            others[0].run()

    with pytest.raises(SupersededError):
        world.process(on_effect=land_another).run()
    world.hold(others[0])


@pytest.mark.parametrize("shown", [True, False])
def test_a_manifest_whose_answers_are_all_lost_names_files_that_are_there(shown: bool) -> None:
    """Where it shows it counts as written; where it does not, its files stay."""
    world = World(contacts=12, parameters={"rows_per_file": 5})
    process = world.process()
    put = process.store.put

    def lose(key: str, body: Any, *args: Any, **more: Any) -> Any:
        written = put(key, body, *args, **more)
        if key != world.layout.manifest:
            return written
        if not shown:  # by another byte of the same meaning
            put(key, body + b" ", content_type="x/y")
        raise ConditionFailed(key, True)  # it was sent twice, and the second time met what the first had written

    process.store.put = lose  # type: ignore[method-assign]
    with nullcontext() if shown else pytest.raises(ContentionError):
        process.run()
    (snapshot,) = world.snapshots()
    assert snapshot == world.vendor.ids
