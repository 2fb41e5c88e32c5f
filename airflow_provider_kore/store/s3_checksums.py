"""Checksums that are sent to S3, and what to do about stores that refuse their headers.

The value is computed here over the exact bytes, sent as a header, and so verified by S3 before it keeps anything
(Object Lock buckets, which insist on one, are content). A store that refuses such headers gets a Content-MD5 instead.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar

from airflow_provider_kore.exceptions import KoreError, RequestRefusedError
from airflow_provider_kore.store.store import ConditionUnsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.store.s3_answers import Dialect

BLOCK = 1 << 20
"""Bytes that are read of a body at once."""

_OPERATIONS = (
    "PutObject",
    "UploadPart",
    "CreateMultipartUpload",
    "CompleteMultipartUpload",
    "GetObject",
    "HeadObject",
)
T = TypeVar("T")


class Checksums:
    """What one client sends to one bucket.

    :param client: a boto3 S3 client.
    :param algorithm: as the settings have it; ``NONE``: no ``x-amz-checksum`` header, but a Content-MD5.
    :param dialect: what the store turned out to refuse; is added to.
    """

    def __init__(self, client: Any, bucket: str, algorithm: str, dialect: Dialect) -> None:
        """Send nothing yet."""
        config = getattr(client.meta, "config", None)
        wanted = getattr(config, "request_checksum_calculation", None) != "when_required"
        self.algorithm = algorithm if wanted else "NONE"
        self._verifies = getattr(config, "response_checksum_validation", None) != "when_required"
        self._events = client.meta.events
        self._bucket = bucket
        self._dialect = dialect
        if self.algorithm == "NONE":
            self.quieten()

    def try_to_send(self, what: Literal["checksums", "upload_checksums"], send: Callable[[str], T]) -> T:
        """Send with a checksum, unless the store is known to refuse such headers; find that out if need be.

        What is refused changes nothing, so it may be sent again. Only if it works without is the checksum to blame.

        :param send: takes the algorithm.
        """
        known: bool | None = False if self._dialect.checksums is False else getattr(self._dialect, what)
        if self.algorithm == "NONE" or known is False:
            return send("NONE")
        try:
            result = send(self.algorithm)
        except (RequestRefusedError, ConditionUnsupported) as refused:
            if known:
                raise
            before = self._dialect.quiet
            self.quieten()
            try:
                result = send("NONE")
            except (KoreError, ConditionUnsupported):
                self._dialect.quiet = before
                raise refused from None
            setattr(self._dialect, what, False)
            return result
        setattr(self._dialect, what, True)
        return result

    @property
    def of_uploads(self) -> str:
        """The algorithm of multipart uploads."""
        refused = False in {self._dialect.checksums, self._dialect.upload_checksums}
        return "NONE" if refused else self.algorithm

    @property
    def mode(self) -> dict[str, str]:
        """Arguments of a call that describes or opens an object."""
        wanted = self._verifies and self.algorithm != "NONE" and self._dialect.checksums is not False
        return {"ChecksumMode": "ENABLED"} if wanted else {}

    def quieten(self) -> None:
        """Keep boto3 from adding checksum headers of its own."""
        dialect = self._dialect
        dialect.quiet = True

        def quieten(params: dict[str, Any], **_: object) -> None:
            if dialect.quiet:
                _drop_checksums(params)

        for operation in _OPERATIONS:
            self._events.register(f"before-call.s3.{operation}", quieten, unique_id=f"kore-{self._bucket}-{operation}")


def _drop_checksums(params: dict[str, Any]) -> None:
    params.get("context", {}).get("checksum", {}).pop("request_algorithm", None)
    headers = params.get("headers", {})
    for name in [name for name in headers if name.lower().startswith(("x-amz-checksum-", "x-amz-sdk-checksum-"))]:
        del headers[name]


def checksum_type(algorithm: str) -> dict[str, str]:
    """Return the argument that says whether a multipart upload's checksum is composite."""
    if algorithm == "NONE":
        return {}
    return {"ChecksumType": "COMPOSITE" if algorithm == "SHA256" else "FULL_OBJECT"}


def checksum_of(algorithm: str, checksum: str) -> dict[str, str]:
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
