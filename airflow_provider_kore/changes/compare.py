"""Two sides, contact by contact: what was added, what changed, and what is gone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import CorruptSnapshotError
from airflow_provider_kore.formats.sameness import loosely
from airflow_provider_kore.json_text import comparable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(slots=True)
class Counts:
    """How many contacts are what."""

    added: int = 0
    changed: int = 0
    gone: int = 0
    unchanged: int = 0


def compare(
    older: Iterable[tuple[str, str]],
    newer: Iterable[tuple[str, str]],
    counts: Counts,
    *,
    loose: frozenset[str] = frozenset(),
    before: bool = False,
) -> Iterator[str]:
    """Yield a row for each contact that differs: those of the newer side in its order, then those that are gone.

    :param older: ids with raw JSON objects; held in memory. ``newer`` likewise, read once.
    :param counts: is added to.
    :param loose: fields that are compared by what they say, whatever type their column has.
    :param before: whether rows repeat what the older side held.

    Raises CorruptSnapshotError if an id comes twice on one side.
    """
    left: dict[str, str] = {}
    for identifier, row in older:
        if left.setdefault(identifier, row) is not row:
            raise _twice()
    seen: set[str] = set()
    for identifier, row in newer:
        if identifier in seen:
            raise _twice()
        seen.add(identifier)
        was = left.pop(identifier, None)
        if was is None:
            counts.added += 1
            yield _row(identifier, "added", row, None)
        elif was == row or _say_the_same(was, row, loose):
            counts.unchanged += 1
        else:
            counts.changed += 1
            yield _row(identifier, "changed", row, was if before else None)
    for identifier, was in left.items():
        counts.gone += 1
        yield _row(identifier, "gone", None, was if before else None)


def _say_the_same(was: str, row: str, loose: frozenset[str]) -> bool:
    """Compare two contacts. Raises CorruptSnapshotError if one cannot be read."""
    try:
        return _content(was, loose) == _content(row, loose)
    except (ValueError, RecursionError) as err:
        problem = "nested too deeply" if isinstance(err, RecursionError) else str(err)
    raise CorruptSnapshotError(
        f"A contact of a snapshot that was to be compared cannot be read: {problem}. Nothing was published; take the "
        "snapshot again."
    )


def _row(identifier: str, change: str, contact: str | None, before: str | None) -> str:
    return (
        f'{{"_id": {json.dumps(identifier)}, "change": "{change}", '
        f'"contact": {contact or "null"}, "before": {before or "null"}}}'
    )


def _content(row: str, loose: frozenset[str]) -> dict[str, object]:
    """Return what a contact says. A field that is null says as much as one that is missing."""
    found = comparable(row)
    if not isinstance(found, dict):
        raise ValueError("it is no object")  # noqa: TRY004  # the row is wrong, not the program
    return {name: loosely(value) if name in loose else value for name, value in found.items() if value is not None}


def _twice() -> CorruptSnapshotError:
    return CorruptSnapshotError("A snapshot that was to be compared holds an _id twice. Nothing was published.")
