"""What `make demo` and `make ui` play on: a simulated Kore.ai, a real S3 server, an Airflow home; all gone at the end.

Kore.ai is a thread of this process, and the S3 server ends with it, so neither can be left over. Whatever else runs as
a process has a session of its own, and the whole session is ended.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType, TracebackType
    from typing import Self

ROOT = Path(__file__).resolve().parents[1]
if (kit := str(ROOT / "kit")) not in sys.path:
    sys.path.insert(0, kit)

from airflow_processes import airflow_environment  # noqa: E402
from processes import ended_session  # noqa: E402

DAGS = ROOT / "dags"
KEPT = ROOT / ".demo"
"""What outlives a run: the migrated database, and the logs of runs that failed."""

LIST_ID = "cl-demo"
BUCKET = "kore-demo"
CAMPAIGN_ID = "cd-demo"
HASH_KEY = "no-secret-but-a-key-for-the-demo-alone"


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
        from s3_servers import moto

        from airflow_provider_kore.simulator import Simulator

        self.kore = Simulator(latency=0.05).start()
        self._cleanup.callback(self.kore.stop)
        for list_id, contacts in self._lists.items():
            self.kore.add_list(list_id, contacts=contacts)
        self.kore.add_campaign(CAMPAIGN_ID, status="Completed", results=120)
        self.server = self._cleanup.enter_context(moto(self.home))
        self.server.bucket(BUCKET)
        self.console = Console(self.s3, lambda list_id: sum(1 for _ in self.kore.contact_ids(list_id)))
        self._cleanup.callback(self.console.stop)

    @cached_property
    def s3(self) -> Any:
        """A boto3 client of the S3 server."""
        return self.server.client()

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
            "aws_default": self.server.connection(console_url=f"{self.console.url}/s3/{{bucket}}/{{key}}"),
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
