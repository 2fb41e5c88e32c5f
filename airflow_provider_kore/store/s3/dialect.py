"""What a store turned out not to know; above all, which checksum headers it takes, and what is sent where it refuses.

The value is computed here over the exact bytes, sent as a header, and so verified by S3 before it keeps anything
(Object Lock buckets, which insist on one, are content). A store that refuses such headers gets a Content-MD5 instead.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_kore.exceptions import KoreError, RequestRefusedError
from airflow_provider_kore.store.s3.errors import Unexplained
from airflow_provider_kore.store.store import ConditionUnsupported

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 1 << 20
"""Bytes that are read of a body at once."""

T = TypeVar("T")
Headers = Literal["checksums", "upload_checksums", "checksum_mode"]


@dataclass(slots=True)
class Dialect:
    """What a store turned out to know; None: not known yet. Shared by all views of a bucket through one client."""

    batch_delete: bool | None = None
    """Whether DeleteObjects is answered. Once it was, what it refuses is not the call itself."""
    head: bool = True
    checksums: bool | None = None
    """Whether ``x-amz-checksum-*`` headers of PutObject are taken."""
    upload_checksums: bool | None = None
    """The same of multipart uploads."""
    checksum_mode: bool | None = None
    """The same of the header that asks for an object's checksum."""
    quiet: bool = False
    """Whether boto3 is kept from sending checksum headers of its own accord."""

    def lacks(self) -> tuple[str, ...]:
        """Return it in words, each with the way round that is taken."""
        found = {
            "DeleteObjects (objects are deleted one by one)": self.batch_delete,
            "HeadObject (GetObject tells the same)": self.head,
            "x-amz-checksum headers (what it holds is read back)": self.checksums,
            "x-amz-checksum headers of multipart uploads (what it holds is read back)": self.upload_checksums,
            "x-amz-checksum-mode (what it holds is read back)": self.checksum_mode,
        }
        return tuple(words for words, known in found.items() if known is False)


_dialects: WeakKeyDictionary[Any, dict[str, Dialect]] = WeakKeyDictionary()


def dialect_of(client: Any, bucket: str) -> Dialect:
    """Return what is known of a bucket through this client."""
    return _dialects.setdefault(client, {}).setdefault(bucket, Dialect())


class Checksums:
    """What one client sends to one bucket.

    :param client: a boto3 S3 client.
    :param algorithm: as the settings have it; ``NONE``: no ``x-amz-checksum`` header, but a Content-MD5.
    :param dialect: what the store turned out to refuse; is added to.
    """

    def __init__(self, client: Any, bucket: str, algorithm: str, dialect: Dialect) -> None:
        """Send nothing yet."""
        config = client.meta.config
        self.algorithm = "NONE" if config.request_checksum_calculation == "when_required" else algorithm
        self._verifies = config.response_checksum_validation != "when_required"
        self._events = client.meta.events
        self._bucket = bucket
        self._dialect = dialect
        if self.algorithm == "NONE":
            self._quieten()

    def of(self, what: Headers) -> str:
        """Return the algorithm of such a request: ``NONE`` where its headers are refused, or none are wanted."""
        refused = False in (self._dialect.checksums, getattr(self._dialect, what))
        unwanted = what == "checksum_mode" and not self._verifies
        return "NONE" if refused or unwanted else self.algorithm

    def try_to_send(self, what: Headers, send: Callable[[str], T]) -> T:
        """Send with a checksum, unless the store is known to refuse such headers; find that out if need be.

        What is refused changes nothing, so it may be sent again. Only if it works without is the checksum to blame.

        :param send: takes the algorithm.
        """
        algorithm = self.of(what)
        if algorithm == "NONE":
            return send("NONE")
        try:
            result = send(algorithm)
        except (RequestRefusedError, ConditionUnsupported, Unexplained) as refused:
            if getattr(self._dialect, what):
                raise
            before = self._dialect.quiet
            self._quieten()
            try:
                result = send("NONE")
            except (KoreError, ConditionUnsupported):
                self._dialect.quiet = before
                raise refused from None
            setattr(self._dialect, what, False)
            return result
        setattr(self._dialect, what, True)
        return result

    def _quieten(self) -> None:
        """Keep boto3 from adding checksum headers of its own."""
        dialect = self._dialect
        dialect.quiet = True

        def quieten(model: Any, params: dict[str, Any], **_: object) -> None:
            if dialect.quiet and model.name != "DeleteObjects":  # where S3 insists on one
                _drop_checksums(params)

        self._events.register("before-call.s3", quieten, unique_id=f"kore-{self._bucket}")


def _drop_checksums(params: dict[str, Any]) -> None:
    params.get("context", {}).get("checksum", {}).pop("request_algorithm", None)
    headers = params.get("headers", {})
    for name in [name for name in headers if name.lower().startswith(("x-amz-checksum-", "x-amz-sdk-checksum-"))]:
        del headers[name]


def checksum_type(algorithm: str) -> dict[str, Any]:
    """Return the argument that says whether a multipart upload's checksum is composite."""
    if algorithm == "NONE":
        return {}
    return {"ChecksumType": "COMPOSITE" if algorithm == "SHA256" else "FULL_OBJECT"}


def checksum_mode(algorithm: str) -> dict[str, Any]:
    """Return the argument that asks for an object's checksum."""
    return {} if algorithm == "NONE" else {"ChecksumMode": "ENABLED"}


def checksum_of(algorithm: str, checksum: str) -> dict[str, Any]:
    """Return the arguments that say the checksum of a body."""
    if algorithm == "NONE":
        return {"ContentMD5": checksum}
    return {"ChecksumAlgorithm": algorithm, f"Checksum{algorithm}": checksum}


def measure(body: bytes | BinaryIO, algorithm: str) -> tuple[int, str]:
    """Return the size in bytes and the checksum in base64 of a body, and leave a file at its beginning.

    The beginning is where botocore rewinds to when it sends again, wherever the file stood before.
    """
    size, crc = 0, 0
    sha = hashlib.sha256() if algorithm == "SHA256" else hashlib.md5(usedforsecurity=False)
    file = io.BytesIO(body) if isinstance(body, bytes) else body
    file.seek(0)
    while block := file.read(BLOCK):
        size += len(block)
        if algorithm == "CRC32":
            crc = zlib.crc32(block, crc)
        else:
            sha.update(block)
    file.seek(0)
    digest = crc.to_bytes(4, "big") if algorithm == "CRC32" else sha.digest()
    return size, base64.b64encode(digest).decode("ascii")
