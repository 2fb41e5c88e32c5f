"""What lies in a manifest's place is checked once: after that, nothing that the package reads of it can surprise."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_store import MemoryStore

from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.exceptions import CorruptSnapshotError, ParameterError
from airflow_provider_kore.snapshot.manifest import MOST_BYTES, Manifest, read_manifest
from airflow_provider_kore.snapshot.past import LOOKED_AT, Past
from airflow_provider_kore.snapshot.rivals import Rivals, Writer
from airflow_provider_kore.snapshot.schema import columns_of

TABLE = "t/contact_list_id=cl-1/"
PARTITION = f"{TABLE}snapshot_date=2026-01-02/"
SOURCE = ContactListSource(contact_list_id="cl-1")
GONE = object()


def content(**changed: Any) -> dict[str, Any]:
    """Return a whole manifest, with members changed or gone; ``walk__started_at`` is one of a member."""
    found: dict[str, Any] = {
        "schema_version": 1,
        "snapshot_id": "0123456789ab",
        "contact_list_id": "cl-1",
        "snapshot_date": "2026-01-02",
        "contacts": 3,
        "consistent": True,
        "list_updated_at": "2026-01-01T00:00:00Z",
        "run": {"digest": "0123456789abcdef", "try_number": 1, "generation": "0"},
        "walk": {"started_at": "2026-01-02T04:00:00.000Z", "ended_at": "2026-01-02T05:00:00.000Z"},
        "fields": {"keep": None, "policies": {}, "hash": None, "missing": {}},
        "file_format": "jsonl",
        "compression": "gzip",
        "schema": {"columns": [{"name": "_id", "type": None}], "changes": [], "from": None},
        "previous": {
            "snapshot_date": "2026-01-01",
            "snapshot_id": "abcdef012345",
            "manifest": f"{TABLE}snapshot_date=2026-01-01/_manifest.json",
            "manifest_sha256": "1" * 64,
        },
        "replaces": ["2" * 64],
        "files": [
            {
                "key": f"{PARTITION}contacts.jsonl.gz",
                "bytes": 17,
                "rows": 3,
                "etag": '"x"',
                "sha256": "0" * 64,
                "columns": [{"name": "_id"}],
            }
        ],
    }
    for path, value in changed.items():
        inner = found
        *outer, name = path.split("__")
        for step in outer:
            inner = inner[int(step)] if step.isdigit() else inner[step]
        if value is GONE:
            del inner[name]
        else:
            inner[name] = value
    return found


def parse(value: object) -> Manifest:
    return Manifest.from_bytes(json.dumps(value).encode(), "s3://lake/x")


def test_ours_is_read_as_it_was_written() -> None:
    manifest = Manifest.from_bytes(Manifest(content()).to_bytes(), "s3://lake/x")
    assert manifest.content == content()
    assert (manifest.rows, manifest.snapshot_date, manifest.try_number) == (3, "2026-01-02", 1)
    assert manifest.started_at == content()["walk"]["started_at"]
    assert manifest.problem(PARTITION, "contacts") is None


def test_its_first_line_is_the_digest_of_all_the_others() -> None:
    body = Manifest(content()).to_bytes()
    brace, line, *others = body.splitlines(keepends=True)
    assert json.loads(b"{%s}" % line.strip().rstrip(b",")) == {
        "content_sha256": hashlib.sha256(b"".join([brace, *others])).hexdigest()
    }
    assert Manifest.from_bytes(body, "m").is_written_as(body) is True
    assert Manifest(json.loads(body)).to_bytes() == body  # an old digest is not carried on


@given(st.data())
def test_no_byte_of_it_can_flip_unseen(data: st.DataObject) -> None:
    body = Manifest(content(contact_list_name="Ü 1", walk__waited=0.5)).to_bytes()
    at, bit = data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(0, 7))
    flipped = body[:at] + bytes([body[at] ^ (1 << bit)]) + body[at + 1 :]
    try:
        found = Manifest.from_bytes(flipped, "m")
    except CorruptSnapshotError:
        return
    assert found.is_written_as(flipped) is False


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((path, GONE) for path in ("schema_version", "snapshot_id", "consistent", "run", "walk", "files")),
        *((path, GONE) for path in ("run__digest", "walk__started_at", "files__0__key", "files__0__rows")),
        *(("files__0__rows", value) for value in (-1, True, 3.0, "3", None, 2**60, [3])),
        *(("contacts", value) for value in (-1, True, 3.0, "3", 4, 10**400)),
        *(("files", value) for value in ([], {}, "x", [1], [[]], None)),
        *(("files__0__key", value) for value in ("", 7, None, "x" * 1025, "a\nb", "\ud800")),
        *(("files__0__columns", value) for value in ({}, [1], [{"name": 1}], [{}], [{"name": "a", "type": 1}])),
        *((path, value) for path in ("content_sha256", "files__0__sha256") for value in (7, "", "Z" * 64, None)),
        ("files__0__bytes", -1),
        ("files__0__etag", 7),
        *(
            ("walk__started_at", value)
            for value in ("", "yesterday", 1767312000, None, "2026-01-02", "2026-01-02T04:00:00")
        ),
        ("walk__started_at", "0001-01-01T00:00:00+23:00"),
        *(("snapshot_date", value) for value in ("20260102", "2026-13-01", 7, "2026-W01-5")),
        *(("run", value) for value in ([], "x", None)),
        *(("run__try_number", value) for value in ("1", -1, True)),
        ("run__generation", 0),
        *(("consistent", value) for value in ("true", 1, None)),
        *(("schema_version", value) for value in (True, 2, "1")),
        *(("file_format", value) for value in ("xlsx", 7, ["jsonl"])),
        *(("compression", value) for value in ("snappy", 7, None, {})),
        ("list_updated_at", 7),
        ("contact_list_id", ["cl-1"]),
        ("older", {}),
        ("newer", {"snapshot_id": "x", "snapshot_date": 7}),
        ("fields", []),
        *(("schema", value) for value in ([], {}, None, "x")),
        *(("schema__columns", value) for value in ([], {}, [1], [{"name": 1}], [{"type": "string"}], None)),
        ("schema__columns", [{"name": "_id", "type": "int32"}]),
        ("schema__columns", [{"name": "_id", "type": ["string"]}]),
        ("schema__columns", [{"name": "_id", "field": 7}]),
        ("schema__columns", [{"name": "_id"}, {"name": "_id"}]),
        ("schema__columns", [{"name": "_id"}, {"name": "x", "field": "_id"}]),
        ("schema__columns", [{"name": f"x{number}"} for number in range(2_001)]),
        ("schema__columns", [{"name": "_id"}, {"name": "x" * 300_000}]),
        *(("schema__changes", value) for value in ({}, [1], [{}], [{"column": "x", "change": 7}], None)),
        ("schema__changes", [{"column": "x", "change": "added", "from": "y", "to": None}]),
        ("schema__changes", [{"column": "x", "change": "added"}] * 2_001),
        *(("schema__from", value) for value in ({}, [], 7, {"snapshot_id": "x", "snapshot_date": "2026"})),
        *(("previous", value) for value in ([], {}, 7, "x")),
        *((f"previous__{name}", GONE) for name in ("snapshot_date", "snapshot_id", "manifest", "manifest_sha256")),
        *(("previous__manifest_sha256", value) for value in ("", "0" * 63, "G" * 64, None, 7)),
        *(("previous__manifest", value) for value in ("", "x" * 1_025, "a\nb", 7)),
        *(("replaces", value) for value in ({}, None, ["x"], [None], ["0" * 64] * 51)),
    ],
)
def test_what_is_missing_or_of_another_kind_is_said_with_what_to_do(path: str, value: object) -> None:
    with pytest.raises(CorruptSnapshotError, match=r"s3://lake/x is no manifest .*: it .*Move it away"):
        parse(content(**{path: value}))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe\xff",
        b'{"schema_version": 1',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"schema_version": ' + b"9" * 5_000 + b"}",
        b"[" + b"1," * 3_000_000 + b"1]",
        b" " * (MOST_BYTES + 1),
    ],
    ids=lambda body: f"{len(body)} bytes",
)
def test_no_bytes_end_in_anything_but_one_error(body: bytes) -> None:
    with pytest.raises(CorruptSnapshotError, match="Move it away"):
        Manifest.from_bytes(body, "s3://lake/x")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**20),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
PATHS = [
    *content(),
    *(f"run__{name}" for name in content()["run"]),
    *(f"walk__{name}" for name in content()["walk"]),
    *(f"files__0__{name}" for name in content()["files"][0]),
    *(f"schema__{name}" for name in content()["schema"]),
    *(f"previous__{name}" for name in content()["previous"]),
    "older",
    "newer",
    "changes",
    "campaign_status",
]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(PATHS), json_values | st.just(GONE), max_size=3))
def test_what_is_believed_can_be_asked_everything(changed: dict[str, object]) -> None:
    try:
        found = content(**changed)
    except (LookupError, TypeError):
        return  # two changes that contradict each other
    try:
        manifest = parse(found)
    except CorruptSnapshotError:
        return
    assert manifest.rows == sum(file["rows"] for file in manifest.files) >= 0
    assert manifest.keys
    for text in (manifest.snapshot_id, manifest.run_digest, manifest.started_at, *manifest.keys):
        assert text.isprintable()
    assert isinstance(manifest.problem(PARTITION, "contacts"), str | None)
    assert isinstance(manifest.try_number, int)
    assert isinstance(manifest.generation, str | None)
    assert isinstance(columns_of(manifest), dict)


def test_a_start_in_the_far_future_is_told_from_two_clocks_that_differ() -> None:
    me = Writer(run="mine", started="2026-01-02T03:00:00.000Z")
    rivals = Rivals(me=me, replace=True, now=1_767_326_400.0)  # 2026-01-02T04:00:00Z
    found = {
        started: rivals.fulfils(Writer.of_manifest(parse(content(walk__started_at=started))))
        for started in ("2026-01-02T03:00:00.000Z", "2026-01-03T03:59:00.000Z", "2099-01-01T00:00:00.000Z")
    }
    assert list(found.values()) == [True, True, False]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"files__0__key": "prod/contact_list_id=cl-1/snapshot_date=2026-01-02/contacts.jsonl.gz"}, "outside"),
        ({"files__0__key": f"{TABLE}snapshot_date=2026-01-01/contacts.jsonl.gz"}, "outside"),
        ({"files__0__key": f"{PARTITION}contacts_quality_report.json"}, "no file of a snapshot"),
        ({"files__0__key": f"{PARTITION}contacts.csv.gz"}, "no file of a snapshot"),
        ({"files__0__key": f"{PARTITION}contacts-a/b.jsonl.gz"}, "no file of a snapshot"),
        ({"files__0__key": f"{PARTITION}_manifest.json"}, "no file of a snapshot"),
        ({"contact_list_id": "cl-2"}, "says contact_list_id 'cl-2', and lies in"),
        ({"snapshot_date": "2026-01-01"}, "says snapshot_date '2026-01-01', and lies in"),
    ],
)
def test_a_manifest_of_elsewhere_is_foreign_and_says_why(changed: dict[str, object], said: str) -> None:
    assert said in str(parse(content(**changed)).problem(PARTITION, "contacts"))


def test_names_of_several_files_are_own_ones() -> None:
    key = f"{PARTITION}contacts-0123456789ab-89abcdef-00000.jsonl.gz"
    assert parse(content(files__0__key=key)).problem(PARTITION, "contacts") is None


def test_no_more_of_an_object_is_read_than_a_manifest_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    store.put("m", b"x" * (MOST_BYTES + 1), content_type="x/y")
    monkeypatch.setattr(MemoryStore, "get", lambda *_: pytest.fail("it was fetched"))
    with pytest.raises(CorruptSnapshotError, match="larger than 16,777,216 bytes"):
        read_manifest(store, "m")
    assert read_manifest(store, "n") is None


@pytest.mark.slow
def test_a_manifest_that_is_written_can_be_read_however_many_files_and_columns_there_are() -> None:
    columns = [{"name": f"field {number}", "type": "string"} for number in range(2_000)]
    file = content()["files"][0] | {"rows": 1, "columns": columns}
    files = [
        file | {"key": f"{PARTITION}contacts-0123456789ab-89abcdef-{number:05d}.jsonl.gz"} for number in range(300)
    ]
    body = Manifest(content(files=files, contacts=300)).to_bytes()
    manifest = Manifest.from_bytes(body, "s3://lake/x")
    assert (manifest.rows, len(manifest.keys)) == (300, 300)
    assert manifest.files[0]["columns"] == columns
    assert "columns" not in manifest.files[1]
    wide = [{"name": "_id", "type": "string"}]
    for number in range(1_999):
        field = "\ud800" * 20 + str(number)
        wide.append({"name": field.replace("\ud800", "\\ud800"), "type": "string", "field": field})
    changes = [{"column": each["name"], "change": "added", "from": None, "to": "string"} for each in wide]
    schema = {"columns": wide, "changes": changes, "from": None}
    body = Manifest(content(files=[file | {"columns": wide}], contacts=1, schema=schema)).to_bytes()
    assert len(columns_of(Manifest.from_bytes(body, "s3://lake/x"))) == 2_000
    many = [{"key": f"{PARTITION}contacts-{'x' * 900}-{number}.jsonl.gz", "rows": 1} for number in range(20_000)]
    with pytest.raises(ParameterError, match=r"rows_per_file.*20,000 files"):
        Manifest(content(files=many)).to_bytes()


# --- The last good snapshot -----------------------------------------------------------------------------------------


def put(store: MemoryStore, date: str, body: bytes | None = None, **changed: Any) -> None:
    partition = f"{TABLE}snapshot_date={date}/"
    found = content(snapshot_date=date, files__0__key=f"{partition}contacts.jsonl.gz")
    for name, value in changed.items():
        found[name] = value
    store.put(f"{partition}_manifest.json", body or json.dumps(found).encode(), content_type="x/y")


def test_the_last_good_snapshot_is_never_a_foreign_or_damaged_one() -> None:
    store = MemoryStore()
    put(store, "2026-01-01", snapshot_id="good")
    put(store, "2026-01-02", contact_list_id="cl-2")
    put(store, "2026-01-03", snapshot_date="2026-01-01")
    put(store, "2026-01-04", files=[])
    put(store, "2026-01-05", b"[" * 100_000)
    put(store, "2026-01-06", files=content()["files"])
    put(store, "2026-01-07", walk=7)
    store.put(
        f"{TABLE}backup/snapshot_date=2026-01-08/_manifest.json",
        store.bodies()[f"{TABLE}snapshot_date=2026-01-01/_manifest.json"],
        content_type="x/y",
    )
    found = Past(store, TABLE, SOURCE).good()
    assert found is not None
    assert found.snapshot_id == "good"


@pytest.mark.parametrize("dates", [range(1, 3), range(1, 25), range(20, 25)], ids=str)
def test_what_an_erasure_has_written_since_is_as_old_as_its_snapshot(dates: range) -> None:
    """However many it were, and be it that the contacts were in the oldest alone."""
    store = MemoryStore()
    for day in range(1, 26):
        walk = {"started_at": f"2026-01-01T00:00:{day - 1:02d}.000Z"}
        put(store, f"2026-01-{day:02d}", snapshot_id=f"{day:02d}", walk=walk)
    for day in dates:
        walk = {"started_at": f"2026-01-01T00:00:{day - 1:02d}.000Z"}
        put(store, f"2026-01-{day:02d}", snapshot_id=f"{day:02d}", walk=walk, erasures=[{"rows": 1}])
    found = [each.manifest.snapshot_id for each in Past(store, TABLE, SOURCE)]
    assert found[:2] == ["25", "24"]
    assert len(found) <= 2 * LOOKED_AT
    assert sorted(set(found)) == sorted(found)


def test_no_more_than_ten_manifests_are_read_in_search_of_a_good_one() -> None:
    store = MemoryStore()
    put(store, "2026-01-01")
    for day in range(2, 25):
        put(store, f"2026-01-{day:02d}", b"{}")
    before = len([each for each in store.effects if each.name == "get"])
    assert Past(store, TABLE, SOURCE).good() is None
    assert len([each for each in store.effects if each.name == "get"]) - before <= LOOKED_AT, "dates are as new"
