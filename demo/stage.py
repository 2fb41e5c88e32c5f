"""What `make demo` and `make ui` play on: a simulated Kore.ai, a real S3 server, an Airflow home; all gone at the end.

Both servers are threads of this process, so nothing of them can be left behind. Whatever runs as a process of its own
has a session of its own, and the whole session is ended.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType, TracebackType
    from typing import Self

ROOT = Path(__file__).resolve().parents[1]
DAGS = ROOT / "dags"
KEPT = ROOT / ".demo"
"""What outlives a run: the migrated database, and the logs of runs that failed."""

LIST_ID = "cl-demo"
BUCKET = "kore-demo"
REGION = "eu-central-1"
S3_LOGIN, S3_PASSWORD = "demo-access-key", "demo-secret-key"
CAMPAIGN_ID = "cd-demo"
HASH_KEY = "no-secret-but-a-key-for-the-demo-alone"
GRACE = 10.0
"""Seconds that a process gets to end politely."""


class DemoError(Exception):
    """Something went wrong; the message is the one sentence that a person reads."""


class Stage:
    """The servers and the Airflow home, for a ``with`` block.

    :param lists: contact lists by id, and their lengths.
    """

    def __init__(self, lists: dict[str, int]) -> None:
        self._lists = lists
        self._cleanup = ExitStack()
        self.connections_by_environment = True
        self.settings: dict[str, str] = {}
        """Further variables for what is Airflow."""
        self.began = time.monotonic()
        self.log = KEPT / f"{time.strftime('%Y-%m-%d-%H%M%S')}-{os.getpid()}.log"

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def _open(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="kore-demo-"))
        self._cleanup.callback(shutil.rmtree, self.home, ignore_errors=True)
        KEPT.mkdir(exist_ok=True)

        from console import Console

        from airflow_provider_kore.simulator import Simulator

        self.kore = Simulator(latency=0.05).start()
        self._cleanup.callback(self.kore.stop)
        for list_id, contacts in self._lists.items():
            self.kore.add_list(list_id, contacts=contacts)
        self.kore.add_campaign(CAMPAIGN_ID, status="Completed", results=120)
        self.s3_url = self._start_s3()
        self.console = Console(self.s3, lambda list_id: sum(1 for _ in self.kore.contact_ids(list_id)))
        self._cleanup.callback(self.console.stop)
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self._cleanup.callback(self._delete_bucket)

    def _delete_bucket(self) -> None:
        """The server's memory is this process's, and a later stage of the same process would find the bucket."""
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for entry in page.get("Contents", ()):
                self.s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
        self.s3.delete_bucket(Bucket=BUCKET)

    def _start_s3(self) -> str:
        import logging

        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        self._cleanup.callback(server.stop)
        host, port = server.get_host_and_port()
        return f"http://{host}:{port}"

    @cached_property
    def s3(self) -> Any:
        """A boto3 client of the S3 server."""
        import boto3
        from botocore.config import Config

        session = boto3.Session(aws_access_key_id=S3_LOGIN, aws_secret_access_key=S3_PASSWORD, region_name=REGION)
        config = Config(s3={"addressing_style": "path"}, proxies={})
        return session.client("s3", endpoint_url=self.s3_url, config=config)

    @property
    def connections(self) -> dict[str, dict[str, Any]]:
        """The Airflow connections that the example DAGs name."""
        connection = self.kore.connection
        host, _, port = self.kore.url.rpartition(":")
        return {
            "kore_default": {
                **connection,
                "host": host,
                "port": int(port),  # the Test button of Airflow 3.3.1 and 3.3.2 refuses a connection without one
                "extra": {
                    **connection["extra"],
                    "contact_list_url": f"{self.console.url}/lists/{{contact_list_id}}",
                },
            },
            "kore_hash_key": {"conn_type": "generic", "login": "demo-1", "password": HASH_KEY},
            "aws_default": {
                "conn_type": "aws",
                "login": S3_LOGIN,
                "password": S3_PASSWORD,
                "extra": {
                    "endpoint_url": self.s3_url,
                    "region_name": REGION,
                    "console_url": f"{self.console.url}/s3/{{bucket}}/{{key}}",
                },
            },
        }

    @property
    def environment(self) -> dict[str, str]:
        """The environment of everything that is Airflow: its own home, and nothing of the person's own set-up."""
        variables = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(one) for name, one in self.connections.items()}
        return (
            airflow_environment(self.home, DAGS)
            | (variables if self.connections_by_environment else {})
            | self.settings
        )

    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        """Print a line of progress."""
        print(f"{self.elapsed():6.1f} s  {text}", flush=True)

    def migrate(self) -> bool:
        """Give the home a database; return whether the one of an earlier run would do."""
        kept = KEPT / f"airflow-{importlib.metadata.version('apache-airflow')}.db"
        database = self.home / "airflow.db"
        if kept.exists():
            shutil.copy(kept, database)
            return True
        self.run([sys.executable, "-m", "airflow", "db", "migrate"], "Airflow's database could not be made")
        own = kept.with_suffix(f".{os.getpid()}")
        shutil.copy(database, own)
        own.replace(kept)  # in one step: another demo may do the same
        return False

    def run(self, command: Sequence[str], failure: str) -> None:
        """Run a command to its end. Raises DemoError, which begins with ``failure``."""
        with self.process(command) as process:
            if process.wait():
                raise DemoError(f"{failure} (exit status {process.returncode}).")

    @contextmanager
    def process(self, command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        """Start a process in a session of its own, which writes to the log, and end the session with the block."""
        with self.log.open("ab") as log, ended_session(command, self.environment, log, **options) as process:
            yield process


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


@contextmanager
def ended_session(
    command: Sequence[str], environment: dict[str, str], log: Any, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in a session of its own; at the end of the block nothing of that session is left."""
    process = subprocess.Popen(
        list(command),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        **options,
    )
    try:
        yield process
    finally:
        end_sessions([process])


def end_sessions(processes: Sequence[subprocess.Popen[bytes]], grace: float = GRACE) -> None:
    """End processes and everything that they have started: politely, and after some seconds for certain."""
    import psutil

    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + grace
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
    sessions = {process.pid for process in processes}
    for found in psutil.process_iter():  # a task of Airflow 3.3 has left the process group, but not the session
        try:
            if os.getsid(found.pid) in sessions:
                found.kill()
        except (OSError, psutil.Error):
            continue
    for process in processes:
        process.wait()


def free_port() -> int:
    """Return a port of loopback that nobody has just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def catch_signals() -> None:
    """Let Ctrl-C, SIGTERM and a closed terminal unwind the program; what comes later does not disturb the cleaning."""

    def leave(number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, leave)


def mask_phone(number: str) -> str:
    """Leave the first three and the last two characters of a phone number."""
    return f"{number[:3]}{'*' * max(0, len(number) - 5)}{number[-2:]}"


def perform(name: str, stage: Stage, play: Callable[[Stage], None]) -> int:
    """Play on the stage and clear it, whatever happens; return the exit status.

    :param name: of the make target, for messages.
    """
    catch_signals()
    try:
        with stage:
            play(stage)
    except SystemExit as stopped:
        print("\nStopped. Everything that was started has ended, and what it wrote is removed.", file=sys.stderr)
        stage.log.unlink(missing_ok=True)
        return int(stopped.code or 0)
    except Exception as error:  # noqa: BLE001 - a person wants a sentence, not a traceback
        text = str(error) if isinstance(error, DemoError) else f"{type(error).__name__}: {error}"
        print(f"\nmake {name} failed: {text}", file=sys.stderr)
        if stage.log.exists():
            print(f"Airflow's own words are in {stage.log.relative_to(ROOT)}", file=sys.stderr)
        return 1
    stage.log.unlink(missing_ok=True)
    return 0


def write_connections(stage: Stage) -> Path:
    """Write the connections to a file that ``airflow connections import`` reads."""
    file = stage.home / "connections.json"
    file.write_text(
        json.dumps({name: one | {"extra": json.dumps(one.get("extra", {}))} for name, one in stage.connections.items()})
    )
    return file
