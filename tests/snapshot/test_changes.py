"""What changed between two snapshots: applied to the older one, it gives the newer."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_store import MemoryStore

from airflow_provider_kore.changes import run as changes
from airflow_provider_kore.changes.compare import Counts, compare
from airflow_provider_kore.changes.run import find_changes
from airflow_provider_kore.changes.spec import ChangesSpec
from airflow_provider_kore.exceptions import (
    CorruptSnapshotError,
    DriftError,
    IncomparableError,
    NothingToCompareError,
    ParameterError,
    StoppedError,
    SupersededError,
)
from airflow_provider_kore.formats import FORMATS, ColumnSet, parse_format
from airflow_provider_kore.formats import parts as split
from airflow_provider_kore.snapshot.manifest import Manifest
from airflow_provider_kore.snapshot.spec import RunKey
from airflow_provider_kore.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RUN = RunKey(dag_id="a_dag", run_id="one", task_id="changes")
OLD, NEW = "2025-03-08", "2025-03-09"
SECRET = "+4915112345678"
every_format = pytest.mark.parametrize("file_format", FORMATS)

Contact = dict[str, Any]


def manifest_key(date: str) -> str:
    return f"kore/lists/contact_list_id=cl-1/snapshot_date={date}/_manifest.json"


def land(
    store: MemoryStore,
    date: str,
    contacts: Sequence[Contact | str],
    *,
    file_format: str = "jsonl",
    rows_per_file: int = 1_000_000,
    compression: str | None = None,
    **changed: Any,
) -> None:
    """Put a snapshot where the operator would, with as much of a manifest as is read here."""
    import hashlib

    rows = [row if isinstance(row, str) else json.dumps(row) for row in contacts]
    chosen = parse_format(file_format, compression)
    files = []
    for number, part in enumerate(split(rows, rows_per_file)):
        key = manifest_key(date).replace("_manifest.json", f"contacts-{number}{chosen.suffix}")
        body = io.BytesIO()
        info = chosen.format.write(part, body, compression=chosen.compression, columns=ColumnSet.of(rows))
        store.put(key, body.getvalue(), content_type="x/y")
        columns = [{"name": column.name, "type": column.type} for column in info.columns]
        sha = hashlib.sha256(body.getvalue()).hexdigest()
        files.append({"key": key, "rows": info.rows, "sha256": sha, "columns": columns})
    content = {
        "schema_version": 1,
        "snapshot_id": f"snapshot-{date}",
        "contact_list_id": "cl-1",
        "contact_list_name": "List",
        "account_id": "a-1",
        "stream_id": "st-1",
        "snapshot_date": date,
        "consistent": True,
        "fields": {"keep": None, "policies": {}, "hash": None},
        "file_format": file_format,
        "compression": chosen.compression,
        "run": {"digest": "0123456789abcdef"},
        "walk": {"started_at": f"{date}T04:00:00.000Z", "ended_at": f"{date}T05:00:00.000Z"},
        "files": files,
    }
    store.put(manifest_key(date), Manifest(content | changed).to_bytes(), content_type="application/json")


def spec(**parameters: Any) -> ChangesSpec:
    given_: dict[str, Any] = {"contact_list_id": "cl-1", "s3_prefix": "kore/lists", "snapshot_date": NEW, "run": RUN}
    return ChangesSpec.parse(**given_ | parameters)


def rows_of(store: MemoryStore, manifest: Manifest) -> list[dict[str, Any]]:
    (key,) = manifest.keys
    return [json.loads(line) for line in gzip.decompress(store.bodies()[key]).splitlines()]


def landed(store: MemoryStore, **parameters: Any) -> dict[str, tuple[str, Any, Any]]:
    """Compare; return the changes by id."""
    found = rows_of(store, find_changes(spec(**parameters), store))
    by_id = {row["_id"]: (row["change"], row["contact"], row["before"]) for row in found}
    assert len(by_id) == len(found)
    return by_id


def contact(number: int, **more: Any) -> Contact:
    return {"_id": f"cc-{number}", "phoneNumber": SECRET, **more}


# --- What the rows say ----------------------------------------------------------------------------------------------

ids = st.sampled_from([*(f"cc-{number}" for number in range(12)), 'Ü\t\n"x"', "1"])
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(-1e9, 1e9),
    st.sampled_from(["", "a,b", "1", '"\r\n']),
)
bodies = st.dictionaries(st.sampled_from(["a", " Priority", "createdAt", 'x"y']), values, max_size=3)
states = st.dictionaries(ids, bodies, max_size=12)


def said(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a contact says: null and missing are the same."""
    return {name: value for name, value in fields.items() if value is not None}


def exactly(left: Any, right: Any) -> bool:
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(before=states, after=states, buckets=st.sampled_from([1, 3, 1_000]))
def test_changes_applied_to_the_older_snapshot_give_the_newer(
    before: dict[str, Any], after: dict[str, Any], buckets: int
) -> None:
    store = MemoryStore()
    for date, state in ((OLD, before), (NEW, after)):
        land(store, date, [{"_id": key, **fields} for key, fields in state.items()], rows_per_file=5)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(changes, "ROWS_PER_BUCKET", buckets)
        manifest = find_changes(spec(before=True), store)
    state = {key: said(fields) for key, fields in before.items()}
    for row in rows_of(store, manifest):
        was = state.pop(row["_id"], None)
        told = None if row["before"] is None else said({k: v for k, v in row["before"].items() if k != "_id"})
        assert exactly(told, was)
        if row["contact"] is not None:
            state[row["_id"]] = said({name: value for name, value in row["contact"].items() if name != "_id"})
            assert not exactly(state[row["_id"]], was)
        assert row["change"] == ("gone" if row["contact"] is None else "added" if was is None else "changed")
    assert exactly(state, {key: said(fields) for key, fields in after.items()})
    counts = manifest.content
    assert counts["added"] + counts["changed"] + counts["unchanged"] == len(after)
    assert counts["gone"] + counts["changed"] + counts["unchanged"] == len(before)
    assert counts["changes"] == manifest.rows


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(before=states, after=states)
@every_format
def test_every_format_tells_of_the_same_contacts(
    file_format: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """As far as it can hold what differs: a typed column may not tell 1 from "1" or 1.0."""
    found = []
    for each in ("jsonl", file_format):
        store = MemoryStore()
        for date, state in ((OLD, before), (NEW, after)):
            land(store, date, [{"_id": key, **fields} for key, fields in state.items()], file_format=each)
        found.append({key: change for key, (change, _, _) in landed(store).items()})
    exact, typed = found
    if file_format != "parquet":
        assert typed == exact
    assert {key: each for key, each in typed.items() if each != "changed"} == {
        key: each for key, each in exact.items() if each != "changed"
    }
    assert set(typed) <= set(exact)


@every_format
def test_added_changed_and_gone(file_format: str) -> None:
    store = MemoryStore()
    land(store, OLD, [contact(1, n=1), contact(2, n=2), contact(3, n=3)], file_format=file_format)
    land(store, NEW, [contact(4, n=4), contact(3, n=3), contact(2, n=20)], file_format=file_format)
    assert landed(store) == {
        "cc-4": ("added", contact(4, n=4), None),
        "cc-2": ("changed", contact(2, n=20), None),
        "cc-1": ("gone", None, None),
    }


def test_of_who_is_gone_no_copy_is_made_unless_asked_for() -> None:
    store = MemoryStore()
    land(store, OLD, [contact(1, n=1), contact(2, n=1)])
    land(store, NEW, [contact(2, n=2)])
    find_changes(spec(), store)
    texts = [gzip.decompress(body) for key, body in store.bodies("kore/lists_changes").items() if key.endswith(".gz")]
    assert len(texts) == 1
    assert texts[0].count(SECRET.encode()) == 1  # of the one that is still there
    assert landed(store, before="true", run=replace(RUN, run_id="two"))["cc-1"] == ("gone", None, contact(1, n=1))


def test_order_blanks_and_nulls_are_no_changes_and_digits_are() -> None:
    store = MemoryStore()
    land(
        store,
        OLD,
        ['{"_id": "1", "a": {"x": [1, true], "y": null}, "b": null}', '{"_id":"2","n":0.1}', '{"_id":"3","n":1}'],
    )
    land(
        store,
        NEW,
        ['{"a":{"y":null,"x":[1,true]},"_id":"1"}', '{"_id":"2","n":0.1000000000000000000001}', '{"_id":"3","n":true}'],
    )
    assert {key: change for key, (change, _, _) in landed(store).items()} == {"2": "changed", "3": "changed"}


def test_a_parquet_column_whose_type_turned_is_no_change_of_its_values() -> None:
    """One contact's new value makes the whole column text."""
    when = "2025-01-01T04:28:44Z"
    store = MemoryStore()
    old = [contact(1, n=17, f=1.5, b=True, updatedAt=when), contact(2, n=18, f=1, b=False, updatedAt=when)]
    land(store, OLD, old, file_format="parquet")
    new = [old[0], contact(2, n="n/a", f="0151", b="false", updatedAt="never")]
    land(store, NEW, new, file_format="parquet")
    assert {key: change for key, (change, _, _) in landed(store).items()} == {"cc-2": "changed"}


def test_nothing_changed() -> None:
    store = MemoryStore()
    for date in (OLD, NEW):
        land(store, date, [contact(1)])
    manifest = find_changes(spec(), store)
    assert (manifest.rows, manifest.content["unchanged"], rows_of(store, manifest)) == (0, 1, [])


def test_an_empty_list_has_lost_everybody_and_a_new_one_won() -> None:
    store = MemoryStore()
    land(store, OLD, [])
    land(store, NEW, [contact(1)])
    land(store, "2025-03-10", [])
    assert [each[0] for each in landed(store).values()] == ["added"]
    assert [each[0] for each in landed(store, snapshot_date="2025-03-10").values()] == ["gone"]


# --- Which two are compared -----------------------------------------------------------------------------------------


def test_the_manifest_says_what_was_compared() -> None:
    store = MemoryStore()
    land(store, OLD, [contact(1)])
    land(store, NEW, [contact(2), contact(3)])
    content = find_changes(spec(), store).content
    assert content["consistent"] is True
    assert [content[side]["snapshot_id"] for side in ("older", "newer")] == [f"snapshot-{OLD}", f"snapshot-{NEW}"]
    assert [content[side]["contacts"] for side in ("older", "newer")] == [1, 2]
    assert (content["added"], content["changed"], content["gone"], content["unchanged"]) == (2, 0, 1, 0)
    assert SECRET not in str(content)


def test_without_a_date_the_last_consistent_snapshot_before_is_the_older_side() -> None:
    store = MemoryStore()
    land(store, "2025-03-01", [contact(1)])
    land(store, "2025-03-05", [], consistent=False)
    store.put(manifest_key("2025-03-06"), b"{}", content_type="x/y")
    land(store, NEW, [contact(1), contact(2)])
    land(store, "2025-03-10", [contact(9)])
    assert set(landed(store)) == {"cc-2"}
    assert set(landed(store, since="2025-03-01", run=replace(RUN, run_id="two"))) == {"cc-2"}


@pytest.mark.parametrize("missing", [OLD, NEW])
@pytest.mark.parametrize("since", [None, OLD])
def test_a_side_that_is_missing_is_refused(missing: str, since: str | None) -> None:
    store = MemoryStore()
    land(store, OLD if missing == NEW else NEW, [contact(1)])
    before = store.bodies()
    with pytest.raises(IncomparableError, match=r"does not exist|second snapshot") as caught:
        find_changes(spec(since=since), store)
    assert missing in str(caught.value) or isinstance(caught.value, NothingToCompareError)
    assert isinstance(caught.value, NothingToCompareError) == (missing == OLD and since is None)
    assert store.bodies() == before


@pytest.mark.parametrize("unproven", [OLD, NEW])
def test_a_side_that_is_not_proven_is_refused(unproven: str) -> None:
    store = MemoryStore()
    for date in (OLD, NEW):
        land(store, date, [contact(1)], consistent=date != unproven)
    with pytest.raises(IncomparableError, match=f"{unproven}.* is not proven consistent"):
        find_changes(spec(since=OLD), store)
    assert store.bodies("kore/lists_changes") == {}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fields": {"keep": None, "policies": {"phoneNumber": "hash"}, "hash": {"key_id": "k2"}}}, "field policies"),
        ({"file_format": "csv"}, "file formats"),
        ({"stream_id": "st-2"}, "applications"),
        ({"account_id": "a-2", "stream_id": "st-2"}, "accounts and different applications"),
    ],
)
def test_two_that_were_made_differently_are_refused(changed: dict[str, Any], message: str) -> None:
    store = MemoryStore()
    land(store, OLD, [contact(1)])
    land(store, NEW, [contact(1)], **changed)
    with pytest.raises(IncomparableError, match=message):
        find_changes(spec(), store)
    assert store.bodies("kore/lists_changes") == {}


def test_the_compression_may_differ() -> None:
    store = MemoryStore()
    land(store, OLD, [contact(1)], compression="none")
    land(store, NEW, [contact(1)])
    assert landed(store) == {}


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"since": NEW}, "since"),
        ({"since": "2025-03-10"}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"snapshot_date": "today"}, "snapshot_date"),
        ({"changes_prefix": "kore/lists/changes"}, "changes_prefix"),
        ({"changes_prefix": "kore/lists"}, "changes_prefix"),
        ({"changes_prefix": "/x"}, "changes_prefix"),
        ({"before": "perhaps"}, "before"),
        ({"contact_list_id": "cl 1/2"}, "contact_list_id"),
    ],
)
def test_an_impossible_parameter_is_named(parameters: dict[str, Any], name: str) -> None:
    with pytest.raises(ParameterError) as caught:
        spec(**parameters)
    assert caught.value.parameter == name


# --- What goes wrong ------------------------------------------------------------------------------------------------


@every_format
def test_a_file_that_is_not_what_its_manifest_says_is_refused_and_not_quoted(file_format: str) -> None:
    store = MemoryStore()
    for date in (OLD, NEW):
        land(store, date, [contact(1)], file_format=file_format)
    (key,) = (key for key in store.bodies() if "contacts-0" in key and OLD in key)
    store.put(key, store.bodies()[key][:-1] + b"x", content_type="x/y")
    with pytest.raises(CorruptSnapshotError, match="not the file that its manifest describes") as caught:
        find_changes(spec(), store)
    assert SECRET not in str(caught.value)
    store.delete([key])
    with pytest.raises(CorruptSnapshotError, match="is missing"):
        find_changes(spec(), store)
    assert store.bodies("kore/lists_changes") == {}


def test_a_snapshot_that_is_replaced_while_it_is_read_is_read_again_by_the_next_try() -> None:
    store = MemoryStore()
    for date in (OLD, NEW):
        land(store, date, [contact(1)])
    get = store.get

    def replacing(key: str) -> Any:
        if "contacts-0" in key and NEW in key:
            land(store, NEW, [contact(2)], snapshot_id="later")
        return get(key)

    store.get = replacing  # type: ignore[method-assign]
    with pytest.raises(DriftError, match="replaced while it was read"):
        find_changes(spec(), store)
    store.get = get  # type: ignore[method-assign]
    assert {key: change for key, (change, _, _) in landed(store).items()} == {"cc-1": "gone", "cc-2": "added"}


def test_a_file_with_fewer_rows_or_an_id_twice_is_refused() -> None:
    store = MemoryStore()
    land(store, OLD, [contact(1), contact(1)])
    land(store, NEW, [contact(1)])
    with pytest.raises(CorruptSnapshotError, match="_id twice"):
        find_changes(spec(), store)
    with pytest.raises(CorruptSnapshotError, match="_id twice"):
        list(compare([], [("1", "{}"), ("1", "{}")], Counts()))
    body = json.loads(store.bodies()[manifest_key(NEW)])
    body["files"][0]["rows"] = 7
    store.put(manifest_key(NEW), Manifest(body).to_bytes(), content_type="x/y")
    land(store, OLD, [contact(1)])
    with pytest.raises(CorruptSnapshotError, match="holds 1 contacts, and its manifest says 7"):
        find_changes(spec(), store)


def test_the_same_run_publishes_once_and_another_one_the_same_bytes() -> None:
    store = MemoryStore()
    land(store, OLD, [contact(1), contact(2)])
    land(store, NEW, [contact(2), contact(3)])
    first = find_changes(spec(generation=0), store)
    bytes_of_first = store.bodies()[first.keys[0]]
    writes = len(store.effects)
    assert find_changes(spec(generation=0, try_number=2), store).content == first.content
    assert all(effect.name != "put" for effect in store.effects[writes:])
    second = find_changes(spec(run=replace(RUN, run_id="two")), store)
    assert store.bodies()[second.keys[0]] == bytes_of_first
    assert second.snapshot_id == first.snapshot_id


def test_changes_of_a_newer_walk_are_not_replaced_by_those_of_an_older() -> None:
    store = MemoryStore()
    land(store, OLD, [contact(1)])
    land(store, NEW, [contact(2)], walk={"started_at": f"{NEW}T09:00:00.000Z", "ended_at": ""})
    find_changes(spec(), store)
    land(store, NEW, [contact(3)])
    with pytest.raises(SupersededError):
        find_changes(spec(run=replace(RUN, run_id="two")), store)


def test_a_task_that_is_told_to_stop_publishes_nothing() -> None:
    store = MemoryStore()
    for date in (OLD, NEW):
        land(store, date, [contact(1)])
    stop = Stop()
    stop.request()
    with pytest.raises(StoppedError):
        find_changes(spec(), store, stop)
    assert store.bodies("kore/lists_changes") == {}


@pytest.mark.exhaustive
def test_memory_does_not_grow_with_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "ROWS_PER_BUCKET", 1_000)
    peaks = []
    for size in (10_000, 40_000):
        store = MemoryStore()
        land(store, OLD, [f'{{"_id": "cc-{n}", "n": {n}, "pad": "{n:0200d}"}}' for n in range(size)])
        land(store, NEW, [f'{{"_id": "cc-{n}", "n": {n}, "pad": "{n:0200d}"}}' for n in range(100, size + 100)])
        tracemalloc.start()
        manifest = find_changes(spec(), store)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (manifest.content["added"], manifest.content["gone"]) == (100, 100)
    assert peaks[1] < 2 * peaks[0]


# --- Hostile sides --------------------------------------------------------------------------------------------------

ODD = [
    "6e1234567890123456789012",
    "1e999999999999999999",
    "-1e-999999999999999999",
    "9" * 5_000,
    "0." + "3" * 5_000,
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "n/a",
    "\ud800",
    "",
]
odd_values = st.one_of(
    st.sampled_from(ODD).map(json.dumps),
    st.sampled_from([text for text in ODD if text[:1].isdigit() and "T" not in text]),
    values.map(json.dumps),
    st.sampled_from(["[" * 200 + "]" * 200, '{"a":' * 200 + "1" + "}" * 200]),
)
odd_rows = st.dictionaries(
    st.sampled_from([f"cc-{number}" for number in range(4)]),
    st.dictionaries(st.sampled_from(["a", "createdAt", "updatedAt"]), odd_values, max_size=3),
    max_size=4,
).map(
    lambda found: [
        "{" + ", ".join([f'"_id": "{id_}"', *(f'"{name}": {raw}' for name, raw in row.items())]) + "}"
        for id_, row in found.items()
    ]
)


@pytest.mark.slow
@every_format
@settings(deadline=None, max_examples=60)
@given(older=odd_rows, newer=odd_rows)
def test_whatever_contacts_say_on_two_days_they_are_compared(
    file_format: str, older: list[str], newer: list[str]
) -> None:
    store = MemoryStore()
    land(store, OLD, older, file_format=file_format)
    land(store, NEW, newer, file_format=file_format)
    manifest = find_changes(spec(), store)
    before, after = ({row[9:13]: row for row in rows} for rows in (older, newer))
    assert manifest.content["added"] == len(after.keys() - before.keys())
    assert manifest.content["gone"] == len(before.keys() - after.keys())
    assert manifest.content["unchanged"] >= sum(before.get(id_) == row for id_, row in after.items())


@pytest.mark.parametrize("text", ODD)
def test_a_column_that_became_text_is_compared_by_what_it_says_whatever_that_is(text: str) -> None:
    store = MemoryStore()
    raw = json.dumps(text)
    number = text if text[:1].isdigit() and "T" not in text else "1"
    land(store, OLD, [f'{{"_id": "cc-1", "a": {number}}}', '{"_id": "cc-2", "a": 1}'], file_format="parquet")
    land(store, NEW, [f'{{"_id": "cc-1", "a": {raw}}}', '{"_id": "cc-2", "a": 1}'], file_format="parquet")
    found = landed(store)
    assert "cc-2" not in found
    assert ("cc-1" in found) == (number != text)


def test_an_instant_that_was_stored_beyond_the_year_9999_is_the_text_that_it_was() -> None:
    import pyarrow as pa
    from pyarrow import parquet

    store = MemoryStore()
    text = "9999-12-31T23:59:59.000-01:00"
    rows = [json.dumps({"_id": "cc-1", "createdAt": text})]
    land(store, OLD, rows, file_format="parquet")
    land(store, NEW, rows, file_format="parquet")
    body = io.BytesIO()  # as versions before wrote it
    column = pa.array([253_402_304_399_000], pa.timestamp("ms", "UTC"))
    parquet.write_table(pa.table({"_id": ["cc-1"], "createdAt": column}), body)
    replace_file(store, OLD, body.getvalue(), columns=[{"name": "createdAt", "type": "timestamp[ms, UTC]"}])
    assert landed(store) == {}


def replace_file(store: MemoryStore, date: str, body: bytes, **told: Any) -> None:
    """Put another file into a snapshot, and say so in its manifest."""
    import hashlib

    content = json.loads(store.bodies()[manifest_key(date)])
    (file,) = content["files"]
    store.put(file["key"], body, content_type="x/y")
    file |= {"sha256": hashlib.sha256(body).hexdigest(), **told}
    store.put(manifest_key(date), json.dumps(content).encode(), content_type="x/y")


@every_format
@pytest.mark.parametrize(
    "body", [b"", b"\x00" * 100, b"PAR1PAR1", gzip.compress(b"[" * 99_999 + b"\n", mtime=0), b"{}\n"]
)
def test_a_side_whose_file_is_no_snapshot_is_one_error(file_format: str, body: bytes) -> None:
    store = MemoryStore()
    for date in (OLD, NEW):
        land(store, date, [contact(1)], file_format=file_format)
    replace_file(store, NEW, body, rows=1)
    with pytest.raises(CorruptSnapshotError):
        find_changes(spec(), store)
    assert store.bodies("kore/lists_changes") == {}


def test_a_file_of_more_rows_than_its_manifest_says_is_not_read_to_its_end() -> None:
    store = MemoryStore()
    land(store, OLD, [contact(1)])
    land(store, NEW, [contact(1)])
    bomb = b"".join(b'{"_id": "cc-%d"}\n' % number for number in range(100_000)) + b"no JSON\n"
    replace_file(store, NEW, gzip.compress(bomb))
    with pytest.raises(CorruptSnapshotError, match="holds 2 contacts or more, and its manifest says 1"):
        find_changes(spec(), store)


def test_a_file_of_more_bytes_than_its_manifest_says_is_not_fetched_to_its_end() -> None:
    store = MemoryStore()
    for date in (OLD, NEW):
        land(store, date, [contact(1)])
    replace_file(store, NEW, bytes(20 << 20), bytes=100)
    with pytest.raises(CorruptSnapshotError, match="not the file that its manifest describes"):
        find_changes(spec(), store)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"contact_list_id": "cl-2"}, "not the manifest of a snapshot of this list and day"),
        ({"snapshot_date": "2025-01-01"}, "not the manifest of a snapshot of this list and day"),
        ({"files": [{"key": "prod/contacts.jsonl.gz", "rows": 1}]}, "outside of its folder"),
        ({"files": []}, "names no files"),
        ({"files": [{"key": f"{manifest_key(NEW)[:-14]}contacts.jsonl.gz", "rows": 1}]}, "is missing, or not the file"),
        ({"file_format": "xlsx"}, "another file_format"),
        ({"compression": ["gzip"]}, "another file_format or compression"),
        ({"file_format": "csv"}, "no file of a snapshot"),
        ({"walk": None}, "impossible walk"),
        ({"fields": 7}, "impossible fields"),
    ],
)
def test_a_side_with_a_forged_manifest_is_one_error(changed: dict[str, Any], said: str) -> None:
    store = MemoryStore()
    land(store, OLD, [contact(1)])
    land(store, NEW, [contact(1)])
    content = json.loads(store.bodies()[manifest_key(NEW)])
    store.put(manifest_key(NEW), json.dumps(content | changed).encode(), content_type="x/y")
    with pytest.raises(CorruptSnapshotError, match=said):
        find_changes(spec(), store)
    assert store.bodies("kore/lists_changes") == {}


def test_how_many_contacts_lack_a_field_is_no_other_way_to_make_a_snapshot() -> None:
    store = MemoryStore()
    policies = {"keep": None, "policies": {"a": "drop"}, "hash": None}
    land(store, OLD, [contact(1)], fields=policies)
    land(store, NEW, [contact(1)], fields=policies | {"missing": {"a": 1}})
    assert landed(store) == {}


def test_the_table_of_changes_has_a_schema_and_a_chain_of_its_own() -> None:
    store = MemoryStore()
    later = "2025-03-10"
    for number, date in enumerate((OLD, NEW, later)):
        land(store, date, [contact(each) for each in range(number + 3)])
    first = find_changes(spec(), store)
    names = [each["name"] for each in first.content["schema"]["columns"]]
    assert (names, first.content["previous"]) == (["_id", "change", "contact", "before"], None)
    key = f"kore/lists_changes/contact_list_id=cl-1/snapshot_date={NEW}/_manifest.json"
    body = store.bodies(key)[key]
    second = find_changes(spec(snapshot_date=later), store)
    assert second.content["schema"]["columns"] == first.content["schema"]["columns"]
    assert second.content["previous"]["manifest_sha256"] == hashlib.sha256(body).hexdigest()
    assert second.content["previous"]["manifest"] == key
