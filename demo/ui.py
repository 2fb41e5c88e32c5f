"""`make ui`: the demo's set-up with Airflow's UI, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time

from airflow_processes import AirflowProcesses
from stage import BUCKET, LIST_ID, DemoError, Stage, perform, write_connections

LISTS = {LIST_ID: 2_000, "cl-leads": 350, "cl-empty": 0}
DAG_IDS = ("kore_contact_list_daily", "kore_all_contact_lists")


def main() -> int:
    """Serve until it is stopped; return the exit status."""
    stage = Stage(LISTS)
    stage.connections_by_environment = False
    status = perform("ui", stage, serve)
    return 0 if status == 128 + signal.SIGINT else status  # Ctrl-C is how this ends


def serve(stage: Stage) -> None:
    """Start everything, say where it is, and watch it. Raises DemoError."""
    stage.say(f"Kore.ai, simulated: {stage.kore.url}, lists {', '.join(LISTS)}, 60 requests a minute.")
    stage.say(f"S3 (moto): {stage.s3_url}, bucket {BUCKET}.")
    kept = stage.migrate()
    stage.say(f"Airflow's database: {'as an earlier demo migrated it' if kept else 'migrated, and kept in .demo/'}.")
    stage.say("Airflow: starting, which takes about half a minute ...")
    with AirflowProcesses(stage.environment, stage.log) as airflow:
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
            airflow.wait_until_ready(DAG_IDS)
        except RuntimeError as error:
            raise DemoError(f"{error}.") from None
        stage.say("Ready.")
        print(instructions(stage, airflow.url), flush=True)
        watch(stage, airflow)


def instructions(stage: Stage, url: str) -> str:
    """Say what there is to see and do."""
    return f"""
  Airflow           {url}   (no login: whoever reaches this port, on this machine only, is admin)
  run a DAG         {url}/dags/kore_contact_list_daily   Trigger, top right; nothing runs by itself
                    {url}/dags/kore_all_contact_lists
  the connection    {url}/connections   kore_default, with a Test button
  the simulator     curl {stage.kore.url}/_simulator/report
  make it fail      curl -X POST {stage.kore.url}/_simulator/faults -d '{{"name": "server_error", "times": 3}}'

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
