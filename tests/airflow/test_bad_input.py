"""What people and servers get wrong: the message names the thing and says what to do; retried only where that helps."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from processes import free_port

from airflow_provider_kore.exceptions import RetryableError
from airflow_provider_kore.hooks.airflow_versions import AirflowFailException

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench import Bench
    from s3_servers import S3Server


def reader_of(server: S3Server) -> tuple[str, str]:
    """Return the key of a new user who may look at everything and write nothing."""
    iam = boto3.client(
        "iam",
        endpoint_url=server.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="eu-central-1",
    )
    name = f"reader-{uuid.uuid4().hex}"
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:List*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="look", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def refused(bench: Bench, *senses: str, requests: int | None = None, **parameters: Any) -> str:
    """Run into it; it must fail for good, in words that have each of these senses."""
    with pytest.raises(AirflowFailException) as caught:
        bench.run(**parameters)
    return check(bench, str(caught.value), senses, requests)


def postponed(bench: Bench, *senses: str, requests: int | None = None, **parameters: Any) -> str:
    """Run into it; it must be left to a retry, in words that have each of these senses."""
    with pytest.raises(RetryableError) as caught:
        bench.run(**parameters)
    return check(bench, str(caught.value), senses, requests)


def check(bench: Bench, message: str, senses: tuple[str, ...], requests: int | None) -> str:
    for sense in senses:
        assert re.search(sense, message, re.IGNORECASE), (sense, message)
    assert bench.kore.connection["password"] not in message
    assert "eyJ" not in message
    assert "+1555" not in message
    if requests is not None:
        assert len(bench.kore.requests) == requests
    return message


# --- Credentials ----------------------------------------------------------------------------------------------------


def test_wrong_secret(bench: Bench) -> None:
    bench.connect(password="another-secret-that-is-long-enough-to-sign-with")
    refused(bench, "401", r"secret \(password\)", requests=1)


def test_wrong_algorithm(bench: Bench) -> None:
    bench.kore.configure(jwt_algorithm="HS512")
    bench.connect(jwt_algorithm="HS256")
    refused(bench, "401", "jwt_algorithm", requests=1)


def test_expired_clock(bench: Bench) -> None:
    bench.kore.configure(clock_offset=7_200)
    refused(bench, "401", "clock is 7,[12]..? s behind", "NTP")
    assert len(bench.kore.requests) <= 2


def test_scope_that_is_not_granted(bench: Bench) -> None:
    bench.kore.configure(scope_granted=False)
    refused(bench, "scope Campaign Management", "grant", requests=1)


def test_wrong_stream(bench: Bench) -> None:
    bench.connect(stream_id="st-other")
    refused(bench, "401", "stream_id", requests=1)


def test_missing_field_of_the_connection(bench: Bench) -> None:
    bench.connect(account_id="")
    refused(bench, "'account_id'", "missing", "set it", requests=0)


def test_missing_connection(bench: Bench) -> None:
    refused(bench, "kore_nowhere.*isn't defined", "define this connection", requests=0, kore_conn_id="kore_nowhere")


def test_missing_connection_with_the_key_for_hashes(bench: Bench) -> None:
    policies = {"phoneNumber": "hash"}
    refused(bench, "hash_nowhere.*isn't defined", requests=0, field_policies=policies, hash_conn_id="hash_nowhere")


def test_a_field_that_contacts_lack_under_the_name_that_a_policy_knows(bench: Bench) -> None:
    refused(bench, "on_missing_field.*ignore", "'warn' or 'fail'", requests=0, on_missing_field="ignore")
    policies = {"phone": "mask"}
    refused(bench, "'phone'", "nothing was published", "renamed", field_policies=policies, on_missing_field="fail")
    assert bench.objects() == []
    bench.run(field_policies=policies)


# --- Parameters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("list_id", ["cl/1", "cl 1", "../cl-1", "cl-1/../cl-2", "", " ", "cl-1\n", "cl?1", None, 5])
def test_list_id_that_is_none(bench: Bench, list_id: Any) -> None:
    refused(bench, "'contact_list_id'", "id", requests=0, contact_list_id=list_id)


@pytest.mark.parametrize("page_size", [0, -1, -50, "none", 2.5, True])
def test_page_size_that_is_impossible(bench: Bench, page_size: Any) -> None:
    refused(bench, "'page_size'", "whole number|1 or more", requests=0, page_size=page_size)


@pytest.mark.parametrize("file_format", ["xlsx", "", "json", None, 3])
def test_format_that_is_unsupported(bench: Bench, file_format: Any) -> None:
    refused(bench, "'file_format'", "jsonl", "csv", "parquet", requests=0, file_format=file_format)


@pytest.mark.parametrize(("file_format", "compression"), [("jsonl", "snappy"), ("csv", "brotli"), ("parquet", "gz")])
def test_compression_that_the_format_lacks(bench: Bench, file_format: str, compression: str) -> None:
    refused(bench, "'compression'", compression, requests=0, file_format=file_format, compression=compression)


@pytest.mark.parametrize(
    "prefix", ["../up", "a/../b", "a/..", "/lead", "//", "a//b", "./a", "a/\x00b", "x" * 600, None]
)
def test_prefix_that_readers_would_not_find(bench: Bench, prefix: Any) -> None:
    refused(bench, "'s3_prefix'", "pass|choose", requests=0, s3_prefix=prefix)


@pytest.mark.parametrize("bucket", ["s3://bucket", "bucket/path", "a b", "arn:aws:s3:::bucket", "", None])
def test_bucket_name_that_is_none(bench: Bench, bucket: Any) -> None:
    refused(bench, "'s3_bucket'", "bare name", requests=0, s3_bucket=bucket)


@pytest.mark.parametrize("date", ["09.03.2025", "2025-02-30", "2025-3-9", "yesterday", "2025-03-09T00:00:00"])
def test_date_that_is_none(bench: Bench, date: str) -> None:
    refused(bench, "'snapshot_date'", "YYYY-MM-DD", requests=0, snapshot_date=date)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("replace", "perhaps"),
        ("durable", 3),
        ("on_drift", "ignore"),
        ("max_walks", 0),
        ("min_contacts", -1),
        ("max_shrink", 1.5),
        ("rows_per_file", 0),
        ("staging_expiry", "tomorrow"),
        ("staging_prefix", "kore/contact_lists/_staging"),
        ("s3_settings", {"colour": "red"}),
        ("s3_settings", {"encryption": "rot13"}),
        ("columns", ["phoneNumber"]),  # of jsonl, which has none
        ("columns", "phoneNumber"),
        ("columns", '["phoneNumber", 7]'),
        ("on_schema_change", "ignore"),
        ("fields", "phoneNumber"),
        ("field_policies", {"phoneNumber": "encrypt"}),
        ("field_policies", {"phoneNumber": "hash"}),
    ],
)
def test_every_other_parameter_is_refused_by_its_name(bench: Bench, parameter: str, value: Any) -> None:
    names = {"field_policies": "field_policies|hash", "s3_settings": "s3_settings|encryption"}
    refused(bench, names.get(parameter, f"'{parameter}'"), requests=0, **{parameter: value})


def test_hash_key_that_is_too_short(bench: Bench, define: Callable[..., None]) -> None:
    define("hash_key", {"conn_type": "generic", "password": "short-key"})
    message = refused(bench, "key", "16", requests=0, field_policies={"phoneNumber": "hash"}, hash_conn_id="hash_key")
    assert "short-key" not in message


# --- What Kore.ai answers -------------------------------------------------------------------------------------------


def test_unknown_list_id(bench: Bench) -> None:
    refused(bench, "404", "cl-nowhere", "check the id", requests=1, contact_list_id="cl-nowhere")


@pytest.mark.parametrize("answer", ["400", "error_200", "empty_200"])
def test_unknown_list_id_in_the_servers_other_ways(bench: Bench, answer: str, fast_retries: None) -> None:
    bench.kore.configure(unknown_id=answer)
    with pytest.raises((AirflowFailException, RetryableError), match="cl-nowhere"):
        bench.run(contact_list_id="cl-nowhere")
    assert bench.objects() == []


def test_html_instead_of_json(bench: Bench, fast_retries: None) -> None:
    with bench.kore.fault("html_body"):
        postponed(bench, "web page instead of JSON", "host")


@pytest.mark.parametrize("fault", ["missing_data", "null_data"])
def test_page_without_data(bench: Bench, fault: str, fast_retries: None) -> None:
    with bench.kore.fault(fault, endpoint="contacts"):
        refused(bench, "data", "contacts of cl-1")
    assert [key for key in bench.objects() if "_staging" not in key] == []


def test_contact_without_id(bench: Bench, fast_retries: None) -> None:
    with bench.kore.fault("contact_without_id", endpoint="contacts"):
        refused(bench, "_id", "cl-1")
    assert [key for key in bench.objects() if "_staging" not in key] == []


def test_the_same_id_twice(bench: Bench, fast_retries: None) -> None:
    with (
        bench.kore.fault("duplicate_id", endpoint="contacts"),
        pytest.raises((AirflowFailException, RetryableError)) as e,
    ):
        bench.run(on_drift="fail")
    check(bench, str(e.value), ("twice|duplicate|again|same",), None)
    assert [key for key in bench.objects() if "_staging" not in key] == []


def test_a_list_that_changes_all_the_time(bench: Bench, fast_retries: None) -> None:
    with bench.kore.fault("list_insert", endpoint="contacts", after_requests=1, times=50):
        postponed(bench, "changed", max_walks=2)
    assert [key for key in bench.objects() if "_staging" not in key] == []


def test_a_list_that_shrank_to_nothing(bench: Bench) -> None:
    """An incident that answers an empty list must not become yesterday's truth."""
    bench.run()
    bench.kore.add_list("cl-1")
    message = refused(bench, "100.0% fewer", "120", "max_shrink", "nothing was replaced", snapshot_date="2025-03-10")
    assert "min_contacts" not in message
    bench.run(snapshot_date="2025-03-10", max_shrink=1)


def test_fewer_contacts_than_expected(bench: Bench) -> None:
    refused(bench, "120 contacts", "min_contacts is 1,000", min_contacts=1_000)
    assert [key for key in bench.objects() if "_staging" not in key] == []


def test_dead_host(bench: Bench, fast_retries: None) -> None:
    port = free_port()
    bench.connect(host=f"http://127.0.0.1:{port}")
    postponed(bench, f"127.0.0.1:{port} refuses the connection", "host")


def test_tls_failure(bench: Bench) -> None:
    bench.connect(host=bench.kore.url.replace("http://", "https://"))
    refused(bench, "TLS", bench.kore.url.partition("://")[2], "host")


# --- S3 -------------------------------------------------------------------------------------------------------------


def test_missing_bucket(bench: Bench) -> None:
    refused(bench, "no such bucket", "kore-nowhere", "endpoint_url", requests=0, s3_bucket="kore-nowhere")


def test_no_permission_on_the_bucket(bench: Bench, moto_auth_server: S3Server) -> None:
    bucket = moto_auth_server.bucket()
    bench.connect_aws(moto_auth_server.user("s3:PutObject"), moto_auth_server)
    refused(bench, "403", "s3:ListBucket", bucket, requests=0, s3_bucket=bucket)


def test_prefix_that_is_not_writable(bench: Bench, moto_auth_server: S3Server) -> None:
    """The role may look, but not write: nothing is known before the first checkpoint, and nothing is lost by then."""
    bucket = moto_auth_server.bucket()
    bench.connect_aws(reader_of(moto_auth_server), moto_auth_server)
    refused(bench, "403", "s3:PutObject", "kore/contact_lists", s3_bucket=bucket)
    refused(bench, "403", "s3:PutObject", s3_bucket=bucket, durable=False)


def test_unknown_access_key(bench: Bench, moto_auth_server: S3Server) -> None:
    bucket = moto_auth_server.bucket()
    bench.connect_aws(("AKIANOBODY", "whatever-it-is"), moto_auth_server)
    refused(bench, "AWS connection|s3:ListBucket", requests=0, s3_bucket=bucket)


def test_s3_that_does_not_answer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_kore.store.patient.LONGEST_FIRST_OUTAGE", 1.0)
    bench.connect_aws(
        endpoint_url=f"http://127.0.0.1:{free_port()}", config_kwargs={"retries": {"total_max_attempts": 1}}
    )
    postponed(bench, "no answer from S3", "endpoint_url", requests=0)
