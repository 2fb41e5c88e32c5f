"""What only a whole Airflow shows: mapped tasks, deferred sensors, cleared tasks and runs that come again."""

from __future__ import annotations

import gzip
import inspect
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from whole_airflow import WholeAirflow, until

from airflow_provider_kore.api.retry import RetryPolicy
from airflow_provider_kore.operators.contact_list_changes import ContactListChangesOperator
from airflow_provider_kore.transfers.snapshot_to_s3 import SnapshotToS3Operator

if TYPE_CHECKING:
    from s3_servers import S3Server

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

HEAD = """
from datetime import UTC, datetime, timedelta
from airflow.sdk import DAG
from airflow_provider_kore.operators.contact_list_changes import ContactListChangesOperator
from airflow_provider_kore.sensors.campaign import CampaignStatusSensor
from airflow_provider_kore.sensors.contact_list import ContactListSensor
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

BUCKET = {bucket!r}
START = datetime(2025, 1, 1, tzinfo=UTC)
"""
DAGS = """
with DAG("whole_mapped", schedule=None, start_date=START):
    ContactListToS3Operator.partial(task_id="snapshot", s3_bucket=BUCKET).expand(
        contact_list_id=["cl-m1", "cl-m2", "cl-m3"]
    )
    ContactListSensor.partial(task_id="ready", timeout=60.0).expand(contact_list_id=["cl-m1", "cl-m2"])

with DAG("whole_sensor", schedule=None, start_date=START):
    # Airflow 3.0 may fail a wait that is over within seconds: see docs/airflow.md.
    CampaignStatusSensor(
        task_id="wait",
        campaign_id="cd-whole",
        deferrable=True,
        poke_interval=2.0,
        timeout=300.0,
        retries=2,
        retry_delay=timedelta(seconds=1),
    )

with DAG("whole_failing", schedule=None, start_date=START):
    ContactListToS3Operator(task_id="snapshot", contact_list_id="cl-failing", s3_bucket=BUCKET, retries=0)

with DAG("whole_again", schedule=None, start_date=START):
    ContactListToS3Operator(task_id="snapshot", contact_list_id="cl-again", s3_bucket=BUCKET, retries=1)

with DAG("whole_changes", schedule=None, start_date=START):
    ContactListToS3Operator(task_id="snapshot", contact_list_id="cl-first", s3_bucket=BUCKET) >> (
        ContactListChangesOperator(task_id="changes", contact_list_id="cl-first", s3_bucket=BUCKET)
    )

with DAG("whole_backfill", schedule="@daily", start_date=START, catchup=False, is_paused_upon_creation=True):
    ContactListToS3Operator(task_id="snapshot", contact_list_id="cl-again", s3_bucket=BUCKET)
"""
EDITED = """
with DAG("whole_edited", schedule=None, start_date=START):
    ContactListToS3Operator(task_id="snapshot", contact_list_id="cl-edited", s3_bucket=BUCKET, {more})
"""
IDS = ["whole_mapped", "whole_sensor", "whole_failing", "whole_again", "whole_changes", "whole_backfill"]


class Dags(WholeAirflow):
    """These DAGs, in a whole Airflow."""

    bucket: str
    s3: Any

    def pages(self, list_id: str) -> list[int]:
        """Return the offsets at which a list was read."""
        return [page.skip for page in self.kore.page_requests if list_id in page.path]

    def manifest(self, summary: dict[str, Any]) -> dict[str, Any]:
        """Return the manifest that an XCom names."""
        found: dict[str, Any] = json.loads(self.body(summary["manifest_key"]))
        return found

    def body(self, key: str) -> bytes:
        """Return the bytes of an object."""
        found: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return found


@pytest.fixture(scope="module")
def dags(whole: WholeAirflow, moto_server: S3Server) -> Dags:
    """These DAGs, in a whole Airflow."""
    found = Dags(whole.airflow, whole.home, whole.kore)
    found.bucket, found.s3 = moto_server.bucket(), moto_server.client()
    for number in (1, 2, 3):
        found.kore.add_list(f"cl-m{number}", contacts=60 * number)
    for list_id in ("cl-again", "cl-edited", "cl-first"):
        found.kore.add_list(list_id, contacts=120)
    found.kore.add_list("cl-failing", contacts=1_000)
    found.kore.add_campaign("cd-whole", status="Active")
    head = HEAD.format(bucket=found.bucket)
    (found.home / "dags" / "edited.py").write_text(head + EDITED.format(more="retries=2"))
    found.add_dags("whole.py", head + DAGS, [*IDS, "whole_edited"])
    return found


def test_a_mapped_task_runs_without_being_told_its_outlets_and_each_list_is_an_event(dags: Dags) -> None:
    run = dags.trigger("whole_mapped")
    assert dags.wait(run, "success", "failed")["state"] == "success", dags.logs()
    assert [dags.xcom(run, "snapshot", map_index=index)["contacts"] for index in range(3)] == [60, 120, 180]
    path, told = "/api/v2/assets/events?source_dag_id=whole_mapped", dict[int, str]()

    def events() -> int:
        found = dags.airflow.get(path)["asset_events"]
        told.update({event["source_map_index"]: event["extra"]["contact_list_id"] for event in found})
        return len(told) == 3

    assert until(events), told
    assert told == {0: "cl-m1", 1: "cl-m2", 2: "cl-m3"}


def test_a_sensor_waits_in_the_triggerer(dags: Dags) -> None:
    run = dags.trigger("whole_sensor")
    task = f"{run}/taskInstances/wait"
    dags.wait(task, "deferred")
    time.sleep(5)  # no hurry, for 3.0
    dags.kore.set_campaign_status("cd-whole", "Completed")
    assert dags.wait(task, "success", "failed")["state"] == "success", dags.logs()
    assert dags.xcom(run, "wait") == {"campaign_id": "cd-whole", "campaign_status": "Completed"}


def test_a_success_that_is_cleared_after_its_dag_was_edited_is_taken_anew_as_the_dag_says_now(dags: Dags) -> None:
    run = dags.trigger("whole_edited")
    task = f"{run}/taskInstances/snapshot"
    assert dags.wait(task, "success", "failed")["state"] == "success", dags.logs()
    first = dags.xcom(run, "snapshot")
    assert b"+1555" in gzip.decompress(dags.body(first["keys"][0]))
    dags.kore.forget_requests()

    # Fewer retries make the number of tries that Airflow allows smaller than it was for the try that has succeeded.
    text = HEAD.format(bucket=dags.bucket) + EDITED.format(more='retries=0, field_policies={"phoneNumber": "mask"}')
    path = "/api/v2/dags/whole_edited/tasks/snapshot"
    dags.change_dag("edited.py", text, lambda: dags.airflow.get(path)["retries"] == 0)
    dags.clear(run)
    assert until(lambda: dags.airflow.get(task)["try_number"] == 2)
    assert dags.wait(task, "success", "failed")["state"] == "success", dags.logs()
    assert sorted(set(dags.pages("cl-edited"))) == [0, 50, 100]
    second = dags.xcom(run, "snapshot")
    assert second["snapshot_id"] != first["snapshot_id"]
    assert b"+1555" not in gzip.decompress(dags.body(second["keys"][0]))


def test_a_failed_task_that_is_cleared_continues_and_says_what_became_of_the_try_before(dags: Dags) -> None:
    times = RetryPolicy().attempts  # as often as one try of the task asks
    dags.kore.add_fault("service_unavailable", endpoint="contacts", list_id="cl-failing", at_offset=700, times=times)
    run = dags.trigger("whole_failing")
    task = f"{run}/taskInstances/snapshot"
    assert dags.wait(task, "success", "failed")["state"] == "failed"
    dags.kore.forget_requests()
    dags.clear(run)
    assert until(lambda: dags.airflow.get(task)["try_number"] == 2)
    assert dags.wait(task, "success", "failed")["state"] == "success", dags.logs()
    assert min(dags.pages("cl-failing")) >= 650
    assert dags.manifest(dags.xcom(run, "snapshot"))["walk"]["resumed_from"] == 700
    log = dags.log(run, try_number=2)
    assert "Resuming contact list cl-failing " in log
    assert "Try 1 wrote the last checkpoint at " in log


def test_a_run_that_is_deleted_and_comes_again_under_its_id_reads_the_list_again(dags: Dags) -> None:
    snapshots = []
    for contacts in (120, 150):
        run = dags.trigger("whole_again", "by-hand")
        dags.wait(run, "success", "failed")
        summary = dags.xcom(run, "snapshot")
        assert summary["contacts"] == contacts
        snapshots.append(summary["snapshot_id"])
        dags.delete(run)
        dags.kore.append("cl-again", 30)
    assert len(set(snapshots)) == 2


if "on_missing" in inspect.signature(ContactListChangesOperator.__init__).parameters:

    def test_changes_without_a_snapshot_before_are_skipped(dags: Dags) -> None:
        run = dags.trigger("whole_changes")
        assert dags.wait(f"{run}/taskInstances/changes", "success", "failed", "skipped")["state"] == "skipped"


if "allow_backfill" in inspect.signature(SnapshotToS3Operator.__init__).parameters:

    def test_a_backfill_is_refused(dags: Dags) -> None:
        body = {"dag_id": "whole_backfill", "from_date": "2025-02-01T00:00:00Z", "to_date": "2025-02-01T00:00:00Z"}
        dags.airflow.call("PATCH", "/api/v2/dags/whole_backfill", {"is_paused": False})
        dags.airflow.call("POST", "/api/v2/backfills", body)
        path = "/api/v2/dags/whole_backfill/dagRuns?run_type=backfill"
        runs: list[dict[str, Any]] = []
        assert until(lambda: runs.extend(dags.airflow.get(path)["dag_runs"]) or bool(runs))
        (run,) = {f"/api/v2/dags/whole_backfill/dagRuns/{each['dag_run_id']}" for each in runs}
        assert dags.wait(f"{run}/taskInstances/snapshot", "success", "failed")["state"] == "failed"
        assert "allow_backfill" in dags.logs()
