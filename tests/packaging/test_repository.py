"""What must hold for the files themselves."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Written in pieces, or this file would break its own rule.
REGISTRIES = re.compile(
    "|".join(["py" + r"pi\.", r"files\.python" + "hosted", "registry\\." + "np" + "mjs", "deb\\." + "debian"])
)
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def tracked() -> list[Path]:
    """Return the files under version control; in an unpacked source distribution, all files."""
    answer = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=False, capture_output=True, text=True)
    if answer.returncode == 0:
        return [ROOT / name for name in answer.stdout.split("\0") if name]
    return [file for file in ROOT.rglob("*") if not file.relative_to(ROOT).parts[0].startswith(".")]


def test_no_file_names_a_package_registry() -> None:
    """Whoever installs this chooses the index: theirs may be a mirror."""
    named = [
        str(file.relative_to(ROOT))
        for file in tracked()
        if file.is_file() and REGISTRIES.search(file.read_text(encoding="utf-8", errors="replace"))
    ]
    assert named == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_file_pins_every_package_with_hashes(lock: Path) -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^\s*#.*\n", "", lock.read_text(), flags=re.MULTILINE).strip())
    assert entries
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+(\[[^\]]*\])?==[^\s;]+", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_there_is_a_lock_for_each_airflow_minor_that_is_supported() -> None:
    minors = {re.sub(r"airflow-|\.txt", "", lock.name) for lock in LOCKS if lock.name.startswith("airflow-")}
    assert minors == {"3.0", "3.1", "3.2", "3.3"}


def test_the_locks_are_within_what_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = dict(project["optional-dependencies"])
    with_own_lock = {"iceberg": extras.pop("iceberg")}
    everywhere = [*project["dependencies"], *(one for extra in extras.values() for one in extra)]
    for lock in LOCKS:
        asked = everywhere if lock.name.startswith(("airflow-", "lowest")) else with_own_lock.get(lock.stem, [])
        names = {re.split(r"[\[<>=!~ ]", requirement)[0] for requirement in asked}
        if names:
            assert names <= set(re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==", lock.read_text(), re.MULTILINE)), lock.name
