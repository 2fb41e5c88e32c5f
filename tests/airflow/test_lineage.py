"""What OpenLineage is told of a snapshot by its own Airflow provider, and that nothing fails where there is none."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

if TYPE_CHECKING:
    from bench import Bench

ROOT = Path(__file__).parents[2]
DAG = """
from datetime import UTC, datetime
from airflow.sdk import DAG
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator
from airflow_provider_kore.transfers.contact_lists_to_s3 import ContactListsToS3Operator

with DAG("lineage", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC)):
    for task_id, list_id in (("landed", "cl-1"), ("failed", "cl-nowhere")):
        ContactListToS3Operator(
            task_id=task_id, contact_list_id=list_id, s3_bucket=BUCKET, s3_prefix="lake/contacts", file_format="parquet"
        )
    ContactListsToS3Operator(task_id="all", s3_bucket=BUCKET, s3_prefix="lake/all")
"""


def test_without_the_provider_nobody_is_told_and_nothing_fails(bench: Bench) -> None:
    assert importlib.util.find_spec("airflow.providers.openlineage") is None
    operator = ContactListToS3Operator(task_id="snapshot", contact_list_id="cl-1", s3_bucket=bench.bucket)
    assert operator.get_openlineage_facets_on_complete(None) is None
    operator.execute(bench.context())  # type: ignore[arg-type]
    assert operator.get_openlineage_facets_on_complete(None) is None


@pytest.fixture(scope="session")
def openlineage_python() -> Path:
    """Return an interpreter of the environment in requirements/openlineage.txt; made if need be."""
    folder = Path(".cache", "openlineage")
    command = [sys.executable, "tools/environment.py", str(folder), "airflow-3.3", "openlineage"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"the environment could not be made:\n{done.stderr[-3000:]}", pytrace=False)
    return ROOT / folder / "bin" / "python"


@pytest.mark.system
@pytest.mark.once
@pytest.mark.timeout(900)
def test_the_provider_tells_of_the_list_the_table_its_columns_and_its_rows(
    bench: Bench, airflow_db: Path, tmp_path: Path, openlineage_python: Path
) -> None:
    bench.kore.add_list("cl-2", contacts=30)
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "lineage.py").write_text(f"BUCKET = {bench.bucket!r}\n{DAG}")
    shutil.copy(airflow_db, tmp_path / "airflow.db")
    told = tmp_path / "openlineage.jsonl"
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "tests",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(told), "append": True}),
    }
    command = [
        openlineage_python,
        ROOT / "tests/airflow/run_dags.py",
        tmp_path / "dags",
        tmp_path / "report",
        "lineage",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    tasks = json.loads((tmp_path / "report").read_text())["runs"]["lineage"]["tasks"]
    assert tasks == {"landed[-1]": "success", "failed[-1]": "failed", "all[-1]": "success"}

    events: list[dict[str, Any]] = [json.loads(line) for line in told.read_text().splitlines()]
    (event,) = [one for one in events if one["job"]["name"] == "lineage.landed" and one["eventType"] == "COMPLETE"]
    (read,), (written,) = event["inputs"], event["outputs"]
    account, stream = bench.kore.connection["extra"]["account_id"], bench.kore.connection["extra"]["stream_id"]
    assert read["namespace"] == bench.kore.url.replace("http://", "kore://")
    assert read["name"] == f"{account}/{stream}/contacts/contact_list_id=cl-1"
    assert written["namespace"] == f"s3://{bench.bucket}"
    assert written["name"] == "lake/contacts/contact_list_id=cl-1"
    columns = {column["name"]: column["type"] for column in written["facets"]["schema"]["fields"]}
    assert columns["phoneNumber"] == "string"
    assert columns["createdAt"].startswith("timestamp")
    statistics = written["outputFacets"]["outputStatistics"]
    assert statistics["rowCount"] == 120
    body = bench.s3.list_objects_v2(Bucket=bench.bucket, Prefix=f"{written['name']}/")["Contents"]
    assert statistics["size"] == sum(each["Size"] for each in body if each["Key"].endswith(".parquet"))

    (event,) = [one for one in events if one["job"]["name"] == "lineage.all" and one["eventType"] == "COMPLETE"]
    assert len(event["inputs"]) == 2
    rows = {each["name"]: each["outputFacets"]["outputStatistics"]["rowCount"] for each in event["outputs"]}
    assert rows == {"lake/all/contact_list_id=cl-1": 120, "lake/all/contact_list_id=cl-2": 30}

    (event,) = [one for one in events if one["job"]["name"] == "lineage.failed" and one["eventType"] == "FAIL"]
    assert [each for each in event["outputs"] if each.get("outputFacets")] == []
    assert bench.kore.connection["password"] not in told.read_text()
    assert "+1555" not in told.read_text()
