"""`make demo`: an example DAG in real Airflow, from a simulated Kore.ai into a real S3 server; then what landed."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import select
import sys
import time
from typing import Any

from stage import BUCKET, DAGS, LIST_ID, ROOT, DemoError, Stage, mask_phone, perform

DAG_ID = "kore_contact_list_daily"
CONTACTS = 2_000
LONGEST = 300.0
"""Seconds after which the demo gives up."""
SHOWN = ("_id", "phoneNumber", "firstName", "lastName", "timeZone")


def main(arguments: list[str]) -> int:
    """Run the demo; return the exit status."""
    parser = argparse.ArgumentParser(description="Run an example DAG against a simulated Kore.ai and a real S3 server.")
    parser.add_argument("--fault", help="let the simulator misbehave, such as forbidden; docs/simulator.md names all")
    fault = parser.parse_args(arguments).fault
    print(f"Demo of airflow-provider-kore: {DAGS.name}/{DAG_ID}.py in real Airflow. Ctrl-C ends it.\n")
    stage = Stage({LIST_ID: CONTACTS})
    status = perform("demo", stage, lambda stage: play(stage, fault))
    if status == 0:
        print(f"\nDone in {stage.elapsed():.0f} s, and cleaned up. `make ui` opens Airflow's UI on the same set-up.")
    return status


def play(stage: Stage, fault: str | None) -> None:
    """Set the scene, run the DAG, show the result. Raises DemoError."""
    kore = stage.kore
    stage.say(f"Kore.ai, simulated: {kore.url}, list {LIST_ID} with {CONTACTS:,} contacts, 60 requests a minute.")
    stage.say(f"S3 (moto): {stage.server.url}, bucket {BUCKET}.")
    kept = stage.migrate()
    stage.say(
        f"Airflow's database: {'the one that an earlier demo migrated' if kept else 'migrated, and kept in .demo/'}."
    )
    kore.add_fault("server_error", endpoint="contacts", after_requests=12, times=1)
    kore.add_fault("reset_after_headers", endpoint="contacts", after_requests=25, times=1)
    if fault:
        kore.add_fault(fault)
    run_dag(stage)
    show(stage)


def run_dag(stage: Stage) -> None:
    """Run the DAG in a process of its own and follow it. Raises DemoError if it fails."""
    stage.say(f"DAG {DAG_ID}: starting Airflow ...")
    reader, writer = os.pipe()
    script = str(ROOT / "demo" / "in_airflow.py")
    try:
        with stage.process([sys.executable, script, DAG_ID, str(writer)], pass_fds=(writer,)) as process:
            os.close(writer)
            error = follow(stage, reader)
            if process.wait() or error:
                raise DemoError(error or f"Airflow ended with exit status {process.returncode}.")
    finally:
        os.close(reader)


def follow(stage: Stage, reader: int) -> str:
    """Print how it goes until the other side closes the pipe; return the error it told, if any. Raises DemoError."""
    error, buffer, shown = "", b"", 0
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        ready, _, _ = select.select([reader], [], [], 0.2)
        pages = sum(not page.fault for page in stage.kore.page_requests)
        if pages >= shown + 10:
            shown = pages // 10 * 10
            stage.say(f"  {shown} pages of 50 contacts fetched")
        if not ready:
            continue
        data = os.read(reader, 65536)
        if not data:
            return error
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            error = tell(stage, json.loads(line)) or error
    raise DemoError(f"the DAG run did not end within {LONGEST:.0f} s.")


def tell(stage: Stage, message: dict[str, str]) -> str:
    """Print one message of the other side; return the error in it."""
    if "log" in message:
        stage.say(f"  {message['log']}")
    elif "started" in message:
        stage.say(f"DAG {message['started']}: running (dag.test) ...")
    elif "state" in message:
        stage.say(f"DAG run: {message['state']}.")
    return message.get("error", "")


def show(stage: Stage) -> None:
    """Show what landed, and compare it with what the server holds. Raises DemoError."""
    objects = stage.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    print(f"\nWhat landed in s3://{BUCKET}/")
    for each in objects:
        print(f"  {each['Key']}  {each['Size']:,} bytes")
    keys = [each["Key"] for each in objects]
    manifests = [key for key in keys if key.endswith("/_manifest.json")]
    data = [key for key in keys if key.endswith("/contacts.jsonl.gz")]
    if len(manifests) != 1 or len(data) != 1 or set(keys) != {*manifests, *data}:
        raise DemoError("there should be one object with contacts, one manifest, and nothing else.")
    manifest = json.loads(read(stage, manifests[0]))
    rows = [json.loads(line) for line in gzip.decompress(read(stage, data[0])).splitlines()]
    print_verdict(rows, manifest)
    print_rows(rows)
    if [row["_id"] for row in rows] != list(stage.kore.contact_ids(LIST_ID)):
        raise DemoError("the rows are not the contacts that the server holds.")


def read(stage: Stage, key: str) -> bytes:
    """Return the bytes of an object."""
    body: bytes = stage.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return body


def print_verdict(rows: list[dict[str, Any]], manifest: dict[str, Any]) -> None:
    """Print the counts, and what the manifest says of the snapshot."""
    evidence, walk = manifest["witnesses"], manifest["walk"]
    ids = len({row["_id"] for row in rows})
    print(f"\nThe object holds {len(rows):,} rows with {ids:,} different ids; the list has {CONTACTS:,} contacts.")
    verdict = "consistent" if manifest["consistent"] else "NOT consistent"
    print(f"The manifest: {manifest['contacts']:,} contacts, {verdict};")
    print(f"  evidence that agrees: {', '.join(evidence['agreed'])}")
    print(f"  evidence that disagrees: {', '.join(evidence['disagreed']) or 'none'}")
    print(
        f"  {walk['requests']} requests, {walk['retries']} of them again: the simulator failed two on purpose, "
        "a status 500 and a cut connection."
    )


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print the first rows."""
    print("\nThe first rows (phone numbers are masked here, not in the object):")
    lines = [[mask_phone(row[name]) if name == "phoneNumber" else row[name] for name in SHOWN] for row in rows[:5]]
    widths = [max(map(len, column)) for column in zip(SHOWN, *lines, strict=True)]
    for line in (SHOWN, *lines):
        print("  " + "  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
