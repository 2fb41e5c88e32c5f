"""A lake for tests: snapshots as they land, without Kore.ai, and an Iceberg catalog on a real S3 server."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from model_store import MemoryStore
from s3_servers import REGION

from airflow_provider_kore.formats import ColumnSet, parse_format, parts
from airflow_provider_kore.iceberg.run import commit_snapshots
from airflow_provider_kore.iceberg.spec import parse_snapshots
from airflow_provider_kore.store.s3 import S3Store
from airflow_provider_kore.store.s3.settings import parse_settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from s3_servers import S3Server

    from airflow_provider_kore.iceberg.run import Outcome

PREFIX = "kore/contact_lists"
DAY, NEXT = "2026-11-25", "2026-11-26"
TABLE = "crm.contacts"


def contacts(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    """Return contacts as the vendor tells of them."""
    return [
        {
            "_id": f"ct-{number}",
            "phoneNumber": f"+1555{number:07d}",
            "createdAt": "2026-11-01T08:00:00.000Z",
            "score": number,
            **more,
        }
        for number in numbers
    ]


@dataclass(repr=False)
class Lake:
    """A bucket with snapshots and the files of a table, and a catalog."""

    server: S3Server
    bucket: str
    folder: Path
    properties: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client = self.server.client(retries=3)
        self.properties = self.sql() | self.properties

    def storage(self) -> dict[str, str]:
        """Return how pyiceberg reaches the S3 server."""
        return {
            "s3.endpoint": self.server.url,
            "s3.access-key-id": self.server.access_key,
            "s3.secret-access-key": self.server.secret_key,
            "s3.region": REGION,
            "warehouse": f"s3://{self.bucket}/warehouse",
        }

    def sql(self) -> dict[str, str]:
        """Return the properties of a catalog in a file."""
        return {"type": "sql", "uri": f"sqlite:///{self.folder}/catalog.db", **self.storage()}

    def catalog(self) -> Catalog:
        """Return a catalog of its own, as another process has it."""
        from pyiceberg.catalog import load_catalog
        from pyiceberg.exceptions import NamespaceAlreadyExistsError

        catalog = load_catalog("iceberg_default", **self.properties)
        with suppress(NamespaceAlreadyExistsError):
            catalog.create_namespace(TABLE.partition(".")[0])
        return catalog

    @cached_property
    def reader(self) -> Catalog:
        """A catalog for looks at the table: opening one takes longer than a look."""
        return self.catalog()

    def store(self, bucket: str = "") -> S3Store:
        return S3Store(self.client, bucket or self.bucket, parse_settings(None))

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def land(
        self,
        rows: Iterable[dict[str, Any]],
        *,
        contact_list_id: str = "cl-1",
        day: str = DAY,
        file_format: str = "parquet",
        rows_per_file: int = 0,
        **manifest: Any,
    ) -> str:
        """Land a snapshot as the package does, and return the address of its partition."""
        chosen = parse_format(file_format)
        raw = [json.dumps(row) for row in rows]
        columns = ColumnSet.of(raw)
        snapshot_id = uuid.uuid4().hex[:16]
        partition = f"{PREFIX}/contact_list_id={contact_list_id}/snapshot_date={day}/"
        files = []
        for number, part in enumerate(parts(raw, rows_per_file or max(1, len(raw)))):
            body = io.BytesIO()
            info = chosen.format.write(part, body, compression=chosen.compression, columns=columns)
            name = f"contacts-{snapshot_id}-{number:05d}" if rows_per_file else "contacts"
            key = f"{partition}{name}{chosen.suffix}"
            self.put(key, body.getvalue())
            files.append(
                {
                    "key": key,
                    "rows": info.rows,
                    "bytes": len(body.getvalue()),
                    "sha256": hashlib.sha256(body.getvalue()).hexdigest(),
                    "columns": [{"name": each.name, "type": each.type} for each in info.columns],
                }
            )
        content = {
            "schema_version": 1,
            "snapshot_id": snapshot_id,
            "snapshot_date": day,
            "contact_list_id": contact_list_id,
            "consistent": True,
            "contacts": len(raw),
            "file_format": file_format,
            "compression": chosen.compression,
            "run": {"digest": "r"},
            "walk": {"started_at": f"{day}T08:00:00+00:00"},
            "files": files,
            **manifest,
        }
        self.put(f"{partition}_manifest.json", json.dumps(content).encode())
        return f"s3://{self.bucket}/{partition}"

    def commit(self, *snapshots: Any, catalog: Catalog | None = None, table: str = TABLE, **given: Any) -> Outcome:
        """Commit them as the operator does."""
        return commit_snapshots(
            parse_snapshots("snapshots", list(snapshots)), self.store, catalog or self.reader, table, **given
        )

    def table(self, table: str = TABLE) -> Table:
        return self.reader.load_table(table)

    def rows(self, ref: str | int | None = None, table: str = TABLE) -> list[dict[str, Any]]:
        """Return what a reader of the table sees, sorted by list, day and id; ``ref`` is a tag or a snapshot."""
        read = self.table(table)
        if isinstance(ref, str):
            ref = read.metadata.refs[ref].snapshot_id
        found = read.scan(snapshot_id=ref).to_arrow().to_pylist()
        return sorted(found, key=lambda row: (row["contact_list_id"], row["snapshot_date"], row["_id"]))

    def ids(self, ref: str | int | None = None, table: str = TABLE) -> list[tuple[str, str, str]]:
        return [(row["contact_list_id"], row["snapshot_date"].isoformat(), row["_id"]) for row in self.rows(ref, table)]

    def objects(self, prefix: str = "warehouse/") -> set[str]:
        """Return the keys of all objects of the table."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {each["Key"] for page in pages for each in page.get("Contents", ())}


class LocalLake(Lake):
    """Snapshots in memory and a table in a folder: fast enough for a search through every call."""

    def __init__(self, folder: Path) -> None:
        self.bucket, self.folder = "lake", folder
        self.memory = MemoryStore("lake")
        self.warehouse = folder / "warehouse"
        self.properties = {
            "type": "sql",
            "uri": f"sqlite:///{folder}/catalog.db",
            "warehouse": f"file://{self.warehouse}",
        }

    def put(self, key: str, body: bytes) -> None:
        self.memory.put(key, body, content_type="")

    def store(self, bucket: str = "") -> Any:  # noqa: ARG002
        return self.memory

    def objects(self, prefix: str = "") -> set[str]:
        return {str(each.relative_to(self.warehouse)) for each in self.warehouse.rglob(f"{prefix}*") if each.is_file()}
