"""Whole snapshots into buckets as companies run them: encrypted, locked, tagged, with roles that lack a permission."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.config import ApiConfig
from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import StorePermissionError
from airflow_provider_kore.snapshot.run import take_snapshot
from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec
from airflow_provider_kore.store.s3 import S3Store
from airflow_provider_kore.store.s3.settings import S3Settings
from airflow_provider_kore.store.shared import SharedObject
from airflow_provider_kore.store.store import ConditionFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_servers import S3Server

    from airflow_provider_kore.simulator import Simulator
    from airflow_provider_kore.snapshot.manifest import Manifest

pytestmark = pytest.mark.slow

CONTACTS = 1_200
"""Enough for checkpoints: a chunk is cut at 300."""

ALL = (
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:ListBucket",
    "s3:AbortMultipartUpload",
    "s3:ListBucketMultipartUploads",
)

NEEDED = ("s3:GetObject", "s3:PutObject", "s3:ListBucket")
OPTIONAL = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:ListBucketMultipartUploads")


@pytest.fixture
def snapshot(kore: Simulator) -> Callable[..., Manifest]:
    """Return a function that lands one list of the simulator in a bucket."""
    kore.add_list("cl-1", contacts=CONTACTS)
    found = kore.connection
    config = ApiConfig.parse(host=found["host"], login=found["login"], password=found["password"], extra=found["extra"])

    def take(
        client: Any, bucket: str, *, settings: S3Settings | None = None, run_id: str = "run-1", **parameters: Any
    ) -> Manifest:
        spec = SnapshotSpec.parse(
            source=ContactListSource(contact_list_id="cl-1"),
            s3_prefix="lake/contacts",
            snapshot_date=f"{datetime.now(UTC):%Y-%m-%d}",
            run=RunKey(dag_id="d", run_id=run_id, task_id="t"),
            **parameters,
        )
        settings = settings or S3Settings()
        with CampaignClient(config) as kore_client:
            return take_snapshot(
                spec,
                kore_client,
                S3Store(client, bucket, settings),
                SystemClock(),
                staging_store=S3Store(client, bucket, settings.for_staging()),
            )

    return take


@pytest.mark.parametrize("missing", NEEDED)
def test_a_missing_permission_is_named_before_a_contact_is_fetched(
    missing: str, ministack_server: S3Server, kore: Simulator, snapshot: Callable[..., Manifest]
) -> None:
    bucket = ministack_server.bucket()
    role = ministack_server.client(key=ministack_server.user(*(action for action in ALL if action != missing)))
    with pytest.raises(StorePermissionError, match=missing):
        snapshot(role, bucket)
    assert kore.requests == []


@pytest.mark.parametrize("missing", OPTIONAL)
def test_a_snapshot_lands_without_the_permissions_to_tidy_up_and_says_so(
    missing: str, ministack_server: S3Server, snapshot: Callable[..., Manifest], caplog: pytest.LogCaptureFixture
) -> None:
    bucket = ministack_server.bucket()
    role = ministack_server.client(key=ministack_server.user(*(action for action in ALL if action != missing)))
    with caplog.at_level(logging.WARNING):
        assert snapshot(role, bucket).rows == CONTACTS
    assert missing in caplog.text


def printed_policy(bucket: str) -> list[dict[str, Any]]:
    """Return the statements of the least policy as docs/s3.md prints it, for this bucket."""
    text = (Path(__file__).parents[2] / "docs" / "s3.md").read_text(encoding="utf-8")
    found = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert found is not None
    statements: list[dict[str, Any]] = json.loads(found[1].replace("my-bucket", bucket))["Statement"]
    return statements


@pytest.mark.parametrize("parameters", [{}, {"rows_per_file": 500}], ids=["one file", "several files"])
def test_the_printed_policy_is_enough_and_the_row_for_several_files_is_true(
    parameters: dict[str, Any],
    ministack_server: S3Server,
    snapshot: Callable[..., Manifest],
    caplog: pytest.LogCaptureFixture,
) -> None:
    bucket = ministack_server.bucket()
    statements = printed_policy(bucket)
    role = ministack_server.client(key=ministack_server.user_under(*statements))
    with caplog.at_level(logging.WARNING):
        first = snapshot(role, bucket, **parameters)
        snapshot(role, bucket, run_id="run-2", **parameters)
    there = {found["Key"] for found in role.list_objects_v2(Bucket=bucket, Prefix="lake/contacts/")["Contents"]}
    if not parameters:
        assert caplog.text == ""
        return
    assert "s3:DeleteObject" in caplog.text
    assert set(first.keys) <= there, "without the row of the second table they stay, and the log says so"
    statements[0]["Action"].append("s3:DeleteObject")
    role = ministack_server.client(key=ministack_server.user_under(*statements))
    caplog.clear()
    last = snapshot(role, bucket, run_id="run-3", **parameters)
    there = {found["Key"] for found in role.list_objects_v2(Bucket=bucket, Prefix="lake/contacts/")["Contents"]}
    assert there == {*last.keys, last.keys[0].rpartition("/")[0] + "/_manifest.json"}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_the_ledgers_printed_policy_is_enough_and_reaches_nothing_else(ministack_server: S3Server) -> None:
    """The bucket, too: S3 answers 403 for an absent key where listing is granted for a prefix only."""
    bucket = ministack_server.bucket()
    page = (Path(__file__).parents[2] / "docs" / "s3.md").read_text(encoding="utf-8")
    found = re.search(r"### The ledger's policy.*?```json\n(.*?)```", page, re.DOTALL)
    assert found is not None
    statements = json.loads(found[1].replace("my-bucket", bucket))["Statement"]
    assert isinstance(statements[0]["Action"], list)
    statements[0]["Action"].append("s3:DeleteObject")  # not on AWS
    store = S3Store(ministack_server.client(key=ministack_server.user_under(*statements)), bucket)
    ledger = SharedObject(lambda: store, "ledgers/one.json", f"s3://{bucket}/ledgers/one.json", SystemClock(), 1000)
    assert ledger.read() is None
    ledger.write(b"1", None)
    version = ledger.read()
    assert version is not None
    assert version.body == b"1"
    ledger.write(b"2", version.etag)
    with pytest.raises(ConditionFailed):
        ledger.write(b"3", version.etag)
    assert ministack_server.client().get_object(Bucket=bucket, Key="ledgers/one.json")["Body"].read() == b"2"
    with pytest.raises(StorePermissionError):
        store.put("lake/x", b"", content_type="text/plain")


def test_every_object_is_written_as_the_company_wants_it(
    moto_server: S3Server, snapshot: Callable[..., Manifest]
) -> None:
    bucket, client = moto_server.bucket(), moto_server.client()
    settings = S3Settings(
        encryption="aws:kms", kms_key_id="alias/lake", acl="bucket-owner-full-control", tags={"team": "contact center"}
    )
    snapshot(client, bucket, settings=settings)
    keys = [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert len(keys) == 2
    for key in keys:
        head = client.head_object(Bucket=bucket, Key=key)
        assert head["ServerSideEncryption"] == "aws:kms"
        assert head["SSEKMSKeyId"].endswith("alias/lake")
        assert client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [
            {"Key": "team", "Value": "contact center"}
        ]


def test_a_bucket_under_object_lock_keeps_every_version_and_shows_the_newest(
    moto_server: S3Server, kore: Simulator, snapshot: Callable[..., Manifest]
) -> None:
    client = moto_server.client()
    bucket = f"{moto_server.bucket()}-locked"
    client.create_bucket(
        Bucket=bucket,
        ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={"LocationConstraint": client.meta.region_name},
    )
    retention = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention}
    )
    first = snapshot(client, bucket)
    kore.append("cl-1", 7)
    second = snapshot(client, bucket, run_id="run-2")
    key = first.keys[0]
    assert second.rows == CONTACTS + 7
    head = client.head_object(Bucket=bucket, Key=key)
    assert head["Metadata"]["kore-snapshot-id"] == second.snapshot_id
    assert head["Metadata"]["kore-contacts"] == str(CONTACTS + 7)
    versions = client.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
    assert len(versions) == 2
    assert [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]] == sorted(
        [key, key.rpartition("/")[0] + "/_manifest.json"]
    )
