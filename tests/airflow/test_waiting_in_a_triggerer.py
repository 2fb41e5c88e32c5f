"""Who waits in a whole Airflow: connections from its database, and a triggerer that is killed meanwhile."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from airflow_processes import AirflowProcesses, airflow_environment
from processes import ended_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from s3_servers import S3Server

    from airflow_provider_kore.simulator import Simulator

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

DAG_ID = "sensors"
DAG = """
from datetime import UTC, datetime
from airflow.sdk import DAG
from airflow_provider_kore.sensors.campaign import CampaignStatusSensor
from airflow_provider_kore.sensors.contact_list import ContactListSensor
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

WAITING = {{"deferrable": True, "poke_interval": 2.0, "timeout": 300.0, "retries": 0}}

with DAG("sensors", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC), catchup=False):
    CampaignStatusSensor(task_id="completed", campaign_id="cd-completed", **WAITING)
    CampaignStatusSensor(task_id="deleted", campaign_id="cd-deleted", **WAITING)
    ContactListSensor(task_id="changed", contact_list_id="cl-1", s3_bucket="{bucket}", **WAITING)
    ContactListToS3Operator.partial(
        task_id="snapshot", s3_bucket="{bucket}", deferrable=True, defer_after=1, retries=0
    ).expand(contact_list_id=["cl-2", "cl-3"])
"""
SENSORS = ("completed", "deleted", "changed")
TASKS = (*SENSORS, "snapshot/0", "snapshot/1")
SNAPSHOT = 200
"""Contacts in each of the lists whose walks defer."""


@pytest.fixture
def airflow(
    kore: Simulator, moto_server: S3Server, moto_bucket: str, airflow_db: Path, tmp_path: Path
) -> Iterator[AirflowProcesses]:
    """An Airflow without a triggerer, whose connections are in its database alone."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "sensors.py").write_text(DAG.format(bucket=moto_bucket))
    shutil.copy(airflow_db, tmp_path / "airflow.db")
    environment = airflow_environment(tmp_path, dags) | {
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8"  # seconds until another takes over
    }
    with AirflowProcesses(environment, tmp_path / "components.log", triggerer=False, grace=3.0) as running:
        try:
            running.wait_until_ready([DAG_ID])
        except RuntimeError as error:
            log = (tmp_path / "components.log").read_text(errors="replace")
            pytest.fail(f"{error}\n{log[-5000:]}", pytrace=False)
        for conn_id, connection in (("kore_default", kore.connection), ("aws_default", moto_server.connection())):
            body = {**connection, "connection_id": conn_id, "extra": json.dumps(connection["extra"])}
            running.call("POST", "/api/v2/connections", body)
        yield running


def test_sensors_and_walks_wait_in_a_triggerer_and_outlive_it(
    airflow: AirflowProcesses, kore: Simulator, moto_server: S3Server, moto_bucket: str, tmp_path: Path
) -> None:
    kore.add_campaign("cd-completed", status="Active")
    kore.add_campaign("cd-deleted", status="Active")
    kore.add_list("cl-1", contacts=10, status="Validating")
    for list_id in ("cl-2", "cl-3"):
        kore.add_list(list_id, contacts=SNAPSHOT)
    kore.add_fault("too_many_requests", endpoint="contacts", at_offset=100, times=2, retry_after="15")
    run = f"/api/v2/dags/{DAG_ID}/dagRuns/{airflow.trigger(DAG_ID)['dag_run_id']}"

    def states() -> dict[str, str]:
        return {task: airflow.get(f"{run}/taskInstances/{task}")["state"] for task in TASKS}

    wait_for(lambda: set(states().values()) == {"deferred"}, lambda: str(states()))
    pool = airflow.get("/api/v2/pools/default_pool")
    assert (pool["running_slots"], pool["deferred_slots"]) == (0, len(TASKS))  # no worker waits with them
    log = tmp_path / "triggerer.log"
    command = [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"]
    with log.open("ab") as output:
        # Killed while all three wait: nothing is lost but its looks.
        with ended_session(command, airflow.environment, output) as first:
            before = len(kore.requests)
            wait_for(lambda: len(kore.requests) >= before + 6, lambda: log.read_text()[-3000:])
            first.send_signal(signal.SIGKILL)
            first.wait()
        kore.set_campaign_status("cd-completed", "Completed")
        kore.remove_campaign("cd-deleted")
        kore.add_list("cl-1", contacts=10, status="Ready")
        assert {states()[sensor] for sensor in SENSORS} == {"deferred"}
        with ended_session(command, airflow.environment, output):
            wait_for(lambda: "deferred" not in states().values(), lambda: log.read_text()[-3000:])
            wait_for(lambda: set(states().values()) <= {"success", "failed"}, lambda: str(states()))

    assert states() == {task: "failed" if task == "deleted" else "success" for task in TASKS}
    for list_id in ("cl-2", "cl-3"):
        prefix = f"kore/contact_lists/contact_list_id={list_id}/"
        found = moto_server.client().list_objects_v2(Bucket=moto_bucket, Prefix=prefix)["Contents"]
        (manifest,) = [each["Key"] for each in found if each["Key"].endswith("_manifest.json")]
        landed = json.loads(moto_server.client().get_object(Bucket=moto_bucket, Key=manifest)["Body"].read())
        assert landed["contacts"] == SNAPSHOT
        assert landed["walk"]["resumed_from"]  # behind what the first stretch had read
    written = {path: path.read_bytes().decode("utf-8", "replace") for path in (tmp_path / "logs").rglob("*.log")}
    (failure,) = [
        text for path, text in written.items() if "task_id=deleted" in str(path) and path.name == "attempt=1.log"
    ]
    assert "The server does not know campaign cd-deleted (404)" in failure
    for path, text in [*written.items(), (log, log.read_text())]:
        assert kore.connection["password"] not in text, path
        assert not re.search(r"eyJ[A-Za-z0-9_-]+\.eyJhcHBJZCI", text), path


def wait_for(condition: Callable[[], bool], told: Callable[[], str], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"it did not come to pass within {seconds:.0f} s\n{told()}")
        time.sleep(0.3)
