"""Who is to be forgotten, as given; and which row of a table is theirs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_kore.erasure.names import Names, Pseudonyms, encoded
from airflow_provider_kore.json_text import cells, spans
from airflow_provider_kore.snapshot.fields import hash_value

ID: Final = "_id"
TOKEN: Final = re.compile(rb"[0-9A-Za-z_+\-]{6,256}")
"""A piece of text that may be an id, a phone number or a hash: shorter ones stand everywhere."""
_MOST_ODD: Final = 1_000
_escape = re.compile(rb"\\u00([0-7][0-9a-fA-F])")
"""How JSON may spell a character of ASCII."""
_SIDES: Final = ("contact", "before")
"""Members of a change that hold a contact."""


@dataclass(slots=True, kw_only=True)
class Persons:
    """Ids and phone numbers, and what was learned from the rows that have them."""

    fields: frozenset[str]
    """Names of the fields that hold a phone number."""
    ids: Names = field(default_factory=Names, repr=False)
    phones: Names = field(default_factory=Names, repr=False)
    hashes: Names = field(default_factory=Names, repr=False)
    """The phone numbers as the hash policy lands them."""
    learned: Names = field(default_factory=Names, repr=False)
    """Ids of contacts with such a phone number: where a table has that masked, or not at all, they are the same."""
    found: Names = field(default_factory=Names, repr=False)
    """Those given that were found, phone numbers as they landed."""
    noted: bytearray = field(default_factory=bytearray, repr=False)
    """Pseudonyms of the ids that were learned."""
    earlier: Names = field(default_factory=Names, repr=False)
    """Those that an earlier try has learned."""
    pseudonyms: Pseudonyms | None = field(default=None, repr=False)

    odd: list[bytes] = field(default_factory=list, repr=False)
    """Those given that are no :data:`TOKEN`: the first thousand."""

    def __len__(self) -> int:
        return len(self.ids) + len(self.phones)

    def add_id(self, identifier: str) -> None:
        """Add a contact's ``_id``."""
        self._keep(self.ids, encoded(identifier))

    def add_phone(self, number: str, key: bytes | None) -> None:
        """Add a phone number.

        :param key: of the hash policy; None: there is none.
        """
        self._keep(self.phones, encoded(number))
        if key is not None:
            self.hashes.add(hashed(number, key))

    def _keep(self, names: Names, name: bytes) -> None:
        if names.add(name) and not TOKEN.fullmatch(name) and len(self.odd) < _MOST_ODD:
            self.odd.append(name)

    def traces(self, text: bytes) -> int:
        """Count how often one of them stands somewhere in a text, whatever it is."""
        if b"\\u00" in text:
            text = _escape.sub(lambda found: bytes([int(found[1], 16)]), text)
        tokens = TOKEN.findall(text)
        known = (self.ids, self.phones, self.hashes, self.learned)
        return sum(names.count(tokens) for names in known if names) + sum(text.count(each) for each in self.odd)

    @property
    def fingerprint(self) -> bytes:
        """What stands for all that was given."""
        return self.ids.fingerprint + self.phones.fingerprint

    def knows(self, identifier: bytes) -> bool:
        """Say whether an id is one that was given, or learned."""
        if identifier in self.ids:
            self.found.add(identifier)
            return True
        if identifier in self.learned:
            return True
        return len(self.earlier) > 0 and self.pseudonyms is not None and self.pseudonyms.of(identifier) in self.earlier

    def has_phone(self, texts: list[bytes]) -> bool:
        """Say whether a row's phone numbers, as they landed, hold one that was given."""
        hits = [text for text in texts if text in self.phones or text in self.hashes]
        for hit in hits:
            self.found.add(hit)
        return bool(hits)

    def is_row(self, identifier: str, texts: list[str]) -> bool:
        """Say whether a row is of a person, and learn its id from its phone number."""
        name = encoded(identifier)
        if self.phones and texts and self.has_phone([encoded(text) for text in texts]):
            self.knows(name)  # notes that a given id was found
            if name not in self.ids and self.learned.add(name) and self.pseudonyms is not None:
                self.noted += self.pseudonyms.of(name)
            return True
        return self.knows(name)

    def phones_of(self, row: dict[str, Any], text: str) -> list[str]:
        """Return the phone numbers of a row in JSON, of a change those of both its sides.

        :param row: parsed.
        :param text: as it was written: of a number its digits count, of a name that stands twice both values.
        """
        if not self.phones:
            return []
        found = self._of_object(row, text)
        if "change" in row:
            raw = {name: text[start:end] for name, _, start, end in spans(text) if name in _SIDES}
            for name, side in raw.items():
                value = row.get(name)
                if isinstance(value, dict):
                    found += self._of_object(value, side)
        return found

    def _of_object(self, value: dict[str, Any], text: str) -> list[str]:
        found: list[str] = []
        for name in self.fields & value.keys():
            if text.count(f'"{name}"') > 1:  # in another value, or twice as a name
                found += [_text_of(text[start:end]) for key, _, start, end in spans(text) if key == name]
            elif isinstance(value[name], str):
                found.append(value[name])
            elif value[name] is not None:
                found.append(_text_of_cell(cells(text)[name]))
        return [each for each in found if each]


def hashed(number: str, key: bytes) -> bytes:
    """Return a phone number as the hash policy lands it: 64 hexadecimal digits."""
    return hash_value(json.dumps(number), key).strip('"').encode()


def _text_of(raw: str) -> str:
    return _text_of_cell(cells(f'{{"a": {raw}}}')["a"])


def _text_of_cell(cell: object) -> str:
    if cell is None:
        return ""
    return str(cell).lower() if isinstance(cell, bool) else str(cell)
