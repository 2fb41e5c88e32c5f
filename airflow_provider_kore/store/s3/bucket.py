"""One bucket, and how a request to it is sent: errors come in our words, and listings with all their pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from airflow_provider_kore.store.s3.answers import after_objects, after_uploads, date_of, required
from airflow_provider_kore.store.s3.errors import Call, translate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.store.s3.settings import S3Settings
    from airflow_provider_kore.store.store import Condition

MAX_KEYS_PER_REQUEST = 1000
"""Of a listing's page and of one ``DeleteObjects``. Source: S3 API reference."""

_DIRECTORY_BUCKET = "--x-s3"
"""How the names of directory buckets end, which list in no order, and only below prefixes that end in a slash. Source:
S3 API reference, ``ListObjectsV2``."""

_WITHOUT_KEY = {"ListObjectsV2", "ListMultipartUploads", "DeleteObjects", "GetBucketVersioning", "ListObjectVersions"}


class S3Bucket:
    """A bucket, as a boto3 client reaches it."""

    def __init__(self, client: Any, bucket: str, settings: S3Settings) -> None:
        """Send nothing yet."""
        self._client = client
        self._bucket = bucket
        self._settings = settings
        self.answered: float | None = None
        """When S3 gave its last answer, by its own clock: seconds since the epoch, cut off to whole ones."""

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._bucket

    @property
    def honours_conditions(self) -> bool | None:
        """True where conditional writes are known to work: on AWS, since November 2024. None: probe.

        Source: AWS, "Amazon S3 adds new functionality for conditional writes", 2024-11-25.
        """
        host = urlsplit(self.endpoint).hostname or ""
        return True if host.endswith((".amazonaws.com", ".amazonaws.com.cn")) else None

    def uri(self, key: str) -> str:
        """Name an object, or a place."""
        return f"s3://{self.bucket}/{key}"

    @property
    def endpoint(self) -> str:
        """The endpoint's URL."""
        return str(self._client.meta.endpoint_url)

    def _call(self, operation: str, key: str, condition: Condition | None = None, version: str = "") -> Call:
        """Return a call, as far as an error about it has to know."""
        writes = operation in {"PutObject", "CreateMultipartUpload"}
        return Call(
            operation=operation,
            bucket=self._bucket,
            key=key,
            conditional=condition is not None,
            extra_permissions=self._settings.extra_permissions() if writes else (),
            owner=self._settings.expected_bucket_owner or "",
            version=version,
        )

    def _send(
        self,
        operation: str,
        key: str,
        *,
        condition: Condition | None = None,
        absent_is_none: bool = False,
        version: str = "",
        **arguments: Any,
    ) -> Any:
        """Send one request; what botocore raises is turned into this package's errors.

        :param operation: as the API calls it: ``PutObject``.
        :param key: key or prefix.
        :param version: id of one version of the object; empty: the current one.
        """
        from botocore import xform_name
        from botocore.exceptions import BotoCoreError, ClientError

        if operation not in _WITHOUT_KEY:
            arguments["Key"] = key
        if version:
            arguments["VersionId"] = version
        if condition is not None:
            arguments |= {"IfNoneMatch": "*"} if condition.etag is None else {"IfMatch": condition.etag}
        if self._settings.expected_bucket_owner:
            arguments["ExpectedBucketOwner"] = self._settings.expected_bucket_owner
        try:
            answer = getattr(self._client, xform_name(operation))(Bucket=self._bucket, **arguments)
        except (BotoCoreError, ClientError, OSError) as error:
            self.answered = date_of(error.response) if isinstance(error, ClientError) else None
            code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None
            if absent_is_none and code in {"404", "NoSuchKey", "NoSuchVersion"}:
                return None
            raise translate(error, self._call(operation, key, condition, version)) from None
        self.answered = date_of(answer)
        return answer

    def _listed(self, operation: Literal["ListObjectsV2", "ListMultipartUploads"], prefix: str) -> Iterator[Any]:
        """Yield the items of all pages of a listing, as boto3 returns them.

        Not by boto3's paginators, which end without a word where a store says that there is more and not from where.
        """
        above = prefix[: prefix.rfind("/") + 1] if self._in_no_order else prefix
        uploads = operation == "ListMultipartUploads"
        size: dict[str, Any] = {"MaxUploads" if uploads else "MaxKeys": MAX_KEYS_PER_REQUEST}
        following: dict[str, Any] = {}
        while True:
            answer = self._send(operation, prefix, Prefix=above, **size, **following)
            items = answer.get("Uploads" if uploads else "Contents") or ()
            for item in items:
                if str(required(item, "Key", self._call(operation, prefix))).startswith(prefix):
                    yield item
            if not answer.get("IsTruncated"):
                return
            before = following
            following = (after_uploads if uploads else after_objects)(answer, items[-1] if items else {})
            if following == before or not all(following.values()):
                named = "NextKeyMarker" if uploads else "NextContinuationToken"
                required({}, named, self._call(operation, prefix))

    @property
    def _in_no_order(self) -> bool:
        return self._bucket.endswith(_DIRECTORY_BUCKET)
