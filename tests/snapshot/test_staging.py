"""Checkpoints: whose they are, how long they count, and what happens to those that nobody comes back for."""

from __future__ import annotations

import gzip
import itertools
import json
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_vendor import PRIVATE, Contact, append, edit, remove
from model_world import CONFIG, OTHER_RUN, RUN, Died, World

from airflow_provider_kore.exceptions import CheckpointLostError, DriftError, ParameterError, ShrunkError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.formats.columns import MAX_COLUMNS
from airflow_provider_kore.snapshot import checkpoints, staging
from airflow_provider_kore.snapshot.checkpoints import Chunk, furthest
from airflow_provider_kore.snapshot.fields import FieldPolicies
from airflow_provider_kore.snapshot.layout import Layout
from airflow_provider_kore.snapshot.seal import FIRST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from airflow_provider_kore.snapshot.fields import FieldCounts

pytestmark = pytest.mark.usefixtures("small_chunks")

DAY = 86_400.0
KEY = b"a-key-of-thirty-two-bytes-------"


def broken_off(contacts: int = 30, **given: Any) -> World:
    """Return a world whose first try died in mid-walk, with two chunks in staging."""
    for at in range(8, 60):
        candidate = World(contacts=contacts, **given)
        if candidate.dies(at, "after") and candidate.checkpoint() == 16:
            return candidate
    raise AssertionError("no such point")


def in_format(world: World, file_format: str) -> World:
    """Change the task's format, and what its readers expect."""
    world.parameters = {**world.parameters, "file_format": file_format}
    world.layout = Layout(world.spec(), CONFIG.source)
    return world


def resumed_from(world: World, **changes: Any) -> int | None:
    process = world.finish(**changes)
    world.hold(process, leftovers=True)
    assert process.manifest is not None
    found: int | None = process.manifest.content["walk"]["resumed_from"]
    return found


def test_a_retry_on_any_worker_continues_behind_the_last_chunk() -> None:
    assert resumed_from(broken_off(), try_number=17) == 16


@pytest.mark.parametrize(
    "changes",
    [
        {"run": OTHER_RUN},
        {"run": replace(RUN, map_index=1)},
        {"run": replace(RUN, task_id="other")},
        {"run": replace(RUN, dag_id="other")},
        {"page_size": 3},
        {"policies": FieldPolicies.parse({"drop": ["firstName"]}, None)},
        {"policies": FieldPolicies.parse(None, {"phoneNumber": "mask"})},
    ],
    ids=["run", "map index", "task", "dag", "page size", "fields", "policy"],
)
def test_checkpoints_are_never_mixed(changes: Mapping[str, Any]) -> None:
    world = broken_off()
    assert resumed_from(world, **changes) is None
    assert world.checkpoint() == 16, "another's checkpoint is left alone"


def test_the_file_format_may_be_another_when_a_walk_is_continued() -> None:
    assert resumed_from(broken_off(parameters={"file_format": "csv"})) == 16
    for before, after in itertools.permutations(FORMATS, 2):
        world = in_format(broken_off(parameters={"file_format": before}), after)
        assert resumed_from(world) == 16


def test_a_beginning_that_is_too_old_is_no_beginning() -> None:
    world = broken_off()
    world.clock.now += DAY + 1
    assert resumed_from(world) is None
    assert world.staged() == {}
    world = broken_off(parameters={"staging_expiry": 100})
    world.clock.now += 90
    assert resumed_from(world) == 16
    world = broken_off(parameters={"staging_expiry": 100})
    world.clock.now += 110
    assert resumed_from(world) is None


def test_the_next_run_cleans_up_what_never_came_back() -> None:
    world = broken_off()
    key = world.layout.object
    old = world.bucket.create_upload(key.replace("2026-01-01", "2025-12-31"), content_type="x")
    world.bucket.create_upload("elsewhere/contacts.jsonl.gz", content_type="x")
    world.finish(run=OTHER_RUN)
    assert world.staged() != {}, "an hour ago may still be going on"
    assert [each.key for each in world.bucket.uploads()][-1] == old.key
    world.clock.now += DAY + 1
    world.finish(run=OTHER_RUN, generation=5)
    assert world.staged() == {}
    assert [each.key for each in world.bucket.uploads()] == ["elsewhere/contacts.jsonl.gz"]


def test_another_task_leaves_them_alone() -> None:
    world = broken_off()
    world.clock.now += DAY + 1
    before = world.staged()
    world.finish(run=replace(OTHER_RUN, task_id="other"))
    assert world.staged() == before


def without_its_last_line(body: bytes) -> bytes:
    return gzip.compress(b"\n".join(gzip.decompress(body).split(b"\n")[:-2]) + b"\n")


@pytest.mark.parametrize(
    "damage",
    [lambda body: body[:0], lambda body: body[1:], lambda body: body[:-9], without_its_last_line],
    ids=["empty", "garbage", "cut", "a row short"],
)
def test_a_damaged_last_chunk_is_read_again(damage: Callable[[bytes], bytes]) -> None:
    world = broken_off()
    last = max(world.staged())
    world.bucket.put(last, damage(world.staged()[last]), content_type="x")
    assert resumed_from(world) == 8


def test_a_damaged_first_chunk_makes_the_walk_begin_anew() -> None:
    world = broken_off()
    first = min(world.staged())
    world.bucket.put(first, without_its_last_line(world.staged()[first]), content_type="x")
    with world.listening() as log:
        assert resumed_from(world) is None
    assert any("Walking anew" in line for line in log.lines)
    assert world.staged() == {}


@pytest.mark.parametrize("other", ["its number", "its members"])
def test_a_checkpoint_of_another_version_of_this_package_is_no_beginning(
    monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    with monkeypatch.context() as changed:
        if other == "its number":
            changed.setattr(checkpoints, "_SCHEMA_VERSION", 2)
        else:
            written = checkpoints.Head.to_json
            changed.setattr(checkpoints.Head, "to_json", lambda head: {**written(head), "fields": {"counted": 3}})
        world = broken_off()
    assert resumed_from(world) is None
    assert world.staged() == {}


def test_a_chunk_that_vanishes_in_the_last_moment_costs_a_try_and_nothing_else() -> None:
    world = World(contacts=30)

    def lose(process: Any, number: int) -> None:
        if process.effects[-1].startswith("get") and "_staging" in process.effects[-1]:
            world.bucket.delete(sorted(world.staged())[:1])

    process = world.process(on_effect=lose)
    with pytest.raises(CheckpointLostError, match="vanished"):
        process.run()
    assert world.seen == []
    world.hold(world.finish())


@pytest.mark.parametrize("event", [remove(0), edit(1), remove(20)], ids=["remove", "edit", "remove unread"])
def test_a_continued_walk_proves_that_the_list_is_still_the_same(event: Any) -> None:
    world = broken_off()
    event(world.vendor)
    process = world.finish()
    world.hold(process)
    assert process.manifest is not None
    assert process.manifest.content["walk"]["walks"] == 2
    assert process.manifest.content["walk"]["resumed_from"] is None
    assert process.asked[:2] == [12, 0], "that the list is another is found out before a further page is read"
    world = broken_off(parameters={"on_drift": "fail"})
    event(world.vendor)
    with pytest.raises(DriftError):
        world.process().run()
    assert world.staged() == {}, "what is no beginning any more is gone"
    world.hold(world.finish())
    world = broken_off(parameters={"on_drift": "accept"})
    event(world.vendor)
    process = world.finish()
    world.hold(process)
    assert process.manifest is not None
    assert process.manifest.consistent is False
    assert process.manifest.content["walk"]["resumed_from"] == 16


def test_growth_between_two_tries_costs_nothing() -> None:
    world = broken_off()
    append(3)(world.vendor)
    assert resumed_from(world) == 16


def test_a_walk_is_given_up_after_so_many() -> None:
    world = World(contacts=20, events={at: [edit(0)] for at in range(1, 1000)}, parameters={"max_walks": 2})
    process = world.process()
    with pytest.raises(DriftError):
        process.run()
    assert process.asked.count(0) >= 2
    assert world.seen == []


def test_policies_are_applied_before_anything_touches_the_store() -> None:
    policies = FieldPolicies.parse(
        {"drop": ["firstName"]}, {"phoneNumber": "hash", "updatedAt": "mask", "createdAt": "drop"}
    ).with_key(KEY, "k-1")
    world = World(contacts=30, parameters={"policies": policies})
    stored: list[bytes] = []

    def gather(process: Any, number: int) -> None:
        stored.extend(world.bucket.bodies().values())

    world.process(on_effect=gather).run()
    texts = {chunk: _text(chunk) for chunk in set(stored)}
    assert len(texts) > 3
    for text in texts.values():
        assert PRIVATE not in text
        assert KEY.decode() not in text
    assert all("phoneNumber" in text for text in texts.values() if "_id" in text)


def _text(body: bytes) -> str:
    try:
        return gzip.decompress(body).decode()
    except OSError:
        return body.decode()


def test_a_walk_shorter_than_a_chunk_never_touches_staging() -> None:
    world = World(contacts=5)
    process = world.finish()
    puts = [effect for effect in process.effects if effect.startswith("put kore/_staging")]
    assert not any(effect.endswith(".jsonl.gz") for effect in puts)


def test_a_slow_walk_is_checkpointed_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "CHUNK_ROWS", 10_000)
    monkeypatch.setattr(staging, "SMALLEST_CHUNK_ROWS", 10_000)
    world = World(contacts=60, request_seconds=3.0)
    process = world.finish()
    puts = [effect for effect in process.effects if effect.startswith("put kore/_staging")]
    seconds_of_a_page = 3.0
    assert len(puts) >= 15 * seconds_of_a_page // (staging.CHUNK_SECONDS + seconds_of_a_page)
    assert staging.CHUNK_SECONDS < 10


def test_a_walk_that_is_not_durable_leaves_nothing_readable_however_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen: list[Path] = []

    def look(process: Any, number: int) -> None:
        seen.extend(path for path in tmp_path.rglob("*") if path.is_file())

    world = World(contacts=30, parameters={"durable": False})
    process = world.process(on_effect=look)
    process.run()
    world.hold(process)
    assert seen == [], "a kill -9 would have left it behind"
    assert not any("put kore/_staging" in effect for effect in process.effects)


@pytest.mark.parametrize("orphan", ["1" * 32, "f" * 32], ids=["first by name", "last by name"])
def test_what_two_processes_read_of_one_walk_is_never_mixed(orphan: str) -> None:
    """The orphan's chunk in the middle holds the same offsets, perhaps of another list; nothing continued it."""
    common, retry, ends = "8" * 32, "9" * 32, ("a" * 32, "b" * 32)
    links = [(0, 4, FIRST, common), (4, 8, common, orphan), (4, 8, common, retry)]
    links += [(8, 10, orphan, ends[0]), (8, 12, retry, ends[1])]
    chunks_there = [Chunk("0" * 12, *link) for link in links]
    assert [chunk.seal for chunk in furthest(chunks_there)] == [common, retry, ends[1]]
    without = [chunk for chunk in chunks_there if chunk.seal != retry]
    assert [chunk.seal for chunk in furthest(without)] == [common, orphan, ends[0]]
    assert furthest(chunks_there[1:]) == []


def test_a_chunk_without_rows_ends_a_chain_and_names_that_form_a_ring_are_no_chain() -> None:
    rows = Chunk("w", 0, 8, FIRST, "a")
    end = Chunk("w", 8, 8, "a", "b")
    assert furthest([end, rows]) == [rows, end]
    assert furthest([Chunk("w", 8, 8, "d", "c"), Chunk("w", 8, 8, "c", "d")]) == []


# --- who may write to staging is not believed ---


def forged(world: World, rows: int = 24) -> None:
    """Put a chunk with invented contacts into staging, made as an attacker with write access would."""
    real, body = max(world.staged().items())
    head = json.loads(gzip.decompress(body).split(b"\n")[0])
    head["state"]["progress"]["offset"] = rows
    lines = [json.dumps(head), *(f'{{"_id": "cc-invented-{n}", "phoneNumber": "+1"}}' for n in range(rows))]
    folder = real.rpartition("/")[0]
    name = f"{0:012d}-{rows:012d}-{FIRST}-{'a' * 32}.jsonl.gz"
    world.bucket.put(f"{folder}/{name}", gzip.compress("\n".join([*lines, ""]).encode()), content_type="x")


def test_invented_contacts_in_staging_are_never_landed() -> None:
    world = broken_off()
    forged(world)
    with world.listening() as log:
        process = world.finish()
    assert process.manifest is not None
    assert all("invented" not in row["_id"] for row in world.rows(process))
    assert any("is not one that this run wrote" in line for line in log.lines)
    world.hold(process, leftovers=True)


@pytest.mark.parametrize("exchanged", ["moved", "swapped", "another run's"])
def test_a_chunk_is_believed_in_its_own_place_only(exchanged: str) -> None:
    world = broken_off()
    staged = world.staged()
    first, last = sorted(staged)
    if exchanged == "moved":
        world.bucket.put(last.replace("8-", "9-", 1), staged[last], content_type="x")
        world.bucket.delete([last])
    elif exchanged == "swapped":
        world.bucket.put(first, staged[last], content_type="x")
    else:
        theirs = broken_off(parameters={"run": OTHER_RUN})
        for key, body in theirs.staged().items():
            name = key.removeprefix(Layout(theirs.spec(), CONFIG.source).staging)
            world.bucket.put(world.layout.staging + name, body, content_type="x")
        world.bucket.delete([first, last])
    assert resumed_from(world) in {None, 8}


def test_checkpoints_of_another_secret_are_not_believed_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    world = broken_off()
    monkeypatch.setattr("model_world.CONFIG", replace(CONFIG, client_secret="another" * 6))
    with world.listening() as log:
        process = world.finish()
    assert process.manifest is not None
    assert process.manifest.content["walk"]["resumed_from"] is None
    assert any("if the secret has not been changed" in line for line in log.lines)


@pytest.mark.slow
@given(body=st.binary(max_size=300), keep=st.integers(0, 2000), name=st.sampled_from(["first", "last"]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_in_staging_comes_back_in_each_retry(body: bytes, keep: int, name: str) -> None:
    world = broken_off()
    key = (min if name == "first" else max)(world.staged())
    world.bucket.put(key, world.staged()[key][:keep] + body, content_type="x")
    world.hold(world.finish(tries=2))


@pytest.mark.slow
def test_a_bomb_in_staging_is_neither_unpacked_nor_read_whole() -> None:
    world = broken_off()
    key = max(world.staged())
    world.bucket.put(key, gzip.compress(b"0" * (80 << 20)), content_type="x")
    tracemalloc.start()
    try:
        assert resumed_from(world) == 8
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_a_checkpoint_of_the_future_is_no_beginning() -> None:
    world = broken_off()
    world.clock.now -= 73 * 365 * DAY
    assert resumed_from(world) is None


def test_foreign_files_below_staging_stay() -> None:
    world = broken_off()
    ours = world.layout.staging
    foreign = [
        f"{ours}notes.txt",
        f"{ours}0123456789ab/report.csv",
        f"{world.layout.task_staging}model/weights.bin",
        f"{world.layout.task_staging}{'0' * 16}-{'0' * 16}/other.jsonl.gz",
    ]
    for key in foreign:
        world.bucket.put(key, b"not ours", content_type="x")
    world.clock.now += 3 * DAY
    world.finish(run=OTHER_RUN)
    world.finish()
    assert sorted(world.staged()) == sorted(foreign)


def test_a_walk_that_is_still_going_on_keeps_its_oldest_chunks() -> None:
    world = broken_off()
    first, last = sorted(world.staged())
    world.clock.now += 2 * DAY
    world.bucket.put(last, world.staged()[last], content_type="x")
    world.finish(run=OTHER_RUN)
    assert sorted(world.staged()) == [first, last]


def test_a_chunk_is_cut_before_long_contacts_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "CHUNK_ROWS", 10_000)
    monkeypatch.setattr(staging, "CHUNK_CHARACTERS", 500)
    world = World(contacts=30)
    process = world.finish()
    world.hold(process)
    assert any("put kore/_staging" in effect for effect in process.effects)


# --- More fields than a table has columns, and fields that contacts lack ----------------------------------------------


def wide(monkeypatch: pytest.MonkeyPatch, per_contact: int, name: str = "field {}") -> None:
    """Give each contact so many fields that no other one has."""
    render = Contact.render

    def wider(self: Contact, *, created_at: bool) -> str:
        own = [f'"{name.format(f"{self.number} {n}")}": {n}' for n in range(per_contact)]
        self.text = "{" + ", ".join([*own, render(self, created_at=created_at)[1:]])
        return self.text

    monkeypatch.setattr(Contact, "render", wider)


def heads(world: World) -> list[bytes]:
    return [gzip.decompress(body).partition(b"\n")[0] for body in world.staged().values()]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["field {}", "{}" + "x" * 50_000], ids=["many", "long"])
def test_jsonl_takes_any_number_of_fields_and_its_checkpoints_stay_small(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide(monkeypatch, 500 if name == "field {}" else 5, name)
    world = broken_off()
    assert max(map(len, heads(world))) < 400_000
    process = world.finish()
    assert process.manifest is not None
    assert process.manifest.rows == 30
    assert process.manifest.content["walk"]["resumed_from"] == 16
    assert process.manifest.content["columns_truncated"] is True
    listed = process.manifest.files[0]["columns"]
    assert len(listed) <= MAX_COLUMNS + 1
    assert len(json.dumps(listed)) < 400_000


@pytest.mark.parametrize("way_out", ["fields", "jsonl"])
@pytest.mark.parametrize("policies", [FieldPolicies.parse(), FieldPolicies.parse(None, {"phoneNumber": "mask"})])
@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_table_of_too_many_columns_is_refused_as_soon_as_they_are_seen_and_spoils_no_other_try(
    file_format: str, policies: FieldPolicies, way_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide(monkeypatch, 150)
    world = World(contacts=40, parameters={"page_size": 4, "policies": policies, "file_format": file_format})
    for _ in range(2):
        before = world.vendor.requests
        with pytest.raises(ParameterError, match=r"more than 2,000 different fields.*jsonl.*fields=\["):
            world.process().run()
        assert world.vendor.requests - before < 10, "of the first 16 contacts"
    if way_out == "fields":
        process = world.finish(policies=FieldPolicies.parse(["phoneNumber"]))
    else:
        process = in_format(world, "jsonl").finish()
    assert process.manifest is not None
    assert process.manifest.rows == 40


def test_a_table_is_refused_where_a_walk_without_columns_has_seen_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    wide(monkeypatch, 150)
    world = broken_off()
    requests = world.vendor.requests
    with pytest.raises(ParameterError, match="more than 2,000 different fields"):
        in_format(world, "parquet").process().run()
    assert world.vendor.requests - requests < 2
    in_format(world, "jsonl")
    assert world.finish().manifest.rows == 30  # type: ignore[union-attr]


def test_contacts_that_lack_a_field_are_counted_over_all_tries() -> None:
    policies = FieldPolicies.parse(None, {"phoneNumber": "mask", "phone": "drop"})
    world = broken_off(parameters={"policies": policies})
    manifest = world.finish().manifest
    assert manifest is not None
    assert manifest.content["walk"]["resumed_from"] == 16
    assert manifest.content["fields"]["missing"] == {"phone": 30}
    assert manifest.content["warnings"] == ["No contact has the field 'phone' that a field policy names."]


def test_a_field_that_was_renamed_in_mid_list_is_counted_or_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    render = Contact.render

    def renamed(self: Contact, *, created_at: bool) -> str:
        found = render(self, created_at=created_at)
        self.text = found if self.number < 20 else found.replace('"phoneNumber"', '"phone_number"')
        return self.text

    monkeypatch.setattr(Contact, "render", renamed)
    wanted = {"phoneNumber": "mask"}
    world = World(contacts=60, parameters={"page_size": 4, "policies": FieldPolicies.parse(None, wanted)})
    assert world.finish().manifest.content["fields"]["missing"] == {"phoneNumber": 40}  # type: ignore[union-attr]
    strict = FieldPolicies.parse(None, wanted, "fail")
    world = World(contacts=60, parameters={"page_size": 4, "policies": strict})
    for _ in range(2):
        before = world.vendor.requests
        with pytest.raises(
            ParameterError, match=r"on_missing_field.*'phoneNumber' \(4 of them\).*nothing was published"
        ):
            world.process().run()
        assert world.vendor.requests - before < 10, "of the first 24 contacts"
    assert world.seen == []


def test_a_walk_that_was_finished_with_a_warning_is_not_published_by_a_try_that_wants_to_fail() -> None:
    wanted = {"phone": "drop"}
    world = World(contacts=20, parameters={"page_size": 4, "policies": FieldPolicies.parse(None, wanted)})
    with pytest.raises(ShrunkError):
        world.process(min_contacts=50).run()
    with pytest.raises(ParameterError, match="'phone' \\(20 of them\\)"):
        world.process(policies=FieldPolicies.parse(None, wanted, "fail")).run()
    assert world.seen == []


def test_a_page_that_was_cut_off_while_policies_were_applied_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    policies = FieldPolicies.parse(None, {"phone": "drop"})
    world = World(contacts=30, parameters={"policies": policies})
    apply = FieldPolicies.apply
    calls = itertools.count()

    def told_to_end(self: FieldPolicies, raw: str, seen: FieldCounts | None = None) -> str:
        if next(calls) == 14:
            raise Died
        return apply(self, raw, seen)

    monkeypatch.setattr(FieldPolicies, "apply", told_to_end)
    with pytest.raises(Died):
        world.process().run()
    assert world.checkpoint() == 12
    manifest = world.finish().manifest
    assert manifest is not None
    assert manifest.content["walk"]["resumed_from"] == 12
    assert manifest.content["fields"]["missing"] == {"phone": 30}
