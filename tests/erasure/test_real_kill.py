"""A process that erases is killed by SIGKILL, in the middle of requests to a real S3 server; its retry finishes it."""

from __future__ import annotations

import io
import multiprocessing
import os
import random
import signal
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from tables import DAYS, GONE, checkpoint, contact, forget, ids, land, phones, unpacked

from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.snapshot.manifest import Manifest
from airflow_provider_kore.store.s3.versions import S3VersionedStore

if TYPE_CHECKING:
    from s3_servers import S3Server

pytestmark = pytest.mark.slow

WHO = "cc-000000000003"
ALL = [contact(number) if number != 3 else contact(3, phoneNumber=GONE) for number in range(6)]
OTHERS = [row["_id"] for row in ALL if row["_id"] != WHO]
GIVEN = [*ids(WHO), *phones(GONE)]


def landed(server: S3Server) -> str:
    """Land snapshots of every format, one of several files, and a checkpoint; return the bucket."""
    bucket = server.bucket()
    store = S3VersionedStore(server.client(), bucket)
    for name in FORMATS:
        land(store, DAYS[0], ALL, list_id=f"cl-{name}", file_format=name)
    land(store, DAYS[1], ALL, list_id="cl-jsonl", rows_per_file=2)
    checkpoint(store, ALL)
    return bucket


def erase_and_die(server: S3Server, bucket: str, at: int, delay: float) -> None:
    """Erase, and be killed some time after the request of this number was sent."""
    client, sent = server.client(), [0]

    def die(**_: object) -> None:
        sent[0] += 1
        if sent[0] == at:
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()

    client.meta.events.register("before-send.s3", die)
    forget(S3VersionedStore(client, bucket), GIVEN)


def in_a_process(server: S3Server, bucket: str, at: int, delay: float) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads beside a fork: the child uses none of them
        process = multiprocessing.get_context("fork").Process(target=erase_and_die, args=(server, bucket, at, delay))
        process.start()
    return process


def rows_of(body: bytes, key: str) -> list[str]:
    """Return the ids in a file, as a reader sees them who knows no manifest; what is not whole fails."""
    name, _, suffix = key.rpartition("/")[2].partition(".")
    kind, _, how = suffix.partition(".")
    compression = {"gz": "gzip", "": "none"}[how]
    return list(FORMATS[kind].read_ids(io.BytesIO(body), compression=compression)) if name != "_manifest" else []


def seen(client: Any, bucket: str) -> dict[str, bytes]:
    """Read all tables; in each snapshot is everyone else, once, in whole files."""
    found = client.list_objects_v2(Bucket=bucket, Prefix="kore/lists/")["Contents"]
    bodies = {each["Key"]: client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found}
    by_partition: dict[str, list[str]] = {}
    for key, body in bodies.items():
        by_partition.setdefault(key.rpartition("/")[0], []).extend(rows_of(body, key))
    assert len(by_partition) == 4
    for there in by_partition.values():
        assert [each for each in there if each != WHO] == OTHERS
    return bodies


def test_a_process_that_is_killed_again_and_again_is_finished_by_its_retry(ministack_server: S3Server) -> None:
    server, chance = ministack_server, random.Random(1)  # noqa: S311
    client, bucket = server.client(), landed(server)
    killed = 0
    for at in sorted(chance.sample(range(15, 95), 4)):
        process = in_a_process(server, bucket, at, chance.uniform(0.0, 0.01))
        while process.is_alive():
            seen(client, bucket)
        process.join(60)
        killed += process.exitcode == -signal.SIGKILL
    assert killed >= 2, "so that it is a test"
    receipt = forget(S3VersionedStore(client, bucket), GIVEN)
    assert (receipt["rows_erased"], receipt["complete"]) == (4, True)
    bodies = seen(client, bucket)
    for key, body in bodies.items():
        assert WHO.encode() not in unpacked(body), key
        if key.endswith("_manifest.json"):
            manifest = Manifest.from_bytes(body, key)
            assert (manifest.rows, manifest.content["erased"]) == (5, 1)
            assert [len(bodies[file["key"]]) for file in manifest.files] == [file["bytes"] for file in manifest.files]
    left = client.list_objects_v2(Bucket=bucket, Prefix="kore/_").get("Contents", [])
    assert [each["Key"] for each in left] == [receipt["receipt_key"]], "neither the checkpoint nor notes"
