"""What a real Airflow shows of snapshots and does after them: links, asset events, consumers, progress, retries."""

from __future__ import annotations

import importlib.metadata
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from whole_airflow import WholeAirflow, until

if TYPE_CHECKING:
    from s3_servers import S3Server

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PARTITIONS = importlib.metadata.version("apache-airflow").startswith("3.3.")
DAGS = """
from datetime import UTC, datetime, timedelta
from airflow.sdk import DAG, Asset, AssetAlias, task
from airflow_provider_kore.operators.connection import KoreConnectionCheckOperator
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

BUCKET = {bucket!r}
START = datetime(2025, 1, 1, tzinfo=UTC)
RETRY = {{"retries": 1, "retry_delay": timedelta(seconds=1)}}

with DAG("one_list", schedule=None, start_date=START):
    KoreConnectionCheckOperator(task_id="check") >> ContactListToS3Operator(
        task_id="snapshot", contact_list_id="cl-1", s3_bucket=BUCKET, **RETRY
    )

with DAG("two_lists", schedule=None, start_date=START):
    ContactListToS3Operator.partial(task_id="snapshot", s3_bucket=BUCKET).expand(contact_list_id=["cl-2", "cl-3"])

LIST_1 = Asset(f"s3://{{BUCKET}}/kore/contact_lists/contact_list_id=cl-1")
with DAG("after_one_list", schedule=[LIST_1], start_date=START):

    @task
    def extras(*, triggering_asset_events=None):
        return [event.extra for events in triggering_asset_events.values() for event in events]

    extras()

with DAG("after_any_list", schedule=[AssetAlias("kore_contact_lists")], start_date=START):

    @task
    def lists(*, triggering_asset_events=None):
        return [event.extra["contact_list_id"] for event in triggering_asset_events[AssetAlias("kore_contact_lists")]]

    lists()

with DAG("told_to_wait", schedule=None, start_date=START):
    ContactListToS3Operator(task_id="snapshot", contact_list_id="cl-wait", s3_bucket=BUCKET, **RETRY)
"""
PARTITIONED = """
from airflow.sdk import PartitionedAssetTimetable, PartitionedAtRuntime

with DAG("partitioned", schedule=PartitionedAtRuntime(), start_date=START):
    ContactListToS3Operator(
        task_id="snapshot", contact_list_id="cl-4", s3_bucket=BUCKET, snapshot_date="2025-03-09"
    )

LIST_4 = Asset(f"s3://{BUCKET}/kore/contact_lists/contact_list_id=cl-4")
with DAG("after_partition", schedule=PartitionedAssetTimetable(assets=LIST_4), start_date=START):

    @task
    def key(*, dag_run=None):
        return dag_run.partition_key

    key()
"""
IDS = ["one_list", "two_lists", "after_one_list", "after_any_list", "told_to_wait", "kore_consumer"]


class Seen(WholeAirflow):
    """What there is to see of these DAGs."""

    bucket: str


@pytest.fixture(scope="module")
def seen(whole: WholeAirflow, moto_server: S3Server) -> Seen:
    """These DAGs and the example consumer, in a whole Airflow."""
    found = Seen(whole.airflow, whole.home, whole.kore)
    found.bucket = moto_server.bucket()
    for number in (1, 2, 3, 4):
        found.kore.add_list(f"cl-{number}", contacts=100 * number)
    example = (ROOT / "dags" / "kore_consumer.py").read_text()
    found.add_dags(
        "consumer.py", example.replace("kore-demo", found.bucket).replace("cl-demo", "cl-2"), ["kore_consumer"]
    )
    text = DAGS.format(bucket=found.bucket) + PARTITIONED * PARTITIONS
    found.add_dags("snapshots.py", text, IDS + ["partitioned", "after_partition"] * PARTITIONS)
    return found


@pytest.fixture(scope="module")
def one(seen: Seen) -> str:
    """The path of a run that took a snapshot of one list."""
    run = seen.trigger("one_list")
    seen.wait(run, "success", "failed")
    return run


def test_a_worker_says_that_the_connection_works(seen: Seen, one: str) -> None:
    assert seen.xcom(one, "check").startswith(f"Connected to {seen.kore.url} (v2): the application has ")


def test_the_links_of_a_task_lead_to_what_it_landed(seen: Seen, one: str) -> None:
    folder = f"https://s3.example/{seen.bucket}/{seen.xcom(one, 'snapshot')['manifest_key']}".replace("=", "%3D")
    assert seen.links(one) == {
        "Snapshot in S3": folder.removesuffix("_manifest.json"),
        "Manifest": folder,
        "Contact list in Kore.ai": "https://kore.example/lists/cl-1",
    }


def test_the_consumer_of_one_list_runs_and_reads_what_landed(seen: Seen, one: str) -> None:
    summary = seen.xcom(one, "snapshot")
    del summary["keys"]
    assert seen.xcom(seen.run_after("after_one_list"), "extras") == [summary]
    assert summary["contacts"] == 100


@pytest.fixture(scope="module")
def two(seen: Seen) -> str:
    """The path of a run that took a snapshot of two lists by a mapped task."""
    run = seen.trigger("two_lists")
    seen.wait(run, "success", "failed")
    return run


def test_the_example_consumer_runs_for_its_list_and_no_other(seen: Seen, two: str) -> None:
    (manifest,) = seen.xcom(seen.run_after("kore_consumer"), "landed")
    assert manifest.startswith("kore/contact_lists/contact_list_id=cl-2/")
    assert seen.airflow.get("/api/v2/dags/kore_consumer/dagRuns")["total_entries"] == 1


def test_a_mapped_task_tells_of_each_list_and_links_to_it(seen: Seen, two: str) -> None:
    seen.run_after("kore_consumer")  # 3.3.2 answers 500 while a run that an event has made waits for its start
    events: list[dict[str, Any]] = []
    path = "/api/v2/assets/events?source_dag_id=two_lists"
    assert until(lambda: events.extend(seen.airflow.get(path)["asset_events"]) or len(events) >= 2)
    told = {
        event["source_map_index"]: (event["extra"]["contact_list_id"], event["extra"]["contacts"]) for event in events
    }
    assert told == {0: ("cl-2", 200), 1: ("cl-3", 300)}
    for index, list_id in enumerate(["cl-2", "cl-3"]):
        assert seen.links(two, index)["Contact list in Kore.ai"] == f"https://kore.example/lists/{list_id}"


@pytest.mark.requires_airflow("3.1")
def test_a_consumer_of_the_alias_hears_of_every_list(seen: Seen, two: str) -> None:
    path = "/api/v2/dags/after_any_list/dagRuns"  # one run or two, as the events came in
    heard: list[str] = []

    def both() -> bool:
        runs = [run["dag_run_id"] for run in seen.airflow.get(path)["dag_runs"] if run["state"] == "success"]
        named = [name for run in runs for name in seen.xcom(f"{path}/{run}", "lists")]
        heard[:] = [name for name in named if name in {"cl-2", "cl-3"}]  # other tests have mapped tasks, too
        return len(heard) >= 2

    assert until(both), seen.logs()
    assert sorted(heard) == ["cl-2", "cl-3"]


@pytest.mark.requires_airflow("3.3")
def test_the_snapshot_date_is_the_partition_that_a_consumer_runs_for(seen: Seen) -> None:
    run = seen.trigger("partitioned")
    seen.wait(run, "success", "failed")
    assert seen.xcom(seen.run_after("after_partition"), "key") == "2025-03-09"


def state_of(seen: Seen, run: str) -> dict[str, Any]:
    found = seen.airflow.get(f"{run}/taskInstances/snapshot/state-store")["task_state_store"]
    return {entry["key"]: entry["value"] for entry in found}


@pytest.mark.requires_airflow("3.3")
def test_a_walk_shows_how_far_it_is_waits_as_long_as_it_is_told_and_shows_what_landed(
    seen: Seen, moto_server: S3Server
) -> None:
    seen.kore.add_list("cl-wait", contacts=1_000)
    fault = {"endpoint": "contacts", "list_id": "cl-wait", "at_offset": 700, "times": 1}
    seen.kore.add_fault("service_unavailable", retry_after="1000", **fault)
    run = seen.trigger("told_to_wait")
    task = f"{run}/taskInstances/snapshot"
    seen.wait(task, "up_for_retry", "success", "failed")

    # Its checkpoint is where it says it is.
    shown = state_of(seen, run)["progress"]
    assert (shown["rows"], shown["total"], shown["percent"]) == (700, 1_000, 70)
    prefix = shown["checkpoint"].removeprefix(f"s3://{seen.bucket}/")
    assert moto_server.client().list_objects_v2(Bucket=seen.bucket, Prefix=prefix)["KeyCount"] > 0

    # The server asked for 1000 s, and the task's own retry_delay of 1 s is not what counts.
    with sqlite3.connect(seen.home / "airflow.db") as database:
        columns = "retry_delay_override, retry_reason"
        query = f"SELECT {columns} FROM task_instance WHERE dag_id = 'told_to_wait'"  # noqa: S608 - our own
        assert database.execute(query).fetchone() == (1_000.0, "The server asked to wait 1000 s")

    # Somebody who can't wait clears the task; it goes on behind its checkpoint.
    body = {"dry_run": False, "only_failed": False, "dag_run_id": run.rpartition("/")[2], "task_ids": ["snapshot"]}
    seen.airflow.call("POST", "/api/v2/dags/told_to_wait/clearTaskInstances", body)
    seen.wait(task, "success", "failed")
    shown = state_of(seen, run)["progress"]
    manifest = seen.xcom(run, "snapshot")["manifest_key"]
    assert shown.pop("at")
    assert shown == {"rows": 1_000, "total": 1_000, "percent": 100, "manifest": f"s3://{seen.bucket}/{manifest}"}
