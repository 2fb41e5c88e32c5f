"""What is not proven to be this package's stays, and is named; what is, is found however a name is spelt."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest
from model_versions import VersionedMemoryStore
from tables import (
    DAYS,
    GONE,
    checkpoint,
    contact,
    forget,
    ids,
    land,
    land_changes,
    manifest_of,
    partition,
    phones,
    spec,
)

from airflow_provider_kore.erasure.look import look
from airflow_provider_kore.erasure.persons import Persons
from airflow_provider_kore.erasure.work import Work
from airflow_provider_kore.exceptions import CorruptSnapshotError, ErasureIncompleteError
from airflow_provider_kore.formats import FORMATS, ColumnSet
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.stop import Stop

WHO = "cc-000000000003"
PLACE = partition("cl-1", DAYS[0])
OBJECT = f"{PLACE}contacts.jsonl.gz"
MANIFEST = f"{PLACE}_manifest.json"
TYPE = {"content_type": "x/y"}


def rows() -> list[dict[str, Any]]:
    return [contact(number) for number in range(6)]


def packed(*there: dict[str, Any], file_format: str = "jsonl") -> bytes:
    body, texts = io.BytesIO(), [json.dumps(row) for row in there]
    FORMATS[file_format].write(texts, body, compression="gzip", columns=ColumnSet.of(texts))
    return body.getvalue()


def refused(store: VersionedMemoryStore, key: str, body: bytes, **parameters: Any) -> None:
    """All is erased but what somebody else has put there, which is named."""
    with pytest.raises(ErasureIncompleteError, match="this package did not write") as caught:
        forget(store, ids(WHO), **parameters)
    assert key in str(caught.value)
    assert WHO not in str(caught.value)
    assert manifest_of(store, DAYS[0])["erased"] == 1
    assert body in [each for _, each in store.kept[key].versions]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("contacts.csv.gz", packed(contact(3), file_format="csv")),
        ("contacts-0123456789ab-89abcdef-00000.jsonl.gz", packed(contact(3))),
        ("contacts.parquet", b"PAR1 " + WHO.encode()),
    ],
    ids=["csv", "split", "damaged"],
)
def test_a_file_of_others_under_a_snapshots_name_stays_and_is_named(name: str, body: bytes) -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    store.put(PLACE + name, body, **TYPE)
    refused(store, PLACE + name, body)


def test_an_older_version_that_others_have_put_under_a_snapshots_name_stays_and_is_named() -> None:
    store = VersionedMemoryStore(versioned=True)
    store.put(OBJECT, body := packed(contact(3)), **TYPE)
    land(store, DAYS[0], rows())
    refused(store, OBJECT, body, versions=True)
    assert len(store.kept[OBJECT].versions) == 2, "theirs, and what is there now"


@pytest.mark.parametrize(
    "body",
    [b"mine: " + WHO.encode(), packed(contact(3)), gzip.compress(b"[]\n" + WHO.encode())],
    ids=["text", "rows alone", "another head"],
)
def test_what_others_have_put_under_a_checkpoints_name_stays_and_is_named(body: bytes) -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    store.put(key := checkpoint(store, rows()), body, **TYPE)
    refused(store, key, body)


def test_what_others_have_put_beside_notes_keeps_its_versions_and_what_lies_under_a_receipts_name_is_not_replaced() -> (
    None
):
    store = VersionedMemoryStore(versioned=True)
    land(store, DAYS[0], rows())
    for key in ("kore/_erasures/lists/unfinished/mine.txt", f"kore/_erasures/lists/unfinished/{'0' * 16}.json"):
        store.put(key, b"a", **TYPE)
        store.put(key, b"b", **TYPE)
    forget(store, ids(WHO), versions=True)
    assert [len(kept.versions) for key, kept in store.kept.items() if "unfinished/mine" in key or "/000" in key] == [
        2,
        2,
    ]
    for key in (spec(generation="x").receipt, spec(generation="x").notes):
        store.put(key, b"{}", **TYPE)
        with pytest.raises(CorruptSnapshotError, match="is not what an erasure has noted"):
            forget(store, ids(WHO), generation="x")
        assert store.bodies()[key] == b"{}"
        store.delete([key])


def test_beside_its_probes_nothing_is_deleted() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    place = spec().notes.removesuffix(".json")
    theirs, ours = f"{place}/probe-results.csv", f"{place}/probe-{'0a' * 16}"
    for key in (theirs, ours):
        store.put(key, b"x", **TYPE)
    forget(store, ids(WHO))
    assert list(store.bodies(place)) == [theirs]


@pytest.mark.parametrize("place", ["kore/lists/", "kore/lists/contact_list_id=cl-1/", "kore/_staging/lists/a/"])
def test_a_manifest_of_others_elsewhere_is_none_of_ours(place: str) -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    store.put(f"{place}_manifest.json", b"hello", **TYPE)
    assert forget(store, ids(WHO))["complete"]


def test_a_manifest_by_hand_that_tells_no_digest_does_not_make_a_file_ours() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    content = manifest_of(store, DAYS[0]) | {"files": [{"key": OBJECT, "rows": 6}]}
    store.put(MANIFEST, json.dumps(content).encode(), **TYPE)
    store.put(OBJECT, body := packed(*rows()), **TYPE)
    with pytest.raises(CorruptSnapshotError, match="may be anybody's"):
        forget(store, ids(WHO))
    assert store.bodies()[OBJECT] == body


def test_changes_that_move_while_they_tell_who_is_gone_are_read_again() -> None:
    store = VersionedMemoryStore()
    land(store, DAYS[0], rows())
    land_changes(store, DAYS[1], [{"_id": WHO, "change": "gone", "contact": None, "before": None}])
    get, moved = store.get, [""]

    def moving(key: str) -> Any:
        if "_changes/" in key and key not in moved:
            moved.append(key)  # each of them is replaced just then
            return None
        return get(key)

    store.get = moving  # type: ignore[method-assign]
    assert forget(store, [], gone_on=DAYS[1])["rows_erased"] == 2


# --- However a name is spelt ------------------------------------------------------------------------------------------

ODD = ["cc-é-3", 'cc-"3"-x', "cc-\\3-x", "cc 3 ünï", "ü", 'a,b"c', "cc/3", "\ud83d-3", "id\u2028three", "12"]


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_id_is_found_in_every_form_and_in_checkpoints(odd: str) -> None:
    store = VersionedMemoryStore()
    there = [contact(1), contact(3, _id=odd), contact(4, _id=f"{odd}4"), contact(5, _id=f"4{odd}", note="1 12 123")]
    for name in FORMATS:
        land(store, DAYS[0], there, list_id=f"cl-{name}", file_format=name)
    theirs, others = checkpoint(store, there), checkpoint(store, [there[0], *there[2:]], start=9)
    receipt = forget(store, ids(odd))
    assert (receipt["rows_erased"], receipt["not_found"]) == (len(FORMATS), 0)
    assert (theirs in store.bodies(), others in store.bodies()) == (False, True)
    for name in FORMATS:
        assert manifest_of(store, DAYS[0], list_id=f"cl-{name}")["contacts"] == 3


def test_a_short_number_takes_no_version_and_no_checkpoint_that_only_has_its_digits() -> None:
    store = VersionedMemoryStore(versioned=True)
    land(store, DAYS[0], [contact(1, note="112"), contact(2, phoneNumber="112")])
    land(store, DAYS[0], [contact(1, note="112")])
    land(store, DAYS[0], [contact(3, phoneNumber="112"), contact(4)])
    key = checkpoint(store, [contact(8, note="call 112")])
    receipt = forget(store, phones("112"), versions=True)
    assert receipt["deleted"] == {"checkpoints": 0, "versions": 2, "markers": 0, "uploads": 0}
    assert receipt["searched"]["mentions"][-1:] == [OBJECT]
    assert key in store.bodies()


def test_every_one_of_many_numbers_with_blanks_is_looked_for() -> None:
    store = VersionedMemoryStore()
    numbers = [f"+49 151 {number:07d}" for number in range(1_200)]
    land(store, DAYS[0], [contact(number, phoneNumber=each) for number, each in enumerate(numbers)])
    checkpoint(store, [contact(7, _id="cc-elsewhere", phoneNumber=numbers[-1])])
    store.put(key := f"{PLACE}export.txt", f"x: {numbers[-1]};".encode(), **TYPE)
    with pytest.raises(ErasureIncompleteError, match=r"export\.txt"):
        forget(store, phones(*numbers))
    store.delete([key])
    assert forget(store, phones(*numbers))["deleted"]["checkpoints"] == 1


BLOCK = 1 << 20


def parquet_of(values: list[Any]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    body = io.BytesIO()
    parquet.write_table(pa.table({"a": values}), body, compression="zstd", use_dictionary=False)
    return body.getvalue()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (WHO, b"x" * (BLOCK - len(WHO) - 1) + b"\n" + WHO.encode() + b"99\n", 0),
        (WHO, b"\n" * (BLOCK - 4_096 - 1) + b"x" + WHO.encode() + b"\n" * 9_000, 0),
        (WHO, b"\n" * (BLOCK - 7) + WHO.encode() + b"\n" * 9_000, 1),
        (WHO, b"a" * (3 * BLOCK) + b"\n" + WHO.encode(), 1),
        (WHO, json.dumps({"note": f"one\n{WHO}\ttwo"}).encode(), 1),
        (WHO, json.dumps({"note": "".join(f"\\u{ord(each):04X}" for each in WHO)}).replace("\\\\", "\\").encode(), 1),
        ("cc-é x", json.dumps({"note": "cc-é x"}).encode(), 1),
        ("cc-é x", "cc-é xy and wcc-é x".encode(), 0),
        ('a"b-c', b'"one","a""b-c"', 1),
        ("(030) 1", b"tel (030) 1.", 1),
        (WHO, parquet_of([[{"x": f"-> {WHO}"}]]), 1),
        (WHO, parquet_of([b"\xff " + WHO.encode()]), 1),
        (WHO, parquet_of([{"x": WHO + "9"}]), 0),
        ("(030) 1", b"tel (030) 12", 0),
        (GONE, b"+49151123456789", 0),
        (WHO, gzip.compress(WHO.encode()) + b"garbage", 1),
        (WHO, gzip.compress(WHO.encode() + bytes(range(256)) * 9_000)[:-20], 1),
    ],
    ids=[
        "a longer name at a block's end",
        "a longer name at a piece's start",
        "across two blocks",
        "after a megabyte without a break",
        "beside escapes",
        "in escapes alone",
        "escapes in a name",
        "a part of longer ones",
        "as csv quotes it",
        "with brackets",
        "in a nested column",
        "in a column of bytes",
        "a part of a nested one",
        "a part of a longer number",
        "a part of a longer plain number",
        "before garbage",
        "in what is cut short",
    ],
)
def test_bytes_are_searched_for_whole_names(name: str, text: bytes, expected: int) -> None:
    persons = Persons(fields=frozenset())
    persons.add_id(name)
    store: Any = VersionedMemoryStore()
    work = Work(spec=spec(), store=store, persons=persons, policies=None, stop=Stop(), clock=None, teller=Teller())  # type: ignore[arg-type]
    found = look(work, io.BytesIO(text), None)
    assert found is not None
    assert found.mentions == bool(expected)


class Killed(BaseException):
    """The process is gone."""


def killed_after(store: VersionedMemoryStore, key: str, **parameters: Any) -> VersionedMemoryStore:
    """Erase who has the number, die right after this file was rewritten, and return what is there."""
    probe = store.clone()
    forget(probe, phones(GONE), on_missing="skip", **parameters)
    at = [number for number, each in enumerate(probe.effects, start=1) if (each.name, each.key) == ("put", key)]
    store.crash_at(at[0], "after", Killed())  # type: ignore[arg-type]
    with pytest.raises(Killed):
        forget(store, phones(GONE), on_missing="skip", **parameters)
    return store.reopen()


def test_what_each_of_several_runs_has_learned_is_known_to_the_one_that_takes_them_over() -> None:
    second, first = sorted(("a", "b"), key=lambda each: spec(generation=each).name)  # the older one is listed last
    masked = {"keep": None, "policies": {"phoneNumber": "mask"}, "hash": None}
    twins = [contact(3, phoneNumber=GONE), contact(4, phoneNumber=GONE)]
    store = VersionedMemoryStore()
    land(store, DAYS[0], [twins[0], contact(1)])
    land(store, DAYS[0], [{**each, "phoneNumber": "****78"} for each in twins], list_id="cl-9", fields=masked)
    store = killed_after(store, OBJECT, generation=first)
    land(store, DAYS[0], [twins[1], contact(1)], list_id="cl-2")
    store = killed_after(store, OBJECT.replace("cl-1", "cl-2"), generation=second)
    receipt = forget(store, phones(GONE), on_missing="skip", generation="c")
    assert receipt["continued"]
    assert manifest_of(store, DAYS[0], list_id="cl-9")["contacts"] == 0
    assert not store.bodies("kore/_erasures/lists/unfinished")


@pytest.mark.parametrize("versioned", [False, True])
def test_what_others_have_written_tells_no_id_of_anyone_who_is_then_erased(versioned: bool) -> None:
    store = VersionedMemoryStore(versioned=versioned)
    there = [contact(4, phoneNumber=GONE), contact(5, phoneNumber=GONE)]
    key, form = (OBJECT, "jsonl") if versioned else (f"{PLACE}contacts.csv.gz", "csv")
    store.put(key, packed(*there, file_format=form), **TYPE)
    land(store, DAYS[0], [contact(3, phoneNumber=GONE), contact(4), contact(5)])
    with pytest.raises(ErasureIncompleteError, match=key):
        forget(store, phones(GONE), versions=versioned)
    assert manifest_of(store, DAYS[0])["contacts"] == 2


def test_an_older_version_of_ours_tells_ids() -> None:
    store = VersionedMemoryStore(versioned=True)
    land(store, DAYS[0], [contact(3, phoneNumber=GONE), contact(4)])
    land(store, DAYS[0], [contact(3, phoneNumber="+1"), contact(4)])
    assert forget(store, phones(GONE), versions=True, on_missing="skip")["rows_erased"] == 1
    assert manifest_of(store, DAYS[0])["contacts"] == 1
