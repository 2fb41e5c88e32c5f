"""Calls to one bucket: what each of them is sent with, and what botocore raises turned into this package's errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.store.s3_errors import Call, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_provider_kore.store.s3_settings import S3Settings
    from airflow_provider_kore.store.store import Condition


class Requests:
    """Sends requests to one bucket."""

    def __init__(self, bucket: str, settings: S3Settings) -> None:
        """Send nothing yet."""
        self._bucket = bucket
        self._settings = settings

    def call(self, operation: str, key: str, condition: Condition | None = None) -> Call:
        """Return a call, as far as an error about it has to know."""
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
    def sending(
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
            raise translate(error, self.call(operation, key, condition)) from None

    def refused_delete(self, refusal: Mapping[str, str]) -> Exception:
        """Return the error of a key that ``DeleteObjects`` did not delete: it answers 200 and lists them."""
        from botocore.exceptions import ClientError

        code = refusal.get("Code", "")
        status = {"AccessDenied": 403, "InternalError": 500, "SlowDown": 503}.get(code, 400)
        answer: Any = {
            "Error": {"Code": code, "Message": refusal.get("Message", "")},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }
        return translate(ClientError(answer, "DeleteObjects"), self.call("DeleteObjects", refusal.get("Key", "")))


def condition_arguments(condition: Condition | None) -> dict[str, str]:
    """Return the arguments of a write on a condition."""
    if condition is None:
        return {}
    return {"IfNoneMatch": "*"} if condition.etag is None else {"IfMatch": condition.etag}
