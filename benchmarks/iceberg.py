"""Time and memory of a commit to an Iceberg table, by size and format: ``python benchmarks/iceberg.py``.

Each line is a process of its own that imports Airflow and runs the operator once: on a snapshot of so many contacts of
12 fields in a moto server, for a catalog in SQLite whose table lies in the same server. The peak is the kernel's
(``VmHWM``, set back before ``execute``), and the seconds are the process's own CPU time. Written into
``docs/iceberg.md`` by hand.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory import _peak, _reset_peak
from report import table
from servers import start, start_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_servers import S3Server

SIZES = (10_000, 1_000_000)
FORMATS = ("jsonl", "csv", "parquet")
BUCKET = "lake"
DAY = "2026-11-26"


def rows(contacts: int) -> Iterator[str]:
    """Yield contacts as the vendor tells of them."""
    for number in range(contacts):
        yield json.dumps(
            {
                "_id": f"cc-{number:024x}",
                "phoneNumber": f"+1555{number:07d}",
                "firstName": f"First{number % 997}",
                "lastName": f"Last{number % 7919}",
                "email": f"contact{number}@example.com",
                "createdAt": "2026-11-01T08:00:00.000Z",
                "updatedAt": f"2026-11-{1 + number % 25:02d}T08:00:00.000Z",
                "score": number % 101,
                "ratio": number % 7 / 4,
                "vip": number % 2 == 0,
                "plan": ("gold", "silver")[number % 2],
                "notes": {"source": "web", "tags": [number % 3]},
            }
        )


def land(server: S3Server, contacts: int, file_format: str) -> str:
    """Put a snapshot into the bucket and return its address."""
    from airflow_provider_kore.formats import ColumnSet, parse_format

    chosen = parse_format(file_format)
    columns = ColumnSet.of(rows(min(contacts, 1_000)))
    partition = f"kore/{contacts}/contact_list_id=cl-{file_format}/snapshot_date={DAY}/"
    with tempfile.TemporaryFile() as file:
        info = chosen.format.write(rows(contacts), file, compression=chosen.compression, columns=columns)
        file.seek(0)
        body = file.read()
    described = {
        "key": f"{partition}contacts{chosen.suffix}",
        "rows": info.rows,
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "columns": [column._asdict() for column in info.columns],
    }
    manifest = {
        "schema_version": 1,
        "snapshot_id": f"{contacts:016x}",
        "snapshot_date": DAY,
        "contact_list_id": f"cl-{file_format}",
        "consistent": True,
        "contacts": contacts,
        "file_format": file_format,
        "compression": chosen.compression,
        "run": {"digest": "benchmark"},
        "walk": {"started_at": f"{DAY}T08:00:00+00:00"},
        "files": [described],
    }
    client = server.client()
    client.put_object(Bucket=BUCKET, Key=described["key"], Body=body)
    client.put_object(Bucket=BUCKET, Key=f"{partition}_manifest.json", Body=json.dumps(manifest).encode())
    return f"s3://{BUCKET}/{partition}"


def child(job: dict[str, Any]) -> None:
    """Commit once, and print the peak in MiB and the seconds of CPU time."""
    from pyiceberg.catalog import load_catalog

    from airflow_provider_kore.hooks.connections import find_connection
    from airflow_provider_kore.hooks.iceberg import catalog_properties
    from airflow_provider_kore.transfers.snapshots_to_iceberg import SnapshotsToIcebergOperator

    catalog = load_catalog("iceberg_default", **catalog_properties(find_connection("iceberg_default")))
    catalog.create_namespace_if_not_exists("crm")
    operator = SnapshotsToIcebergOperator(task_id="commit", snapshots=job["address"], table=f"crm.{job['table']}")
    reset = _reset_peak()
    began = time.process_time()
    operator.execute({})
    sys.stdout.write(json.dumps([_peak(reset), time.process_time() - began]))


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="Time and memory of a commit to an Iceberg table.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--formats", nargs="+", default=FORMATS)
    parser.add_argument("--child", help="run one commit, described as JSON, in this process")
    chosen = parser.parse_args()
    if chosen.child:
        child(json.loads(chosen.child))
        return 0
    lines = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = start_s3(stack, folder, BUCKET)
        extra = {
            "type": "sql",
            "uri": f"sqlite:///{folder}/catalog.db",
            "warehouse": f"s3://{BUCKET}/warehouse",
            "s3.endpoint": server.url,
            "s3.access-key-id": server.access_key,
            "s3.secret-access-key": server.secret_key,
            "s3.region": "eu-central-1",
        }
        environ = {
            "PATH": "/usr/bin:/bin",
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(server.connection()),
            "AIRFLOW_CONN_ICEBERG_DEFAULT": json.dumps({"conn_type": "iceberg", "extra": extra}),
        }
        for file_format in chosen.formats:
            for contacts in chosen.sizes:
                job = {"address": land(server, contacts, file_format), "table": f"{file_format}_{contacts}"}
                process = start([sys.executable, __file__, "--child", json.dumps(job)], folder, env=environ)
                output, _ = process.communicate()
                if process.returncode:
                    raise SystemExit((folder / "errors.log").read_text())
                peak, seconds = json.loads(output.splitlines()[-1])
                lines.append([file_format, f"{contacts:,}", f"{peak:.0f}", f"{seconds:.1f}"])
                print(*lines[-1], flush=True)
    print(table(["Format", "Contacts", "Peak, MiB", "CPU seconds"], lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
