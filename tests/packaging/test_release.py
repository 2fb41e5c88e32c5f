"""`make release` builds a tagged, dated and clean commit, and no other."""

from __future__ import annotations

import check_release
import pytest

DATED = "# Changelog\n\n## [1.2.0] - 2027-01-31\n\n### Added\n"


def test_a_tagged_dated_and_clean_commit_is_fit() -> None:
    assert check_release.problems("1.2.0", DATED, {"latest", "v1.2.0"}, "") == []


@pytest.mark.parametrize(
    ("version", "changelog", "tags", "changed", "said"),
    [
        ("1.2.0", DATED.replace("2027-01-31", "unreleased"), {"v1.2.0"}, "", "no dated section"),
        ("1.2.1", DATED, {"v1.2.1"}, "", "no dated section"),
        ("1.2.0", DATED, {"v1.2.1", "1.2.0"}, "", "no tag v1.2.0"),
        ("1.2.0", DATED, {"v1.2.0"}, " M README.md\n", "README.md"),
    ],
)
def test_what_is_missing_is_named(version: str, changelog: str, tags: set[str], changed: str, said: str) -> None:
    (problem,) = check_release.problems(version, changelog, tags, changed)
    assert said in problem
