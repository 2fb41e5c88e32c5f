"""The object store that is S3, around a boto3 client it is given.

Each method is one request (a listing: one per page; a delete: one per thousand keys). botocore retries as the client is
configured; what is raised here is what remained after that. boto3 clients may be shared by threads, so may this.

Which checksum is sent and kept: :class:`~airflow_provider_kore.store.s3_settings.S3Settings`.

What a store turns out not to know is remembered (:class:`~airflow_provider_kore.store.s3_answers.Dialect`) and gone
round from then on.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from airflow_provider_kore.exceptions import KoreError, RequestRefusedError, StoreUnavailableError
from airflow_provider_kore.store.s3_answers import (
    Dialect,
    Stream,
    after_objects,
    after_uploads,
    etag,
    required,
    stored_object,
)
from airflow_provider_kore.store.s3_checksums import BLOCK, Checksums, checksum_of, checksum_type, measure
from airflow_provider_kore.store.s3_errors import Unexplained
from airflow_provider_kore.store.s3_requests import Requests, condition_arguments
from airflow_provider_kore.store.s3_settings import S3Settings
from airflow_provider_kore.store.store import (
    AccessRefused,
    CallUnsupported,
    Condition,
    Part,
    StoredObject,
    Upload,
    UploadGone,
    check_metadata,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from mypy_boto3_s3 import S3Client

MAX_KEYS_PER_REQUEST = 1000
"""Of a listing's page and of one ``DeleteObjects``. Source: S3 API reference."""

_DIRECTORY_BUCKET = "--x-s3"
"""How the names of directory buckets end, which list in no order, and only below prefixes that end in a slash. Source:
S3 API reference, ``ListObjectsV2``."""

_dialects: WeakKeyDictionary[Any, dict[str, Dialect]] = WeakKeyDictionary()


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
        self._requests = Requests(bucket, self._settings)
        self._page_size = page_size
        self._dialect = _dialects.setdefault(client, {}).setdefault(bucket, Dialect())
        self._checksums = Checksums(client, bucket, str(self._settings.checksum_algorithm), self._dialect)

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
            with self._requests.sending("HeadObject", key, absent_is_none=True) as request:
                answer = request(self._client.head_object, Key=key, **self._checksums.mode)
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
        with self._requests.sending("GetObject", key, absent_is_none=True) as request:
            answer = self._opened(request, key)
            answer["Body"].close()
            return self._described(key, answer, "GetObject")
        return None

    def get(self, key: str) -> AbstractContextManager[BinaryIO] | None:
        """Open one object for reading; None if there is none."""
        with self._requests.sending("GetObject", key, absent_is_none=True) as request:
            answer = self._opened(request, key)
            stream = Stream(answer["Body"], self._requests.call("GetObject", key))
            return cast("AbstractContextManager[BinaryIO]", io.BufferedReader(stream, BLOCK // 4))
        return None

    def _opened(self, request: Callable[..., Any], key: str) -> Any:
        """Send a GetObject; without ``x-amz-checksum-mode`` where the store refuses it."""
        from botocore.exceptions import ClientError

        try:
            return request(self._client.get_object, Key=key, **self._checksums.mode)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status not in {400, 501} or self._dialect.checksums is not None or not self._checksums.mode:
                raise
            self._checksums.quieten()
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
        arguments = {**self._made_with(content_type, metadata), **condition_arguments(condition)}

        def send(algorithm: str) -> StoredObject:
            size, checksum = measure(body, algorithm)
            with self._requests.sending("PutObject", key, condition=condition) as request:
                answer = request(
                    self._client.put_object,
                    Key=key,
                    Body=body,
                    ContentLength=size,
                    **arguments,
                    **checksum_of(algorithm, checksum),
                )
            return stored_object(key, size, answer, metadata, algorithm)

        return self._checksums.try_to_send("checksums", send)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """List objects by prefix, in key order."""
        found = (
            StoredObject(
                key=item["Key"],
                size=int(item.get("Size") or 0),
                etag=etag(item.get("ETag")),
                modified=item.get("LastModified"),
            )
            for item in self._listed("ListObjectsV2", prefix)
        )
        yield from sorted(found, key=lambda each: each.key.encode()) if self._in_no_order else found

    def _listed(self, operation: Literal["ListObjectsV2", "ListMultipartUploads"], prefix: str) -> Iterator[Any]:
        """Yield the items of all pages of a listing, as boto3 returns them."""
        call = self._requests.call(operation, prefix)
        above = prefix[: prefix.rfind("/") + 1] if self._in_no_order else prefix
        uploads = operation == "ListMultipartUploads"
        method = self._client.list_multipart_uploads if uploads else self._client.list_objects_v2
        arguments = {"Prefix": above, "MaxUploads" if uploads else "MaxKeys": self._page_size}
        following: dict[str, str] = {}
        while True:
            with self._requests.sending(operation, prefix) as request:
                answer = request(method, **arguments, **following)
            items = answer.get("Uploads" if uploads else "Contents") or ()
            for item in items:
                if str(required(item, "Key", call)).startswith(prefix):
                    yield item
            if not answer.get("IsTruncated"):
                return
            before = following
            following = (after_uploads if uploads else after_objects)(answer, items[-1] if items else {})
            if following == before or not all(following.values()):
                required({}, "NextKeyMarker" if uploads else "NextContinuationToken", call)

    @property
    def _in_no_order(self) -> bool:
        return self._bucket.endswith(_DIRECTORY_BUCKET)

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
        with self._requests.sending("DeleteObjects", batch[0]) as request:
            doomed = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
            answer = request(self._client.delete_objects, Delete=doomed)
        self._dialect.batch_works = True
        for refusal in answer.get("Errors") or ():
            if refusal.get("Code") != "NoSuchKey":
                raise self._requests.refused_delete(refusal)

    def _delete_one(self, key: str) -> None:
        with self._requests.sending("DeleteObject", key, absent_is_none=True) as request:
            request(self._client.delete_object, Key=key)

    def create_upload(self, key: str, *, content_type: str, metadata: Mapping[str, str] | None = None) -> Upload:
        """Begin a multipart upload."""
        arguments = self._made_with(content_type, metadata)

        def send(algorithm: str) -> Upload:
            declared = {} if algorithm == "NONE" else {"ChecksumAlgorithm": algorithm, **checksum_type(algorithm)}
            with self._requests.sending("CreateMultipartUpload", key) as request:
                answer = request(self._client.create_multipart_upload, Key=key, **arguments, **declared)
            call = self._requests.call("CreateMultipartUpload", key)
            return Upload(key=key, upload_id=str(required(answer, "UploadId", call)))

        return self._checksums.try_to_send("upload_checksums", send)

    def upload_part(self, upload: Upload, number: int, body: bytes) -> Part:
        """Upload part ``number``."""
        algorithm = self._checksums.of_uploads
        _, checksum = measure(body, algorithm)
        with self._requests.sending("UploadPart", upload.key) as request:
            answer = request(
                self._client.upload_part,
                Key=upload.key,
                UploadId=upload.upload_id,
                PartNumber=number,
                Body=body,
                **checksum_of(algorithm, checksum),
            )
        told = str(required(answer, "ETag", self._requests.call("UploadPart", upload.key)))  # given back as it came
        return Part(number=number, etag=told, checksum="" if algorithm == "NONE" else checksum, size=len(body))

    def complete_upload(
        self, upload: Upload, parts: Sequence[Part], *, condition: Condition | None = None
    ) -> StoredObject:
        """Make the object of these parts: the commit.

        S3 is told each part's checksum and the size of the whole, and refuses if it holds anything else.
        """
        size = sum(part.size for part in parts)
        algorithm = self._checksums.of_uploads
        known = checksum_type(algorithm)
        listed = [
            {"PartNumber": part.number, "ETag": part.etag, **({f"Checksum{algorithm}": part.checksum} if known else {})}
            for part in parts
        ]
        with self._requests.sending("CompleteMultipartUpload", upload.key, condition=condition) as request:
            answer = request(
                self._client.complete_multipart_upload,
                Key=upload.key,
                UploadId=upload.upload_id,
                MultipartUpload={"Parts": listed},
                MpuObjectSize=size,
                **known,
                **condition_arguments(condition),
            )
        return stored_object(upload.key, size, answer, None, self._checksums.algorithm)

    def abort_upload(self, upload: Upload) -> None:
        """Drop an unfinished upload and its parts."""
        try:
            with self._requests.sending("AbortMultipartUpload", upload.key) as request:
                request(self._client.abort_multipart_upload, Key=upload.key, UploadId=upload.upload_id)
        except UploadGone:
            return

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        """List the unfinished uploads below a prefix."""
        for item in self._listed("ListMultipartUploads", prefix):
            upload_id = str(required(item, "UploadId", self._requests.call("ListMultipartUploads", prefix)))
            yield Upload(key=item["Key"], upload_id=upload_id, started=item.get("Initiated"))

    def _described(self, key: str, answer: Mapping[str, Any], operation: str) -> StoredObject:
        """Read an answer that describes an object: its size and its ETag have to be in it."""
        call = self._requests.call(operation, key)
        required(answer, "ETag", call)
        size = int(required(answer, "ContentLength", call))
        return stored_object(key, size, answer, None, self._checksums.algorithm)

    def _made_with(self, content_type: str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
        check_metadata(metadata or {})
        return {"ContentType": content_type, "Metadata": dict(metadata or {}), **self._settings.on_write()}
