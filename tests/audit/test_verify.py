"""What lies in a bucket is what was landed there, or it is said what is not, where, and what to do."""

from __future__ import annotations

import io
import json

import pytest
from audited import (
    CONTACTS,
    LIST,
    audit,
    change,
    copy,
    kinds,
    lake,
    link_to,
    manifest,
    manifest_key,
    overwrite,
    partition,
    write,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from model_versions import VersionedMemoryStore

from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.erasure.given import Given
from airflow_provider_kore.erasure.run import erase
from airflow_provider_kore.erasure.spec import ErasureSpec
from airflow_provider_kore.formats import parse_format
from airflow_provider_kore.snapshot.spec import RunKey

FORMS = [
    *({"file_format": name, "compression": how} for name in ("jsonl", "csv") for how in ("gzip", "zstd", "none")),
    *({"file_format": "parquet", "compression": how} for how in ("snappy", "none")),
    {"rows_per_file": 5},
    {"rows_per_file": 5, "file_format": "parquet"},
]
every_form = pytest.mark.parametrize("form", FORMS, ids=str)


@every_form
def test_what_was_landed_is_fine(form: dict[str, object]) -> None:
    report = audit(lake(**form))
    assert (kinds(report, notes=True), report.findings.status) == ([], "fine")
    (table,) = report.tables
    assert table.kind == "contacts"
    assert [(one.date, one.rows) for one in table.snapshots] == [
        (f"2026-01-{day:02d}", CONTACTS + day - 1) for day in (1, 2, 3)
    ]


@pytest.mark.slow
@settings(max_examples=150)
@given(form=st.sampled_from(FORMS), data=st.data())
def test_a_flipped_byte_anywhere_is_found(form: dict[str, object], data: st.DataObject) -> None:
    store = lake(days=2, **form)
    key = data.draw(st.sampled_from(sorted(store.bodies(LIST))))
    body = store.bodies()[key]
    at, bit = data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(0, 7))
    overwrite(store, key, body[:at] + bytes([body[at] ^ (1 << bit)]) + body[at + 1 :])
    report = audit(store)
    assert report.findings.status == "wrong", (key, at, bit)
    assert any(key in one.where for one in report.findings.kept if one.level == "wrong")


def test_a_file_that_is_missing_cut_short_or_longer_is_said_with_its_name() -> None:
    store = lake()
    key = manifest(store, 2)["files"][0]["key"]
    body = store.bodies()[key]
    for changed, kind, said in (
        (None, "file_missing", "is not there"),
        (body[:-5], "file_changed", f"It has {len(body) - 5:,} bytes, and its manifest says {len(body):,}"),
        (body + b"x", "file_changed", f"It has more than {len(body):,} bytes"),
        (b"", "file_changed", "It has 0 bytes"),
    ):
        damaged = store.clone()
        if changed is None:
            damaged.delete([key])
        else:
            overwrite(damaged, key, changed)
        report = audit(damaged)
        assert set(kinds(report)) == {kind}
        found = report.findings.kept[-1]
        assert found.where == f"s3://memory/{key}"
        assert said in found.what
        assert "take the snapshot again" in found.todo
        assert [one.status for one in report.tables[0].snapshots] == ["fine", "wrong", "fine"]


def test_files_that_were_exchanged_between_days_are_found() -> None:
    store = lake()
    first, second = (manifest(store, day)["files"][0]["key"] for day in (1, 2))
    one, two = store.clone(), store.clone()
    overwrite(one, first, store.bodies()[second])
    assert "file_changed" in kinds(audit(one))
    copy(two, first, second)
    assert {"file_changed", "file_of_another_snapshot"} <= set(kinds(audit(two)))


def test_a_manifest_of_elsewhere_is_found_and_nothing_that_it_names_is_read() -> None:
    store = lake()
    other = LIST.replace("cl-1", "cl-2")
    copy(store, LIST, other)
    before = len(store.effects)
    report = audit(store, other)
    assert set(kinds(report)) == {"manifest_foreign"} | ({"link_broken"} & set(kinds(report)))
    assert all(each.key.startswith(other) for each in store.effects[before:])
    swapped = lake()
    overwrite(swapped, manifest_key(2), swapped.bodies()[manifest_key(1)])
    assert kinds(audit(swapped))[0] == "manifest_foreign"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "manifest_unreadable"),
        (b"{}", "manifest_unreadable"),
        (b"[" * 100_000, "manifest_unreadable"),
        (b'{"a":' * 100_000, "manifest_unreadable"),
        (b" " * (17 << 20), "manifest_unreadable"),
        (b"[" + b"1," * 3_000_000 + b"1]", "manifest_unreadable"),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else "",
)
def test_what_is_no_manifest_is_said_and_the_others_are_looked_at(body: bytes, kind: str) -> None:
    store = lake()
    overwrite(store, manifest_key(3), body)
    report = audit(store)
    assert kinds(report) == [kind]
    assert report.findings.kept[0].where == f"s3://memory/{manifest_key(3)}"
    assert len(report.tables[0].snapshots) == 2


def test_a_manifest_written_by_hand_is_held_against_its_schema_and_its_digest() -> None:
    store = lake()
    content = manifest(store, 3)
    by_hand = json.dumps(content | {"walk": {"started_at": content["walk"]["started_at"], "pages": "7"}}).encode()
    overwrite(store, manifest_key(3), by_hand)
    report = audit(store)
    assert kinds(report) == ["manifest_schema", "manifest_changed"]
    assert "walk.pages" in report.findings.kept[0].what
    deep = json.dumps(content)[:-1] + ', "x": ' + '{"a":' * 900 + "1" + "}" * 901
    overwrite(store, manifest_key(3), deep.encode())
    assert set(kinds(audit(store))) == {"manifest_changed"}


def test_a_manifest_of_an_earlier_version_is_verified_and_told_as_that() -> None:
    store = lake()
    for day in (1, 2):
        content = {name: told for name, told in manifest(store, day).items() if name not in {"previous", "replaces"}}
        old = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        overwrite(store, manifest_key(day), old.encode())
    change(store, 3, previous=link_to(store, 2))
    report = audit(store)
    assert kinds(report) == []
    assert kinds(report, notes=True) == ["no_digest", "not_chained"]
    assert "2 manifests (2026-01-01, 2026-01-02) of an earlier version" in report.findings.kept[-1].what


@every_form
def test_rows_and_ids_are_counted_again_whatever_the_manifest_says(form: dict[str, object]) -> None:
    store = lake(days=1, **form)
    content = manifest(store, 1)
    files = [dict(file) for file in content["files"]]
    for number in (CONTACTS - 1, CONTACTS + 1):
        wrong = [dict(file) for file in files]
        wrong[-1]["rows"] += number - CONTACTS
        write(store, 1, content | {"contacts": number, "files": wrong})
        report = audit(store)
        assert kinds(report) == ["rows_differ"]
    if len(files) > 1:
        double = files[0] | {"key": files[-1]["key"]}
        copy(store, files[0]["key"], files[-1]["key"])
        rows = CONTACTS - files[-1]["rows"] + files[0]["rows"]
        write(store, 1, content | {"contacts": rows, "files": [*files[:-1], double]})
        report = audit(store)
        assert kinds(report) == ["id_repeated"]
        assert f"{files[0]['rows']} of its rows" in report.findings.kept[0].what


# --- The chain ------------------------------------------------------------------------------------------------------


def test_a_snapshot_that_was_rewritten_by_who_knows_how_shows_in_the_next_ones_link() -> None:
    store = lake()
    change(store, 2, contact_list_name="Another")
    report = audit(store)
    assert kinds(report) == ["link_broken"]
    (found,) = report.findings.kept
    assert found.where == f"s3://memory/{manifest_key(2)}"
    assert "The snapshot of 2026-01-03 follows another manifest of 2026-01-02" in found.what
    assert kinds(audit(store, partition(2))) == []
    assert kinds(audit(store, partition(3))) == ["link_broken"], "its predecessor is looked at as well"


def test_a_link_to_what_was_replaced_or_erased_since_is_whole() -> None:
    before = lake()
    old = link_to(before, 2)["manifest_sha256"]
    for members in (
        {"replaces": ["a" * 64, old]},
        {"erased": 1, "erasures": [{"erased_at": "2026-01-04T00:00:00.000Z", "rows": 1, "manifest_sha256": old}]},
    ):
        store = before.clone()
        change(store, 2, **members)
        assert kinds(audit(store), notes=True) == []
    own = before.clone()
    change(own, 3, previous=link_to(before, 3), replaces=[link_to(before, 3)["manifest_sha256"]])
    assert kinds(audit(own), notes=True) == [], "the second run of a day follows the first one"


def test_a_snapshot_that_vanished_from_the_middle_is_missed_and_expired_ones_are_not() -> None:
    middle, oldest = lake(days=4), lake(days=4)
    middle.delete(list(middle.bodies(partition(2))))
    report = audit(middle)
    assert kinds(report, notes=True) == ["link_missing", "days_missing"]
    assert "2026-01-02, which is no longer there, and older ones are" in report.findings.kept[0].what
    assert kinds(audit(middle, partition(3))) == ["link_missing"]
    for day in (1, 2):
        oldest.delete(list(oldest.bodies(partition(day))))
    oldest.put(f"{LIST}a/snapshot_date=2020-01-01/_manifest.json", b"", content_type="x/y")  # of another table
    oldest.put(f"{partition(1)}contacts.jsonl.gz", b"", content_type="x/y")  # without a manifest
    assert kinds(audit(oldest, partition(3)), notes=True) == ["chain_begins"]
    oldest.delete([*oldest.bodies(f"{LIST}a/"), *oldest.bodies(partition(1))])
    for prefix in (LIST, partition(3)):
        report = audit(oldest, prefix)
        assert (kinds(report), kinds(report, notes=True)) == ([], ["chain_begins"])


@pytest.mark.parametrize("manifest_", ["x", "kore/lists/contact_list_id=cl-2/snapshot_date=2026-01-02/_manifest.json"])
def test_a_predecessor_of_elsewhere_is_none_and_is_not_read(manifest_: str) -> None:
    store = lake()
    change(store, 3, previous=link_to(store, 2) | {"manifest": manifest_})
    before = len(store.effects)
    assert kinds(audit(store)) == ["link_broken"]
    assert all(each.key.startswith(LIST) for each in store.effects[before:])


def test_what_an_incremental_snapshot_is_built_on_is_looked_up() -> None:
    store = lake(contacts=60)
    assert manifest(store, 2)["incremental"]["based_on"]["snapshot_date"] == "2026-01-01"
    assert kinds(audit(store), notes=True) == []
    told = manifest(store, 2)["incremental"]
    another = told | {"based_on": told["based_on"] | {"snapshot_id": "another"}}
    wrong, replaced, gone = store.clone(), store.clone(), store.clone()
    change(wrong, 2, incremental=another)
    change(wrong, 3, previous=link_to(wrong, 2))
    assert kinds(audit(wrong)) == ["basis_differs"]
    change(replaced, 1, replaces=["a" * 64])
    change(replaced, 2, incremental=another, previous=link_to(replaced, 1))
    change(replaced, 3, previous=link_to(replaced, 2))
    assert kinds(audit(replaced), notes=True) == ["replaced_since"]
    change(gone, 3, incremental=told | {"based_on": told["based_on"]}, previous=link_to(gone, 2))
    gone.delete(list(gone.bodies(partition(1))))
    assert kinds(audit(gone), notes=True) == ["chain_begins"] * 2


def test_days_without_a_snapshot_and_other_objects_are_told_and_are_no_error() -> None:
    store = lake(days=5)
    for day in (2, 3, 4):
        store.delete(list(store.bodies(partition(day))))
    change(store, 5, previous=link_to(store, 1), consistent=False)
    for name in ("contacts-old.jsonl.gz", "_tmp", "x\n\x1b[31my\u202e", "sub/z"):
        store.put(partition(5) + name, b"", content_type="x/y")
    store.put(f"{LIST}README", b"", content_type="x/y")
    report = audit(store)
    assert report.findings.status == "fine"
    told = {one.kind: one.what for one in report.findings.kept}
    assert told["days_missing"] == "No snapshot on 3 days: 2026-01-02 to 2026-01-04."
    assert "4 objects beside the snapshot: '_tmp', 'contacts-old.jsonl.gz', 'sub/z' and 1 more." in told["leftovers"]
    assert "Engines that read the whole folder read them, too." in told["leftovers"]
    assert "inconsistent" in told
    assert report.elsewhere == 1


def test_the_same_bytes_under_another_etag_or_checksum_are_told_as_a_copy() -> None:
    store = lake(days=1)
    content = manifest(store, 1)
    for name, value in (("etag", '"another"'), ("checksum", "SHA256:" + "A" * 43 + "=")):
        write(store, 1, content | {"files": [content["files"][0] | {name: value}]})
        report = audit(store)
        assert (kinds(report), kinds(report, notes=True)) == ([], ["file_rewritten"])
        assert {"etag": "Another ETag", "checksum": "Another checksum"}[name] in report.findings.kept[0].what
    write(store, 1, content | {"files": [content["files"][0] | {"checksum": "CRC32:AAAAAA=="}]})
    assert kinds(audit(store), notes=True) == [], "the store keeps several, and tells another"


# --- Together with what else writes there -----------------------------------------------------------------------------


@every_form
def test_what_an_erasure_has_rewritten_is_fine_and_says_how_many_are_gone(form: dict[str, object]) -> None:
    store = VersionedMemoryStore()
    landed = lake(contacts=60, **form)
    for key, body in landed.bodies(LIST).items():
        found = landed._state.objects[key]
        store.put(key, body, content_type=found.content_type, metadata=found.described.metadata)
    chosen = parse_format(form.get("file_format", "jsonl"), form.get("compression"))
    files_ = manifest(store, 1)["files"]
    ids = [
        each
        for file in files_
        for each in chosen.format.read_ids(io.BytesIO(store.bodies()[file["key"]]), compression=chosen.compression)
    ]
    given_ = [Given("id", ids[number], number + 1) for number in (3, 17)]
    run = RunKey(dag_id="dag", run_id="one", task_id="forget")
    spec = ErasureSpec.parse(s3_prefix="kore/lists", run=run, generation="g", plan_only=False)
    erase(spec, store, given_, policies=None, clock=SystemClock())
    report = audit(store)
    assert kinds(report, notes=True) == []
    assert [(one.rows, one.erased) for one in report.tables[0].snapshots] == [(58, 2), (59, 2), (60, 2)]
