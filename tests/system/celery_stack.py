"""A whole Airflow with CeleryExecutor: PostgreSQL, Redis, API server, scheduler, DAG processor, workers.

Everything listens on free ports of the loopback interface and keeps its files in one folder below the folder for
temporary files. All of it ends with the ``with`` block, or with the process, even if that is killed: see process_guard.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

import psutil
import pytest
from processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / ".cache" / "celery-logs"
"""Where the logs of the last run are kept."""

HOSTNAME_VARIABLE = "KORE_TEST_HOSTNAME"
_NAMES = f"import os\n\n\ndef name():\n    return os.environ.get({HOSTNAME_VARIABLE!r}, 'localhost')\n"
_HEARTBEAT_TIMEOUT = 20
"""Seconds without a heartbeat after which the scheduler gives a task up (Airflow's default: 300)."""

_START = 180.0
"""Seconds that anything may take to start: on a busy machine Airflow's imports alone take half a minute."""


@dataclass
class Worker:
    """A Celery worker, under a host name of its own."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tree(self) -> list[psutil.Process]:
        """Return the worker and all that it has started: pool, supervisor, task."""
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def lose(self) -> set[int]:
        """Let the worker vanish as a machine does, with all its processes at once; return their ids."""
        frozen: set[int] = set()
        while new := [process for process in self.tree() if process.pid not in frozen]:
            # Frozen first, so that none of them sees another one die and does something about it.
            for process in new:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()
                frozen.add(process.pid)
        for pid in frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        return frozen


@dataclass
class CeleryStack:
    """The running parts, and what a person would do with them.

    :param python: interpreter of an environment with Airflow and its Celery provider.
    :param programs: paths of ``initdb``, ``postgres`` and ``redis-server``.
    :param connections: Airflow connections by id.
    :param dag: source text of the one DAG file.
    """

    python: Path
    programs: Mapping[str, str]
    connections: Mapping[str, Mapping[str, Any]]
    dag: str
    workers: dict[str, Worker] = field(default_factory=dict)
    _vital: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _environment: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="kore-celery-"))
        self._folder.chmod(0o755)  # PostgreSQL runs as another user than root
        self._exit = contextlib.ExitStack()
        try:
            self._start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def _start(self) -> None:
        guard = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("process_guard.py")), str(self._folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._guard = guard
        self._exit.callback(self._end)
        for name in ("logs", "home", "dags", "names", "tmp"):
            (self._folder / name).mkdir()
        (self._folder / "names" / "kore_test_hostname.py").write_text(_NAMES)
        (self._folder / "dags" / "dag.py").write_text(self.dag)
        database, broker = self._start_postgres(), self._start_redis()
        self._environment = self._airflow_environment(database, broker)
        self._migrate()
        self.url = f"http://{self._start_listening('api-server', self._api_server)}"
        self._token = self.until("a token of the API server", self._fetch_token, _START)
        for name in ("scheduler", "dag-processor"):
            self._spawn(name, self._airflow(name), vital=True)

    def _end(self) -> None:
        assert self._guard.stdin is not None
        with contextlib.suppress(OSError):
            shutil.rmtree(LOGS, ignore_errors=True)
            shutil.copytree(self._folder / "logs", LOGS)
        self._guard.stdin.close()
        self._guard.wait()
        for process in [*self._vital.values(), *(worker.process for worker in self.workers.values())]:
            process.wait()

    # -- parts ---------------------------------------------------------------------------------------------------------

    def start_worker(self, name: str) -> Worker:
        """Start a worker for one task at a time; it takes some seconds until it is ready."""
        command = self._airflow("celery", "worker", "--concurrency", "1", "--skip-serve-logs")
        command += ["--celery-hostname", name, "--pid", str(self._folder / f"{name}.pid")]
        process = self._spawn(name, command, {HOSTNAME_VARIABLE: name})
        worker = self.workers[name] = Worker(name, process, self._log(name))
        return worker

    def await_worker(self, worker: Worker) -> None:
        """Wait until a worker takes tasks."""

        def ready() -> bool:
            if worker.process.poll() is not None:
                self._give_up(f"{worker.name} ended while it started")
            return f"{worker.name} ready." in worker.log.read_text(errors="replace")

        self.until(f"{worker.name} to be ready", ready, _START)

    def _start_postgres(self) -> str:
        data, password = self._folder / "postgres", secrets.token_hex(16)
        (self._folder / "password").write_text(password)
        data.mkdir(mode=0o700)
        as_whom: dict[str, Any] = {"cwd": data}
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            user = _unprivileged_user()
            for path in (data, self._folder / "password"):
                os.chown(path, user.pw_uid, user.pw_gid)
            as_whom |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        initdb = [self.programs["initdb"], "--pgdata", str(data), "--username=airflow", "--auth=scram-sha-256"]
        initdb += [f"--pwfile={self._folder / 'password'}", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", initdb, **as_whom)
        settings = (
            "listen_addresses=127.0.0.1 unix_socket_directories= fsync=off full_page_writes=off max_connections=200"
        )

        def command(port: int) -> list[str]:
            options = [word for setting in [*settings.split(), f"port={port}"] for word in ("-c", setting)]
            return [self.programs["postgres"], "-D", str(data), *options]

        address = self._start_listening("postgres", command, ended_by=signal.SIGQUIT, **as_whom)
        return f"airflow:{password}@{address}/postgres"

    def _start_redis(self) -> str:
        password, folder = secrets.token_hex(16), self._folder / "redis"
        folder.mkdir()
        (folder / "redis.conf").write_text(f'bind 127.0.0.1\nrequirepass {password}\nsave ""\nappendonly no\n')

        def command(port: int) -> list[str]:
            return [self.programs["redis-server"], str(folder / "redis.conf"), "--port", str(port)]

        address = self._start_listening("redis", command, cwd=folder)
        return f"redis://:{password}@{address}/0"

    def _airflow_environment(self, database: str, broker: str) -> dict[str, str]:
        settings = {
            "CORE__EXECUTOR": "CeleryExecutor",
            "CORE__DAGS_FOLDER": self._folder / "dags",
            "CORE__LOAD_EXAMPLES": False,
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": True,
            "CORE__HOSTNAME_CALLABLE": "kore_test_hostname.name",
            "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
            "CELERY__BROKER_URL": broker,
            "CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database}",
            "API__SECRET_KEY": secrets.token_hex(32),
            "API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "LOGGING__BASE_LOG_FOLDER": self._folder / "logs" / "tasks",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": _HEARTBEAT_TIMEOUT,
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 1,
            "WORKERS__MIN_HEARTBEAT_INTERVAL": 2,
            "USAGE_DATA_COLLECTION__ENABLED": False,
        }
        ours = ("AIRFLOW", "AWS_", "COV_", "KORE_", "MOTO_", "PYTEST_", "PYTHON", "VIRTUAL_ENV")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        environment |= {f"AIRFLOW__{name}": str(value) for name, value in settings.items()}
        environment |= {
            f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection) for name, connection in self.connections.items()
        }
        return environment | {
            "AIRFLOW_HOME": str(self._folder / "home"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self._folder / "names"),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self._folder / "tmp"),
        }

    def _migrate(self) -> None:
        self._run("db-migrate", self._airflow("db", "migrate"), env=self._environment, cwd=self._folder)

    def _api_server(self, port: int) -> list[str]:
        url = f"http://127.0.0.1:{port}"
        self._environment |= {
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        }
        return self._airflow("api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1")

    def _airflow(self, *words: str) -> list[str]:
        return [str(self.python), "-m", "airflow", *words]

    # -- processes -----------------------------------------------------------------------------------------------------

    def _run(self, name: str, command: Sequence[str], **options: Any) -> None:
        process = self._popen(name, command, **options)
        if process.wait(timeout=_START):
            self._give_up(f"{name} failed", name)

    def _spawn(
        self, name: str, command: Sequence[str], variables: Mapping[str, str] | None = None, *, vital: bool = False
    ) -> subprocess.Popen[bytes]:
        process = self._popen(name, command, env=self._environment | dict(variables or {}), cwd=self._folder)
        if vital:
            self._vital[name] = process
        return process

    def _start_listening(
        self,
        name: str,
        command: Callable[[int], Sequence[str]],
        *,
        ended_by: int = signal.SIGKILL,
        **options: Any,
    ) -> str:
        """Start a server on a free port and return its address; on another if somebody took that one meanwhile."""
        options.setdefault("cwd", self._folder)
        for _ in range(5):
            port = free_port()
            words = command(port)
            process = self._popen(name, words, ended_by=ended_by, env=self._environment or None, **options)
            if self.until(f"{name} to listen", partial(_listens, process, port), _START) == "yes":
                self._vital[name] = process
                return f"127.0.0.1:{port}"
        return self._give_up(f"{name} does not start", name)

    def _popen(
        self, name: str, command: Sequence[str], *, ended_by: int = signal.SIGKILL, **options: Any
    ) -> subprocess.Popen[bytes]:
        with self._log(name).open("ab") as output:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )
        assert self._guard.stdin is not None
        self._guard.stdin.write(f"{int(ended_by)} {process.pid}\n".encode())
        self._guard.stdin.flush()
        return process

    def _log(self, name: str) -> Path:
        return self._folder / "logs" / f"{name}.log"

    # -- waiting -------------------------------------------------------------------------------------------------------

    def until(self, what: str, probe: Callable[[], T], seconds: float = 300.0) -> T:
        """Ask until the answer is true, and return it; fail with the end of all logs if it takes longer."""
        deadline = time.monotonic() + seconds
        while not (answer := probe()):
            for name, process in self._vital.items():
                if process.poll() is not None:
                    self._give_up(f"{name} ended while we waited for {what}", name)
            if time.monotonic() > deadline:
                self._give_up(f"Waited {seconds:.0f} s for {what}")
            time.sleep(0.25)
        return answer

    def _give_up(self, why: str, *names: str) -> NoReturn:
        logs = sorted((self._folder / "logs").rglob("*.log"))
        shown = [log for log in logs if not names or log.stem in names]
        tails = [f"--- {log.name}\n{_tail(log)}" for log in shown]
        pytest.fail(f"{why}.\n" + "\n".join(tails), pytrace=False)

    # -- Airflow's API -------------------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Call the REST API; return the answer's JSON. Raises urllib.error.HTTPError."""
        return http(method, f"{self.url}/api/v2/{path}", body, {"Authorization": f"Bearer {self._token}"})

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> list[dict[str, Any]]:
        """Return the events that a try has logged."""
        folder = self._folder / "logs" / "tasks" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        log = folder / f"attempt={try_number}.log"
        events = []
        for line in log.read_text(errors="replace").splitlines() if log.exists() else []:
            with contextlib.suppress(ValueError):  # a line that was cut off when its process died
                events.append(json.loads(line))
        return events

    def keep_excerpt(self) -> None:
        """Write what matters of all tries' logs, for a person to read, to ``tries.txt`` beside the logs."""
        lines = []
        for log in sorted(
            (self._folder / "logs" / "tasks").rglob("attempt=*.log"), key=lambda path: path.stat().st_mtime
        ):
            words = dict(
                word.split("=", 1) for word in log.relative_to(self._folder).with_suffix("").parts if "=" in word
            )
            lines.append(f"--- {words['run_id']}, try {words['attempt']}")
            for event in self.task_log(words["dag_id"], words["run_id"], words["task_id"], int(words["attempt"])):
                said = event.get("logger", "").startswith("airflow_provider_kore") or event["level"] == "error"
                if said or "exit_code" in event:
                    lines.append(_readable(event))
        (self._folder / "logs" / "tries.txt").write_text("\n".join([*lines, ""]))

    def _fetch_token(self) -> str | None:
        try:
            return str(http("GET", f"{self.url}/auth/token")["access_token"])
        except (OSError, urllib.error.URLError):
            return None


def http(method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
    """Send a request with JSON to a server of ours, return the JSON of its answer. Raises urllib.error.HTTPError."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - our own servers
        url, data, {"Content-Type": "application/json", **(headers or {})}, method=method
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        return json.load(answer)


def _listens(process: subprocess.Popen[bytes], port: int) -> str:
    if process.poll() is not None:
        return "no"
    with socket.socket() as client:
        client.settimeout(1)
        return "yes" if client.connect_ex(("127.0.0.1", port)) == 0 else ""


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.skip("This test runs PostgreSQL as the user postgres or nobody, and this machine has neither.")


def _readable(event: Mapping[str, Any]) -> str:
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in event.get("error_detail", [])]
    extra = [f"{name}={event[name]}" for name in ("exit_code", "state") if name in event]
    said = "\n".join([" ".join([event["event"], *extra]), *(f"    {error}" for error in errors)])
    return f"{event['timestamp'][11:23]} {event['level']:<7} {said}"


def _tail(log: Path, size: int = 3000) -> str:
    return log.read_bytes()[-size:].decode(errors="replace")
