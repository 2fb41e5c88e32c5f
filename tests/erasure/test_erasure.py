"""Who was forgotten is nowhere, and nobody else is touched."""

from __future__ import annotations

import gzip
import io
import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_versions import VersionedMemoryStore, old_bodies
from tables import (
    DAYS,
    GONE,
    FakeClock,
    checkpoint,
    contact,
    forget,
    hold_true,
    ids,
    land,
    land_changes,
    manifest_of,
    nowhere,
    partition,
    phones,
    rows_in,
    spec,
    unpacked,
)

from airflow_provider_kore.erasure.given import Given, fetched_list, given_directly
from airflow_provider_kore.erasure.names import Names, Pseudonyms
from airflow_provider_kore.erasure.run import erase
from airflow_provider_kore.exceptions import (
    ContentionError,
    CorruptSnapshotError,
    ErasureIncompleteError,
    KoreError,
    ParameterError,
    RequestRefusedError,
    StoppedError,
    StoreUnavailableError,
)
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.snapshot.fields import FieldPolicies
from airflow_provider_kore.stop import Stop
from airflow_provider_kore.store.store import Lock
from airflow_provider_kore.store.versions import PatientVersionedStore

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = b"sixteen bytes or more of a key"
HASHING = FieldPolicies.parse(None, {"phoneNumber": "hash"}).with_key(KEY, "k1")
EVERY_FORM = [(each.name, how) for each in FORMATS.values() for how in each.compressions]
every_form = pytest.mark.parametrize(("file_format", "compression"), EVERY_FORM)
WHO = "cc-000000000003"
OBJECT = f"{partition('cl-1', DAYS[0])}contacts.jsonl.gz"
MANIFEST = f"{partition('cl-1', DAYS[0])}_manifest.json"

ODD_ROWS = [
    '{"phoneNumber": "+49\\u0031", "_id": "cc-esc\\u0061ped", "a": {"b": [1.10, "x,\\"y"]}, "a": 2}',
    '{"_id": "cc-large", "n": 123456789012345678901234567890, "f": 1.10, "t": "a\\nb\\r\\n\\u2028\\ud800", "z": null}',
    '{"_id":"cc-tight","phoneNumber":null,"q":"say \\"hi\\", then\\ttab","z":true}',
]


def rows() -> list[dict[str, Any]]:
    return [contact(number) for number in range(6)]


# --- All others stay as they were -------------------------------------------------------------------------------------


def lines_of(body: bytes, file_format: str, compression: str) -> list[bytes]:
    text = unpacked(body).removeprefix(body + b"\n") if compression != "none" else body
    if file_format == "csv":
        return text.split(b"\r\n")
    return text.split(b"\n")


@every_form
def test_all_other_rows_are_as_they_were(file_format: str, compression: str) -> None:
    store = VersionedMemoryStore()
    there = [*ODD_ROWS[:2], json.dumps(contact(3)), ODD_ROWS[2], json.dumps(contact(4))]
    before = land(store, DAYS[0], there, file_format=file_format, compression=compression)
    body = store.bodies()[before.keys[0]]
    forget(store, ids(WHO))
    content = manifest_of(store, DAYS[0])
    after = store.bodies()[content["files"][0]["key"]]
    hold_true(store, content)
    nowhere(store, WHO)
    assert (content["contacts"], content["erased"]) == (4, 1)
    assert content["files"][0]["columns"] == before.files[0]["columns"]
    if file_format == "parquet":
        from pyarrow import parquet

        old, new = (parquet.ParquetFile(io.BytesIO(each)) for each in (body, after))
        assert new.schema_arrow.equals(old.schema_arrow, check_metadata=True)
        table = old.read()
        keep = [each != WHO for each in table.column("_id").to_pylist()]
        assert new.read().equals(table.filter(keep))
        assert new.metadata.row_group(0).column(0).compression == old.metadata.row_group(0).column(0).compression
    else:
        expected = [line for line in lines_of(body, file_format, compression) if WHO.encode() not in line]
        assert lines_of(after, file_format, compression) == expected


names_ = st.sampled_from([f"cc-{letter * 6}" for letter in "abcdef"])
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
some_rows = st.dictionaries(
    names_,
    st.dictionaries(st.sampled_from(["a", "b", "phoneNumber"]), st.one_of(texts, st.integers(), st.none()), max_size=3),
)


@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
@settings(max_examples=40, deadline=None)
@given(found=some_rows, doomed=st.sets(names_, min_size=1))
def test_whatever_rows_say_those_that_stay_are_byte_for_byte_the_same(
    file_format: str, found: dict[str, dict[str, Any]], doomed: set[str]
) -> None:
    store = VersionedMemoryStore()
    there = [json.dumps({"_id": name, **fields}, ensure_ascii=len(name) % 2 == 0) for name, fields in found.items()]
    land(store, DAYS[0], there, file_format=file_format, compression="none")
    body = store.bodies()[manifest_of(store, DAYS[0])["files"][0]["key"]]
    forget(store, ids(*doomed), on_missing="skip")
    after = store.bodies()[manifest_of(store, DAYS[0])["files"][0]["key"]]
    hold_true(store, manifest_of(store, DAYS[0]))
    if not doomed & found.keys():
        assert after == body
        return
    expected = VersionedMemoryStore()
    stay = [row for row, name in zip(there, found, strict=True) if name not in doomed]
    if file_format == "jsonl":
        land(expected, DAYS[0], stay, compression="none")
        assert after == expected.bodies()[OBJECT.removesuffix(".gz")]
    else:
        position = 0
        for piece in after.split(b"\r\n"):  # the pieces that stay come in their order, each as it was
            position = body.index(piece, position) + len(piece)
        read = list(FORMATS["csv"].read_ids(io.BytesIO(after), compression="none"))
        assert read == [name for name in found if name not in doomed]


def test_nothing_but_size_and_digests_of_an_object_changes() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    store.others[OBJECT] = store.others[MANIFEST] = {"Tagging": "team=data", "StorageClass": "STANDARD_IA"}
    before = store.head(OBJECT)
    forget(store, ids(WHO))
    after = store.head(OBJECT)
    assert before is not None
    assert after is not None
    changed = {"kore-attempt", "kore-erased-from", "kore-contacts"}
    assert {name: value for name, value in after.metadata.items() if name not in changed} == {
        name: value for name, value in before.metadata.items() if name not in changed
    }
    assert after.metadata["kore-contacts"] == "5"
    assert store.content_type(OBJECT) == "application/gzip"
    assert store.others[OBJECT] == store.others[MANIFEST] == {"Tagging": "team=data", "StorageClass": "STANDARD_IA"}
    assert store.head(MANIFEST).metadata["kore-snapshot-id"] == "0123456789ab"  # type: ignore[union-attr]


def test_a_partition_that_holds_no_one_is_not_written() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    land(store, DAYS[1], [contact(1)])
    before = store.bodies()
    forget(store, ids(WHO))
    assert {key for key, body in store.bodies().items() if before.get(key) != body} == {
        OBJECT,
        MANIFEST,
        spec().receipt,
    }


# --- Who it is --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_number_that_was_hashed_is_found_with_its_key_alone(file_format: str) -> None:
    store = VersionedMemoryStore()
    hashed = [json.loads(HASHING.apply(json.dumps(row))) for row in [*rows(), contact(9, phoneNumber=GONE)]]
    fields = {**HASHING.describe(), "missing": {}}
    land(store, DAYS[0], hashed, file_format=file_format, fields=fields)
    before = store.bodies()
    with pytest.raises(ParameterError, match=r"in cl-1 has phoneNumber hashed, and hash_conn_id is missing"):
        forget(store, phones(GONE))
    other = FieldPolicies.parse(None, {"phoneNumber": "hash"}).with_key(b"x" * 16, "k1")
    with pytest.raises(ParameterError, match="phoneNumber hashed, and hash_conn_id names another key"):
        forget(store, phones(GONE), policies=other)
    assert store.bodies() == before
    assert forget(store, phones(GONE), on_missing="skip", generation="skip")["not_found"] == 1
    receipt = forget(store, phones(GONE), policies=HASHING)
    assert (receipt["rows_erased"], receipt["not_found"]) == (1, 0)
    nowhere(store, "cc-000000000009", hashed[-1]["phoneNumber"])


def test_snapshots_that_hide_numbers_are_named_before_anything_is_changed() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], [contact(3, phoneNumber=GONE)])
    masked = {"keep": None, "policies": {"phoneNumber": "mask"}, "hash": None}
    land(store, DAYS[1], [contact(3, phoneNumber="****78"), contact(4)], fields=masked)
    before = store.bodies()
    with pytest.raises(ParameterError, match=rf"hides them: the snapshot of {DAYS[1]} in cl-1 has the policy 'mask'"):
        forget(store, phones(GONE))
    assert store.bodies() == before
    assert forget(store, phones(GONE), on_missing="skip")["rows_erased"] == 2
    nowhere(store, GONE, WHO)


def test_call_results_are_found_by_number() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    calls = [contact(1, _id="f" * 24, phoneNumber=GONE), contact(2, _id="e" * 24)]
    place = {"list_id": "cd-1", "table": "kore/results", "key": "campaign_id"}
    land(store, DAYS[0], calls, **place)
    forget(store, phones(GONE), call_results_prefix="kore/results")
    content = manifest_of(store, DAYS[0], **place)
    assert (content["contacts"], content["erased"]) == (1, 1)
    nowhere(store, GONE)


def test_only_the_lists_that_were_told_are_touched() -> None:
    store = VersionedMemoryStore()
    for list_id in ("cl-1", "cl-2", "cl-10"):
        land(store, DAYS[0], rows(), list_id=list_id)
    before = store.bodies()
    forget(store, ids(WHO), contact_list_ids=["cl-1"])
    changed = [key for key, body in store.bodies().items() if before.get(key) != body and "kore/lists/" in key]
    assert all("contact_list_id=cl-1/" in key for key in changed)
    assert len(changed) == 2


def test_those_whom_the_changes_of_a_day_call_gone_are_erased_and_their_counts_are_true() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    land(store, DAYS[1], [contact(1)])
    there = [
        {"_id": contact(1)["_id"], "change": "added", "contact": contact(1), "before": None},
        {"_id": WHO, "change": "gone", "contact": None, "before": None},
        {"_id": contact(4)["_id"], "change": "gone", "contact": None, "before": None},
    ]
    land_changes(store, DAYS[1], there)
    receipt = forget(store, [], gone_on=DAYS[1])
    assert receipt["rows_erased"] == 4
    content = manifest_of(store, DAYS[1], table="kore/lists_changes")
    assert [content[name] for name in ("changes", "added", "changed", "gone", "unchanged", "erased")] == [
        1,
        1,
        0,
        0,
        7,
        2,
    ]
    hold_true(store, content)
    nowhere(store, WHO, contact(4)["_id"])
    with pytest.raises(ParameterError, match=rf"'gone_on': is {DAYS[0]}, and there are no changes of list cl-1"):
        forget(store, [], gone_on=DAYS[0], contact_list_ids=["cl-1"])


def test_a_checkpoint_that_holds_someone_is_deleted_and_no_other() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    theirs, others = checkpoint(store, rows()), checkpoint(store, [contact(8)], start=7)
    foreign = "kore/_staging/lists/notes.txt"
    store.put(foreign, b"nothing", content_type="text/plain")
    receipt = forget(store, ids(WHO))
    assert receipt["deleted"]["checkpoints"] == 1
    assert theirs not in store.bodies()
    assert {others, foreign} <= store.bodies().keys()


# --- Before anything is changed ---------------------------------------------------------------------------------------


def test_a_plan_changes_nothing_and_says_what_it_will_cost() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    checkpoint(store, rows())
    before = store.bodies()
    told = forget(store, ids(WHO, "cc-nowhere-at-all"), plan_only=True)
    assert store.bodies() == before
    assert not [effect for effect in store.effects[-20:] if effect.writes and "_erasures" in effect.key]
    assert (told["rows"], told["not_found"], told["checkpoints"]) == (1, 1, 1)
    assert told["objects"] == [{"key": OBJECT, "rows": 1, "bytes": len(before[OBJECT])}]
    assert told["cost"]["bytes_to_write"] == len(before[OBJECT])
    assert {"objects_to_rewrite", "objects_to_delete", "bytes_to_read", "requests"} <= told["cost"].keys()
    assert WHO not in json.dumps(told)


def test_an_entry_that_is_nowhere_is_told_by_its_place_and_nothing_is_changed() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    before = store.bodies()
    with pytest.raises(ParameterError, match=r"2 entries of 3 are nowhere in these lists: number 2, 3") as caught:
        forget(store, [*ids(WHO, "cc-nowhere-at-all"), Given("phone", GONE, 3)])
    assert "nowhere-at-all" not in str(caught.value)
    assert GONE not in str(caught.value)
    assert store.bodies() == before
    assert forget(store, ids(WHO, "cc-nowhere-at-all"), on_missing="skip")["not_found"] == 1


def by_hand(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


BAD: dict[str, tuple[Callable[[VersionedMemoryStore], object], str]] = {
    "a file is missing": (lambda store: store.delete([OBJECT]), "is missing, and its manifest names it"),
    "a manifest is no JSON": (lambda store: store.put(MANIFEST, b"hello", content_type="x/y"), "it is no JSON"),
    "a manifest of another list": (
        lambda store: store.put(
            MANIFEST, by_hand({**manifest_of(store, DAYS[0]), "contact_list_id": "cl-9"}), content_type="x/y"
        ),
        "says contact_list_id 'cl-9'",
    ),
    "a manifest that names files elsewhere": (
        lambda store: store.put(
            MANIFEST,
            by_hand({**manifest_of(store, DAYS[0]), "files": [{"key": "prod/x.jsonl.gz", "rows": 6}]}),
            content_type="x/y",
        ),
        "lies outside of its folder",
    ),
    "a file that is another": (
        lambda store: store.put(OBJECT, gzip.compress(b'{"_id": "cc-1"}\n'), content_type="x/y"),
        "is not the file that its manifest describes",
    ),
    "a flipped byte": (
        lambda store: store.put(OBJECT, store.bodies()[OBJECT][:-1] + b"x", content_type="x/y"),
        "not the file that its manifest describes|is not what was written",
    ),
    "other rows than it says": (
        lambda store: store.put(
            MANIFEST,
            by_hand(
                {
                    **manifest_of(store, DAYS[0]),
                    "contacts": 7,
                    "files": [{**manifest_of(store, DAYS[0])["files"][0], "rows": 7}],
                }
            ),
            content_type="x/y",
        ),
        "holds 6 rows, and its manifest says 7",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_as_it_should_be_is_one_error_and_nothing_is_changed(what: str) -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[1], rows())
    land(store, DAYS[0], rows())
    spoil, message = BAD[what]
    spoil(store)
    before = store.bodies()
    with pytest.raises(CorruptSnapshotError, match=message) as caught:
        forget(store, ids(WHO))
    assert store.bodies() == before
    assert WHO not in str(caught.value)


def test_a_store_that_ignores_conditions_is_refused() -> None:
    for store in (
        VersionedMemoryStore(honours_conditions=False),
        VersionedMemoryStore(honours_conditions=None, ignored=frozenset({"put_swap"})),
    ):
        land(store, DAYS[0], rows())
        before = store.bodies()
        with pytest.raises(RequestRefusedError, match="does not honour conditional writes"):
            forget(store, ids(WHO))
        assert store.bodies() == before


# --- What is not ours -------------------------------------------------------------------------------------------------


def test_what_others_put_there_is_told_and_never_touched() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    place = partition("cl-1", DAYS[0])
    strange = {
        f"{place}notes.csv": b"a,b\n",
        f"{place}contacts.csv.gz": b"no metadata of ours",
        "kore/lists/readme": b"x",
    }
    for key, body in strange.items():
        store.put(key, body, content_type="text/plain")
    assert set(forget(store, ids(WHO), plan_only=True)["strangers"]) == set(strange)
    forget(store, ids(WHO))
    assert {key: store.bodies()[key] for key in strange} == strange


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_trace_in_what_others_put_there_fails_the_task_when_all_else_is_done(pack: Callable[[bytes], bytes]) -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    key = f"{partition('cl-1', DAYS[0])}export.txt"
    store.put(key, pack(f"who: {WHO};".encode()), content_type="text/plain")
    assert forget(store, ids(WHO), plan_only=True)["strangers_with_traces"] == [key]
    with pytest.raises(
        ErasureIncompleteError, match=r"1 object that this package did not write still holds a trace"
    ) as caught:
        forget(store, ids(WHO))
    assert WHO not in str(caught.value)
    assert key in str(caught.value)
    assert manifest_of(store, DAYS[0])["erased"] == 1
    assert key in store.bodies()
    store.delete([key])
    assert forget(store, ids(WHO))["complete"]


def test_a_number_in_a_row_of_somebody_else_is_told() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], [contact(3, phoneNumber=GONE), contact(4, emergency=GONE)])
    receipt = forget(store, phones(GONE))
    assert receipt["searched"]["mentions"] == [OBJECT]
    assert receipt["rows_erased"] == 1
    other = VersionedMemoryStore()
    land(other, DAYS[0], [contact(3, phoneNumber=GONE), contact(4, emergency=GONE)])
    assert forget(other, phones(GONE), phone_fields=["phoneNumber", "emergency"])["rows_erased"] == 2


# --- A snapshot that lands meanwhile ----------------------------------------------------------------------------------


def unfinished(store: VersionedMemoryStore, there: list[dict[str, Any]], snapshot: str = "ba9876543210") -> None:
    """Leave the object of a newer snapshot, whose manifest was not written yet."""
    other = VersionedMemoryStore()
    land(other, DAYS[0], there, snapshot=snapshot)
    body = other.bodies()[OBJECT]
    described = other.head(OBJECT)
    assert described is not None
    store.put(OBJECT, body, content_type="application/gzip", metadata=described.metadata)


def test_a_snapshot_that_is_landing_is_waited_for_and_then_looked_through() -> None:
    clock = FakeClock()
    store = VersionedMemoryStore(clock=clock)
    land(store, DAYS[0], rows())
    unfinished(store, [*rows(), contact(7)])

    class Landing(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            clock.now += seconds
            land(store, DAYS[0], [*rows(), contact(7)], snapshot="ba9876543210")

    assert erase(spec(), store, ids(WHO), clock=Landing())["rows_erased"] == 1
    content = manifest_of(store, DAYS[0])
    assert (content["contacts"], content["snapshot_id"]) == (6, "ba9876543210")
    hold_true(store, content)


def test_one_that_does_not_end_fails_the_try_and_nothing_is_changed_until_it_is_taken_for_dead() -> None:
    clock = FakeClock()
    store = VersionedMemoryStore(clock=clock)
    land(store, DAYS[0], rows())
    unfinished(store, [*rows(), contact(7)])
    before = store.bodies()
    with pytest.raises(ContentionError, match="A snapshot is landing in"):
        forget(store, ids(WHO), clock=clock)
    assert store.bodies() == before
    clock.now += 100_000
    assert forget(store, ids(WHO), clock=clock)["rows_erased"] == 1
    nowhere(store, WHO)


def test_a_file_that_moves_just_before_it_is_rewritten_is_looked_at_again_and_each_row_counts_once() -> None:
    store = VersionedMemoryStore()
    there = [contact(3), contact(0), contact(4, phoneNumber=GONE), contact(1)]
    first, second = land(store, DAYS[0], there, rows_per_file=2).keys
    traits, moved = store.traits, [""]

    def moving(key: str) -> Any:
        if key == first and key not in moved:
            moved.append(key)
            return None
        return traits(key)

    store.traits = moving  # type: ignore[method-assign]
    receipt = forget(store, [*ids(WHO), *phones(GONE)])
    assert moved == ["", first]
    assert {each["key"]: each["rows_erased"] for each in receipt["objects"]} == {first: 1, second: 1}
    hold_true(store, manifest_of(store, DAYS[0]))


def test_snapshots_that_keep_landing_someone_fail_the_try() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    listing, number = store.list, [0]

    def landing(prefix: str) -> Any:
        number[0] += 1
        if prefix == "kore/lists/":
            land(store, f"2025-04-{number[0] % 28 + 1:02d}", rows())
        return listing(prefix)

    store.list = landing  # type: ignore[method-assign]
    with pytest.raises(ContentionError, match="keep landing below"):
        forget(store, ids(WHO))


# --- Older versions ---------------------------------------------------------------------------------------------------


def test_older_versions_stay_unless_they_are_asked_for_and_the_receipt_says_so() -> None:
    store = VersionedMemoryStore(versioned=True)
    land(store, DAYS[0], rows())
    assert forget(store, ids(WHO))["versions"] == "kept, not searched"
    assert any(WHO.encode() in unpacked(body) for body in old_bodies(store))
    again = forget(store, ids(WHO), versions=True, on_missing="skip", generation="other")
    assert again["versions"] == "searched"
    assert again["deleted"]["versions"] == 1
    assert not any(WHO.encode() in unpacked(body) for body in old_bodies(store))


def test_a_deleted_key_loses_its_versions_and_then_its_marker_and_one_that_lives_keeps_others() -> None:
    store = VersionedMemoryStore(versioned=True)
    land(store, "2025-03-01", rows())
    store.delete(list(store.bodies()))
    land(store, DAYS[0], [contact(1)])
    land(store, DAYS[0], rows())
    receipt = forget(store, ids(WHO), versions=True)
    assert not any(WHO.encode() in unpacked(body) for body in old_bodies(store))
    deleted = store.kept[f"{partition('cl-1', '2025-03-01')}contacts.jsonl.gz"].versions
    assert deleted == []
    assert len(store.kept[OBJECT].versions) == 2  # the first, which held no one, and the last
    assert receipt["deleted"] == {"checkpoints": 0, "versions": 2, "markers": 1, "uploads": 0}


@pytest.mark.parametrize("mode", ["COMPLIANCE", "legal hold"])
@pytest.mark.parametrize("current", [True, False])
def test_a_version_that_is_locked_is_named_before_anything_is_changed(mode: str, current: bool) -> None:
    store = VersionedMemoryStore(versioned=True)
    land(store, DAYS[0], rows())
    if not current:
        land(store, DAYS[0], [contact(1), contact(3)])
        land(store, DAYS[0], [contact(1)])
    version_id = store.kept[OBJECT].versions[0][0]
    held = mode == "legal hold"
    store.locks[version_id] = Lock(held=True) if held else Lock(mode=mode, until="2027-01-01T00:00:00Z")
    before = store.bodies()
    with pytest.raises(ErasureIncompleteError, match=rf"Object Lock, such as .*{OBJECT}, version {version_id}: {mode}"):
        forget(store, ids(WHO), versions=True)
    assert store.bodies() == before
    assert len(store.kept[OBJECT].versions) == (1 if current else 3)


def test_a_bucket_that_locks_whatever_is_written_keeps_the_notes_and_names_a_checkpoint_beforehand() -> None:
    store = VersionedMemoryStore(versioned=True)
    land(store, DAYS[0], rows())
    key, keep = checkpoint(store, rows()), store._keep

    def locking(key: str) -> None:
        keep(key)
        store.locks[store.kept[key].versions[-1][0]] = Lock(mode="GOVERNANCE", until="2027-01-01T00:00:00Z")

    store._keep = locking  # type: ignore[method-assign]
    store.locks[store.kept[key].versions[-1][0]] = Lock(held=True)
    before = store.bodies()
    with pytest.raises(ErasureIncompleteError, match=r"_staging/.*: legal hold\. Nothing was changed"):
        forget(store, ids(WHO), versions=True)
    assert store.bodies() == before
    store.locks.clear()
    assert forget(store, ids(WHO), versions=True)["deleted"]["checkpoints"] == 1
    assert not any(WHO.encode() in unpacked(body) for body in old_bodies(store))
    assert len(store.kept[spec(versions=True).notes].versions) > 1, "which name no one"


def test_a_listing_of_versions_goes_on_after_an_outage_with_what_was_not_told_yet() -> None:
    store = VersionedMemoryStore(versioned=True)
    for number in range(12):
        store.put(f"a/{number % 4}", b"%d" % number, content_type="x/y")
    listed, outages = list(store.versions("a/")), iter((5, 5, 7, 0, 11))
    versions = store.versions

    def breaking(prefix: str) -> Any:
        end = next(outages, len(listed))
        yield from itertools.islice(versions(prefix), end)
        if end < len(listed):
            raise StoreUnavailableError("The store is away.")

    store.versions = breaking  # type: ignore[method-assign]
    assert list(PatientVersionedStore(store, FakeClock(), Stop()).versions("a/")) == listed


@pytest.mark.parametrize(
    ("name", "value", "message"), [("team_name", "x", ""), ("team", "é", "cannot be written again")]
)
def test_what_others_have_added_to_an_objects_metadata_stays_or_is_named(name: str, value: str, message: str) -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    found = store._state.objects[OBJECT]
    described = replace(found.described, metadata={**found.described.metadata, name: value})
    store._state.objects[OBJECT] = replace(found, described=described)
    if message:
        with pytest.raises(RequestRefusedError, match=message):
            forget(store, ids(WHO))
    else:
        forget(store, ids(WHO))
        assert store._state.objects[OBJECT].described.metadata[name] == value


# --- Who is told ------------------------------------------------------------------------------------------------------


def listed(body: bytes) -> list[Given]:
    store = VersionedMemoryStore()
    store.put("requests/list", body, content_type="x/y")
    with fetched_list(store, "requests/list", ("phoneNumber",)) as found:
        assert list(found) == list(found)
        return list(found)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    "text",
    [
        '{"_id": "cc-aaaaaa"}\n\n{"phoneNumber": "+49 151", "_id": ""}\r\n{"phoneNumber": 4915112345678}',
        '\ufeff_id,name,phoneNumber\r\ncc-aaaaaa,"x,y",\r\n,z,"+49 151"\r\n,,4915112345678\r\n',
    ],
    ids=["jsonl", "csv"],
)
def test_a_list_is_read_whatever_its_form(text: str, pack: Callable[[bytes], bytes]) -> None:
    found = listed(pack(text.encode()))
    assert [(each.kind, each.value) for each in found] == [
        ("id", "cc-aaaaaa"),
        ("phone", "+49 151"),
        ("phone", "4915112345678"),
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"_id": "cc-a"}\n{"_id": "+4915112345678"}\n', "its 2nd entry is given as an id, and looks like a phone"),
        (b'{"phoneNumber": "cc-abcdef"}', "has no digit"),
        (b'{"name": "Secretive"}', "says neither _id nor a phone number in its 1st row"),
        (b'{"_id": "cc-a"}\nSecretive', "has no JSON object in its 2nd row"),
        (b'{"_id": ["Secretive"]}', "says neither"),
        (b"Secretive\ncc-a\n", "does not begin with a JSON object, nor with a header"),
        (b'{"_id": "\xff"}', "is not UTF-8"),
        (b"\x1f\x8bSecretive", "is damaged, or no gzip"),
        (b'{"_id": "' + b"Secretive" * 100 + b'"}', "more than 256 characters"),
        (b'{"_id": "' + b"Secretive" * 10_000 + b'"}', "has a row of 65,536 characters or more"),
        (b"_id,note\ncc-a," + b"Secretive" * 10_000 + b"\n", "has a row of 65,536 characters or more"),
        (b"name,_id\nSecretive, J,cc-a\n", "has more fields than its header in its 1st row"),
        (b'{"_id": "cc-a"}\n[]', "has no JSON object in its 2nd row"),
        (b"[" * 60_000, "does not begin with"),
    ],
)
def test_a_hostile_list_is_one_error_that_shows_nothing_of_it(body: bytes, message: str) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        listed(body)
    assert "Secretive" not in str(caught.value)
    assert "4915112345678" not in str(caught.value)


def test_a_list_that_unpacks_to_any_length_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_kore.erasure import given as lists

    monkeypatch.setattr(lists, "MOST_BYTES", 1 << 20)
    with pytest.raises(ParameterError, match="is larger than 1 MiB"):
        listed(gzip.compress(b'{"_id": "cc-aaaaaa"}\n' * 100_000))


def test_a_list_or_a_prefix_that_is_misspelt_is_named() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    with pytest.raises(ParameterError, match=r"'contact_list_ids': has 'cl-l', of which nothing lies below"):
        forget(store, ids(WHO), contact_list_ids=["cl-1", "cl-l"])
    with pytest.raises(ParameterError, match=r"'s3_prefix': is 'kore/list', below which nothing lies"):
        forget(store, ids(WHO), s3_prefix="kore/list", plan_only=True)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_may_be_left_without_rows(file_format: str) -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows()[:2], file_format=file_format)
    forget(store, ids(*(row["_id"] for row in rows()[:2])))
    content = manifest_of(store, DAYS[0])
    hold_true(store, content)
    assert content["contacts"] == 0
    assert rows_in(store, content) == []


def test_no_one_is_no_erasure() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    for nobody in ([], listed(b""), listed(b"\n\n")):
        with pytest.raises(ParameterError, match="names no one"):
            forget(store, nobody)
    with pytest.raises(ParameterError, match="'contact_ids': is no list"):
        given_directly("contact_ids", WHO, "id")


def test_many_names_take_little_memory_because_only_their_digests_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_kore.erasure import names

    dropped: list[bool] = []

    class Name(bytes):
        """Says when it is gone."""

        def __del__(self) -> None:
            dropped.append(True)

    monkeypatch.setattr(names, "_FEW", 100)
    many = Names([Name(b"cc-first")])
    assert not dropped
    for number in range(1_000):
        many.add(b"cc-%012d" % number)
    assert dropped
    assert b"cc-first" in many
    assert all(b"cc-%012d" % number in many for number in range(1_000))
    assert not any(b"cd-%012d" % number in many for number in range(1_000))
    assert len(many) == 1_001
    assert b"cc-" not in repr(many).encode()


def test_what_a_retry_needs_is_kept_as_what_only_it_can_read() -> None:
    one, two = Pseudonyms(b"a" * 64, b"salt"), Pseudonyms(b"b" * 64, b"salt")
    assert one.of(b"cc-1") != two.of(b"cc-1") != one.of(b"cc-2")
    assert one.check != two.check


def test_a_task_that_is_told_to_stop_ends_and_its_retry_goes_on() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    stop = Stop()
    stop.request()
    with pytest.raises(StoppedError):
        erase(spec(), store, ids(WHO), stop=stop, clock=FakeClock())
    assert forget(store, ids(WHO))["complete"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"contact_list_ids": ["a/b"]},
        {"contact_list_ids": 7},
        {"phone_fields": []},
        {"gone_on": "yesterday"},
        {"plan_only": "perhaps"},
        {"versions": 2},
        {"on_missing": "ignore"},
        {"s3_prefix": "/x"},
        {"changes_prefix": "kore/lists/changes"},
        {"receipt_prefix": "kore/lists"},
        {"staging_expiry": -1},
    ],
)
def test_an_impossible_parameter_is_named(parameters: dict[str, Any]) -> None:
    with pytest.raises(ParameterError) as caught:
        spec(**parameters)
    assert caught.value.parameter in {*parameters, "s3_prefix"}


def test_no_message_and_no_line_of_the_log_names_anyone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    store = VersionedMemoryStore(versioned=True)
    land(store, DAYS[0], [*rows(), contact(9, phoneNumber=GONE, other=WHO)])
    checkpoint(store, rows())
    told = [str(forget(store, [*ids(WHO), *phones(GONE)], plan_only=True))]
    told.append(str(forget(store, [*ids(WHO), *phones(GONE)])))
    told += [str(body) for key, body in store.bodies().items() if "_erasures" in key or "_manifest" in key]
    try:
        forget(store, ids("cc-nowhere-at-all"), generation="g2")
    except KoreError as err:
        told.append(str(err))
    text = caplog.text + "".join(told)
    for name in (WHO, GONE, GONE[1:], "nowhere-at-all", "cc-000000000009"):
        assert name not in text


def test_rows_in_the_manifest_are_those_that_are_there_after_two_erasures() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows(), rows_per_file=2)
    forget(store, ids(WHO))
    forget(store, ids(contact(0)["_id"], contact(1)["_id"]), generation="second")
    content = manifest_of(store, DAYS[0])
    hold_true(store, content)
    assert len(rows_in(store, content)) == content["contacts"] == 3
    assert content["erased"] == 3
    assert [each["rows"] for each in content["erasures"]] == [1, 2]
    assert content["replaces"] == [each["manifest_sha256"] for each in reversed(content["erasures"])]
