"""A vendor, an S3 server, and tasks that run between them; and what must be true of what they leave."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import itertools
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attempt import Attempt, Job, Outcome, warm_up
from botocore.exceptions import ClientError

from airflow_provider_kore.snapshot.staging import SHARE, SMALLEST_CHUNK_ROWS
from airflow_provider_kore.walk.pagination import AHEAD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from s3_servers import S3Server
    from vendor import Vendor

DATE = "2026-11-23"
PAGE = 50
"""Contacts in a page of the simulator."""

__all__ = ["DATE", "PAGE", "Task", "World", "decode", "digest", "record_death", "warm_up"]


def digest(ids: list[str]) -> str:
    """Return a short name for these ids in this order."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]


def decode(key: str, body: bytes) -> list[str]:
    """Return the ids in a file, read without any of the provider's code. Raises if it is not whole."""
    if key.endswith(".parquet"):
        import pyarrow.parquet

        return [str(value) for value in pyarrow.parquet.read_table(io.BytesIO(body)).column("_id").to_pylist()]
    text = (gzip.decompress(body) if key.endswith(".gz") else body).decode()
    if ".csv" in key:
        return [row["_id"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    assert not text or text.endswith("\n"), "the last line is cut"
    return [json.loads(line)["_id"] for line in text.splitlines()]


class World:
    """Where tasks run."""

    def __init__(self, vendor: Vendor, server: S3Server, bucket: str, folder: Path) -> None:
        self.vendor = vendor
        self.server = server
        self.bucket = bucket
        self.folder = folder
        self.logs = itertools.count()
        self._attempts: list[Attempt] = []

    @cached_property
    def s3(self) -> Any:
        """A client of the test's own."""
        return self.server.client(retries=2)

    def environment(self, *, endpoint: str | None = None, **extra: Any) -> dict[str, str]:
        """Return the connections as Airflow reads them."""
        kore = {**self.vendor.connection, "extra": {**self.vendor.connection["extra"], **extra}}
        aws = {
            "conn_type": "aws",
            "login": self.server.access_key,
            "password": self.server.secret_key,
            "extra": {
                "endpoint_url": endpoint or self.server.url,
                "region_name": "eu-central-1",
                "config_kwargs": {
                    "s3": {"addressing_style": "path"},
                    "retries": {"mode": "standard", "total_max_attempts": 3},
                    "connect_timeout": 5,
                    "read_timeout": 30,
                },
            },
        }
        return {"AIRFLOW_CONN_KORE_DEFAULT": json.dumps(kore), "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws)}

    def start(self, job: Job) -> Attempt:
        attempt = Attempt(job)
        self._attempts.append(attempt)
        return attempt

    def end_all(self) -> None:
        """End what a failed test has left running."""
        for attempt in self._attempts:
            begun = attempt._event("begin")
            if attempt.is_running():
                for pid in {attempt.pid, begun["pid"] if begun else attempt.pid}:
                    try:
                        os.kill(pid, 9)
                    except ProcessLookupError:
                        continue
            attempt.reap()
        self._attempts.clear()

    def task(self, contacts: int = 1000, **parameters: Any) -> Task:
        """Return a task for a new list in a new table."""
        list_id = self.vendor.add_list(contacts)
        return Task(self, list_id, f"table-{list_id}-{next(self.logs)}", parameters)


@dataclass
class Task:
    """A task of a DAG, for one list and one date, and what it left in the bucket."""

    world: World
    list_id: str
    prefix: str
    parameters: dict[str, Any]
    run_id: str = "run-0"
    task_id: str = "land"
    tries: int = 0
    endpoint: str | None = None
    deaths: list[str] = field(default_factory=list)

    def new_run(self) -> None:
        """The next run of the DAG."""
        self.run_id, self.tries, self.deaths = f"run-{int(self.run_id[4:]) + 1}", 0, []
        self.world.vendor.forget()

    def start(
        self,
        *,
        prepare: Callable[..., None] | None = None,
        after: Callable[..., None] | None = None,
        orphaned: bool = False,
        timeout: float = 30.0,
        **parameters: Any,
    ) -> Attempt:
        """Begin the next try."""
        self.tries += 1
        given = {
            "contact_list_id": self.list_id,
            "s3_bucket": self.world.bucket,
            "s3_prefix": self.prefix,
            "snapshot_date": DATE,
            **self.parameters,
            **parameters,
        }
        job = Job(
            parameters=given,
            environment=self.world.environment(endpoint=self.endpoint, timeout=timeout),
            log=self.world.folder / f"try-{next(self.world.logs)}.log",
            run_id=self.run_id,
            task_id=self.task_id,
            try_number=self.tries,
            prepare=prepare,
            after=after,
            orphaned=orphaned,
        )
        return self.world.start(job)

    def run(self, **options: Any) -> Outcome:
        """Run the next try to its end."""
        return self.start(**options).wait()

    def land(self, *, tries: int = 4, **options: Any) -> Outcome:
        """Retry until one succeeds, as Airflow and then a person would."""
        failures = []
        for _ in range(tries):
            attempt = self.start(**options)
            outcome = attempt.wait()
            if outcome.kind == "success":
                return outcome
            failures.append(f"{outcome.kind} {outcome.error}: {outcome.message}\n{attempt.log()}")
        raise AssertionError(f"No try of {tries} succeeded:\n" + "\n---\n".join(failures))

    @property
    def partition(self) -> str:
        return f"{self.prefix}/contact_list_id={self.list_id}/snapshot_date={DATE}/"

    def keys(self, prefix: str) -> list[str]:
        pages = self.world.s3.get_paginator("list_objects_v2").paginate(Bucket=self.world.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def staged(self) -> list[str]:
        """Return what lies in staging."""
        return self.keys(f"_staging/{self.prefix}/")

    def uploads(self) -> list[str]:
        """Return the keys of unfinished uploads."""
        found = self.world.s3.list_multipart_uploads(Bucket=self.world.bucket).get("Uploads", ())
        return [each["Key"] for each in found if each["Key"].startswith(self.prefix + "/")]

    def get(self, key: str) -> tuple[bytes, dict[str, str], str] | None:
        """Return an object's bytes, metadata and ETag."""
        try:
            answer = self.world.s3.get_object(Bucket=self.world.bucket, Key=key)
            return answer["Body"].read(), answer["Metadata"], answer["ETag"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise

    def manifest(self) -> dict[str, Any] | None:
        found = self.get(f"{self.partition}_manifest.json")
        return json.loads(found[0]) if found else None

    def landed(self) -> list[str]:
        """Return the ids of the snapshot that the partition holds, its object or objects proven whole."""
        manifest = self.manifest()
        assert manifest is not None, "there is no manifest"
        ids: list[str] = []
        for file in manifest["files"]:
            found = self.get(file["key"])
            assert found is not None, f"{file['key']} is named by the manifest and is not there"
            body, metadata, etag = found
            here = decode(file["key"], body)
            assert len(here) == file["rows"]
            assert etag == file["etag"]
            assert hashlib.sha256(body).hexdigest() == file["sha256"]
            assert metadata["kore-snapshot-id"] == manifest["snapshot_id"]
            assert metadata["kore-contacts"] == str(manifest["contacts"])
            ids += here
        assert len(ids) == manifest["contacts"]
        data = {key for key in self.keys(self.partition) if not key.endswith("_manifest.json")}
        assert data == {file["key"] for file in manifest["files"]}, "the partition holds more than its manifest names"
        return ids

    def check(self, *, ids: list[str] | None = None) -> None:
        """After a success: every contact exactly once, and nothing left over."""
        expected = self.world.vendor.ids(self.list_id) if ids is None else ids
        landed = self.landed()
        twice = [each for each, times in Counter(landed).items() if times > 1]
        assert not twice, f"{len(twice)} contacts landed twice"
        assert len(landed) == len(expected), f"{len(landed)} landed of {len(expected)}"
        assert landed == expected, "other contacts landed, or in another order"
        assert (left := self.staged()) == [], f"checkpoints stay behind: {left}"
        assert (left := self.uploads()) == [], f"uploads stay behind: {left}"

    def repeated(self) -> tuple[int, int]:
        """Return how many page requests repeated one that was served before, and how many there must be."""
        served = self.world.vendor.offsets(self.list_id)
        return served.total() - len(served), len(served)

    def check_repeated(self, *, deaths: int, each: int = 1) -> float:
        """At most a third of the walk per death (and the one page that a continued walk looks at), or five pages."""
        twice, pages = self.repeated()
        contacts = len(self.world.vendor.ids(self.list_id))
        chunk = max(SMALLEST_CHUNK_ROWS, contacts // SHARE)
        # some pages may be under way when it dies, and one is looked at again to continue
        under_way = max(1, contacts // PAGE // AHEAD)
        bound = deaths * each * (-(-chunk // PAGE) + under_way + 1)
        assert twice <= bound, f"{twice} of {pages} pages were fetched twice after {deaths} deaths; {bound} allowed"
        return twice / pages


def record_death(kind: str, share: float) -> None:
    """Note what share of the walk a death has cost, for the table of tests/faults/summary.py."""
    if path := os.environ.get("KORE_DEATHS"):
        with open(path, "a") as file:  # noqa: PTH123 - one write, appended whole
            file.write(json.dumps({"kind": kind, "share": round(share, 4)}) + "\n")
