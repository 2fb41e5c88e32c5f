"""Buckets that others fill to mislead or to exhaust an audit: what they hold is said in bounded memory and words."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
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
    write_unchecked,
)
from model_store import MemoryStore
from pyarrow import parquet

from airflow_provider_kore.audit import files
from airflow_provider_kore.audit.findings import KINDS, MOST_FINDINGS
from airflow_provider_kore.audit.history import histories
from airflow_provider_kore.audit.progress import EVERY, Progress
from airflow_provider_kore.audit.report import as_json, as_text, history_as_json, history_as_text
from airflow_provider_kore.audit.verify import verify
from airflow_provider_kore.exceptions import CredentialsError, StoppedError, StoreUnavailableError
from airflow_provider_kore.snapshot.manifest import MOST_BYTES
from airflow_provider_kore.stop import Stop
from airflow_provider_kore.store.store import AccessRefused, ChecksumMismatch, StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO


@pytest.mark.slow
def test_40_000_other_objects_are_counted_and_not_kept() -> None:
    class Crowded(MemoryStore):
        def list(self, prefix: str) -> Iterator[StoredObject]:
            yield from super().list(prefix)
            for number in range(20_000):
                yield StoredObject(key=f"{partition(3)}x{number:06d}\n\x1b[31m", size=1, etag="")
            for number in range(20_000):
                yield StoredObject(key=f"{LIST}x{number:06d}", size=1, etag="")

    store = Crowded()
    store._state = lake()._state
    audit(lake())  # what is imported and compiled at first
    tracemalloc.start()
    report = audit(store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000
    assert report.elsewhere == 20_000
    (found,) = (one for one in report.findings.kept if one.kind == "leftovers")
    assert "20,000 objects beside the snapshot" in found.what
    assert as_text(report).isprintable() or all(line.isprintable() for line in as_text(report).splitlines())


@pytest.mark.slow
def test_a_manifest_of_very_many_files_is_looked_at_file_by_file_and_said_in_few_words() -> None:
    store = lake(days=1)
    content = manifest(store, 1)
    one = content["files"][0]
    many = [one | {"key": f"{partition(1)}contacts-{number}.jsonl.gz", "columns": []} for number in range(2_000)]
    write(store, 1, content | {"files": many, "contacts": CONTACTS * len(many)})
    report = audit(store)
    assert report.findings.numbers["wrong"] == len(many)
    assert len(report.findings.kept) <= 21
    assert "1,981 more findings" in as_text(report)
    assert len(as_json(report)) < 20_000


def test_a_thousand_damaged_days_are_counted_and_a_bounded_number_is_shown() -> None:
    store = MemoryStore()
    for number in range(MOST_FINDINGS + 5):
        store.put(f"t/list={number:05d}/snapshot_date=2026-01-01/_manifest.json", b"{}", content_type="x/y")
    report = audit(store, "t/")
    assert report.findings.numbers["wrong"] == MOST_FINDINGS + 5
    assert (len(report.findings.kept), report.findings.left_out) == (MOST_FINDINGS, 5)


HOSTILE: dict[str, dict[str, Any]] = {
    "a basis of a strange day": {"incremental": {"based_on": {"snapshot_date": "\x1b[31m2020", "snapshot_id": "x"}}},
    "a basis above the folder": {"incremental": {"based_on": {"snapshot_date": "../../x", "snapshot_id": "x"}}},
    "a basis that is none": {"incremental": {"based_on": ["2026-01-01"]}},
    "a predecessor in pieces": {"previous": {"snapshot_date": "2026-01-01"}},
    "erasures that are none": {"erasures": [7, {"manifest_sha256": "\x1b]0;x\x07"}]},
    "numbers as text": {"erased": "1", "walk": {"started_at": "2026-01-01T00:00:00Z", "requests": "\x1b[2J"}},
    "rows as text": {"contacts": "12"},
    "a version as text": {"schema_version": "1"},
    "a number that is none": {"list_record_count": float("nan")},
    "a name with a terminal's sequence": {"contact_list_id": "\x1b]0;x\x07cl-1"},
    "a file above the folder": {"files": [{"key": "../../\x1b[31m", "rows": 12}]},
    "an incremental that is a list": {"incremental": []},
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_manifest_is_called_wrong_in_printable_words_and_nothing_else_is_read(
    members: dict[str, Any],
) -> None:
    store = lake()
    write_unchecked(store, manifest_key(2), manifest(store, 2) | members)
    before = len(store.effects)
    report = audit(store)
    (found,) = histories(store, LIST, progress=Progress(str))
    assert report.findings.kept[0].kind.startswith("manifest_")
    assert all(one.where.endswith(manifest_key(2)) for one in report.findings.kept if one.level == "wrong")
    assert found.status == "wrong"
    assert all(each.key.startswith(LIST) and ".." not in each.key for each in store.effects[before:])
    for said in (as_text(report), as_json(report), history_as_text([found]), history_as_json([found])):
        assert all(line.isprintable() for line in said.splitlines())


def test_a_member_that_stands_twice_in_a_manifest_is_found_also_where_the_digest_fits() -> None:
    store = lake(days=1)
    _, _, *lines = store.bodies()[manifest_key(1)].split(b"\n")
    body = b"\n".join([b"{", b'  "contacts": 99,', *lines])
    digest = hashlib.sha256(body).hexdigest().encode()
    overwrite(store, manifest_key(1), b'{\n  "content_sha256": "' + digest + b'",' + body[1:])
    assert kinds(audit(store)) == ["manifest_changed"]


def test_days_that_name_each_other_end_and_are_whole_if_each_has_replaced_what_the_other_names() -> None:
    store = lake(days=2)
    first, second = link_to(store, 1), link_to(store, 2)
    change(store, 1, previous=second, replaces=[first["manifest_sha256"]])
    assert kinds(audit(store)) == []
    change(store, 2, previous=link_to(store, 1), replaces=["a" * 64])
    assert kinds(audit(store)) == ["link_broken"]


@pytest.mark.slow
def test_of_large_manifests_no_more_than_one_is_held() -> None:
    store = lake(days=1)
    content, long = manifest(store, 1), "x" * 1_500_000
    for number in range(10):
        told = json.loads(json.dumps(content).replace("2026-01-01/", f"2026-02-{number + 1:02d}/"))
        told |= {"snapshot_date": f"2026-02-{number + 1:02d}", "previous": {**link_to(store, 1), "more": long}}
        if number % 2:
            told["incremental"] = {"based_on": {"snapshot_date": "2026-01-01", "snapshot_id": long}}
        write_unchecked(store, f"{LIST}snapshot_date={told['snapshot_date']}/_manifest.json", told)
    tracemalloc.start()
    assert audit(store).findings.numbers["wrong"] == 10 + 5
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25_000_000, peak


def test_a_folder_that_is_like_a_days_does_not_part_a_table_in_two() -> None:
    store = lake(days=4)
    copy(store, partition(2), f"{LIST}snapshot_date=2026-01-02-old/snapshot_date=2026-01-02/")
    store.delete(list(store.bodies(partition(2))))
    report = audit(store)
    assert kinds(report) == ["link_missing"]
    assert (len(report.tables), report.elsewhere) == (1, 2)
    assert len(histories(store, LIST, progress=Progress(str))) == 1


def replaced(store: MemoryStore, body: bytes, rows: int) -> None:
    """Put bytes in the place of a snapshot's file, with a manifest that describes them."""
    content = manifest(store, 1)
    file = content["files"][0] | {"bytes": len(body), "rows": rows, "sha256": hashlib.sha256(body).hexdigest()}
    overwrite(store, file["key"], body)
    stored = store.head(file["key"])
    assert stored is not None
    described = file | {"etag": stored.etag, "checksum": stored.checksum}
    write(store, 1, content | {"files": [described], "contacts": rows})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "rows", "kind"),
    [
        (b'{"_id": "' + b"x" * (80 << 20) + b'"}\n', 1, "file_unreadable"),
        (b"\n" * (80 << 20), 3, "file_unreadable"),
        (b'{"_id": "a"}\n' * 100_000, 3, "rows_differ"),
        (b'{"_id": "a"}\n' * 3, 3, "id_repeated"),
        (b"[" * (1 << 20) + b"\n", 1, "file_unreadable"),
        (b'{"_id": "a"}', 1, "file_unreadable"),
        (b'{"phoneNumber": "+4915112345678"}\n', 1, "file_unreadable"),
    ],
    ids=["one long row", "line breaks", "many rows", "one id", "nested", "cut", "no id"],
)
def test_what_a_small_file_unpacks_to_is_bounded_and_shows_nothing_of_it(text: bytes, rows: int, kind: str) -> None:
    store = lake(days=1)
    replaced(store, gzip.compress(text, 1), rows)
    del text
    tracemalloc.start()
    report = audit(store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kinds(report)[0] == kind
    assert peak < 200_000_000
    assert "+49" not in as_text(report)
    (found,) = histories(store, LIST, progress=Progress(str))
    assert found.status == "wrong"
    assert "+49" not in history_as_text([found])


PARQUET: dict[str, tuple[int, str, dict[str, list[str]]]] = {
    "one long id": (1, "file_unreadable", {"_id": ["x" * (30 << 20)]}),
    "the same long id": (100, "id_repeated", {"_id": ["x" * (1 << 20)] * 100}),
    "the same long text": (100, "", {"_id": [f"ct-{number}" for number in range(100)], "x": ["x" * (1 << 20)] * 100}),
    "many rows": (3, "rows_differ", {"_id": ["x"] * 2_000_000}),
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", PARQUET)
def test_what_a_small_file_of_parquet_unpacks_to_is_bounded(bomb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_kore.formats.parquet.MOST_BYTES_OF_GROUP", 20 << 20)
    rows, kind, columns = PARQUET[bomb]
    body = io.BytesIO()
    parquet.write_table(pa.table(columns), body, compression="zstd", row_group_size=1 << 30)
    store = lake(days=1, file_format="parquet")
    replaced(store, body.getvalue(), rows)
    assert len(body.getvalue()) < 40_000
    arrow, counted = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(counted)
    tracemalloc.start()
    report = audit(store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pa.set_memory_pool(arrow)
    assert kinds(report)[:1] == [kind][: bool(kind)]
    assert peak + counted.max_memory() < 20_000_000


def test_no_more_ids_are_held_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_IDS", 5)
    monkeypatch.setattr(files, "_ROWS_AT_ONCE", 2)
    report = audit(lake(days=1))
    assert kinds(report) == ["too_many_ids"]
    assert report.findings.status == "unseen"


# --- What happens meanwhile -------------------------------------------------------------------------------------------


class Eventful(MemoryStore):
    """A bucket in which something happens at each GET."""

    happens: Callable[[str], None] = staticmethod(str)  # type: ignore[assignment]

    def get(self, key: str) -> BinaryIO | None:
        self.happens(key)
        return super().get(key)


def eventful(store: MemoryStore, happens: Callable[[str], None]) -> Eventful:
    made = Eventful()
    made._state = store._state
    made.happens = happens  # type: ignore[method-assign]
    return made


def test_a_snapshot_that_is_replaced_while_it_is_read_is_read_again() -> None:
    store, newer = lake(days=2), lake(days=2, rows_per_file=5)
    done: list[str] = []

    def replace_once(key: str) -> None:
        if key.endswith(".gz") and key.startswith(partition(2)) and not done:
            done.append(key)
            for name in list(store.bodies(partition(2))):
                store.delete([name])
            for name, body in newer.bodies(partition(2)).items():
                described = newer.head(name)
                assert described is not None
                store.put(name, body, content_type="x/y", metadata=described.metadata)
            change(store, 2, previous=None)

    report = audit(eventful(store, replace_once))
    assert done
    assert kinds(report) == []
    assert report.tables[0].snapshots[1].files == 3


def test_a_snapshot_that_expires_while_it_is_read_is_not_called_damaged() -> None:
    store = lake()

    def expire(key: str) -> None:
        if key.startswith(partition(1)) and key.endswith(".gz"):
            store.delete(list(store.bodies(partition(1))))

    report = audit(eventful(store, expire))
    assert kinds(report, notes=True) == ["chain_begins"]
    assert [one.date for one in report.tables[0].snapshots] == ["2026-01-02", "2026-01-03"]
    store = lake(days=1)
    store.put(f"{partition(1)}x", b"", content_type="x/y")
    assert kinds(audit(eventful(store, expire))) == ["nothing_found"]


def test_files_without_a_manifest_are_wrong_unless_they_may_be_landing_right_now() -> None:
    store = lake(days=1)
    store.delete([manifest_key(1)])
    assert kinds(audit(store)) == ["manifest_missing"]

    class Landing(MemoryStore):
        def list(self, prefix: str) -> Iterator[StoredObject]:
            return (replace(each, modified=datetime.now(UTC) - timedelta(minutes=5)) for each in super().list(prefix))

    landing = Landing()
    landing._state = store._state
    report = audit(landing)
    assert (kinds(report), report.findings.status) == (["keeps_changing"], "unseen")
    assert report.findings.kept[0].retry


def test_a_predecessor_that_is_replaced_after_it_was_looked_at_is_looked_at_again() -> None:
    store = lake()
    old = link_to(store, 2)["manifest_sha256"]

    def replace_both(key: str) -> None:
        if key == manifest_key(3) and link_to(store, 2)["manifest_sha256"] == old:
            change(store, 2, warnings=["again"], replaces=[old])
            change(store, 3, previous=link_to(store, 2), replaces=[link_to(store, 3)["manifest_sha256"]])

    report = audit(eventful(store, replace_both))
    assert link_to(store, 2)["manifest_sha256"] != old
    assert kinds(report, notes=True) == []


def test_a_predecessor_that_may_not_be_looked_at_is_not_called_changed() -> None:
    store = lake()
    asked: list[str] = []

    def refuse(key: str) -> None:
        asked.append(key)
        if key == manifest_key(2):
            raise AccessRefused("no", "s3:GetObject", key)

    assert kinds(audit(eventful(store, refuse), partition(3))) == ["not_looked_at"]


def test_a_snapshot_that_is_replaced_each_time_is_not_called_damaged() -> None:
    store = lake(days=1)

    def replace_always(key: str) -> None:
        if key.endswith(".gz"):
            overwrite(store, key, b"x")
            change(store, 1, warnings=[*manifest(store, 1)["warnings"], "again"])

    report = audit(eventful(store, replace_always))
    assert kinds(report) == ["keeps_changing"]
    assert report.findings.status == "unseen"


@pytest.mark.parametrize(
    ("error", "kind", "retry"),
    [
        (StoreUnavailableError("away"), "not_looked_at", True),
        (AccessRefused("no", "s3:GetObject"), "not_looked_at", False),
        (ChecksumMismatch("rotten"), "file_changed", False),
    ],
    ids=["away", "refused", "rotten"],
)
@pytest.mark.parametrize("while_reading", [False, True])
def test_one_object_that_cannot_be_read_keeps_none_of_the_others_back(
    error: Exception, kind: str, retry: bool, while_reading: bool
) -> None:
    key = manifest(lake(), 2)["files"][0]["key"]

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:  # noqa: ARG002
            raise error

    class Failing(MemoryStore):
        def get(self, asked: str) -> BinaryIO | None:
            if asked != key:
                return super().get(asked)
            if while_reading:
                return Broken()
            raise error

    store = Failing()
    store._state = lake()._state
    report = audit(store)
    assert kinds(report) == [kind]
    (found,) = report.findings.kept
    assert (found.where, found.retry) == (f"s3://memory/{key}", retry)
    assert len(report.tables[0].snapshots) == 3


def test_a_transfer_that_breaks_off_once_is_begun_again() -> None:
    broken: list[str] = []

    def break_once(key: str) -> None:
        if key.endswith(".gz") and key not in broken:
            broken.append(key)
            raise StoreUnavailableError("broke off")

    assert audit(eventful(lake(), break_once)).findings.status == "fine"
    assert len(broken) == 3


def test_what_is_about_all_of_the_bucket_ends_it_and_what_was_found_is_kept() -> None:
    store = lake()
    overwrite(store, manifest_key(1), b"{}")

    def expire(key: str) -> None:
        if key.startswith(partition(2)):
            raise CredentialsError("The keys are gone.")

    report = audit(eventful(store, expire))
    assert kinds(report) == ["manifest_unreadable", "not_looked_at"]
    assert report.findings.status == "wrong"


def test_it_stops_when_it_is_told_to() -> None:
    stop = Stop()

    def told(key: str) -> None:
        if key == manifest_key(2):
            stop.request()

    store = eventful(lake(), told)
    with pytest.raises(StoppedError):
        verify(store, LIST, progress=Progress(str, stop=stop))
    assert not any(each.key.startswith(partition(3)) and each.name == "get" for each in store.effects)


def test_a_line_is_written_now_and_then_and_names_no_contact() -> None:
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            self.now += 1
            return self.now

    lines: list[str] = []
    clock: Any = Clock()
    verify(lake(days=3, rows_per_file=2), LIST, progress=Progress(lines.append, clock=clock))
    assert 0 < len(lines) <= clock.now / EVERY
    assert "snapshots and" in lines[0]
    assert LIST in lines[0]


def test_a_manifest_is_read_no_further_than_one_may_be_long() -> None:
    store = lake(days=1)

    class Endless(io.BytesIO):
        given = 0

        def __exit__(self, *_: object) -> None:
            """It is opened twice."""

        def read(self, size: int | None = -1) -> bytes:  # noqa: ARG002
            self.given += 1 << 20
            return b" " * (1 << 20)

    endless = Endless()

    class Long(MemoryStore):
        def get(self, key: str) -> Any:
            return endless if key == manifest_key(1) else super().get(key)

    long = Long()
    long._state = store._state
    assert kinds(audit(long)) == ["manifest_unreadable"]
    assert endless.given <= 2 * (MOST_BYTES + (1 << 21))


def test_every_kind_of_finding_is_described_in_the_docs() -> None:
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "verify.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []
