"""What a snapshot needs of an object store, as a protocol of single effects.

Every method is one request, so that a test can end the world before and after each of them.
:mod:`airflow_provider_kore.store.s3` is the real one; tests bring a model that can crash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

from airflow_provider_kore.exceptions import RequestRefusedError, StorePermissionError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

MAX_METADATA_BYTES = 2048
"""User metadata of one object, names and values together. Source: S3 user guide, "Working with object metadata"."""


_is_metadata_name = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+").fullmatch
"""What a header may be called. Source: RFC 9110, section 5.6.2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object as the store describes it."""

    key: str
    size: int
    """Bytes."""
    etag: str
    """Opaque, quotes included, never weak: what a :class:`Condition` compares. Empty where the store told none."""
    checksum: str | None = None
    """``"ALGORITHM:base64"`` as the store keeps it, None where it keeps none (or wasn't asked, as in listings).

    A composite checksum of a multipart upload ends in ``-N``: the checksum of the checksums of its N parts.
    """
    metadata: Mapping[str, str] = field(default_factory=dict)
    """User metadata; empty in listings."""
    modified: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A put or completion happens only if this holds; otherwise :class:`ConditionFailed`."""

    etag: str | None
    """The object must be this one; None: it must not exist."""


ABSENT = Condition(etag=None)
"""Create, never replace."""


class ConditionFailed(Exception):  # noqa: N818 - an outcome that callers expect, not an error
    """The object is not, or no longer, what the condition says. Part of the protocol, never shown to a user.

    :param key: the object's key.
    :param in_doubt: the request was sent more than once, so what stands in the way may be our own first attempt,
        whose answer was lost. Compare before concluding that another writer won.
    """

    def __init__(self, key: str = "", in_doubt: bool = False) -> None:  # noqa: FBT001, FBT002 - exceptions pickle by position
        """Keep what a caller needs in order to decide."""
        super().__init__(key, in_doubt)
        self.key = key
        self.in_doubt = in_doubt


class ConditionUnsupported(Exception):  # noqa: N818 - an outcome that callers expect, not an error
    """The store does not know conditional writes. Part of the protocol, never shown to a user."""


class UploadGone(ConditionFailed):
    """The multipart upload no longer exists: another process aborted it, or it was completed before.

    A kind of :class:`ConditionFailed`: nothing was changed, another writer was faster.
    """


class AccessRefused(StorePermissionError):  # noqa: N818 - reads as its parent does, with the parts kept apart
    """The store refuses a call; says which, and what it would take.

    :param message: what is wrong, where, what to do.
    :param permission: the IAM action it needs, such as ``s3:GetObject``.
    :param key: object key or prefix, empty where the call is about the bucket.
    """

    def __init__(self, message: str, permission: str = "", key: str = "") -> None:
        """Keep the parts apart, for callers that can do without this call."""
        super().__init__(message, permission, key)
        self.permission = permission
        self.key = key

    def __str__(self) -> str:
        """Return the message alone."""
        return str(self.args[0])


class CallUnsupported(RequestRefusedError):  # noqa: N818 - reads as its parent does, for callers that can do without
    """The store doesn't implement a call, in whatever way it says so (501, 405, NotImplemented, MethodNotAllowed)."""


class ChecksumMismatch(StoreUnavailableError):  # noqa: N818 - reads as its parent does; each time anew, the object is damaged
    """What arrived does not match the checksum that the store keeps of it."""


class SessionExpired(StoreUnavailableError):  # noqa: N818 - reads as its parent does: waiting in this process is no help
    """The session token has expired; only a new try asks for a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An unfinished multipart upload."""

    key: str
    upload_id: str
    started: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One uploaded part of a multipart upload."""

    number: int
    etag: str
    checksum: str
    """Base64 of its checksum, verified by the store on arrival; empty where none was sent."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What keeps an object from being deleted, or replaced in its version."""

    mode: str = ""
    """``GOVERNANCE`` or ``COMPLIANCE``; empty: no retention."""
    until: str = ""
    """When the retention ends, ISO 8601 in UTC; empty: no retention."""
    held: bool = False
    """Whether it is under a legal hold."""

    def __str__(self) -> str:
        """Return it in words: ``COMPLIANCE until 2027-01-01T00:00:00Z``."""
        return "legal hold" if self.held else f"{self.mode} until {self.until}"


class ObjectStore(Protocol):
    """One bucket. Each method is one request to it (two of them: one request per thousand keys).

    All raise BucketNotFoundError, StorePermissionError (an :class:`AccessRefused` names the permission),
    StoreUnavailableError (try again), CredentialsError, TlsError and RequestRefusedError (a person has to act).
    """

    @property
    def bucket(self) -> str:
        """The bucket's name."""

    @property
    def honours_conditions(self) -> bool | None:
        """True or False where it is known whether conditional writes work; None: probe, costs nothing to ask.

        See :func:`~airflow_provider_kore.store.capabilities.honoured_by`.
        """

    def uri(self, key: str) -> str:
        """Return how people and other tools name an object, or a place."""

    @property
    def endpoint(self) -> str:
        """Where the store is, for what is remembered about it; empty: remember nothing."""

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the store turned out not to know so far, each with the way round that is taken. Costs nothing."""

    def head(self, key: str) -> StoredObject | None:
        """Describe one object with its checksum and metadata; None if there is none.

        A missing bucket answers None as well: S3 sends no body here, and so cannot tell the two apart.
        Where listing is not allowed, an absent key raises AccessRefused (permission ``s3:ListBucket``).
        """

    def get(self, key: str) -> AbstractContextManager[BinaryIO] | None:
        """Open one object for reading from its beginning; None if there is none.

        The request is sent now, so enter it or lose a connection. A stream that breaks, ends early or doesn't match
        the store's checksum raises StoreUnavailableError from ``read``, at the latest from the one that meets the end.
        """

    def put(
        self,
        key: str,
        body: bytes | BinaryIO,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        condition: Condition | None = None,
    ) -> StoredObject:
        """Write one object whole, up to 5 GiB. The store verifies its checksum on arrival.

        :param body: bytes, or a seekable file, sent whole from its very beginning and left open at any position.
        :param metadata: lower-case names, printable ASCII values, 2 KiB in all; anything else is a ValueError.

        Raises ConditionFailed, ConditionUnsupported.
        """

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """List objects by prefix, in key order by UTF-8 bytes (one request per thousand, sent as they are needed)."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete these objects; those that don't exist are no error (one request per thousand)."""

    def create_upload(self, key: str, *, content_type: str, metadata: Mapping[str, str] | None = None) -> Upload:
        """Begin a multipart upload; nothing is visible until it is completed."""

    def upload_part(self, upload: Upload, number: int, body: bytes) -> Part:
        """Upload part ``number`` (1 to 10,000); all but the last have at least 5 MiB. Raises UploadGone."""

    def complete_upload(
        self, upload: Upload, parts: Sequence[Part], *, condition: Condition | None = None
    ) -> StoredObject:
        """Make the object of these parts: the commit. Raises ConditionFailed, ConditionUnsupported, UploadGone.

        The upload still exists after ConditionFailed: abort it. The answer holds no metadata.
        """

    def abort_upload(self, upload: Upload) -> None:
        """Drop an unfinished upload and its parts; one that is gone is no error."""

    def list_uploads(self, prefix: str) -> Iterable[Upload]:
        """List the unfinished uploads below a prefix, by key (one request per thousand)."""


@runtime_checkable
class LockingStore(Protocol):
    """A store that can lock objects, and be asked about it."""

    def lock_of(self, key: str) -> Lock | None:
        """Return what locks an object; None: nothing does. Raises AccessRefused, and what the store raises."""


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Refuse metadata that S3 would change on the way: it lower-cases names, and headers are ASCII.

    Raises ValueError without the value.
    """
    for name, value in metadata.items():
        if not _is_metadata_name(name):
            raise ValueError(f"Metadata name {name!r} is not lower-case letters, digits, hyphens and the like.")
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise ValueError(f"The value of metadata {name!r} is not printable ASCII without outer spaces.")
    if sum(len(name) + len(value) for name, value in metadata.items()) > MAX_METADATA_BYTES:
        raise ValueError(f"Metadata larger than {MAX_METADATA_BYTES} bytes.")


def find(store: ObjectStore, key: str) -> StoredObject | None:
    """Describe one object; None if there is none, also where S3 answers 403 instead of 404 for an absent key.

    It does so where the bucket may not be listed, and where ``s3:ListBucket`` is granted for a prefix only: a HEAD has
    no prefix that such a condition could match. A listing of the one key then tells (a second request).
    Raises AccessRefused if the object is there and may not be described, or may not be listed either.
    """
    try:
        return store.head(key)
    except AccessRefused as refused:
        try:
            there = any(found.key == key for found in islice(store.list(key), 1))
        except AccessRefused:
            raise refused from None
        if there:
            raise
        return None


def read_at_most(stream: BinaryIO, most: int) -> bytes:
    """Return what a stream holds; of more than ``most`` bytes, at most 1 MiB more.

    Block by block, because a buffered stream makes room for all that it is asked for.
    """
    blocks: list[bytes] = []
    size = 0
    while size <= most and (block := stream.read(1 << 20)):
        blocks.append(block)
        size += len(block)
    return b"".join(blocks)
