"""What an earlier walk knew of a list, for one that continues where it ended.

A list that only ever grows at its end holds in front what it held before. A few requests prove that it has done nothing
else since, and where one of them does not, all of the list is walked:

- the page at the old end holds the ids that it held, at the same offset. Any contact that went from before it would
  have moved it, for new ones come last;
- pages at random places before it, the probes, hold the ids that they held: they catch a server that breaks its order;
- the total grew by as many contacts as are new, and each of those was created after the last thing that the earlier
  walk was told of the list;
- the list's mark (its ``updatedAt``) is the one of then, if nothing is new, or that of the newest contact.

What this cannot see is a contact that was edited in place, or exchanged in its place, before the last append.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import DriftError
from airflow_provider_kore.walk.ids import IdSet
from airflow_provider_kore.walk.page import INSTANT_LENGTH
from airflow_provider_kore.walk.proof import EXPLAINED_WITHIN, seconds_between

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_kore.walk.source import Dataset, SourceState
    from airflow_provider_kore.walk.state import WalkState


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A list at the end of an earlier walk, which had proven that it was so. Holds no rows."""

    snapshot_id: str
    rows: int
    mark: str
    """What it said of itself then."""
    last_created: str
    """The newest ``createdAt``."""
    page_rows: int
    """How many rows its server served in one page."""
    probes: int
    """How many pages in front of its end are to be looked at again."""

    @property
    def is_worth_it(self) -> bool:
        """Say whether building on it costs less than a walk over all of the list."""
        return self.rows > (2 + self.probes) * self.page_rows

    def places(self, seed: str) -> tuple[tuple[int, int], ...]:
        """Return offset and length of the pages to look at again: the one at the end, and the probes.

        :param seed: chooses the probes, so that each walk looks elsewhere, and what it looked at can be told later.
        """
        end = self.rows - self.page_rows
        starts = Random(seed).sample(range(end - self.page_rows + 1), self.probes)  # noqa: S311 - no secret
        return ((end, self.page_rows), *((start, self.page_rows) for start in sorted(starts)))


def ids_at(
    places: Iterable[tuple[int, int]], ids: Iterable[str], rows: int
) -> tuple[IdSet, list[tuple[int, tuple[str, ...]]]]:
    """Read all ids once; return them as a set, and those at certain places with their offsets.

    :param places: offsets and lengths.
    :param rows: how many there must be.

    Raises DriftError if there are more or fewer.
    """
    seen = IdSet()
    found: dict[tuple[int, int], list[str]] = {place: [] for place in places}
    at, source = 0, iter(ids)
    while some := list(islice(source, 1_000)):
        seen.add_all(some)
        for start, length in found:
            if at < start + length and start < at + len(some):
                found[start, length] += some[max(start - at, 0) : start + length - at]
        at += len(some)
    if at != rows:
        raise DriftError(f"The last snapshot holds {at:,} rows, and its manifest says {rows:,}.")
    return seen, [(start, tuple(there)) for (start, _), there in found.items()]


def doubt(state: WalkState, after: SourceState, dataset: Dataset) -> str | None:
    """Say why a list may have done something else than grow since the earlier walk; None if nothing says so.

    :param state: at the end of the walk that went on.
    :param after: what the source said of itself after the last page.
    """
    continued, progress = state.continued, state.progress
    if continued is None or progress.offset == continued.rows:
        return None
    if not progress.ascending:
        return f"the new {dataset.rows} are not in the order they were created"
    if len(continued.mark) != INSTANT_LENGTH or continued.first_new <= continued.mark:
        return f"of the new {dataset.rows}, some were created before the last snapshot was taken"
    if seconds_between(progress.last_created, after.mark) > EXPLAINED_WITHIN:
        return f"{dataset.mark_name} ({after.mark}) tells of a change after the newest {dataset.row} was created"
    return None
