"""The two sides of a comparison: which snapshots may be compared, and their contacts, read and verified."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import tempfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from airflow_provider_kore.exceptions import (
    CorruptSnapshotError,
    DriftError,
    IncomparableError,
    NothingToCompareError,
)
from airflow_provider_kore.formats import parse_format
from airflow_provider_kore.json_text import encode
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.layout import MANIFEST_NAME, Layout
from airflow_provider_kore.snapshot.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_kore.changes.spec import ChangesSpec
    from airflow_provider_kore.snapshot.phases import Teller
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.store import ObjectStore

log = logging.getLogger(__name__)

MEMORY: Final = 1 << 20
"""Bytes of a temporary file that are held in memory, and of an object that are read at once."""

_ROWS_AT_ONCE: Final = 10_000


def proven(store: ObjectStore, layout: Layout, parameter: str) -> Manifest:
    """Return the manifest of a snapshot that may be compared. Raises IncomparableError."""
    where = store.uri(layout.manifest)
    found = read_manifest(store, layout.manifest)
    if found is None:
        raise IncomparableError(
            f"There is no snapshot to compare: {where} does not exist. Take the snapshot first, or pass another "
            f"{parameter} or s3_prefix. Nothing was changed."
        )
    if not found.manifest.consistent:
        raise IncomparableError(
            f"The snapshot of {where} is not proven consistent, so contacts may be missing that are not gone. Take it "
            f"again while the list is quiet, or pass another {parameter}. Nothing was changed."
        )
    problem = found.manifest.problem(layout.partition, layout.spec.dataset.file_name)
    if problem is None and not all(name in found.manifest.content for name in ("file_format", "compression")):
        problem = "does not say its file_format and compression"
    if problem is not None:
        raise CorruptSnapshotError(
            f"{where} is not the manifest of a snapshot of this list and day: it {problem}. Take the snapshot "
            "again, and find out what else writes there. Nothing was changed."
        )
    return found.manifest


def older_side(spec: ChangesSpec, store: ObjectStore) -> Manifest:
    """Return the older side. Raises IncomparableError; NothingToCompareError if there never was one."""
    if spec.since is not None:
        return proven(store, Layout(replace(spec.snapshot, snapshot_date=spec.since)), "since")
    prefix = Layout(spec.snapshot).list_prefix
    named = re.compile(rf"{re.escape(prefix)}snapshot_date=(\d{{4}}-\d\d-\d\d)/{MANIFEST_NAME}").fullmatch
    dates = [name[1] for found in store.list(prefix) if (name := named(found.key))]
    earlier = sorted((date for date in dates if date < spec.snapshot.snapshot_date), reverse=True)
    if not earlier:
        raise NothingToCompareError(
            f"{store.uri(prefix)} holds no snapshot before {spec.snapshot.snapshot_date}, so there is nothing "
            "to compare with yet: changes begin with the second snapshot. Nothing was changed."
        )
    for date in earlier:
        try:
            return proven(store, Layout(replace(spec.snapshot, snapshot_date=date)), "since")
        except (IncomparableError, CorruptSnapshotError) as err:
            log.warning("The snapshot of %s is passed over: %s", date, err)
    raise IncomparableError(
        f"{store.uri(prefix)} holds no consistent snapshot before {spec.snapshot.snapshot_date}, so what "
        "has changed since is unknown; the log says why each was passed over. Changes begin after the first "
        "consistent one. Nothing was changed."
    )


def split(
    store: ObjectStore, manifest: Manifest, number: int, files: ExitStack, stop: Stop, *, teller: Teller
) -> Sequence[BinaryIO]:
    """Read a snapshot, and divide its contacts by id into temporary files."""
    buckets = []
    for _ in range(number):
        bucket = tempfile.SpooledTemporaryFile(max_size=MEMORY // number, prefix="kore-")  # noqa: SIM115  # next line
        buckets.append(cast("BinaryIO", files.enter_context(bucket)))
    for file in manifest.files:
        rows = 0
        with teller.phase(f"reading the snapshot of {manifest.snapshot_date}", "contacts", file["rows"]) as phase:
            for identifier, row in _read(store, manifest, file, stop):
                if rows % _ROWS_AT_ONCE == 0:
                    stop.check()
                    phase.reached(rows)
                rows += 1
                if rows > file["rows"]:
                    break
                name = encode(json.dumps(identifier))
                buckets[zlib.crc32(name) % number].write(name + b"\t" + encode(row) + b"\n")
        if rows != file["rows"]:
            raise CorruptSnapshotError(
                f"{store.uri(quoted(file['key'], 200))} holds {rows:,} contacts"
                f"{' or more' if rows > file['rows'] else ''}, and its manifest says {file['rows']:,}. "
                "Don't use it; take the snapshot again."
            )
    return buckets


def rows_of(bucket: BinaryIO) -> Iterator[tuple[str, str]]:
    """Yield the ids and contacts of one temporary file."""
    bucket.seek(0)
    for line in bucket:
        identifier, _, row = line.decode("utf-8").removesuffix("\n").partition("\t")
        yield json.loads(identifier), row


def _read(store: ObjectStore, manifest: Manifest, file: dict[str, Any], stop: Stop) -> Iterator[tuple[str, str]]:
    """Fetch a file, check that it is the one its manifest describes, and decode it."""
    chosen = parse_format(manifest.content["file_format"], manifest.content["compression"])
    chosen.format.require(chosen.compression)
    with _fetched(store, manifest, file, stop) as local:
        yield from chosen.format.read_rows(local, compression=chosen.compression)


@contextmanager
def _fetched(store: ObjectStore, manifest: Manifest, file: dict[str, Any], stop: Stop) -> Iterator[BinaryIO]:
    opened = store.get(file["key"])
    size, most = 0, file.get("bytes")
    with tempfile.SpooledTemporaryFile(max_size=MEMORY, prefix="kore-") as spool:
        sha = hashlib.sha256()
        if opened is not None:
            with opened as stream:
                while (most is None or size <= most) and (block := stream.read(MEMORY)):
                    stop.check()
                    size += len(block)
                    sha.update(block)
                    spool.write(block)
        if opened is None or sha.hexdigest() != file.get("sha256"):
            _blame(store, manifest, file["key"])
        spool.seek(0)
        yield cast("BinaryIO", spool)


def _blame(store: ObjectStore, manifest: Manifest, key: str) -> None:
    """Say why a file is not what its manifest says. Raises DriftError, CorruptSnapshotError."""
    partition = key.rpartition("/")[0]
    now = read_manifest(store, f"{partition}/{MANIFEST_NAME}")
    if now is None or now.manifest.content != manifest.content:
        raise DriftError(
            f"The snapshot in {store.uri(quoted(partition, 200))}/ was replaced while it was read. Try again."
        )
    raise CorruptSnapshotError(
        f"{store.uri(quoted(key, 200))} is missing, or not the file that its manifest describes. Don't use "
        "it; take the snapshot again, and find out what else writes there."
    )
