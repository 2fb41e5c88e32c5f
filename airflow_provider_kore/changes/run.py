"""What changed between two snapshots of a contact list: which contacts were added, changed, and are gone.

Nothing is asked of Kore.ai. Both sides are read from S3 as their manifests describe them, each file once and verified,
and compared in full, not by digests: a contact is never missed by chance. What does not fit into memory goes to the
folder for temporary files, split by id, so that a million contacts on each side need some tens of MB.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import tempfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from airflow_provider_kore import __version__
from airflow_provider_kore.changes.compare import Counts, compare
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import (
    CorruptSnapshotError,
    DriftError,
    IncomparableError,
    NothingToCompareError,
)
from airflow_provider_kore.formats import ColumnSet, parse_format
from airflow_provider_kore.json_text import encode
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.chunks import temp_space
from airflow_provider_kore.snapshot.layout import MANIFEST_NAME, Layout
from airflow_provider_kore.snapshot.manifest import SCHEMA_VERSION, Manifest, read_manifest
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.snapshot.publish import Publisher
from airflow_provider_kore.snapshot.spec import digest
from airflow_provider_kore.snapshot.target import check_target, look
from airflow_provider_kore.stop import Stop, StoppableClock
from airflow_provider_kore.store.capabilities import find_out
from airflow_provider_kore.store.patient import PatientStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_kore.changes.spec import ChangesSpec
    from airflow_provider_kore.store.store import ObjectStore

log = logging.getLogger(__name__)

ROWS_PER_BUCKET: Final = 20_000
"""Contacts of one side that are compared at once."""

MOST_BUCKETS: Final = 128
"""Each is two open files."""

_MEMORY: Final = 1 << 20
_ROWS_AT_ONCE: Final = 10_000
_SAME: Final = ("contact_list_id", "account_id", "stream_id", "file_format", "fields")
_AS_WORDS: Final = {
    "contact_list_id": "lists",
    "account_id": "accounts",
    "stream_id": "applications",
    "file_format": "file formats",
    "fields": "field policies, or keys for their hashes",
}


@dataclass(slots=True)
class _Changed:
    """The changes, on their way from one temporary file to the one that is published."""

    file: BinaryIO
    counts: Counts = field(default_factory=Counts)
    columns: ColumnSet = field(
        default_factory=lambda: ColumnSet.of(['{"_id": "", "change": "", "contact": {}, "before": {}}'])
    )

    def rows(self) -> Iterator[str]:
        self.file.seek(0)
        for line in self.file:
            yield line.decode("utf-8").removesuffix("\n")


def find_changes(
    spec: ChangesSpec, store: ObjectStore, stop: Stop | None = None, *, teller: Teller | None = None
) -> Manifest:
    """Publish what changed between two snapshots, or raise and leave what was there in place.

    The same two snapshots give the same bytes.

    :param teller: says what goes on where that takes long.

    Raises IncomparableError if a side is missing, not proven consistent, or made differently; CorruptSnapshotError if
    its files are not what its manifest says; RetryableError if the same call may succeed later.
    """
    stop, teller = stop or Stop(), teller or Teller()
    clock = StoppableClock(SystemClock(), stop)
    store = PatientStore(store, clock, stop)
    target = look(store, Layout(spec.output), clock)  # first: what is published after this is as new
    newer = _proven(store, Layout(spec.snapshot), "snapshot_date")
    older = _older(spec, store)
    output = replace(spec.output, made_with=_of_sides(spec, older, newer))
    layout = Layout(output)
    layout.check_keys()
    published = check_target(output, layout, target, store.bucket)
    if published is not None:
        log.info("This run has published %s changes already.", f"{published.rows:,}")
        return published
    _check_same_kind(older, newer)
    with teller.phase("trying what the bucket can do"):
        media_type = output.file_format.media_type(output.compression)
        capabilities = find_out(
            store, store, clock, key=layout.object, media_type=media_type, staging=layout.staging, durable=False
        )
    loose = _retyped(older, newer)
    with tempfile.SpooledTemporaryFile(max_size=_MEMORY, prefix="kore-") as spool:
        found = _Changed(cast("BinaryIO", spool))
        with temp_space(), ExitStack() as files:
            number = min(MOST_BUCKETS, 1 + max(older.rows, newer.rows) // ROWS_PER_BUCKET)
            sides = [_split(store, manifest, number, files, stop, teller=teller) for manifest in (older, newer)]
            with teller.phase("comparing", "parts", number) as phase:
                for before, after in zip(*sides, strict=True):
                    stop.check()
                    teller.look()
                    for row in compare(_rows(before), _rows(after), found.counts, loose=loose, before=spec.before):
                        spool.write(encode(row + "\n"))
                    phase.done += 1
        content = _describe(spec, older, newer, found.counts, recipe=layout.recipe)
        publisher = Publisher(
            output,
            layout,
            store,
            stop,
            snapshot_id=content["snapshot_id"],
            started=newer.started_at,
            capabilities=capabilities,
            clock=clock,
            teller=teller,
        )
        manifest = publisher.publish(target, found, content)
    counts = found.counts
    log.info(
        "Contact list %s from %s to %s: %s added, %s changed, %s gone, %s unchanged; in s3://%s/%s.",
        spec.output.source.name,
        older.snapshot_date,
        newer.snapshot_date,
        *(f"{number:,}" for number in (counts.added, counts.changed, counts.gone, counts.unchanged)),
        store.bucket,
        layout.partition,
    )
    stop.check()
    return manifest


def _proven(store: ObjectStore, layout: Layout, parameter: str) -> Manifest:
    """Return the manifest of a snapshot that may be compared. Raises IncomparableError."""
    where = f"s3://{store.bucket}/{layout.manifest}"
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
    problem = found.manifest.problem(layout.partition, layout.spec.source.file_name)
    if problem is None and not all(name in found.manifest.content for name in ("file_format", "compression")):
        problem = "does not say its file_format and compression"
    if problem is not None:
        raise CorruptSnapshotError(
            f"{where} is not the manifest of a snapshot of this list and day: it {problem}. Take the snapshot "
            "again, and find out what else writes there. Nothing was changed."
        )
    return found.manifest


def _older(spec: ChangesSpec, store: ObjectStore) -> Manifest:
    """Return the older side. Raises IncomparableError; NothingToCompareError if there never was one."""
    if spec.since is not None:
        return _proven(store, Layout(replace(spec.snapshot, snapshot_date=spec.since)), "since")
    prefix = Layout(spec.snapshot).list_prefix
    named = re.compile(rf"{re.escape(prefix)}snapshot_date=(\d{{4}}-\d\d-\d\d)/{MANIFEST_NAME}").fullmatch
    dates = [name[1] for found in store.list(prefix) if (name := named(found.key))]
    earlier = sorted((date for date in dates if date < spec.snapshot.snapshot_date), reverse=True)
    if not earlier:
        raise NothingToCompareError(
            f"s3://{store.bucket}/{prefix} holds no snapshot before {spec.snapshot.snapshot_date}, so there is nothing "
            "to compare with yet: changes begin with the second snapshot. Nothing was changed."
        )
    for date in earlier:
        try:
            return _proven(store, Layout(replace(spec.snapshot, snapshot_date=date)), "since")
        except (IncomparableError, CorruptSnapshotError) as err:
            log.warning("The snapshot of %s is passed over: %s", date, err)
    raise IncomparableError(
        f"s3://{store.bucket}/{prefix} holds no consistent snapshot before {spec.snapshot.snapshot_date}, so nobody "
        "can tell what has changed since; the log says why each was passed over. Changes begin after the first "
        "consistent one. Nothing was changed."
    )


def _check_same_kind(older: Manifest, newer: Manifest) -> None:
    """Refuse two snapshots in which the same contact need not look the same. Raises IncomparableError."""
    differing = [_AS_WORDS[name] for name in _SAME if _told(older, name) != _told(newer, name)]
    if differing:
        raise IncomparableError(
            f"The snapshots of {older.snapshot_date} and {newer.snapshot_date} were made with "
            f"different {' and different '.join(differing)}, so every contact would pass for changed. Take one of them "
            "again as the other was made, or compare from here on (since). Nothing was changed."
        )


def _told(manifest: Manifest, name: str) -> object:
    """Return what a manifest says of how its snapshot was made; how many contacts lack a field is no part of that."""
    found = manifest.content.get(name)
    return {key: value for key, value in found.items() if key != "missing"} if isinstance(found, dict) else found


def _retyped(older: Manifest, newer: Manifest) -> frozenset[str]:
    """Return the columns whose type is another on either side, because their values are."""
    before, after = (
        {column["name"]: column.get("type") for file in manifest.files for column in file.get("columns", ())}
        for manifest in (older, newer)
    )
    return frozenset(name for name in before.keys() & after.keys() if before[name] != after[name])


def _split(
    store: ObjectStore, manifest: Manifest, number: int, files: ExitStack, stop: Stop, *, teller: Teller
) -> Sequence[BinaryIO]:
    """Read a snapshot, and divide its contacts by id into temporary files."""
    buckets = []
    for _ in range(number):
        bucket = tempfile.SpooledTemporaryFile(max_size=_MEMORY // number, prefix="kore-")  # noqa: SIM115  # next line
        buckets.append(cast("BinaryIO", files.enter_context(bucket)))
    for file in manifest.files:
        rows = 0
        with teller.phase(f"reading the snapshot of {manifest.snapshot_date}", "contacts", file["rows"]) as phase:
            for identifier, row in _read(store, manifest, file, stop.check):
                if rows % _ROWS_AT_ONCE == 0:
                    stop.check()
                    phase.done = rows
                    teller.look()
                rows += 1
                if rows > file["rows"]:
                    break
                name = encode(json.dumps(identifier))
                buckets[zlib.crc32(name) % number].write(name + b"\t" + encode(row) + b"\n")
        if rows != file["rows"]:
            raise CorruptSnapshotError(
                f"s3://{store.bucket}/{quoted(file['key'], 200)} holds {rows:,} contacts"
                f"{' or more' if rows > file['rows'] else ''}, and its manifest says {file['rows']:,}. "
                "Don't use it; take the snapshot again."
            )
    return buckets


def _rows(bucket: BinaryIO) -> Iterator[tuple[str, str]]:
    bucket.seek(0)
    for line in bucket:
        identifier, _, row = line.decode("utf-8").removesuffix("\n").partition("\t")
        yield json.loads(identifier), row


def _read(
    store: ObjectStore, manifest: Manifest, file: dict[str, Any], on_block: Callable[[], None]
) -> Iterator[tuple[str, str]]:
    """Fetch a file, check that it is the one its manifest describes, and decode it."""
    chosen = parse_format(manifest.content["file_format"], manifest.content["compression"])
    chosen.format.require(chosen.compression)
    with _fetched(store, manifest, file, on_block) as local:
        yield from chosen.format.read_rows(local, compression=chosen.compression)


@contextmanager
def _fetched(
    store: ObjectStore, manifest: Manifest, file: dict[str, Any], on_block: Callable[[], None]
) -> Iterator[BinaryIO]:
    opened = store.get(file["key"])
    size, most = 0, file.get("bytes")
    with tempfile.SpooledTemporaryFile(max_size=_MEMORY, prefix="kore-") as spool:
        sha = hashlib.sha256()
        if opened is not None:
            with opened as stream:
                while (most is None or size <= most) and (block := stream.read(_MEMORY)):
                    on_block()
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
            f"The snapshot in s3://{store.bucket}/{quoted(partition, 200)}/ was replaced while it was read. Try again."
        )
    raise CorruptSnapshotError(
        f"s3://{store.bucket}/{quoted(key, 200)} is missing, or not the file that its manifest describes. Don't use "
        "it; take the snapshot again, and find out what else writes there."
    )


def _of_sides(spec: ChangesSpec, older: Manifest, newer: Manifest) -> str:
    """Return a name for what is compared, and how."""
    return digest([older.snapshot_id, newer.snapshot_id, spec.before])


def _describe(spec: ChangesSpec, older: Manifest, newer: Manifest, counts: Counts, *, recipe: str) -> dict[str, Any]:
    """Return the manifest of the changes without its files."""
    run = spec.output.run
    return {
        "schema_version": SCHEMA_VERSION,
        "provider_version": __version__,
        "snapshot_id": _of_sides(spec, older, newer),
        **{
            name: newer.content.get(name)
            for name in ("contact_list_id", "contact_list_name", "account_id", "stream_id")
        },
        "snapshot_date": spec.output.snapshot_date,
        "changes": counts.added + counts.changed + counts.gone,
        "added": counts.added,
        "changed": counts.changed,
        "gone": counts.gone,
        "unchanged": counts.unchanged,
        "consistent": True,
        "older": _side(older),
        "newer": _side(newer),
        "before": spec.before,
        "run": {
            "dag_id": run.dag_id,
            "run_id": run.run_id,
            "task_id": run.task_id,
            "map_index": run.map_index,
            "try_number": spec.output.try_number,
            "generation": spec.output.generation,
            "recipe": recipe,
            "logical_date": spec.output.logical_date,
            "digest": run.digest,
        },
        # Of two that publish the same partition, the one that compares the later walk wins.
        "walk": {name: newer.content["walk"].get(name) for name in ("started_at", "ended_at")},
        "fields": newer.content.get("fields"),
        "file_format": spec.output.file_format.name,
        "compression": spec.output.compression,
        "warnings": [],
    }


def _side(manifest: Manifest) -> dict[str, Any]:
    return {
        "snapshot_date": manifest.snapshot_date,
        "snapshot_id": manifest.snapshot_id,
        "contacts": manifest.rows,
        "keys": manifest.keys,
    }
