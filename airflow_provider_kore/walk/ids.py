"""A set of ids that costs some 12 to 27 bytes each, whatever their length."""

from __future__ import annotations

from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_SMALLEST: Final = 1 << 10
_MOST_EXPECTED: Final = 1_000_000


class IdSet:
    """Which ids have been seen, by 64-bit hash.

    A built-in set of a million ids takes some 130 MB, this one 17. Two different ids share a hash, and the second would
    pass for a duplicate, with a probability below 3 in 100 million for a list of a million.
    Hashes are salted anew in each process (PYTHONHASHSEED), so a retry does not repeat the accident.
    """

    __slots__ = ("_count", "_mask", "_slots")

    def __init__(self) -> None:
        self._slots = _free_slots(_SMALLEST)
        self._mask = _SMALLEST - 1
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, identifier: str) -> bool:
        """Add an id; return False if it was there already."""
        return not self.add_all((identifier,))

    def add_all(self, identifiers: Sequence[str]) -> list[int]:
        """Add ids; return the positions of those that were there already, or stand among these a second time."""
        self._make_room(self._count + len(identifiers))
        slots, mask = self._slots, self._mask
        repeated = []
        for number, mark in enumerate(map(hash, identifiers)):
            mark = mark or 1  # noqa: PLW2901  # 0 marks a free slot
            position = mark & mask
            while found := slots[position]:
                if found == mark:
                    repeated.append(number)
                    break
                position = (position + 1) & mask
            else:
                slots[position] = mark
        self._count += len(identifiers) - len(repeated)
        return repeated

    def __contains__(self, identifier: str) -> bool:
        mark = hash(identifier) or 1
        position = mark & self._mask
        while found := self._slots[position]:
            if found == mark:
                return True
            position = (position + 1) & self._mask
        return False

    def expect(self, number: int) -> None:
        """Prepare for so many ids in all, or a million: moving them about costs as much as adding them."""
        self._make_room(min(number, _MOST_EXPECTED))

    def _make_room(self, number: int) -> None:
        old = self._slots
        size = len(old)
        while number * 3 > size * 2:
            size *= 2
        if size == len(old):
            return
        slots, mask = _free_slots(size), size - 1
        for mark in old if self._count else ():
            if mark:
                position = mark & mask
                while slots[position]:
                    position = (position + 1) & mask
                slots[position] = mark
        self._slots, self._mask = slots, mask


def _free_slots(number: int) -> memoryview:
    """Return so many slots of 8 bytes, straight from the operating system, which gets them back at once.

    From the C library's heap, the tables that a set grows out of leave holes: a second set of a million ids then
    cost 40 MB instead of 24.
    """
    return memoryview(mmap(-1, 8 * number, flags=MAP_PRIVATE | MAP_ANONYMOUS)).cast("q")
