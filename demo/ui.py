"""`make ui`: the demo's set-up with Airflow's UI, until Ctrl-C."""

from __future__ import annotations

import json
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_processes import AirflowProcesses
from stage import BUCKET, LIST_ID, DemoError, Stage, perform, write_connections
from yesterday import land_yesterday

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTS = {LIST_ID: 2_000, "cl-leads": 350, "cl-empty": 0}
DAILY = ("kore_contact_list_daily", "kore_all_contact_lists")
"""Paused until they are triggered: both land the same list."""
RUNNING = ("kore_consumer", "kore_contact_list_changes", "kore_contact_list_on_demand", "kore_campaign_results")
FAULT = {"name": "too_many_requests", "endpoint": "contacts", "after_requests": 5, "times": 1, "retry_after": "20"}
"""Shows itself in the task's log: the server refuses a page and asks to wait."""


def main() -> int:
    """Serve until it is stopped; return the exit status."""
    stage = Stage(LISTS)
    stage.connections_by_environment = False
    status = perform("ui", stage, serve)
    return 0 if status == 128 + signal.SIGINT else status  # Ctrl-C is how this ends


def serve(stage: Stage) -> None:
    """Start everything, say where it is, and watch it. Raises DemoError."""
    stage.say(f"Kore.ai, simulated: {stage.kore.url}, lists {', '.join(LISTS)}, 60 requests a minute.")
    stage.say(f"S3 (moto): {stage.server.url}, bucket {BUCKET}.")
    kept = stage.migrate()
    stage.say(f"Airflow's database: {'as an earlier demo migrated it' if kept else 'migrated, and kept in .demo/'}.")
    stage.say("Airflow: starting, which takes about half a minute ...")
    with served(stage) as airflow:
        stage.say("Ready.")
        print(instructions(stage, airflow.url), flush=True)
        watch(stage, airflow)


@contextmanager
def served(stage: Stage, **options: Any) -> Iterator[AirflowProcesses]:
    """Serve Airflow with the example DAGs, their connections, and yesterday's snapshot. Raises DemoError."""
    land_yesterday(stage)
    with AirflowProcesses(stage.environment, stage.log, schedule=True, **options) as airflow:
        stage.settings = airflow.environment
        command = [
            sys.executable,
            "-m",
            "airflow",
            "connections",
            "import",
            "--overwrite",
            str(write_connections(stage)),
        ]
        stage.run(command, "the connections could not be imported")
        try:
            airflow.wait_until_ready([*DAILY, *RUNNING], seconds=240.0)
            for dag_id in RUNNING:
                airflow.call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})
        except (RuntimeError, OSError) as error:
            raise DemoError(f"{error}.") from None
        yield airflow


def instructions(stage: Stage, url: str) -> str:
    """Say what there is to see and do."""
    return f"""
  Airflow           {url}   (no login: anyone who reaches this port, on this machine only, is admin)
  run a DAG         {url}/dags/kore_contact_list_daily   Trigger, top right, also lets its schedule begin;
                    kore_consumer and kore_contact_list_changes run whenever a list has landed
                    {url}/dags/kore_all_contact_lists
                    {url}/dags/kore_contact_list_on_demand
                    {url}/dags/kore_campaign_results
  the connection    {url}/connections   kore_default, with a Test button
  the simulator     curl {stage.kore.url}/_simulator/report
  make it fail      curl -X POST {stage.kore.url}/_simulator/faults -d '{json.dumps(FAULT)}'
                    and run a DAG: its log says that the server asks to wait

  What lands in the bucket is named below. Ctrl-C ends everything.
"""


def watch(stage: Stage, airflow: AirflowProcesses) -> None:
    """Name each snapshot that lands, for ever. Raises DemoError if a part of Airflow ends."""
    seen: dict[str, str] = {}
    while True:
        for found in stage.s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            key, etag = found["Key"], found["ETag"]
            if key.endswith("/_manifest.json") and seen.get(key) != etag:
                seen[key] = etag
                stage.say(f"Landed: s3://{BUCKET}/{key.removesuffix('_manifest.json')}")
        if ended := airflow.ended():
            raise DemoError(f"Airflow's {' and '.join(ended)} ended by itself.")
        time.sleep(2.0)


if __name__ == "__main__":
    sys.exit(main())
