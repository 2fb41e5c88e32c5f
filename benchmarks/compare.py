"""Ours beside what people would use instead, over one list, in one run: ``python benchmarks/compare.py``.

Each contender is a process of its own (``contenders/``), against one simulated vendor and one S3 server, which are
processes, too. CPU and peak memory are those of the contender's process alone. What it says it landed is not believed:
the objects are read back and their ids counted. With ``--quick`` everything is tiny.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pages
import sizing
from servers import ROOT, environment, start, start_s3, start_vendor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_servers import S3Server
    from vendor import Vendor

RESULTS = Path(__file__).with_name("results.json")
BUCKET = "bench"
PAGE = 50
"""Contacts in a page: what the vendor's samples show."""
PER_MINUTE, PER_HOUR = 60, 1_800
"""The vendor's limits."""
MISFORTUNES = (
    "server_error",
    "reset_before_headers",
    "cut_json",
    "short_page",
    "empty_page",
    "repeated_page",
    "has_more_false",
    "list_remove",
    "list_swap",
)
"""Faults of the simulator: ``docs/simulator.md``."""
MISFORTUNE = {"endpoint": "contacts", "after_requests": 10, "times": 1}
MISFORTUNE_CONTACTS = 1_000
SHORT = 10
"""Contacts in the list that each contender lands to warm up."""
OTHER = ROOT / ".cache" / "bench" / "bin" / "python"
"""The environment of those that don't go together with Airflow's: ``requirements/bench.txt``."""


@dataclass(frozen=True)
class Contender:
    """One way to get a list into S3."""

    name: str
    script: str
    patient: bool = True
    other: bool = False
    """Runs in the other environment."""
    lands: bool = True

    @property
    def python(self) -> str:
        """Which interpreter runs it."""
        return str(OTHER) if self.other else sys.executable


OURS = Contender("ours", "ours.py")
CORE = Contender("our core", "ours_core.py")
LOOP = Contender("requests loop", "requests_loop.py")
HTTP = Contender("HttpOperator", "http_operator.py")
DLT = Contender("dlt", "dlt_rest.py", other=True)
FLOOR = Contender("floor", "pycurl_floor.py", other=True, lands=False)
ALL = (OURS, CORE, LOOP, HTTP, DLT, FLOOR)
IMPATIENT = (
    Contender("HttpOperator, as it comes", "http_operator.py", patient=False),
    Contender("dlt, as it comes", "dlt_rest.py", patient=False, other=True),
)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One list, one vendor."""

    name: str
    contacts: int
    contenders: tuple[Contender, ...] = ALL
    latency: float = 0.0
    requests_per_minute: int = 0
    page: int = PAGE
    rounds: int = 1


@dataclass
class Result:
    """What one contender took for one list."""

    wall: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0
    base_mb: float = 0.0
    start_cpu: float = 0.0
    requests: int = 0
    pages: int = 0
    rate_limited: int = 0
    landed: int = 0
    """Contacts in S3, each counted once."""
    twice: int = 0
    failed: str = ""


@dataclass
class World:
    """Where everything runs."""

    stack: ExitStack
    folder: Path
    s3: S3Server
    landings: int = 0
    lists: set[tuple[str, str]] = field(default_factory=set)

    def vendor(self, page: int) -> Vendor:
        """Start another simulated vendor."""
        return start_vendor(self.stack, self.folder, requests_per_minute=0, default_limit=page, max_limit=page)

    def ready(self, contender: Contender, vendor: Vendor, contacts: int, page: int, per_minute: int) -> Run:
        """Start a contender; return when it has warmed up."""
        list_id = f"cl-{contacts}"
        for name, size in ((list_id, contacts), (f"{list_id}-short", SHORT)):
            if (vendor.url, name) not in self.lists:
                self.lists.add((vendor.url, name))
                vendor.add_list(size, name)
        vendor.configure(latency=0, requests_per_minute=0)
        self.landings += 1
        connection = vendor.connection
        job = {
            "url": vendor.url,
            "client_id": connection["login"],
            "secret": connection["password"],
            "stream_id": connection["extra"]["stream_id"],
            "account_id": connection["extra"]["account_id"],
            "list_id": list_id,
            "page": page,
            "s3": self.s3.url,
            "bucket": BUCKET,
            "prefix": f"landing-{self.landings}/contacts",
            "patient": contender.patient,
            "requests_per_minute": per_minute,
        }
        command = [contender.python, str(Path(__file__).parent / "contenders" / contender.script), json.dumps(job)]
        process = start(
            command,
            self.folder,
            stdin=subprocess.PIPE,
            env=environment(self.folder, vendor, self.s3, requests_per_minute=per_minute),
        )
        self.stack.enter_context(process)
        self.stack.callback(process.kill)
        run = Run(contender, vendor, process, job["prefix"], contacts)
        run.base = run.read()
        return run


@dataclass
class Run:
    """One contender that has warmed up."""

    contender: Contender
    vendor: Vendor
    process: subprocess.Popen[str]
    prefix: str
    contacts: int
    base: dict[str, Any] = field(default_factory=dict)

    def go(self, **changes: object) -> None:
        """Let it land its list, or another one that ``changes`` name."""
        self.vendor.forget()
        print(json.dumps(changes), file=self.process.stdin, flush=True)

    def read(self) -> dict[str, Any]:
        """Return the next thing it says. Raises SystemExit if it ended instead."""
        for line in self.process.stdout or ():
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        raise SystemExit(f"{self.contender.name} ended with status {self.process.wait()}; see errors.log")

    def result(self, s3: S3Server) -> Result:
        """Wait for its end, and look at what it left."""
        taken = self.read()
        report = self.vendor.report()
        self.process.communicate()  # which ends it
        result = Result(
            **taken,
            **self.base,
            requests=report["requests"],
            pages=report["endpoints"].get("contacts", 0),
            rate_limited=report["rate_limited"],
        )
        if self.contender.lands:
            result.landed, result.twice = count(s3, self.prefix)
        complete = result.landed == self.contacts and not result.twice
        if self.contender.lands and not result.failed and not complete:
            raise SystemExit(f"{self.contender.name} landed {result.landed:,} of {self.contacts:,}: {result}")
        return result


def count(s3: S3Server, prefix: str) -> tuple[int, int]:
    """Return how many contacts lie below a prefix, and how many rows hold a contact that another one holds, too."""
    found = Counter(landed(s3, prefix))
    return len(found), found.total() - len(found)


def landed(s3: S3Server, prefix: str) -> Iterator[str]:
    """Yield the id in each row below a prefix."""
    client = s3.client(retries=2)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/"):
        for key in (found["Key"] for found in page.get("Contents", [])):
            if "/_" in key or not key.endswith((".jsonl", ".jsonl.gz")):
                continue
            body = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            for line in (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).splitlines():
                yield json.loads(line)["_id"]


def measure(scenario: Scenario, world: World) -> dict[str, Result]:
    """Let every contender land the list; of several rounds each counts with its fastest."""
    settings = {"latency": scenario.latency, "requests_per_minute": scenario.requests_per_minute}
    vendor = world.vendor(scenario.page)
    rounds: dict[str, list[Result]] = {contender.name: [] for contender in scenario.contenders}
    for _ in range(scenario.rounds):
        for contender in scenario.contenders:
            run = world.ready(contender, vendor, scenario.contacts, scenario.page, scenario.requests_per_minute)
            vendor.configure(**settings)
            run.go()
            rounds[contender.name].append(run.result(world.s3))
    return {name: min(results, key=lambda result: result.wall) for name, results in rounds.items()}


def wait_together(pairs: list[tuple[Contender, int]], world: World) -> list[Result]:
    """Let contenders land lists of so many contacts within the real limit, all at once: they mostly sleep.

    Each has a vendor of its own, and so the whole allowance.
    """
    runs = [world.ready(contender, world.vendor(PAGE), contacts, PAGE, PER_MINUTE) for contender, contacts in pairs]
    for run in runs:
        run.vendor.configure(requests_per_minute=PER_MINUTE)
        run.go()
    with ThreadPoolExecutor(len(runs)) as pool:  # so that none waits to say what it has to say
        return list(pool.map(lambda run: run.result(world.s3), runs))


def endure(contender: Contender, world: World) -> dict[str, str]:
    """Let something go wrong in mid-walk, once each; return what landed, by misfortune.

    What counts is a contact that the list still has when all is over: whether it landed, and once.
    """
    vendor = world.vendor(PAGE)
    run = world.ready(contender, vendor, SHORT, PAGE, 0)
    outcomes = {}
    for fault in MISFORTUNES:
        list_id, prefix = f"cl-{fault}", f"{run.prefix}/{fault}"
        vendor.add_list(MISFORTUNE_CONTACTS, list_id)
        vendor.fault(fault, list_id=list_id, **MISFORTUNE)
        run.go(list_id=list_id, prefix=prefix)
        failed = run.read()["failed"]
        fired = vendor.fired()
        vendor.call("DELETE", "faults")
        if fired != 1:
            raise SystemExit(f"{contender.name} never met {fault}")
        rows = Counter(landed(world.s3, prefix))
        missing = sum(1 for identifier in vendor.ids(list_id) if identifier not in rows)
        twice = rows.total() - len(rows)
        words = [f"{missing} missing"] * bool(missing) + [f"{twice} twice"] * bool(twice)
        outcomes[fault] = "error" if failed else ", ".join(words) or "right"
    run.process.communicate()
    return outcomes


def size_up(
    world: World, real: list[tuple[int, Result]], skipping: tuple[tuple[int, int], ...]
) -> list[dict[str, Any]]:
    """Return what the formula says beside what was measured: first in real time, then with the waiting skipped."""
    rows = [
        sizing.row(contacts, PAGE, {"requests_per_minute": PER_MINUTE}, count=result.requests, wall=result.wall)
        for contacts, result in real
    ]
    for row in rows:
        say(f"sizing: {row}")
    vendor = world.vendor(PAGE)
    for contacts, per_hour in skipping:
        limits = {"requests_per_minute": PER_MINUTE, "requests_per_hour": per_hour}
        rows.append(sizing.skip_through(vendor, world.s3, BUCKET, contacts, PAGE, **limits))
        say(f"sizing: {rows[-1]}")
    return rows


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured; the sizes are numbers of contacts."""

    scenarios: tuple[Scenario, ...]
    waiting: int
    """Of the list that is read within the real limit; 0: none is."""
    waiting_sizes: tuple[int, ...]
    """Of the lists that ours reads meanwhile, for the sizing formula."""
    memory: tuple[int, ...]
    skipping: tuple[tuple[int, int], ...]
    """Of the lists for the sizing formula of which the waiting is skipped, each with its requests an hour."""
    enduring: tuple[Contender, ...]
    """Whom something befalls in mid-walk."""
    pages: int
    """Of the list that is read from servers with several largest pages."""
    beside: tuple[Contender, ...]
    """Who reads it beside us."""


FULL = Plan(
    scenarios=(
        Scenario(name="no limits", contacts=50_000, rounds=3),
        Scenario(name="50 ms latency", contacts=20_000, latency=0.05),
    ),
    waiting=7_500,
    waiting_sizes=(1_500, 2_900, 3_000, 9_000),
    memory=(10_000, 100_000, 1_000_000),
    skipping=((100_000, 0), (100_000, PER_HOUR), (1_000_000, 0), (1_000_000, PER_HOUR)),
    enduring=(OURS, LOOP, *IMPATIENT),
    pages=50_000,
    beside=(LOOP, HTTP, DLT),
)
QUICK = Plan(
    scenarios=(Scenario(name="no limits", contacts=120),),
    waiting=0,
    waiting_sizes=(),
    memory=(),
    skipping=((7_500, 0), (7_500, PER_HOUR)),
    enduring=(),
    pages=500,
    beside=(),
)


def run(plan: Plan, contenders: tuple[Contender, ...] = ALL) -> dict[str, Any]:
    """Measure everything of a plan."""
    found: dict[str, Any] = {"machine": machine(), "scenarios": {}, "misfortunes": {}, "memory": {}, "sizing": []}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kore-bench-")))
        world = World(stack, folder, start_s3(stack, folder, BUCKET))
        for scenario in plan.scenarios:
            results = measure(replace(scenario, contenders=contenders), world)
            found["scenarios"][scenario.name] = _kept(scenario, results)
        timed: list[tuple[int, Result]] = []
        if plan.waiting:
            scenario = Scenario(
                name=f"{PER_MINUTE} requests a minute",
                contacts=plan.waiting,
                contenders=(*ALL, *IMPATIENT),
                requests_per_minute=PER_MINUTE,
            )
            pairs = [(contender, plan.waiting) for contender in scenario.contenders]
            pairs += [(CORE, contacts) for contacts in plan.waiting_sizes]
            waited = wait_together(pairs, world)
            results = {
                pair[0].name: result for pair, result in zip(pairs, waited, strict=False) if pair[1] == plan.waiting
            }
            found["scenarios"][scenario.name] = _kept(scenario, results)
            timed = [(pair[1], result) for pair, result in zip(pairs, waited, strict=True) if pair[0] is CORE]
        for contender in plan.enduring:
            found["misfortunes"][contender.name] = endure(contender, world)
            say(f"{contender.name}: {found['misfortunes'][contender.name]}")
        for size in plan.memory:
            scenario = Scenario(name=f"memory at {size:,} contacts", contacts=size, page=500, contenders=contenders)
            for name, result in _kept(scenario, measure(scenario, world))["results"].items():
                found["memory"].setdefault(name, {})[str(size)] = result
        found["pages"] = pages.measure(world, plan.beside, plan.pages, PAGE, PER_MINUTE)
        found["sizing"] = size_up(world, sorted(timed, key=lambda pair: pair[0]), plan.skipping)
    return found


def _kept(scenario: Scenario, results: dict[str, Result]) -> dict[str, Any]:
    say(f"{scenario.name}: {scenario.contacts:,} contacts")
    for name, result in results.items():
        say(
            f"  {name:26} {result.wall:8.2f} s, {result.cpu:7.2f} s CPU, {result.peak_mb:5.0f} MB, "
            f"{result.requests:6,} requests {result.failed}"
        )
    about = {key: value for key, value in asdict(scenario).items() if key not in {"name", "contenders"}}
    return about | {"results": {name: asdict(result) for name, result in results.items()}}


def main() -> int:
    """Measure everything and keep it in ``results.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny lists, to see whether everything works")
    parser.add_argument("--output", type=Path, default=RESULTS, help="default: %(default)s")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    found = run(QUICK if options.quick else FULL)
    options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def machine() -> dict[str, Any]:
    """Return what the absolute numbers are worth nothing without."""
    command = [str(OTHER), "-c", "import dlt, pycurl; print(dlt.__version__, pycurl.version.split()[0].split('/')[1])"]
    dlt, curl = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    names = ("apache-airflow", "apache-airflow-providers-http", "apache-airflow-providers-amazon", "requests", "boto3")
    return {
        "measured": datetime.now(UTC).date().isoformat(),
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in names} | {"dlt": dlt, "pycurl": curl},
    }


def say(line: str) -> None:
    """Print at once."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
