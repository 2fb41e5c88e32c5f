"""Whom a task is told to forget: ids and phone numbers in a DAG, or in an erasure list in S3.

A list is what others wrote, and may be anything: it is read row by row, and an error names the row's number, never what
stands there.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, NamedTuple, cast

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.snapshot.chunks import temp_space, temporary_file
from airflow_provider_kore.snapshot.reading import MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_provider_kore.store.store import ObjectStore

ID: Final = "_id"
MOST_BYTES: Final = 512 << 20
"""Of a list, unpacked."""
MOST_ROWS: Final = 5_000_000
"""More than an account may have contacts."""
LONGEST: Final = 256
"""Characters of an id or a phone number."""
_LONGEST_ROW: Final = 64 << 10
_GZIP: Final = b"\x1f\x8b"

_phone = re.compile(r"\+?[0-9][0-9 ()./-]{4,24}", re.ASCII).fullmatch
_digits = re.compile(r"[0-9]", re.ASCII)
_MOST_DIGITS: Final = 15
"""Of a phone number; ids of the vendor's have letters, or more. Source: ITU-T E.164."""

_ADVICE: Final = 'write jsonl or csv whose fields are "_id", or those that phone_fields names'


class Given(NamedTuple):
    """One id or phone number."""

    kind: Literal["id", "phone"]
    value: str
    number: int
    """Of its row in the list, or its place in the parameter, from 1."""


def given_directly(parameter: str, values: object, kind: Literal["id", "phone"]) -> list[Given]:
    """Check ids or phone numbers that a DAG's author passed. Raises ParameterError, which shows none of them."""
    if values is None:
        return []
    if isinstance(values, str) or not isinstance(values, (list, tuple, set, frozenset)):
        raise ParameterError(parameter, "is no list", "pass a list of strings")
    found = []
    for number, value in enumerate(values, start=1):
        if not isinstance(value, str):
            raise ParameterError(parameter, f"its {_th(number)} entry is no string", "pass a list of strings")
        found.append(_checked(parameter, value, kind, number))
    return found


def _checked(parameter: str, value: str, kind: Literal["id", "phone"], number: int) -> Given:
    text = value.strip()
    if not 0 < len(text) <= LONGEST:
        problem = "is empty" if not text else f"has more than {LONGEST} characters"
        raise ParameterError(parameter, f"its {_th(number)} entry {problem}", "correct it")
    if kind == "id" and _phone(text) and len(_digits.findall(text)) <= _MOST_DIGITS:
        raise ParameterError(
            parameter,
            f"its {_th(number)} entry is given as an id, and looks like a phone number",
            f"pass phone numbers as phone_numbers, or in a list in the field of that name; {_ADVICE}",
        )
    if kind == "phone" and not _digits.search(text):
        raise ParameterError(
            parameter, f"its {_th(number)} entry is given as a phone number, and has no digit", "pass ids as ids"
        )
    return Given(kind, text, number)


def _th(number: int) -> str:
    return f"{number:,}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(0 if number % 100 in (11, 12, 13) else number % 10, 'th') }"


class ErasureList:
    """An erasure list in S3, fetched once.

    jsonl or csv, also packed by gzip; a row says an ``_id``, a phone number, or both.

    :param where: its address, for messages.
    :param phones: the names of fields that hold phone numbers.
    """

    parameter: Final = "erasure_list"

    def __init__(self, body: BinaryIO, where: str, phones: Iterable[str], direct: Iterable[Given]) -> None:
        self._direct = direct
        self._body = body
        self._where = where
        self._names = {ID, *phones}

    def __iter__(self) -> Iterator[Given]:
        """Yield all that it says, in order; as often as wanted. Raises ParameterError."""
        yield from self._direct
        self._body.seek(0)
        packed = self._body.read(2) == _GZIP
        self._body.seek(0)
        source = gzip.GzipFile(fileobj=self._body, mode="rb") if packed else self._body
        text = io.TextIOWrapper(cast("BinaryIO", source), "utf-8-sig", newline="")
        problem = ""
        try:
            yield from self._read(text)
        except UnicodeDecodeError:
            problem = "is not UTF-8"
        except (EOFError, OSError, zlib.error):
            problem = "is damaged, or no gzip"
        except csv.Error:
            problem = "is no csv"
        finally:
            text.detach()  # or the end of it is the file's
        if problem:
            raise self._refused(problem)

    def _read(self, text: io.TextIOWrapper) -> Iterator[Given]:
        lines = self._lines(text)
        first = next(lines, "")
        if not first:
            return
        rows = self._jsonl(chain([first], lines)) if first.lstrip().startswith("{") else self._csv(first, lines)
        for number, row in enumerate(rows, start=1):
            if number > MOST_ROWS:
                raise self._refused(f"has more than {MOST_ROWS:,} rows")
            told = [(name, value) for name, value in row if name in self._names and value not in {None, ""}]
            if not told:
                raise self._refused(f"says neither {ID} nor a phone number in its {_th(number)} row")
            for name, value in told:
                yield _checked(self.parameter, value, "id" if name == ID else "phone", number)

    def _lines(self, text: io.TextIOWrapper) -> Iterator[str]:
        size = 0  # a small list may unpack to any length
        while line := text.readline(_LONGEST_ROW):
            size += len(line)
            if size > MOST_BYTES:
                raise _too_large()
            if len(line) == _LONGEST_ROW:  # what follows would pass for another row
                raise self._refused(f"has a row of {_LONGEST_ROW:,} characters or more")
            if line.strip():
                yield line

    def _jsonl(self, lines: Iterable[str]) -> Iterator[list[tuple[str, str]]]:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise self._refused(f"has no JSON object in its {_th(number)} row")
            told = {name: row[name] for name in self._names if row.get(name) is not None}
            if any(isinstance(value, (dict, list)) for value in told.values()):
                told = {}
            yield [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in told.items()]

    def _csv(self, first: str, lines: Iterable[str]) -> Iterator[list[tuple[str, str]]]:
        header = [name.strip() for name in next(csv.reader([first]), [])]
        if not self._names.intersection(header):
            raise self._refused("does not begin with a JSON object, nor with a header that names a column to read")
        for number, row in enumerate(csv.reader(lines), start=1):
            if any(row[len(header) :]):  # a comma without quotes moves all that follow it
                raise self._refused(f"has more fields than its header in its {_th(number)} row")
            yield [(name, value.strip()) for name, value in zip(header, row, strict=False)]

    def _refused(self, problem: str) -> ParameterError:
        return ParameterError(self.parameter, f"{self._where} {problem}", _ADVICE)


def _too_large() -> ParameterError:
    return ParameterError("erasure_list", f"is larger than {MOST_BYTES >> 20} MiB", "split it")


@contextmanager
def fetched_list(
    store: ObjectStore, key: str, phones: Sequence[str], direct: Sequence[Given] = ()
) -> Iterator[ErasureList]:
    """Fetch an erasure list into a temporary file. Raises ParameterError if there is none.

    :param direct: what was given beside it, and comes first.
    """
    where = store.uri(key)
    opened = store.get(key)
    if opened is None:
        raise ParameterError("erasure_list", f"{where} does not exist", "put the list there first")
    with temp_space(), temporary_file(MEMORY) as local:
        with opened as stream:
            while block := stream.read(MEMORY):
                local.write(block)
                if local.tell() > MOST_BYTES:
                    raise _too_large()
        yield ErasureList(local, where, phones, direct)
