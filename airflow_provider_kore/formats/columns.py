"""Which columns a snapshot has, and of what type: found row by row, merged chunk by chunk.

A table needs its columns before its first row, and custom fields may turn up in the last contact of a list. So each
staged chunk carries a small summary of its own; merged, they say what the file will look like without a further pass.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.json_text import Cell, Nested, Number, cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

ID = "_id"
"""The vendor's name of a contact's identity; every table's first column."""

TIMESTAMPS = frozenset({"createdAt", "updatedAt"})
"""The contact fields that the vendor documents as points in time. A custom field that looks like one stays text: it
might look like one today only, and a column that changes its type between two snapshots breaks the table over them."""

MAX_COLUMNS = 2_000
"""More different fields than any list of people has; beyond it a table's own bookkeeping would outgrow its rows."""

MAX_NAMES = 256 * 1024
"""Characters of all names together, for the same reason: a field's name may be as long as a page."""

# What was seen in a column. One bit each; a union of chunks is the bitwise or.
NULL = 1
STRING = 2
TIMESTAMP = 4  # in a column of TIMESTAMPS, whole milliseconds or coarser
BOOLEAN = 8
SMALL = 16  # an integer that a double holds exactly: up to 2**53
INTEGER = 32  # an integer of 64 bits
FLOAT = 64  # a fraction whose digits a double gives back
LONG = 128  # a number with more digits than either holds
NESTED = 256

TIMESTAMP_TYPE = "timestamp[ms, UTC]"

KINDS_OF_TYPE = {
    TIMESTAMP_TYPE: TIMESTAMP,
    "boolean": BOOLEAN,
    "int64": SMALL | INTEGER,
    "double": SMALL | FLOAT,
    "json": NESTED,
}
"""What a column may hold, besides null, to be of such a type. Whatever fits none of them is ``string``."""

TYPES = (*KINDS_OF_TYPE, "string")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
FIRST_INSTANT = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
LAST_INSTANT = (datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC) - _EPOCH) // _MILLISECOND
"""Milliseconds since 1970: beyond these years a time has no name that every reader knows."""
_timestamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3}0*)?(Z|[+-]\d\d:\d\d)", re.ASCII).fullmatch


class Column(NamedTuple):
    """A column of a written file."""

    name: str
    type: str
    """``string``, ``json`` (JSON text), ``int64``, ``double``, ``boolean`` or ``timestamp[ms, UTC]``."""


class ColumnSet:
    """The fields of some rows in the order they were first seen, and the kinds of values each one held.

    :param typed: whether a table is made of them, which needs every name and every kind. If not, names beyond
        :data:`MAX_COLUMNS` or :data:`MAX_NAMES` are left out, and :attr:`truncated` says so.
    :param times: the fields of which a text may be a point in time.
    """

    __slots__ = ("_characters", "_kinds", "_types", "times", "truncated", "typed")

    def __init__(self, *, typed: bool = True, times: frozenset[str] = TIMESTAMPS) -> None:
        """Begin with nothing seen."""
        self.typed = typed
        self.times = times
        self._types: Mapping[str, str] = {}
        self.truncated = False
        """Whether fields were seen that are not among these."""
        self._kinds: dict[str, int] = {}
        self._characters = 0

    @classmethod
    def of(cls, rows: Iterable[str]) -> Self:
        """Read these rows (raw JSON objects) and return their columns."""
        found = cls()
        for row in rows:
            found.add(row)
        return found

    @classmethod
    def known(cls, columns: Iterable[tuple[str, str]], *, typed: bool, times: frozenset[str] = TIMESTAMPS) -> Self:
        """Return the columns of a written file, by their names and types, as if its rows had been read."""
        found = cls(typed=typed, times=times)
        for name, type_ in columns:
            found._begin(name, KINDS_OF_TYPE.get(type_, STRING))
        return found

    def add(self, raw: str) -> None:
        """Take in one contact, a raw JSON object.

        Raises ParameterError for more fields than a table may have, and knows as many as before; ValueError if it is
        no JSON object.
        """
        if self.truncated:
            return
        kinds, times = self._kinds, self.times
        for name, cell in cells(raw).items():
            seen = STRING if cell.__class__ is str and name not in times else kind_of(cell)
            if name in kinds:
                kinds[name] |= seen
            else:
                self._begin(name, seen)

    def merge(self, other: ColumnSet) -> None:
        """Take in what another set has seen; its new names come after the known ones.

        Raises ParameterError for more fields than a table may have.
        """
        for name, kinds in other._kinds.items():
            if name in self._kinds:
                self._kinds[name] |= kinds
            else:
                self._begin(name, kinds)
        self.truncated = self.truncated or other.truncated

    def copy(self) -> Self:
        """Return the same, to be added to apart from this one."""
        return self._like(self, {})

    def settled(self, first: Iterable[str], types: Mapping[str, str]) -> Self:
        """Return the columns of a table: those that come first in their order, then the others that were seen.

        :param types: of some of them, by field; they hold all that was seen.
        """
        return self._like(self, types, dict.fromkeys([ID, *first, *self._kinds]))

    @classmethod
    def _like(cls, other: ColumnSet, types: Mapping[str, str], names: Iterable[str] | None = None) -> Self:
        """Return the same of these names; None: of all."""
        found = cls(typed=other.typed, times=other.times)
        found._types, found.truncated = types, other.truncated
        if names is None:
            found._kinds, found._characters = dict(other._kinds), other._characters
        for name in names or ():
            found._begin(name, other._kinds.get(name, NULL))
        return found

    def kinds_of(self, name: str) -> int:
        """Return the kinds of values that were seen in a field."""
        return self._kinds.get(name, NULL)

    def type_of(self, name: str) -> str:
        """Return the narrowest type that holds what was seen in a field."""
        return _type_of(self.kinds_of(name))

    def covers(self, names: Iterable[str]) -> bool:
        """Return whether a contact of these fields could add no name."""
        return self.truncated or all(map(self._kinds.__contains__, names))

    def to_json(self) -> dict[str, object]:
        """Return what :meth:`from_json` reads; a few bytes per column."""
        return {
            "typed": self.typed,
            "times": sorted(self.times - TIMESTAMPS),
            "truncated": self.truncated,
            "columns": list(self._kinds.items()),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` returned."""
        found = cls(typed=value["typed"], times=TIMESTAMPS.union(value.get("times", ())))
        found.truncated = value["truncated"]
        for name, kinds in value["columns"]:
            found._begin(name, kinds)
        return found

    def keys(self) -> list[str]:
        """Return the fields as contacts spell them, ``_id`` first, the others in the order they were first seen."""
        return [ID, *(name for name in self._kinds if name != ID)]

    def columns(self, spell: Callable[[str], str] | None = None) -> tuple[Column, ...]:
        """Return the columns of a typed table, in the order of :meth:`keys`.

        Names are as contacts spell them, except that lone surrogates appear as escapes.

        :param spell: what else a format must change in a name. Should names become alike, later ones get underscores.
        """
        found: dict[str, str] = {}
        for key in self.keys():
            name = printable(spell(key) if spell else key)
            while name in found:
                name += "_"
            found[name] = "string" if key == ID else self._types.get(key) or _type_of(self._kinds[key])
        return tuple(Column(name, type_) for name, type_ in found.items())

    def __len__(self) -> int:
        """Return the number of columns, the one of the ids included."""
        return len(self.keys())

    def __eq__(self, other: object) -> bool:
        """Two sets are equal if they saw the same, in the same order."""
        return isinstance(other, ColumnSet) and list(self._kinds.items()) == list(other._kinds.items())

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        """Return the number of columns; their names are the customer's."""
        return f"<ColumnSet of {len(self)} columns>"

    def _begin(self, name: str, kinds: int) -> None:
        """Take in a new name, or none: what is written into a checkpoint can be read again."""
        if len(self._kinds) < MAX_COLUMNS and self._characters + len(name) <= MAX_NAMES:
            self._kinds[name] = kinds
            self._characters += len(name)
        elif self.typed:
            problem = (
                f"the contacts have more than {MAX_COLUMNS:,} different fields"
                if len(self._kinds) >= MAX_COLUMNS
                else f"the names of the contacts' fields have more than {MAX_NAMES:,} characters"
            )
            raise ParameterError(
                "file_format",
                f"{problem}, too many for a table's columns",
                'use "jsonl", which has no columns, or name the ones you need: fields=["phoneNumber", …]',
            )
        else:
            self.truncated = True


def fits(type_: str, kinds: int) -> bool:
    """Say whether a column of this type holds values of these kinds without loss."""
    return not kinds & ~(KINDS_OF_TYPE.get(type_, ~0) | NULL)


def kind_of(cell: Cell) -> int:
    """Return which kind of value this is, as one of the bits above; a text that may be a point in time may be one."""
    if cell is None:
        return NULL
    if isinstance(cell, bool):
        return BOOLEAN
    if isinstance(cell, Nested):
        return NESTED
    if isinstance(cell, Number):
        return _kind_of_number(cell)
    return TIMESTAMP if milliseconds(cell) is not None else STRING


def milliseconds(text: str) -> int | None:
    """Return the milliseconds since 1970 of an ISO 8601 point in time that has an offset and no finer fraction.

    None if the text is anything else, or its instant lies outside of the years 1 to 9999 of UTC: a column of timestamps
    must lose nothing. (``+05:30`` is read as the instant it names, the offset itself is not kept.)
    """
    found = instant(text)
    return found if found is not None and FIRST_INSTANT <= found <= LAST_INSTANT else None


def instant(text: str) -> int | None:
    """Return the same for any year: an offset can bring a time of the year 9999 into the next."""
    if not _timestamp(text):
        return None
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        return None


def printable(text: str) -> str:
    r"""Return text that UTF-8 can hold: lone surrogates as the six characters of ``\ud800``."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def text_of(cell: Cell) -> str | None:
    """Return a value as a column of strings holds it: a string as itself, null as None, all else as its JSON text."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return cell


def id_of(row: Mapping[str, Cell]) -> str:
    """Return the ``_id`` of a row as every format's ``read_ids`` gives it.

    Raises ValueError if it is missing, null or empty.
    """
    found = text_of(row.get(ID))
    if not found:
        raise ValueError("a row has no _id")
    return printable(str(found))


def parts(rows: Iterable[str], rows_per_file: int) -> Iterator[Iterator[str]]:
    """Split rows into runs for one file each; an empty snapshot is one empty run.

    Each run must be used up before the next one is asked for.
    """
    source = iter(rows)
    first = list(islice(source, 1))
    if not first:
        yield iter(())
    while first:
        yield chain(first, islice(source, rows_per_file - 1))
        first = list(islice(source, 1))


def _kind_of_number(digits: str) -> int:
    if digits.lstrip("-").isdigit():
        if len(digits) <= 15:  # noqa: PLR2004  # the digits any double keeps
            return SMALL
        if len(digits) > 20:  # noqa: PLR2004  # longer than -9223372036854775808
            return LONG
        number = int(digits)
        if abs(number) <= 2**53:
            return SMALL
        return INTEGER if -(2**63) <= number < 2**63 else LONG
    try:
        exact = Decimal(repr(float(digits))) == Decimal(digits)
    except (ArithmeticError, ValueError):  # an exponent beyond even Decimal
        return LONG
    return FLOAT if exact else LONG


def _type_of(kinds: int) -> str:
    """Return the narrowest type that holds everything seen; strings, as JSON writes them, hold anything."""
    kinds &= ~NULL
    if not kinds:
        return "string"  # nothing but null, ever
    return next((type_ for type_, allowed in KINDS_OF_TYPE.items() if not kinds & ~allowed), "string")
