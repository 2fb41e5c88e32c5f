"""A whole Airflow that several tests share: it takes half a minute to start."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from airflow_processes import AirflowProcesses, airflow_environment

from airflow_provider_kore.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from s3_servers import S3Server


class WholeAirflow:
    """What there is to do and to see, over the API."""

    def __init__(self, airflow: AirflowProcesses, home: Path, kore: Simulator) -> None:
        self.airflow = airflow
        self.home = home
        self.kore = kore
        self.deleted = Counter[str]()

    def add_dags(self, file: str, text: str, dag_ids: list[str]) -> None:
        """Write a DAG file, and wait until its DAGs are known."""
        (self.home / "dags" / file).write_text(text)

        def known() -> bool:
            found = {dag["dag_id"] for dag in self.airflow.get("/api/v2/dags?limit=100")["dags"]}
            return found.issuperset(dag_ids)

        if not until(known):
            log = (self.home / "components.log").read_text(errors="replace")
            pytest.fail(f"Airflow doesn't know {dag_ids}\n{log[-5000:]}", pytrace=False)

    def change_dag(self, file: str, text: str, told: Callable[[], bool]) -> None:
        """Write another text for a DAG file, and wait until Airflow tells of the change."""
        (self.home / "dags" / file).write_text(text)
        assert until(told), "the DAG processor has not noticed the change"

    def trigger(self, dag_id: str, run_id: str | None = None, **conf: Any) -> str:
        """Trigger a run and return its path."""
        made = self.airflow.trigger(dag_id, run_id, conf)
        return f"/api/v2/dags/{dag_id}/dagRuns/{made['dag_run_id']}"

    def delete(self, run: str) -> None:
        """Delete a run, once the scheduler knows from its executor that its task has ended.

        What it hears of that later, it believes of a new run with the same id, and fails its task.
        """
        dag_id, _, run_id = run.removeprefix("/api/v2/dags/").split("/", 2)
        key = f"TaskInstanceKey(dag_id='{dag_id}', task_id='snapshot', run_id='{run_id}'"
        heard = f"Received executor event with state success for task instance {key}"
        self.deleted[run] += 1
        until(lambda: (self.home / "components.log").read_text(errors="replace").count(heard) >= self.deleted[run])
        self.airflow.call("DELETE", run)

    def wait(self, path: str, *states: str) -> dict[str, Any]:
        """Wait until a run or a task is in one of these states."""
        found: dict[str, Any] = {}
        if not until(lambda: found.update(self.airflow.get(path)) or found["state"] in states):
            pytest.fail(f"{path} is {found['state']}\n{self.logs()}")
        return found

    def clear(self, run: str, task_id: str = "snapshot") -> None:
        """Clear a task when its run is over; before that, Airflow 3.0 may end the run without the cleared task."""
        self.wait(run, "success", "failed")
        dag_id, _, run_id = run.removeprefix("/api/v2/dags/").split("/", 2)
        body = {"dry_run": False, "only_failed": False, "dag_run_id": run_id, "task_ids": [task_id]}
        self.airflow.call("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", body)

    def run_after(self, dag_id: str) -> str:
        """Wait for the first run of a DAG that nobody triggered, and return its path."""
        runs: list[dict[str, Any]] = []
        path = f"/api/v2/dags/{dag_id}/dagRuns"
        if not until(lambda: runs.extend(self.airflow.get(path)["dag_runs"]) or bool(runs)):
            pytest.fail(f"nothing made {dag_id} run\n{self.logs()}")
        found = f"{path}/{runs[0]['dag_run_id']}"
        self.wait(found, "success")
        return found

    def xcom(self, run: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return what a task has left."""
        path = f"{run}/taskInstances/{task_id}/xcomEntries/{key}?map_index={map_index}"
        value = self.airflow.get(path)["value"]
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            return value

    def links(self, run: str, map_index: int = -1) -> dict[str, str | None]:
        """Return where the buttons of the task ``snapshot`` lead."""
        path = f"{run}/taskInstances/snapshot/links?map_index={map_index}"
        found: dict[str, str | None] = self.airflow.get(path)["extra_links"]
        return found

    def log(self, run: str, task_id: str = "snapshot", try_number: int = 1) -> str:
        """Return the log of a try as a person reads it in the UI."""
        content = self.airflow.get(f"{run}/taskInstances/{task_id}/logs/{try_number}")["content"]
        return "\n".join(one if isinstance(one, str) else str(one.get("event", "")) for one in content)

    def logs(self) -> str:
        """Return the end of every task's log."""
        return "\n".join(file.read_text(errors="replace")[-3000:] for file in sorted(self.home.rglob("attempt=*.log")))


@contextmanager
def start_airflow(server: S3Server, airflow_db: Path, home: Path) -> Iterator[WholeAirflow]:
    """Start all components on a simulator and an S3 server, without a DAG."""
    (home / "dags").mkdir()
    shutil.copy(airflow_db, home / "airflow.db")
    with Simulator(requests_per_minute=0) as kore:
        connection = kore.connection
        connection["extra"]["contact_list_url"] = "https://kore.example/lists/{contact_list_id}"
        aws = server.connection(console_url="https://s3.example/{bucket}/{key}")
        environment = airflow_environment(home, home / "dags") | {
            "AIRFLOW_CONN_KORE_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws),
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3",  # seconds until a new DAG file is found
            "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        }
        airflow = AirflowProcesses(environment, home / "components.log", grace=3.0)
        airflow.environment["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] = "True"  # or no consumer would ever run
        with airflow:
            try:
                airflow.wait_until_ready([], seconds=240.0)
            except RuntimeError as error:
                log = (home / "components.log").read_text(errors="replace")
                pytest.fail(f"{error}\n{log[-5000:]}", pytrace=False)
            yield WholeAirflow(airflow, home, kore)


def until(condition: Callable[[], object], seconds: float = 120.0) -> bool:
    """Wait until a condition holds, and return whether it does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.3)
    return False
