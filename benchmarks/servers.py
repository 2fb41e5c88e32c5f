"""The simulated vendor and the S3 server, each in a process of its own, and the connections that lead there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "kit"))

from s3_servers import S3Server, moto  # noqa: E402
from vendor import Vendor, running_vendor  # noqa: E402

if TYPE_CHECKING:
    from contextlib import ExitStack


def start_vendor(stack: ExitStack, folder: Path, **settings: object) -> Vendor:
    """Start a simulator that ends with the stack."""
    return stack.enter_context(running_vendor(folder / "errors.log", **settings))


def start_s3(stack: ExitStack, folder: Path, bucket: str) -> S3Server:
    """Start an S3 server with a bucket; it ends with the stack."""
    server = stack.enter_context(moto(folder))
    server.bucket(bucket)
    return server


def start(command: list[str], folder: Path, **options: Any) -> subprocess.Popen[str]:
    """Start a process whose output is read here and whose errors go to ``errors.log``."""
    with (folder / "errors.log").open("a") as errors:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, **options)


def environment(folder: Path, vendor: Vendor, s3: S3Server, *, requests_per_minute: int = 0) -> dict[str, str]:
    """Return the variables of a process that finds both servers as Airflow connections."""
    kore = {**vendor.connection, "extra": {**vendor.connection["extra"], "requests_per_minute": requests_per_minute}}
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "AWS_"))},
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW_CONN_KORE_DEFAULT": json.dumps(kore),
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(s3.connection(config_kwargs={"s3": {"addressing_style": "path"}})),
        "AIRFLOW_CONN_KORE_HTTP": json.dumps({"conn_type": "http", "host": vendor.url}),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
