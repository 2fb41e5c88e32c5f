"""What S3 shows of how an object was written, and the versions that a bucket keeps of it."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast
from urllib.parse import urlencode

from airflow_provider_kore.exceptions import RequestRefusedError
from airflow_provider_kore.store.s3 import S3Store
from airflow_provider_kore.store.s3.answers import Stream
from airflow_provider_kore.store.s3.bucket import MAX_KEYS_PER_REQUEST
from airflow_provider_kore.store.s3.locks import in_utc
from airflow_provider_kore.store.store import AccessRefused, CallUnsupported, Lock, StoredObject
from airflow_provider_kore.store.versions import ObjectVersion, Traits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from mypy_boto3_s3 import S3Client

    from airflow_provider_kore.store.s3.settings import S3Settings

_ENCRYPTION: Final = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")
_REPEATED: Final = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "Expires",
    "WebsiteRedirectLocation",
    *_ENCRYPTION,
    "StorageClass",
)
"""What HeadObject tells, and PutObject and CreateMultipartUpload take by the same names. Source: S3 API reference."""


class S3VersionedStore(S3Store):
    """One bucket. See :class:`~airflow_provider_kore.store.versions.VersionedStore`.

    :param written_like: what writes say beside what the settings say, which come first.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        settings: S3Settings | None = None,
        *,
        written_like: Mapping[str, Any] | None = None,
    ) -> None:
        """Send nothing yet."""
        super().__init__(client, bucket, settings)
        self._written_like = written_like or {}

    def traits(self, key: str) -> Traits | None:
        """Describe an object with all that S3 shows of how it was written; not its ACL, which HeadObject lacks."""
        answer = self._send("HeadObject", key, absent_is_none=True, **self._checksum_mode)
        if answer is None:
            return None
        others = {name: answer[name] for name in _REPEATED if answer.get(name) not in {None, ""}}
        if tags := self._tags(key):
            others["Tagging"] = urlencode(tags)
        stored = self._described(key, answer, "HeadObject")
        return Traits(stored=stored, content_type=str(answer.get("ContentType") or ""), others=others)

    def _tags(self, key: str) -> dict[str, str]:
        try:
            answer = self._send("GetObjectTagging", key, absent_is_none=True) or {}
        except CallUnsupported:
            return {}
        return {str(each["Key"]): str(each["Value"]) for each in answer.get("TagSet") or ()}

    def like(self, traits: Traits) -> S3VersionedStore:
        """Return the same bucket, whose writes are as an object was written."""
        return S3VersionedStore(self._client, self._bucket, self._settings, written_like=traits.others)

    def _made_with(self, content_type: str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
        said = super()._made_with(content_type, metadata)
        like = self._written_like
        if "ServerSideEncryption" in said:  # or the key of one kind would go with another
            like = {name: value for name, value in like.items() if name not in _ENCRYPTION}
        return {**like, **said}

    def keeps_versions(self) -> bool | None:
        """Say whether versioning is or was on; None where the role may not ask, or the store doesn't know."""
        try:
            status = self._send("GetBucketVersioning", "").get("Status")
        except (AccessRefused, CallUnsupported, RequestRefusedError):
            return None
        return status in {"Enabled", "Suspended"}

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """List all versions and delete markers below a prefix; of each page S3 tells the versions, then the markers."""
        following: dict[str, Any] = {}
        while True:
            answer = self._send("ListObjectVersions", prefix, Prefix=prefix, MaxKeys=MAX_KEYS_PER_REQUEST, **following)
            found = [
                ObjectVersion(
                    key=str(item["Key"]),
                    version_id=str(item.get("VersionId") or "null"),
                    size=int(item.get("Size") or 0),
                    is_current=bool(item.get("IsLatest")),
                    is_marker=name == "DeleteMarkers",
                )
                for name in ("Versions", "DeleteMarkers")
                for item in answer.get(name) or ()
                if str(item["Key"]).startswith(prefix)
            ]
            yield from sorted(found, key=lambda each: each.key.encode())
            if not answer.get("IsTruncated"):
                return
            before = following
            following = {
                "KeyMarker": str(answer.get("NextKeyMarker") or ""),
                "VersionIdMarker": str(answer.get("NextVersionIdMarker") or ""),
            }
            following = {name: value for name, value in following.items() if value}
            if following == before or not following:
                raise RequestRefusedError(
                    f"{self._call('ListObjectVersions', prefix)}: the store says that there is more, and not "
                    "from where."
                )

    def get_version(self, key: str, version_id: str) -> AbstractContextManager[BinaryIO] | None:
        """Open one version for reading; None if it is gone."""
        answer = self._send("GetObject", key, absent_is_none=True, version=version_id)
        if answer is None:
            return None
        stream = Stream(answer["Body"], self._call("GetObject", key, version=version_id))
        return cast("AbstractContextManager[BinaryIO]", io.BufferedReader(stream))

    def head_version(self, key: str, version_id: str) -> tuple[StoredObject, Lock | None] | None:
        """Describe a version, with its retention or legal hold: HeadObject shows them to a role that may read them."""
        answer = self._send("HeadObject", key, absent_is_none=True, version=version_id)
        if answer is None:
            return None
        lock = None
        until = answer.get("ObjectLockRetainUntilDate")
        if answer.get("ObjectLockLegalHoldStatus") == "ON":
            lock = Lock(held=True)
        elif isinstance(until, datetime) and until > datetime.now(UTC):
            lock = Lock(mode=str(answer.get("ObjectLockMode") or "retention"), until=in_utc(until))
        return self._described(key, answer, "HeadObject"), lock

    def delete_version(self, key: str, version_id: str) -> None:
        """Delete one version, or a delete marker."""
        self._send("DeleteObject", key, absent_is_none=True, version=version_id)
