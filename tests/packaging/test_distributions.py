"""What a user downloads: both distributions, and what must be in them."""

from __future__ import annotations

import configparser
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True
    )
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (file,) = built.glob("*.whl")
    return zipfile.ZipFile(file)


def test_the_wheel_holds_the_package_its_annotations_and_its_licence(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert {"airflow_provider_kore/py.typed", "airflow_provider_kore/snapshot/manifest.schema.json"} <= set(names)
    assert "airflow_provider_kore/simulator/pytest_plugin.py" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"airflow_provider_kore"}


def test_the_wheel_tells_airflow_and_pytest_where_to_look(wheel: zipfile.ZipFile) -> None:
    (file,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    entry_points = configparser.ConfigParser()
    entry_points.read_string(wheel.read(file).decode())
    assert dict(entry_points["apache_airflow_provider"]) == {"provider_info": "airflow_provider_kore:get_provider_info"}
    assert dict(entry_points["pytest11"]) == {"kore": "airflow_provider_kore.simulator.pytest_plugin"}


def test_the_wheel_says_that_it_is_a_provider_under_apache_2(wheel: zipfile.ZipFile) -> None:
    (file,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = wheel.read(file).decode()
    assert "\nClassifier: Framework :: Apache Airflow :: Provider\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert "\nRequires-Python: <3.14,>=3.11\n" in metadata


def test_the_source_distribution_holds_what_its_own_build_needs(built: Path) -> None:
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "airflow_provider_kore/py.typed"} <= names
    assert "airflow_provider_kore/snapshot/manifest.schema.json" in names
    assert not {name for name in names if name.startswith((".venv", ".cache", ".tools"))}
