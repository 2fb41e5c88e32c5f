"""A set of ids that costs some 12 to 27 bytes each, whatever their length."""

from __future__ import annotations

from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Final

_SMALLEST: Final = 1 << 10


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
        # 0 marks a free slot.
        mark = hash(identifier) & 0xFFFF_FFFF_FFFF_FFFF or 1
        slots, mask = self._slots, self._mask
        position = mark & mask
        while (found := slots[position]) != 0:
            if found == mark:
                return False
            position = (position + 1) & mask
        slots[position] = mark
        self._count += 1
        if self._count * 3 > len(slots) * 2:
            self._grow()
        return True

    def __contains__(self, identifier: str) -> bool:
        mark = hash(identifier) & 0xFFFF_FFFF_FFFF_FFFF or 1
        position = mark & self._mask
        while (found := self._slots[position]) != 0:
            if found == mark:
                return True
            position = (position + 1) & self._mask
        return False

    def _grow(self) -> None:
        old = self._slots
        slots = _free_slots(2 * len(old))
        mask = len(slots) - 1
        for mark in old:
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
    return memoryview(mmap(-1, 8 * number, flags=MAP_PRIVATE | MAP_ANONYMOUS)).cast("Q")
