"""docs/readers.md is true: each engine finds every value that was landed, by the code that the page prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import recipes
from many_days import Told, differences

if TYPE_CHECKING:
    from collections.abc import Callable

ENGINES = [pytest.param(each, marks=pytest.mark.debian if each == "spark" else ()) for each in recipes.ENGINES]
TOLD = {("pandas", "csv"): Told(null_is_empty=True)}
"""What the page says of a reader that cannot tell everything."""


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("list_id", ["cl-81", "cl-82"], ids=["gzip", "zstd"])
@pytest.mark.parametrize("file_format", recipes.FORMATS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_recipe_finds_every_value_of_every_day(
    engine: str, file_format: str, list_id: str, found: Callable[[str], recipes.Rows]
) -> None:
    rows = found(engine)[f"{file_format} {list_id}"]
    assert "error" not in rows[0], rows[0]["error"]
    assert differences(rows, list_id, TOLD.get((engine, file_format))) == []


def test_every_engine_has_a_recipe_for_every_format() -> None:
    named = {f"{engine} {file_format}" for engine in recipes.ENGINES for file_format in recipes.FORMATS}
    assert named == {name for name in recipes.blocks() if not name.endswith("setup")} - {"columns"}
