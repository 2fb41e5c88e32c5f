"""A whole Airflow on loopback: API server, scheduler, DAG processor and, where it is wanted, triggerer."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processes import GRACE, end_sessions, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self


def airflow_environment(home: Path, dags: Path) -> dict[str, str]:
    """Return the environment of an Airflow with this home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "AWS_"))}
    loopback = "127.0.0.1,localhost"
    return kept | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": loopback,
        "no_proxy": loopback,
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
    }


class AirflowProcesses:
    """Airflow's components as processes, for a ``with`` block.

    Anyone who reaches the port is admin: it is loopback only.

    :param environment: of every component; it names ``AIRFLOW_HOME``, whose database is migrated.
    :param log: file that takes what the components print.
    :param triggerer: start it, too; only deferred tasks need it.
    :param schedule: start runs by schedule and by asset, of DAGs that are not paused, as new ones are. Otherwise runs
        begin only when they are triggered.
    :param grace: seconds that components get to end politely.
    """

    def __init__(
        self,
        environment: dict[str, str],
        log: Path,
        *,
        triggerer: bool = True,
        schedule: bool = False,
        grace: float = GRACE,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = log
        self._triggerer = triggerer
        self._grace = grace
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._token = ""
        self.environment = environment | {
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": str(schedule),
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "90",  # seconds; a changed file is parsed at once
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": str(schedule),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        }

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        with closing(sqlite3.connect(Path(self.environment["AIRFLOW_HOME"], "airflow.db"))) as database:
            database.execute("PRAGMA journal_mode=WAL")  # so that readers and the writer don't lock each other out
        for name in ("api-server", "scheduler", "dag-processor", *(["triggerer"] if self._triggerer else [])):
            self.start(name)

    def start(self, name: str) -> None:
        """Start a component."""
        options: dict[str, Sequence[str]] = {
            "api-server": ("--host", "127.0.0.1", "--port", str(self.port)),
            "scheduler": ("--skip-serve-logs",),
            "triggerer": ("--skip-serve-logs",),
        }
        with self._log.open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "airflow", name, *options.get(name, ())],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """Kill a component, and whatever it started, as when its machine goes down."""
        process = self._processes.pop(name)
        process.kill()
        end_sessions([process])

    def stop(self) -> None:
        """End all components and whatever they started."""
        processes, self._processes = self._processes, {}
        end_sessions(list(processes.values()), self._grace)

    def runs(self, name: str) -> bool:
        """Say whether a component has been started, and not been killed."""
        return name in self._processes

    def ended(self) -> list[str]:
        """Names of components that have ended by themselves, which none should."""
        return [name for name, process in self._processes.items() if process.poll() is not None]

    def wait_until_ready(self, dag_ids: Sequence[str], seconds: float = 120.0) -> None:
        """Wait until all components are healthy and the DAGs are parsed. Raises RuntimeError."""
        deadline = time.monotonic() + seconds
        missing = "an answer of the API server"
        while time.monotonic() < deadline:
            if ended := self.ended():
                raise RuntimeError(f"Airflow's {' and '.join(ended)} ended while starting")
            missing = self._missing(dag_ids)
            if not missing:
                return
            time.sleep(0.5)
        raise RuntimeError(f"Airflow was not ready within {seconds:.0f} s: {missing} was missing")

    def _missing(self, dag_ids: Sequence[str]) -> str:
        try:
            health = self.get("/api/v2/monitor/health", authorised=False)
            wanted = ["metadatabase", "scheduler", "dag_processor", *(["triggerer"] if self._triggerer else [])]
            for component in wanted:
                if (health.get(component) or {}).get("status") != "healthy":
                    return f"a healthy {component}"
            known = {dag["dag_id"] for dag in self.get("/api/v2/dags")["dags"]}
        except OSError:  # urllib's errors are among them
            return "an answer of the API server"
        return ", ".join(f"the DAG {dag_id}" for dag_id in dag_ids if dag_id not in known)

    def get(self, path: str, *, authorised: bool = True) -> Any:
        """Ask the API. Raises OSError."""
        return self.call("GET", path, authorised=authorised)

    def call(self, method: str, path: str, body: object = None, *, authorised: bool = True) -> Any:
        """Call the API and return its parsed answer. Raises OSError, of which ``urllib.error.HTTPError`` is one.

        What fails because the scheduler is just writing to SQLite is sent again: 503 says so; where the call changes
        nothing, any other error of the server may be that, too.
        """
        for _ in range(4):
            try:
                return self._send(method, path, body, authorised=authorised)
            except urllib.error.HTTPError as error:
                least = HTTPStatus.INTERNAL_SERVER_ERROR if method == "GET" else HTTPStatus.SERVICE_UNAVAILABLE
                if error.code < least:
                    raise
                time.sleep(0.5)
        return self._send(method, path, body, authorised=authorised)

    def trigger(
        self, dag_id: str, run_id: str | None = None, conf: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """Make a DAG run without a logical date, and return it. Raises OSError.

        With an id of its own, so that a call which failed (see :meth:`call`) can be made again and makes no second run.
        """
        runs = f"/api/v2/dags/{dag_id}/dagRuns"
        body = {"dag_run_id": run_id or f"manual__{secrets.token_hex(8)}", "logical_date": None, "conf": conf or {}}
        for _ in range(4):
            try:
                made: dict[str, Any] = self.call("POST", runs, body)
            except urllib.error.HTTPError as error:
                if error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
            else:
                return made
            time.sleep(0.5)
            try:
                found: dict[str, Any] = self.get(f"{runs}/{body['dag_run_id']}")
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.NOT_FOUND:
                    raise
            else:
                return found
        raise OSError(f"Airflow answered four times with an error to a run of {dag_id}")

    def _send(self, method: str, path: str, body: object, *, authorised: bool) -> Any:
        headers = {"Content-Type": "application/json"}
        if authorised:
            if not self._token:
                self._token = self.call("GET", "/auth/token", authorised=False)["access_token"]
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(
            f"{self.url}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers=headers,
            method=method,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as response:
            content = response.read()
        return json.loads(content) if content else None
