"""Runs DAGs by ``dag.test()`` in a process of its own: ``run_dags.py FOLDER REPORT DAG_ID...``.

A DAG id with ``@none`` behind it is run without a logical date, one with ``@2025-01-01`` for that day. The report is
JSON: import errors, warnings, and the states of all task instances by DAG.
"""

from __future__ import annotations

import functools
import json
import sys
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any


def main(folder: str, report: str, *wanted: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bag = dag_bag(folder)
    sync(bag)
    share_the_api_server()
    ours = [str(one.message) for one in caught if folder in one.filename or "kore" in one.filename]
    captured = [str(one) for found in getattr(bag, "captured_warnings", {}).values() for one in found]
    found: dict[str, Any] = {"errors": bag.import_errors, "warnings": [*ours, *captured], "runs": {}}
    for name in wanted:
        dag_id, _, date = name.partition("@")
        options: dict[str, Any] = (
            {"logical_date": None if date == "none" else datetime.fromisoformat(f"{date}T00:00Z")} if date else {}
        )
        run = runnable(bag.dags[dag_id]).test(**options)
        found["runs"][name] = {
            "state": str(run.state),
            "tasks": {f"{ti.task_id}[{ti.map_index}]": str(ti.state) for ti in run.get_task_instances()},
        }
    Path(report).write_text(json.dumps(found))


def dag_bag(folder: str) -> Any:
    try:
        from airflow.dag_processing.dagbag import DagBag  # 3.1 and later
    except ImportError:
        from airflow.models.dagbag import DagBag  # 3.0
    try:
        return DagBag(folder, include_examples=False)  # type: ignore[call-arg]
    except TypeError:
        return DagBag(folder)  # 3.3


def sync(bag: Any) -> None:
    """Let Airflow 3.0 know the assets, as a DAG processor does: its ``dag.test()`` refuses all others."""
    if not hasattr(bag, "sync_to_db"):
        return  # 3.1 and later
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    (bundle,) = manager.get_all_dag_bundles()
    bag.sync_to_db(bundle.name, bundle_version=None)


def share_the_api_server() -> None:
    """Let all tasks of this process use one API server: 3.1 and 3.2 make one for each, which takes them seconds."""
    from airflow.sdk.execution_time import supervisor

    if hasattr(supervisor, "in_process_api_server"):  # not in 3.0.0
        supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)


def runnable(dag: Any) -> Any:
    if hasattr(dag, "test"):
        return dag
    from airflow.models.dag import DAG  # 3.0.0 forgot to give what airflow.sdk makes its test()

    return DAG.from_sdk_dag(dag)


if __name__ == "__main__":
    main(*sys.argv[1:])
