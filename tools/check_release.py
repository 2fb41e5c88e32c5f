"""Say whether this commit is fit to be released: `make release` asks before it builds.

Exit status 1 where something is missing, with a line for each.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from airflow_provider_kore import __version__

ROOT = Path(__file__).resolve().parents[1]


def problems(version: str, changelog: str, tags: set[str], changed: str) -> list[str]:
    """Return what is missing, in words.

    :param version: what the package calls itself.
    :param tags: of this commit.
    :param changed: what ``git status --porcelain`` prints.
    """
    found = []
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md has no dated section: ## [{version}] - YYYY-MM-DD")
    if f"v{version}" not in tags:
        found.append(f"this commit has no tag v{version}: git tag --annotate v{version}")
    if changed:
        found.append(f"the working tree differs from the commit:\n{changed.rstrip()}")
    return found


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S607


def main() -> int:
    """Print the problems of this commit."""
    found = problems(
        __version__,
        (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        set(_git("tag", "--points-at", "HEAD").split()),
        _git("status", "--porcelain"),
    )
    for problem in found:
        print(f"Not fit to be released: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
