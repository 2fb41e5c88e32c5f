"""What ``verify`` and ``history`` cost: ``python benchmarks/verify.py``.

Peak memory of a process (as ``memory.py`` measures it), and CPU beside that of the least there is to do with the same
bytes: fetch them, unpack them, and compute their SHA-256.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from memory import FORMATS, PROMISE_MB, Case, World, _peak, _reset_peak, measure
from report import table
from servers import start

if TYPE_CHECKING:
    from pathlib import Path

SIZES = (10_000, 1_000_000)


def run(what: str, prefix: str, folder: Path, variables: dict[str, str]) -> dict[str, float]:
    """Return what a process said that did one thing."""
    arguments = json.dumps({"what": what, "prefix": prefix})
    output, _ = start([sys.executable, __file__, "--child", arguments], folder, env=variables).communicate()
    try:
        found: dict[str, float] = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        raise SystemExit(f"{what} {prefix}: failed\n{output}") from None
    return found


def child(what: str, prefix: str) -> None:
    """Do one thing, and print its cost."""
    from airflow_provider_kore.hooks.s3 import open_bucket

    store = open_bucket("memory", "aws_default").store
    next(iter(store.list(prefix)))  # a connection, and what botocore reads for it
    reset, began = _reset_peak(), time.process_time()
    {"verify": _verify, "history": _history, "floor": _floor}[what](store, prefix)
    found = {"cpu": time.process_time() - began, "peak": _peak(reset)}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def _verify(store: Any, prefix: str) -> None:
    from airflow_provider_kore.audit.progress import Progress
    from airflow_provider_kore.audit.verify import verify

    assert verify(store, prefix, progress=Progress(str)).findings.status == "fine"  # noqa: S101


def _history(store: Any, prefix: str) -> None:
    from airflow_provider_kore.audit.history import histories
    from airflow_provider_kore.audit.progress import Progress

    assert histories(store, f"{prefix}/", progress=Progress(str))[0].status == "fine"  # noqa: S101


def _floor(store: Any, prefix: str) -> None:
    for found in store.list(f"{prefix}/"):
        opened, sha = store.get(found.key), hashlib.sha256()
        with opened as stream:
            body = stream.read()
        sha.update(body)
        if found.key.endswith(".gz"):
            gzip.decompress(body)


def main() -> int:
    """Land a list of each size, verify it, and print a table; 1 if the promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="contacts (default: %(default)s)")
    parser.add_argument("--formats", nargs="+", default=FORMATS, help="(default: %(default)s)")
    options = parser.parse_args()
    if options.child:
        child(**options.child)
        return 0
    rows, growth = [], []
    with ExitStack() as stack:
        world = World(stack)
        for name in options.formats:
            case, peaks = Case(name), {}
            for size in options.sizes:
                measure(case, size, world)
                prefix = f"t/{name}-True-False-{size}"
                peaks[size] = {what: run(what, prefix, world.folder, world.variables) for what in _WHAT}
            first, last = peaks[options.sizes[0]], peaks[options.sizes[-1]]
            growth += [last[what]["peak"] - first[what]["peak"] for what in ("verify", "history")]
            rows.append(
                [
                    name,
                    *(f"{growth_:.1f}" for growth_ in growth[-2:]),
                    *(f"{last[what]['cpu'] / last['floor']['cpu']:.1f}" for what in ("verify", "history")),
                    f"{last['verify']['cpu']:.1f}",
                ]
            )
            sys.stdout.write(" | ".join(rows[-1]) + "\n")
            sys.stdout.flush()
    heads = ["Format", "verify, MB more", "history, MB more", "verify, CPU", "history, CPU", "verify, CPU s"]
    sys.stdout.write(f"{table(heads, rows)}\n\nMost growth: {max(growth):.1f} MB; promised: {PROMISE_MB:g} MB.\n")
    return int(max(growth) > PROMISE_MB)


_WHAT = ("floor", "verify", "history")


if __name__ == "__main__":
    sys.exit(main())
