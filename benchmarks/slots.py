"""How long a walk holds a worker slot, with and without deferral: two tasks of a real Airflow, in real time.

``python benchmarks/slots.py`` takes eleven minutes, as the list needs ten minutes of a 60-a-minute allowance. It prints
a table; ``--pages`` makes the list shorter or longer.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from servers import environment, start_s3, start_vendor  # isort: skip - it says where the kit is
from airflow_processes import AirflowProcesses, airflow_environment

PAGE = 50
LOOK_EVERY = 0.25
"""Seconds between two looks at the tasks' states."""

DAG = """
from datetime import UTC, datetime
from airflow.sdk import DAG
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

with DAG("slots", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC), catchup=False):
    for name, deferrable in (("waits", False), ("defers", True)):
        ContactListToS3Operator(
            task_id=name,
            contact_list_id="cl-1",
            s3_bucket="lake",
            s3_prefix=name,
            kore_conn_id=f"kore_{name}",
            deferrable=deferrable,
            outlets=[],
        )
"""


def main() -> None:
    """Run both tasks beside each other, each on an account of its own, and print what they held."""
    parser = argparse.ArgumentParser(description="Measure how long a walk holds a worker slot.")
    parser.add_argument("--pages", type=int, default=602, help="pages of the list (default: ten minutes' worth)")
    pages = parser.parse_args().pages
    with tempfile.TemporaryDirectory(prefix="kore-slots-") as home, ExitStack() as stack:
        folder = Path(home)
        (folder / "dags").mkdir()
        (folder / "dags" / "slots.py").write_text(DAG)
        s3 = start_s3(stack, folder, "lake")
        vendors = {name: start_vendor(stack, folder, requests_per_minute=60) for name in ("waits", "defers")}
        variables = airflow_environment(folder, folder / "dags")
        for name, vendor in vendors.items():
            vendor.add_list(pages * PAGE, "cl-1")
            found = environment(folder, vendor, s3, requests_per_minute=60)
            variables[f"AIRFLOW_CONN_KORE_{name.upper()}"] = found["AIRFLOW_CONN_KORE_DEFAULT"]
            variables["AIRFLOW_CONN_AWS_DEFAULT"] = found["AIRFLOW_CONN_AWS_DEFAULT"]
        subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"], env=variables, check=True, stdout=subprocess.DEVNULL
        )
        airflow = stack.enter_context(AirflowProcesses(variables, folder / "components.log"))
        airflow.wait_until_ready(["slots"])
        for name, held in watch(airflow).items():
            print(f"{name}: {held}, {vendors[name].report()}")
        logs = sorted((folder / "logs").rglob("*.log"))
        for log in logs:
            print(f"\n{log.relative_to(folder)}\n{log.read_text(errors='replace')}")


def watch(airflow: AirflowProcesses) -> dict[str, dict[str, Any]]:
    """Trigger the DAG and return how long each task was in which state, in seconds."""
    run = airflow.call("POST", "/api/v2/dags/slots/dagRuns", {"logical_date": None})["dag_run_id"]
    held: dict[str, dict[str, Any]] = {}
    last = time.monotonic()
    while True:
        tasks = airflow.get(f"/api/v2/dags/slots/dagRuns/{run}/taskInstances")["task_instances"]
        now = time.monotonic()
        for task in tasks:
            states = held.setdefault(task["task_id"], {"stretches": 0, "last": None})
            state = task["state"]
            states["stretches"] += state == "running" and states["last"] != "running"
            states["last"] = state
            if state not in {"success", "failed"}:
                states[str(state)] = round(states.get(str(state), 0.0) + now - last, 2)
        last = now
        if tasks and all(task["state"] in {"success", "failed"} for task in tasks):
            return held
        time.sleep(LOOK_EVERY)


if __name__ == "__main__":
    main()
