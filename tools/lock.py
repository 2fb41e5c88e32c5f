"""Write the lock files in requirements/: names, versions and hashes, for every supported Python at once.

``make lock`` rewrites all of them, ``make lock ONLY=docs`` one.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from environment import ROOT, bootstrap_uv, uv_environ

if TYPE_CHECKING:
    from pathlib import Path

OLDEST_PYTHON = "3.11"
PROJECT = ("pyproject.toml", "requirements/test.in")
NEWEST = "requirements/airflow-3.3.txt"
EXTRAS = ("parquet", "testing")
"""What every environment has. The extra ``iceberg`` has a lock of its own: its tests need one Airflow only."""


@dataclass(frozen=True)
class Lock:
    """One lock file, and how it is resolved.

    :param name: ``requirements/<name>.txt`` is written.
    :param sources: what is read, relative to the checkout.
    :param until: ignore releases younger than this day; Airflow's minors break with libraries much younger than they.
    :param options: further options of ``uv pip compile``.
    """

    name: str
    sources: tuple[str, ...]
    until: str | None = None
    options: tuple[str, ...] = ()

    def command(self, uv: Path) -> list[str]:
        """Return the command that resolves this lock."""
        command = [str(uv), "pip", "compile", "--quiet", "--universal", "--upgrade", "--python-version", OLDEST_PYTHON]
        command += ["--generate-hashes", "--no-header", *self.options]
        if "pyproject.toml" in self.sources:
            command += [f"--extra={extra}" for extra in EXTRAS]
        if self.until:
            command += ["--exclude-newer", self.until]
            for package in TOOLS:
                command += ["--exclude-newer-package", f"{package}={TOOLS_UNTIL}"]
        return [*command, "--output-file", f"requirements/{self.name}.txt", *self.sources]


# What the tests look through at our work should be the same on every minor: the S3 server, the reader of files.
TOOLS = ("duckdb", "moto", "py-partiql-parser")
TOOLS_UNTIL = "2026-11-20"
LOCKS = (
    Lock("uv", ("requirements/uv.in",)),
    Lock("airflow-3.3", (*PROJECT, "requirements/airflow-3.3.in")),
    Lock("airflow-3.2", (*PROJECT, "requirements/airflow-3.2.in"), until="2026-06-20"),
    Lock("airflow-3.1", (*PROJECT, "requirements/airflow-3.1.in"), until="2026-04-01"),
    Lock("airflow-3.0", (*PROJECT, "requirements/airflow-3.0.in"), until="2025-10-15"),
    Lock(
        "lowest",
        (*PROJECT, "requirements/lowest.in"),
        until="2025-10-15",
        options=("--resolution", "lowest-direct"),
    ),
    Lock("celery", ("requirements/celery.in",), options=("--constraints", NEWEST)),
    Lock("openlineage", ("requirements/openlineage.in",), options=("--constraints", NEWEST)),
    Lock("lint", ("requirements/lint.in",), options=("--constraints", NEWEST)),
    Lock("docs", ("requirements/docs.in",), options=("--constraints", NEWEST)),
    Lock("iceberg", ("requirements/iceberg.in",), options=("--constraints", NEWEST)),
    Lock("browser", ("requirements/browser.in",), options=("--constraints", NEWEST)),
    Lock("duckdb", ("requirements/duckdb.in",)),
    Lock("ministack", ("requirements/ministack.in",)),
    Lock("localbucket", ("requirements/localbucket.in",)),
    Lock("rclone", ("requirements/rclone.in",)),
    Lock("bench", ("requirements/bench.in",)),
    Lock("readers", ("requirements/readers.in",)),
)


def main(only: set[str]) -> int:
    """Resolve all locks, or those that are named."""
    unknown = only - {lock.name for lock in LOCKS}
    if unknown:
        print(f"No lock is called {', '.join(sorted(unknown))}. There are: {', '.join(lock.name for lock in LOCKS)}.")
        return 2
    uv = bootstrap_uv()
    for lock in LOCKS:
        if only and lock.name not in only:
            continue
        print(f"requirements/{lock.name}.txt", flush=True)
        if subprocess.run(lock.command(uv), cwd=ROOT, env=uv_environ(), check=False).returncode:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(set(sys.argv[1:])))
