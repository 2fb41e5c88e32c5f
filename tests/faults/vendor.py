"""The simulator in another process, steered over its control API: a fork of this process shares no lock with it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Vendor:
    """One running simulator."""

    def __init__(self, url: str, connection: dict[str, Any]) -> None:
        self.url = url
        self.connection = connection
        self._lists = 0

    def call(self, method: str, path: str, **fields: Any) -> Any:
        """Send one request to the control API."""
        body = json.dumps(fields).encode() if fields else None
        request = urllib.request.Request(f"{self.url}/_simulator/{path}", body, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
            return json.loads(answer.read())

    def calm(self) -> None:
        """Take all faults and latency away."""
        self.call("DELETE", "faults")
        self.configure(latency=0.0)

    def configure(self, **settings: Any) -> None:
        self.call("PATCH", "settings", **settings)

    def add_list(self, contacts: int, list_id: str | None = None, **fields: Any) -> str:
        """Make a list that no other test knows."""
        self._lists += 1
        list_id = list_id or f"cl-{self._lists}"
        self.call("POST", "lists", list_id=list_id, contacts=contacts, **fields)
        return list_id

    def change(self, list_id: str, how: str, **fields: Any) -> None:
        self.call("POST", f"lists/{list_id}/{how}", **fields)

    def ids(self, list_id: str) -> list[str]:
        """Return the ids that pages serve now, in their order."""
        return list(self.call("GET", f"lists/{list_id}/ids"))

    def fault(self, name: str, **fields: Any) -> None:
        self.call("POST", "faults", name=name, **fields)

    def fired(self) -> int:
        return sum(fault["fired"] for fault in self.call("GET", "faults"))

    def forget(self) -> None:
        """Count pages from here on."""
        self.call("DELETE", "requests")

    def pages(self) -> int:
        """Return how many page requests were served since :meth:`forget`; cheap, for polling."""
        return int(self.call("GET", "report")["endpoints"].get("contacts", 0))

    def offsets(self, list_id: str) -> Counter[int]:
        """Return how often each offset of a list was served since :meth:`forget`."""
        served = self.call("GET", "requests")
        return Counter(
            each["skip"]
            for each in served
            if each["endpoint"] == "contacts" and f"/{list_id}/" in each["path"] and each["status"] == 200
        )


@contextmanager
def running_vendor() -> Iterator[Vendor]:
    """Start a simulator that knows no rate limit."""
    command = [sys.executable, "-m", "airflow_provider_kore.simulator", "--set", "requests_per_minute=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            started = json.loads(process.stdout.readline())
            connection = json.loads(started["connection"])
            connection["extra"] = {**connection["extra"], "requests_per_minute": 0}
            yield Vendor(started["url"], connection)
        finally:
            process.kill()
