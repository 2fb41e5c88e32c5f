"""What changed between two snapshots of a contact list: which contacts were added, changed, and are gone.

Nothing is asked of Kore.ai. Both sides are read from S3 as their manifests describe them, each file once and verified,
and compared in full, not by digests: a contact is never missed by chance. What does not fit into memory goes to the
folder for temporary files, split by id, so that a million contacts on each side need some tens of MB.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from airflow_provider_kore import __version__
from airflow_provider_kore.changes.compare import Counts, compare
from airflow_provider_kore.changes.sides import older_side, proven, rows_of, split
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import IncomparableError
from airflow_provider_kore.formats import ColumnSet
from airflow_provider_kore.json_text import encode
from airflow_provider_kore.snapshot.chunks import temp_space, temporary_file
from airflow_provider_kore.snapshot.layout import Layout
from airflow_provider_kore.snapshot.manifest_checks import SCHEMA_VERSION
from airflow_provider_kore.snapshot.past import find_past
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.snapshot.publish import publish
from airflow_provider_kore.snapshot.reading import MEMORY
from airflow_provider_kore.snapshot.spec import digest
from airflow_provider_kore.snapshot.target import check_target, look
from airflow_provider_kore.snapshot.work import Work
from airflow_provider_kore.stop import Stop, StoppableClock
from airflow_provider_kore.store.capabilities import find_out
from airflow_provider_kore.store.patient import PatientStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.changes.spec import ChangesSpec
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.store.store import ObjectStore

log = logging.getLogger(__name__)

ROWS_PER_BUCKET: Final = 20_000
"""Contacts of one side that are compared at once."""

MOST_BUCKETS: Final = 128
"""Each is two open files."""

_SAME: Final = {
    "contact_list_id": "lists",
    "account_id": "accounts",
    "stream_id": "applications",
    "file_format": "file formats",
    "fields": "field policies, or keys for their hashes",
}
"""What a manifest says of how its snapshot was made, in words."""


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
    newer = proven(store, Layout(spec.snapshot), "snapshot_date")
    older = older_side(spec, store)
    output = replace(spec.output, made_with=_of_sides(spec, older, newer))
    layout = Layout(output)
    layout.check_keys()
    published = check_target(output, layout, target, store.uri(layout.partition))
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
    with temporary_file(MEMORY) as spool:
        found = _Changed(spool)
        with temp_space(), ExitStack() as files:
            number = min(MOST_BUCKETS, 1 + max(older.rows, newer.rows) // ROWS_PER_BUCKET)
            sides = [split(store, manifest, number, files, stop, teller=teller) for manifest in (older, newer)]
            with teller.phase("comparing", "parts", number) as phase:
                for part, (before, after) in enumerate(zip(*sides, strict=True)):
                    stop.check()
                    phase.reached(part)
                    for row in compare(rows_of(before), rows_of(after), found.counts, loose=loose, before=spec.before):
                        spool.write(encode(row + "\n"))
        content = _describe(spec, older, newer, found.counts, layout)
        work = Work(spec=output, store=store, clock=clock, stop=stop, teller=teller)
        rows, columns, past = found.rows(), found.columns, find_past(work)
        manifest = publish(work, target, rows, columns, content, capabilities=capabilities, past=past)
    counts = found.counts
    log.info(
        "Contact list %s from %s to %s: %s added, %s changed, %s gone, %s unchanged; in %s.",
        spec.output.dataset.name,
        older.snapshot_date,
        newer.snapshot_date,
        *(f"{number:,}" for number in asdict(counts).values()),
        store.uri(layout.partition),
    )
    stop.check()
    return manifest


def _check_same_kind(older: Manifest, newer: Manifest) -> None:
    """Refuse two snapshots in which the same contact need not look the same. Raises IncomparableError."""
    differing = [words for name, words in _SAME.items() if _told(older, name) != _told(newer, name)]
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


def _of_sides(spec: ChangesSpec, older: Manifest, newer: Manifest) -> str:
    """Return a name for what is compared, and how."""
    return digest([older.snapshot_id, newer.snapshot_id, spec.before])


def _describe(spec: ChangesSpec, older: Manifest, newer: Manifest, counts: Counts, layout: Layout) -> dict[str, Any]:
    """Return the manifest of the changes without its files."""
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
        **asdict(counts),
        "consistent": True,
        "older": _side(older),
        "newer": _side(newer),
        "before": spec.before,
        "run": layout.describe_run(),
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
