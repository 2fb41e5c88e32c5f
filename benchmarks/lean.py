"""How lean the walk is, beside the loop that everybody writes first: ``python benchmarks/lean.py``.

Both read the same list, pages of 50 over kept connections, from the same server process, which has every page ready.
The plain loop is ``requests.Session.get``, ``.json()``, and ``json.dumps`` of each contact into a gzip file. Ours is
``take_snapshot`` with all it proves on the way, and with its checkpoints in S3 (a moto server in a third process).
Timed is from the first request to the answer of the last, so checkpoints count and publishing does not. The loop gzips
at Python's own level, ours at the lowest, as its checkpoints need; ``--level 1`` takes that advantage away. They take
turns, and each counts with its fastest round.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import socket
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from servers import start_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.api.transport import HttpRequest, HttpResponse, Transport

PROMISED = 2.5
"""How many times as fast as the plain loop."""
LEVEL = 9
"""Of gzip in the plain loop: what ``gzip.open`` does when it is told nothing. Level 1 takes a third of the time."""
PAGE = 50
LIST = "cl-lean"
UPDATED_AT = "2026-11-23T10:00:00.000Z"


@dataclass
class Time:
    """Seconds between the first request and the answer of the last, and of this process's CPU meanwhile."""

    wall: float
    cpu: float


class Timed:
    """A transport that looks at the clock."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._first: Time | None = None
        self._last = Time(0.0, 0.0)

    def send(self, request: HttpRequest) -> HttpResponse:
        """Exchange one request, as the transport does."""
        self._first = self._first or now()
        try:
            return self._transport.send(request)
        finally:
            self._last = now()

    def close(self) -> None:
        """Give up the connections."""
        self._transport.close()

    @property
    def time(self) -> Time:
        """From the first request to the last answer."""
        first = self._first or self._last
        return Time(self._last.wall - first.wall, self._last.cpu - first.cpu)


def now() -> Time:
    """Look at both clocks."""
    return Time(time.perf_counter(), time.process_time())


# --- The two that are compared ---------------------------------------------------------------------------------------


def plain(config: ApiConfig, contacts: int, folder: Path, level: int) -> Time:
    """Read the list as a first draft would."""
    import requests

    url = f"{config.base_url}/campaign/api/v2/public/{config.stream_id}/campaign/contactList/{LIST}/getAllContacts"
    headers = {"auth": "a-token", "iid": config.stream_id, "accountId": config.account_id}
    found = 0
    with requests.Session() as session, gzip.open(folder / "plain.jsonl.gz", "wt", compresslevel=level) as out:
        began = now()
        while True:
            params: dict[str, str | int] = {"accountId": config.account_id, "skip": found, "limit": PAGE}
            answer = session.get(url, params=params, headers=headers, timeout=30)
            answer.raise_for_status()
            page = answer.json()
            for contact in page["data"]["results"]:
                out.write(json.dumps(contact) + "\n")
            found += len(page["data"]["results"])
            if not page["hasMore"]:
                break
        out.flush()
        ended = now()
    if found != contacts:
        raise SystemExit(f"the plain loop read {found} of {contacts} contacts")
    return Time(ended.wall - began.wall, ended.cpu - began.cpu)


def ours(config: ApiConfig, contacts: int, store: Any, in_flight: int) -> Time:
    """Take a snapshot of the list."""
    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.api.sources.contacts import ContactListSource
    from airflow_provider_kore.api.transport import RequestsTransport
    from airflow_provider_kore.clock import SystemClock
    from airflow_provider_kore.snapshot.run import take_snapshot
    from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec

    spec = SnapshotSpec.parse(
        source=ContactListSource(contact_list_id=LIST),
        s3_prefix="lean/contacts",
        snapshot_date="2026-11-23",
        page_size=PAGE,
        run=RunKey(dag_id="lean", run_id=f"run-{time.time_ns()}", task_id="land"),
    )
    clock = SystemClock()
    timed = Timed(RequestsTransport(config, clock, connections=in_flight))
    with CampaignClient(config, clock=clock, transport=timed, in_flight=in_flight) as client:
        manifest = take_snapshot(spec, client, store, clock)
    if manifest.rows != contacts:
        raise SystemExit(f"the snapshot holds {manifest.rows} of {contacts} contacts")
    return timed.time


# --- The server: pages that were printed before, so that the other side is what is measured --------------------------


def serve(contacts: int, zipped: bool, port: Any) -> None:  # noqa: FBT001  # the target of a process
    """Print every page, name the port, and answer until the process is ended."""
    details = {"_id": LIST, "name": "Lean", "updatedAt": UPDATED_AT, "totalRecordCount": contacts}
    about_list = _http(json.dumps({"status": "success", "message": "", "data": details}), zipped)
    pages = {skip: _http(_page(skip, contacts), zipped) for skip in range(0, contacts, PAGE)}
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        port.send(listening.getsockname()[1])
        while True:
            connection, _ = listening.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Thread(target=_talk, args=[connection, pages, about_list], daemon=True).start()


def _talk(connection: socket.socket, pages: dict[int, bytes], about_list: bytes) -> None:
    with connection:
        while request := connection.recv(65_536):
            while not request.endswith(b"\r\n\r\n"):  # no request here has a body
                request += connection.recv(65_536)
            target = request.split(b" ", 2)[1]
            skip = target.partition(b"skip=")[2].partition(b"&")[0]
            connection.sendall(pages[int(skip)] if skip else about_list)


def _http(body: str, zipped: bool) -> bytes:  # noqa: FBT001
    data = gzip.compress(body.encode(), 6) if zipped else body.encode()
    headers = [
        "HTTP/1.1 200 OK",
        "Content-Type: application/json; charset=utf-8",
        *(["Content-Encoding: gzip"] if zipped else []),
        f"Content-Length: {len(data)}",
        "Date: Mon, 23 Nov 2026 10:00:00 GMT",
        "Server: lean",
    ]
    return "\r\n".join([*headers, "", ""]).encode() + data


def _page(skip: int, contacts: int) -> str:
    results = [_contact(number) for number in range(skip, min(skip + PAGE, contacts))]
    answer = {"status": "success", "message": "Contacts retrieved successfully", "data": {"results": results}}
    facts = {"skip": skip, "limit": PAGE, "hasMore": skip + PAGE < contacts, "totalResults": contacts}
    return json.dumps(answer | facts, ensure_ascii=False, separators=(",", ":"))


def _contact(number: int) -> dict[str, str]:
    """Return a contact with the fields of the vendor's sample."""
    created = f"2025-12-09T{number // 3_600_000 % 24:02d}:{number // 60_000 % 60:02d}:{number // 1_000 % 60:02d}"
    return {
        "_id": f"cc-{number * 2_654_435_761 % 2**32:08x}-{number:012d}",
        "createdAt": f"{created}.{number % 1_000:03d}Z",
        "updatedAt": f"{created}.{number % 1_000:03d}Z",
        "phoneNumber": f"+1555{number:07d}",
        "firstName": ("Ana", "Göran", "Chidi", "Mei", "Inés")[number % 5],
        "lastName": ("Ali", "Brown", "Díaz", "Fischer", "Khan", "Ito", "Eze")[number % 7],
        "timeZone": ("America/New_York", "Europe/Berlin", "Asia/Kolkata")[number % 3],
        "uniqueId": f"u-{number}",
        "contactPriority": str(number % 10),
    }


@contextmanager
def servers(contacts: int, *, zipped: bool) -> Iterator[tuple[ApiConfig, Any]]:
    """Start both servers; lend the connection to the one and a store in the other."""
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.store.s3 import S3Store

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kore-lean-")))
        s3 = start_s3(stack, folder, "lean")
        spawn = multiprocessing.get_context("spawn")
        ours_, theirs = spawn.Pipe()
        server = spawn.Process(target=serve, args=[contacts, zipped, theirs], daemon=True)
        server.start()
        stack.callback(server.kill)
        config = ApiConfig(
            base_url=f"http://127.0.0.1:{ours_.recv()}",
            client_id="cs-lean",
            client_secret="s" * 64,
            stream_id="st-lean",
            account_id="ac-lean",
            requests_per_minute=0,
        )
        yield config, S3Store(s3.client(retries=2), "lean")


# --- The rounds ------------------------------------------------------------------------------------------------------


def main() -> int:
    """Measure, print a table, and return 1 if the promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=100_000, help="in the list (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of each (default: %(default)s)")
    parser.add_argument("--zipped", action="store_true", help="the server sends its pages with Content-Encoding: gzip")
    parser.add_argument("--level", type=int, default=LEVEL, help="of gzip in the plain loop (default: %(default)s)")
    parser.add_argument(
        "--in-flight", type=int, default=1, help="pages that ours may read ahead (default: %(default)s)"
    )
    options = parser.parse_args()
    contacts = options.contacts
    with servers(contacts, zipped=options.zipped) as (config, store), tempfile.TemporaryDirectory() as folder:
        runs: dict[str, Callable[[], Time]] = {
            "plain loop": lambda: plain(config, contacts, Path(folder), options.level),
            "ours": lambda: ours(config, contacts, store, options.in_flight),
        }
        times: dict[str, list[Time]] = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, run in runs.items():
                times[name].append(run())
    pages = -(-contacts // PAGE)
    best = {name: Time(min(t.wall for t in found), min(t.cpu for t in found)) for name, found in times.items()}
    _say(f"{contacts:,} contacts, {PAGE} in a page, best of {options.rounds} rounds\n")
    _say("| | seconds | of CPU | ms per page |")
    _say("|---|---:|---:|---:|")
    for name, found in best.items():
        _say(f"| {name} | {found.wall:.2f} | {found.cpu:.2f} | {1000 * found.wall / pages:.3f} |")
    ratio = best["plain loop"].wall / best["ours"].wall
    of_cpu = best["plain loop"].cpu / best["ours"].cpu
    _say(f"\nOurs is {ratio:.2f} times as fast ({of_cpu:.2f} in CPU); promised: {PROMISED:g}.")
    return int(ratio < PROMISED)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
