"""What deaths cost, as a table: ``KORE_DEATHS=deaths.jsonl pytest tests/faults``, then this with that file."""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path


def main(path: str) -> None:
    shares: dict[str, list[float]] = defaultdict(list)
    for line in Path(path).read_text().splitlines():
        death = json.loads(line)
        shares[death["kind"]].append(100 * death["share"])
    sys.stdout.write("| Death | times | least | median | most |\n|---|---:|---:|---:|---:|\n")
    for kind, found in sorted(shares.items()):
        numbers = f"{min(found):.0f} % | {statistics.median(found):.0f} % | {max(found):.0f} %"
        sys.stdout.write(f"| {kind} | {len(found)} | {numbers} |\n")


if __name__ == "__main__":
    main(sys.argv[1])
