"""Where a person looks at a bucket: the console that belongs to the endpoint. An address only, never pre-signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.client import BaseClient

_AWS_ENDPOINTS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_AWS_CONSOLES: Final = {"aws": "aws.amazon.com", "aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}
"""Domains by partition. Source: airflow.providers.amazon.aws.links.base_aws."""

EXTRA_FIELD: Final = "console_url"
"""Of the AWS connection's extra: the address of another store's console, with ``{bucket}`` and ``{key}`` in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Console:
    """The web console of one endpoint.

    :param folder: address of a folder, with ``{bucket}`` and ``{key}`` in it; empty: there is none.
    :param file: address of an object, likewise.
    """

    folder: str
    file: str

    @classmethod
    def of(cls, client: BaseClient, extra: Mapping[str, object]) -> Self:
        """Return the console for a client's endpoint: AWS's own, or the one that the connection's extra names.

        :param extra: of the AWS connection.
        """
        named = extra.get(EXTRA_FIELD)
        if isinstance(named, str) and urlsplit(named).scheme in {"http", "https"}:
            return cls(folder=named, file=named)
        host = urlsplit(client.meta.endpoint_url).hostname or ""
        domain = _AWS_CONSOLES.get(client.meta.partition)
        if domain is None or not host.endswith(_AWS_ENDPOINTS):
            return cls(folder="", file="")
        region = f"region={client.meta.region_name}&" if client.meta.region_name else ""
        return cls(
            folder=f"https://console.{domain}/s3/buckets/{{bucket}}?{region}prefix={{key}}",
            file=f"https://console.{domain}/s3/object/{{bucket}}?{region}prefix={{key}}",
        )

    def folder_url(self, bucket: str, prefix: str) -> str:
        """Return the address of a folder; empty: the endpoint has no console that is known."""
        return _fill(self.folder, bucket, prefix)

    def object_url(self, bucket: str, key: str) -> str:
        """Return the address of an object; empty: the endpoint has no console that is known."""
        return _fill(self.file, bucket, key)


def _fill(template: str, bucket: str, key: str) -> str:
    return template.replace("{bucket}", quote(bucket)).replace("{key}", quote(key))
