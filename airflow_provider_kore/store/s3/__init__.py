"""The object store that is S3, around a boto3 client it is given. Another kind of store is a folder like this one.

Each method is one request (a listing: one per page; a delete: one per thousand keys). botocore retries as the client is
configured; what is raised here is what remained after that. boto3 clients may be shared by threads, so may this.

Which checksum is sent and kept: :class:`~airflow_provider_kore.store.s3.settings.S3Settings`.

What a store turns out not to know is remembered (:mod:`~airflow_provider_kore.store.s3.dialect`) and gone round from
then on.
"""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from airflow_provider_kore.exceptions import KoreError, RequestRefusedError, StoreUnavailableError
from airflow_provider_kore.store.s3.answers import Stream, etag, required, stored_object
from airflow_provider_kore.store.s3.bucket import MAX_KEYS_PER_REQUEST, S3Bucket
from airflow_provider_kore.store.s3.dialect import (
    BLOCK,
    WAYS_ROUND,
    Checksums,
    checksum_mode,
    checksum_of,
    checksum_type,
    known_of,
    measure,
)
from airflow_provider_kore.store.s3.errors import Unexplained, refused_key
from airflow_provider_kore.store.s3.locks import ObjectLocks
from airflow_provider_kore.store.s3.settings import S3Settings
from airflow_provider_kore.store.store import (
    AccessRefused,
    CallUnsupported,
    Condition,
    Lock,
    Part,
    StoredObject,
    Upload,
    UploadGone,
    check_metadata,
    read_at_most,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from mypy_boto3_s3 import S3Client


class S3Store(S3Bucket):
    """One bucket. See :class:`~airflow_provider_kore.store.store.ObjectStore` for what each method promises.

    :param client: a boto3 S3 client.
    :param bucket: the bucket's name.
    :param settings: what objects are written with.
    """

    def __init__(self, client: S3Client, bucket: str, settings: S3Settings | None = None) -> None:
        """Send nothing yet."""
        super().__init__(client, bucket, settings or S3Settings())
        self._known = known_of(client, bucket)
        self._checksums = Checksums(client, str(self._settings.checksum_algorithm), self._known)
        self._locks = ObjectLocks(client, bucket, self._settings.expected_bucket_owner)

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the store turned out not to know so far, in words."""
        return tuple(words for what, words in WAYS_ROUND.items() if self._known.get(what) is False)

    def head(self, key: str) -> StoredObject | None:
        """Describe one object; None if there is none (or no bucket).

        Where a HEAD is refused, a GET of the same key tells as much, and why.
        """
        if self._known.get("HeadObject") is False:
            return self._described_by_get(key)
        try:
            answer = self._send("HeadObject", key, absent_is_none=True, **self._checksum_mode)
            return answer and self._described(key, answer, "HeadObject")
        except (AccessRefused, CallUnsupported, Unexplained) as refused:
            known = self._checksum_mode
            try:
                found = self._described_by_get(key)
            except KoreError as error:
                raise (error if isinstance(refused, Unexplained) else refused) from None
            if found is not None and self._checksum_mode == known:  # else it was a header that was refused
                self._known["HeadObject"] = False
            return found

    def _described_by_get(self, key: str) -> StoredObject | None:
        answer = self._opened(key)
        if answer is None:
            return None
        answer["Body"].close()
        return self._described(key, answer, "GetObject")

    def get(self, key: str) -> AbstractContextManager[BinaryIO] | None:
        """Open one object for reading; None if there is none."""
        answer = self._opened(key)
        if answer is None:
            return None
        stream = Stream(answer["Body"], self._call("GetObject", key))
        return cast("AbstractContextManager[BinaryIO]", io.BufferedReader(stream, BLOCK // 4))

    def lock_of(self, key: str) -> Lock | None:
        """Return what locks an object; None: nothing does. A bucket without Object Lock is asked once."""
        return self._locks.of(key)

    def read(self, key: str, most: int) -> tuple[bytes, str] | None:
        """Return a small object, or its beginning of more than ``most`` bytes, and its ETag; None if there is none."""
        answer = self._opened(key)
        if answer is None:
            return None
        with Stream(answer["Body"], self._call("GetObject", key)) as stream:
            return read_at_most(cast("BinaryIO", io.BufferedReader(stream)), most), etag(answer.get("ETag"))

    def _opened(self, key: str) -> Any:
        """Send a GetObject; without ``x-amz-checksum-mode`` where the store refuses it."""

        def send(algorithm: str) -> Any:
            return self._send("GetObject", key, absent_is_none=True, **checksum_mode(algorithm))

        return self._checksums.try_to_send("checksum_mode", send)

    @property
    def _checksum_mode(self) -> dict[str, Any]:
        return checksum_mode(self._checksums.of("checksum_mode"))

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
        arguments = self._made_with(content_type, metadata)

        def send(algorithm: str) -> StoredObject:
            size, checksum = measure(body, algorithm)
            arguments["ContentLength"] = size
            answer = self._send(
                "PutObject",
                key,
                condition=condition,
                Body=body,
                **arguments,
                **checksum_of(algorithm, checksum),
            )
            return replace(stored_object(key, size, answer, algorithm), metadata=arguments["Metadata"])

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

    def delete(self, keys: Sequence[str]) -> None:
        """Delete these objects; one by one where the store knows no other way."""
        for start in range(0, len(keys), MAX_KEYS_PER_REQUEST):
            batch = keys[start : start + MAX_KEYS_PER_REQUEST]
            if self._known.get("DeleteObjects") is not False:
                try:
                    self._delete_batch(batch)
                    continue
                except (RequestRefusedError, AccessRefused, StoreUnavailableError) as refused:
                    # some fail over a key that is not there, so even what has worked is worth a second way
                    fails = isinstance(refused, StoreUnavailableError)
                    if (self._known.get("DeleteObjects") and not fails) or getattr(refused, "retry_after", None):
                        raise
                    try:
                        self._delete_one(batch[0])
                    except KoreError:
                        raise refused from None
                    if not fails:
                        self._known["DeleteObjects"] = False
                    batch = batch[1:]
            for key in batch:
                self._delete_one(key)

    def _delete_batch(self, batch: Sequence[str]) -> None:
        doomed = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
        answer = self._send("DeleteObjects", batch[0], Delete=doomed)
        self._known["DeleteObjects"] = True
        for refusal in answer.get("Errors") or ():
            if refusal.get("Code") != "NoSuchKey":
                raise refused_key(refusal, self._call("DeleteObjects", refusal.get("Key", "")))

    def _delete_one(self, key: str) -> None:
        self._send("DeleteObject", key, absent_is_none=True)

    def create_upload(self, key: str, *, content_type: str, metadata: Mapping[str, str] | None = None) -> Upload:
        """Begin a multipart upload."""
        arguments = self._made_with(content_type, metadata)

        def send(algorithm: str) -> Upload:
            declared = {} if algorithm == "NONE" else {"ChecksumAlgorithm": algorithm, **checksum_type(algorithm)}
            answer = self._send("CreateMultipartUpload", key, **arguments, **declared)
            call = self._call("CreateMultipartUpload", key)
            return Upload(key=key, upload_id=str(required(answer, "UploadId", call)))

        return self._checksums.try_to_send("upload_checksums", send)

    def upload_part(self, upload: Upload, number: int, body: bytes) -> Part:
        """Upload part ``number``."""
        algorithm = self._checksums.of("upload_checksums")
        _, checksum = measure(body, algorithm)
        answer = self._send(
            "UploadPart",
            upload.key,
            UploadId=upload.upload_id,
            PartNumber=number,
            Body=body,
            **checksum_of(algorithm, checksum),
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
        algorithm = self._checksums.of("upload_checksums")
        known = checksum_type(algorithm)
        listed = [
            {"PartNumber": part.number, "ETag": part.etag, **({f"Checksum{algorithm}": part.checksum} if known else {})}
            for part in parts
        ]
        answer = self._send(
            "CompleteMultipartUpload",
            upload.key,
            condition=condition,
            UploadId=upload.upload_id,
            MultipartUpload={"Parts": listed},
            MpuObjectSize=size,
            **known,
        )
        return stored_object(upload.key, size, answer, self._checksums.algorithm)

    def abort_upload(self, upload: Upload) -> None:
        """Drop an unfinished upload and its parts."""
        with suppress(UploadGone):
            self._send("AbortMultipartUpload", upload.key, UploadId=upload.upload_id)

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        """List the unfinished uploads below a prefix."""
        for item in self._listed("ListMultipartUploads", prefix):
            upload_id = str(required(item, "UploadId", self._call("ListMultipartUploads", prefix)))
            yield Upload(key=item["Key"], upload_id=upload_id, started=item.get("Initiated"))

    def _described(self, key: str, answer: Mapping[str, Any], operation: str) -> StoredObject:
        """Read an answer that describes an object: its size and its ETag have to be in it."""
        call = self._call(operation, key)
        required(answer, "ETag", call)
        size = int(required(answer, "ContentLength", call))
        return stored_object(key, size, answer, self._checksums.algorithm)

    def _made_with(self, content_type: str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
        check_metadata(metadata or {})
        return {"ContentType": content_type, "Metadata": dict(metadata or {}), **self._settings.on_write()}
