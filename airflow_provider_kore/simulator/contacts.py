"""A contact list of any length, of which only the changes are held in memory.

Every contact has a serial number, in order of creation. A list's order is a few ranges of serials; a contact's JSON is
printed from its serial when a page asks for it. What cannot be computed (contacts given as they are, contacts that were
updated) lies in a dictionary over it.
"""

from __future__ import annotations

import json
import time
from array import array
from bisect import bisect_right
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Contact: TypeAlias = "Mapping[str, Any] | str"
"""A contact to serve: fields (``_id`` and timestamps are filled in), or JSON text served as it is."""
Sort = Literal["insertion", "newest_first", "id"]

FIRST_CREATED_MS = 1_765_254_524_832
"""2025-12-09T04:28:44.832Z, the timestamp in the vendor's sample: the same list looks the same on every day."""

_FIRST_NAMES = ("Ana", "Bo", "Chidi", "Dalia", "Emre", "Fatou", "Göran", "Hana", "Inés", "Jun", "Kofi", "Lucía", "Mei")
_LAST_NAMES = ("Ali", "Brown", "Cruz", "Díaz", "Eze", "Fischer", "García", "Haddad", "Ito", "Jensen", "Khan")
_TIME_ZONES = ("America/New_York", "America/Chicago", "America/Los_Angeles", "Europe/Berlin", "Asia/Kolkata")
_GENERATED = {
    "_id": '"%(id)s"',
    "createdAt": '"%(stamp)s"',
    "updatedAt": '"%(stamp)s"',
    "phoneNumber": '"+1555%(index)07d"',
    "firstName": '"%(first)s"',
    "lastName": '"%(last)s"',
    "timeZone": '"%(zone)s"',
    "uniqueId": '"u-%(index)d"',
    "contactPriority": '"%(priority)d"',
}


def now_ms() -> int:
    """Read the machine's clock in whole milliseconds, the resolution of the vendor's timestamps."""
    return time.time_ns() // 1_000_000


def timestamp(ms: int) -> str:
    """Milliseconds since 1970 in the vendor's format: ``2025-12-09T04:28:44.832Z``."""
    second, rest = divmod(ms, 1000)
    return f"{_second(second)}.{rest:03d}Z"


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class ContactList:
    """The contacts of one list in their order of insertion."""

    def __init__(
        self,
        list_id: str,
        *,
        ids: Literal["ascending", "random"] = "ascending",
        seed: int = 0,
        columns: Mapping[str, object] | None = None,
    ) -> None:
        """Start empty.

        :param list_id: makes the ids of two lists differ.
        :param ids: how ids look; see ``Settings.ids``.
        :param seed: varies random-looking ids.
        :param columns: further fields of every generated contact. ``{index}`` in a text becomes the contact's serial
            number; a name that is generated anyway replaces that field.
        """
        self.version = 0
        self._key = blake2b(f"{list_id}/{seed}".encode(), digest_size=16).digest()
        self._prefix = self._key.hex()[:8]
        self._random_ids = ids == "random"
        self._template = _template(columns or {})
        self._order: list[range] = []
        self._ends: list[int] = []
        self._texts: dict[int, str] = {}
        self._births: list[tuple[int, int]] = []
        self._next_serial = 0
        self._by_id: tuple[int, array[int]] = (-1, array("q"))

    def __len__(self) -> int:
        """Count the contacts that a full walk finds."""
        return self._ends[-1] if self._ends else 0

    def grow(self, n: int, *, at_start: bool = False, born_ms: int | None = None) -> None:
        """Add ``n`` generated contacts, one millisecond apart, at the end or at the beginning.

        :param born_ms: when the first of them was created; None for now. Never before an older contact.
        """
        if n < 0:
            msg = f"{n} contacts: use a number from 0 on"
            raise ValueError(msg)
        if n == 0:
            return
        self._births.append((self._next_serial, self._birth(born_ms)))
        added = range(self._next_serial, self._next_serial + n)
        self._next_serial = added.stop
        if at_start:
            self._order.insert(0, added)
        elif self._order and self._order[-1].stop == added.start:
            self._order[-1] = range(self._order[-1].start, added.stop)
        else:
            self._order.append(added)
        self._changed()

    def add(self, contacts: Iterable[Contact], *, born_ms: int | None = None) -> int:
        """Add contacts as they are given and return how many; see :data:`Contact`.

        Raises ``json.JSONDecodeError`` for text that is no JSON.
        """
        first = self._next_serial
        born = self._birth(born_ms)
        texts = {
            first + place: self._as_text(contact, first + place, born + place) for place, contact in enumerate(contacts)
        }
        self.grow(len(texts), born_ms=born)
        self._texts.update(texts)
        return len(texts)

    def remove(self, index: int, n: int = 1) -> int:
        """Remove ``n`` contacts from position ``index`` on and return how many there were to remove."""
        before = len(self)
        stop = min(index + n, before)
        if not 0 <= index < stop:
            return 0
        for serial in self._serials(index, stop):
            self._texts.pop(serial, None)
        self._order = [*self._slices(0, index), *self._slices(stop, before)]
        self._changed()
        return stop - index

    def update(self, index: int, fields: Mapping[str, object]) -> None:
        """Set fields of the contact at position ``index``; its ``updatedAt`` becomes now unless it is given.

        Raises IndexError if there is no such contact.
        """
        if not 0 <= index < len(self):
            msg = f"no contact at index {index}: the list holds {len(self)}"
            raise IndexError(msg)
        serial = next(self._serials(index, index + 1))
        contact = {**json.loads(self._text(serial)), "updatedAt": timestamp(now_ms()), **fields}
        self._texts[serial] = json.dumps(contact)
        self._changed()

    def texts(self, start: int, stop: int, sort: Sort = "insertion") -> list[str]:
        """Print the contacts at positions ``start`` to ``stop`` of that order; fewer where the list ends."""
        return [self._text(serial) for serial in self._sorted(start, stop, sort)]

    def contact_ids(self, start: int, stop: int, sort: Sort = "insertion") -> list[str]:
        """Their ids only, without printing each contact. A text without ``_id`` counts as an empty id."""
        return [self._id(serial) for serial in self._sorted(start, stop, sort)]

    def _sorted(self, start: int, stop: int, sort: Sort) -> Iterable[int]:
        stop = min(stop, len(self))
        if not 0 <= start < stop:
            return ()
        if sort == "newest_first":
            return reversed(list(self._serials(len(self) - stop, len(self) - start)))
        if sort == "id":
            if self._by_id[0] != self.version:
                self._by_id = (self.version, array("q", sorted(self._serials(0, len(self)), key=self._id)))
            return self._by_id[1][start:stop]
        return self._serials(start, stop)

    def _slices(self, start: int, stop: int) -> Iterator[range]:
        place = bisect_right(self._ends, start)
        while start < stop:
            piece = self._order[place]
            begin = self._ends[place] - len(piece)
            cut = piece[start - begin : stop - begin]
            yield cut
            start += len(cut)
            place += 1

    def _serials(self, start: int, stop: int) -> Iterator[int]:
        for piece in self._slices(start, stop):
            yield from piece

    def _changed(self) -> None:
        self.version += 1
        self._ends = list(accumulate(map(len, self._order)))

    def _birth(self, born_ms: int | None) -> int:
        earliest = self._created_ms(self._next_serial - 1) + 1 if self._births else 0
        return max(now_ms() if born_ms is None else born_ms, earliest)

    def _created_ms(self, serial: int) -> int:
        first, born = self._births[bisect_right(self._births, (serial, 1 << 62)) - 1]
        return born + serial - first

    def _generated_id(self, serial: int) -> str:
        if self._random_ids:
            return "cc-" + blake2b(serial.to_bytes(8, "big"), key=self._key, digest_size=12).hexdigest()
        return f"cc-{self._prefix}{serial:016x}"

    def _id(self, serial: int) -> str:
        text = self._texts.get(serial)
        if text is None:
            return self._generated_id(serial)
        contact = json.loads(text)
        return str(contact.get("_id", "")) if isinstance(contact, dict) else ""

    def _text(self, serial: int) -> str:
        text = self._texts.get(serial)
        if text is not None:
            return text
        return self._template % {
            "id": self._generated_id(serial),
            "stamp": timestamp(self._created_ms(serial)),
            "index": serial,
            "first": _FIRST_NAMES[serial % len(_FIRST_NAMES)],
            "last": _LAST_NAMES[serial % len(_LAST_NAMES)],
            "zone": _TIME_ZONES[serial % len(_TIME_ZONES)],
            "priority": serial % 10,
        }

    def _as_text(self, contact: Contact, serial: int, born_ms: int) -> str:
        if isinstance(contact, str):
            json.loads(contact)
            return contact
        stamp = timestamp(born_ms)
        # Escaped to ASCII, so that a lone surrogate survives the way through UTF-8.
        return json.dumps({"_id": self._generated_id(serial), "createdAt": stamp, "updatedAt": stamp, **contact})


def _template(columns: Mapping[str, object]) -> str:
    custom = {
        name: json.dumps(value).replace("%", "%%").replace("{index}", "%(index)d") for name, value in columns.items()
    }
    pairs = {**_GENERATED, **custom}
    return "{" + ",".join(f"{json.dumps(name).replace('%', '%%')}:{value}" for name, value in pairs.items()) + "}"
