"""The benchmark works, its formula holds, and the docs show the numbers that it last found. Nothing here is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what a quick run found; it ends with a message if any contender lands another list than it was given."""
    results = tmp_path_factory.mktemp("bench") / "results.json"
    environment = [sys.executable, "tools/environment.py", ".cache/bench", "bench", "--without-project"]
    subprocess.run(environment, cwd=ROOT, check=True)
    command = [sys.executable, "benchmarks/compare.py", "--quick", "--output", str(results)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(results.read_text())
    return found


@pytest.mark.slow
@pytest.mark.once
def test_every_contender_lands_the_list(quick: dict[str, Any]) -> None:
    results = quick["scenarios"]["no limits"]["results"]
    assert {name: result["landed"] for name, result in results.items()} == {
        "ours": 120,
        "our core": 120,
        "requests loop": 120,
        "HttpOperator": 120,
        "dlt": 120,
        "floor": 0,
    }
    assert {result["pages"] for result in results.values()} == {3}


@pytest.mark.slow
@pytest.mark.once
def test_the_sizing_formula_counts_requests_and_waits(quick: dict[str, Any]) -> None:
    for row in quick["sizing"]:
        assert row["requests"] == row["expected_requests"]
        assert row["wall"] >= 60.0 * ((row["requests"] - 1) // row["per_minute"])


def test_the_docs_show_the_numbers_of_the_last_run() -> None:
    before = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    code = "import sys; sys.path.insert(0, 'benchmarks'); import json, report; "
    code += "found = json.loads(report.RESULTS.read_text()); "
    code += "sys.stdout.write(report.fill(report.PAGE.read_text(), report.blocks(found)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == before, "run: python benchmarks/report.py"
