"""Peak memory of a parquet table of many sparse columns, written and read back: ``python benchmarks/wide_table.py``.

Each row has three dense fields and five of the others, which are spread at random. What is printed is the kernel's peak
(``VmHWM``) above what the process needs for a small table, in MB.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_kore.formats import FORMATS, ColumnSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROMISE_MB = 40.0
"""Above the base, for ten thousand rows of 1,900 columns."""
PARQUET = FORMATS["parquet"]


def rows(columns: int, number: int) -> Iterator[str]:
    """Yield rows as they come from the API."""
    chance = random.Random(1)  # noqa: S311
    for at in range(number):
        row = {"_id": f"cc-{at:012d}", "phoneNumber": f"+49151{at:08d}", "firstName": f"N{at % 977}"}
        row |= {f"custom field {chance.randrange(columns)}": f"value {at % 89}" for _ in range(5)}
        yield json.dumps(row)


def peak_of(work: Callable[[], object]) -> float:
    """Return how much more a piece of work takes than there was before, in MB."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS")
    work()
    return _status("VmHWM") - before


def measure(columns: int, number: int) -> dict[str, float]:
    """Return the peaks of writing a table, of reading its ids and of reading its rows."""
    small = io.BytesIO()
    few = ['{"_id": "1", "a": 1}']
    PARQUET.write(few, small, compression="snappy", columns=ColumnSet.of(few))
    list(PARQUET.read_rows(small, compression="snappy"))
    known = ColumnSet.of(rows(columns, number))
    with tempfile.TemporaryFile() as file:

        def reading(read: Callable[..., Iterator[object]]) -> float:
            file.seek(0)
            return peak_of(lambda: sum(1 for _ in read(file, compression="snappy")))

        written = peak_of(lambda: PARQUET.write(rows(columns, number), file, compression="snappy", columns=known))
        size = file.tell() / 1e6
        return {
            "written": written,
            "ids": reading(PARQUET.read_ids),
            "rows": reading(PARQUET.read_rows),
            "file": size,
        }


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def main() -> int:
    """Measure, print, and return 1 if the promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=1_900)
    parser.add_argument("--rows", type=int, default=10_000)
    options = parser.parse_args()
    found = measure(options.columns, options.rows)
    sys.stdout.write(json.dumps({name: round(value, 1) for name, value in found.items()}) + "\n")
    return int(max(found["written"], found["ids"], found["rows"]) > PROMISE_MB)


if __name__ == "__main__":
    sys.exit(main())
