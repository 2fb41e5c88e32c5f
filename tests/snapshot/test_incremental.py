"""A snapshot that builds on the last one: what that costs, when all of the list is walked instead, and that neither
is ever another list than the vendor's.
"""

from __future__ import annotations

import errno
import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest import mock

import model_world
import pytest
from model_vendor import Quirks
from model_world import OTHER_RUN, Died, Plan, WatchedStore, World

from airflow_provider_kore.exceptions import (
    CheckpointLostError,
    OversizedError,
    RequestRefusedError,
    RetryableError,
    ShrunkError,
    StorePermissionError,
)
from airflow_provider_kore.snapshot import learning
from airflow_provider_kore.snapshot.fields import FieldPolicies
from airflow_provider_kore.snapshot.layout import Layout
from airflow_provider_kore.snapshot.learning import learnt
from airflow_provider_kore.snapshot.spec import RunKey
from airflow_provider_kore.store.store import AccessRefused
from airflow_provider_kore.walk.continuation import Known

if TYPE_CHECKING:
    from model_vendor import Vendor
    from model_world import Process

DAY = 86_400.0
PAGE = 4
CONTACTS = 60
FORMATS = [{"file_format": name} for name in ("jsonl", "csv", "parquet")]


def run_of(day: int) -> RunKey:
    return RunKey(dag_id="dag", run_id=f"scheduled__{day}", task_id="land")


class Days:
    """A list that is landed day after day."""

    def __init__(self, *, contacts: int = CONTACTS, quirks: Quirks | None = None, **parameters: Any) -> None:
        self.world = World(
            contacts=contacts,
            quirks=quirks or Quirks(),
            parameters={"incremental": True, "generation": 1, "max_shrink": 1, **parameters},
        )
        self.parameters = dict(self.world.parameters)
        self.day = 0

    @property
    def vendor(self) -> Vendor:
        return self.world.vendor

    def next(self, **changes: Any) -> dict[str, Any]:
        """Change the date, and say what differs in the task."""
        self.day += 1
        self.world.clock.now += DAY
        found = {"snapshot_date": f"2026-01-{self.day:02d}", "run": run_of(self.day), **changes}
        self.world.parameters = {**self.parameters, **found}
        self.world.layout = Layout(self.world.spec(), model_world.CONFIG.source)
        return {**found, "try_number": 1}

    def land(self, **changes: Any) -> Process:
        """Land the list on the next day, and hold it against the vendor's."""
        process = self.world.finish(**self.next(**changes))
        self.check(process)
        return process

    def check(self, process: Process) -> None:
        assert process.manifest is not None
        landed = [each for file in process.manifest.files for each in self.world._decode(file["key"])[1]]
        assert tuple(landed) == self.vendor.ids
        assert process.manifest.consistent
        self.world.hold_privacy()


def requests(process: Process) -> int:
    return sum(effect.startswith("http") for effect in process.effects)


def told(process: Process) -> dict[str, Any]:
    assert process.manifest is not None
    found: dict[str, Any] = process.manifest.content["incremental"]
    return found


def check_built_on(process: Process, base: Process) -> None:
    assert base.manifest is not None
    assert told(process)["based_on"]["snapshot_id"] == base.manifest.snapshot_id
    assert told(process)["whole_because"] is None
    assert told(process)["unseen"] == f"Contacts that were edited in place since {told(base)['whole_walk_at']}."


def check_walked(process: Process, because: str) -> None:
    """All of the list was read, and the manifest says why."""
    assert told(process)["based_on"] is None
    assert told(process)["unseen"] is None
    assert because in str(told(process)["whole_because"])
    assert len(set(process.asked) & set(range(0, CONTACTS - 2 * PAGE, PAGE))) > CONTACTS // PAGE - 3


@pytest.mark.parametrize("form", [*FORMATS, {"rows_per_file": 7}, {"durable": False}], ids=str)
@pytest.mark.parametrize("probes", [0, 1, 2, 5])
def test_a_list_that_did_not_change_costs_three_requests_and_the_probes(form: dict[str, Any], probes: int) -> None:
    days = Days(**form, probes=probes)
    first = days.land()
    for _ in range(3):
        second = days.land()
        assert requests(second) == 3 + probes
        check_built_on(second, first)
        assert len(told(second)["probes"]) == probes
        assert told(second)["whole_walk_at"] == told(first)["whole_walk_at"]
        first = second


@pytest.mark.parametrize("form", [*FORMATS, {"rows_per_file": 7}], ids=str)
@pytest.mark.parametrize("number", [1, 3, 4, 5, 8, 9, 23])
def test_of_a_list_that_grew_only_the_new_contacts_are_read(form: dict[str, Any], number: int) -> None:
    days = Days(**form)
    first = days.land()
    days.vendor.append(number)
    second = days.land()
    check_built_on(second, first)
    pages = -(-number // PAGE)
    assert requests(second) <= 3 + 2 + pages + 1
    assert min(second.asked) >= 0
    assert [offset for offset in second.asked if offset >= CONTACTS] == [
        CONTACTS + PAGE * page for page in range(pages)
    ]


@pytest.mark.parametrize("form", [*FORMATS, {"rows_per_file": 7}], ids=str)
def test_what_lands_is_to_the_byte_what_a_walk_over_all_of_the_list_lands(form: dict[str, Any]) -> None:
    """With custom fields that begin late, nested values, nulls, long numbers and text of every kind."""
    days = Days(**form)
    extend(days.vendor, ODD)
    days.land()
    days.vendor.append(7)
    extend(days.vendor, ODD)
    changes = days.next()
    built_on = days.world.process(**changes)
    ahead = days.world.bucket.clone()
    built_on.run()
    assert told(built_on)["based_on"] is not None
    mine = [days.world.bucket.bodies(key)[key] for key in built_on.manifest.keys] if built_on.manifest else []
    days.world.bucket = ahead
    whole = days.world.process(**changes, incremental=False)
    whole.run()
    assert whole.manifest is not None
    assert mine == [ahead.bodies(key)[key] for key in whole.manifest.keys]
    assert built_on.manifest is not None
    same = ("contacts", "fields", "files", "columns_truncated", "list_updated_at", "total_results", "consistent")
    for name in same:
        left, right = built_on.manifest.content[name], whole.manifest.content[name]
        if name == "files":
            left, right = ([{**each, "key": "", "etag": ""} for each in side] for side in (left, right))
        assert left == right, name


ODD = [
    '{"a": [1, 2.50], "b": "\\ud800"}',
    '"x\\ny"',
    "null",
    "12345678901234567890",
    '"\\u20ac \\ud83d\\ude00"',
    '"half of \\ud83d"',
    "1.10",
    "-0.0",
    "true",
    '""',
]


def extend(vendor: Vendor, values: list[str]) -> None:
    """Give contacts custom fields, each always of one kind."""
    for at, contact in enumerate(vendor._held):
        if "custom" not in contact.text:
            kind = at % len(values)
            contact.text = f'{contact.text[:-1]}, "custom {kind}": {values[kind]}}}'


HISTORIES: dict[str, tuple[Any, str]] = {
    "removed": (lambda vendor: vendor.remove(5), "since the last snapshot: the page at offset 56"),
    "removed at the end": (lambda vendor: vendor.remove(59), "since the last snapshot: the page at offset 56"),
    "removed and added": (lambda vendor: vendor.exchange(5), "other contacts than before"),
    "removed, and many added": (lambda vendor: [vendor.remove(5), vendor.append(9)], "other contacts than before"),
    "the last one removed, and many added": (lambda vendor: [vendor.remove(59), vendor.append(9)], "other contacts"),
    "edited": (lambda vendor: vendor.edit(5), "has not grown"),
    "added, then edited": (lambda vendor: [vendor.append(5), later(vendor), vendor.edit(5)], "tells of a change after"),
    "added in the middle": (lambda vendor: vendor.insert(5), "other contacts than before"),
    "exchanged in its place": (lambda vendor: vendor.swap(5), "has not grown"),
    "exchanged in its place, at the end": (lambda vendor: vendor.swap(57), "the page at offset 56"),
    "imported anew": (lambda vendor: vendor.reimport(), "the page at offset 56"),
    "imported anew, and more": (lambda vendor: [vendor.reimport(), vendor.append(3)], "other contacts than before"),
    "emptied, and filled again": (lambda vendor: [vendor._held.clear(), vendor.append(99)], "other contacts"),
}


def later(vendor: Vendor) -> None:
    vendor.clock.sleep(60)


@pytest.mark.parametrize("name", HISTORIES)
def test_whatever_else_happened_to_a_list_all_of_it_is_walked(name: str) -> None:
    change, because = HISTORIES[name]
    days = Days()
    days.land()
    change(days.vendor)
    second = days.land()
    check_walked(second, because)
    third = days.land()
    if any(word in name for word in ("edited", "middle", "exchanged")):  # the order is another, or it was edited
        check_walked(third, "")
    else:
        check_built_on(third, second)


def test_what_is_new_and_older_than_the_last_snapshot_is_doubted() -> None:
    """A server that gives new contacts the times of the file that they were imported from, say."""
    days = Days()
    days.land()
    days.vendor.append(3)
    for contact in days.vendor._held[-3:]:
        contact.created = days.vendor._held[CONTACTS - 1].created
        contact.render(created_at=True)
    check_walked(days.land(), "created before the last snapshot was taken")


@pytest.mark.parametrize(
    ("quirks", "because"),
    [
        (Quirks(total="page"), "no total"),
        (Quirks(total="missing"), "no total"),
        (Quirks(updated_at="missing"), "no updatedAt"),
        (Quirks(updated_at="refused"), "no updatedAt"),
        (Quirks(created_at=False), "the order they were created"),
        (Quirks(newest_first=True), "the order they were created"),
    ],
    ids=str,
)
def test_a_server_that_proves_nothing_is_walked_as_a_whole(quirks: Quirks, because: str) -> None:
    days = Days(quirks=quirks)
    for _ in range(3):
        found = days.land()
    check_walked(found, because)


def test_a_list_whose_total_grew_without_its_updated_at_is_never_built_on_again() -> None:
    days = Days(quirks=Quirks(updated_at="stays"))
    days.land()
    days.vendor.append(3)
    check_walked(days.land(), "updatedAt has not moved")
    third = days.land()
    check_walked(third, "its updatedAt had stayed")
    assert any("updatedAt had stayed" in text for text in third.manifest.content["warnings"])  # type: ignore[union-attr]


def test_an_edit_in_place_is_found_by_the_next_walk_over_all_of_the_list_and_ends_it() -> None:
    """Before an append it cannot be seen; ``full_walk_every`` bounds for how long."""
    days = Days(full_walk_every=3 * DAY - 60)
    days.land()
    days.vendor.edit(5)
    days.vendor.append(1)
    assert told(days.land())["based_on"] is not None
    assert told(days.land())["based_on"] is not None
    with days.world.listening() as said:
        found = days.land()
    check_walked(found, "full_walk_every")
    assert "edited in place" in told(found)["off"]
    assert any("edited in place" in line for line in said.lines)
    for _ in range(2):
        check_walked(days.land(), "edited in place")
    days.land(incremental=False)
    assert told(days.land())["based_on"] is not None, "a walk that an author asked for forgets it"


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_a_list_that_only_grows_is_never_taken_for_one_that_is_edited(form: dict[str, Any]) -> None:
    days = Days(**form, full_walk_every=0)
    for number in (0, 3, 0, 7):
        days.vendor.append(number)
        extend(days.vendor, ODD)
        assert told(days.land())["off"] is None
    days.vendor.remove(3)
    days.vendor.append(2)
    assert told(days.land())["off"] is None, "what is gone is no edit"


def test_contacts_that_cannot_be_compared_teach_nothing_and_cost_no_landing() -> None:
    """Nested deeper than the comparison can go, on either side."""
    deep = "[" * 50_000 + "]" * 50_000
    with suppress(ValueError):
        learnt([f'{{"_id": "1", "x": {deep}, "y": 1}}'], [f'{{"_id": "1", "x": {deep}, "y": 2}}'], "m", "n")
        raise AssertionError("it could be compared: this test has to go deeper")
    days = Days(full_walk_every=0)
    days.land()
    days.vendor.edit(5)
    with mock.patch.object(learning, "comparable", side_effect=RecursionError):
        assert told(days.land())["off"] is None


@pytest.mark.parametrize(
    "error", [RequestRefusedError("It is archived."), StorePermissionError("It is refused.")], ids=str
)
def test_a_last_manifest_that_cannot_be_had_is_as_none_where_no_guard_needs_it(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = Days()
    days.land()
    get = WatchedStore.get

    def refuse(store: WatchedStore, key: str) -> Any:
        if "snapshot_date=2026-01-01/_manifest" in key:
            raise error
        return get(store, key)

    monkeypatch.setattr(WatchedStore, "get", refuse)
    check_walked(days.land(), "no consistent snapshot")


@pytest.mark.slow
def test_a_contact_exchanged_in_its_place_before_an_append_is_caught_by_a_probe_that_falls_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The vendor's lists are said not to do that, and so few requests can't rule it out: the more probes, the surer."""
    monkeypatch.setattr(World, "_whole", lambda *_, **__: None)
    caught = 0
    for _ in range(40):
        days = Days(probes=10)
        days.land()
        days.vendor.swap(30)
        days.vendor.append(1)
        process = days.world.finish(**days.next())
        caught += told(process)["based_on"] is None
    assert caught > 10


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "policies": ({"policies": FieldPolicies.parse(field_policies={"phoneNumber": "mask"})}, "other field policies"),
    "fields": ({"policies": FieldPolicies.parse(fields=["phoneNumber"])}, "other field policies"),
    "format": ({"file_format": "csv"}, "another format"),
    "time": ({"full_walk_every": 60}, "full_walk_every"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_snapshot_that_was_made_otherwise_is_not_built_on(name: str) -> None:
    changes, because = OTHERS[name]
    days = Days()
    days.land()
    check_walked(days.land(**changes), because)


def test_new_contacts_that_make_another_table_are_read_once_before_all_of_the_list_is() -> None:
    days = Days(file_format="parquet", on_schema_change="text")
    extend(days.vendor, ["17"])
    days.land()
    days.vendor.append(2)
    extend(days.vendor, ['"n/a"'])
    second = days.land()
    check_walked(second, "the column 'custom 0' was int64 and would be string")
    assert second.asked.count(CONTACTS) == 2, "by each of the two walks"


def test_compression_and_splitting_may_differ() -> None:
    days = Days()
    first = days.land()
    second = days.land(rows_per_file=7)
    check_built_on(second, first)
    check_built_on(days.land(compression="none"), second)


@pytest.mark.parametrize(
    "change", [{"client_secret": "another-secret-0123456789abcdef"}, {"account_id": "ac-2"}], ids=str
)
def test_a_snapshot_of_another_account_or_secret_is_not_built_on(
    change: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    days = Days()
    days.land()
    monkeypatch.setattr(model_world, "CONFIG", replace(model_world.CONFIG, **change))
    check_walked(days.land(), "was not written with this connection's secret")


def manifest_of(days: Days) -> tuple[str, dict[str, Any]]:
    key = next(key for key in days.world.bucket.bodies() if key.endswith("_manifest.json"))
    return key, json.loads(days.world.bucket.bodies()[key])


@pytest.mark.parametrize(
    "edit",
    [
        {"contacts": 59},
        {"consistent": False},
        {"list_updated_at": "2027-01-01T00:00:00.000Z"},
        {"snapshot_id": "0123456789ab"},
        {"seal": ""},
        {"seal": "0" * 32},
        {"seal": "é" * 32},
        {"seal": None},
        {"seal": ["x"]},
        {"incremental": None},
        {"incremental": {"ascending": True}},
        {"incremental": {"last_created": "é", "whole_walk_at": "soon", "page_rows": "1e9", "found": 3, "off": 1}},
        {"schema_version": 2},
        {"files": []},
        {"total_results": 61},
    ],
    ids=str,
)
def test_a_manifest_that_was_edited_by_hand_is_not_built_on(edit: dict[str, Any]) -> None:
    days = Days()
    days.land()
    key, content = manifest_of(days)
    days.world.bucket.put(key, json.dumps({**content, **edit}).encode(), content_type="application/json")
    days.vendor.append(3)
    found = days.land()
    assert told(found)["based_on"] is None
    assert told(found)["whole_because"]


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("damage", ["gone", "cut", "flipped", "empty", "of another day"])
def test_a_file_that_is_not_what_its_manifest_says_is_not_built_on(form: dict[str, Any], damage: str) -> None:
    days = Days(**form)
    days.land()
    key = manifest_of(days)[1]["files"][0]["key"]
    body = days.world.bucket.bodies()[key]
    if damage == "gone":
        days.world.bucket.delete([key])
    else:
        half = len(body) // 2
        flipped = body[:half] + bytes([body[half] ^ 1]) + body[half + 1 :]
        made = {"cut": body[:half], "flipped": flipped, "empty": b"", "of another day": body + body}[damage]
        days.world.bucket.put(key, made, content_type="application/gzip")
    days.world._looked = None
    check_walked(days.land(), "cannot be read")


@pytest.mark.parametrize(
    "error",
    [
        AccessRefused("Reading it is refused.", "s3:GetObject", "key"),
        StorePermissionError("Its key may not be used."),
        RequestRefusedError("It is archived, and has to be restored first (InvalidObjectState)."),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Quota exceeded"),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_had_costs_a_walk_and_no_error(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    days = Days()
    days.land()
    get = WatchedStore.get

    def refuse(store: WatchedStore, key: str) -> Any:
        if "snapshot_date=2026-01-01/contacts" in key:
            raise error
        return get(store, key)

    monkeypatch.setattr(WatchedStore, "get", refuse)
    check_walked(days.land(), "is full" if isinstance(error, OSError) else "cannot be read")


@pytest.mark.parametrize("form", [*FORMATS, {"rows_per_file": 7}], ids=str)
def test_a_file_that_is_lost_before_it_is_published_anew_costs_a_try(form: dict[str, Any]) -> None:
    """Something deletes yesterday's snapshot after its ids were read: nothing lands of it, and the next try walks."""
    days = Days(**form)
    days.land()
    keys = manifest_of(days)[1]["files"]
    days.vendor.append(3)
    changes = days.next()
    world = days.world

    def meanwhile(process: Process, number: int) -> None:
        if process.asked and number > 1:
            world.bucket.delete([file["key"] for file in keys])

    with pytest.raises(CheckpointLostError, match="cannot be read, and is not built on"):
        world.process(on_effect=meanwhile, **changes).run()
    retry = world.finish(**{**changes, "try_number": 2})
    days.check(retry)
    world.hold(retry)
    check_walked(retry, "cannot be read")


def test_without_a_snapshot_and_of_a_short_list_all_is_walked() -> None:
    check_walked(Days().land(), "no consistent snapshot")
    days = Days(contacts=3 * PAGE)
    for _ in range(2):
        found = days.land()
    assert "so short" in told(found)["whole_because"]
    empty = Days(contacts=0)
    for _ in range(2):
        empty.land()


@pytest.mark.parametrize("new", [0, 3])
def test_guards_hold_for_a_snapshot_that_builds_on_the_last_one_too(new: int) -> None:
    days = Days()
    days.land()
    days.vendor.append(new)
    with pytest.raises(OversizedError, match=r"max_contacts is 59"):
        days.world.process(**days.next(max_rows=59)).run()
    with pytest.raises(ShrunkError, match=r"min_contacts is 99"):
        days.world.process(**days.next(min_contacts=99)).run()


def test_a_clear_of_a_success_walks_all_of_the_list() -> None:
    days = Days()
    days.land()
    changes = days.next()
    days.world.finish(**changes)
    cleared = days.world.finish(**{**changes, "generation": 2, "try_number": 2})
    days.check(cleared)
    check_walked(cleared, "cleared")


@pytest.mark.slow
def test_changes_of_the_list_while_its_new_contacts_are_read() -> None:
    """Each moment, each kind: the list as it was at the last look, or all of it walked."""
    kinds: dict[str, Any] = {
        "append": lambda vendor: vendor.append(2),
        "remove": lambda vendor: vendor.remove(7),
        "remove new": lambda vendor: vendor.remove(len(vendor._held) - 2),
        "exchange": lambda vendor: vendor.exchange(7),
        "edit": lambda vendor: vendor.edit(7),
    }
    ways = set()
    for kind, change in kinds.items():
        for at in range(1, 10):
            days = Days()
            days.land()
            days.vendor.append(6)
            changes = days.next()
            days.vendor.events = {days.vendor.requests + at: [change]}
            process = days.world.finish(**changes)
            days.world.hold(process)
            ways.add((kind, told(process)["based_on"] is not None))
    assert {(kind, False) for kind in ("remove", "remove new", "exchange", "edit")} < ways
    assert ("append", True) in ways
    assert ("append", False) not in ways, "a list that grows meanwhile is no reason to walk all of it"


@pytest.mark.parametrize("at", range(1, 8))
def test_a_list_that_grows_at_any_moment_is_not_walked_for_that(at: int) -> None:
    days = Days()
    first = days.land()
    changes = days.next()
    days.vendor.events = {days.vendor.requests + at: [lambda vendor: vendor.append(3)]}
    process = days.world.finish(**changes)
    days.world.hold(process)
    check_built_on(process, first)


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_try_that_goes_on_dies_anywhere_and_its_retry_continues(when: Any) -> None:
    """No page of new contacts is read twice that was checkpointed, and the snapshot is the list."""
    at, twice = 0, 0
    while True:
        at += 1
        days = Days()
        days.land()
        days.vendor.append(30)
        changes = days.next()
        died = days.world.dies(at, when, **changes)
        asked = list(days.world.processes[-1].asked)
        kept = [key for key in days.world.staged() if "000000000060-" in key]
        changes["try_number"] = 2
        retry = days.world.finish(**changes)
        days.check(retry)
        days.world.hold(retry)
        if kept and requests(retry):
            check_built_on(retry, days.world.processes[0])
            again = [offset for offset in retry.asked if offset >= CONTACTS and offset in asked]
            assert len(again) <= 4
            twice += 1
        if not died:
            break
    assert twice > 3


@pytest.mark.usefixtures("small_chunks")
def test_a_retry_does_not_mix_what_goes_on_from_another_snapshot() -> None:
    """Another run publishes between two tries, so the retry builds on that one's snapshot."""
    days = Days()
    days.land()
    days.vendor.append(30)
    changes = days.next()
    assert days.world.dies(40, "before", **changes)
    days.vendor.append(5)
    days.world.finish(**{**changes, "run": OTHER_RUN, "snapshot_date": "2026-01-20"})
    changes["try_number"] = 2
    retry = days.world.finish(**changes)
    days.check(retry)
    days.world.hold(retry)


def test_an_error_of_the_store_while_the_last_snapshot_is_fetched_is_retried() -> None:
    days = Days()
    days.land()
    changes = days.next()
    errors = 0
    for at in range(1, 40):
        process = days.world.process(plan=Plan(at, "before", Died()), **changes)
        try:
            process.run()
        except (Died, RetryableError):
            errors += 1
    assert errors > 20
    days.check(days.world.finish(**{**changes, "try_number": 9}))


def test_probes_are_spread_over_the_list_and_are_the_snapshots_own() -> None:
    known = Known(snapshot_id="a", rows=1000, mark="", last_created="", page_rows=50, probes=3)
    seen = set()
    for seed in range(300):
        (end, length), *probes = known.places(str(seed))
        assert (end, length) == (950, 50)
        assert len(probes) == 3
        assert all(0 <= start <= 900 and rows == 50 for start, rows in probes)
        seen |= {start // 100 for start, _ in probes}
        assert known.places(str(seed)) == known.places(str(seed))
    assert seen == set(range(10))
