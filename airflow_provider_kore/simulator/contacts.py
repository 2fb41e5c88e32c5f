"""A contact list of any length, of which only order, times and changes are held in memory.

Every contact has a serial number, in order of creation; its place and its time take sixteen bytes, and its JSON is
printed from its serial when a page asks for it. What cannot be computed (contacts given as they are, contacts that were
updated) lies in a dictionary over it.
"""

from __future__ import annotations

import json
import time
from array import array
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
        self._order = array("q")
        self._texts: dict[int, str] = {}
        self._born = array("q")
        self._by_id: tuple[int, array[int]] = (-1, array("q"))

    def __len__(self) -> int:
        """Count the contacts that a full walk finds."""
        return len(self._order)

    def grow(self, n: int, *, at_start: bool = False, born_ms: int | None = None) -> None:
        """Add ``n`` generated contacts, one millisecond apart, at the end or at the beginning.

        :param born_ms: when the first of them was created; None for now. Never before an older contact.
        """
        if n < 0:
            raise ValueError(f"{n} contacts: use a number from 0 on")
        first, born = len(self._born), self._birth(born_ms)
        self._born.extend(range(born, born + n))
        place = 0 if at_start else len(self)
        self._order[place:place] = array("q", range(first, first + n))
        self.version += 1

    def add(self, contacts: Iterable[Contact], *, born_ms: int | None = None) -> None:
        """Add contacts as they are given; see :data:`Contact`.

        Raises ``json.JSONDecodeError`` for text that is no JSON.
        """
        first, born = len(self._born), self._birth(born_ms)
        texts = {
            first + place: self._as_text(contact, first + place, born + place) for place, contact in enumerate(contacts)
        }
        self.grow(len(texts), born_ms=born)
        self._texts.update(texts)

    def remove(self, index: int, n: int = 1) -> int:
        """Remove ``n`` contacts from position ``index`` on and return how many there were to remove."""
        removed = self._order[index : index + n] if index >= 0 else ()
        for serial in removed:
            self._texts.pop(serial, None)
        del self._order[index : index + len(removed)]
        self.version += 1
        return len(removed)

    def update(self, index: int, fields: Mapping[str, object]) -> None:
        """Set fields of the contact at position ``index``; its ``updatedAt`` becomes now unless it is given.

        Raises IndexError if there is no such contact.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"no contact at index {index}: the list holds {len(self)}")
        serial = self._order[index]
        contact = {**json.loads(self._text(serial)), "updatedAt": timestamp(now_ms()), **fields}
        self._texts[serial] = json.dumps(contact)
        self.version += 1

    def texts(self, start: int, stop: int, sort: Sort = "insertion") -> list[str]:
        """Print the contacts at positions ``start`` to ``stop`` of that order; fewer where the list ends."""
        return [self._text(serial) for serial in self._sorted(start, stop, sort)]

    def contact_ids(self, start: int, stop: int, sort: Sort = "insertion") -> list[str]:
        """Their ids only, without printing each contact. A text without ``_id`` counts as an empty id."""
        return [self._id(serial) for serial in self._sorted(start, stop, sort)]

    def _sorted(self, start: int, stop: int, sort: Sort) -> Iterable[int]:
        if sort == "newest_first":
            start, stop = len(self) - stop, len(self) - start
            return reversed(self._order[max(0, start) : max(0, stop)])
        if sort == "id":
            if self._by_id[0] != self.version:
                self._by_id = (self.version, array("q", sorted(self._order, key=self._id)))
            return self._by_id[1][start:stop]
        return self._order[start:stop]

    def _birth(self, born_ms: int | None) -> int:
        """Return when the next contact is created, in milliseconds."""
        earliest = self._born[-1] + 1 if self._born else 0
        return max(now_ms() if born_ms is None else born_ms, earliest)

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
            "stamp": timestamp(self._born[serial]),
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
