"""A bucket in which lists lie day after day, in every format, and what each engine reads there."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

import debian_packages
import many_days
import pytest
import recipes
import s3_servers

from airflow_provider_kore.readers.athena import create_table
from airflow_provider_kore.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[many_days.Lake]:
    """A moto of its own: recipes name the bucket, and other tests do what they like in theirs."""
    with (
        s3_servers.moto(tmp_path_factory.mktemp("moto-lake")) as server,
        Simulator(max_limit=5_000, requests_per_minute=0, requests_per_hour=0) as kore,
    ):
        server.bucket(many_days.BUCKET)
        for file_format, form in many_days.FORMS.items():
            many_days.land(kore, server, "cl-81", **form)
            many_days.land(kore, server, "cl-82", **form, **many_days.OTHERS[file_format])
        many_days.land(kore, server, "cl-83", **many_days.FORMS["csv"])
        many_days.land(kore, server, "cl-84", **many_days.FORMS["parquet"])
        copy = tmp_path_factory.mktemp("lake")
        many_days.copy(server, copy)
        yield many_days.Lake(server, copy)


@pytest.fixture(scope="session")
def printed(landed: many_days.Lake) -> dict[str, str]:
    """The statements of ``ddl``, by ``FORMAT LIST``."""
    return {each: create_table(many_days.table_of(landed.server, *each.split())) for each in many_days.DEFINED}


@pytest.fixture(scope="session")
def found(
    landed: many_days.Lake, printed: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], recipes.Rows]:
    """What an engine reads; each runs once, when it is first asked for, and Hive within Spark."""

    @cache
    def read(engine: str) -> recipes.Rows:
        tasks = recipes.tasks_of(engine, landed.server, landed.copy) if engine in recipes.ENGINES else []
        if engine == "sqlglot":
            tasks = [recipes.Task(engine, name, statement) for name, statement in printed.items()]
        if engine == "spark":
            debian_packages.require({"java": "default-jre-headless"})
            for name, statement in [*printed.items(), ("csv cl-83 backslash", _without_escape(printed["csv cl-83"]))]:
                if name not in many_days.NOT_IN_HIVE:
                    there = statement.replace(f"s3://{many_days.BUCKET}/", f"file://{landed.copy}/{many_days.BUCKET}/")
                    days = json.dumps(list(many_days.LISTS[name.split()[1]]))
                    tasks.append(recipes.Task("hive", f"hive {name}", there, days))
        return recipes.run(tasks, tmp_path_factory.mktemp(engine), landed.server)

    return read


def _without_escape(statement: str) -> str:
    """Return a statement as one would write it who does not know the backslash: under another name."""
    assert ",\n  'escapeChar' = '\\u0001'" in statement
    return statement.replace(",\n  'escapeChar' = '\\u0001'", "").replace("TABLE `", "TABLE `other_", 1)
