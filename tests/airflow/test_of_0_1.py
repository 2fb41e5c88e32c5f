"""What was written for the first version works unchanged: its example DAGs and connections, kept as they were."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.hooks.campaign import KoreCampaignHook
from airflow_provider_kore.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_servers import S3Server

KEPT = Path(__file__).with_name("of_0_1")
CONNECTIONS: dict[str, Any] = json.loads((KEPT / "connections.json").read_text())
RUN = ("kore_contact_list_daily", "kore_all_contact_lists", "kore_campaign_results")


@pytest.mark.parametrize("name", CONNECTIONS)
def test_a_connection_of_the_first_version_means_what_it_meant(define: Callable[..., None], name: str) -> None:
    define("kore_default", CONNECTIONS[name]["given"])
    config = KoreCampaignHook().config
    wanted = CONNECTIONS[name]["means"]
    assert {field: getattr(config, field) for field in wanted} == wanted


def test_the_examples_of_the_first_version_run_unchanged(
    moto_server: S3Server, airflow_db: Path, tmp_path: Path
) -> None:
    shutil.copy(airflow_db, tmp_path / "airflow.db")
    bucket = moto_server.bucket()
    folder = tmp_path / "dags"
    folder.mkdir()
    for file in (KEPT / "dags").glob("*.py"):
        (folder / file.name).write_text(file.read_text().replace("kore-demo", bucket))  # the test's own bucket
    with Simulator(requests_per_minute=0) as kore:
        kore.add_list("cl-demo", contacts=120)
        kore.add_campaign("cd-demo", status="Completed", results=60)
        environment = {
            **os.environ,
            "AIRFLOW_CONN_KORE_DEFAULT": json.dumps(kore.connection),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(moto_server.connection()),
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path / "logs"),
        }
        script = Path(__file__).with_name("run_dags.py")
        command = [sys.executable, str(script), str(folder), str(tmp_path / "report"), *RUN]
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-5000:]
    report = json.loads((tmp_path / "report").read_text())
    assert report["errors"] == {}
    assert {name: run["state"] for name, run in report["runs"].items()} == dict.fromkeys(RUN, "success"), done.stdout
    landed = {found["Key"].split("/")[1] for found in moto_server.client().list_objects_v2(Bucket=bucket)["Contents"]}
    assert landed == {"contact_lists", "campaign_contacts"}
