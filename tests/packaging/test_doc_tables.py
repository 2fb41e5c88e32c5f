"""The tables in the documentation say what the code says."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import doc_tables
import docstrings
import pytest

from airflow_provider_kore.parameters import Parameter

ROOT = Path(__file__).resolve().parents[2]

PAGES = [path for path in sorted((ROOT / "docs").glob("*.md")) if doc_tables.regions(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", PAGES, ids=[path.name for path in PAGES])
def test_the_tables_of_a_page_are_those_that_the_code_gives(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert doc_tables.filled(text) == text, "run: make tables"


def test_every_table_is_on_a_page_once() -> None:
    shown = [name for page in PAGES for name in doc_tables.regions(page.read_text(encoding="utf-8"))]
    assert sorted(shown) == sorted(doc_tables.TABLES)


def test_a_table_that_is_out_of_date_is_noticed() -> None:
    (page,) = [path for path in PAGES if path.name == "operator.md"]
    stale = page.read_text(encoding="utf-8").replace("| `max_walks` | `3` |", "| `max_walks` | `2` |")
    assert doc_tables.filled(stale) != stale


def test_a_parameter_that_nothing_describes_is_an_error() -> None:
    class Operator:
        declared: ClassVar = {"one": Parameter(templated=True, doc="the first of two")}

        def __init__(self, *, one: str, two: int | None = None) -> None: ...

    with pytest.raises(KeyError, match="two"):
        doc_tables.parameters(Operator)
    assert doc_tables.parameters(Operator, without={"two"}) == [
        doc_tables.Fact(name="one", default="required", text="the first of two.", templated=True)
    ]


def test_the_commands_leave_alone_what_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    for tool in (doc_tables, docstrings):
        assert tool.main() == 0
    assert capsys.readouterr().out == ""
