"""Ours beside what people would use instead, over one list, in one run: ``python benchmarks/compare.py``.

Each contender is a process of its own (``contenders/``), against one simulated vendor and one S3 server, which are
processes, too. CPU and peak memory are those of the contender's process alone. What it says it landed is not believed:
the objects are read back and their ids counted. With ``--quick`` everything is tiny and nothing is written.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sizing
from servers import ROOT, Vendor, environment, start, start_s3, start_vendor

RESULTS = Path(__file__).with_name("results.json")
BUCKET = "bench"
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
CORE = Contender("ours, core only", "ours_core.py")
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
    page: int = 50
    rounds: int = 1
    together: bool = False
    """All at once, each with a vendor of its own: they mostly sleep."""


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
    s3: str
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
                vendor.add_list(name, size)
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
            "s3": self.s3,
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

    def go(self) -> None:
        """Let it land its list."""
        self.vendor.forget()
        print("go", file=self.process.stdin, flush=True)

    def read(self) -> dict[str, Any]:
        """Return the next thing it says. Raises SystemExit if it ended instead."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        raise SystemExit(f"{self.contender.name} ended with status {self.process.wait()}; see errors.log")

    def result(self, s3: str) -> Result:
        """Wait for its end, and look at what it left."""
        taken = self.read()
        report = self.vendor.report()
        self.process.wait()
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


def count(s3: str, prefix: str) -> tuple[int, int]:
    """Return how many contacts lie below a prefix, and how many of them more than once."""
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=s3,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",  # noqa: S106  # opens nothing
        config=Config(s3={"addressing_style": "path"}),
    )
    ids: set[bytes] = set()
    rows = 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/"):
        for key in (found["Key"] for found in page.get("Contents", [])):
            if "/_" in key or not key.endswith((".jsonl", ".jsonl.gz")):
                continue
            body = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            for line in (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).splitlines():
                rows += 1
                ids.add(hash_of(line))
    return len(ids), rows - len(ids)


def hash_of(line: bytes) -> bytes:
    """Return the id of one line of JSON."""
    return str(json.loads(line)["_id"]).encode()


def measure(scenario: Scenario, world: World) -> dict[str, Result]:
    """Let every contender land the list; of several rounds each counts with its median in wall time."""
    settings = {"latency": scenario.latency, "requests_per_minute": scenario.requests_per_minute}
    if scenario.together:
        runs = [
            world.ready(
                contender, world.vendor(scenario.page), scenario.contacts, scenario.page, scenario.requests_per_minute
            )
            for contender in scenario.contenders
        ]
        for run in runs:
            run.vendor.configure(**settings)
            run.go()
        return {run.contender.name: run.result(world.s3) for run in runs}
    vendor = world.vendor(scenario.page)
    rounds: dict[str, list[Result]] = {contender.name: [] for contender in scenario.contenders}
    for _ in range(scenario.rounds):
        for contender in scenario.contenders:
            run = world.ready(contender, vendor, scenario.contacts, scenario.page, scenario.requests_per_minute)
            vendor.configure(**settings)
            run.go()
            rounds[contender.name].append(run.result(world.s3))
    return {name: median(results) for name, results in rounds.items()}


def median(results: list[Result]) -> Result:
    """Return the result whose wall time is the median."""
    middle = statistics.median_low(result.wall for result in results)
    return next(result for result in results if result.wall == middle)


def scenarios(*, quick: bool) -> tuple[list[Scenario], tuple[int, ...]]:
    """Return what is measured, and at which sizes memory is."""
    if quick:
        return [
            Scenario(name="no limits", contacts=120),
            Scenario(name="50 ms latency", contacts=120, latency=0.05),
        ], (100, 200)
    return [
        Scenario(name="no limits", contacts=50_000, rounds=3),
        Scenario(name="50 ms latency", contacts=20_000, latency=0.05),
        Scenario(
            name="60 requests a minute",
            contacts=7_500,
            contenders=(*ALL, *IMPATIENT),
            requests_per_minute=60,
            together=True,
        ),
    ], (10_000, 100_000, 1_000_000)


def main() -> int:
    """Measure everything and keep it in ``results.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny lists, to see whether everything works")
    parser.add_argument("--only", default="", help="measure only contenders whose names begin so")
    options = parser.parse_args()
    chosen, sizes = scenarios(quick=options.quick)
    found: dict[str, Any] = {"machine": machine(), "scenarios": {}, "memory": {}, "sizing": []}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kore-bench-")))
        world = World(stack, folder, start_s3(stack, folder, BUCKET))
        for scenario in chosen:
            say(f"{scenario.name}: {scenario.contacts:,} contacts")
            results = measure(scenario, world)
            for name, result in results.items():
                say(f"  {name}: {result}")
            about = {key: value for key, value in asdict(scenario).items() if key not in {"name", "contenders"}}
            found["scenarios"][scenario.name] = about | {"results": {n: asdict(r) for n, r in results.items()}}
        for size in sizes:
            results = measure(Scenario(name="memory", contacts=size, page=500), world)
            for name, result in results.items():
                say(f"memory, {size:,} contacts, {name}: {result.peak_mb:.0f} MB")
                found["memory"].setdefault(name, {})[str(size)] = asdict(result)
    if not options.quick:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def machine() -> dict[str, Any]:
    """Return what the absolute numbers are worth nothing without."""
    command = [str(OTHER), "-c", "import dlt, pycurl; print(dlt.__version__, pycurl.version.split()[0])"]
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
