"""One run through real parts of Airflow: triggered without a date, failed, retried, cleared; and one marked failed."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.api.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_processes import AirflowProcesses
    from s3_servers import S3Server
    from whole_airflow import WholeAirflow

    from airflow_provider_kore.simulator import Simulator

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

DAG_ID = "real_run"
LIST_ID = "cl-real-run"
DAG = """
from datetime import UTC, datetime, timedelta
from airflow.sdk import DAG
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

with DAG("{dag_id}", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC), catchup=False):
    ContactListToS3Operator(
        task_id="snapshot",
        contact_list_id="{{{{ params.contact_list_id }}}}",
        s3_bucket="{bucket}",
        retries=2,
        retry_delay=timedelta(seconds=1),
    )
"""
CONTACTS = 1_000
FAILS_AT = 700
ATTEMPTS = RetryPolicy().attempts


@pytest.fixture
def bucket(moto_server: S3Server) -> str:
    """A bucket of its own."""
    return moto_server.bucket()


@pytest.fixture
def airflow(whole: WholeAirflow, bucket: str) -> AirflowProcesses:
    """A whole Airflow with this DAG."""
    text = DAG.format(dag_id=DAG_ID, bucket=bucket).replace("catchup=False", "catchup=False, params=PARAMS")
    whole.add_dags("real_run.py", f"PARAMS = {{'contact_list_id': '{LIST_ID}'}}\n{text}", [DAG_ID])
    return whole.airflow


class Run:
    """One DAG run, seen over the API."""

    def __init__(self, airflow: AirflowProcesses, **conf: str) -> None:
        self._airflow = airflow
        self.made = airflow.trigger(DAG_ID, conf=conf)
        self.path = f"/api/v2/dags/{DAG_ID}/dagRuns/{self.made['dag_run_id']}"

    def task(self) -> dict[str, Any]:
        found: dict[str, Any] = self._airflow.get(f"{self.path}/taskInstances/snapshot")
        return found

    def wait(self, until: Callable[[dict[str, Any]], bool], seconds: float = 180.0) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if until(task := self.task()):
                return task
            time.sleep(0.3)
        pytest.fail(f"the task is {task['state']} in try {task['try_number']} after {seconds:.0f} s\n{self.log()}")

    def log(self, try_number: int | None = None) -> str:
        """Return the task's log as a person reads it in the UI."""
        numbers = [try_number] if try_number else range(1, self.task()["try_number"] + 1)
        lines: list[str] = []
        for number in numbers:
            content = self._airflow.get(f"{self.path}/taskInstances/snapshot/logs/{number}")["content"]
            lines += [f"--- try {number}", *(_line(each) for each in content)]
        return "\n".join(lines)

    def xcom(self) -> Any:
        found = self._airflow.get(f"{self.path}/taskInstances/snapshot/xcomEntries/return_value")["value"]
        return json.loads(found) if isinstance(found, str) else found

    def clear(self) -> None:
        """Clear the task when its run is over; before that, Airflow 3.0 may end the run without the cleared task."""
        _wait_for(lambda: self._airflow.get(self.path)["state"] in {"success", "failed"})
        body = {"dry_run": False, "only_failed": False, "dag_run_id": self.made["dag_run_id"], "task_ids": ["snapshot"]}
        self._airflow.call("POST", f"/api/v2/dags/{DAG_ID}/clearTaskInstances", body)

    def mark_failed(self) -> None:
        self._airflow.call("PATCH", f"{self.path}/taskInstances/snapshot", {"new_state": "failed"})


def _line(entry: Any) -> str:
    if isinstance(entry, str):
        return entry
    error = "".join(f" {each.get('exc_type')}: {each.get('exc_value')}" for each in entry.get("error_detail") or [])
    return f"{str(entry.get('timestamp'))[11:19]} {entry.get('level', '')} {entry.get('event', '')}{error}"


def test_a_run_without_a_date_fails_is_retried_resumes_and_can_be_cleared(
    airflow: AirflowProcesses, whole: WholeAirflow, moto_server: S3Server, bucket: str
) -> None:
    kore = whole.kore
    kore.add_list(LIST_ID, contacts=CONTACTS)
    # As often as one try of the task asks. (A Retry-After would end it sooner, but Airflow 3.3 waits for that, too.)
    fault = kore.add_fault(
        "service_unavailable", endpoint="contacts", list_id=LIST_ID, at_offset=FAILS_AT, times=ATTEMPTS
    )

    # Triggered without a logical date; the first try fails, the scheduler starts a second, which goes on from there.
    run = Run(airflow)
    assert run.made["logical_date"] is None
    task = run.wait(lambda task: task["state"] in {"success", "failed"})
    assert (task["state"], task["try_number"]) == ("success", 2), run.log()
    assert fault.fired == ATTEMPTS
    offsets = [page.skip for page in kore.page_requests if LIST_ID in page.path]
    failed = offsets.index(FAILS_AT)
    assert offsets[:failed] == list(range(0, FAILS_AT, 50))
    assert min(offsets[failed + 1 :]) >= FAILS_AT - 50  # what the first try had staged was not fetched again
    assert offsets[-1] == CONTACTS - 50

    first, second = run.log(1), run.log(2)
    assert f"Contact list {LIST_ID}: 1,000 contacts, 50 per page" in first
    assert "503" in first
    assert f"Resuming contact list {LIST_ID} " in second
    assert f"Landed 1,000 contacts of {LIST_ID}" in second
    if folder := os.environ.get("KORE_TEST_KEEP_LOGS"):
        from pathlib import Path

        Path(folder, "real_run.log").write_text(run.log())

    # It lands under the date on which the run was due, and says so.
    summary = run.xcom()
    assert summary["contacts"] == CONTACTS
    assert summary["snapshot_date"] == run.made["run_after"][:10]
    s3 = moto_server.client()
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == [summary["manifest_key"], *summary["keys"]]
    manifest = json.loads(s3.get_object(Bucket=bucket, Key=summary["manifest_key"])["Body"].read())
    assert (manifest["contacts"], manifest["consistent"]) == (CONTACTS, True)
    assert (manifest["run"]["try_number"], manifest["walk"]["resumed_from"]) == (2, FAILS_AT)

    # Cleared, it succeeds again, and takes the list as it is by then.
    kore.append(LIST_ID, 30)
    run.clear()
    run.wait(lambda task: task["state"] == "success" and task["try_number"] == 3)
    assert run.xcom()["contacts"] == CONTACTS + 30

    # Marked failed while it runs, the task stops in mid-walk, and publishes nothing.
    kore.add_list("cl-slow", contacts=5_000)
    kore.add_fault("latency", seconds=0.5, list_id="cl-slow")
    slow = Run(airflow, contact_list_id="cl-slow")
    slow.wait(lambda task: task["state"] == "running")
    _wait_for(lambda: len([page for page in kore.page_requests if "cl-slow" in page.path]) >= 3)
    slow.mark_failed()
    _wait_for(lambda: _quiet(kore, 1.5))
    assert len([page for page in kore.page_requests if "cl-slow" in page.path]) < 5_000 // 50  # not read to its end
    assert slow.task()["state"] == "failed"
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix="kore/contact_lists/")["Contents"]]
    assert not [key for key in keys if "cl-slow" in key]

    # No component and no task wrote down what is nobody's business.
    for written in [*whole.home.rglob("*.log"), whole.home / "airflow.db"]:
        text = written.read_bytes().decode("utf-8", "replace")
        assert kore.connection["password"] not in text, written
        assert not re.search(r"\+1555\d{7}", text), written
        assert not [found for found in re.findall(TOKEN, text) if b"appId" in _claims(found)], written


TOKEN = r"eyJ[A-Za-z0-9_-]+\.(eyJ[A-Za-z0-9_-]+)\."


def _claims(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _wait_for(condition: Callable[[], bool], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.2)


def _quiet(kore: Simulator, seconds: float) -> bool:
    before = len(kore.requests)
    time.sleep(seconds)
    return len(kore.requests) == before
