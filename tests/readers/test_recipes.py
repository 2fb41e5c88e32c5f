"""docs/readers.md is true: each engine finds every value that was landed, by the code that the page prints."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import duckdb
import pytest
import recipes
from many_days import Told, differences

if TYPE_CHECKING:
    from collections.abc import Callable

    from many_days import Lake

ENGINES = [pytest.param(each, marks=pytest.mark.debian if each == "spark" else ()) for each in recipes.ENGINES]
TOLD = {("pandas", "csv"): Told(null_is_empty=True)}
"""What the page says of a reader that cannot tell everything."""


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.timeout(600)  # the first makes the environment of the engines
@pytest.mark.parametrize("list_id", ["cl-81", "cl-82"], ids=["one form", "all forms"])
@pytest.mark.parametrize("file_format", recipes.FORMATS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_recipe_finds_every_value_of_every_day(
    engine: str, file_format: str, list_id: str, found: Callable[[str], recipes.Rows]
) -> None:
    rows = found(engine)[f"{file_format} {list_id}"]
    assert "error" not in rows[0], rows[0]["error"]
    assert differences(rows, list_id, TOLD.get((engine, file_format))) == []


@pytest.mark.slow
@pytest.mark.once
def test_a_pattern_for_all_lists_reads_each_of_them(found: Callable[[str], recipes.Rows]) -> None:
    rows = found("duckdb")["all"]
    assert "error" not in rows[0], rows[0]["error"]
    for list_id in ("cl-81", "cl-82"):
        assert differences([row for row in rows if row["contact_list_id"] == list_id], list_id) == []


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("list_id", ["cl-81", "cl-82"], ids=["one form", "all forms"])
@pytest.mark.parametrize("file_format", recipes.FORMATS)
def test_the_queries_find_the_same_in_the_newest_duckdb(file_format: str, list_id: str, landed: Lake) -> None:
    database = duckdb.connect()
    database.sql("SET TimeZone = 'UTC'")
    read = database.sql(recipes.query(file_format, list_id, landed.copy)).to_arrow_table().to_pylist()
    rows = [{**row, "createdAt": _as_sent(row["createdAt"])} for row in read]
    assert differences(rows, list_id) == []


def _as_sent(value: datetime | str | None) -> str | None:
    return value.isoformat(timespec="milliseconds")[:23] + "Z" if isinstance(value, datetime) else value


def test_every_engine_has_a_recipe_for_every_format() -> None:
    named = {f"{engine} {file_format}" for engine in recipes.ENGINES for file_format in recipes.FORMATS}
    assert named == {name for name in recipes.blocks() if not name.endswith("setup")} - {"columns"}
