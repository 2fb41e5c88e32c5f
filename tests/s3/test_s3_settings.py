"""What is sent with each request, and which settings are refused before anything is."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import TYPE_CHECKING, Any

import pytest
from interception import Interceptor, Request

from airflow_provider_kore.exceptions import ParameterError, StoreUnavailableError
from airflow_provider_kore.store.s3 import S3Store
from airflow_provider_kore.store.s3.settings import S3Settings
from airflow_provider_kore.store.store import ABSENT, Condition

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_servers import S3Server

TYPE = "application/x-test"
OWNER = "123456789012"
EVERYTHING = S3Settings(
    encryption="aws:kms",
    kms_key_id="arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    bucket_key=True,
    acl="bucket-owner-full-control",
    tags={"team": "data + more", "cost=centre": "47+11"},
    storage_class="STANDARD_IA",
    expected_bucket_owner=OWNER,
)


def run_everything(store: S3Store) -> None:
    """One request of each kind."""
    store.put("k", b"x", content_type=TYPE, metadata={"snapshot-id": "1"})
    store.head("k")
    opened = store.get("k")
    assert opened is not None
    with opened:
        pass
    upload = store.create_upload("big", content_type=TYPE, metadata={"snapshot-id": "1"})
    part = store.upload_part(upload, 1, b"x")
    store.complete_upload(upload, [part])
    store.abort_upload(store.create_upload("other", content_type=TYPE))
    list(store.list(""))
    list(store.list_uploads(""))
    store.delete(["k"])


@pytest.fixture
def sent(s3_server: S3Server, request: pytest.FixtureRequest) -> dict[str, Request]:
    """The last request of each operation."""
    settings = getattr(request, "param", S3Settings())
    client = s3_server.client()
    interceptor = Interceptor(client)
    store = S3Store(client, s3_server.bucket(), settings)
    run_everything(store)
    return {one.operation: one for one in interceptor.requests}


@pytest.mark.parametrize("sent", [EVERYTHING], indirect=True, ids=["everything"])
def test_settings_are_sent_with_every_new_object(sent: dict[str, Request]) -> None:
    for operation in ("PutObject", "CreateMultipartUpload"):
        headers = sent[operation].headers
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == EVERYTHING.kms_key_id
        assert headers["x-amz-server-side-encryption-bucket-key-enabled"] == "true"
        assert headers["x-amz-acl"] == "bucket-owner-full-control"
        assert headers["x-amz-tagging"] == "team=data+%2B+more&cost%3Dcentre=47%2B11"
        assert headers["x-amz-storage-class"] == "STANDARD_IA"
        assert headers["content-type"] == TYPE
    assert {one.headers.get("x-amz-expected-bucket-owner") for one in sent.values()} == {OWNER}
    assert len(sent) == 10


def test_nothing_is_sent_that_was_not_asked_for(sent: dict[str, Request]) -> None:
    known = ("x-amz-server-side", "x-amz-acl", "x-amz-tagging", "x-amz-storage-class", "x-amz-expected", "x-amz-object")
    for request in sent.values():
        assert not [name for name in request.headers if name.startswith(known)]


def test_every_write_carries_a_checksum_and_every_read_asks_for_it(sent: dict[str, Request]) -> None:
    digest = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    assert sent["PutObject"].headers["x-amz-checksum-sha256"] == digest
    assert sent["UploadPart"].headers["x-amz-checksum-sha256"] == digest
    assert sent["CreateMultipartUpload"].headers["x-amz-checksum-algorithm"] == "SHA256"
    assert sent["CreateMultipartUpload"].headers["x-amz-checksum-type"] == "COMPOSITE"
    assert sent["CompleteMultipartUpload"].headers["x-amz-mp-object-size"] == "1"
    for operation in ("HeadObject", "GetObject"):
        assert sent[operation].headers["x-amz-checksum-mode"] == "ENABLED"
    assert not any("x-amz-checksum-crc32" in sent[name].headers for name in ("PutObject", "UploadPart"))


@pytest.mark.parametrize("sent", [S3Settings(checksum_algorithm="CRC32")], indirect=True, ids=["CRC32"])
def test_crc32_is_of_the_full_object(sent: dict[str, Request]) -> None:
    assert sent["PutObject"].headers["x-amz-checksum-crc32"] == "jNwWgw=="
    assert sent["CreateMultipartUpload"].headers["x-amz-checksum-algorithm"] == "CRC32"
    for operation in ("CreateMultipartUpload", "CompleteMultipartUpload"):
        assert sent[operation].headers["x-amz-checksum-type"] == "FULL_OBJECT"


def test_a_condition_is_a_header_of_the_commit(s3_server: S3Server) -> None:
    client = s3_server.client()
    interceptor = Interceptor(client)
    store = S3Store(client, s3_server.bucket())
    first = store.put("k", b"", content_type=TYPE, condition=ABSENT)
    assert interceptor.requests[-1].headers["if-none-match"] == "*"
    store.put("k", b"", content_type=TYPE, condition=Condition(etag=first.etag))
    assert interceptor.requests[-1].headers["if-match"] == first.etag
    store.put("k", b"", content_type=TYPE)
    assert not {"if-match", "if-none-match"} & interceptor.requests[-1].headers.keys()
    upload = store.create_upload("k2", content_type=TYPE)
    part = store.upload_part(upload, 1, b"x")
    assert not {"if-match", "if-none-match"} & interceptor.requests[-1].headers.keys()
    store.complete_upload(upload, [part], condition=ABSENT)
    assert interceptor.requests[-1].headers["if-none-match"] == "*"


def test_the_server_keeps_what_was_set(s3_server: S3Server) -> None:
    client = s3_server.client()
    bucket = s3_server.bucket()
    settings = S3Settings(encryption="AES256", tags={"team": "data + more"}, storage_class="STANDARD_IA")
    S3Store(client, bucket, settings).put("k", b"", content_type=TYPE)
    found = client.head_object(Bucket=bucket, Key="k")
    assert (found["ServerSideEncryption"], found["StorageClass"]) == ("AES256", "STANDARD_IA")
    tags = client.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert tags == [{"Key": "team", "Value": "data + more"}]


def test_an_object_lock_bucket_takes_what_is_written(s3_server: S3Server) -> None:
    client = s3_server.client()
    bucket = f"{s3_server.bucket()}-locked"[-60:].strip("-")
    client.create_bucket(
        Bucket=bucket,
        ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
    )
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)
    store = S3Store(client, bucket)
    first = store.put("k", b"one", content_type=TYPE, condition=ABSENT)
    second = store.put("k", b"two", content_type=TYPE, condition=Condition(etag=first.etag))
    found = store.head("k")
    assert found is not None
    assert found.etag == second.etag


@pytest.mark.parametrize("algorithm", ["SHA256", "CRC32"])
@pytest.mark.parametrize("which", ["PutObject", "UploadPart"])
def test_bytes_damaged_on_their_way_are_not_kept(ministack_server: S3Server, algorithm: Any, which: str) -> None:
    client = ministack_server.client()
    store = S3Store(client, ministack_server.bucket(), S3Settings(checksum_algorithm=algorithm))
    upload = store.create_upload("big", content_type=TYPE)

    def damage(request: Any) -> None:
        request.body = io.BytesIO(b"bad") if hasattr(request.body, "read") else b"bad"

    Interceptor(client).act(which, damage)
    writes: dict[str, Callable[[], object]] = {
        "PutObject": lambda: store.put("k", b"god", content_type=TYPE),
        "UploadPart": lambda: store.upload_part(upload, 1, b"god"),
    }
    with pytest.raises(StoreUnavailableError, match="checksum"):
        writes[which]()
    assert list(store.list("")) == []


def test_staging_keeps_the_encryption_and_drops_the_rest() -> None:
    staging = EVERYTHING.for_staging()
    assert (staging.encryption, staging.kms_key_id, staging.bucket_key) == ("aws:kms", EVERYTHING.kms_key_id, True)
    assert (staging.acl, staging.storage_class, dict(staging.tags)) == (None, None, {})
    assert staging.expected_bucket_owner == OWNER


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("encryption", {"encryption": "AES"}),
    ("kms_key_id", {"kms_key_id": "k"}),
    ("kms_key_id", {"kms_key_id": "k", "encryption": "AES256"}),
    ("kms_key_id", {"kms_key_id": "two words", "encryption": "aws:kms"}),
    ("bucket_key", {"bucket_key": True, "encryption": "AES256"}),
    ("acl", {"acl": "mine"}),
    ("storage_class", {"storage_class": "GLACIER"}),
    ("expected_bucket_owner", {"expected_bucket_owner": "12345"}),
    ("checksum_algorithm", {"checksum_algorithm": "MD5"}),
    ("tags", {"tags": {f"t{number}": "" for number in range(11)}}),
    ("tags", {"tags": {"aws:mine": ""}}),
    ("tags", {"tags": {"": "x"}}),
    ("tags", {"tags": {"x": "v" * 257}}),
    ("tags", {"tags": {"x": "<>"}}),
]


@pytest.mark.parametrize(("parameter", "settings"), WRONG)
def test_settings_that_s3_would_refuse_are_refused_at_once(parameter: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ParameterError) as refused:
        S3Settings(**settings)
    assert refused.value.parameter == parameter
