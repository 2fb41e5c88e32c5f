"""Every error survives its journey between processes, and says what to do."""

from __future__ import annotations

import inspect
import pickle
import re
from pathlib import Path

import pytest

from airflow_provider_kore import exceptions
from airflow_provider_kore.exceptions import FatalError, KoreError, RetryableError

ROOT = Path(__file__).parents[2]
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


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_says_what_it_means_and_what_to_do(kind: type[KoreError]) -> None:
    meaning, *others = inspect.cleandoc(kind.__dict__["__doc__"]).split("\n\n")
    assert meaning.endswith(".")
    assert sum(paragraph.startswith("What to do: ") for paragraph in others) == 1


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_page_that_an_error_names_exists(kind: type[KoreError]) -> None:
    for page in re.findall(r"docs/[a-z0-9-]+\.md", kind.__doc__ or ""):
        assert (ROOT / page).exists()


def test_the_page_of_errors_shows_them_and_names_none_that_is_gone() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert f".. automodule:: {exceptions.__name__}\n" in page
    assert set(re.findall(r"`(\w+Error)`", page)) <= {kind.__name__ for kind in ALL}
