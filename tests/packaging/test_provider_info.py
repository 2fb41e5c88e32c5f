"""What Airflow reads about us when it starts."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import json
import pkgutil
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.sdk import BaseOperator, BaseOperatorLink, BaseSensorOperator
from airflow.triggers.base import BaseTrigger

import airflow_provider_kore
from airflow_provider_kore.hooks.airflow_versions import BaseHook

SCHEMA = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())


def test_the_provider_info_is_what_airflows_own_schema_allows() -> None:
    jsonschema.validate(airflow_provider_kore.get_provider_info(), SCHEMA)


def test_airflow_finds_it_through_the_entry_point() -> None:
    (entry_point,) = (
        found
        for found in importlib.metadata.entry_points(group="apache_airflow_provider")
        if found.dist is not None and found.dist.name == "airflow-provider-kore"
    )
    assert entry_point.load() is airflow_provider_kore.get_provider_info


def test_it_survives_json_because_airflow_passes_it_on() -> None:
    info = airflow_provider_kore.get_provider_info()
    assert json.loads(json.dumps(info)) == info


def test_every_class_it_names_can_be_imported() -> None:
    info: dict[str, Any] = airflow_provider_kore.get_provider_info()
    named = [*info.get("extra-links", [])]
    named += [connection_type["hook-class-name"] for connection_type in info.get("connection-types", [])]
    for path in named:
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name), path


KINDS: dict[str, type] = {
    "hooks": BaseHook,
    "sensors": BaseSensorOperator,
    "triggers": BaseTrigger,
    "extra-links": BaseOperatorLink,
    "operators": BaseOperator,
}


def kind_of(found: type) -> str | None:
    """Return the section of the provider info that a public class belongs to; None for any other class."""
    if inspect.isabstract(found) or found.__name__.startswith("_"):
        return None
    if issubclass(found, BaseOperator) and found.execute is BaseOperator.execute:  # it only helps those that do
        return None
    if issubclass(found, BaseOperator) and found.__module__.startswith("airflow_provider_kore.transfers."):
        return "transfers"
    return next((name for name, base in KINDS.items() if issubclass(found, base)), None)


def classes_of(module: str) -> list[type]:
    """Return the classes that a module defines itself."""
    found = vars(importlib.import_module(module)).values()
    return [each for each in found if inspect.isclass(each) and each.__module__ == module]


def modules() -> list[str]:
    found = pkgutil.walk_packages(airflow_provider_kore.__path__, "airflow_provider_kore.")
    return [each.name for each in found if not each.name.endswith("__main__")]


def named_in(section: str) -> set[str]:
    """Return what the provider info names there: modules, or classes of extra links."""
    info: dict[str, Any] = airflow_provider_kore.get_provider_info()
    if section == "extra-links":
        return set(info[section])
    if section == "transfers":
        return {each["python-module"] for each in info[section]}
    return {module for each in info[section] for module in each["python-modules"]}


@pytest.mark.parametrize("section", [*KINDS, "transfers"])
def test_every_public_class_of_the_package_is_named_and_nothing_else(section: str) -> None:
    found = [each for module in modules() for each in classes_of(module) if kind_of(each) == section]
    assert found
    if section == "extra-links":
        there = {f"{each.__module__}.{each.__qualname__}" for each in found}
    else:
        there = {each.__module__ for each in found}
    assert named_in(section) == there


def test_each_hook_has_a_connection_type() -> None:
    info: dict[str, Any] = airflow_provider_kore.get_provider_info()
    hooks = {
        f"{each.__module__}.{each.__qualname__}": each
        for module in modules()
        for each in classes_of(module)
        if kind_of(each) == "hooks"
    }
    told = {each["hook-class-name"]: each["connection-type"] for each in info["connection-types"]}
    assert told == {path: hook.conn_type for path, hook in hooks.items()}  # type: ignore[attr-defined]
