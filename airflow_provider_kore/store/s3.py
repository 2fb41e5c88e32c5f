"""The object store that is S3, around a boto3 client it is given.

Each method is one request (a listing: one per page; a delete: one per thousand keys). botocore retries as the client is
configured; what is raised here is what remained after that. boto3 clients may be shared by threads, so may this.

Which checksum is sent and kept: :class:`~airflow_provider_kore.store.s3_settings.S3Settings`. The value is computed
here over the exact bytes, sent as a header, and so verified by S3 before it keeps anything (Object Lock buckets, which
insist on one, are content). A store that refuses such headers gets a Content-MD5 instead.

What a store turns out not to know is remembered (:class:`~airflow_provider_kore.store.s3_answers.Dialect`) and gone
round from then on.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from airflow_provider_kore.exceptions import (
    KoreError,
    RequestRefusedError,
    StoreUnavailableError,
)
from airflow_provider_kore.store.s3_answers import Dialect, drop_checksums, etag, metadata, required
from airflow_provider_kore.store.s3_errors import Call, Unexplained, translate
from airflow_provider_kore.store.s3_settings import S3Settings
from airflow_provider_kore.store.store import (
    AccessRefused,
    CallUnsupported,
    Condition,
    ConditionUnsupported,
    Part,
    StoredObject,
    Upload,
    UploadGone,
    check_metadata,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from botocore.config import Config
    from mypy_boto3_s3 import S3Client
    from typing_extensions import Buffer

MAX_KEYS_PER_REQUEST = 1000
"""Of a listing's page and of one ``DeleteObjects``. Source: S3 API reference."""

_READ_BYTES = 1 << 20
_KEPT_ALGORITHMS = ("SHA256", "CRC32", "CRC64NVME", "CRC32C", "SHA1")
_DIRECTORY_BUCKET = "--x-s3"
"""How the names of directory buckets end, which list in no order, and only below prefixes that end in a slash. Source:
S3 API reference, ``ListObjectsV2``."""

_dialects: WeakKeyDictionary[Any, dict[str, Dialect]] = WeakKeyDictionary()
_WITH_CHECKSUMS = (
    "PutObject",
    "UploadPart",
    "CreateMultipartUpload",
    "CompleteMultipartUpload",
    "GetObject",
    "HeadObject",
)
T = TypeVar("T")


def patient_config(theirs: Config | None, said: Mapping[str, Any]) -> Config:
    """Return botocore's settings, with a patience of ours where the connection says nothing.

    botocore's own let a store that hangs go unnoticed for minutes. Trying again is
    :class:`~airflow_provider_kore.store.patient.PatientStore`'s part, which says what it waits for.

    :param theirs: as the connection has them.
    :param said: the connection's ``config_kwargs``.
    """
    from botocore.config import Config

    ours: dict[str, Any] = {
        "connect_timeout": 10,
        "read_timeout": 20,
        "retries": {"mode": "standard", "total_max_attempts": 1},
    }
    config = Config(**{name: value for name, value in ours.items() if name not in said})
    return config.merge(theirs) if theirs is not None else config


class S3Store:
    """One bucket. See :class:`~airflow_provider_kore.store.store.ObjectStore` for what each method promises.

    :param client: a boto3 S3 client.
    :param bucket: the bucket's name.
    :param settings: what objects are written with.
    :param page_size: results per page of a listing, at most 1000.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        settings: S3Settings | None = None,
        *,
        page_size: int = MAX_KEYS_PER_REQUEST,
    ) -> None:
        """Send nothing yet."""
        self._client: Any = client
        self._bucket = bucket
        self._settings = settings or S3Settings()
        self._page_size = page_size
        self._dialect = _dialects.setdefault(client, {}).setdefault(bucket, Dialect())
        config = getattr(client.meta, "config", None)
        wanted = getattr(config, "request_checksum_calculation", None) != "when_required"
        self._algorithm = str(self._settings.checksum_algorithm) if wanted else "NONE"
        self._verifies = getattr(config, "response_checksum_validation", None) != "when_required"
        if self._algorithm == "NONE":
            self._hush()

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._bucket

    @property
    def honours_conditions(self) -> bool | None:
        """True where conditional writes are known to work: on AWS, since November 2024. None: probe.

        Source: AWS, "Amazon S3 adds new functionality for conditional writes", 2024-11-25.
        """
        host = urlsplit(self._client.meta.endpoint_url).hostname or ""
        return True if host.endswith((".amazonaws.com", ".amazonaws.com.cn")) else None

    @property
    def endpoint(self) -> str:
        """The endpoint's URL."""
        return str(self._client.meta.endpoint_url)

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the store turned out not to know so far, in words."""
        return self._dialect.lacks()

    def head(self, key: str) -> StoredObject | None:
        """Describe one object; None if there is none (or no bucket).

        Where a HEAD is refused, a GET of the same key tells as much, and why.
        """
        if not self._dialect.head:
            return self._described_by_get(key)
        try:
            with self._requesting("HeadObject", key, absent_is_none=True) as request:
                answer = request(self._client.head_object, Key=key, **self._checksum_mode())
                return self._described(key, answer, "HeadObject")
        except (AccessRefused, CallUnsupported, Unexplained) as refused:
            return self._described_after(refused, key)
        return None

    def _described_after(self, refused: KoreError, key: str) -> StoredObject | None:
        """Describe an object whose HEAD was refused. Raises that refusal again, or what tells more."""
        known = self._dialect.checksums
        try:
            found = self._described_by_get(key)
        except KoreError as error:
            raise (error if isinstance(refused, Unexplained) else refused) from None
        if found is not None and self._dialect.checksums == known:  # else it was a header that was refused
            self._dialect.head = False
        return found

    def _described_by_get(self, key: str) -> StoredObject | None:
        with self._requesting("GetObject", key, absent_is_none=True) as request:
            answer = self._opened(request, key)
            answer["Body"].close()
            return self._described(key, answer, "GetObject")
        return None

    def get(self, key: str) -> AbstractContextManager[BinaryIO] | None:
        """Open one object for reading; None if there is none."""
        with self._requesting("GetObject", key, absent_is_none=True) as request:
            answer = self._opened(request, key)
            stream = _Stream(answer["Body"], self._call("GetObject", key))
            return cast("AbstractContextManager[BinaryIO]", io.BufferedReader(stream, _READ_BYTES // 4))
        return None

    def _opened(self, request: Callable[..., Any], key: str) -> Any:
        """Send a GetObject; without ``x-amz-checksum-mode`` where the store refuses it."""
        from botocore.exceptions import ClientError

        try:
            return request(self._client.get_object, Key=key, **self._checksum_mode())
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status not in {400, 501} or self._dialect.checksums is not None or not self._checksum_mode():
                raise
            self._hush()
            try:
                answer = request(self._client.get_object, Key=key)
            except ClientError as other:
                if other.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == status:
                    self._dialect.quiet = False
                    raise error from None
                self._dialect.checksums = False
                raise
            self._dialect.checksums = False
            return answer

    def put(
        self,
        key: str,
        body: bytes | BinaryIO,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        condition: Condition | None = None,
    ) -> StoredObject:
        """Write one object whole."""
        arguments = {**self._made_with(content_type, metadata), **_condition_arguments(condition)}

        def send(algorithm: str) -> StoredObject:
            size, checksum = _measure(body, algorithm)
            with self._requesting("PutObject", key, condition=condition) as request:
                answer = request(
                    self._client.put_object,
                    Key=key,
                    Body=body,
                    ContentLength=size,
                    **arguments,
                    **_checksum_arguments(algorithm, checksum),
                )
            return self._stored(key, size, answer, metadata)

        return self._checked("checksums", send)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """List objects by prefix, in key order."""
        if not self._bucket.endswith(_DIRECTORY_BUCKET):
            yield from self._listed(prefix)
            return
        above = prefix[: prefix.rfind("/") + 1]
        yield from sorted(self._listed(above, prefix), key=lambda found: found.key.encode())

    def _listed(self, above: str, prefix: str = "") -> Iterator[StoredObject]:
        prefix = prefix or above
        following: dict[str, str] = {}
        while True:
            with self._requesting("ListObjectsV2", prefix) as request:
                answer = request(self._client.list_objects_v2, Prefix=above, MaxKeys=self._page_size, **following)
            call = self._call("ListObjectsV2", prefix)
            items = answer.get("Contents") or ()
            for item in items:
                if str(required(item, "Key", call)).startswith(prefix):
                    yield StoredObject(
                        key=item["Key"],
                        size=int(item.get("Size") or 0),
                        etag=etag(item.get("ETag")),
                        modified=item.get("LastModified"),
                    )
            if not answer.get("IsTruncated"):
                return
            token = answer.get("NextContinuationToken")
            if token:
                before, following = following, {"ContinuationToken": token}
            else:
                before, following = following, {"StartAfter": items[-1]["Key"] if items else ""}
            if following == before or not all(following.values()):
                required({}, "NextContinuationToken", call)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete these objects; one by one where the store knows no other way."""
        for start in range(0, len(keys), MAX_KEYS_PER_REQUEST):
            batch = keys[start : start + MAX_KEYS_PER_REQUEST]
            if not self._dialect.batch_delete:
                for key in batch:
                    self._delete_one(key)
                continue
            try:
                self._delete_batch(batch)
            except (RequestRefusedError, AccessRefused, StoreUnavailableError) as refused:
                # some fail over a key that is not there, so even what has worked is worth a second way
                fails = isinstance(refused, StoreUnavailableError)
                if (self._dialect.batch_works and not fails) or getattr(refused, "retry_after", None):
                    raise
                try:
                    self._delete_one(batch[0])
                except KoreError:
                    raise refused from None
                self._dialect.batch_delete = fails
                for key in batch[1:]:
                    self._delete_one(key)

    def _delete_batch(self, batch: Sequence[str]) -> None:
        with self._requesting("DeleteObjects", batch[0]) as request:
            doomed = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
            answer = request(self._client.delete_objects, Delete=doomed)
        self._dialect.batch_works = True
        for refusal in answer.get("Errors") or ():
            if refusal.get("Code") != "NoSuchKey":
                raise self._refused_delete(refusal)

    def _delete_one(self, key: str) -> None:
        with self._requesting("DeleteObject", key, absent_is_none=True) as request:
            request(self._client.delete_object, Key=key)

    def create_upload(self, key: str, *, content_type: str, metadata: Mapping[str, str] | None = None) -> Upload:
        """Begin a multipart upload."""
        arguments = self._made_with(content_type, metadata)

        def send(algorithm: str) -> Upload:
            declared = {} if algorithm == "NONE" else {"ChecksumAlgorithm": algorithm, **_checksum_type(algorithm)}
            with self._requesting("CreateMultipartUpload", key) as request:
                answer = request(self._client.create_multipart_upload, Key=key, **arguments, **declared)
            call = self._call("CreateMultipartUpload", key)
            return Upload(key=key, upload_id=str(required(answer, "UploadId", call)))

        return self._checked("upload_checksums", send)

    def upload_part(self, upload: Upload, number: int, body: bytes) -> Part:
        """Upload part ``number``."""
        algorithm = self._upload_algorithm()
        _, checksum = _measure(body, algorithm)
        with self._requesting("UploadPart", upload.key) as request:
            answer = request(
                self._client.upload_part,
                Key=upload.key,
                UploadId=upload.upload_id,
                PartNumber=number,
                Body=body,
                **_checksum_arguments(algorithm, checksum),
            )
        told = str(required(answer, "ETag", self._call("UploadPart", upload.key)))  # given back as it came
        return Part(number=number, etag=told, checksum="" if algorithm == "NONE" else checksum, size=len(body))

    def complete_upload(
        self, upload: Upload, parts: Sequence[Part], *, condition: Condition | None = None
    ) -> StoredObject:
        """Make the object of these parts: the commit.

        S3 is told each part's checksum and the size of the whole, and refuses if it holds anything else.
        """
        size = sum(part.size for part in parts)
        algorithm = self._upload_algorithm()
        known = {} if algorithm == "NONE" else _checksum_type(algorithm)
        listed = [
            {"PartNumber": part.number, "ETag": part.etag, **({f"Checksum{algorithm}": part.checksum} if known else {})}
            for part in parts
        ]
        with self._requesting("CompleteMultipartUpload", upload.key, condition=condition) as request:
            answer = request(
                self._client.complete_multipart_upload,
                Key=upload.key,
                UploadId=upload.upload_id,
                MultipartUpload={"Parts": listed},
                MpuObjectSize=size,
                **known,
                **_condition_arguments(condition),
            )
        return self._stored(upload.key, size, answer)

    def abort_upload(self, upload: Upload) -> None:
        """Drop an unfinished upload and its parts."""
        try:
            with self._requesting("AbortMultipartUpload", upload.key) as request:
                request(self._client.abort_multipart_upload, Key=upload.key, UploadId=upload.upload_id)
        except UploadGone:
            return

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        """List the unfinished uploads below a prefix."""
        following: dict[str, str] = {}
        directory = self._bucket.endswith(_DIRECTORY_BUCKET)
        above = prefix[: prefix.rfind("/") + 1] if directory else prefix
        while True:
            with self._requesting("ListMultipartUploads", prefix) as request:
                answer = request(
                    self._client.list_multipart_uploads, Prefix=above, MaxUploads=self._page_size, **following
                )
            call = self._call("ListMultipartUploads", prefix)
            items = answer.get("Uploads") or ()
            for item in items:
                if str(required(item, "Key", call)).startswith(prefix):
                    upload_id = str(required(item, "UploadId", call))
                    yield Upload(key=item["Key"], upload_id=upload_id, started=item.get("Initiated"))
            if not answer.get("IsTruncated"):
                return
            last = items[-1] if items else {}
            key = answer.get("NextKeyMarker") or required(last, "Key", call)
            before, following = following, {"KeyMarker": key}
            if marker := answer.get("NextUploadIdMarker") or last.get("UploadId"):
                following["UploadIdMarker"] = marker
            if following == before:
                required({}, "NextKeyMarker", call)

    def _call(self, operation: str, key: str, condition: Condition | None = None) -> Call:
        writes = operation in {"PutObject", "CreateMultipartUpload"}
        return Call(
            operation=operation,
            bucket=self._bucket,
            key=key,
            conditional=condition is not None,
            extra_permissions=self._settings.extra_permissions() if writes else (),
            owner=self._settings.expected_bucket_owner or "",
        )

    @contextmanager
    def _requesting(
        self, operation: str, key: str, *, condition: Condition | None = None, absent_is_none: bool = False
    ) -> Iterator[Callable[..., Any]]:
        """Hand out a way to send one request, and turn what botocore raises into this package's errors."""
        from botocore.exceptions import BotoCoreError, ClientError

        def request(method: Callable[..., Any], **arguments: Any) -> Any:
            return method(Bucket=self._bucket, **self._settings.everywhere(), **arguments)

        try:
            yield request
        except (BotoCoreError, ClientError, OSError) as error:
            code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None
            if absent_is_none and code in {"404", "NoSuchKey"}:
                return
            raise translate(error, self._call(operation, key, condition)) from None

    def _refused_delete(self, refusal: Mapping[str, str]) -> Exception:
        """``DeleteObjects`` answers 200 and lists what it did not delete."""
        from botocore.exceptions import ClientError

        code = refusal.get("Code", "")
        status = {"AccessDenied": 403, "InternalError": 500, "SlowDown": 503}.get(code, 400)
        answer: Any = {
            "Error": {"Code": code, "Message": refusal.get("Message", "")},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }
        return translate(ClientError(answer, "DeleteObjects"), self._call("DeleteObjects", refusal.get("Key", "")))

    def _checked(self, what: Literal["checksums", "upload_checksums"], send: Callable[[str], T]) -> T:
        """Send with a checksum, unless the store is known to refuse such headers; find that out if need be.

        What is refused changes nothing, so it may be sent again. Only if it works without is the checksum to blame.
        """
        known: bool | None = False if self._dialect.checksums is False else getattr(self._dialect, what)
        if self._algorithm == "NONE" or known is False:
            return send("NONE")
        try:
            result = send(self._algorithm)
        except (RequestRefusedError, ConditionUnsupported) as refused:
            if known:
                raise
            before = self._dialect.quiet
            self._hush()
            try:
                result = send("NONE")
            except (KoreError, ConditionUnsupported):
                self._dialect.quiet = before
                raise refused from None
            setattr(self._dialect, what, False)
            return result
        setattr(self._dialect, what, True)
        return result

    def _upload_algorithm(self) -> str:
        refused = False in {self._dialect.checksums, self._dialect.upload_checksums}
        return "NONE" if refused else self._algorithm

    def _checksum_mode(self) -> dict[str, str]:
        wanted = self._verifies and self._algorithm != "NONE" and self._dialect.checksums is not False
        return {"ChecksumMode": "ENABLED"} if wanted else {}

    def _hush(self) -> None:
        """Keep boto3 from adding checksum headers of its own."""
        dialect = self._dialect
        dialect.quiet = True

        def quieten(params: dict[str, Any], **_: object) -> None:
            if dialect.quiet:
                drop_checksums(params)

        for operation in _WITH_CHECKSUMS:
            self._client.meta.events.register(
                f"before-call.s3.{operation}", quieten, unique_id=f"kore-{self._bucket}-{operation}"
            )

    def _described(self, key: str, answer: Mapping[str, Any], operation: str) -> StoredObject:
        """Read an answer that describes an object: its size and its ETag have to be in it."""
        call = self._call(operation, key)
        required(answer, "ETag", call)
        return self._stored(key, int(required(answer, "ContentLength", call)), answer)

    def _made_with(self, content_type: str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
        check_metadata(metadata or {})
        return {"ContentType": content_type, "Metadata": dict(metadata or {}), **self._settings.on_write()}

    def _stored(
        self, key: str, size: int, answer: Mapping[str, Any], sent: Mapping[str, str] | None = None
    ) -> StoredObject:
        """Read an answer about one object."""
        wanted = (self._algorithm, *_KEPT_ALGORITHMS)
        kept = (f"{name}:{answer['Checksum' + name]}" for name in wanted if answer.get("Checksum" + name))
        return StoredObject(
            key=key,
            size=size,
            etag=etag(answer.get("ETag")),
            checksum=next(kept, None),
            metadata=metadata(answer, sent),
            modified=answer.get("LastModified"),
        )


class _Stream(io.RawIOBase):
    """botocore's StreamingBody as a file that cannot end early in silence."""

    def __init__(self, body: Any, call: Call) -> None:
        super().__init__()
        self._body = body
        self._call = call

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        from botocore.exceptions import BotoCoreError
        from urllib3.exceptions import HTTPError

        view = memoryview(buffer).cast("B")
        try:
            # read, not readinto: only the former feeds the checksum in every supported botocore
            data: bytes = self._body.read(len(view))
        except HTTPError as error:
            raise StoreUnavailableError(
                f"{self._call}: the answer broke off ({type(error).__name__}). Try again."
            ) from None
        except (BotoCoreError, OSError) as error:
            raise translate(error, self._call) from None
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._body.close()
        super().close()


def _condition_arguments(condition: Condition | None) -> dict[str, str]:
    if condition is None:
        return {}
    return {"IfNoneMatch": "*"} if condition.etag is None else {"IfMatch": condition.etag}


def _checksum_type(algorithm: str) -> dict[str, str]:
    return {"ChecksumType": "COMPOSITE" if algorithm == "SHA256" else "FULL_OBJECT"}


def _checksum_arguments(algorithm: str, checksum: str) -> dict[str, str]:
    if algorithm == "NONE":
        return {"ContentMD5": checksum}
    return {"ChecksumAlgorithm": algorithm, f"Checksum{algorithm}": checksum}


def _measure(body: bytes | BinaryIO, algorithm: str) -> tuple[int, str]:
    """Return the size in bytes and the checksum in base64 of a body, and leave a file at its beginning.

    The beginning is where botocore rewinds to when it sends again, wherever the file stood before.
    """
    size, crc = 0, 0
    sha = hashlib.sha256() if algorithm == "SHA256" else hashlib.md5(usedforsecurity=False)
    file = io.BytesIO(body) if isinstance(body, bytes) else body
    file.seek(0)
    while block := file.read(_READ_BYTES):
        size += len(block)
        if algorithm == "CRC32":
            crc = zlib.crc32(block, crc)
        else:
            sha.update(block)
    file.seek(0)
    digest = crc.to_bytes(4, "big") if algorithm == "CRC32" else sha.digest()
    return size, base64.b64encode(digest).decode("ascii")
