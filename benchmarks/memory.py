"""Peak memory of one snapshot, by size of the list: ``python benchmarks/memory.py``.

Each line is a process of its own that imports Airflow and the operator, and then runs ``execute`` once against a
simulator and a moto server in two further processes. Its peak is the kernel's (``VmHWM``, set back before ``execute``,
so that a peak of Python's imports hides nothing; ``getrusage`` where the kernel can't set it back). A resumed snapshot
is one whose first process was killed with ``kill -9`` after two thirds of the walk.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from report import table
from servers import environment, start, start_s3, start_vendor

if TYPE_CHECKING:
    import subprocess

SIZES = (10_000, 100_000, 1_000_000)
FORMATS = ("jsonl", "csv", "parquet")
PROMISE_MB = 40.0
"""How much more a million contacts may take than ten thousand."""
PAGE = 500
"""Contacts in a page: as few as 50 would only make it slower."""


@dataclass(frozen=True)
class Case:
    """One snapshot to measure."""

    file_format: str
    durable: bool = True
    resumed: bool = False

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{self.file_format}, {'durable' if self.durable else 'not durable'}{', resumed' * self.resumed}"


CASES = [Case(file_format, durable) for file_format, durable in product(FORMATS, (True, False))]
CASES += [Case(file_format, resumed=True) for file_format in FORMATS]


def measure(case: Case, contacts: int, world: World) -> float:
    """Return the peak in MiB of a process that lands a list of so many contacts."""
    name = f"{case.file_format}-{case.durable}-{case.resumed}-{contacts}"
    if case.resumed:
        first = world.start(case, contacts, name)
        world.vendor.forget()
        while world.pages() < contacts * 2 // 3 // PAGE:
            if first.poll() is not None:
                raise SystemExit(f"{case.name}: ended before it was killed\n{first.communicate()[0]}")
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        first.communicate()
    output, _ = world.start(case, contacts, name).communicate()
    try:
        found = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        raise SystemExit(f"{case.name}: failed\n{output}") from None
    if found["contacts"] != contacts:
        raise SystemExit(f"{case.name}: {found['contacts']} of {contacts} contacts landed")
    return float(found["peak"])


class World:
    """The simulator, the S3 server, and how to reach them."""

    def __init__(self, stack: ExitStack) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kore-memory-")))
        s3 = start_s3(stack, self.folder, "memory")
        self.vendor = start_vendor(stack, self.folder, requests_per_minute=0, max_limit=PAGE)
        self._lists: set[str] = set()
        self.variables = environment(self.folder, self.vendor, s3)

    def start(self, case: Case, contacts: int, name: str) -> subprocess.Popen[str]:
        """Start the process that is measured."""
        list_id = f"cl-{contacts}"
        if list_id not in self._lists:
            self._lists.add(list_id)
            self.vendor.add_list(contacts, list_id)
        arguments = {"list": list_id, "format": case.file_format, "durable": case.durable, "name": name}
        return start([sys.executable, __file__, "--child", json.dumps(arguments)], self.folder, env=self.variables)

    def pages(self) -> int:
        """Return how many pages were served since the vendor was told to forget."""
        return self.vendor.pages()


def child(arguments: dict[str, Any]) -> None:
    """Land one list and print the peak."""
    from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

    operator = ContactListToS3Operator(
        task_id="land",
        contact_list_id=arguments["list"],
        s3_bucket="memory",
        s3_prefix=f"t/{arguments['name']}",
        file_format=arguments["format"],
        durable=arguments["durable"],
        snapshot_date="2026-11-23",
    )
    ti = SimpleNamespace(dag_id="memory", run_id="run", task_id="land", map_index=-1, try_number=1)
    context: Any = {"ti": ti, "dag_run": SimpleNamespace(run_after=datetime.now(UTC))}
    reset = _reset_peak()
    summary = operator.execute(context)
    sys.stdout.write("\n" + json.dumps({"peak": _peak(reset), "contacts": summary["contacts"]}) + "\n")


def _reset_peak() -> bool:
    """Set the kernel's mark of this process back; return False where it can't be."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _peak(reset: bool) -> float:  # noqa: FBT001
    """Return this process's peak in MiB."""
    if reset:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Measure everything, print a table, and return 1 if the promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, help="numbers of contacts (default: %(default)s)"
    )
    parser.add_argument("--only", default="", help="measure only the cases whose name begins so")
    parser.add_argument("--json", action="store_true", help="print peaks as JSON, for the first case of --only alone")
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return 0
    cases = [case for case in CASES if case.name.startswith(options.only)]
    if options.json:
        with ExitStack() as stack:
            world = World(stack)
            _say(json.dumps({case.name: [measure(case, size, world) for size in options.sizes] for case in cases[:1]}))
        return 0
    rows, growth = [], []
    with ExitStack() as stack:
        world = World(stack)
        for case in cases:
            peaks = [measure(case, size, world) for size in options.sizes]
            growth.append(peaks[-1] - peaks[0])
            rows.append([case.name, *(f"{peak:.0f}" for peak in peaks), f"{growth[-1]:.1f}"])
            _say(" | ".join(rows[-1]))
    heads = ["Peak in MB at … contacts", *(f"{size:,}" for size in options.sizes), "growth"]
    text = f"{table(heads, rows)}\n\nMost growth: {max(growth):.1f} MB; promised: at most {PROMISE_MB:g} MB."
    _say(text)
    return int(max(growth) > PROMISE_MB)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
