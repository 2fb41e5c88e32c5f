"""A reader of one partition in a process of its own, which never pauses for a writer and believes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from world import decode, digest

if TYPE_CHECKING:
    from world import Task, World

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Seen:
    """One snapshot as the reader found it."""

    snapshot_id: str
    digest: str
    rows: int


class Reader:
    """Polls a partition from its start until :meth:`stop`.

    A snapshot of one file is the object itself; one of several files is what the manifest names.
    """

    def __init__(self, world: World, task: Task, *, by_manifest: bool = False) -> None:
        reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(reading)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            try:
                _Polling(world, task, writing, by_manifest).forever()
            except BaseException:  # noqa: BLE001 - told to the test, which must not go on in a fork
                os.write(writing, json.dumps({"wrong": traceback.format_exc()}).encode() + b"\n")
            finally:
                os._exit(0)
        os.close(writing)
        os.set_blocking(reading, False)
        self._pipe = reading
        self._rest = b""
        self._stopped = False
        self.polls = 0

    def news(self) -> list[Seen]:
        """Return the snapshots seen since the last call. Raises AssertionError for anything that was none."""
        try:
            while data := os.read(self._pipe, 1 << 16):
                self._rest += data
        except BlockingIOError:
            pass
        *lines, self._rest = self._rest.split(b"\n")
        seen = []
        for line in map(json.loads, lines):
            assert "wrong" not in line, f"The reader saw what is no snapshot:\n{line['wrong']}"
            self.polls = line.pop("polls", self.polls)
            if line:
                seen.append(Seen(**line))
        return seen

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        os.close(self._pipe)


class _Polling:
    def __init__(self, world: World, task: Task, pipe: int, by_manifest: bool) -> None:
        self._s3 = world.server.client(retries=2)
        self._bucket = world.bucket
        self._partition = task.partition
        self._pipe = pipe
        self._look = self._at_manifest if by_manifest else self._at_object
        self._known: dict[str, Seen] = {}

    def forever(self) -> None:
        last: Seen | None = None
        polls = 0
        while True:
            seen = self._look()
            polls += 1
            if last is not None and seen is None:
                raise AssertionError("the snapshot is gone")
            if seen is not None and seen != last:
                self._say({"snapshot_id": seen.snapshot_id, "digest": seen.digest, "rows": seen.rows})
                last = seen
            if polls % 2 == 0:
                self._say({"polls": polls})
            time.sleep(POLL_SECONDS)

    def _say(self, line: dict[str, Any]) -> None:
        os.write(self._pipe, json.dumps(line).encode() + b"\n")

    def _at_object(self) -> Seen | None:
        listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=self._partition).get("Contents", ())
        keys = [item["Key"] for item in listed]
        data = [key for key in keys if not key.rpartition("/")[2].startswith("_")]
        assert len(data) <= 1, f"readers would count {data}"
        self._manifest()
        return self._file(data[0]) if data else None

    def _file(self, key: str) -> Seen:
        answer = self._s3.get_object(Bucket=self._bucket, Key=key)
        body = answer["Body"].read()
        mark = hashlib.sha256(body).hexdigest() + answer["Metadata"]["kore-snapshot-id"]
        if mark not in self._known:
            ids = decode(key, body)
            assert len(ids) == int(answer["Metadata"]["kore-contacts"]), f"{len(ids)} rows, {answer['Metadata']}"
            assert len(set(ids)) == len(ids), "ids come twice"
            self._known[mark] = Seen(answer["Metadata"]["kore-snapshot-id"], digest(ids), len(ids))
        return self._known[mark]

    def _manifest(self) -> tuple[str, dict[str, Any]] | None:
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=f"{self._partition}_manifest.json")
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return answer["ETag"], json.loads(answer["Body"].read())

    def _at_manifest(self) -> Seen | None:
        while True:
            found = self._manifest()
            if found is None:
                return None
            etag, manifest = found
            if etag in self._known:
                return self._known[etag]
            ids: list[str] = []
            try:
                for file in manifest["files"]:
                    answer = self._s3.get_object(Bucket=self._bucket, Key=file["key"])
                    here = decode(file["key"], answer["Body"].read())
                    assert len(here) == file["rows"]
                    ids += here
            except ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchKey":
                    raise
                again = self._manifest()
                assert again is not None, "the manifest is gone"
                assert again[0] != etag, "a file is gone that the manifest still names"
                continue
            assert len(ids) == manifest["contacts"]
            assert len(set(ids)) == len(ids), "ids come twice"
            self._known[etag] = Seen(manifest["snapshot_id"], digest(ids), len(ids))
            return self._known[etag]
