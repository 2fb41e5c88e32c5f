"""Run mypy on the tests, with the settings of ``tests/mypy.ini``.

A folder of tests is not a package: its files import each other by their bare names, and two folders may use one name.
Folders that share no name are therefore checked together, and one ``conftest.py`` with each lot.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"


def lots(folders: list[Path]) -> list[list[Path]]:
    """Return the folders in as few lots as they fit in, no file name twice in a lot but ``conftest.py``."""
    found: list[tuple[set[str], list[Path]]] = []
    for folder in folders:
        names = {file.name for file in folder.glob("*.py")} - {"conftest.py"}
        for taken, lot in found:
            if taken.isdisjoint(names):
                taken.update(names)
                lot.append(folder)
                break
        else:
            found.append((names, [folder]))
    return [lot for _, lot in found]


def main() -> int:
    """Check all lots; return 1 if anything is wrong."""
    folders = [TESTS, *sorted({file.parent for file in TESTS.glob("*/*.py")})]
    wrong = False
    for lot in lots(folders):
        files = [file for folder in lot for file in sorted(folder.glob("*.py")) if file.name != "conftest.py"]
        files += [conftest for conftest in [lot[-1] / "conftest.py"] if conftest.exists()]
        command = [sys.executable, "-m", "mypy", "--config-file", "tests/mypy.ini", *map(str, files)]
        environment = {**os.environ, "MYPYPATH": os.pathsep.join(str(folder) for folder in lot)}
        wrong |= subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
