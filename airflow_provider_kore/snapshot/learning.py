"""What is learnt from two snapshots of a list: whether its ``updatedAt`` moves, and whether contacts are edited.

Every walk over all of a list is compared with the last snapshot. Where either is found, its snapshots build on each
other no more.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.exceptions import CheckpointLostError, TempSpaceError
from airflow_provider_kore.formats.columns import printable
from airflow_provider_kore.formats.sameness import loosely
from airflow_provider_kore.json_text import comparable
from airflow_provider_kore.snapshot.basis import History
from airflow_provider_kore.snapshot.rivals import instant

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_kore.snapshot.walking import Walking
    from airflow_provider_kore.walk.proof import Walked


def describe_history(walking: Walking, walked: Walked) -> dict[str, Any]:
    """Return what the manifest says of how this snapshot came about, and tells the next one."""
    basis, staging = walking.basis, walking.staging
    state, progress = walked.state, walked.state.progress
    continued, based_on, off = state.continued, None, None
    whole_walk_at, page_rows = instant(state.started), -(-progress.offset // max(1, state.pages))
    if continued is not None and basis is not None:
        based_on = basis.describe()
        whole_walk_at, page_rows = basis.history.whole_walk_at, basis.history.page_rows
    elif basis is not None:
        off = basis.history.off
        if off is None and not walked.drift:
            # What can't be read or compared teaches nothing, and is no reason to lose what was read from the vendor.
            with suppress(CheckpointLostError, TempSpaceError, ValueError, RecursionError):
                off = learnt(basis.rows(), staging.rows(), basis.known.mark, walked.source_state.mark)
    history = History(
        ascending=progress.ascending and bool(progress.last_created),
        last_created=progress.last_created,
        page_rows=page_rows,
        whole_walk_at=whole_walk_at,
        found=dict(staging.fields.found),
        off=off,
    )
    return {
        "based_on": based_on,
        "probes": list(continued.probes) if continued is not None else [],
        "unseen": f"Contacts that were edited in place since {whole_walk_at}." if continued is not None else None,
        "whole_because": walking.whole_because if walking.spec.incremental and continued is None else None,
        **asdict(history),
    }


def learnt(before: Iterable[str], now: Iterable[str], mark_before: str, mark_now: str | None) -> str | None:
    """Say why snapshots of a list can't build on each other, by two that read all of it; None if nothing says so.

    :param before: the rows of the last one, in order.
    :param now: the rows of this one, in order.
    :param mark_before: the list's ``updatedAt`` at the end of the last one.
    :param mark_now: and of this one.
    """
    edited, moved = _differences(before, now)
    if edited:
        return "a contact had been edited in place, which no walk over new contacts sees"
    if moved and mark_before == mark_now:
        return f"contacts had come or gone, and its updatedAt had stayed at {mark_before}"
    return None


def _differences(before: Iterable[str], now: Iterable[str]) -> tuple[bool, bool]:
    """Say whether a row was edited where it stands, and whether rows came or went.

    Both sides have the same order, as far as they have the same rows; beyond the first place where they have not, only
    ids that come again in that order are compared.
    """
    old, moved = iter(before), False
    for row in now:
        was = next(old, None)
        if was == row:
            continue
        if was is None:
            return False, True
        said = _content(row)
        while was is not None and (told := _content(was))["_id"] != said["_id"]:
            was, moved = next(old, None), True
        if was is not None and told != said:
            return True, moved
    return False, moved or next(old, None) is not None


def _content(row: str) -> dict[str, object]:
    """Return what a row says, whatever types its format has. Null says as much as nothing."""
    found = comparable(row)
    return {name: _said(value) for name, value in dict(found).items() if value is not None}  # type: ignore[call-overload]


def _said(value: object) -> object:
    if isinstance(value, str) and value[:1] in {"{", "["}:  # a nested value, in a format that has none
        with suppress(ValueError):
            return comparable(value)
    return loosely(printable(value) if isinstance(value, str) else value)
