"""What S3-compatible stores answer, read so that what one leaves out is an error of ours, or no error at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.exceptions import RequestRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.store.s3_errors import Call


@dataclass(slots=True)
class Dialect:
    """What a store turned out not to know; None: not known yet. Shared by all views of a bucket through one client."""

    batch_delete: bool = True
    batch_works: bool = False
    """Whether DeleteObjects was answered once: what it refuses after that is not the call itself."""
    head: bool = True
    checksums: bool | None = None
    """Whether ``x-amz-checksum-*`` headers of PutObject are taken."""
    upload_checksums: bool | None = None
    """The same of multipart uploads."""
    quiet: bool = False
    """Whether boto3 is kept from sending checksum headers of its own accord."""

    def lacks(self) -> tuple[str, ...]:
        """Return it in words, each with the way round that is taken."""
        found = {
            "DeleteObjects (objects are deleted one by one)": self.batch_delete,
            "HeadObject (GetObject tells the same)": self.head,
            "x-amz-checksum headers (what it holds is read back)": self.checksums is not False,
            "x-amz-checksum headers of multipart uploads (what it holds is read back)": self.checksums is False
            or self.upload_checksums is not False,
        }
        return tuple(words for words, known in found.items() if not known)


def required(answer: Mapping[str, Any], name: str, call: Call) -> Any:
    """Return what a store's answer must hold. Raises RequestRefusedError, which names the store's call."""
    value = answer.get(name)
    if value is None or value == "":
        raise RequestRefusedError(
            f"{call}: the store's answer has no {name}, and nothing else tells it. Check that endpoint_url is an "
            "S3-compatible store, and that no proxy on the way drops it."
        )
    return value


def etag(value: object) -> str:
    """Return an ETag as conditions compare it: quoted, and not weak, as proxies that compress make it.

    Empty where there is none.
    """
    text = str(value or "").strip()
    text = text.removeprefix("W/").removeprefix("w/").strip('"')
    return f'"{text}"' if text else ""


def metadata(answer: Mapping[str, Any], sent: Mapping[str, str] | None) -> dict[str, str]:
    """Return user metadata; some stores give its names back with capitals."""
    found = answer.get("Metadata")
    if found is None:
        found = sent or {}
    return {str(name).lower(): str(value) for name, value in found.items()}


def drop_checksums(params: dict[str, Any], **_: object) -> None:
    """Keep boto3 from sending checksum headers of its own accord; for its event ``before-call``.

    Not where S3 insists on one: of ``DeleteObjects``.
    """
    params.get("context", {}).get("checksum", {}).pop("request_algorithm", None)
    headers = params.get("headers", {})
    for name in [name for name in headers if name.lower().startswith(("x-amz-checksum-", "x-amz-sdk-checksum-"))]:
        del headers[name]
