"""Make an environment from lock files: ``environment.py FOLDER LOCK... [--python 3.12] [--without-project]``.

Needs nothing but a Python 3.11+ with pip; neither the venv module nor write access to that Python. uv is fetched
by pip, checked against its hashes, and kept in .tools/. An environment that is up to date costs some milliseconds.

What is installed is compiled, once. Python compiles by itself what it imports, but not where PYTHONDONTWRITEBYTECODE
is set, as in many containers: there each process of Airflow compiles 2,000 files again, which takes half of its start.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
PYTHONS = ("3.13", "3.12", "3.11")
NOT_COMPILED = "/(mpmath|networkx|sympy|tests)/"
"""A quarter of all source: other packages want it there, nothing of ours imports it."""


class CannotMakeError(Exception):
    """An environment cannot be made; the message says why and what to do."""


def main(arguments: list[str]) -> int:
    """Make one environment, or leave it as it is."""
    parser = argparse.ArgumentParser(description="Make an environment from lock files.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("locks", nargs="+", help="names of files in requirements/, without .txt")
    parser.add_argument("--python", default=None, help="such as 3.12; the newest supported one when left out")
    parser.add_argument("--without-project", action="store_true", help="don't install the checkout itself")
    chosen = parser.parse_args(arguments)
    try:
        version = chosen.python or newest_python()
        make_environment(ROOT / chosen.folder, chosen.locks, version, project=not chosen.without_project)
    except CannotMakeError as problem:
        print(f"environment: {problem}", file=sys.stderr)
        return 1
    return 0


def make_environment(folder: Path, locks: list[str], version: str, *, project: bool = True) -> Path:
    """Bring ``folder`` to what the locks say and return its Python; do nothing if it is there already."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as alone:  # two targets may be asked for at once
        fcntl.flock(alone, fcntl.LOCK_EX)
        return _make(folder, locks, version, project=project)


def _make(folder: Path, locks: list[str], version: str, *, project: bool) -> Path:
    python = folder / "bin" / "python"
    stamp = folder / ".made-from"
    files = [ROOT / "requirements" / f"{lock}.txt" for lock in locks]
    digest = _digest(files, version, str(folder), NOT_COMPILED, _project() if project else "")
    if python.exists() and stamp.is_file() and stamp.read_text() == digest:
        return python
    base = find_python(version)
    if base is None:
        raise CannotMakeError(f"Python {version} is not installed; install it, or choose another with PYTHON=3.11.")
    uv = bootstrap_uv()
    print(f"Making {folder.relative_to(ROOT)} (Python {version}, {' + '.join(locks)}) ...", file=sys.stderr, flush=True)
    stamp.unlink(missing_ok=True)
    _run([uv, "venv", "--quiet", "--clear", "--python", base, folder])
    _run([uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, *files])
    if project:
        _run([uv, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--python", python, "-e", ROOT])
    _compile(python, folder / "lib")
    stamp.write_text(digest)
    return python


def _compile(python: Path, packages: Path) -> None:
    # Whatever it says: some packages hold files that are no Python, such as templates.
    command = [str(python), "-m", "compileall", "-qq", "-j", "0", "-x", NOT_COMPILED, str(packages)]
    subprocess.run(command, cwd=ROOT, check=False, capture_output=True)


def bootstrap_uv() -> Path:
    """Return the pinned uv, fetched by pip when it isn't there yet or its pin has changed."""
    lock = ROOT / "requirements" / "uv.txt"
    folder, stamp = TOOLS / "uv", TOOLS / "uv.made-from"
    uv = folder / "bin" / "uv"
    digest = _digest([lock], sys.platform, str(folder))
    if uv.exists() and stamp.is_file() and stamp.read_text() == digest:
        return uv
    print("Fetching uv with pip ...", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    pip = [*_pip(), "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run(
        [*pip, "--only-binary", ":all:", "--require-hashes", "--target", folder, "-r", lock],
        # A person's own pip settings may ask for an environment, or for --user, which --target cannot obey.
        {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0", "PIP_ROOT_USER_ACTION": "ignore"},
    )
    stamp.write_text(digest)
    return uv


def uv_environ() -> dict[str, str]:
    """Return the variables that uv runs with: installed Pythons only, and the index and certificates pip uses."""
    environ = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1", "UV_LINK_MODE": "hardlink"}
    environ.pop("VIRTUAL_ENV", None)
    environ.setdefault("UV_SYSTEM_CERTS", "true")
    index = _pip_setting("index-url")
    if index:
        environ.setdefault("UV_DEFAULT_INDEX", index)
    certificates = _pip_setting("cert")
    if certificates and Path(certificates).is_file():
        environ.setdefault("SSL_CERT_FILE", certificates)
    return environ


def newest_python() -> str:
    """Return the newest supported Python that this machine has."""
    for version in PYTHONS:
        if find_python(version):
            return version
    raise CannotMakeError(f"none of Python {', '.join(PYTHONS)} is installed; install one of them.")


def find_python(version: str) -> str | None:
    """Return an interpreter of this version, such as "3.12", or None: this one, one on PATH, or one of pyenv's."""
    for candidate in _candidates(version):
        code = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
        try:
            answer = subprocess.run([candidate, "-I", "-c", code], capture_output=True, text=True, check=False)
        except OSError:
            continue
        found, _, path = answer.stdout.strip().partition(" ")
        if answer.returncode == 0 and found == version:
            return path
    return None


def _candidates(version: str) -> list[str]:
    candidates = [sys.executable] if version == ".".join(map(str, sys.version_info[:2])) else []
    on_path = shutil.which(f"python{version}")
    roots = [Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")]
    if on_path:
        candidates.append(on_path)
        if Path(on_path).parent.name == "shims":  # pyenv's, which refuse a version that isn't switched on
            roots.append(Path(on_path).parent.parent)
    for root in roots:
        installed = root.glob(f"versions/{version}.*/bin/python{version}")
        candidates += sorted(map(str, installed), key=_numbers, reverse=True)
    return candidates


def _project() -> str:
    # What an installed checkout has copied: a new entry point counts, a new rule of a linter doesn't.
    return json.dumps(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"], sort_keys=True)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _digest(files: list[Path], *words: str) -> str:
    digest = hashlib.sha256("\0".join(words).encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _pip() -> list[str]:
    # uv's environments hold no pip; the Python that this one was made from has it.
    python = sys.executable if importlib.util.find_spec("pip") else f"{sys.base_prefix}/bin/python3"
    return [python, "-m", "pip"]


def _pip_setting(name: str) -> str | None:
    command = [*_pip(), "config", "get", f"global.{name}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return os.environ.get(f"PIP_{name.upper().replace('-', '_')}") or answer.stdout.strip() or None


def _run(command: Sequence[str | Path], environ: dict[str, str] | None = None) -> None:
    words = [str(word) for word in command]
    if subprocess.run(words, cwd=ROOT, env=environ or uv_environ(), check=False).returncode:
        raise CannotMakeError(f"this command failed: {' '.join(words)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
