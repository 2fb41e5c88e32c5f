"""What an import costs: a DAG file is parsed again and again, and the core must work where no Airflow is.

Each test asks a fresh interpreter, because this one has imported nearly everything.
"""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_provider_kore

pytestmark = pytest.mark.slow

HEAVY = {"aiohttp", "boto3", "botocore", "jwt", "pyarrow", "pyiceberg", "requests"}
CORE = {
    "api",
    "audit",
    "changes",
    "clock",
    "connection_fields",
    "connection_form",
    "erasure",
    "exceptions",
    "explore",
    "formats",
    "iceberg",
    "json_text",
    "parameters",
    "quoting",
    "simulator",
    "snapshot",
    "stop",
    "store",
    "unexpected",
    "walk",
}
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(airflow_provider_kore.__path__, "airflow_provider_kore.")
    if not module.name.endswith("__main__")
)
OPERATORS = [
    name for name in MODULES if name.split(".")[1] in {"transfers", "operators", "sensors"} and name.count(".") > 1
]


def added(*imports: str, to: str = "pass") -> set[str]:
    """Return the modules that a fresh interpreter holds after these import statements, and not before.

    :param to: what goes before them.
    """
    code = "; ".join([to, "import json, sys", "before = {*sys.modules}", *imports, "added = {*sys.modules} - before"])
    command = [sys.executable, "-W", "ignore", "-c", f"{code}; print(json.dumps([*added]))"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    return set(json.loads(answer.stdout.splitlines()[-1]))


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_importing_the_package_imports_nothing_else() -> None:
    assert packages(added("import airflow_provider_kore")) <= {"__future__", "airflow_provider_kore"}


def test_the_core_never_imports_airflow() -> None:
    core = [name for name in MODULES if name.split(".")[1] in CORE and "pytest_plugin" not in name]
    assert core
    assert "airflow" not in packages(added(*(f"import {name}" for name in core)))


def test_the_provider_info_costs_no_client_library_and_no_airflow() -> None:
    asked = "from airflow_provider_kore import get_provider_info; get_provider_info()"
    assert not packages(added(asked)) & (HEAVY | {"airflow", "difflib"})


def test_the_pytest_plugin_costs_nobody_anything_until_asked() -> None:
    after = added("import airflow_provider_kore.simulator.pytest_plugin", to="import pytest")
    assert not packages(after) & (HEAVY | {"airflow"})


WRITERS = ("airflow_provider_kore.store", "airflow_provider_kore.snapshot.run")


def test_a_dag_file_pays_for_no_client_library() -> None:
    assert OPERATORS
    after = added(*(f"import {name}" for name in OPERATORS), to="from airflow.sdk import BaseOperator")
    assert not packages(after) & HEAVY
    assert not [name for name in after if name.startswith(WRITERS)], "what reads and writes is imported by the task"


def test_importing_any_module_warns_about_nothing() -> None:
    """Once Airflow itself is imported, so that its own warnings don't count."""
    names = [name for name in MODULES if "pytest_plugin" not in name]
    code = "; ".join(
        ["import airflow.sdk, warnings", "warnings.simplefilter('error')", *(f"import {n}" for n in names)]
    )
    answer = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_every_module_is_found_by_this_test() -> None:
    files = Path(airflow_provider_kore.__file__).parent.rglob("*.py")
    assert len([file for file in files if file.name not in {"__init__.py", "__main__.py"}]) == len(
        [name for name in MODULES if not _is_package(name)]
    )


def _is_package(name: str) -> bool:
    return (Path(airflow_provider_kore.__file__).parent.parent / name.replace(".", "/")).is_dir()
