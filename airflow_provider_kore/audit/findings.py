"""What an audit finds, and what to do about it: each kind of it is declared once, here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

WRONG: Final = "wrong"
"""What was landed is not what is there now."""
UNSEEN: Final = "unseen"
"""It could not be looked at, so nothing is said of it."""
NOTE: Final = "note"
"""Nothing is wrong with it; a reader should know it all the same."""

MOST_FINDINGS: Final = 1_000
"""Of one level that are kept in full; of the others it is known how many there are."""

_MOST_OF_ONE: Final = 20
"""Of one partition: a damaged table shall not hide the others."""

_LAND_AGAIN: Final = "Don't use it; take the snapshot again, and find out what else writes there."
_WHO: Final = "Find out who wrote there since; versions of the object, if the bucket keeps them, show what it was."


class Kind(NamedTuple):
    """What is found, by its name in JSON."""

    level: str
    todo: str


KINDS: Final[dict[str, Kind]] = {
    "manifest_missing": Kind(WRONG, "Take the snapshot again, or delete its files: nothing says what they are."),
    "manifest_unreadable": Kind(WRONG, "Move it away, and find out what else writes there."),
    "manifest_schema": Kind(WRONG, "Move it away, and find out what else writes there."),
    "manifest_changed": Kind(WRONG, _WHO),
    "manifest_foreign": Kind(WRONG, "Move it to where it belongs, or away: it is a copy from elsewhere."),
    "file_missing": Kind(WRONG, "Find out what deletes there, such as a lifecycle rule; take the snapshot again."),
    "file_changed": Kind(WRONG, _LAND_AGAIN),
    "file_unreadable": Kind(WRONG, _LAND_AGAIN),
    "file_of_another_snapshot": Kind(WRONG, _LAND_AGAIN),
    "rows_differ": Kind(WRONG, _LAND_AGAIN),
    "id_repeated": Kind(WRONG, _LAND_AGAIN),
    "counts_differ": Kind(WRONG, _LAND_AGAIN),
    "link_broken": Kind(WRONG, _WHO),
    "link_missing": Kind(WRONG, "Find out who deleted it: older snapshots are still there, so no expiry has done it."),
    "basis_differs": Kind(WRONG, _WHO),
    "not_looked_at": Kind(UNSEEN, ""),
    "keeps_changing": Kind(UNSEEN, "Verify again when nothing lands there."),
    "nothing_found": Kind(UNSEEN, "Check the address: it is a table, a list below it, or one day of a list."),
    "too_many_ids": Kind(UNSEEN, "Rows and bytes are verified; land such a list in several snapshots."),
    "no_digest": Kind(NOTE, ""),
    "not_chained": Kind(NOTE, ""),
    "chain_begins": Kind(NOTE, ""),
    "replaced_since": Kind(NOTE, ""),
    "file_rewritten": Kind(NOTE, ""),
    "inconsistent": Kind(NOTE, ""),
    "days_missing": Kind(NOTE, ""),
    "leftovers": Kind(NOTE, ""),
    "locks_not_looked_at": Kind(NOTE, ""),
}
"""Each is described in docs/verify.md."""


def worst(levels: Iterable[str]) -> str:
    """Return ``wrong`` if any level is, else ``unseen`` if any is, else ``fine``."""
    found = set(levels)
    return next((level for level in (WRONG, UNSEEN) if level in found), "fine")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found. Holds no contact data."""

    kind: str
    where: str
    """Its address, made fit to be shown."""
    what: str
    """One sentence, or several."""
    retry: bool = False
    """Whether it may be gone when it is looked at again."""

    def __str__(self) -> str:
        """Say all of it."""
        return f"{self.where}: {self.what} {self.todo}".rstrip()

    @property
    def level(self) -> str:
        """One of wrong, unseen and note."""
        return KINDS[self.kind].level

    @property
    def todo(self) -> str:
        """What to do about it; may be empty."""
        return KINDS[self.kind].todo


@dataclass(slots=True)
class Findings:
    """All that was found, as far as it is kept."""

    kept: list[Finding] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=lambda: dict.fromkeys((WRONG, UNSEEN, NOTE), 0))
    """How many there are of each level."""

    def add(self, found: list[Finding]) -> None:
        """Add what was found in one place, the worst first."""
        for number, one in enumerate(sorted(found, key=lambda each: [*self.numbers].index(each.level))):
            self.numbers[one.level] += 1
            if number < _MOST_OF_ONE and self.numbers[one.level] <= MOST_FINDINGS:
                self.kept.append(one)

    @property
    def left_out(self) -> int:
        """How many are not kept."""
        return sum(self.numbers.values()) - len(self.kept)

    @property
    def status(self) -> str:
        """What :func:`worst` says of all of them."""
        return worst(level for level, number in self.numbers.items() if number)
