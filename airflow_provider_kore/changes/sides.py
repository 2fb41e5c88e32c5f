"""The two sides of a comparison: which snapshots may be compared, and their contacts, read and verified."""

from __future__ import annotations

import json
import logging
import re
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, Final

from airflow_provider_kore.exceptions import CorruptSnapshotError, IncomparableError, NothingToCompareError
from airflow_provider_kore.json_text import encode
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.chunks import temporary_file
from airflow_provider_kore.snapshot.layout import MANIFEST_NAME, Layout
from airflow_provider_kore.snapshot.manifest import Manifest, read_manifest
from airflow_provider_kore.snapshot.reading import MEMORY, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import ExitStack

    from airflow_provider_kore.changes.spec import ChangesSpec
    from airflow_provider_kore.snapshot.phases import Teller
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.store import ObjectStore

log = logging.getLogger(__name__)

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
    buckets = [files.enter_context(temporary_file(MEMORY // number)) for _ in range(number)]
    for file in manifest.files:
        rows = 0
        with teller.phase(f"reading the snapshot of {manifest.snapshot_date}", "contacts", file["rows"]) as phase:
            for identifier, row in read_rows(store, manifest, file, stop):
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
