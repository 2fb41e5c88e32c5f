"""Snapshots, changes and checkpoints as the operators land them, with contacts of a test's own."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.erasure.given import Given
from airflow_provider_kore.erasure.run import erase
from airflow_provider_kore.erasure.spec import ErasureSpec
from airflow_provider_kore.formats import FORMATS, ColumnSet, parse_format, parts
from airflow_provider_kore.snapshot.manifest import Manifest
from airflow_provider_kore.snapshot.spec import RunKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_versions import VersionedMemoryStore

RUN = RunKey(dag_id="a_dag", run_id="one", task_id="forget")
DAYS = ("2025-03-08", "2025-03-09")
GONE = "+4915112345678"


class FakeClock:
    """Time that passes when somebody sleeps."""

    def __init__(self, now: float = 1_780_000_000.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def contact(number: int, **fields: Any) -> dict[str, Any]:
    return {"_id": f"cc-{number:012d}", "phoneNumber": f"+4930{number:08d}", "firstName": f"N{number}", **fields}


def partition(list_id: str, day: str, table: str = "kore/lists", key: str = "contact_list_id") -> str:
    return f"{table}/{key}={list_id}/snapshot_date={day}/"


def land(
    store: Any,
    day: str,
    rows: Sequence[Mapping[str, Any] | str],
    *,
    list_id: str = "cl-1",
    file_format: str = "jsonl",
    compression: str | None = None,
    rows_per_file: int | None = None,
    table: str = "kore/lists",
    key: str = "contact_list_id",
    file_name: str = "contacts",
    snapshot: str = "0123456789ab",
    tags: bool = False,
    **changed: Any,
) -> Manifest:
    """Put a snapshot where an operator would, with metadata and a manifest as it writes them."""
    texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    chosen = parse_format(file_format, compression)
    columns = ColumnSet.of(texts)
    place = partition(list_id, day, table, key)
    metadata = {
        "kore-snapshot-id": snapshot,
        "kore-run": "0123456789abcdef",
        "kore-try": "1",
        "kore-walk-started": f"{day}T04:00:00.000Z",
    }
    files = []
    for number, some in enumerate(parts(iter(texts), rows_per_file) if rows_per_file else [iter(texts)]):
        name = file_name if rows_per_file is None else f"{file_name}-{snapshot}-89abcdef-{number:05d}"
        body = io.BytesIO()
        info = chosen.format.write(some, body, compression=chosen.compression, columns=columns)
        stored = store.put(
            f"{place}{name}{chosen.suffix}",
            body.getvalue(),
            content_type=chosen.format.media_type(chosen.compression),
            metadata=metadata
            | {"kore-attempt": "89abcdef", f"kore-{file_name}": str(len(texts)), "kore-consistent": "true"},
        )
        described = store.head(stored.key)
        files.append(
            {
                "key": stored.key,
                "bytes": stored.size,
                "rows": info.rows,
                "etag": described.etag,
                "checksum": described.checksum,
                "sha256": hashlib.sha256(body.getvalue()).hexdigest(),
                "evidence": "checksum",
                "columns": [{"name": column.name, "type": column.type} for column in info.columns],
            }
        )
    content = {
        "schema_version": 1,
        "snapshot_id": snapshot,
        key: list_id,
        "account_id": "a-1",
        "stream_id": "st-1",
        "snapshot_date": day,
        file_name: len(texts),
        "consistent": True,
        "run": {"digest": "0123456789abcdef", "try_number": 1},
        "walk": {"started_at": f"{day}T04:00:00.000Z", "ended_at": f"{day}T05:00:00.000Z"},
        "fields": {"keep": None, "policies": {}, "hash": None, "missing": {}},
        "file_format": file_format,
        "compression": chosen.compression,
        "seal": "0" * 32,
        "files": files,
    }
    manifest = Manifest(content | changed)
    store.put(f"{place}_manifest.json", manifest.to_bytes(), content_type="application/json", metadata=metadata)
    return manifest


def land_changes(store: Any, day: str, rows: Sequence[Mapping[str, Any]], **changed: Any) -> Manifest:
    counts = {kind: sum(row["change"] == kind for row in rows) for kind in ("added", "changed", "gone")}
    return land(
        store, day, rows, table="kore/lists_changes", file_name="changes", **{**counts, "unchanged": 7, **changed}
    )


def checkpoint(
    store: Any, rows: Sequence[Mapping[str, Any]], *, start: int = 0, staging: str = "kore/_staging/lists"
) -> str:
    lines = [json.dumps({"schema_version": 1, "state": {}}), *map(json.dumps, rows)]
    name = f"{start:012d}-{start + len(rows):012d}-{'0' * 32}-{start:032x}"
    key = f"{staging}/a_dag/land/{'1' * 16}-{'2' * 16}/{'3' * 12}/{name}.jsonl.gz"
    store.put(key, gzip.compress(("\n".join(lines) + "\n").encode()), content_type="application/gzip")
    return key


def spec(**parameters: Any) -> ErasureSpec:
    given = {"s3_prefix": "kore/lists", "run": RUN, "generation": "g", "plan_only": False}
    return ErasureSpec.parse(**given | parameters)


def ids(*values: str) -> list[Given]:
    return [Given("id", value, number) for number, value in enumerate(values, start=1)]


def phones(*values: str) -> list[Given]:
    return [Given("phone", value, number) for number, value in enumerate(values, start=1)]


def forget(
    store: Any, given: Sequence[Given], *, policies: Any = None, clock: Any = None, **parameters: Any
) -> dict[str, Any]:
    return erase(spec(**parameters), store, given, policies=policies, clock=clock or FakeClock())


def manifest_of(store: VersionedMemoryStore, day: str, **where: str) -> dict[str, Any]:
    body = store.bodies()[f"{partition(where.pop('list_id', 'cl-1'), day, **where)}_manifest.json"]
    return Manifest.from_bytes(body, "here").content


def rows_in(store: VersionedMemoryStore, content: Mapping[str, Any]) -> list[str]:
    """Return the raw rows of a snapshot."""
    chosen = FORMATS[content["file_format"]]
    found = []
    for file in content["files"]:
        body = io.BytesIO(store.bodies()[file["key"]])
        found += [row for _, row in chosen.read_rows(body, compression=content["compression"])]
    return found


def hold_true(store: VersionedMemoryStore, content: Mapping[str, Any]) -> None:
    """Check that a manifest says what lies there."""
    name = "changes" if "changes" in content else "contacts"
    assert content[name] == sum(file["rows"] for file in content["files"])
    for file in content["files"]:
        body = store.bodies()[file["key"]]
        described = store.reopen().head(file["key"])
        assert described is not None
        assert file["bytes"] == len(body)
        assert file["sha256"] == hashlib.sha256(body).hexdigest()
        assert file["etag"] == described.etag
        assert file["checksum"] == described.checksum
        read = list(FORMATS[content["file_format"]].read_ids(io.BytesIO(body), compression=content["compression"]))
        assert file["rows"] == len(read)


def unpacked(body: bytes) -> bytes:
    """Return all that an object says, in any of the forms that hold text."""
    texts = [body]
    if body[:2] == b"\x1f\x8b":
        texts.append(gzip.decompress(body))
    elif body[:4] == b"PAR1":
        from pyarrow import parquet

        texts.append(json.dumps(parquet.read_table(io.BytesIO(body)).to_pylist(), default=str).encode())
    elif body[:4] == b"\x28\xb5\x2f\xfd":
        import pyarrow as pa

        texts.append(pa.CompressedInputStream(pa.BufferReader(body), "zstd").read())
    return b"\n".join(texts)


def nowhere(store: VersionedMemoryStore, *names: str) -> None:
    """Check that no object says any of these, in whatever way it is packed; nor their base64."""
    for key, body in store.bodies().items():
        text = unpacked(body)
        for name in names:
            assert name.encode() not in text, key
            assert base64.b64encode(name.encode()) not in text, key
