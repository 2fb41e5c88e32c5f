"""What Airflow reads about us when it starts."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import airflow
import jsonschema

import airflow_provider_kore

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
