"""The links on a task: by the endpoint that the snapshot really went to, as soon as the task runs, never pre-signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_provider_kore.hooks.s3_console import S3Console
from airflow_provider_kore.links.snapshot import ContactListLink, ManifestLink, SnapshotLink
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

if TYPE_CHECKING:
    from bench import Bench

PARTITION = "kore/contact_lists/contact_list_id=cl-1/snapshot_date=2025-03-09/"
QUOTED = "kore/contact_lists/contact_list_id%3Dcl-1/snapshot_date%3D2025-03-09/"


def client(region: str = "eu-central-1", endpoint_url: str | None = None) -> Any:
    return boto3.client(
        "s3", region_name=region, endpoint_url=endpoint_url, aws_access_key_id="AKIAKEY", aws_secret_access_key="secret"
    )


@pytest.mark.parametrize(
    ("region", "endpoint_url", "domain"),
    [
        ("eu-central-1", None, "aws.amazon.com"),
        ("us-east-1", None, "aws.amazon.com"),
        ("cn-north-1", None, "amazonaws.cn"),
        ("us-gov-west-1", None, "amazonaws-us-gov.com"),
        ("eu-central-1", "https://bucket.vpce-1a2b.s3.eu-central-1.vpce.amazonaws.com", "aws.amazon.com"),
    ],
)
def test_a_bucket_at_aws_is_shown_in_the_console_of_its_partition(
    region: str, endpoint_url: str | None, domain: str
) -> None:
    console = S3Console.of(client(region, endpoint_url), {})
    assert console.folder_url("lake", "a/b=c/") == (
        f"https://console.{domain}/s3/buckets/lake?region={region}&prefix=a/b%3Dc/"
    )
    assert console.object_url("lake", "a/b=c/_manifest.json") == (
        f"https://console.{domain}/s3/object/lake?region={region}&prefix=a/b%3Dc/_manifest.json"
    )


@pytest.mark.parametrize(
    "endpoint_url", ["http://127.0.0.1:9000", "https://minio.example", "https://amazonaws.com.x.y"]
)
def test_another_store_has_no_console_unless_its_connection_names_one(endpoint_url: str) -> None:
    made = client(endpoint_url=endpoint_url)
    bare = S3Console.of(made, {})
    assert (bare.folder_url("lake", "a/"), bare.object_url("lake", "a/b")) == ("", "")
    named = S3Console.of(made, {"console_url": "https://minio.example:9001/browser/{bucket}/{key}"})
    assert named.folder_url("lake", "a/b=c/") == "https://minio.example:9001/browser/lake/a/b%3Dc/"
    assert named.object_url("lake", "a/ü.json") == "https://minio.example:9001/browser/lake/a/%C3%BC.json"


@pytest.mark.parametrize("named", ["javascript:alert(1)//{key}", "browser/{bucket}", 5, None, ""])
def test_what_is_no_address_is_no_console(named: object) -> None:
    console = S3Console.of(client(endpoint_url="http://127.0.0.1:9000"), {"console_url": named})
    assert console.object_url("lake", "a") == ""


def test_the_task_shows_its_links_before_it_reads_the_first_page(bench: Bench) -> None:
    bench.connect(contact_list_url="https://platform.kore.ai/x/lists/{contact_list_id}/contacts")
    bench.connect_aws(console_url="https://minio.example/browser/{bucket}/{key}")
    context = bench.context()
    with bench.kore.fault("not_found", endpoint="contacts"), pytest.raises(Exception, match="404"):
        bench.run(context)
    assert context["ti"].xcoms == {
        "_link_SnapshotLink": f"https://minio.example/browser/{bench.bucket}/{QUOTED}",
        "_link_ManifestLink": f"https://minio.example/browser/{bench.bucket}/{QUOTED}_manifest.json",
        "_link_ContactListLink": "https://platform.kore.ai/x/lists/cl-1/contacts",
    }


def test_at_its_end_airflow_asks_the_links_themselves_and_hears_the_same(bench: Bench) -> None:
    bench.connect_aws(console_url="https://minio.example/browser/{bucket}/{key}")
    operator = ContactListToS3Operator(task_id="snapshot", contact_list_id="cl-1", s3_bucket=bench.bucket)
    context = bench.context()
    operator.execute(context)  # type: ignore[arg-type]
    told = {link.xcom_key: link.get_link(operator, ti_key=context["ti"]) for link in operator.operator_extra_links}
    assert told == context["ti"].xcoms  # and of the list there is none: nobody said how its address looks
    assert "_link_ContactListLink" not in told
    assert all(told.values())


def test_a_task_that_fails_before_its_links_are_known_leaves_no_empty_rows(bench: Bench) -> None:
    operator = ContactListToS3Operator(task_id="snapshot", contact_list_id="{{ oops", s3_bucket=bench.bucket)
    declared = type(operator).operator_extra_links
    with pytest.raises(Exception, match="still holds a template"):
        operator.execute(bench.context())  # type: ignore[arg-type]
    assert list(operator.operator_extra_links) == []
    assert len(declared) == 3, "the UI knows them from the class"


def test_a_task_that_never_came_so_far_has_no_links_and_no_errors() -> None:
    operator = ContactListToS3Operator(task_id="snapshot", contact_list_id="cl-1", s3_bucket="lake")
    assert [link.get_link(operator, ti_key=None) for link in operator.operator_extra_links] == ["", "", ""]


def test_the_links_are_named_for_people_and_known_to_airflow() -> None:
    from airflow_provider_kore import get_provider_info

    links = (SnapshotLink, ManifestLink, ContactListLink)
    assert [link().name for link in links] == ["Snapshot in S3", "Manifest", "Contact list in Kore.ai"]
    assert get_provider_info()["extra-links"] == sorted(f"{link.__module__}.{link.__name__}" for link in links)
