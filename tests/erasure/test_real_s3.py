"""Erasures on real S3 servers: all that S3 shows of an object stays, versions go, locks hold."""

from __future__ import annotations

import io
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import s3_servers
from botocore.exceptions import ClientError
from tables import DAYS, checkpoint, contact, forget, ids, land, partition, phones, unpacked

from airflow_provider_kore.exceptions import ErasureIncompleteError, StorePermissionError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.snapshot.manifest import Manifest
from airflow_provider_kore.store.s3.settings import S3Settings
from airflow_provider_kore.store.s3.versions import S3VersionedStore

if TYPE_CHECKING:
    from s3_servers import S3Server

pytestmark = pytest.mark.slow

WHO = "cc-000000000003"
OBJECT = f"{partition('cl-1', DAYS[0])}contacts.jsonl.gz"


def rows() -> list[dict[str, Any]]:
    return [contact(number) for number in range(6)]


def bodies(client: Any, bucket: str) -> dict[str, bytes]:
    found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {each["Key"]: client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found}


def all_versions(client: Any, bucket: str) -> list[bytes]:
    found = client.list_object_versions(Bucket=bucket).get("Versions", [])
    return [
        client.get_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])["Body"].read() for each in found
    ]


def nowhere(found: Any) -> None:
    for body in found:
        assert WHO.encode() not in unpacked(body)


def test_every_format_is_erased_and_every_manifest_is_true(s3_server: S3Server) -> None:
    client, bucket = s3_server.client(), s3_server.bucket()
    store = S3VersionedStore(client, bucket)
    for number, (name, each) in enumerate(FORMATS.items()):
        for how in each.compressions if s3_server.name == "ministack" else each.compressions[:1]:
            land(store, DAYS[0], rows(), list_id=f"cl-{name}-{how}", file_format=name, compression=how)
        land(store, DAYS[number % 2], rows(), list_id=f"cl-{name}", file_format=name, rows_per_file=2)
    checkpoint(store, rows())
    receipt = forget(store, [*ids(WHO), *phones(contact(4)["phoneNumber"])])
    there = bodies(client, bucket)
    nowhere(there.values())
    manifests = {key: Manifest.from_bytes(body, key) for key, body in there.items() if key.endswith("_manifest.json")}
    assert receipt["rows_erased"] == 2 * len(manifests)
    for key, manifest in manifests.items():
        assert (manifest.rows, manifest.content["contacts"], manifest.content["erased"]) == (4, 4, 2), key
        for file in manifest.files:
            described = store.head(file["key"])
            assert described is not None
            assert (file["etag"], file["bytes"], file["checksum"]) == (
                described.etag,
                described.size,
                described.checksum,
            )
            body = io.BytesIO(there[file["key"]])
            read = FORMATS[manifest.content["file_format"]].read_ids(body, compression=manifest.content["compression"])
            assert len(list(read)) == file["rows"]
    assert receipt["deleted"]["checkpoints"] == 1
    assert forget(store, ids(WHO)) == receipt  # found again, by the retry of the same run


def test_all_that_s3_shows_of_an_object_stays(s3_server: S3Server) -> None:
    client, bucket = s3_server.client(), s3_server.bucket()
    settings = S3Settings(encryption="AES256", tags={"team": "contact center", "a": "b=c"}, storage_class="STANDARD_IA")
    land(S3VersionedStore(client, bucket, settings), DAYS[0], rows())
    client.copy_object(
        Bucket=bucket,
        Key=OBJECT,
        CopySource={"Bucket": bucket, "Key": OBJECT},
        MetadataDirective="REPLACE",
        TaggingDirective="COPY",
        StorageClass="STANDARD_IA",
        ServerSideEncryption="AES256",
        ContentType="application/gzip",
        CacheControl="max-age=60",
        ContentDisposition='attachment; filename="a.gz"',
        Metadata=client.head_object(Bucket=bucket, Key=OBJECT)["Metadata"],
    )

    def shown() -> dict[str, Any]:
        found = client.head_object(Bucket=bucket, Key=OBJECT)
        names = ("ContentType", "CacheControl", "ContentDisposition", "ServerSideEncryption", "StorageClass")
        changed = {"kore-attempt", "kore-erased-from", "kore-contacts"}
        return {
            **{name: found.get(name) for name in names},
            "tags": client.get_object_tagging(Bucket=bucket, Key=OBJECT)["TagSet"],
            "metadata": {name: each for name, each in found["Metadata"].items() if name not in changed},
        }

    before = shown()
    assert before["CacheControl"] == "max-age=60"
    forget(S3VersionedStore(client, bucket), ids(WHO))
    assert shown() == before
    nowhere(bodies(client, bucket).values())


def test_encryption_that_settings_name_takes_the_place_of_the_objects_own(ministack_server: S3Server) -> None:
    client, bucket = ministack_server.client(), ministack_server.bucket()
    land(S3VersionedStore(client, bucket, S3Settings(encryption="aws:kms", kms_key_id="alias/a")), DAYS[0], rows())
    assert client.head_object(Bucket=bucket, Key=OBJECT)["SSEKMSKeyId"]
    forget(S3VersionedStore(client, bucket, S3Settings(encryption="AES256")), ids(WHO))
    found = client.head_object(Bucket=bucket, Key=OBJECT)
    assert (found["ServerSideEncryption"], found.get("SSEKMSKeyId")) == ("AES256", None)


def test_a_large_file_goes_in_parts(ministack_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_kore.store import upload

    defaults = {**upload.upload_file.__kwdefaults__, "single_put_bytes": 1 << 20, "part_bytes": 5 << 20}
    monkeypatch.setattr(upload.upload_file, "__kwdefaults__", defaults)
    client, bucket = ministack_server.client(), ministack_server.bucket()
    store = S3VersionedStore(client, bucket)
    land(store, DAYS[0], [contact(number, pad="x" * 2_000) for number in range(4_000)], compression="none")
    forget(store, ids(WHO))
    key = OBJECT.removesuffix(".gz")
    assert client.head_object(Bucket=bucket, Key=key)["ETag"].strip('"').endswith("-2")
    assert client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    nowhere(bodies(client, bucket).values())


def versioned(server: S3Server, **how: Any) -> tuple[Any, str]:
    client, bucket = server.client(), server.bucket()
    if how:
        bucket = f"{bucket}-locked"
        where = {"LocationConstraint": s3_servers.REGION}
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration=where, **how)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return client, bucket


def test_older_versions_and_markers_go_where_they_are_asked_for(s3_server: S3Server) -> None:
    client, bucket = versioned(s3_server)
    store = S3VersionedStore(client, bucket)
    land(store, "2025-03-01", rows())
    store.delete(list(bodies(client, bucket)))
    land(store, DAYS[0], rows())
    land(store, DAYS[0], [contact(1), contact(3)])
    checkpoint(store, rows())
    receipt = forget(store, ids(WHO), versions=True)
    assert receipt["versions"] == "searched"
    assert receipt["deleted"] == {"checkpoints": 1, "versions": 4, "markers": 2, "uploads": 0}
    nowhere(all_versions(client, bucket))
    assert [key for key in bodies(client, bucket) if key.startswith("kore/lists/")] == [
        f"{partition('cl-1', DAYS[0])}_manifest.json",
        OBJECT,
    ]


def test_without_being_asked_older_versions_stay(moto_server: S3Server) -> None:
    client, bucket = versioned(moto_server)
    store = S3VersionedStore(client, bucket)
    land(store, DAYS[0], rows())
    assert forget(store, ids(WHO))["versions"] == "kept, not searched"
    assert len(client.list_object_versions(Bucket=bucket, Prefix=OBJECT)["Versions"]) == 2


@pytest.mark.parametrize("lock", ["COMPLIANCE", "legal hold"])
def test_what_object_lock_holds_is_named_and_nothing_is_changed(s3_server: S3Server, lock: str) -> None:
    client, bucket = versioned(s3_server, ObjectLockEnabledForBucket=True)
    store = S3VersionedStore(client, bucket)
    land(store, DAYS[0], rows())
    if lock == "legal hold":
        client.put_object_legal_hold(Bucket=bucket, Key=OBJECT, LegalHold={"Status": "ON"})
    else:
        until = datetime.now(UTC) + timedelta(days=400)
        client.put_object_retention(Bucket=bucket, Key=OBJECT, Retention={"Mode": lock, "RetainUntilDate": until})
    before = bodies(client, bucket)
    with pytest.raises(ErasureIncompleteError, match=rf"held by Object Lock, such as s3://{bucket}/{OBJECT}.*: {lock}"):
        forget(store, ids(WHO), versions=True)
    assert bodies(client, bucket) == before
    version = client.head_object(Bucket=bucket, Key=OBJECT)["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):  # as the server judges it
        client.delete_object(Bucket=bucket, Key=OBJECT, VersionId=version)
    assert forget(store, ids(WHO))["versions"] == "kept, not searched"
    nowhere(bodies(client, bucket).values())


def test_a_role_that_may_not_is_told_which_permission_it_lacks(ministack_server: S3Server) -> None:
    client, bucket = versioned(ministack_server)
    land(S3VersionedStore(client, bucket), DAYS[0], rows())
    land(S3VersionedStore(client, bucket), DAYS[0], rows()[:5])
    before = bodies(client, bucket)
    reads = ("s3:GetObject", "s3:ListBucket", "s3:GetObjectTagging", "s3:GetBucketVersioning")
    versions = ("s3:ListBucketVersions", "s3:GetObjectVersion", "s3:ListBucketMultipartUploads")
    cases = {
        "s3:PutObject": (ministack_server.user(*reads), {}),
        "s3:ListBucketVersions": (ministack_server.user(*reads, "s3:PutObject"), {"versions": True}),
        "s3:DeleteObjectVersion": (
            ministack_server.user(*reads, "s3:PutObject", "s3:AbortMultipartUpload", *versions),
            {"versions": True},
        ),
    }
    for permission, (user, parameters) in cases.items():
        store = S3VersionedStore(ministack_server.client(key=user), bucket)
        with pytest.raises(StorePermissionError, match=permission) as caught:
            forget(store, ids(WHO), **parameters)
        assert WHO not in str(caught.value)
        assert {key: body for key, body in bodies(client, bucket).items() if "_erasures" not in key} == before
        assert WHO not in json.dumps([str(body) for key, body in bodies(client, bucket).items() if "_erasures" in key])


def test_versions_and_markers_of_a_key_come_together_however_they_are_paged(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_kore.store.s3 import versions

    monkeypatch.setattr(versions, "MAX_KEYS_PER_REQUEST", 3)
    client, bucket = versioned(s3_server)
    for key in ("a/1", "a/é", "a/2 x", "a/1"):
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
        client.delete_object(Bucket=bucket, Key=key)
        client.put_object(Bucket=bucket, Key=key, Body=b"y")
    client.delete_object(Bucket=bucket, Key="a/2 x")
    found = list(S3VersionedStore(client, bucket).versions("a/"))
    assert [key for key, _ in itertools.groupby(each.key for each in found)] == ["a/1", "a/2 x", "a/é"]
    assert len({each.version_id for each in found}) == len(found) == 13
    assert [each.key for each in found if each.is_current and each.is_marker] == ["a/2 x"]
