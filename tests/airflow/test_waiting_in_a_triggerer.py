"""Who waits in a whole Airflow: connections from its database, and a triggerer that is killed meanwhile."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from whole_airflow import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3_servers import S3Server
    from whole_airflow import WholeAirflow

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

DAG_ID = "waiting"
DAG = """
from datetime import UTC, datetime
from airflow.sdk import DAG
from airflow_provider_kore.sensors.campaign import CampaignStatusSensor
from airflow_provider_kore.sensors.contact_list import ContactListSensor
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

CONNECTIONS = {{"kore_conn_id": "kore_stored", "pool": "waiting"}}
WAITING = {{"deferrable": True, "poke_interval": 2.0, "timeout": 300.0, "retries": 0, **CONNECTIONS}}

with DAG("waiting", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC), catchup=False):
    CampaignStatusSensor(task_id="completed", campaign_id="cd-completed", **WAITING)
    CampaignStatusSensor(task_id="deleted", campaign_id="cd-deleted", **WAITING)
    ContactListSensor(
        task_id="changed", contact_list_id="cl-waiting-1", s3_bucket="{bucket}", aws_conn_id="aws_stored", **WAITING
    )
    ContactListToS3Operator.partial(
        task_id="snapshot",
        s3_bucket="{bucket}",
        aws_conn_id="aws_stored",
        deferrable=True,
        defer_after=1,
        retries=0,
        **CONNECTIONS,
    ).expand(contact_list_id=["cl-waiting-2", "cl-waiting-3"])
"""
SENSORS = ("completed", "deleted", "changed")
TASKS = (*SENSORS, "snapshot/0", "snapshot/1")
SNAPSHOT = 200
"""Contacts in each of the lists whose walks defer."""


@pytest.fixture
def without_triggerer(whole: WholeAirflow, moto_server: S3Server, moto_bucket: str) -> Iterator[WholeAirflow]:
    """A whole Airflow whose triggerer is gone for now, with connections that are in its database alone."""
    airflow = whole.airflow
    airflow.call("POST", "/api/v2/pools", {"name": "waiting", "slots": 8})
    for conn_id, connection in (("kore_stored", whole.kore.connection), ("aws_stored", moto_server.connection())):
        body = {**connection, "connection_id": conn_id, "extra": json.dumps(connection["extra"])}
        airflow.call("POST", "/api/v2/connections", body)
    whole.add_dags("waiting.py", DAG.format(bucket=moto_bucket), [DAG_ID])
    airflow.environment["AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD"] = (
        "8"  # seconds until another takes over
    )
    airflow.kill("triggerer")
    try:
        yield whole
    finally:
        if not airflow.runs("triggerer"):
            airflow.start("triggerer")


def test_sensors_and_walks_wait_in_a_triggerer_and_outlive_it(
    without_triggerer: WholeAirflow, moto_server: S3Server, moto_bucket: str
) -> None:
    whole, airflow, kore = without_triggerer, without_triggerer.airflow, without_triggerer.kore
    kore.add_campaign("cd-completed", status="Active")
    kore.add_campaign("cd-deleted", status="Active")
    kore.add_list("cl-waiting-1", contacts=10, status="Validating")
    for list_id in ("cl-waiting-2", "cl-waiting-3"):
        kore.add_list(list_id, contacts=SNAPSHOT)
        kore.add_fault(
            "too_many_requests", endpoint="contacts", list_id=list_id, at_offset=100, times=1, retry_after="15"
        )
    run = whole.trigger(DAG_ID)

    def states() -> dict[str, str]:
        return {task: airflow.get(f"{run}/taskInstances/{task}")["state"] for task in TASKS}

    wait_for(lambda: set(states().values()) == {"deferred"}, lambda: str(states()))
    pool = airflow.get("/api/v2/pools/waiting")
    assert (pool["running_slots"], pool["deferred_slots"]) == (0, len(TASKS))  # no worker waits with them
    airflow.start("triggerer")
    before = len(kore.requests)
    wait_for(lambda: len(kore.requests) >= before + 6, whole.logs)
    airflow.kill("triggerer")  # while all three wait: nothing is lost but its looks
    kore.set_campaign_status("cd-completed", "Completed")
    kore.remove_campaign("cd-deleted")
    kore.add_list("cl-waiting-1", contacts=10, status="Ready")
    assert {states()[sensor] for sensor in SENSORS} == {"deferred"}
    airflow.start("triggerer")
    wait_for(lambda: "deferred" not in states().values(), whole.logs)
    wait_for(lambda: set(states().values()) <= {"success", "failed"}, lambda: str(states()))

    assert states() == {task: "failed" if task == "deleted" else "success" for task in TASKS}
    for list_id in ("cl-waiting-2", "cl-waiting-3"):
        prefix = f"kore/contact_lists/contact_list_id={list_id}/"
        found = moto_server.client().list_objects_v2(Bucket=moto_bucket, Prefix=prefix)["Contents"]
        (manifest,) = [each["Key"] for each in found if each["Key"].endswith("_manifest.json")]
        landed = json.loads(moto_server.client().get_object(Bucket=moto_bucket, Key=manifest)["Body"].read())
        assert landed["contacts"] == SNAPSHOT
        assert landed["walk"]["resumed_from"]  # behind what the first stretch had read
    written = {path: path.read_bytes().decode("utf-8", "replace") for path in whole.home.rglob("*.log")}
    (failure,) = [
        text for path, text in written.items() if "task_id=deleted" in str(path) and path.name == "attempt=1.log"
    ]
    assert "The server does not know campaign cd-deleted (404)" in failure
    for path, text in written.items():
        assert kore.connection["password"] not in text, path
        assert not re.search(r"eyJ[A-Za-z0-9_-]+\.eyJhcHBJZCI", text), path


def wait_for(condition: Callable[[], bool], told: Callable[[], str], seconds: float = 180.0) -> None:
    if not until(condition, seconds):
        pytest.fail(f"it did not come to pass within {seconds:.0f} s\n{told()}")
