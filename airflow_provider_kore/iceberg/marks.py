"""What a commit says of itself, so that a retry finds it: which snapshots it holds, by id and manifest.

It stands in the summary of the commit, which every later version of the table's metadata repeats as long as the commit
is kept, and which every reader loads. So it names each snapshot in full up to :data:`MOST_NAMED` characters (some 40
lists), then by digests of 24 characters each (200 lists: 5 KB), and beyond :data:`MOST_DIGESTS` all of them by one.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_provider_kore.iceberg.landed import Landed

COMMIT: Final = "kore.commit"
"""A digest of all snapshots of a commit."""
NUMBER: Final = "kore.snapshot-count"
DATES: Final = "kore.dates"
SNAPSHOTS: Final = "kore.snapshots"
"""JSON: by date and list, the snapshot's id and the SHA-256 of its manifest."""
DIGESTS: Final = "kore.snapshot-digests"
"""In its place: for each snapshot eight characters that say which list and day, and sixteen that say the rest."""

MOST_NAMED: Final = 4_096
MOST_DIGESTS: Final = 32_768
_WHICH, _EACH = 8, 24


def marks_of(landed: Sequence[Landed]) -> dict[str, str]:
    """Return what the summary of a commit of these snapshots says."""
    by_date: dict[str, dict[str, str]] = {}
    for each in landed:
        by_date.setdefault(each.snapshot_date, {})[each.contact_list_id] = _named(each)
    marks = {COMMIT: _of_all(landed), NUMBER: str(len(landed)), DATES: ",".join(sorted(by_date))}
    if len(named := json.dumps(by_date, separators=(",", ":"), sort_keys=True)) <= MOST_NAMED:
        return marks | {SNAPSHOTS: named}
    if len(digests := "".join(_which(each) + _what(each) for each in landed)) <= MOST_DIGESTS:
        return marks | {DIGESTS: digests}
    return marks


def committed(summaries: Iterable[Mapping[str, Any]], landed: Sequence[Landed]) -> set[tuple[str, str]]:
    """Return the partitions that hold these very snapshots, by what the commits of a table say.

    :param summaries: of the commits that led to what the table shows, newest first.

    What is not certain is left out: committed a second time, a snapshot replaces itself.
    """
    open_ = {each.partition: each for each in landed}
    found: set[tuple[str, str]] = set()
    for summary in summaries:
        if not open_:
            break
        if COMMIT not in summary:
            continue  # another writer's: compaction, or deletes of single contacts
        if summary[COMMIT] == _of_all(landed):
            return found | open_.keys()
        for each in list(open_.values()):
            holds = _holds(summary, each)
            if holds is not None:
                del open_[each.partition]
            if holds:
                found.add(each.partition)
    return found


def _holds(summary: Mapping[str, Any], landed: Landed) -> bool | None:
    """Say whether a commit holds a snapshot; None if it did not touch its partition."""
    if SNAPSHOTS in summary:
        said = _parsed(summary[SNAPSHOTS]).get(landed.snapshot_date)
        named = said.get(landed.contact_list_id) if isinstance(said, dict) else None
        return None if named is None else bool(named == _named(landed))
    if DIGESTS in summary:
        text, which = str(summary[DIGESTS]), _which(landed)
        digests = {text[at : at + _WHICH]: text[at + _WHICH : at + _EACH] for at in range(0, len(text), _EACH)}
        return None if which not in digests else digests[which] == _what(landed)
    return False if landed.snapshot_date in str(summary.get(DATES)).split(",") else None


def _parsed(text: object) -> dict[str, Any]:
    try:
        found = json.loads(str(text))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _named(landed: Landed) -> str:
    return f"{landed.snapshot_id} {landed.manifest_sha256}"


def _which(landed: Landed) -> str:
    return _digest(json.dumps(landed.partition))[:_WHICH]


def _what(landed: Landed) -> str:
    return _digest(json.dumps([*landed.partition, _named(landed)]))[: _EACH - _WHICH]


def _digest(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _of_all(landed: Sequence[Landed]) -> str:
    lines = sorted(json.dumps([*each.partition, _named(each)]) for each in landed)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
