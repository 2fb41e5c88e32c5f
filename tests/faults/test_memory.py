"""Memory does not grow with the list, beyond a few bytes per contact: ``benchmarks/memory.py`` has the real numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
BENCHMARK = BENCHMARKS / "memory.py"
SMALL, LARGE = 40_000, 100_000
"""The smaller one fills chunks already: they end at 10,000 contacts, or at a sixth of the list."""
BYTES_PER_CONTACT = 27 + 2 * 8
"""What :class:`~airflow_provider_kore.walk.ids.IdSet` costs at its worst, and as much again as it grows."""
NOISE_MB = 6.0
"""Between two processes that do the same."""


@pytest.mark.parametrize("file_format", ["parquet"])
def test_memory_stays_flat(file_format: str) -> None:
    command = [sys.executable, str(BENCHMARK), "--json", "--sizes", str(SMALL), str(LARGE)]
    command += ["--only", f"{file_format}, durable"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (name, (small, large)), *_ = json.loads(done.stdout).items()
    allowed = (LARGE - SMALL) * BYTES_PER_CONTACT / (1 << 20) + NOISE_MB
    assert large - small < allowed, f"{name}: from {small:.1f} to {large:.1f} MB; {allowed:.1f} MB more are allowed"


def test_a_parquet_table_of_many_columns_takes_no_memory_for_cells_that_no_row_has() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "wide_table.py")], capture_output=True, text=True, timeout=250, check=False
    )
    found = json.loads(done.stdout)
    # 36 MB with pyarrow 26, 50 with 17; it was 280 when each cell of a row group took its eight bytes.
    assert max(found["written"], found["ids"], found["rows"]) < 70, found
