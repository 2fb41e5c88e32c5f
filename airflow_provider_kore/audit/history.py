"""The snapshots of a list, day by day: how many rows each has, how many came and went, and what it cost.

Added and gone are counted by ids, which are read once and held in 12 to 27 bytes each, of two snapshots at a time.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.audit import manifests
from airflow_provider_kore.audit.files import MOST_IDS, UNSEEN, Files
from airflow_provider_kore.audit.findings import UNSEEN as LEVEL_UNSEEN
from airflow_provider_kore.audit.findings import WRONG, worst
from airflow_provider_kore.audit.partitions import Listing
from airflow_provider_kore.exceptions import CorruptSnapshotError, DriftError, ParameterError
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.chunks import temp_space
from airflow_provider_kore.snapshot.reading import fetched
from airflow_provider_kore.walk.ids import IdSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kore.audit.manifests import Read
    from airflow_provider_kore.audit.partitions import Partition
    from airflow_provider_kore.audit.progress import Progress
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.store.store import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One snapshot; None stands where something is not known."""

    date: str
    snapshot_id: str = ""
    rows: int | None = None
    added: int | None = None
    """Rows whose id the snapshot before did not have."""
    gone: int | None = None
    """Rows of the snapshot before whose id this one does not have."""
    consistent: bool | None = None
    whole: bool | None = None
    """Whether all of the list was read; False: what was new, on the last snapshot."""
    requests: int | None = None
    seconds: float | None = None
    """From the first request of the walk to its end, waits included."""
    erased: int = 0
    """Rows that were erased from it since."""
    level: str = ""
    """``wrong`` or ``unseen``, where the snapshot could not be read; else empty."""
    problem: str = ""
    """Why."""


@dataclass(slots=True)
class History:
    """The snapshots of one list, the oldest first."""

    address: str
    kind: str = "contacts"
    days: list[Day] = field(default_factory=list)

    @property
    def status(self) -> str:
        """``wrong`` if a snapshot is damaged, else ``unseen`` if one could not be looked at, else ``fine``."""
        return worst(day.level for day in self.days)


def histories(store: ObjectStore, prefix: str, *, progress: Progress, ids: bool = True) -> list[History]:
    """Return the history of each list below a prefix.

    :param prefix: empty, or ends with a slash.
    :param ids: whether to read the files and count who came and went; False: manifests alone.

    Raises what the store raises that is about all of the bucket, TempSpaceError, StoppedError.
    """
    files, tables = Files(store, progress), Listing(store, prefix).tables()
    found = [_history(files, table, [one for one, _ in partitions], ids=ids) for table, partitions in tables]
    return [history for history in found if history.days]


def _history(files: Files, table: str, partitions: Sequence[Partition], *, ids: bool) -> History:
    """Describe the snapshots of one list."""
    history, before = History(files.store.uri(quoted(table, 300))), None
    for partition in partitions:
        files.progress.at(partition.manifest)
        told: dict[str, Any] = {"date": partition.date}
        now = None
        try:
            read = manifests.read(files.store, partition)
            if read is None:
                continue
            manifest = _believed(read)
            history.kind = read.kind
            told |= _told(manifest)
            if read.kind == "changes":
                told |= {name: manifest.content.get(name) for name in ("added", "gone")}
            elif ids and manifest.rows <= MOST_IDS:
                now, added = _read(files, manifest, before)
                if before is not None:
                    told |= {"added": added, "gone": len(before) - (len(now) - added)}
        except CorruptSnapshotError as err:
            told |= {"level": WRONG, "problem": str(err)}
        except (*UNSEEN, DriftError, ParameterError) as err:
            told |= {"level": LEVEL_UNSEEN, "problem": str(err)}
        history.days.append(Day(**told))
        files.progress.snapshots += 1
        before = now
    return history


def _read(files: Files, manifest: Manifest, before: IdSet | None) -> tuple[IdSet, int]:
    """Return the ids of a snapshot, and how many of them the one before did not have."""
    now, added = IdSet(), 0
    now.expect(manifest.rows)
    for file in manifest.files:
        with temp_space(), fetched(files.store, manifest, file, files.progress.stop) as local:
            for some in files.identifiers(manifest, file, local):
                now.add_all(some)
                added += sum(each not in before for each in some) if before is not None else 0
    if len(now) != manifest.rows:
        raise CorruptSnapshotError("It holds other rows than its manifest says: verify says where.")
    return now, added


def _believed(read: Read) -> Manifest:
    """Return a manifest with which nothing is wrong. Raises CorruptSnapshotError."""
    for one in read.findings:
        if one.level == WRONG:
            raise CorruptSnapshotError(one.what)
    assert read.manifest is not None  # or there is a finding  # noqa: S101
    return read.manifest


def _told(manifest: Manifest) -> dict[str, Any]:
    content, walk = manifest.content, manifest.content["walk"]
    seconds = None
    with suppress(ValueError, TypeError):  # no time at all, or one without an offset
        ended = datetime.fromisoformat(str(walk.get("ended_at")))
        seconds = round((ended - datetime.fromisoformat(walk["started_at"])).total_seconds(), 3)
    return {
        "snapshot_id": manifest.snapshot_id,
        "rows": manifest.rows,
        "consistent": manifest.consistent,
        "whole": content.get("incremental", {}).get("based_on") is None,
        "requests": walk.get("requests"),
        "seconds": seconds,
        "erased": content.get("erased", 0),
    }
