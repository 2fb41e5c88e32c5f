"""What holds for every test: an Airflow home of its own, no skip unnoticed in CI, a database for who asks for one."""

from __future__ import annotations

import atexit
import fcntl
import importlib.metadata
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from manifest_schema import hold_against_schema
from s3_fixtures import (  # noqa: F401 - fixtures
    localbucket_server,
    ministack_bucket,
    ministack_server,
    moto_auth_server,
    moto_bucket,
    moto_server,
    rclone_server,
    s3_bucket,
    s3_server,
    s3rver_server,
)

from airflow_provider_kore.simulator import pytest_plugin

if TYPE_CHECKING:
    from collections.abc import Generator

settings.register_profile("kore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kore")  # a machine that is busy with other things is no failure

# Tests that may be skipped in CI although a skip is a failure there: the start of a node id, and the reason.
ALLOWED_SKIPS: dict[str, str] = {}


SHARED: dict[str, str] = {
    **dict.fromkeys(("test_at_home.py", "test_real_run.py", "test_waiting_in_a_triggerer.py"), "a whole Airflow"),
    **{
        name: name
        for name in (
            "test_whole_airflow.py",  # takes as long as the three above, so it has an Airflow of its own beside theirs
            "test_dags.py",
            "test_mapped.py",
            "test_ui_stage.py",
            "test_benchmarks.py",
        )
    },
    "test_airflow_ui.py": "browser",
    **dict.fromkeys(("test_recipes.py", "test_ddl_in_spark.py"), "many days"),
}
"""Files whose tests share what takes long to start, and so run in one process: by file, what they share."""


def isolate_airflow() -> Path:
    """Point Airflow at an empty home of this process, and away from whatever the person has set up.

    Must run before anything imports Airflow, which reads its configuration then: hence at import of this file.
    """
    for name in [
        name for name in os.environ if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_", "AWS_"))
    ]:
        del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="kore-airflow-home-"))
    creator = os.getpid()
    atexit.register(lambda: shutil.rmtree(home, ignore_errors=True) if os.getpid() == creator else None)
    (home / "dags").mkdir()
    os.environ["AIRFLOW_HOME"] = str(home)
    os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(home / "dags")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    return home


AIRFLOW_HOME = isolate_airflow()


def pytest_configure(config: pytest.Config) -> None:
    """Bring the fixture along where the package is not installed, only checked out."""
    if not config.pluginmanager.has_plugin("kore"):
        config.pluginmanager.register(pytest_plugin, "kore")


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """Return the folder that Airflow takes for its home in this process."""
    return AIRFLOW_HOME


@pytest.fixture(scope="session")
def airflow_db(airflow_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated SQLite database in this process's Airflow home. Migrated once a run, copied to each process."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # which all processes of the run have in common
    template, database = shared / "migrated.db", airflow_home / "airflow.db"
    with (shared / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            command = [sys.executable, "-m", "airflow", "db", "migrate"]
            subprocess.run(command, check=True, capture_output=True, timeout=180)
            shutil.copy(database, template)
    shutil.copy(template, database)
    return database


@pytest.fixture(scope="session", autouse=True)
def _manifests_are_as_their_schema_says() -> Generator[None]:
    """Hold what is landed against the JSON Schema that ships, so that the two can't drift apart."""
    with pytest.MonkeyPatch.context() as patched:
        hold_against_schema(patched)
        yield


@pytest.fixture(autouse=True)
def _as_before() -> Generator[None]:
    """Let Airflow forget after each test which secrets it masks, and let the next one log, whatever was called.

    With every new one it compiles all that it knows into one expression again: after hundreds of tests for seconds.
    """
    yield
    for name in (
        "airflow._shared.secrets_masker.secrets_masker",
        "airflow.sdk._shared.secrets_masker.secrets_masker",
        "airflow.sdk.execution_time.secrets_masker",  # 3.0
    ):
        if name in sys.modules:
            sys.modules[name].reset_secrets_masker()
    logging.disable(logging.NOTSET)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips",
        action="store_true",
        default=bool(os.environ.get("CI")),
        help="count a skipped test as failed, but for ALLOWED_SKIPS in tests/conftest.py; always on in CI",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the Airflow under test is too old for. That is no skip: another pair of the matrix runs it."""
    have = _minor(importlib.metadata.version("apache-airflow"))
    too_new = [
        item for item in items if any(_minor(mark.args[0]) > have for mark in item.iter_markers("requires_airflow"))
    ]
    if too_new:
        config.hook.pytest_deselected(items=too_new)
        items[:] = [item for item in items if item not in too_new]
    # What starts Airflow mostly waits: begun first, it does so beside all others and not after them.
    items.sort(key=lambda item: item.get_closest_marker("system") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report, item.config)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report, collector.config)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport, config: pytest.Config) -> None:
    if not report.skipped or hasattr(report, "wasxfail") or not config.getoption("--no-skips"):
        return
    if report.nodeid.startswith(tuple(ALLOWED_SKIPS)):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = (
        f"{reason}\nA skip is a failure in CI: install what is missing, or name the test in ALLOWED_SKIPS."
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Keep the files that share something in one process.

    ``xdist_group`` cannot: pytest 9.2 took away the attribute that xdist 3.8 notes a test's group in.
    """
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0].rpartition("/")[2]
            return SHARED.get(file, nodeid)

    return Scheduler(config, log) if config.option.dist == "loadgroup" else None


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
