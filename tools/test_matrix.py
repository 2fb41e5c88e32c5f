"""Run the suite on every supported pair of Airflow and Python.

`make test` runs everything on the newest pair, and `--lowest` the core on the lowest version of everything. The core
imports no Airflow, which an import contract holds, so another minor meets only what touches Airflow: on its newest
Python that but for what brings an Airflow of its own (``once``) and what is the same on each, on its other Pythons the
one file that runs an operator from end to end, and the imports. Those are short: as many pairs at a time as there are
cores, in one process each. All other pairs run one after the other. Options after ``--`` go to pytest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from environment import ROOT, CannotMakeError, find_python, make_environment

if TYPE_CHECKING:
    from pathlib import Path

# What each minor itself supports, among the Pythons that this package supports; the newest first.
MATRIX = {
    "3.3": ("3.13", "3.12", "3.11"),
    "3.2": ("3.13", "3.12", "3.11"),
    "3.1": ("3.13", "3.12", "3.11"),
    "3.0": ("3.12", "3.11"),
}
NEWEST_AIRFLOW = "3.3"
SAME_ON_EACH_MINOR = (
    "test_bad_input",
    "test_demo",
    "test_documentation",
    "test_explore_command",
    "test_hanging_looks",
    "test_opening_a_bucket",
    "test_progress",
)
"""Files of tests/airflow that ask our own code alone, or the docs."""
SCOPES: dict[str, tuple[str, ...]] = {
    "all": ("-m", "not once and not soak"),
    "airflow": (
        *("-m", "not once and not soak and not exhaustive", "tests/airflow", "tests/packaging/test_imports.py"),
        *("tests/packaging/test_provider_info.py", "tests/system"),
        *(f"--ignore=tests/airflow/{name}.py" for name in SAME_ON_EACH_MINOR),
    ),
    "lowest": ("-m", "not once and not soak and not system and not exhaustive and not debian"),
    "operator": (
        *("-m", "not once and not soak and not system"),
        *("tests/airflow/test_operator.py", "tests/airflow/test_provider.py", "tests/packaging/test_imports.py"),
    ),
}
"""What pytest is told, by how much of the suite a pair runs."""


@dataclass(frozen=True)
class Pair:
    """One environment to run the suite in.

    :param lock: its lock file in requirements/, without .txt.
    :param python: such as "3.12".
    :param scope: how much of the suite, a name in :data:`SCOPES`.
    """

    lock: str
    python: str
    scope: str

    @property
    def name(self) -> str:
        """Return how the table and the folder call this pair."""
        return f"{self.lock}-py{self.python}"


@dataclass(frozen=True)
class Outcome:
    """What pytest said about one pair; ``seconds`` include making the environment."""

    pair: Pair
    passed: int
    failed: int
    skipped: int
    seconds: float
    note: str = ""


def main(arguments: list[str]) -> int:
    """Run all pairs, print the table, and return 1 if any of them failed."""
    parser = argparse.ArgumentParser(description="Run the suite on every supported pair of Airflow and Python.")
    parser.add_argument("--skip-newest", action="store_true", help="leave out the pair that `make test` runs on")
    parser.add_argument("--lowest", action="store_true", help="run on the lowest allowed versions instead")
    parser.add_argument("--airflow", choices=sorted(MATRIX), help="only this minor")
    parser.add_argument("pytest", nargs="*", help="options for pytest, after --")
    chosen = parser.parse_args(arguments)
    pairs, lacking = plan({chosen.airflow} if chosen.airflow else set(MATRIX), skip_newest=chosen.skip_newest)
    if chosen.lowest:
        oldest = next((python for python in reversed(MATRIX["3.0"]) if find_python(python)), "3.11")
        pairs, lacking = [Pair("lowest", oldest, "lowest")], []
    outcomes = run_all(pairs, chosen.pytest)
    print_table(outcomes)
    for version in lacking:
        print(f"Not run: Python {version} is not installed on this machine.")
    if not outcomes:
        print("No pair could be run.")
    failed = sum(outcome.failed for outcome in outcomes)
    print(f"\n{sum(outcome.passed for outcome in outcomes)} passed, {failed} failed")
    return 1 if failed or not outcomes else 0


def plan(minors: set[str], *, skip_newest: bool) -> tuple[list[Pair], list[str]]:
    """Return the pairs that this machine can run, and the Pythons it lacks."""
    present = {python for pythons in MATRIX.values() for python in pythons if find_python(python)}
    lacking = sorted({python for minor in minors for python in MATRIX[minor]} - present)
    pairs = []
    for minor in sorted(minors):
        here = [python for python in MATRIX[minor] if python in present]
        pairs += [Pair(f"airflow-{minor}", python, scope(minor, python, here)) for python in here]
    if skip_newest:
        pairs = [pair for pair in pairs if not (pair.scope == "all" and pair.lock == f"airflow-{NEWEST_AIRFLOW}")]
    return pairs, lacking


def scope(minor: str, python: str, pythons: list[str]) -> str:
    """Return how much of the suite a pair runs; ``pythons`` are those of its minor, the newest first."""
    if python != pythons[0]:
        return "operator"
    return "all" if minor == NEWEST_AIRFLOW else "airflow"


def run_all(pairs: list[Pair], options: list[str]) -> list[Outcome]:
    """Run the suite on each pair; the short ones beside each other."""
    cores = os.cpu_count() or 1
    long = [run(pair, options, processes=cores + 1) for pair in pairs if pair.scope != "operator"]
    with ThreadPoolExecutor(cores) as pool:
        short = pool.map(lambda pair: run(pair, options, processes=0), [p for p in pairs if p.scope == "operator"])
    return [*long, *short]


def run(pair: Pair, options: list[str], *, processes: int) -> Outcome:
    """Run the suite on one pair.

    :param processes: how many test processes, one more than cores because what starts Airflow mostly waits. 0 runs the
        tests in pytest's own process, and prints what they say at their end: other pairs run at the same time.
    """
    started = time.monotonic()
    folder = ROOT / ".cache" / "matrix" / pair.name
    report = folder / "junit.xml"
    try:
        python = make_environment(folder, [pair.lock], pair.python)
    except CannotMakeError as problem:
        print(f"\n===== {pair.name}: environment: {problem}", flush=True)
        return Outcome(pair, 0, 1, 0, time.monotonic() - started, "no environment")
    report.unlink(missing_ok=True)
    command = [str(python), "-m", "pytest", "-q", "-n", str(processes), "--dist", "loadgroup", "-p", "no:cacheprovider"]
    command += [f"--junitxml={report}", *SCOPES[pair.scope], *options]
    title = f"\n===== {pair.name} ({pair.scope})"
    if processes:
        print(title, flush=True)
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
    else:
        ended = subprocess.run(
            command, cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        print(f"{title}\n{ended.stdout}", flush=True)
        code = ended.returncode
    passed, failed, skipped = count(report)
    note = "" if code == 0 else f"pytest ended with {code}"
    return Outcome(pair, passed, max(failed, int(code != 0)), skipped, time.monotonic() - started, note)


def count(report: Path) -> tuple[int, int, int]:
    """Return how many tests passed, failed (errors too) and were skipped, as the JUnit report has it."""
    if not report.is_file():
        return 0, 0, 0
    suites = list(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314 - pytest wrote it a moment ago

    def total(name: str) -> int:
        return sum(int(suite.get(name, "0")) for suite in suites)

    failed, skipped = total("failures") + total("errors"), total("skipped")
    return total("tests") - failed - skipped, failed, skipped


def print_table(outcomes: list[Outcome]) -> None:
    """Print one line per pair."""
    print(f"\n{'pair':<22}{'tests':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for one in outcomes:
        numbers = f"{one.passed:>8}{one.failed:>8}{one.skipped:>9}{one.seconds:>9.0f}"
        print(f"{one.pair.name:<22}{one.pair.scope:<12}{numbers}  {one.note}".rstrip())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
