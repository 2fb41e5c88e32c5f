"""The mutants of `make mutants` can be tried: each guard is there, and so is the test of its promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mutants import MUTANTS, PACKAGE, Mutant

ROOT = Path(__file__).resolve().parents[2]

PROMISES = (ROOT / "docs" / "promises.md").read_text()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.promise)
def test_its_guard_stands_once_in_the_package_and_its_test_exists(mutant: Mutant) -> None:
    assert (ROOT / PACKAGE / mutant.file).read_text().count(mutant.guard) == 1
    file, _, name = mutant.test.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.promise)
def test_the_page_of_promises_names_it(mutant: Mutant) -> None:
    subject = mutant.promise.partition(":")[0]
    (row,) = [line for line in PROMISES.splitlines() if f"| {subject} |" in line]
    assert f"`{mutant.file}`" in row
    assert mutant.test.partition("::")[2] in row


def test_every_test_that_the_page_names_exists() -> None:
    tests = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", PROMISES)
    assert len(named) > 20
    assert [name for name in named if f"def {name}(" not in tests] == []
