"""What S3-compatible stores answer, read so that what one leaves out is an error of ours, or no error at all."""

from __future__ import annotations

import io
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.exceptions import RequestRefusedError, StoreUnavailableError
from airflow_provider_kore.store.s3.errors import Call, translate
from airflow_provider_kore.store.store import StoredObject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer


_KEPT: Final = ("SHA256", "CRC32", "CRC64NVME", "CRC32C", "SHA1")


def required(answer: Mapping[str, Any], name: str, call: Call) -> Any:
    """Return what a store's answer must hold. Raises RequestRefusedError, which names the store's call."""
    value = answer.get(name)
    if value is None or value == "":
        raise RequestRefusedError(
            f"{call}: the store's answer has no {name}, and nothing else tells it. Check that endpoint_url is an "
            "S3-compatible store, and that no proxy on the way drops it."
        )
    return value


def date_of(answer: Mapping[str, Any]) -> float | None:
    """Return when the store answered, by its own clock, in seconds since the epoch; None where it doesn't say."""
    date = (answer.get("ResponseMetadata") or {}).get("HTTPHeaders", {}).get("date")
    try:
        return parsedate_to_datetime(str(date)).timestamp() if date else None
    except ValueError:
        return None


def etag(value: object) -> str:
    """Return an ETag as conditions compare it: quoted, and not weak, as proxies that compress make it.

    Empty where there is none.
    """
    text = str(value or "").strip()
    text = text.removeprefix("W/").removeprefix("w/").strip('"')
    return f'"{text}"' if text else ""


def stored_object(key: str, size: int, answer: Mapping[str, Any], algorithm: str) -> StoredObject:
    """Read an answer about one object. Some stores give the names of metadata back with capitals.

    :param algorithm: of the checksum that is wanted if the store keeps several.
    """
    kept = (f"{name}:{answer['Checksum' + name]}" for name in (algorithm, *_KEPT) if answer.get("Checksum" + name))
    return StoredObject(
        key=key,
        size=size,
        etag=etag(answer.get("ETag")),
        checksum=next(kept, None),
        metadata={str(name).lower(): str(value) for name, value in (answer.get("Metadata") or {}).items()},
        modified=answer.get("LastModified"),
    )


def after_objects(answer: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that ask for the next page of a listing."""
    token = answer.get("NextContinuationToken")
    return {"ContinuationToken": token} if token else {"StartAfter": last.get("Key", "")}


def after_uploads(answer: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same of unfinished uploads."""
    marker = answer.get("NextUploadIdMarker") or last.get("UploadId")
    key = answer.get("NextKeyMarker") or last.get("Key", "")
    return {"KeyMarker": key, **({"UploadIdMarker": marker} if marker else {})}


class Stream(io.RawIOBase):
    """botocore's StreamingBody as a file that cannot end early in silence."""

    def __init__(self, body: Any, call: Call) -> None:
        super().__init__()
        self._body = body
        self._call = call

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Read some bytes. Raises StoreUnavailableError where the answer breaks off."""
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
        """Close the connection, too."""
        if not self.closed:
            self._body.close()
        super().close()
