"""The simulated vendor and the S3 server, each in a process of its own, and the connections that lead there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import ExitStack

ROOT = Path(__file__).resolve().parents[1]
WAIT_SECONDS = 60.0

_MOTO = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
from werkzeug.serving import make_server
from moto.server import DomainDispatcherApplication, create_backend_app
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.port, flush=True)
server.serve_forever()
"""


@dataclass(frozen=True)
class Vendor:
    """One simulator; what it was told and asked goes over its control API."""

    url: str
    connection: dict[str, Any]

    def add_list(self, list_id: str, contacts: int) -> None:
        """Let there be a list of so many contacts."""
        self.control("POST", "lists", {"list_id": list_id, "contacts": contacts})

    def configure(self, **settings: object) -> None:
        """Change settings of the simulator."""
        self.control("PATCH", "settings", settings)

    def forget(self) -> None:
        """Begin to count requests anew."""
        self.control("DELETE", "requests")

    def report(self) -> dict[str, Any]:
        """Return what was served since :meth:`forget`."""
        found: dict[str, Any] = self.control("GET", "report")
        return found

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Send one request to the control API."""
        return json.loads(request(f"{self.url}/_simulator/{path}", method, body))


def start_vendor(stack: ExitStack, folder: Path, **settings: object) -> Vendor:
    """Start a simulator that ends with the stack."""
    command = [sys.executable, "-m", "airflow_provider_kore.simulator"]
    for name, value in settings.items():
        command += ["--set", f"{name}={json.dumps(value)}"]
    process = stack.enter_context(start(command, folder))
    stack.callback(process.terminate)
    started = json.loads(process.stdout.readline())  # type: ignore[union-attr]
    return Vendor(url=started["url"], connection=json.loads(started["connection"]))


def start_s3(stack: ExitStack, folder: Path, bucket: str) -> str:
    """Start an S3 server that ends with the stack, make a bucket, and return the server's URL."""
    process = stack.enter_context(start([sys.executable, "-c", _MOTO], folder, stdin=subprocess.PIPE))
    stack.callback(process.kill)
    url = f"http://127.0.0.1:{int(process.stdout.readline())}"  # type: ignore[union-attr]
    request(f"{url}/{bucket}", "PUT")
    return url


def s3_client(url: str) -> Any:
    """Return a client of such a server."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",  # noqa: S106  # opens nothing
        config=Config(s3={"addressing_style": "path"}),
    )


def start(command: list[str], folder: Path, **options: Any) -> subprocess.Popen[str]:
    """Start a process whose output is read here and whose errors go to ``errors.log``."""
    with (folder / "errors.log").open("a") as errors:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, **options)


def environment(folder: Path, vendor: Vendor, s3: str, *, requests_per_minute: int = 0) -> dict[str, str]:
    """Return the variables of a process that finds both servers as Airflow connections."""
    kore = {**vendor.connection, "extra": {**vendor.connection["extra"], "requests_per_minute": requests_per_minute}}
    aws = {
        "conn_type": "aws",
        "login": "key",
        "password": "secret",
        "extra": {
            "endpoint_url": s3,
            "region_name": "us-east-1",
            "config_kwargs": {"s3": {"addressing_style": "path"}},
        },
    }
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "AWS_"))},
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW_CONN_KORE_DEFAULT": json.dumps(kore),
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws),
        "AIRFLOW_CONN_KORE_HTTP": json.dumps({"conn_type": "http", "host": vendor.url}),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def request(url: str, method: str, body: object = None) -> bytes:
    """Send one request to a server of ours."""
    data = json.dumps(body).encode() if body else None
    asked = urllib.request.Request(url, data, method=method)  # noqa: S310  # our own servers
    with urllib.request.urlopen(asked, timeout=WAIT_SECONDS) as answer:  # noqa: S310
        return bytes(answer.read())
