"""A snapshot that is not what its manifest says never reaches the table."""

from __future__ import annotations

import gzip
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from lake import DAY, TABLE, contacts

from airflow_provider_kore.exceptions import CorruptSnapshotError, DriftError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.iceberg.run import commit_snapshots
from airflow_provider_kore.iceberg.spec import parse_snapshots
from airflow_provider_kore.store.s3 import S3Store
from airflow_provider_kore.store.s3.settings import parse_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from lake import Lake

pytestmark = pytest.mark.slow

PARTITION = f"kore/contact_lists/contact_list_id=cl-1/snapshot_date={DAY}/"


def rewritten(lake: Lake, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest by hand."""
    key = f"{PARTITION}_manifest.json"
    content = json.loads(lake.client.get_object(Bucket=lake.bucket, Key=key)["Body"].read())
    change(content)
    lake.client.put_object(Bucket=lake.bucket, Key=key, Body=json.dumps(content).encode())


def with_file(lake: Lake, body: bytes, *, told: bool) -> None:
    """Change the file, and, if ``told``, what the manifest says of its bytes."""
    lake.client.put_object(Bucket=lake.bucket, Key=f"{PARTITION}contacts.jsonl.gz", Body=body)
    if told:
        rewritten(lake, lambda it: it["files"][0].update(sha256=hashlib.sha256(body).hexdigest(), bytes=len(body)))


@pytest.fixture
def before(lake: Lake) -> tuple[set[str], Any]:
    """A table with another list in it."""
    lake.commit(lake.land(contacts(7), contact_list_id="cl-2"))
    return lake.objects(), lake.table().metadata


def refused(lake: Lake, before: tuple[set[str], Any], match: str) -> None:
    with pytest.raises(CorruptSnapshotError, match=match):
        lake.commit(f"s3://{lake.bucket}/{PARTITION}")
    assert (lake.objects(), lake.table().metadata) == before  # no data file is left, either


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_flipped_byte_is_found_and_nothing_is_left(lake: Lake, before: Any, file_format: str) -> None:
    lake.land(contacts(*range(1, 50)), file_format=file_format)
    [key] = [each for each in lake.objects(PARTITION) if "contacts" in each.rpartition("/")[2]]
    body = bytearray(lake.client.get_object(Bucket=lake.bucket, Key=key)["Body"].read())
    body[len(body) // 2] ^= 1
    lake.client.put_object(Bucket=lake.bucket, Key=key, Body=bytes(body))
    refused(lake, before, "is missing, or not the file that its manifest describes")


def test_a_second_file_that_is_missing_takes_the_first_one_along(lake: Lake, before: Any) -> None:
    lake.land(contacts(1, 2, 3), rows_per_file=2)
    second = max(key for key in lake.objects(PARTITION) if key.endswith(".parquet"))
    lake.client.delete_object(Bucket=lake.bucket, Key=second)
    refused(lake, before, "is missing")


def test_rows_and_ids_are_those_of_the_manifest(lake: Lake, before: Any) -> None:
    lake.land(contacts(1, 2), file_format="jsonl")
    line = json.dumps(contacts(1)[0]).encode() + b"\n"
    for body, match in (
        (gzip.compress(line), "holds 1 contacts, and the manifest says 2"),
        (gzip.compress(line * 2), "holds an _id twice"),
        (gzip.compress(line + b"{}\n"), "has no _id"),
        (gzip.compress(line + b"{]\n"), "not what was written"),
        (b"no gzip", "compression is damaged"),
    ):
        with_file(lake, body, told=True)
        refused(lake, before, match)
    with_file(lake, gzip.compress(line), told=False)
    refused(lake, before, "not the file that its manifest describes")


BY_HAND: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda it: it.update(contact_list_id="cl-9"), "says contact_list_id 'cl-9'"),
    (lambda it: it.update(contact_list_id=None), "does not say its contact_list_id"),
    (lambda it: it.update(snapshot_date="2026-11-24"), "says snapshot_date"),
    (lambda it: it.pop("file_format"), "file_format"),
    (lambda it: it["files"][0].pop("sha256"), "does not say the sha256"),
    (lambda it: it["files"][0].pop("columns"), "does not name its columns"),
    (lambda it: it["files"][0].update(key="kore/contact_lists/contact_list_id=cl-2/contacts.parquet"), "outside"),
    (lambda it: it.update(files=[]), "names no files"),
    (lambda it: it.update(contacts=9), "counts other rows"),
    (lambda it: it.clear(), "schema_version"),
]


def test_a_day_that_is_none_is_refused_although_its_manifest_says_nothing_of_it(lake: Lake, before: Any) -> None:
    address = lake.land(contacts(1), day="2026-13-45", walk={"started_at": f"{DAY}T08:00:00+00:00"}, snapshot_date=None)
    for each in (address.replace("2026-13-45", "*"), address.replace("cl-1", "*").replace("2026-13-45", "*")):
        with pytest.raises(CorruptSnapshotError, match=r"2026-13-45/_manifest\.json is no"):
            lake.commit(each)
    key = f"{address.removeprefix(f's3://{lake.bucket}/')}_manifest.json"
    content = json.loads(lake.client.get_object(Bucket=lake.bucket, Key=key)["Body"].read())
    del content["snapshot_date"]
    lake.client.put_object(Bucket=lake.bucket, Key=key, Body=json.dumps(content).encode())
    with pytest.raises(CorruptSnapshotError, match="does not say its snapshot_date"):
        lake.commit(address.replace("2026-13-45", "*"))
    assert (lake.objects(), lake.table().metadata) == before


def test_a_snapshot_that_is_replaced_after_its_manifest_was_read_is_not_committed_under_the_old_ones_name(
    lake: Lake, before: Any
) -> None:
    address = lake.land(contacts(1))

    class Late(S3Store):
        def get(self, key: str) -> Any:
            if "/contact_list_id=cl-3/" in key:  # the last manifest
                lake.land(contacts(2))
            return super().get(key)

    other = lake.land(contacts(3), contact_list_id="cl-3")
    snapshots = parse_snapshots("snapshots", [address, other])
    late = Late(lake.client, lake.bucket, parse_settings(None))
    with pytest.raises(DriftError, match="was replaced while others were read"):
        commit_snapshots(snapshots, lambda _: late, lake.reader, TABLE)
    assert (lake.objects(), lake.table().metadata) == before


def test_a_manifest_by_hand_is_refused_by_what_is_wrong_with_it(lake: Lake, before: Any) -> None:
    for change, match in BY_HAND:
        lake.land(contacts(1))
        rewritten(lake, change)
        refused(lake, before, match)
