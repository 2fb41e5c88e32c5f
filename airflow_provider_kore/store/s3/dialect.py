"""What a store turned out not to know; above all, which checksum headers it takes, and what is sent where it refuses.

The value is computed here over the exact bytes, sent as a header, and so verified by S3 before it keeps anything
(Object Lock buckets, which insist on one, are content). A store that refuses such headers gets a Content-MD5 instead.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_kore.exceptions import KoreError, RequestRefusedError
from airflow_provider_kore.store.s3.errors import Unexplained
from airflow_provider_kore.store.store import ConditionUnsupported

if TYPE_CHECKING:
    from collections.abc import Callable

_QUIET = "when_required"
"""By which botocore is told to add checksum headers only where S3 insists on one: to DeleteObjects."""

BLOCK = 1 << 20
"""Bytes that are read of a body at once."""

T = TypeVar("T")
Headers = Literal["checksums", "upload_checksums", "checksum_mode"]

WAYS_ROUND = {
    "DeleteObjects": "DeleteObjects (objects are deleted one by one)",
    "HeadObject": "HeadObject (GetObject tells the same)",
    "checksums": "x-amz-checksum headers (what it holds is read back)",
    "upload_checksums": "x-amz-checksum headers of multipart uploads (what it holds is read back)",
    "checksum_mode": "x-amz-checksum-mode (what it holds is read back)",
}
"""What a store may turn out not to know, in words, each with the way round that is taken."""


_known: WeakKeyDictionary[Any, dict[str, dict[str, bool]]] = WeakKeyDictionary()


def known_of(client: Any, bucket: str) -> dict[str, bool]:
    """Return what is known of a bucket, by the keys of ``WAYS_ROUND``; shared by all views of it through this client.

    Of what it was once known to know, a refusal is not of the call itself.
    """
    return _known.setdefault(client, {}).setdefault(bucket, {})


class Checksums:
    """What one client sends to one bucket.

    :param client: a boto3 S3 client.
    :param algorithm: as the settings have it; ``NONE``: no ``x-amz-checksum`` header, but a Content-MD5.
    :param known: what the store turned out to take or refuse; is added to.
    """

    def __init__(self, client: Any, algorithm: str, known: dict[str, bool]) -> None:
        """Send nothing yet."""
        self._config = client.meta.config
        self._known = known
        self.algorithm = "NONE" if self._config.request_checksum_calculation == _QUIET else algorithm
        self._verifies = self._config.response_checksum_validation != _QUIET
        if self.algorithm == "NONE":
            self._set_botocore(_QUIET, _QUIET)

    def of(self, what: Headers) -> str:
        """Return the algorithm of such a request: ``NONE`` where its headers are refused, or none are wanted."""
        refused = False in (self._known.get("checksums"), self._known.get(what))
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
            if self._known.get(what):
                raise
            before = self._config.request_checksum_calculation, self._config.response_checksum_validation
            self._set_botocore(_QUIET, _QUIET)
            try:
                result = send("NONE")
            except (KoreError, ConditionUnsupported):
                self._set_botocore(*before)
                raise refused from None
            self._known[what] = False
            return result
        self._known[what] = True
        return result

    def _set_botocore(self, calculation: str, validation: str) -> None:
        """Say when botocore sends checksum headers of its own accord, from the next request on."""
        self._config.request_checksum_calculation = calculation
        self._config.response_checksum_validation = validation


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
