"""The commit: what replaces what, who gives way, and what the manifest says of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from model_vendor import PRIVATE, append, exchange
from model_world import OTHER_RUN, World

from airflow_provider_kore.exceptions import (
    ContentionError,
    ParameterError,
    PausedError,
    ScopeError,
    ServerError,
    SnapshotExistsError,
    StoppedError,
    StoreUnavailableError,
    SupersededError,
)
from airflow_provider_kore.snapshot.fields import FieldPolicies

DOCS = Path(__file__).parents[2] / "docs" / "manifest.md"
SCHEMA = Path(__file__).parents[2] / "airflow_provider_kore" / "snapshot" / "manifest.schema.json"
FORMS: list[dict[str, Any]] = [
    {},
    {"file_format": "parquet", "rows_per_file": 5},
    {"file_format": "csv"},
    {"on_drift": "accept"},
    {
        "policies": FieldPolicies.parse({"drop": ["firstName"]}, {"phoneNumber": "hash", "nobody": "mask"}).with_key(
            b"a-key-of-thirty-two-bytes-------", "k-1"
        )
    },
]


def keys_of(value: object, prefix: str = "") -> set[str]:
    """Return every key of a manifest as the page spells it: ``walk.pages``, ``files[].key``."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{prefix}.{key}" if prefix else key
            found.add(path)
            if path != "fields.policies":  # its keys are the author's field names
                found |= keys_of(inner, path)
    elif isinstance(value, list):
        for inner in value:
            found |= keys_of(inner, f"{prefix}[]")
    return found


@pytest.mark.parametrize("form", FORMS, ids=["plain", "split", "csv", "accept", "policies"])
def test_every_field_of_a_manifest_is_described(form: dict[str, Any]) -> None:
    world = World(contacts=12, events={4: [exchange(0)]}, parameters=form)
    process = world.finish(logical_date="2026-01-01T00:00:00+00:00")
    assert process.manifest is not None
    first_cells = re.findall(r"^\| (`[^|]+`) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    on_the_page = set(re.findall(r"`([^`]+)`", " ".join(first_cells)))
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]
    in_the_schema = {f"{name}.{key}" for name in ("run", "walk", "incremental") for key in schema[name]["properties"]}
    containers = {"run", "walk", "files", "witnesses.agreed", "witnesses.disagreed", "incremental", "schema", "seal"}
    told = {key.removeprefix("files[].") for key in keys_of(json.loads(process.manifest.to_bytes()))} - containers
    told = {
        key for key in told if not key.startswith(("fields.", "columns[].", "incremental.found.", "schema.columns[]."))
    }
    elsewhere = {"erased", "erasures", "run.item"}  # by an erasure; in a task that lands many lists
    assert told | elsewhere == on_the_page | in_the_schema


def test_the_manifest_says_what_happened() -> None:
    world = World(contacts=12, events={5: [append(3)]})
    process = world.finish(logical_date="2026-01-01T00:00:00+00:00", try_number=3)
    assert process.manifest is not None
    content = process.manifest.content
    assert (content["contacts"], content["total_results"], content["appended_while_reading"]) == (15, 15, 3)
    assert (content["consistent"], content["drift"], content["duplicates_removed"]) == (True, [], 0)
    assert content["walk"]["pages"] == 4
    assert content["walk"]["requests"] == world.vendor.requests
    assert content["run"]["try_number"] == 3
    assert content["files"][0]["rows"] == 15
    head = world.bucket.head(content["files"][0]["key"])
    assert head is not None
    assert head.checksum == content["files"][0]["checksum"]
    assert head.metadata["kore-snapshot-id"] == content["snapshot_id"]
    assert head.metadata["kore-contacts"] == "15"
    assert head.metadata["kore-consistent"] == "true"
    assert PRIVATE not in str(content)


def test_an_accepted_drift_tells_its_numbers() -> None:
    world = World(contacts=12, events={5: [exchange(0)]}, parameters={"on_drift": "accept"})
    with world.listening() as log:
        process = world.finish()
    world.hold(process)
    assert process.manifest is not None
    assert process.manifest.content["consistent"] is False
    assert any("updatedAt went from" in what for what in process.manifest.content["drift"])
    assert any("on_drift is accept" in line for line in log.lines)
    head = world.bucket.head(world.layout.object)
    assert head is not None
    assert head.metadata["kore-consistent"] == "false"


def test_a_policy_for_a_field_that_nobody_has_is_a_warning() -> None:
    policies = FieldPolicies.parse({"drop": ["nobody"]}, None)
    world = World(contacts=12, parameters={"policies": policies})
    with world.listening() as log:
        process = world.finish()
    assert process.manifest is not None
    assert ["nobody" in warning for warning in process.manifest.content["warnings"]] == [True]
    assert any("nobody" in line for line in log.lines)


def test_a_list_without_updated_at_is_a_warning() -> None:
    from model_vendor import Quirks

    process = World(contacts=12, quirks=Quirks(updated_at="refused")).finish()
    assert process.manifest is not None
    assert any("updatedAt" in warning for warning in process.manifest.content["warnings"])


@pytest.mark.parametrize(
    "given",
    [{"honours_conditions": False}, {"honours_conditions": None, "ignored": frozenset({"put_create", "put_swap"})}],
    ids=["known", "found out"],
)
def test_a_store_without_conditional_writes_is_named_in_a_warning(given: dict[str, Any]) -> None:
    world = World(contacts=12, **given)
    with world.listening() as log:
        world.hold(world.finish())
    assert sum("conditional writes" in line for line in log.lines) == 1


def test_a_store_that_honours_them_costs_no_warning() -> None:
    world = World(contacts=12, honours_conditions=None)
    with world.listening() as log:
        world.hold(world.finish())
    assert not any("conditional" in line for line in log.lines)


def test_replace_false_finds_its_own_again_and_refuses_anothers() -> None:
    world = World(contacts=12, parameters={"replace": False})
    first = world.finish()
    before = world.vendor.requests
    again = world.finish()
    assert again.manifest == first.manifest
    with pytest.raises(SnapshotExistsError):
        world.finish(run=OTHER_RUN)
    assert world.vendor.requests == before


def test_an_earlier_walk_gives_way_to_a_later_one() -> None:
    world = World(contacts=12)

    def other(process: Any, number: int) -> None:
        if len(process.asked) == 2 and len(world.processes) == 1:
            world.clock.now += 1
            world.finish(run=OTHER_RUN)

    with pytest.raises(SupersededError, match="newer snapshot stays"):
        world.process(on_effect=other).run()
    world.hold(world.processes[-1], leftovers=True)


def test_another_format_beside_it_is_refused_before_a_request() -> None:
    world = World(contacts=12)
    world.finish()
    before = world.vendor.requests
    with pytest.raises(ParameterError, match=r"contacts\.jsonl\.gz"):
        world.process(file_format="csv", generation=3).run()
    assert world.vendor.requests == before


def test_a_split_snapshot_replaces_one_file_and_names_all_of_its_own() -> None:
    world = World(contacts=12)
    world.finish()
    world.parameters = {"rows_per_file": 5}
    split = world.finish(generation=2)
    assert split.manifest is not None
    assert [file["rows"] for file in split.manifest.content["files"]] == [5, 5, 2]
    assert set(world.bucket.bodies(world.layout.partition)) == {*split.manifest.keys, world.layout.manifest}


def test_an_empty_list_is_a_snapshot_of_nothing() -> None:
    for parameters in ({}, {"rows_per_file": 5}, {"file_format": "parquet"}):
        world = World(contacts=0, parameters=parameters)
        process = world.finish()
        world.hold(process)
        assert process.manifest is not None
        assert process.manifest.rows == 0


def chunks_of(world: World) -> list[str]:
    return [key for key in world.bucket.bodies() if "_staging" in key]


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("parameters", [{}, {"rows_per_file": 5}], ids=["whole", "split"])
def test_who_gives_way_cleans_up_and_a_clear_walks_anew(parameters: dict[str, Any]) -> None:
    world = World(contacts=40, parameters=parameters)

    def other(process: Any, number: int) -> None:
        if len(process.asked) == 9 and len(world.processes) == 1:
            assert chunks_of(world), "there is something to clean up"
            world.clock.now += 1
            world.finish(run=OTHER_RUN)

    with pytest.raises(SupersededError):
        world.process(on_effect=other).run()
    assert chunks_of(world) == []
    assert list(world.bucket.list_uploads("")) == []
    world.hold(world.processes[-1])
    world.clock.now += 60
    cleared = world.finish(generation="cleared")
    assert cleared.manifest is not None
    assert cleared.manifest.content["walk"]["resumed_from"] is None
    world.hold(cleared)


@pytest.mark.usefixtures("small_chunks")
def test_a_snapshot_that_vanishes_right_away_is_no_success_of_anybody_and_is_published_again() -> None:
    world = World(contacts=20)

    def sweep(process: Any, number: int) -> None:
        if len(world.processes) == 1 and world.bucket.head(world.layout.object) is not None:
            world.bucket.delete([world.layout.object])

    with pytest.raises(StoreUnavailableError, match="does not show it"):
        world.process(on_effect=sweep).run()
    again = world.finish()
    assert again.manifest is not None
    assert again.manifest.content["walk"]["resumed_from"] == 20, "nothing is read twice"
    world.hold(again)


@pytest.mark.usefixtures("small_chunks")
def test_what_is_no_snapshot_of_ours_is_nothing_to_give_way_to() -> None:
    world = World(contacts=20)
    sweeps: list[int] = []
    world.look = lambda: None  # type: ignore[method-assign]  # a reader finds theirs, of course

    def overwrite(process: Any, number: int) -> None:
        found = world.bucket.head(world.layout.object)
        if len(world.processes) == 1 and found is not None and found.metadata:
            sweeps.append(1)
            world.bucket.put(world.layout.object, b"theirs", content_type="x/y")

    with pytest.raises(ContentionError, match="no newer snapshot"):
        world.process(on_effect=overwrite).run()
    assert sweeps
    again = world.finish()
    assert again.manifest is not None
    assert again.manifest.content["walk"]["resumed_from"] == 20


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(
    ("error", "parameters", "said"),
    [
        (ServerError("The server failed."), {}, "; a retry continues there."),
        (ServerError("The server failed."), {"retry_follows": False}, "; clear the task to continue there."),
        (ScopeError("The scope is missing."), {}, "; clear the task to continue there."),
        (StoppedError("Told to stop."), {"retry_follows": False}, "; a retry or a Clear continues there."),
        (PausedError("Pausing.", 60.0), {}, "; the task continues there after the wait."),
        (ScopeError("The scope is missing."), {"durable": False}, None),
    ],
)
def test_who_continues_is_said_as_it_is(error: Exception, parameters: dict[str, Any], said: str | None) -> None:
    world = World(contacts=40, parameters=parameters)

    failures = [error]

    def fail(process: Any, number: int) -> None:
        if len(process.asked) >= 8 and failures:
            raise failures.pop()

    with world.listening() as log, pytest.raises(type(error)):
        world.process(on_effect=fail).run()
    lines = [line for line in log.lines if line.startswith("Checkpointed at contact ")]
    assert [line.partition(";")[2] for line in lines] == ([said[1:]] if said else [])
