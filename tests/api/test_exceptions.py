"""Every error survives its journey between processes, and has its row in the documentation."""

from __future__ import annotations

import inspect
import pickle
import re
import runpy
from pathlib import Path

import pytest

from airflow_provider_kore import exceptions
from airflow_provider_kore.exceptions import FatalError, KoreError, RetryableError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
ALL = [value for _, value in inspect.getmembers(exceptions, inspect.isclass) if issubclass(value, KoreError)]
LEAVES = [kind for kind in ALL if kind not in {KoreError, RetryableError, FatalError}]


def made(kind: type[KoreError]) -> KoreError:
    """Return one with every argument its signature takes."""
    if kind.__init__ is KoreError.__init__:
        return kind("Something is wrong. Check it.")
    values: list[object] = []
    for name, parameter in list(inspect.signature(kind.__init__).parameters.items())[1:]:
        values.append(12.5 if "float" in str(parameter.annotation) else f"the {name}")
    return kind(*values)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling(kind: type[KoreError]) -> None:
    error = made(kind)
    error.add_note("seen on the way")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        copy = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301  # our own bytes
        assert type(copy) is kind
        assert (str(copy), copy.args, vars(copy)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_every_leaf_says_whether_a_retry_can_help(kind: type[KoreError]) -> None:
    assert issubclass(kind, RetryableError) != issubclass(kind, FatalError)


def test_the_tree_is_drawn_in_full() -> None:
    drawn = set(re.findall(r"── (\w+)", exceptions.__doc__ or "")) | {"KoreError"}
    assert drawn == {kind.__name__ for kind in ALL}


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_every_error_has_its_row_in_the_table_of_its_branch(kind: type[KoreError]) -> None:
    retryable, fatal = PAGE.partition("\n## Retryable\n")[2].split("\n## Fatal\n")
    here, there = (retryable, fatal) if issubclass(kind, RetryableError) else (fatal, retryable)
    start = f"| `{kind.__name__}` |"
    (row,) = [line for line in here.splitlines() if line.startswith(start)]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == 3
    assert all(cells)
    assert start not in there


def test_the_documentation_names_no_error_that_is_gone() -> None:
    assert set(re.findall(r"`(\w+Error)`", PAGE)) <= {kind.__name__ for kind in ALL}


def test_the_documentation_says_what_the_docstrings_say() -> None:
    filled = runpy.run_path(str(ROOT / "tools" / "doc_errors.py"))["filled"]
    assert filled(PAGE) == PAGE, "run: .venv/bin/python tools/doc_errors.py"
