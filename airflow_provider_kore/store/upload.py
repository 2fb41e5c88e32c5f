"""One local file becomes one object: by a single put, or above a threshold by a multipart upload; then it is looked at.

Memory is flat: a put streams from the file, a multipart upload holds one part. Parts go one after the other, so that
the last one sent is the last one paid for when the task is told to stop.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import zlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Literal

from airflow_provider_kore.exceptions import (
    CorruptSnapshotError,
    KoreError,
    RequestRefusedError,
    StoreUnavailableError,
)
from airflow_provider_kore.stop import Stop
from airflow_provider_kore.store.store import AccessRefused, ConditionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from airflow_provider_kore.store.store import Condition, ObjectStore, Part, StoredObject, Upload

log = logging.getLogger(__name__)

MIB = 1 << 20
SINGLE_PUT_BYTES = 64 * MIB
"""Up to here a single put: one request is the commit, and the checksum is of the whole file."""
PART_BYTES = 8 * MIB
MAX_PARTS = 10_000
"""Source: S3 user guide, "Amazon S3 multipart upload limits"; parts grow where a file would need more."""

Evidence = Literal["checksum", "read back", "etag", "answer only"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """An object that was written, and how we know that it is what was sent."""

    stored: StoredObject
    """As the store described it afterwards."""
    sha256: str
    """Of the whole file, in hex, computed here."""
    evidence: Evidence
    """``checksum``: the one the store keeps equals ours. ``read back``: it keeps none, the bytes were fetched and
    compared. ``etag``: neither, but its ETag is the MD5 of what was sent. ``answer only``: it keeps none, and
    the object can't be read; we only know that it accepted the write."""


def upload_file(
    store: ObjectStore,
    key: str,
    file: BinaryIO,
    *,
    content_type: str,
    metadata: Mapping[str, str] | None = None,
    condition: Condition | None = None,
    whole: bool = False,
    single_put_bytes: int = SINGLE_PUT_BYTES,
    part_bytes: int = PART_BYTES,
    stop: Stop | None = None,
) -> Uploaded:
    """Write a file as one object, atomically, and verify what the store holds.

    :param file: a seekable file, sent whole; it must not change meanwhile.
    :param metadata: should name this writer's snapshot: it is how a write whose answer was lost is recognised.
    :param condition: holds at the commit, or nothing changes.
    :param stop: is looked at before each request that sends or commits something.
    :param whole: by a single put, whatever its size.
    :param single_put_bytes: files up to this size go by a single put.
    :param part_bytes: size of a part; grows for files that would need more than 10,000.

    Raises ConditionFailed, ConditionUnsupported, CorruptSnapshotError and what the store raises.
    An upload that doesn't end well is aborted, whatever ends it.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    transfer = _Transfer(
        store=store,
        key=key,
        file=file,
        content_type=content_type,
        metadata=dict(metadata or {}),
        condition=condition,
        stop=stop or Stop(),
    )
    try:
        answer = (
            transfer.whole() if whole or size <= single_put_bytes else transfer.in_parts(_part_size(size, part_bytes))
        )
    except ConditionFailed as failed:
        if failed.in_doubt and (found := transfer.own_lost_write()):
            return found
        raise
    return transfer.verified(answer)


def abort_leftovers(
    store: ObjectStore,
    prefix: str,
    is_ours: Callable[[str], bool] = lambda key: True,  # noqa: ARG005
    *,
    started_before: datetime | None = None,
) -> list[Upload]:
    """Abort the unfinished uploads that earlier tries left behind, and return them.

    A try that still writes to one of them is fenced off: its next part or its commit meets
    :class:`~airflow_provider_kore.store.store.UploadGone`.

    :param prefix: where to look.
    :param is_ours: whether a key is one that only this package writes to; uploads to any other are left alone.
    :param started_before: spare younger ones, and those of unknown age.

    Raises AccessRefused (permission ``s3:ListBucketMultipartUploads``) and what else the store raises.
    """
    aborted = []
    for upload in list(store.list_uploads(prefix)):
        if not is_ours(upload.key):
            continue
        if started_before is not None and (upload.started is None or upload.started >= started_before):
            continue
        store.abort_upload(upload)
        aborted.append(upload)
    return aborted


def _part_size(size: int, wanted: int) -> int:
    """Return the size of a part: what is wanted, or whole MiB where that would take more than 10,000 of them."""
    least = -(-size // MAX_PARTS)
    return wanted if least <= wanted else -(-least // MIB) * MIB


def _sums(data: bytes) -> dict[str, bytes]:
    """Return the digests of some bytes, by algorithm."""
    return {
        "SHA256": hashlib.sha256(data).digest(),
        "CRC32": zlib.crc32(data).to_bytes(4, "big"),
        "MD5": hashlib.md5(data, usedforsecurity=False).digest(),
    }


class _Digest:
    """Our own idea of what the store must hold."""

    def __init__(self) -> None:
        self.size = 0
        self._sha = hashlib.sha256()
        self._crc = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._parts: list[dict[str, bytes]] = []

    @property
    def sha256(self) -> str:
        return self._sha.hexdigest()

    def add(self, block: bytes) -> None:
        self.size += len(block)
        self._sha.update(block)
        self._md5.update(block)
        self._crc = zlib.crc32(block, self._crc)

    def add_part(self, block: bytes) -> None:
        self.add(block)
        self._parts.append(_sums(block))

    def _composite(self, algorithm: str) -> bytes:
        """Return the digest of the parts' digests."""
        return _sums(b"".join(part[algorithm] for part in self._parts))[algorithm]

    def is_etag(self, etag: str) -> bool:
        """Say whether an ETag is the MD5 of what was sent, or of its parts' MD5s; of encrypted objects it isn't."""
        of_parts = f'"{self._composite("MD5").hex()}-{len(self._parts)}"'
        return etag in {f'"{self._md5.hexdigest()}"', of_parts}

    def agrees(self, checksum: str | None) -> bool | None:
        """Compare with what a store keeps; None if that says nothing.

        Of a multipart upload, both readings of "its checksum" are right, the whole file's and the composite one: some
        servers keep the other than was asked for, and some forget the ``-N`` that tells which it is.
        """
        algorithm, _, value = (checksum or "").partition(":")
        whole = {"SHA256": self._sha.digest(), "CRC32": self._crc.to_bytes(4, "big")}.get(algorithm)
        if whole is None:
            return None
        digests = (whole, self._composite(algorithm)) if self._parts else (whole,)
        return value.partition("-")[0] in {base64.b64encode(digest).decode("ascii") for digest in digests}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Transfer:
    """One file on its way, and what the store says of it afterwards."""

    store: ObjectStore
    key: str
    file: BinaryIO
    content_type: str
    metadata: Mapping[str, str]
    condition: Condition | None
    stop: Stop
    local: _Digest = field(default_factory=_Digest)

    def whole(self) -> StoredObject:
        while block := self.file.read(MIB):
            self.local.add(block)
        self.stop.check()
        return self.store.put(
            self.key, self.file, content_type=self.content_type, metadata=self.metadata, condition=self.condition
        )

    def in_parts(self, part_bytes: int) -> StoredObject:
        with ExitStack() as undo:
            upload = self.store.create_upload(self.key, content_type=self.content_type, metadata=self.metadata)
            undo.callback(_abort_quietly, self.store, upload)  # an aborted upload leaves no object, and no bill
            parts: list[Part] = []
            while part := self._send_part(upload, len(parts) + 1, part_bytes):
                parts.append(part)
            self.stop.check()
            stored = self.store.complete_upload(upload, parts, condition=self.condition)  # the commit
            undo.pop_all()
        return stored

    def _send_part(self, upload: Upload, number: int, part_bytes: int) -> Part | None:
        """Send the next part; a method of its own, so that no two parts are in memory at once."""
        block = self.file.read(part_bytes)
        if not block:
            return None
        self.local.add_part(block)
        self.stop.check()
        return self.store.upload_part(upload, number, block)

    def verified(self, answer: StoredObject) -> Uploaded:
        """Ask the store what it holds now, and compare it with what was read from the file.

        A HEAD may lag, tell another ETag than the answer to the write, or tell no metadata: it counts if it is of ours.
        """
        found = self._seen()
        # a writer after us may have replaced or removed it already: then the answer to our own write is what there is
        ours = found is not None and (found.etag == answer.etag or self._is_ours(found))
        stored = found if found is not None and ours else answer
        if not stored.etag:
            raise StoreUnavailableError(
                f"{self._where}: the store accepted it, gave it no ETag, and does not show it. The next try looks at "
                "what is there."
            )
        agrees = self.local.agrees(stored.checksum)
        if stored.size != self.local.size or agrees is False:
            raise CorruptSnapshotError(
                f"{self._where} holds {stored.size:,} bytes with checksum {stored.checksum}; {self.local.size:,} bytes "
                f"with SHA-256 {self.local.sha256} were sent. Don't use it; run the task again."
            )
        evidence: Evidence = "etag" if self.local.is_etag(stored.etag) else "answer only"
        if agrees:
            evidence = "checksum"
        elif stored is found and self._read_back(stored):
            evidence = "read back"
        return Uploaded(stored=stored, sha256=self.local.sha256, evidence=evidence)

    def own_lost_write(self) -> Uploaded | None:
        """Return the object if we just wrote it: the first attempt succeeded, its answer was lost, the second met it.

        Without metadata, or in a bucket where we may not look, that is not known.
        """
        found = self._seen()
        if found is None or not self.metadata or not self._is_ours(found):
            return None
        known = self.local.agrees(found.checksum) or self._holds_the_same(found)
        return self.verified(found) if known else None

    def _seen(self) -> StoredObject | None:
        try:
            return self.store.head(self.key)
        except (AccessRefused, RequestRefusedError):
            return None

    @property
    def _where(self) -> str:
        return self.store.uri(self.key)

    def _is_ours(self, found: StoredObject) -> bool:
        """Say whether an object is what was just sent: by its metadata, or by its bytes where the store keeps none."""
        agrees = self.local.agrees(found.checksum)
        if found.size != self.local.size or agrees is False:
            return False
        if found.metadata or not self.metadata:
            return bool(self.metadata) and dict(found.metadata) == self.metadata
        return agrees or self._holds_the_same(found)

    def _holds_the_same(self, found: StoredObject) -> bool:
        try:
            return self.local.is_etag(found.etag) or self._read_back(found)
        except CorruptSnapshotError:
            return False

    def _read_back(self, stored: StoredObject) -> bool:
        """Fetch the object and compare; False if it cannot be read. For stores that keep no checksum."""
        there = _Digest()
        try:
            opened = self.store.get(self.key)
        except (AccessRefused, RequestRefusedError):
            return False
        if opened is None:
            return False
        with opened as stream:
            while block := stream.read(MIB):
                there.add(block)
        if there.sha256 == self.local.sha256:
            return True
        now = self.store.head(self.key)
        if now is None or now.etag != stored.etag:
            return False  # replaced while we read it
        raise CorruptSnapshotError(
            f"{self._where} has SHA-256 {there.sha256}, but {self.local.sha256} was sent. Don't use it; run the task "
            "again."
        )


def _abort_quietly(store: ObjectStore, upload: Upload) -> None:
    """Abort, but never in place of the error that is on its way out."""
    try:
        store.abort_upload(upload)
    except KoreError as error:
        log.warning("An unfinished upload of %s stays behind: %s", store.uri(upload.key), error)
