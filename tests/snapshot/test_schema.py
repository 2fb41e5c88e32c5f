"""The table over days, as snapshots land it: from the last manifest, whatever happened meanwhile."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from model_vendor import append, exchange
from model_world import OTHER_RUN, RUN, World
from pyarrow import parquet

from airflow_provider_kore.exceptions import (
    FatalError,
    ParameterError,
    RequestRefusedError,
    SchemaChangedError,
)
from airflow_provider_kore.snapshot.fields import FieldPolicies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_world import Process

    from airflow_provider_kore.snapshot.manifest import Manifest

PARQUET = {"file_format": "parquet"}
CSV = {"file_format": "csv"}
TABLES: list[dict[str, Any]] = [
    PARQUET,
    CSV,
    {**PARQUET, "rows_per_file": 5},
    {**CSV, "rows_per_file": 5},
    {**PARQUET, "durable": False},
]
DAYS = [f"2026-01-{day:02d}" for day in range(1, 9)]
ARROW = {"json": "string", "boolean": "bool", "timestamp[ms, UTC]": "timestamp[ms, tz=UTC]"}
OWN = ["_id", "createdAt", "updatedAt", "phoneNumber", "firstName"]


def fill(world: World, *rows: str) -> None:
    """Give the contacts these members, in turn, in the place of those they were given before."""
    for at, contact in enumerate(world.vendor._held):
        contact.render(created_at=True)
        if members := rows[at % len(rows)] if rows else "":
            contact.text = f"{contact.text[:-1]}, {members}}}"


def land(world: World, day: int, **changes: Any) -> Manifest:
    world.clock.now += 86_400
    world.vendor._touch()
    process = world.finish(snapshot_date=DAYS[day], try_number=1, **changes)
    assert process.manifest is not None
    return process.manifest


def columns(manifest: Manifest) -> list[str]:
    return [each["name"] for each in manifest.content["schema"]["columns"]]


def types(manifest: Manifest) -> dict[str, str | None]:
    return {each["name"]: each["type"] for each in manifest.content["schema"]["columns"]}


def check_files(world: World, manifest: Manifest) -> None:
    """Hold what the manifest says of the columns against the files themselves."""
    for file in manifest.files:
        body = world.bucket.bodies(file["key"])[file["key"]]
        if file["key"].endswith(".parquet"):
            schema = parquet.read_schema(io.BytesIO(body))
            assert schema.names == columns(manifest)
            wanted = [ARROW.get(type_ or "", type_) for type_ in types(manifest).values()]
            assert [str(each.type) for each in schema] == wanted
        elif ".csv" in file["key"]:
            assert next(csv.reader(io.StringIO(gzip.decompress(body).decode()))) == columns(manifest)
        assert [each["name"] for each in file["columns"]] == columns(manifest)


@pytest.mark.parametrize("form", TABLES, ids=str)
def test_a_column_keeps_its_place_and_a_new_one_comes_last_and_an_empty_day_has_all_of_them(
    form: dict[str, Any],
) -> None:
    world = World(contacts=12, parameters={"max_shrink": 1, **form})
    fill(world, '"b": "x", "a": "y"')
    first = land(world, 0)
    fill(world, '"c": "z", "a": "y"')
    second = land(world, 1)
    assert columns(second) == [*OWN, "b", "a", "c"]
    assert second.content["schema"]["changes"] == [{"column": "c", "change": "added", "from": None, "to": "string"}]
    assert second.content["schema"]["from"] == {"snapshot_date": DAYS[0], "snapshot_id": first.snapshot_id}
    world.vendor._held.clear()
    world.vendor._note()
    third = land(world, 2)
    assert third.rows == 0
    assert columns(third) == columns(second)
    assert types(third) == types(second)
    assert third.content["schema"]["changes"] == []
    for manifest in (first, second, third):
        check_files(world, manifest)


@pytest.mark.parametrize("form", [PARQUET, {**PARQUET, "rows_per_file": 5}], ids=str)
def test_a_column_without_a_value_for_a_day_keeps_its_type(form: dict[str, Any]) -> None:
    world = World(contacts=12, parameters=form)
    fill(world, '"n": 1, "f": 1.5, "t": true, "j": [1], "s": "x"')
    first = land(world, 0)
    fill(world, '"n": null, "f": null', '"t": null, "j": null')
    second = land(world, 1)
    fill(world, '"n": 2, "f": 3, "t": false, "j": {}, "s": 17')
    third = land(world, 2)
    assert types(first) == types(second) == types(third)
    assert {name: types(first)[name] for name in "nftjs"} == {
        "n": "int64",
        "f": "double",
        "t": "boolean",
        "j": "json",
        "s": "string",
    }
    check_files(world, third)


def test_a_value_that_does_not_fit_ends_the_run_at_its_page_and_before_anything_is_published() -> None:
    world = World(contacts=40, parameters=PARQUET)
    fill(world, '"score": 1')
    land(world, 0)
    before = world.bucket.bodies(world.layout.list_prefix)
    fill(world, *['"score": 1'] * 9, '"score": "n/a"', *['"score": 1'] * 30)
    world.clock.now += 60
    process = world.process(snapshot_date=DAYS[1])
    with pytest.raises(SchemaChangedError, match=r"'score' is int64 and has string now\. .*on_schema_change=\"text\""):
        process.run()
    assert world.bucket.bodies(world.layout.list_prefix) == before
    assert max(process.asked) <= 8 + 4, "the value stands in the page at offset 8"
    assert issubclass(SchemaChangedError, FatalError)
    world.hold_privacy()


def test_what_once_is_text_stays_text_whatever_its_author_has_declared() -> None:
    declared = [{"name": "score", "type": "double"}]
    world = World(contacts=8, parameters={**PARQUET, "columns": declared, "on_schema_change": "text"})
    found = []
    for day, value in enumerate(("1", '"n/a"', "1.5")):
        fill(world, f'"score": {value}')
        found.append(types(land(world, day))["score"])
    assert found == ["double", "string", "string"]
    assert types(land(world, 3, on_schema_change="widen"))["score"] == "double", "unless text is not wanted any more"


@pytest.mark.parametrize(
    "prefix", ["schema=v1/kore", "run=1", "stream_id=crm/a", "compression=none", "contacts=3/a", "consistent=yes"]
)
def test_a_prefix_may_have_the_form_of_partition_keys(prefix: str) -> None:
    world = World(contacts=8, parameters={**PARQUET, "s3_prefix": prefix})
    fill(world, '"n": 1')
    land(world, 0, generation="g")
    process = world.process(snapshot_date=DAYS[0], generation="g")
    process.run()
    assert process.asked == [], "it knows its own"
    fill(world)
    assert types(land(world, 1))["n"] == "int64"


@pytest.mark.parametrize("without_schema", [True, False])
def test_a_type_that_there_is_not_makes_no_column_of_it(without_schema: bool) -> None:
    world = World(contacts=8, parameters=PARQUET)
    fill(world, '"n": 1')
    land(world, 1)
    key = f"{world.layout.list_prefix}snapshot_date={DAYS[1]}/_manifest.json"
    edited = world.bucket.bodies(key)[key].replace(b'"int64"', b'"decimal(3)"')
    old = json.loads(edited)
    if without_schema:
        del old["schema"]
    world.bucket.put(key, json.dumps(old).encode(), content_type="x/y")
    assert types(land(world, 2))["n"] == "int64"


def test_what_was_read_before_is_continued_with_text_and_it_stays_text() -> None:
    world = World(contacts=40, parameters=PARQUET)
    fill(world, '"score": 1')
    land(world, 0)
    fill(world, *['"score": 1'] * 9, '"score": "n/a"', *['"score": 1'] * 30)
    world.clock.now += 60
    with pytest.raises(SchemaChangedError):
        world.process(snapshot_date=DAYS[1]).run()
    process = world.finish(snapshot_date=DAYS[1], on_schema_change="text")
    assert process.manifest is not None
    assert min(process.asked) > 0, "what was checkpointed is not read again, but for the page that proves it"
    assert types(process.manifest)["score"] == "string"
    assert process.manifest.content["schema"]["changes"] == [
        {"column": "score", "change": "text", "from": "int64", "to": "string"}
    ]
    check_files(world, process.manifest)
    fill(world, '"score": 1')
    for number, how in enumerate(("fail", "widen", "text")):
        manifest = land(world, 2 + number, on_schema_change=how)
        assert types(manifest)["score"] == "string"
        assert manifest.content["schema"]["changes"] == []


def test_a_value_that_was_put_right_meanwhile_is_read_anew() -> None:
    world = World(contacts=40, parameters=PARQUET)
    fill(world, '"score": 1')
    land(world, 0)
    fill(world, *['"score": 1'] * 9, '"score": "n/a"', *['"score": 1'] * 30)
    with pytest.raises(SchemaChangedError):
        world.process(snapshot_date=DAYS[1]).run()
    fill(world, '"score": 2')
    manifest = land(world, 1)
    assert types(manifest)["score"] == "int64"


def test_nested_values_widen_to_text_which_they_are_already() -> None:
    world = World(contacts=8, parameters=PARQUET)
    fill(world, '"tags": ["a"]')
    land(world, 0)
    fill(world, '"tags": "a"')
    manifest = land(world, 1)
    assert manifest.content["schema"]["changes"] == [
        {"column": "tags", "change": "widened", "from": "json", "to": "string"}
    ]
    fill(world, '"tags": ["a"]')
    assert types(land(world, 2))["tags"] == "string"
    fresh = World(contacts=8, parameters={**PARQUET, "on_schema_change": "fail"})
    fill(fresh, '"tags": ["a"]')
    land(fresh, 0)
    fill(fresh, '"tags": "a"')
    with pytest.raises(SchemaChangedError):
        land(fresh, 1)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("form", [PARQUET, CSV], ids=str)
@pytest.mark.parametrize("at", [12, 16, 20])
def test_a_walk_that_was_continued_has_the_same_columns(form: dict[str, Any], at: int) -> None:
    def day(*, dies: bool) -> tuple[Any, ...]:
        world = World(contacts=30, parameters={**form, "page_size": 4})
        fill(world, '"b": 1, "a": {}')
        land(world, 0)
        fill(world, '"c": 2.5', *['"a": null'] * 20, '"late": true')
        world.clock.now += 60
        if dies:
            assert world.dies(at, "after", snapshot_date=DAYS[1])
        process = world.finish(snapshot_date=DAYS[1])
        assert process.manifest is not None
        (key,) = process.manifest.keys
        return process.manifest.content["schema"]["columns"], world.bucket.bodies(key)[key]

    assert day(dies=True) == day(dies=False)


def test_the_table_goes_on_from_a_snapshot_that_is_not_consistent() -> None:
    """Readers read it, too; a list that always changes would never have a table otherwise."""
    world = World(contacts=12, parameters={**PARQUET, "on_drift": "accept", "max_shrink": 1})
    fill(world, '"n": 1')
    world.vendor.events = {world.vendor.requests + 4: [exchange(0)]}
    assert land(world, 0).consistent is False
    world.vendor.events = {}
    fill(world)
    assert columns(land(world, 1)) == [*OWN, "n"]


def test_a_day_that_is_landed_again_goes_on_from_itself_and_tells_what_changed_since_the_day_before() -> None:
    world = World(contacts=8, parameters=PARQUET)
    first = land(world, 0)
    fill(world, '"new": 1')
    land(world, 1)
    fill(world)
    again = land(world, 1, run=OTHER_RUN)
    assert columns(again) == [*OWN, "new"]
    assert [each["column"] for each in again.content["schema"]["changes"]] == ["new"]
    assert again.content["schema"]["from"]["snapshot_id"] == first.snapshot_id


def test_a_table_that_changes_its_format_keeps_names_and_order_and_types_from_what_has_types() -> None:
    world = World(contacts=8, parameters={"max_shrink": 1})
    fill(world, '"b": 1, "a": 1.5')
    land(world, 1, file_format="csv")
    fill(world, '"c": 1, "a": 1, "b": 2')
    second = land(world, 2, file_format="parquet")
    assert columns(second)[len(OWN) :] == ["b", "a", "c"]
    assert types(second)["a"] == "int64", "csv had no type for it"
    third = land(world, 3, file_format="jsonl")
    assert columns(third) == columns(second)
    assert set(types(third).values()) == {None}
    assert columns(land(world, 4, file_format="csv")) == columns(second)
    fill(world, '"a": null')
    assert types(land(world, 5, file_format="parquet"))["a"] == "int64", "as in the parquet files of before"


def test_fields_of_a_table_without_columns_get_none_where_they_are_left_out_now() -> None:
    world = World(contacts=8)
    fill(world, '"b": 1, "a": 1.5')
    land(world, 1)
    policies = FieldPolicies.parse(["firstName", "a"])
    assert columns(land(world, 2, file_format="csv", policies=policies)) == ["_id", "firstName", "a"]
    whole = land(world, 3, file_format="csv")
    assert columns(land(world, 4, file_format="csv", policies=policies)) == columns(whole), "each keeps its place"


def test_manifests_of_before_are_gone_on_from_as_well() -> None:
    world = World(contacts=8, parameters=PARQUET)
    fill(world, '"n": 1')
    land(world, 0)
    key = f"{world.layout.list_prefix}snapshot_date={DAYS[0]}/_manifest.json"
    old = json.loads(world.bucket.bodies(key)[key])
    for name in ("schema", "previous", "replaces"):
        del old[name]
    world.bucket.put(key, json.dumps(old).encode(), content_type="x/y")
    fill(world)
    assert types(land(world, 1))["n"] == "int64"


@pytest.mark.parametrize("damage", [b"{}", b"[", b'{"schema_version": 1}'], ids=repr)
def test_a_damaged_manifest_gives_no_columns_and_the_one_before_does(damage: bytes) -> None:
    world = World(contacts=8, parameters=PARQUET)
    fill(world, '"n": 1')
    land(world, 0)
    world.clock.now += 60
    key = f"{world.layout.list_prefix}snapshot_date={DAYS[5]}/_manifest.json"
    world.bucket.put(key, damage, content_type="x/y")
    fill(world)
    with world.listening() as said:
        assert types(land(world, 1))["n"] == "int64"
    assert any("Passed over" in line and DAYS[5] in line for line in said.lines)


def test_where_no_manifest_can_be_used_that_is_said() -> None:
    world = World(contacts=8, parameters=PARQUET)
    world.bucket.put(f"{world.layout.list_prefix}snapshot_date={DAYS[5]}/_manifest.json", b"{}", content_type="x/y")
    with world.listening() as said:
        land(world, 1)
    assert any("columns and types begin anew" in line for line in said.lines)


def test_what_changed_of_the_columns_is_said() -> None:
    world = World(contacts=8, parameters={**PARQUET, "on_schema_change": "text"})
    fill(world, '"n": 1')
    land(world, 0)
    members = ", ".join(f'"x{number}": 1' for number in range(12))
    fill(world, f'"n": "x", {members}')
    with world.listening() as said:
        land(world, 1)
    (line,) = [line for line in said.lines if "have changed" in line]
    assert "'n' is string now" in line
    assert "'x0' is new" in line
    assert "and 3 more." in line


def test_a_manifest_that_cannot_be_had_is_told_in_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(contacts=8, parameters={**PARQUET, "max_shrink": 1})
    land(world, 0)
    process = world.process(snapshot_date=DAYS[1])
    get = process.store.get

    def refuse(key: str) -> Any:
        if DAYS[0] in key:
            raise RequestRefusedError("It is archived.")
        return get(key)

    monkeypatch.setattr(process.store, "get", refuse)
    (warning,) = process.run().content["warnings"]
    assert "columns and types" in warning


def test_a_manifest_full_of_wild_columns_ends_in_a_clear_error_at_the_first_page() -> None:
    world = World(contacts=8, parameters=CSV)
    land(world, 0)
    key = f"{world.layout.list_prefix}snapshot_date={DAYS[0]}/_manifest.json"
    wild = json.loads(world.bucket.bodies(key)[key])
    wild["schema"]["columns"] = [{"name": "_id"}, *({"name": f"wild {number}\n"} for number in range(1_999))]
    world.bucket.put(key, json.dumps(wild).encode(), content_type="x/y")
    process = world.process(snapshot_date=DAYS[1])
    with pytest.raises(ParameterError, match=r"had \(2,000\).*fields=.*another s3_prefix"):
        process.run()
    assert len(process.asked) <= 2


@pytest.mark.parametrize("form", [CSV, PARQUET], ids=str)
def test_names_that_a_file_spells_otherwise_are_one_column_over_days(form: dict[str, Any]) -> None:
    world = World(contacts=8, parameters={**form, "incremental": True, "generation": "1"})
    fill(world, '"two\\nlines": 1, "half \\ud800": "x"')
    first = land(world, 0)
    for day in (1, 2):
        world.vendor.append(1)
        fill(world, '"two\\nlines": 2, "half \\ud800": "x"')
        manifest = land(world, day)
        assert columns(manifest) == columns(first)
        assert manifest.content["schema"]["changes"] == []
        check_files(world, manifest)
    (field,) = [each["field"] for each in manifest.content["schema"]["columns"] if each["name"] == "half \\ud800"]
    assert field == "half \ud800"


# --- Incremental ------------------------------------------------------------------------------------------------------


def both(world: World, day: int, **changes: Any) -> tuple[Process, Manifest]:
    """Land a day incrementally, and as a walk over all of the list would."""
    world.clock.now += 86_400
    ahead = world.bucket.clone()
    changes |= {"snapshot_date": DAYS[day], "try_number": 1}
    process = world.process(**changes, incremental=True)
    process.run()
    assert process.manifest is not None
    mine = [world.bucket.bodies(key)[key] for key in process.manifest.keys]
    kept, world.bucket = world.bucket, ahead
    whole = world.finish(**changes, incremental=False).manifest
    assert whole is not None
    assert mine == [ahead.bodies(key)[key] for key in whole.keys]
    left, right = process.manifest.content["schema"], whole.content["schema"]
    assert left == right
    world.bucket = kept
    return process, process.manifest


@pytest.mark.parametrize("form", [*TABLES[:4], {}], ids=str)
def test_an_incremental_snapshot_has_the_columns_that_a_walk_over_all_of_the_list_gives(form: dict[str, Any]) -> None:
    world = World(contacts=60, parameters={"generation": "1", "max_shrink": 1, **form})
    fill(world, '"gone": 1, "n": 5')
    land(world, 0)
    fill(world, '"n": 5', '"tags": {"a": 1}')
    land(world, 1)
    world.vendor.append(3)
    for contact in world.vendor._held[-3:]:
        contact.text = f'{contact.text[:-1]}, "brand new": 1.5}}'
    process, manifest = both(world, 2)
    assert manifest.content["incremental"]["based_on"] is not None
    assert columns(manifest) == [*OWN, "gone", "n", "tags", "brand new"]
    assert len([effect for effect in process.effects if effect.startswith("http")]) < 10
    check_files(world, manifest)
    both(world, 3)


@pytest.mark.parametrize("form", [{}, CSV], ids=str)
def test_odd_names_are_the_same_column_in_an_incremental_snapshot(form: dict[str, Any]) -> None:
    world = World(contacts=60, parameters={"generation": "1", "max_shrink": 1, **form})
    fill(world, '"half \\ud800": 1, "two\\nlines": 1, "": 1')
    land(world, 0)
    world.vendor.append(2)
    _, manifest = both(world, 1)
    assert manifest.content["schema"]["changes"] == []
    assert (manifest.content["incremental"]["based_on"] is None) == bool(form)


def test_a_new_contact_that_does_not_fit_ends_an_incremental_run_or_makes_text_of_all_the_list() -> None:
    world = World(contacts=60, parameters={"generation": "1", **PARQUET})
    fill(world, '"n": 5')
    land(world, 0)
    world.vendor.append(1)
    contact = world.vendor._held[-1]
    contact.text = f'{contact.text[:-1]}, "n": "x"}}'
    with pytest.raises(SchemaChangedError, match="'n' is int64"):
        world.process(snapshot_date=DAYS[1], incremental=True, try_number=1).run()
    manifest = world.finish(snapshot_date=DAYS[1], incremental=True, try_number=1, on_schema_change="text").manifest
    assert manifest is not None
    assert types(manifest)["n"] == "string"
    assert manifest.content["incremental"]["based_on"] is None
    assert "'n' was int64" in manifest.content["incremental"]["whole_because"]


# --- columns= ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", TABLES, ids=str)
def test_the_author_fixes_what_comes_first_and_no_other_field_is_lost(form: dict[str, Any]) -> None:
    world = World(contacts=8, parameters={**form, "columns": ["region", "firstName", "never"]})
    fill(world, '"b": "x", "region": "EU"')
    manifest = land(world, 0)
    assert columns(manifest) == ["_id", "region", "firstName", "never", *OWN[1:4], "b"]
    assert manifest.content["warnings"] == ["No contact has the field 'never' that columns names."]
    check_files(world, manifest)
    fill(world, '"c": "x"')
    assert columns(land(world, 1))[-2:] == ["b", "c"]


def test_types_that_the_author_fixes_hold_from_the_first_day() -> None:
    wanted = [{"name": "n", "type": "double"}, {"name": "at", "type": "timestamp"}, "x"]
    world = World(contacts=8, parameters={**PARQUET, "columns": wanted})
    fill(world, '"n": 1, "at": "2026-01-02T03:04:05Z", "x": true')
    manifest = land(world, 0)
    assert {name: types(manifest)[name] for name in ("n", "at", "x")} == {
        "n": "double",
        "at": "timestamp[ms, UTC]",
        "x": "boolean",
    }
    check_files(world, manifest)
    for day, how in enumerate(("widen", "fail"), 1):
        fill(world, '"n": "n/a"')
        with pytest.raises(SchemaChangedError, match="'n' is double and has string now"):
            land(world, day, on_schema_change=how)
    assert types(land(world, 3, on_schema_change="text"))["n"] == "string"


def test_what_the_author_changes_of_a_table_is_told() -> None:
    world = World(contacts=8, parameters=PARQUET)
    fill(world, '"n": 1')
    land(world, 0)
    manifest = land(world, 1, columns=["firstName", {"name": "n", "type": "double"}])
    assert columns(manifest)[:3] == ["_id", "firstName", "n"]
    assert manifest.content["schema"]["changes"] == [
        {"column": "n", "change": "retyped", "from": "int64", "to": "double"}
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("firstName", "pass a list of names"),
        ({"n": "double"}, "pass a list of names"),
        ([1], "pass a list of names"),
        ([{"type": "double"}], "pass a list of names"),
        ([{"name": "n", "type": "varchar"}], "the type 'varchar'"),
        ([{"name": "n", "typ": "double"}], "holds"),
        (["a", "a"], "'a' twice"),
        (["a", "_id"], "elsewhere than first"),
        ([{"name": "_id", "type": "int64"}], "always is"),
        ([f"x{number}" for number in range(2_001)], "more than 2,000"),
        ("[not a list", "pass a list"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_columns_that_are_none_are_refused_with_what_to_pass(given: Any, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        World(parameters={**PARQUET, "columns": given})


@pytest.mark.parametrize(
    "given",
    [["n", "m"], ("n", "m"), '["n", "m"]', "['n', {'name': 'm'}]", [{"name": "n", "type": None}, {"name": "m"}]],
    ids=repr,
)
def test_columns_may_be_rendered_by_a_template(given: Any) -> None:
    assert World(parameters={**PARQUET, "columns": given}).spec().columns == (("n", None), ("m", None))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"columns": ["n"]}, "jsonl has no columns"),
        ({**CSV, "columns": [{"name": "n", "type": "double"}]}, "csv has none"),
        ({**CSV, "columns": ["n"], "policies": FieldPolicies.parse(["firstName"])}, "leave out"),
        ({**CSV, "columns": ["n"], "policies": FieldPolicies.parse(None, {"n": "drop"})}, "leave out"),
    ],
    ids=["jsonl", "types in csv", "not kept", "dropped"],
)
def test_columns_that_cannot_be_are_refused_before_a_request(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        World(parameters=parameters)


def test_the_columns_of_a_manifest_can_be_pasted_as_they_are() -> None:
    world = World(contacts=8, parameters=PARQUET)
    fill(world, '"n": 1, "half \\ud800": [1]')
    manifest = land(world, 0)
    fixed = manifest.content["schema"]["columns"]
    again = land(world, 1, columns=fixed, on_schema_change="fail")
    assert again.content["schema"]["columns"] == fixed


def test_a_list_that_grows_while_it_is_read_has_the_columns_of_all_of_it() -> None:
    world = World(contacts=12, parameters=CSV)
    fill(world, '"a": 1')
    land(world, 0)
    world.vendor.events = {world.vendor.requests + 4: [append(2)]}
    assert columns(land(world, 1)) == [*OWN, "a"]


def test_dates_of_a_table_need_not_be_landed_in_order() -> None:
    world = World(contacts=4, parameters=PARQUET)
    order: Sequence[int] = (4, 1, 6, 0)
    known: list[str] = []
    for number, day in enumerate(order):
        fill(world, f'"x{number}": {number}')
        found = columns(land(world, day))
        assert found[: len(known)] == known
        known = found
    assert known == [*OWN, "x0", "x1", "x2", "x3"]


# --- At random --------------------------------------------------------------------------------------------------------

DRIFTS = [
    '"n": {}',
    '"n": {}.5',
    '"t": true',
    '"j": [{}]',
    '"j": "x"',
    '"s": "{}"',
    '"s": null',
    '"new {}": 1',
    '"at": "2026"',
]


def drift(world: World, chance: random.Random, number: int) -> None:
    """Append contacts, and give some of those that are new a field."""
    at = len(world.vendor._held)
    world.vendor.append(chance.randint(0, 6))
    for contact in world.vendor._held[at:]:
        members = {chance.choice(DRIFTS).format(number) for _ in range(chance.randint(0, 2))}
        names = {member.partition(":")[0] for member in members}
        if members and len(names) == len(members):
            contact.text = f"{contact.text[:-1]}, {', '.join(sorted(members))}}}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_random_days_land_incrementally_as_a_walk_over_all_of_the_list_lands_them(seed: int) -> None:
    """The same bytes and the same schema, in each format, with dates that are landed again and lists that drift."""
    chance = random.Random(seed)  # noqa: S311
    form = [CSV, PARQUET, {**PARQUET, "rows_per_file": 7}, {}][seed % 4]
    world = World(
        contacts=40,
        parameters={**form, "generation": "1", "max_shrink": 1, "probes": 1, "on_schema_change": "text"},
    )
    drift(world, chance, 0)
    known = columns(land(world, 1))
    built_on = 0
    for number in range(1, 6):
        drift(world, chance, number)
        _, manifest = both(world, chance.choice([number + 1, number + 1, 1]), run=replace(RUN, run_id=f"run {number}"))
        assert columns(manifest)[: len(known)] == known
        known = columns(manifest)
        check_files(world, manifest)
        built_on += manifest.content["incremental"]["based_on"] is not None
    assert built_on
