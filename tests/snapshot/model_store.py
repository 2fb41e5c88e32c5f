"""A model of S3 in memory that can end the world before and after every single effect.

``tests/s3/test_behaviour.py`` holds it to what real servers do. A crash test goes::

    store = MemoryStore()
    store.crash_at(7, "after", Killed())         # the 7th effect happens, its answer never arrives
    with pytest.raises(Killed):
        publish(store)
    publish(store.reopen())                      # the next try: another process, the same bucket

Not thread-safe towards ``crash_at``; effects themselves are atomic, as S3's are.
"""

from __future__ import annotations

import base64
import hashlib
import io
import threading
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO, Literal

from airflow_provider_kore.exceptions import BucketNotFoundError, RequestRefusedError
from airflow_provider_kore.store.store import (
    Condition,
    ConditionFailed,
    Part,
    StoredObject,
    Upload,
    UploadGone,
    check_metadata,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_provider_kore.clock import Clock

When = Literal["before", "after"]
Ignored = Literal["put_create", "put_swap", "complete_create", "complete_swap"]


@dataclass(frozen=True, slots=True)
class Effect:
    """One request, as the store saw it."""

    name: str
    key: str
    writes: bool


@dataclass(frozen=True, slots=True)
class _Object:
    described: StoredObject
    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class _Upload:
    upload: Upload
    content_type: str
    metadata: Mapping[str, str]
    parts: Mapping[int, tuple[Part, bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class _Bucket:
    """What outlives a process. Values are immutable, so copying the dicts copies the world."""

    objects: dict[str, _Object] = field(default_factory=dict)
    uploads: dict[str, _Upload] = field(default_factory=dict)
    ticks: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)


@dataclass(frozen=True, slots=True)
class _Crash:
    at: int
    when: When
    error: BaseException
    dead: bool


class MemoryStore:
    """An :class:`~airflow_provider_kore.store.store.ObjectStore` in memory.

    :param clock: tells the times of objects and uploads; None: one second per write since 2026 began.
    :param checksum_algorithm: ``SHA256`` (composite for multipart) or ``CRC32`` (of the full object).
    :param min_part_bytes: S3's are 5 MiB; all but the last part must have as many.
    :param page_size: results per page of a listing.
    :param honours_conditions: what the store claims; None makes others probe.
    :param ignored: conditions that it accepts and ignores, as lesser servers do.
    :param missing: behave as if the bucket did not exist.
    """

    def __init__(
        self,
        bucket: str = "memory",
        *,
        clock: Clock | None = None,
        checksum_algorithm: Literal["SHA256", "CRC32"] | None = "SHA256",
        min_part_bytes: int = 0,
        page_size: int = 1000,
        honours_conditions: bool | None = True,
        ignored: frozenset[Ignored] = frozenset(),
        missing: bool = False,
    ) -> None:
        self.bucket = bucket
        self.honours_conditions = honours_conditions
        self.endpoint = ""
        self.lacks: tuple[str, ...] = ()
        self.effects: list[Effect] = []
        self._clock = clock
        self._algorithm = checksum_algorithm
        self._min_part_bytes = min_part_bytes
        self._page_size = page_size
        self._ignored = ignored
        self._missing = missing
        self._state = _Bucket()
        self._crash: _Crash | None = None
        self._dead: BaseException | None = None

    # --- what only a model can do ---

    def crash_at(self, number: int, when: When, error: BaseException, *, dead: bool = True) -> None:
        """Raise ``error`` at the ``number``-th effect from now (1 is the next), before or after it happens.

        :param dead: afterwards nothing gets through any more, as from a killed process: what runs in its ``finally``
            blocks meets the same error and changes nothing. False: only that one request fails.
        """
        self._crash = _Crash(len(self.effects) + number, when, error, dead)

    def reopen(self) -> MemoryStore:
        """Return a store of a new process on the same bucket: no crash planned, no effects counted."""
        other = MemoryStore(
            self.bucket,
            clock=self._clock,
            checksum_algorithm=self._algorithm,
            min_part_bytes=self._min_part_bytes,
            page_size=self._page_size,
            honours_conditions=self.honours_conditions,
            ignored=self._ignored,
            missing=self._missing,
        )
        other._state = self._state
        return other

    def clone(self) -> MemoryStore:
        """Return a store on a copy of the bucket, to try several futures of one past."""
        other = self.reopen()
        with self._state.lock:
            other._state = _Bucket(dict(self._state.objects), dict(self._state.uploads), self._state.ticks)
        return other

    def bodies(self, prefix: str = "") -> dict[str, bytes]:
        """Return all objects below a prefix as an onlooker sees them at this instant, in key order. No effect."""
        with self._state.lock:
            return {key: self._state.objects[key].body for key in self._keys(prefix)}

    def uploads(self, prefix: str = "") -> Sequence[Upload]:
        """Return the unfinished uploads. No effect."""
        with self._state.lock:
            return sorted(
                (one.upload for one in self._state.uploads.values() if one.upload.key.startswith(prefix)),
                key=lambda upload: (upload.key, upload.upload_id),
            )

    def content_type(self, key: str) -> str:
        """Return what an object was declared to be. No effect."""
        return self._state.objects[key].content_type

    # --- the protocol ---

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def head(self, key: str) -> StoredObject | None:
        with self._effect("head", key):
            found = self._state.objects.get(key)
            return found.described if found else None

    def get(self, key: str) -> BinaryIO | None:
        with self._effect("get", key):
            self._need_bucket()
            found = self._state.objects.get(key)
            return io.BytesIO(found.body) if found else None

    def put(
        self,
        key: str,
        body: bytes | BinaryIO,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        condition: Condition | None = None,
    ) -> StoredObject:
        check_metadata(metadata or {})
        if not isinstance(body, bytes):
            body.seek(0)
            body = body.read()
        with self._effect("put", key, writes=True):
            self._need_bucket()
            self._check(key, condition, "put")
            stored = StoredObject(
                key=key,
                size=len(body),
                etag=f'"{_md5(body).hex()}"',
                checksum=self._checksum([body], composite=False),
                metadata=dict(metadata or {}),
            )
            self._state.objects[key] = _Object(replace(stored, modified=self._now()), body, content_type)
        return stored

    def list(self, prefix: str) -> Iterator[StoredObject]:
        last: str | None = None
        while True:
            with self._effect("list", prefix):
                self._need_bucket()
                rest = [key for key in self._keys(prefix) if last is None or key > last]
                page = [self._state.objects[key].described for key in rest[: self._page_size]]
            for described in page:
                yield replace(described, checksum=None, metadata={})
            if len(rest) <= self._page_size:
                return
            last = page[-1].key

    def delete(self, keys: Sequence[str]) -> None:
        """Each key is an effect: S3 may die between two of them."""
        for key in keys:
            with self._effect("delete", key, writes=True):
                self._need_bucket()
                self._state.objects.pop(key, None)

    def create_upload(self, key: str, *, content_type: str, metadata: Mapping[str, str] | None = None) -> Upload:
        check_metadata(metadata or {})
        with self._effect("create_upload", key, writes=True):
            self._need_bucket()
            now = self._now()
            upload = Upload(key=key, upload_id=f"upload-{self._state.ticks}", started=now)
            self._state.uploads[upload.upload_id] = _Upload(upload, content_type, dict(metadata or {}))
        return replace(upload, started=None)

    def upload_part(self, upload: Upload, number: int, body: bytes) -> Part:
        with self._effect("upload_part", upload.key, writes=True):
            begun = self._unfinished(upload)
            part = Part(
                number=number,
                etag=f'"{_md5(body).hex()}"',
                checksum=_base64(_digest(self._algorithm or "SHA256", body)),
                size=len(body),
            )
            self._state.uploads[upload.upload_id] = replace(begun, parts={**begun.parts, number: (part, body)})
        return part

    def complete_upload(
        self, upload: Upload, parts: Sequence[Part], *, condition: Condition | None = None
    ) -> StoredObject:
        with self._effect("complete_upload", upload.key, writes=True):
            begun = self._unfinished(upload)
            self._check(upload.key, condition, "complete")
            bodies = self._assembled(begun, parts)
            whole = b"".join(bodies)
            etag = _md5(b"".join(_md5(body) for body in bodies)).hex()
            stored = StoredObject(
                key=upload.key,
                size=len(whole),
                etag=f'"{etag}-{len(bodies)}"',
                checksum=self._checksum(bodies, composite=True),
            )
            described = replace(stored, metadata=begun.metadata, modified=self._now())
            self._state.objects[upload.key] = _Object(described, whole, begun.content_type)
            del self._state.uploads[upload.upload_id]
        return stored

    def abort_upload(self, upload: Upload) -> None:
        with self._effect("abort_upload", upload.key, writes=True):
            self._need_bucket()
            self._state.uploads.pop(upload.upload_id, None)

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        with self._effect("list_uploads", prefix):
            self._need_bucket()
            found = self.uploads(prefix)
        yield from found

    # --- how it does it ---

    @contextmanager
    def _effect(self, name: str, key: str, *, writes: bool = False) -> Iterator[None]:
        """Count one effect, and end the world around it if that is the plan."""
        with self._state.lock:
            if self._dead is not None:
                raise self._dead
            self.effects.append(Effect(name, key, writes))
            plan = self._crash if self._crash and self._crash.at == len(self.effects) else None
            if plan and plan.when == "before":
                self._end(plan)
            yield
            if plan:
                self._end(plan)

    def _end(self, plan: _Crash) -> None:
        if plan.dead:
            self._dead = plan.error
        raise plan.error

    def _now(self) -> datetime:
        self._state.ticks += 1
        if self._clock:
            return datetime.fromtimestamp(self._clock.time(), UTC)
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._state.ticks)

    def _need_bucket(self) -> None:
        if self._missing:
            raise BucketNotFoundError(f"There is no bucket {self.bucket}.")

    def _keys(self, prefix: str) -> Sequence[str]:
        return sorted(key for key in self._state.objects if key.startswith(prefix))

    def _check(self, key: str, condition: Condition | None, write: str) -> None:
        if condition is None or f"{write}_{'create' if condition.etag is None else 'swap'}" in self._ignored:
            return
        found = self._state.objects.get(key)
        if (found.described.etag if found else None) != condition.etag:
            raise ConditionFailed(key)

    def _unfinished(self, upload: Upload) -> _Upload:
        self._need_bucket()
        begun = self._state.uploads.get(upload.upload_id)
        if begun is None or begun.upload.key != upload.key:
            raise UploadGone(upload.key)
        return begun

    def _assembled(self, begun: _Upload, parts: Sequence[Part]) -> Sequence[bytes]:
        if not parts or [part.number for part in parts] != sorted({part.number for part in parts}):
            raise RequestRefusedError("InvalidPartOrder")
        bodies = []
        for part in parts:
            known = begun.parts.get(part.number)
            if known is None or known[0] != part:
                raise RequestRefusedError("InvalidPart")
            bodies.append(known[1])
        if any(len(body) < self._min_part_bytes for body in bodies[:-1]):
            raise RequestRefusedError("EntityTooSmall")
        return bodies

    def _checksum(self, bodies: Sequence[bytes], *, composite: bool) -> str | None:
        if self._algorithm is None:
            return None
        if composite and self._algorithm == "SHA256":
            digests = b"".join(_digest(self._algorithm, body) for body in bodies)
            return f"{self._algorithm}:{_base64(_digest(self._algorithm, digests))}-{len(bodies)}"
        return f"{self._algorithm}:{_base64(_digest(self._algorithm, b''.join(bodies)))}"


def _digest(algorithm: str, body: bytes) -> bytes:
    return hashlib.sha256(body).digest() if algorithm == "SHA256" else zlib.crc32(body).to_bytes(4, "big")


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
