"""One try of a task in a process of its own, forked from a test: the real operator, killed like a real one."""

from __future__ import annotations

import functools
import gc
import importlib
import json
import logging
import os
import pkgutil
import select
import signal
import time
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PATIENCE = 60.0
"""Seconds after which a try that does not end is a failed test."""


@dataclass(frozen=True)
class Job:
    """What a child runs.

    :param prepare: called in the child before ``execute``, with the operator and a way to tell the test something.
    :param orphaned: put a process in between, which can be killed in the place of a supervisor.
    """

    parameters: Mapping[str, Any]
    environment: Mapping[str, str]
    log: Path
    run_id: str = "run"
    task_id: str = "land"
    try_number: int = 1
    max_tries: int = 9
    prepare: Callable[[Any, Callable[..., None]], None] | None = None
    after: Callable[[Any], None] | None = None
    orphaned: bool = False
    operator: str = "contact_list_to_s3.ContactListToS3Operator"
    """Its module and its name, below ``transfers``."""


@dataclass
class Outcome:
    """How a try ended."""

    kind: str
    """``success``, ``error``, or ``killed``."""
    error: str = ""
    """Class of the exception, or of the one that an AirflowFailException stands for."""
    message: str = ""
    summary: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    """From the start of ``execute`` to its end."""


class Attempt:
    """A running child, seen from the test."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.events: list[dict[str, Any]] = []
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            _be_supervisor_or_task(job, writing)
        os.close(writing)
        self._pipe = os.fdopen(reading, "rb", buffering=0)
        self._rest = b""
        self._ended = False
        self._reaped = False

    def wait_for(self, event: str, *, within: float = PATIENCE) -> dict[str, Any] | None:
        """Return what the child says of an event; None if it ends without."""
        deadline = time.monotonic() + within
        while (found := self._event(event)) is None and not self._ended:
            self._receive(deadline - time.monotonic())
        return found

    def is_running(self) -> bool:
        """Look whether the child still runs, without waiting."""
        while not self._ended and select.select([self._pipe], [], [], 0)[0]:
            self._receive(1)
        return not self._ended and self._event("end") is None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process that the test forked: the task, or its supervisor."""
        if not self._reaped:
            os.kill(self.pid, number)

    def kill_task(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the task itself."""
        begun = self.wait_for("begin")
        if begun is not None and not self._ended:
            os.kill(begun["pid"], number)

    def reap(self) -> None:
        """Collect the process that the test forked."""
        if not self._reaped:
            os.waitpid(self.pid, 0)
            self._reaped = True

    def wait(self, *, within: float = PATIENCE) -> Outcome:
        """Wait until the task has ended, and return how."""
        deadline = time.monotonic() + within
        while not self._ended:
            self._receive(deadline - time.monotonic())
        self._pipe.close()
        self.reap()
        end = self._event("end")
        if end is None:
            return Outcome("killed")
        return Outcome(**{name: value for name, value in end.items() if name not in {"event", "at"}})

    def log(self) -> str:
        """Return what this try has logged, for the message of a failed test."""
        return self.job.log.read_text(errors="replace")[-6000:] if self.job.log.exists() else ""

    def _event(self, name: str) -> dict[str, Any] | None:
        return next((event for event in self.events if event["event"] == name), None)

    def _receive(self, timeout: float) -> None:
        if not select.select([self._pipe], [], [], max(0.0, timeout))[0]:
            self.kill()
            raise AssertionError(f"A try did not end in time. Its log:\n{self.log()}")
        data = os.read(self._pipe.fileno(), 1 << 16)
        if not data:
            self._ended = True
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.events += [json.loads(line) for line in lines]


def _be_supervisor_or_task(job: Job, pipe: int) -> None:
    """Never returns."""
    code = 1
    try:
        if job.orphaned and (task := os.fork()) != 0:
            os.close(pipe)
            os.waitpid(task, 0)
            os._exit(0)
        _be_task(job, pipe)
        code = 0
    except BaseException:  # noqa: BLE001 - a fork must never run the test's own code any further
        traceback.print_exc()
    finally:
        os._exit(code)


def _be_task(job: Job, pipe: int) -> None:
    module, _, name = job.operator.partition(".")
    kind = getattr(importlib.import_module(f"airflow_provider_kore.transfers.{module}"), name)

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.update(job.environment)
    _log_to(job.log)

    def tell(event: str, **fields: Any) -> None:
        os.write(pipe, json.dumps({"event": event, "at": time.monotonic(), **fields}).encode() + b"\n")

    operator = kind(task_id=job.task_id, **job.parameters)

    def handler(number: int, frame: object) -> None:
        """What Airflow's handler does: it calls on_kill, and returns."""
        tell("told")
        operator.on_kill()
        tell("handled")

    signal.signal(signal.SIGTERM, handler)
    if job.prepare is not None:
        job.prepare(operator, tell)
    context = _context(job)
    tell("begin", pid=os.getpid())
    started = time.monotonic()
    try:
        summary = operator.execute(context)
    except BaseException as error:  # whatever it is, it is how the task ends
        logging.getLogger("try").exception("execute raised")
        cause = error.__context__ if type(error).__name__ == "AirflowFailException" else None
        end = {"kind": "error", "error": type(cause or error).__name__, "message": str(error)}
    else:
        end = {"kind": "success", "summary": summary}
    seconds = time.monotonic() - started
    if job.after is not None:
        job.after(operator)
    tell("end", seconds=seconds, **end)


def _context(job: Job) -> Any:
    ti = SimpleNamespace(
        dag_id="faults",
        run_id=job.run_id,
        task_id=job.task_id,
        map_index=-1,
        try_number=job.try_number,
        max_tries=job.max_tries,
    )
    return {"ti": ti, "task_instance": ti, "dag_run": SimpleNamespace(run_after=datetime(2026, 11, 23, tzinfo=UTC))}


def _log_to(path: Path) -> None:
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    target = logging.FileHandler(path)
    target.setFormatter(logging.Formatter("%(relativeCreated)d %(name)s %(levelname)s %(message)s"))
    root.addHandler(target)
    root.setLevel(logging.INFO)
    logging.disable(logging.NOTSET)
    devnull = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for standard in (1, 2):
        os.dup2(devnull, standard)


@functools.cache
def warm_up() -> None:
    """Import what a try imports, and connect once as it does, so that a fork costs nothing but a fork."""
    import airflow.providers.amazon.aws.hooks.s3
    import airflow.sdk.execution_time.context
    import botocore.loaders
    import pyarrow.parquet  # noqa: F401

    import airflow_provider_kore
    from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

    for module in pkgutil.walk_packages(airflow_provider_kore.__path__, "airflow_provider_kore."):
        if "simulator" not in module.name and "form" not in module.name.rpartition(".")[2]:
            importlib.import_module(module.name)

    load = botocore.loaders.JSONFileLoader.load_file
    botocore.loaders.JSONFileLoader.load_file = functools.cache(load)
    # The first asset of an operator imports Airflow's models. Airflow's hook looks for its caller's module in all that
    # are loaded, and remembers what it found.
    ContactListToS3Operator(task_id="land", contact_list_id="cl-0", s3_bucket="none")
    with mock.patch.dict(os.environ, AIRFLOW_CONN_AWS_DEFAULT="aws://id:secret@/?region_name=eu-central-1"):
        airflow.providers.amazon.aws.hooks.s3.S3Hook("aws_default").get_conn()
    gc.collect()
    gc.freeze()  # else each try's first collection touches, and so copies, every page of memory that it got
