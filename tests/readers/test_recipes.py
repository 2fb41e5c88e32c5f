"""docs/readers.md is true: each engine finds every value that was landed, by the code that the page prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import debian_packages
import pytest
import recipes
from lake import Told, differences

if TYPE_CHECKING:
    from lake import Lake

Rows = dict[str, list[dict[str, Any]]]

TOLD = {("pandas", "csv"): Told(null_is_empty=True)}
"""What the page says of a reader that cannot tell everything."""


@pytest.fixture(scope="module")
def found() -> dict[str, Rows]:
    """What each engine has read; each runs once, when it is first asked for."""
    return {}


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("contact_list", ["cl-81", "cl-82"], ids=["gzip", "zstd"])
@pytest.mark.parametrize("file_format", recipes.FORMATS)
@pytest.mark.parametrize(
    "engine", [pytest.param(each, marks=pytest.mark.debian if each == "spark" else ()) for each in recipes.ENGINES]
)
def test_a_recipe_finds_every_value_of_every_day(  # noqa: PLR0917
    engine: str,
    file_format: str,
    contact_list: str,
    landed: Lake,
    found: dict[str, Rows],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    if engine not in found:
        if engine == "spark":
            debian_packages.require({"java": "default-jre-headless"})
        found[engine] = recipes.run(engine, landed.server, tmp_path_factory.mktemp(engine), landed.copy)
    rows = found[engine][f"{file_format} {contact_list}"]
    assert "error" not in rows[0], rows[0]["error"]
    assert differences(rows, contact_list, TOLD.get((engine, file_format))) == []


def test_every_engine_has_a_recipe_for_every_format() -> None:
    named = {f"{engine} {file_format}" for engine in recipes.ENGINES for file_format in recipes.FORMATS}
    assert named == {name for name in recipes.blocks() if not name.endswith("setup")} - {"columns"}
