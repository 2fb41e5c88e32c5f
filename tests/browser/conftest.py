"""What `make ui` shows, and a browser in front of it."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import debian_packages
import pytest
import ui as ui_demo
from stage import DemoError, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_processes import AirflowProcesses
    from airflow_ui import AirflowUi

# Among the environments of the matrix none has it, and none runs what is marked `once`.
collect_ignore_glob = [] if importlib.util.find_spec("playwright") else ["test_*.py"]

PACKAGES = {"chromium": "chromium"}
PICTURES = "KORE_TEST_PICTURES"
"""Names the environment variable with the folder for the screenshots; `make screenshots` sets it."""


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A simulated Kore.ai, an S3 server, an Airflow home."""
    with Stage(ui_demo.LISTS) as stage:
        stage.connections_by_environment = False
        stage.migrate()
        yield stage


@pytest.fixture
def airflow(stage: Stage) -> Iterator[AirflowProcesses]:
    """A whole Airflow with the example DAGs and their connections."""
    try:
        with ui_demo.served(stage, triggerer=False, grace=3.0) as running:
            yield running
    except DemoError as error:
        pytest.fail(f"{error}\n{stage.log.read_text(errors='replace')[-5000:]}", pytrace=False)
    stage.log.unlink(missing_ok=True)


@pytest.fixture
def ui(airflow: AirflowProcesses, tmp_path: Path) -> Iterator[AirflowUi]:
    """Airflow's UI in headless Chromium."""
    from airflow_ui import AirflowUi

    program = debian_packages.require(PACKAGES)["chromium"]
    pictures = Path(os.environ.get(PICTURES) or tmp_path)
    with AirflowUi.open(airflow.url, program, pictures) as ui:
        yield ui
