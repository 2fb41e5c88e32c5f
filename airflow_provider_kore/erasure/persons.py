"""Who is to be forgotten, as given; which row of a table is theirs; and where else they are mentioned."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final

from airflow_provider_kore.erasure.names import Names, Pseudonyms, encoded
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.formats.columns import text_of
from airflow_provider_kore.json_text import cells, spans
from airflow_provider_kore.snapshot.fields import hash_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.erasure.given import Given
    from airflow_provider_kore.stop import Stop

ID: Final = "_id"
CHARACTERS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_+-"
"""Ids, phone numbers and hashes are runs of these; of any other name, the pieces between its other characters are."""
TOKEN: Final = re.compile(rb"[0-9A-Za-z_+\-]{6,256}")
_run = re.compile(rb"[0-9A-Za-z_+\-]+")
_inside_run = re.compile(rb"[0-9A-Za-z_+\-]{2}").match
_escapes = re.compile(rb'(?:\\u[0-9a-fA-F]{4})+|\\["\\/bfnrt]')
"""How JSON may spell a character."""
_MOST_RUNLESS: Final = 1_000
_SIDES: Final = ("contact", "before")
"""Members of a change that hold a contact."""
_ROWS_AT_ONCE: Final = 1_000


@dataclass(slots=True)
class Sifted:
    """What a file holds."""

    rows: int = 0
    """That stay."""
    erased: int = 0
    """That are of a person."""
    changes: Counter[str] = field(default_factory=Counter)
    """Of a table of changes, how many of the rows that stay are added, changed and gone."""


@dataclass(slots=True, kw_only=True)
class Persons:
    """Ids and phone numbers, and what was learned from the rows that have them."""

    fields: frozenset[str]
    """Names of the fields that hold a phone number."""
    key: bytes | None = field(default=None, repr=False)
    """Of the hash policy; None: there is none."""
    ids: Names = field(default_factory=Names, repr=False)
    phones: Names = field(default_factory=Names, repr=False)
    hashes: Names = field(default_factory=Names, repr=False)
    """The phone numbers as the hash policy lands them."""
    learned: Names = field(default_factory=Names, repr=False)
    """Ids of contacts with such a phone number: where a table has that masked, or not at all, they are the same."""
    found: Names = field(default_factory=Names, repr=False)
    """Those given that were found, phone numbers as they landed."""
    pseudonyms: Pseudonyms | None = field(default=None, repr=False)
    """Of the ids that were learned, for a later try."""
    earlier: list[Pseudonyms] = field(default_factory=list, repr=False)
    """Of those that earlier tries have learned."""

    _odd: Names = field(default_factory=Names, repr=False)
    """Names that are no :data:`TOKEN`, as plain text, JSON and CSV spell them."""
    _starts: Names = field(default_factory=Names, repr=False)
    """The first run of each of these."""
    _shapes: set[tuple[int, int]] = field(default_factory=set, repr=False)
    """Where that run stands in it, and how long it is."""
    _runless: list[bytes] = field(default_factory=list, repr=False)
    """The first thousand of those without any."""

    def __len__(self) -> int:
        return len(self.ids) + len(self.phones)

    def add_id(self, identifier: str) -> None:
        """Add a contact's ``_id``."""
        self._keep(self.ids, encoded(identifier))

    def add(self, each: Given) -> None:
        """Add what was given."""
        if each.kind == "id":
            self.add_id(each.value)
            return
        self._keep(self.phones, encoded(each.value))
        if self.key is not None:
            self.hashes.add(_hashed(each.value, self.key))

    def is_found(self, each: Given) -> bool:
        """Say whether what was given was found."""
        is_hashed = each.kind == "phone" and self.key is not None and _hashed(each.value, self.key) in self.found
        return is_hashed or encoded(each.value) in self.found

    def _keep(self, names: Names, name: bytes) -> bool:
        if not names.add(name):
            return False
        if not TOKEN.fullmatch(name):
            for spelt in {name, name.replace(b'"', b'""')}:
                if run := _run.search(spelt):
                    self._odd.add(spelt)
                    self._starts.add(run[0])
                    self._shapes.add((run.start(), len(spelt)))
                elif len(self._runless) < _MOST_RUNLESS:
                    self._runless.append(spelt)
        return True

    def are_in(self, text: bytes) -> bool:
        """Say whether one of them stands somewhere in a text, whatever it is; never as a part of a longer name."""
        return self._are_in(text) or (
            b"\\" in text and self._are_in(_escapes.sub(lambda it: encoded(json.loads(b'"%b"' % it[0])), text))
        )

    def _are_in(self, text: bytes) -> bool:
        tokens = TOKEN.findall(text)
        if any(names.has_any(tokens) for names in (self.ids, self.phones, self.hashes, self.learned)):
            return True
        for run in _run.finditer(text) if self._starts else ():
            if run[0] in self._starts:
                places = ((run.start() - lead, length) for lead, length in self._shapes if run.start() >= lead)
                if any(
                    text[at : at + length] in self._odd and not _inside_run(text, at + length - 1)
                    for at, length in places
                ):
                    return True
        return any(each in text for each in self._runless)

    @property
    def fingerprint(self) -> bytes:
        """What stands for all that was given."""
        return self.ids.fingerprint + self.phones.fingerprint

    def knows(self, identifier: bytes) -> bool:
        """Say whether an id is one that was given, or learned."""
        if identifier in self.ids:
            self.found.add(identifier)
            return True
        return identifier in self.learned or any(identifier in each for each in self.earlier)

    def has_row(self, identifier: str, fields: Mapping[str, object], text: str, *, learn: bool = True) -> bool:
        """Say whether a row is of a person.

        :param fields: those that hold phone numbers; with a text, any others, too.
        :param text: the row as JSON; empty where a file holds none.
        :param learn: whether to learn its id from its phone number: not where anybody may have written it.
        """
        name = encoded(identifier)
        is_known = self.knows(name)
        numbers = map(encoded, self._phones_of(fields, text)) if self.phones else ()
        hits = [number for number in numbers if number in self.phones or number in self.hashes]
        for hit in hits:
            self.found.add(hit)
        if hits and learn and name not in self.ids and self._keep(self.learned, name) and self.pseudonyms is not None:
            self.pseudonyms.add(name)
        return is_known or bool(hits)

    def sift(
        self, file: BinaryIO, into: BinaryIO | None, form: tuple[str, str], stop: Stop, *, learn: bool = True
    ) -> Sifted:
        """Read a file, and copy all rows but theirs into another one.

        :param into: None: only count.
        :param form: format and compression.
        :param learn: as above.

        Raises CorruptSnapshotError if it has another form, ParameterError if a library is missing.
        """
        name, compression = form
        FORMATS[name].require(compression)
        found = Sifted()

        def keep(identifier: str, fields: Mapping[str, object], text: str) -> bool:
            if not found.rows % _ROWS_AT_ONCE:
                stop.check()
            if self.has_row(identifier, fields, text, learn=learn):
                found.erased += 1
                return False
            found.rows += 1
            if "change" in fields:
                found.changes[str(fields["change"])] += 1
            return True

        shown = self.fields if self.phones else frozenset()
        FORMATS[name].sift(file, into, compression=compression, fields=shown, keep=keep)
        return found

    def _phones_of(self, fields: Mapping[str, object], text: str) -> list[str]:
        """Return the phone numbers of a row, of a change those of both its sides.

        Of a number in JSON its digits count, of a name that stands twice both values.
        """
        if not text:
            return [_spelt(value) for value in fields.values() if value is not None and value != ""]
        found = self._of_object(fields, text)
        if "change" in fields:
            for name, _, start, end in spans(text):
                side = fields.get(name)
                if name in _SIDES and isinstance(side, dict):
                    found += self._of_object(side, text[start:end])
        return found

    def _of_object(self, value: Mapping[str, object], text: str) -> list[str]:
        found: list[str] = []
        for name in self.fields & value.keys():
            there = value[name]
            if text.count(f'"{name}"') > 1:  # in another value, or twice as a name
                raw = [text[start:end] for key, _, start, end in spans(text) if key == name]
                found += [text_of(cells(f'{{"a": {each}}}')["a"]) or "" for each in raw]
            elif isinstance(there, str):
                found.append(there)
            elif there is not None:
                found.append(text_of(cells(text)[name]) or "")
        return [each for each in found if each]


def _hashed(number: str, key: bytes) -> bytes:
    """Return a phone number as the hash policy lands it: 64 hexadecimal digits."""
    return hash_value(json.dumps(number), key).strip('"').encode()


def _spelt(value: object) -> str:
    """Return a value of a column as a number without a fraction was written, or a text."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
