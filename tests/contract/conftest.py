"""The contract tests share one reading of the table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_kore.simulator import pytest_plugin

if TYPE_CHECKING:
    import pytest

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "snapshot"):
    sys.path.append(str(folder))


def pytest_configure(config: pytest.Config) -> None:
    """Bring the fixture along where the package is not installed, only checked out."""
    if not config.pluginmanager.has_plugin("kore"):
        config.pluginmanager.register(pytest_plugin, "kore")
