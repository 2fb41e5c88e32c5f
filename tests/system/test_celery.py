"""A walk outlives its worker: CeleryExecutor, PostgreSQL, Redis, two workers, and what befalls them in mid-walk.

``make test-celery`` runs this alone. The logs of the last run stay in ``.cache/celery-logs``.
"""

from __future__ import annotations

import gzip
import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import debian_packages
import psutil
import pytest
from celery_stack import ROOT, CeleryStack, Worker
from vendor import running_vendor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_servers import S3Server
    from vendor import Vendor

pytestmark = [
    pytest.mark.system,
    pytest.mark.debian,
    pytest.mark.once,
    pytest.mark.timeout(1800),
]

PACKAGES = {"initdb": "postgresql", "postgres": "postgresql", "redis-server": "redis-server"}

PAGE = 50
CONTACTS = 8_000
PAGES = CONTACTS // PAGE
LATENCY = 0.75
"""Seconds that the vendor takes to answer, so that there is a mid-walk to die in: a walk lasts half a minute."""

MID_WALK = PAGES // 3

AT_MOST_TWICE = 2
"""Pages that a walk reads again if it had time to checkpoint: the overlap, and the page that was under way."""

DAG_ID, TASK_ID = "kore_celery", "snapshot"
DAG = f"""
from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

with DAG(
    dag_id={DAG_ID!r},
    schedule=None,
    is_paused_upon_creation=False,
    default_args={{"retries": 2, "retry_delay": timedelta(seconds=1)}},
    params={{"contact_list_id": Param("", type="string"), "s3_bucket": Param("", type="string")}},
):
    ContactListToS3Operator(
        task_id={TASK_ID!r}, contact_list_id="{{{{ params.contact_list_id }}}}", s3_bucket="{{{{ params.s3_bucket }}}}"
    )
"""


@dataclass(frozen=True)
class Walk:
    """One run of the DAG over a list of its own, seen from outside: by Airflow's API, in S3, and at the vendor's."""

    stack: CeleryStack
    vendor: Vendor
    s3: Any
    bucket: str
    list_id: str
    run_id: str

    @property
    def run_path(self) -> str:
        return f"dags/{DAG_ID}/dagRuns/{self.run_id}"

    @property
    def task_path(self) -> str:
        return f"{self.run_path}/taskInstances/{TASK_ID}"

    def task(self) -> dict[str, Any]:
        task: dict[str, Any] = self.stack.call("GET", self.task_path)
        return task

    def hosts(self) -> dict[int, str]:
        """Return the worker of each try."""
        found = self.stack.call("GET", f"{self.task_path}/tries")["task_instances"]
        return {one["try_number"]: one["hostname"] for one in found}

    def events(self, try_number: int) -> list[dict[str, Any]]:
        return self.stack.task_log(DAG_ID, self.run_id, TASK_ID, try_number)

    def log(self, try_number: int) -> list[str]:
        return [str(event.get("event", "")) for event in self.events(try_number)]

    def exit_codes(self, try_number: int) -> list[int]:
        """Return what the supervisor has said of the task's process."""
        return [event["exit_code"] for event in self.events(try_number) if "exit_code" in event]

    def checkpointed(self, try_number: int) -> int:
        """Return where a try said that the next one continues."""
        said = re.compile(r"Checkpointed at contact ([\d,]+); a retry or a Clear continues there\.")
        (found,) = filter(None, map(said.fullmatch, self.log(try_number)))
        return int(found[1].replace(",", ""))

    def until_state(self, state: str) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            task = self.task()
            assert task["state"] == state or task["state"] not in {"success", "failed"}, task["state"]
            return task if task["state"] == state else None

        found = self.stack.until(f"{self.list_id} to be {state}", reached)
        assert found is not None
        return found

    def until_try(self, number: int) -> None:
        def walks() -> bool:
            return any("Resuming" in event for event in self.log(number)) and number in self.hosts()

        self.stack.until(f"try {number} of {self.list_id}", walks)

    def until_mid_walk(self) -> Worker:
        """Wait until a third of the list is read and some of it checkpointed; return the worker that does it."""
        self.stack.until(
            f"{MID_WALK} pages of {self.list_id}", lambda: len(self.pages()[0]) >= MID_WALK and self.staged() > 0
        )
        task = self.task()
        assert task["state"] == "running"
        return self.stack.workers[task["hostname"]]

    # what the vendor saw

    def requests(self) -> list[dict[str, Any]]:
        return [one for one in self.vendor.call("GET", "requests") if self.list_id in one["path"]]

    def pages(self) -> list[list[int]]:
        """Return the offsets that were asked for, by each try: within one, none is asked for twice."""
        found: list[list[int]] = [[]]
        for one in self.requests():
            if one["endpoint"] == "contacts":
                offset = one["skip"] or 0
                if offset in found[-1]:
                    found.append([])
                found[-1].append(offset)
        return found

    # what lies in S3

    def keys(self, prefix: str = "") -> list[str]:
        answer = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        assert not answer["IsTruncated"]
        return [found["Key"] for found in answer.get("Contents", [])]

    def staged(self) -> int:
        """Return the offset that the checkpoints reach; they follow on each other."""
        chunks = sorted(
            (int(start), int(end))
            for key in self.keys()
            for start, end in re.findall(r"/(\d{12})-(\d{12})-[^/]+\.jsonl\.gz$", key)
        )
        position = 0
        for start, end in chunks:
            assert start == position
            position = end
        return position

    def published(self) -> list[str]:
        return [key for key in self.keys() if "_staging" not in key]

    def assert_landed_exactly(self) -> dict[str, Any]:
        """Compare what landed with the list, contact by contact; return the manifest."""
        manifest_key, object_key = sorted(self.published())
        manifest: dict[str, Any] = json.loads(self._get(manifest_key))
        rows = gzip.decompress(self._get(object_key)).decode().splitlines()
        ids = [json.loads(row)["_id"] for row in rows]
        # A bare comparison would print thousands of ids.
        exact = ids == self.vendor.ids(self.list_id)
        assert exact
        assert (manifest["contacts"], manifest["consistent"], manifest["walk"]["walks"]) == (CONTACTS, True, 1)
        assert self.keys() == self.published(), "checkpoints are gone after success"
        return manifest

    def _get(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def assert_continued(self, staged: int) -> int:
        """Hold the second try to having read what was not checkpointed, and one page more.

        Return how many pages came twice.

        :param staged: the offset that the checkpoints reached when it began.
        """
        resuming = f"Resuming contact list {self.list_id} after contact {staged:,}, which earlier tries have staged."
        assert resuming in self.log(2)
        first, second = self.pages()
        # Pages that are read ahead arrive in any order.
        assert sorted(second) == list(range(staged - PAGE, CONTACTS, PAGE))
        assert sorted(first) == list(range(0, len(first) * PAGE, PAGE))
        assert len(first) * PAGE >= staged
        repeated = len(set(first).intersection(second))
        print(f"{self.list_id}: {repeated} of {PAGES} pages were read twice ({repeated / PAGES:.1%})")  # noqa: T201
        return repeated


@dataclass(frozen=True)
class Setup:
    """The parts that a walk runs between."""

    stack: CeleryStack
    vendor: Vendor
    server: S3Server

    def start_worker(self) -> Worker:
        return self.stack.start_worker(f"worker-{len(self.stack.workers) + 1}")

    def two_workers(self) -> tuple[Worker, Worker]:
        """Return two workers that take tasks; there are no others."""
        living = [worker for worker in self.stack.workers.values() if worker.process.poll() is None]
        while len(living) < 2:
            living.append(self.start_worker())
        for worker in living:
            self.stack.await_worker(worker)
        first, second = living
        return first, second

    def start(self, list_id: str) -> Walk:
        """Trigger a run over a new list, into a new bucket."""
        bucket = self.server.bucket()
        self.vendor.add_list(CONTACTS, list_id)
        params = {"contact_list_id": list_id, "s3_bucket": bucket}
        run_id = f"run-of-{list_id}"
        run = {"dag_run_id": run_id, "logical_date": None, "conf": params}
        self.stack.call("POST", f"dags/{DAG_ID}/dagRuns", run)
        return Walk(self.stack, self.vendor, self.server.client(retries=2), bucket, list_id, run_id)


@pytest.fixture
def setup(moto_server: S3Server) -> Iterator[Setup]:
    programs = debian_packages.require(PACKAGES)
    with running_vendor(requests_per_minute=0, latency=LATENCY) as vendor:
        aws = moto_server.connection(config_kwargs={"s3": {"addressing_style": "path"}})
        connections = {"kore_default": vendor.connection, "aws_default": aws}
        with CeleryStack(_python(), programs, connections, DAG) as stack:
            setup = Setup(stack, vendor, moto_server)
            setup.two_workers()
            stack.until("the DAG to be parsed", lambda: stack.call("GET", "dags")["total_entries"] == 1)
            yield setup
            stack.keep_excerpt()


def _python() -> Path:
    """Return an interpreter of the environment in requirements/celery.txt; made if need be."""
    folder = Path(".cache", "celery")
    command = [sys.executable, "tools/environment.py", str(folder), "airflow-3.3", "celery"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"The environment with Celery could not be made:\n{done.stderr[-3000:]}", pytrace=False)
    return ROOT / folder / "bin" / "python"


def test_a_walk_outlives_what_befalls_its_workers(setup: Setup) -> None:
    """One test, because parallel processes would start a stack each."""
    after_the_loss_of_a_worker_the_retry_continues_on_the_other(setup)
    marked_failed_it_stops_with_a_checkpoint_and_clear_continues_there(setup)
    workers_that_are_replaced_hand_the_walk_over_or_finish_it(setup)


def after_the_loss_of_a_worker_the_retry_continues_on_the_other(setup: Setup) -> None:
    lost, other = setup.two_workers()
    walk = setup.start("cl-lost")
    if walk.until_mid_walk() is other:
        lost, other = other, lost
    task_process = walk.task()["pid"]

    killed = lost.lose()

    assert task_process in killed
    staged = walk.staged()
    assert walk.published() == []
    walk.until_state("success")
    assert walk.hosts() == {1: lost.name, 2: other.name}
    assert not any("Checkpointed" in event for event in walk.log(1)), "it had no time to say goodbye"
    assert walk.assert_continued(staged) <= PAGES // 3
    manifest = walk.assert_landed_exactly()
    assert manifest["walk"]["resumed_from"] == staged
    assert manifest["run"]["try_number"] == 2
    setup.start_worker()  # for what follows


def marked_failed_it_stops_with_a_checkpoint_and_clear_continues_there(setup: Setup) -> None:
    walk = setup.start("cl-marked")
    walk.until_mid_walk()
    task_process = psutil.Process(walk.task()["pid"])

    setup.stack.call("PATCH", walk.task_path, {"new_state": "failed"})

    setup.stack.until("the marked task's process to end", lambda: not task_process.is_running())
    exit_codes = setup.stack.until("its supervisor to say how", lambda: walk.exit_codes(1))
    assert exit_codes == [1], "it ended by itself within Airflow's 5 seconds, not by SIGKILL"
    assert walk.task()["state"] == "failed"
    assert walk.published() == []
    staged = walk.checkpointed(1)
    assert walk.staged() == staged

    # A scheduler that is just ending the run would end it without the cleared task.
    setup.stack.until("the run to end", lambda: setup.stack.call("GET", walk.run_path)["state"] == "failed")
    clear = {"dag_run_id": walk.run_id, "task_ids": [TASK_ID], "dry_run": False, "only_failed": True}
    setup.stack.call("POST", f"dags/{DAG_ID}/clearTaskInstances", clear)

    walk.until_state("success")
    assert sorted(walk.hosts()) == [1, 2]
    assert walk.assert_continued(staged) <= AT_MOST_TWICE
    assert walk.assert_landed_exactly()["walk"]["resumed_from"] == staged


def workers_that_are_replaced_hand_the_walk_over_or_finish_it(setup: Setup) -> None:
    setup.two_workers()
    walk = setup.start("cl-deployed")
    first = walk.until_mid_walk()

    for process in first.tree():  # as systemd ends a service
        process.send_signal(signal.SIGTERM)

    walk.until_try(2)
    setup.stack.until("the first worker to end", lambda: first.process.poll() is not None)
    second = setup.stack.workers[walk.hosts()[2]]
    assert second is not first
    staged = walk.checkpointed(1)

    second.process.send_signal(signal.SIGTERM)  # to the worker alone: Celery's warm shutdown

    walk.until_state("success")
    assert walk.hosts() == {1: first.name, 2: second.name}
    setup.stack.until("the second worker to end", lambda: second.process.poll() is not None)
    assert walk.assert_continued(staged) <= AT_MOST_TWICE
    assert walk.assert_landed_exactly()["walk"]["resumed_from"] == staged
