"""The object store that is S3, around a boto3 client it is given.

Each method is one request (a listing: one per page; a delete: one per thousand keys). botocore retries as the client is
configured; what is raised here is what remained after that. boto3 clients may be shared by threads, so may this.

Which checksum is sent and kept: :class:`~airflow_provider_kore.snapshot.s3_settings.S3Settings`. The value is computed
here over the exact bytes, sent as a header, and so verified by S3 before it keeps anything (Object Lock buckets, which
insist on one, are content).
"""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urlsplit

from airflow_provider_kore.exceptions import StoreUnavailableError
from airflow_provider_kore.snapshot.s3_errors import Call, translate
from airflow_provider_kore.snapshot.s3_settings import S3Settings
from airflow_provider_kore.snapshot.store import Condition, Part, StoredObject, Upload, UploadGone, check_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from mypy_boto3_s3 import S3Client
    from typing_extensions import Buffer

MAX_KEYS_PER_REQUEST = 1000
"""Of a listing's page and of one ``DeleteObjects``. Source: S3 API reference."""

_READ_BYTES = 1 << 20
_KEPT_ALGORITHMS = ("SHA256", "CRC32", "CRC64NVME", "CRC32C", "SHA1")


class S3Store:
    """One bucket. See :class:`~airflow_provider_kore.snapshot.store.ObjectStore` for what each method promises.

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

    def head(self, key: str) -> StoredObject | None:
        """Describe one object; None if there is none (or no bucket)."""
        with self._requesting("HeadObject", key, absent_is_none=True) as request:
            answer = request(self._client.head_object, Key=key, ChecksumMode="ENABLED")
            return self._stored(key, answer["ContentLength"], answer)
        return None

    def get(self, key: str) -> AbstractContextManager[BinaryIO] | None:
        """Open one object for reading; None if there is none."""
        with self._requesting("GetObject", key, absent_is_none=True) as request:
            answer = request(self._client.get_object, Key=key, ChecksumMode="ENABLED")
            stream = _Stream(answer["Body"], self._call("GetObject", key))
            return cast("AbstractContextManager[BinaryIO]", io.BufferedReader(stream, _READ_BYTES // 4))
        return None

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
        size, checksum = _measure(body, self._settings.checksum_algorithm)
        arguments = {
            **self._made_with(content_type, metadata),
            **_condition_arguments(condition),
            **self._checksum_arguments(checksum),
        }
        with self._requesting("PutObject", key, condition=condition) as request:
            answer = request(self._client.put_object, Key=key, Body=body, ContentLength=size, **arguments)
        return self._stored(key, size, answer, metadata)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """List objects by prefix, in key order."""
        following: dict[str, str] = {}
        while True:
            with self._requesting("ListObjectsV2", prefix) as request:
                answer = request(self._client.list_objects_v2, Prefix=prefix, MaxKeys=self._page_size, **following)
            for item in answer.get("Contents", ()):
                yield StoredObject(
                    key=item["Key"], size=item["Size"], etag=item["ETag"], modified=item.get("LastModified")
                )
            if not answer.get("IsTruncated"):
                return
            following = {"ContinuationToken": answer["NextContinuationToken"]}

    def delete(self, keys: Sequence[str]) -> None:
        """Delete these objects."""
        for start in range(0, len(keys), MAX_KEYS_PER_REQUEST):
            batch = keys[start : start + MAX_KEYS_PER_REQUEST]
            with self._requesting("DeleteObjects", batch[0]) as request:
                doomed = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
                answer = request(self._client.delete_objects, Delete=doomed)
            for refusal in answer.get("Errors", ()):
                if refusal.get("Code") != "NoSuchKey":
                    raise self._refused_delete(refusal)

    def create_upload(self, key: str, *, content_type: str, metadata: Mapping[str, str] | None = None) -> Upload:
        """Begin a multipart upload."""
        algorithm = self._settings.checksum_algorithm
        arguments = {
            **self._made_with(content_type, metadata),
            "ChecksumAlgorithm": algorithm,
            "ChecksumType": "COMPOSITE" if algorithm == "SHA256" else "FULL_OBJECT",
        }
        with self._requesting("CreateMultipartUpload", key) as request:
            answer = request(self._client.create_multipart_upload, Key=key, **arguments)
        return Upload(key=key, upload_id=answer["UploadId"])

    def upload_part(self, upload: Upload, number: int, body: bytes) -> Part:
        """Upload part ``number``."""
        _, checksum = _measure(body, self._settings.checksum_algorithm)
        with self._requesting("UploadPart", upload.key) as request:
            answer = request(
                self._client.upload_part,
                Key=upload.key,
                UploadId=upload.upload_id,
                PartNumber=number,
                Body=body,
                **self._checksum_arguments(checksum),
            )
        return Part(number=number, etag=answer["ETag"], checksum=checksum, size=len(body))

    def complete_upload(
        self, upload: Upload, parts: Sequence[Part], *, condition: Condition | None = None
    ) -> StoredObject:
        """Make the object of these parts: the commit.

        S3 is told each part's checksum and the size of the whole, and refuses if it holds anything else.
        """
        size = sum(part.size for part in parts)
        name = f"Checksum{self._settings.checksum_algorithm}"
        listed = [{"PartNumber": part.number, "ETag": part.etag, name: part.checksum} for part in parts]
        with self._requesting("CompleteMultipartUpload", upload.key, condition=condition) as request:
            answer = request(
                self._client.complete_multipart_upload,
                Key=upload.key,
                UploadId=upload.upload_id,
                MultipartUpload={"Parts": listed},
                MpuObjectSize=size,
                ChecksumType="COMPOSITE" if self._settings.checksum_algorithm == "SHA256" else "FULL_OBJECT",
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
        while True:
            with self._requesting("ListMultipartUploads", prefix) as request:
                answer = request(
                    self._client.list_multipart_uploads, Prefix=prefix, MaxUploads=self._page_size, **following
                )
            for item in answer.get("Uploads", ()):
                yield Upload(key=item["Key"], upload_id=item["UploadId"], started=item.get("Initiated"))
            if not answer.get("IsTruncated"):
                return
            following = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

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

    def _made_with(self, content_type: str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
        check_metadata(metadata or {})
        return {"ContentType": content_type, "Metadata": dict(metadata or {}), **self._settings.on_write()}

    def _checksum_arguments(self, checksum: str) -> dict[str, str]:
        algorithm = self._settings.checksum_algorithm
        return {"ChecksumAlgorithm": algorithm, f"Checksum{algorithm}": checksum}

    def _stored(
        self, key: str, size: int, answer: Mapping[str, Any], metadata: Mapping[str, str] | None = None
    ) -> StoredObject:
        """Read an answer about one object."""
        wanted = (self._settings.checksum_algorithm, *_KEPT_ALGORITHMS)
        kept = (f"{name}:{answer['Checksum' + name]}" for name in wanted if answer.get("Checksum" + name))
        return StoredObject(
            key=key,
            size=size,
            etag=answer["ETag"],
            checksum=next(kept, None),
            metadata=dict(answer.get("Metadata", metadata or {})),
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


def _measure(body: bytes | BinaryIO, algorithm: str) -> tuple[int, str]:
    """Return the size in bytes and the checksum in base64 of a body, and leave a file at its beginning.

    The beginning is where botocore rewinds to when it sends again, wherever the file stood before.
    """
    if isinstance(body, bytes):
        digest = hashlib.sha256(body).digest() if algorithm == "SHA256" else zlib.crc32(body).to_bytes(4, "big")
        return len(body), base64.b64encode(digest).decode("ascii")
    size, crc, sha = 0, 0, hashlib.sha256()
    body.seek(0)
    while block := body.read(_READ_BYTES):
        size += len(block)
        if algorithm == "SHA256":
            sha.update(block)
        else:
            crc = zlib.crc32(block, crc)
    body.seek(0)
    digest = sha.digest() if algorithm == "SHA256" else crc.to_bytes(4, "big")
    return size, base64.b64encode(digest).decode("ascii")
