"""Object Lock, read: an object's retention and its legal hold."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.store.s3.errors import Call, translate
from airflow_provider_kore.store.store import Lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_NONE: Final = {
    "NoSuchObjectLockConfiguration",
    "ObjectLockConfigurationNotFoundError",
    "NoSuchKey",
    "404",
}
"""What S3 answers where nothing is set. Source: S3 API reference, ``GetObjectRetention`` and its neighbours."""


def in_utc(moment: datetime) -> str:
    """Return it as a :class:`~airflow_provider_kore.store.store.Lock` says it."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class ObjectLocks:
    """Asks about the locks of one bucket: once about itself, and about its objects only if they may have any.

    :param client: a boto3 S3 client.
    :param owner: the account that the bucket must belong to; None: any.
    """

    def __init__(self, client: Any, bucket: str, owner: str | None) -> None:
        self._client = client
        self._bucket = bucket
        self._owner = owner
        self._possible: bool | None = None

    def of(self, key: str) -> Lock | None:
        """Return what locks an object; None: nothing does."""
        if self._possible is None:
            self._possible = self._asked("GetObjectLockConfiguration") is not None
        if not self._possible:
            return None
        retention = (self._asked("GetObjectRetention", key) or {}).get("Retention") or {}
        hold = (self._asked("GetObjectLegalHold", key) or {}).get("LegalHold") or {}
        until, held = retention.get("RetainUntilDate"), hold.get("Status") == "ON"
        if until is None and not held:
            return None
        return Lock(
            mode=str(retention.get("Mode") or "") if until else "",
            until=in_utc(until) if until else "",
            held=held,
        )

    def _asked(self, operation: str, key: str = "") -> Any:
        """Return the answer; None where nothing is set."""
        from botocore import xform_name
        from botocore.exceptions import BotoCoreError, ClientError

        owner = {"ExpectedBucketOwner": self._owner} if self._owner else {}
        call: Callable[..., Any] = getattr(self._client, xform_name(operation))
        try:
            return call(Bucket=self._bucket, **({"Key": key} if key else {}), **owner)
        except (BotoCoreError, ClientError, OSError) as error:
            if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in _NONE:
                return None
            raise translate(error, Call(operation=operation, bucket=self._bucket, key=key)) from None
