"""Time and memory of an erasure, by size and format: ``python benchmarks/erasure.py``.

One snapshot of so many contacts lies in a moto server, in a process of its own. Another process erases ten of them, and
then, from a list in S3, all that are left; its peak is the kernel's (``VmHWM``), and the base what it had before.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from report import table
from servers import environment, start, start_s3, start_vendor

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "kore-erasure"
FORMATS = ("jsonl", "csv", "parquet")
FEW = 10
DAY = "2025-03-08"


def identifier(number: int) -> str:
    """Return the id of a contact."""
    return f"cc-{number:012d}"


def rows(number: int) -> Iterator[str]:
    """Yield contacts of some 250 bytes."""
    pad = {"timeZone": "Europe/Berlin", "updatedAt": "2025-03-09T04:00:00.000Z", "note": "x" * 110}
    return (
        json.dumps({"_id": identifier(each), "phoneNumber": f"+4930{each:08d}", "firstName": f"N{each}", **pad})
        for each in range(number)
    )


def peak() -> float:
    """Return the peak of this process in MiB since the kernel was told to forget it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def land(client: Any, file_format: str, number: int) -> None:
    """Put a snapshot where an operator would."""
    import hashlib
    import itertools

    from airflow_provider_kore.formats import ColumnSet, parse_format
    from airflow_provider_kore.snapshot.manifest import Manifest

    chosen = parse_format(file_format)
    prefix = f"{file_format}/contact_list_id=cl-1/snapshot_date={DAY}/"
    columns = ColumnSet.of(list(itertools.islice(rows(number), 1)))
    with tempfile.TemporaryFile() as body:
        chosen.format.write(rows(number), body, compression=chosen.compression, columns=columns)
        body.seek(0)
        digest, size = hashlib.file_digest(body, "sha256").hexdigest(), body.tell()
        body.seek(0)
        key = f"{prefix}contacts{chosen.suffix}"
        metadata = {"kore-snapshot-id": "0123456789ab", "kore-run": "0123456789abcdef"}
        etag = client.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata=metadata)["ETag"]
    content = {
        "schema_version": 1,
        "snapshot_id": "0123456789ab",
        "snapshot_date": DAY,
        "contact_list_id": "cl-1",
        "contacts": number,
        "consistent": True,
        "run": {"digest": "0123456789abcdef"},
        "walk": {"started_at": f"{DAY}T04:00:00.000Z"},
        "file_format": file_format,
        "compression": chosen.compression,
        "files": [{"key": key, "rows": number, "bytes": size, "etag": etag, "sha256": digest}],
    }
    client.put_object(Bucket=BUCKET, Key=f"{prefix}_manifest.json", Body=Manifest(content).to_bytes())


def child(job: dict[str, Any]) -> None:
    """Erase once; print seconds, MiB above the base, and rows."""
    from types import SimpleNamespace

    import pyarrow.parquet  # noqa: F401  # a worker has it loaded when it needs it: it belongs to the base

    from airflow_provider_kore.operators.contact_erasure import ContactErasureOperator

    given = {"s3_bucket": BUCKET, "s3_prefix": job["format"], "plan_only": False, **job["who"]}
    operator = ContactErasureOperator(task_id="forget", **given)
    ti = SimpleNamespace(dag_id="bench", run_id=job["name"], task_id="forget", map_index=-1, try_number=1)
    context: Any = {"ti": ti, "dag_run": SimpleNamespace()}
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    base, begun = peak(), time.perf_counter()
    receipt = operator.execute(context)
    print(json.dumps([time.perf_counter() - begun, peak() - base, receipt["rows_erased"]]))


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="*", default=FORMATS)
    parser.add_argument("--child")
    options = parser.parse_args()
    if options.child:
        child(json.loads(options.child))
        return
    found = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = start_s3(stack, folder, BUCKET)
        variables = environment(folder, start_vendor(stack, folder), server)
        number = options.contacts
        for file_format in options.formats:
            land(server.client(), file_format, number)
            some = [identifier(each * (number // FEW)) for each in range(FEW)]
            rest = "".join(f'{{"_id": "{identifier(each)}"}}\n' for each in range(number)).encode()
            server.client().put_object(Bucket=BUCKET, Key="list.jsonl", Body=rest)
            for name, who in (
                (f"{FEW} of {number:,}", {"contact_ids": some}),
                (f"all of {number:,}", {"erasure_list": f"s3://{BUCKET}/list.jsonl", "on_missing": "skip"}),
            ):
                job = {"format": file_format, "name": name, "who": who}
                process = start([sys.executable, __file__, "--child", json.dumps(job)], folder, env=variables)
                output, _ = process.communicate()
                if process.returncode:
                    errors = (folder / "errors.log").read_text(encoding="utf-8")
                    raise SystemExit(f"the erasure ended with {process.returncode}: {output}{errors}")
                seconds, memory, erased = json.loads(output.splitlines()[-1])
                found.append([file_format, name, f"{erased:,}", f"{seconds:.0f} s", f"{memory:.0f} MiB"])
    print(table(["format", "erased", "rows", "time", "memory above base"], found))


if __name__ == "__main__":
    main()
