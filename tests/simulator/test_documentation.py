"""The page about the simulator is complete, and what it says to type works."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import requests

from airflow_provider_kore.simulator import FAULTS, Settings
from airflow_provider_kore.simulator.__main__ import _parser, _simulator
from airflow_provider_kore.simulator.endpoints import ENDPOINTS
from airflow_provider_kore.simulator.triggers import Trigger

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_setting_is_described_in_the_docstring_that_the_reference_shows(name):
    assert f":param {name}: " in Settings.__doc__


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_is_in_its_table_with_its_parameters(name):
    (row,) = [line for line in PAGE.partition("\n## Faults\n")[2].splitlines() if line.startswith(f"| `{name}` |")]
    told = set(re.findall(r"`(\w+)=", row.split("|")[2]))
    assert told == {field.name for field in fields(FAULTS[name])}


@pytest.mark.parametrize("name", [*ENDPOINTS, *(field.name for field in fields(Trigger))])
def test_every_endpoint_and_condition_is_named(name):
    assert f"`{name}`" in PAGE.partition("\n## Faults\n")[2].partition("<!-- generated")[0]


def test_the_python_on_the_page_is_python():
    for block in blocks("python"):
        ast.parse(block)


def test_the_command_on_the_page_is_understood():
    (line,) = [line for block in blocks("shell") for line in block.splitlines() if line.startswith("python -m")]
    simulator = _simulator(_parser().parse_args(shlex.split(line)[3:]))
    assert simulator.settings.latency == 0.05
    assert len(list(simulator.contact_ids("cl-demo"))) == 1234


def test_the_calls_to_the_control_api_on_the_page_work(kore):
    lines = [line for block in blocks("shell") for line in block.splitlines() if line.startswith("curl")]
    assert len(lines) > 7
    curl = argparse.ArgumentParser()  # not every machine has the real one
    curl.add_argument("-X", default="GET")
    curl.add_argument("-d")
    curl.add_argument("url")
    for line in lines:
        told = curl.parse_args(shlex.split(line.replace("$URL", kore.url))[1:])
        response = requests.request(told.X, told.url, data=told.d, timeout=30)
        assert response.ok, (line, response.text)
