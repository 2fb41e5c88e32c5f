"""What proves that a list held still while it was walked, or only grew at its end.

An offset walk over a list that changes can miss contacts without any page looking wrong, so the list's ``updatedAt`` is
read before and after. Contacts that are appended at the end do no harm, and that can be proven:

- contacts come in the order they were created, so new ones come last, and only a removal can shift anything;
- a removal before the place where the walk is makes it miss a contact. As long as that place is among the contacts
  that were there at the first page, one of those is missed: then more contacts are newer than the start than the total
  has grown by;
- a page among the new contacts that is read again tells more: if its contacts have as many before them as they had,
  none of those is gone, for nothing can have come in their place. So each page among the new contacts is followed by a
  second look at the one before it, and the last thing a walk does is to look at the last page: it is the same, and ends
  the list. At that moment the list is what was read, whatever was appended while the walk was near its end.

What this cannot see is a contact that was edited in place after it was read, and before the last append.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from airflow_provider_kore.walk.page import Evidence
    from airflow_provider_kore.walk.source import Dataset, SourceState
    from airflow_provider_kore.walk.state import WalkState

EXPLAINED_WITHIN: Final = 2.0
"""Seconds by which ``updatedAt`` may be later than the newest contact's ``createdAt`` and still be its doing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """A walk that reached the end of its list."""

    state: WalkState
    evidence: Evidence
    source_state: SourceState
    witnesses: tuple[str, ...]
    """Those that agree, the source's own among them (``updated_at``) where it has one."""
    drift: tuple[str, ...]
    """What changed meanwhile, in words; empty: nothing that matters."""
    appended: int
    """Contacts that were added at the end meanwhile, and are in."""


def is_provable(state: WalkState) -> bool:
    """Say whether it can be proven that a list does nothing but grow at its end."""
    progress = state.progress
    return bool(state.told_total and state.mark and progress.first_total is not None and progress.ascending)


def judge(state: WalkState, evidence: Evidence, after: SourceState, dataset: Dataset) -> Walked:
    """Return what a walk has proven.

    :param state: at its end.
    :param after: what the source said of itself after the last page.
    """
    witnesses = list(evidence.agreed)
    drift = list(state.drift)
    if evidence.duplicates:
        drift.append(f"{evidence.duplicates} {dataset.rows} came twice")
    if evidence.total is not None and evidence.total != state.progress.offset:
        drift.append(f"totalResults says {evidence.total}, {state.progress.offset} were read")
    appended = (evidence.total or 0) - (state.progress.first_total or 0)
    if appended < 0:
        drift.append(f"totalResults went from {state.progress.first_total} to {evidence.total}")
    elif appended:
        drift += _unproven(state, appended, after, dataset)
    elif after.mark != state.mark:
        drift.append(dataset.moved(state.mark, after.mark))
    if after.mark is not None and (after.mark == state.mark or (appended and not drift)):
        witnesses.append(dataset.witness)
    return Walked(
        state=state,
        evidence=evidence,
        source_state=after,
        witnesses=tuple(witnesses),
        drift=tuple(drift),
        appended=0 if drift else appended,
    )


def _unproven(state: WalkState, appended: int, after: SourceState, dataset: Dataset) -> list[str]:
    """Say why a grown list is not proven to have grown at its end alone; nothing if it is."""
    progress = state.progress
    grown = f"totalResults went from {progress.first_total} to {progress.total}"
    if not is_provable(state):
        return [f"{grown}, and nothing proves that the new {dataset.rows} come last"]
    if progress.newer != appended:
        return [f"{grown}, while {progress.newer} {dataset.rows} are newer than the walk"]
    if seconds_between(progress.last_created, after.mark) > EXPLAINED_WITHIN:
        return [f"{grown}, and {dataset.mark_name} ({after.mark}) tells of a change after that"]
    return []


def seconds_between(earlier: str, later: str | None) -> float:
    """Return the seconds between two instants as the vendor writes them; infinity if one is none."""
    try:
        return (datetime.fromisoformat(later or "") - datetime.fromisoformat(earlier)).total_seconds()
    except (ValueError, TypeError):
        return float("inf")
