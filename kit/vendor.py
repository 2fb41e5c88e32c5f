"""The simulator in a process of its own, controlled over its API: a fork of this process shares no lock with it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from contextlib import contextmanager, nullcontext
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processes import ENDS_WITH_US

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]


class Vendor:
    """One running simulator."""

    def __init__(self, url: str, connection: dict[str, Any]) -> None:
        self.url = url
        self.connection = connection
        self._lists = 0

    def call(self, method: str, path: str, **fields: Any) -> Any:
        """Send one request to the control API."""
        body = json.dumps(fields).encode() if fields else None
        request = urllib.request.Request(f"{self.url}/_simulator/{path}", body, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def calm(self) -> None:
        """Take all faults and latency away."""
        self.call("DELETE", "faults")
        self.configure(latency=0.0)

    def configure(self, **settings: Any) -> None:
        """Change settings."""
        self.call("PATCH", "settings", **settings)

    def add_list(self, contacts: int, list_id: str | None = None, **fields: Any) -> str:
        """Make a list that no other test knows."""
        self._lists += 1
        list_id = list_id or f"cl-{self._lists}"
        self.call("POST", "lists", list_id=list_id, contacts=contacts, **fields)
        return list_id

    def change(self, list_id: str, how: str, **fields: Any) -> None:
        """Change a list now."""
        self.call("POST", f"lists/{list_id}/{how}", **fields)

    def ids(self, list_id: str) -> list[str]:
        """Return the ids that pages serve now, in their order."""
        return list(self.call("GET", f"lists/{list_id}/ids"))

    def fault(self, name: str, **fields: Any) -> None:
        """Let something go wrong from now on."""
        self.call("POST", "faults", name=name, **fields)

    def fired(self) -> int:
        """Return how often a fault has struck."""
        return sum(fault["fired"] for fault in self.call("GET", "faults"))

    def forget(self) -> None:
        """Count requests from here on."""
        self.call("DELETE", "requests")

    def report(self) -> dict[str, Any]:
        """Return what was served since :meth:`forget`."""
        return dict(self.call("GET", "report"))

    def pages(self) -> int:
        """Return how many page requests were served since :meth:`forget`; cheap, for polling."""
        return int(self.report()["endpoints"].get("contacts", 0))

    def offsets(self, list_id: str) -> Counter[int]:
        """Return how often each offset of a list was served since :meth:`forget`."""
        served = self.call("GET", "requests")
        return Counter(
            each["skip"]
            for each in served
            if each["endpoint"] == "contacts" and f"/{list_id}/" in each["path"] and each["status"] == HTTPStatus.OK
        )


@contextmanager
def running_vendor(log: Path | None = None, **settings: object) -> Iterator[Vendor]:
    """Start a simulator with these settings.

    :param log: file that takes what it complains about; None: our own standard error.
    """
    program = ENDS_WITH_US + "from airflow_provider_kore.simulator.__main__ import main\nmain(sys.argv[1:])\n"
    command = [sys.executable, "-c", program]
    for name, value in settings.items():
        command += ["--set", f"{name}={json.dumps(value)}"]
    with (
        log.open("a") if log else nullcontext() as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT
        ) as process,
    ):
        assert process.stdout is not None
        try:
            started = json.loads(process.stdout.readline())
            yield Vendor(started["url"], json.loads(started["connection"]))
        finally:
            process.kill()
