"""Programs that come as packages of Debian: found, or installed where we may, or a skip that names them."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

# Debian keeps most of PostgreSQL's programs out of PATH, in a folder per version.
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/sbin", "/sbin")


def require(packages: dict[str, str]) -> dict[str, str]:
    """Return the path of each program; ``packages`` says which package each comes with.

    Skips the test where a program is missing and cannot be installed.
    """
    with Path(tempfile.gettempdir(), f"kore-apt-{os.geteuid()}.lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)  # apt-get waits for dpkg's lock, but not for its own
        missing = sorted({package for program, package in packages.items() if find(program) is None})
        if missing:
            _install(missing, " and ".join(sorted(set(packages.values()))))
    found = {program: find(program) for program in packages}
    lacking = [program for program, path in found.items() if path is None]
    assert not lacking, f"{', '.join(missing)} installed, yet without {', '.join(lacking)}"
    return {program: path for program, path in found.items() if path is not None}


def find(program: str) -> str | None:
    """Return the path of a program, of its newest version; None if it isn't here."""
    for pattern in PLACES:
        versions = sorted(glob.glob(f"{pattern}/{program}"), key=lambda path: (len(path), path))  # noqa: PTH207
        if versions:
            return versions[-1]
    return shutil.which(program)


def _install(packages: list[str], all_packages: str) -> None:
    needs = f"This test needs Debian's {all_packages}"
    sudo = _sudo()
    if shutil.which("apt-get") is None:
        pytest.skip(f"{needs}, and there is no apt-get here to install {' and '.join(packages)} with.")
    if sudo is None:
        pytest.skip(f"{needs}. Install what is missing first: sudo apt-get install {' '.join(packages)}")
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300", "-qq"]
    install = [*apt, "install", "--yes", "--no-install-recommends", *packages]
    for command in (install, [*apt, "update"], install):
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if command is install and done.returncode == 0:
            return
    pytest.skip(f"{needs}, and apt-get could not install {' and '.join(packages)}: {done.stdout.strip()[-500:]}")


def _sudo() -> list[str] | None:
    """Return what goes before a command so that root runs it; None if we may not."""
    if os.geteuid() == 0:
        return []
    may = shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n"] if may and may.returncode == 0 else None
