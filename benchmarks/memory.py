"""Peak memory of one snapshot, by size of the list: ``python benchmarks/memory.py``.

Each line is a process of its own that imports Airflow and the operator, and then runs ``execute`` once against a
simulator and a moto server in two further processes. Its peak is the kernel's (``VmHWM``, set back before ``execute``,
so that a peak of Python's imports hides nothing; ``getrusage`` where the kernel can't set it back). A resumed snapshot
is one whose first process was killed with ``kill -9`` after two thirds of the walk.
"""

# ruff: noqa: INP001  # a script, no package

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

SIZES = (10_000, 100_000, 1_000_000)
FORMATS = ("jsonl", "csv", "parquet")
PROMISE_MB = 40.0
"""How much more a million contacts may take than ten thousand."""
PAGE = 500
"""Contacts in a page: as few as 50 would only make it slower."""
MIB = 1 << 20
WAIT_SECONDS = 60.0

_MOTO = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
from werkzeug.serving import make_server
from moto.server import DomainDispatcherApplication, create_backend_app
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.port, flush=True)
server.serve_forever()
"""


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
        world.forget()
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
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kore-memory-"))
        moto = stack.enter_context(_process([sys.executable, "-c", _MOTO], folder, stdin=subprocess.PIPE))
        stack.callback(moto.kill)
        command = [sys.executable, "-m", "airflow_provider_kore.simulator", "--set", "requests_per_minute=0"]
        command += ["--set", f"max_limit={PAGE}"]
        simulator = stack.enter_context(_process(command, folder))
        stack.callback(simulator.terminate)
        started = json.loads(simulator.stdout.readline())  # type: ignore[union-attr]
        s3 = f"http://127.0.0.1:{int(moto.stdout.readline())}"  # type: ignore[union-attr]
        kore = json.loads(started["connection"])
        kore["extra"] |= {"requests_per_minute": 0}
        self.url = started["url"]
        self._folder = folder
        self._lists: set[int] = set()
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "AWS_"))},
            "AIRFLOW_HOME": folder,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "AIRFLOW_CONN_KORE_DEFAULT": json.dumps(kore),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(
                {
                    "conn_type": "aws",
                    "login": "key",
                    "password": "secret",
                    "extra": {
                        "endpoint_url": s3,
                        "region_name": "us-east-1",
                        "config_kwargs": {"s3": {"addressing_style": "path"}},
                    },
                }
            ),
        }
        self._request(f"{s3}/memory", "PUT")

    def start(self, case: Case, contacts: int, name: str) -> subprocess.Popen[str]:
        """Start the process that is measured."""
        list_id = f"cl-{contacts}"
        if contacts not in self._lists:
            self._lists.add(contacts)
            self._control("POST", "lists", {"list_id": list_id, "contacts": contacts})
        arguments = {"list": list_id, "format": case.file_format, "durable": case.durable, "name": name}
        return _process(
            [sys.executable, __file__, "--child", json.dumps(arguments)], self._folder, env=self._environment
        )

    def pages(self) -> int:
        """Return how many pages were served since :meth:`forget`."""
        return int(self._control("GET", "report")["endpoints"].get("contacts", 0))

    def forget(self) -> None:
        """Begin to count anew."""
        self._control("DELETE", "requests")

    def _control(self, method: str, path: str, body: object = None) -> Any:
        return json.loads(self._request(f"{self.url}/_simulator/{path}", method, body))

    def _request(self, url: str, method: str, body: object = None) -> bytes:
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(url, data, method=method)  # noqa: S310  # our own servers
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:  # noqa: S310
            return bytes(answer.read())


def _process(command: list[str], folder: str, **options: Any) -> subprocess.Popen[str]:
    with (Path(folder) / "errors.log").open("a") as errors:
        return subprocess.Popen(  # noqa: S603  # our own commands
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=Path(__file__).parents[1], **options
        )


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
    heads = [f"{size:,}" for size in options.sizes]
    _say(f"| Peak in MB at … contacts | {' | '.join(heads)} | growth |")
    _say("|---|" + "---:|" * (len(heads) + 1))
    worst = 0.0
    with ExitStack() as stack:
        world = World(stack)
        for case in cases:
            peaks = [measure(case, size, world) for size in options.sizes]
            worst = max(worst, peaks[-1] - peaks[0])
            _say(f"| {case.name} | {' | '.join(f'{peak:.0f}' for peak in peaks)} | {peaks[-1] - peaks[0]:.1f} |")
    _say(f"\nMost growth: {worst:.1f} MB; promised: at most {PROMISE_MB:g} MB.")
    return int(worst > PROMISE_MB)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
