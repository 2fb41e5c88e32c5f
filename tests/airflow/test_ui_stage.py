"""What `make ui` sets up: every example DAG can be run there, and what it shows leads somewhere."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
import ui
from stage import BUCKET, LIST_ID, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_processes import AirflowProcesses

pytestmark = [pytest.mark.system, pytest.mark.once, pytest.mark.timeout(600)]

PATIENCE = 240.0
"""Seconds that a run may take on a busy machine."""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage({LIST_ID: 300, "cl-empty": 0}) as stage:
        stage.connections_by_environment = False
        stage.kore.configure(requests_per_minute=0)  # waiting for the allowance is shown elsewhere
        stage.migrate()
        yield stage
    stage.log.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def airflow(stage: Stage) -> Iterator[AirflowProcesses]:
    with ui.served(stage, grace=3.0) as running:
        yield running


def await_run(airflow: AirflowProcesses, dag_id: str, run_id: str | None = None) -> dict[str, Any]:
    """Wait until a run has ended; None: any run of this DAG."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        runs = airflow.get(f"/api/v2/dags/{dag_id}/dagRuns")["dag_runs"]
        for run in runs:
            if run_id in {None, run["dag_run_id"]} and run["state"] in {"success", "failed"}:
                return dict(run)
        time.sleep(0.5)
    pytest.fail(f"{dag_id} did not end")


def trigger(airflow: AirflowProcesses, *dag_ids: str) -> dict[str, str]:
    """Trigger as the UI does, which unpauses the DAG, too; return the states that the runs end in."""
    runs = {}
    for dag_id in dag_ids:
        airflow.call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})
        runs[dag_id] = airflow.trigger(dag_id)["dag_run_id"]
    return {dag_id: str(await_run(airflow, dag_id, run_id)["state"]) for dag_id, run_id in runs.items()}


def instances(airflow: AirflowProcesses, dag_id: str) -> list[dict[str, Any]]:
    found = airflow.get(f"/api/v2/dags/{dag_id}/dagRuns/~/taskInstances")
    return list(found["task_instances"])


def await_success(airflow: AirflowProcesses, dag_id: str, task_id: str) -> dict[str, Any]:
    """Wait until any instance of a task has succeeded, and return it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for each in instances(airflow, dag_id):
            if each["task_id"] == task_id and each["state"] == "success":
                return each
        time.sleep(0.5)
    pytest.fail(f"no {task_id} has succeeded")


def log_of(airflow: AirflowProcesses, instance: dict[str, Any]) -> str:
    path = f"/api/v2/dags/{instance['dag_id']}/dagRuns/{instance['dag_run_id']}/taskInstances/{instance['task_id']}"
    return json.dumps(airflow.get(f"{path}/logs/1?map_index={instance['map_index']}"))


def test_everything_that_it_offers_works(airflow: AirflowProcesses, stage: Stage) -> None:
    stored = airflow.get("/api/v2/connections/kore_default")
    # The form of 3.3.1 and 3.3.2 sends 0 for a port that is not there, and is refused.
    told = airflow.call("POST", "/api/v2/connections/test", {**stored, "port": stored["port"] or 0})
    assert told["status"], told

    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{stage.kore.url}/_simulator/faults", data=json.dumps(ui.FAULT).encode(), method="POST"
    )
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30).close()
    assert trigger(airflow, "kore_contact_list_daily") == {"kore_contact_list_daily": "success"}
    tasks = instances(airflow, "kore_contact_list_daily")
    while {each["state"] for each in tasks} != {"success"}:  # its schedule has begun, too
        time.sleep(0.5)
        tasks = instances(airflow, "kore_contact_list_daily")
    logs = [log_of(airflow, each) for each in tasks]
    assert any("allowance is spent" in log and "Next request in 20 s" in log for log in logs), "the printed fault shows"

    others = ("kore_all_contact_lists", "kore_contact_list_on_demand", "kore_campaign_results")
    assert trigger(airflow, *others) == dict.fromkeys(others, "success")
    for dag_id in ("kore_consumer", "kore_contact_list_changes"):
        assert await_run(airflow, dag_id)["state"] == "success", dag_id
    states = {each["state"] for dag_id in ui.RUNNING for each in instances(airflow, dag_id)}
    assert not states & {"failed", "upstream_failed", "up_for_retry"}
    assert "3 added, 1 changed, 3 gone" in log_of(airflow, await_success(airflow, "kore_contact_list_changes", "gone"))
    check_links(airflow)


def check_links(airflow: AirflowProcesses) -> None:
    """Each link answers, and where there is none no XCom stands for it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    found = 0
    for dag_id in ("kore_contact_list_daily", "kore_campaign_results"):
        for each in instances(airflow, dag_id):
            path = f"/api/v2/dags/{dag_id}/dagRuns/{each['dag_run_id']}/taskInstances/{each['task_id']}"
            entries = airflow.get(f"{path}/xcomEntries?map_index=-1")["xcom_entries"]
            for key in [entry["key"] for entry in entries if entry["key"].startswith("_link_")]:
                address = airflow.get(f"{path}/xcomEntries/{key}?map_index=-1")["value"]
                with opener.open(json.loads(address) if address.startswith('"') else address, timeout=30) as answer:
                    text = answer.read().decode()
                assert LIST_ID in text or BUCKET in text
                found += 1
    assert found >= 3
