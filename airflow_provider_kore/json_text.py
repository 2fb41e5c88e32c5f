"""JSON read without being rewritten: values, and the very text they were written as.

A contact is kept as the raw text the server wrote. Parsing it into Python and serialising it again would round long
floats, merge duplicate keys and reorder escapes; so everything here answers with *where* a value stands in the text.
The work per value is done by the standard library's C scanner, the loops here only walk the outermost layer.

Positions are characters from the start of the text. Every error is a plain :class:`ValueError` that names a position
and nothing else: the standard library's ``JSONDecodeError`` carries the whole document in ``.doc``, and a document
here is a list of people. For the same reason none of them has a ``__context__``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import wraps
from json.decoder import scanstring  # type: ignore[attr-defined]  # public for years, unknown to typeshed
from typing import Any, NoReturn, ParamSpec, TypeVar, cast

Record = tuple[dict[str, object], str]
"""One JSON object: parsed, and its raw text."""

Scanner = Callable[[str, int], tuple[object, int]]
"""Reads the value that starts at this position; returns it and the position after it."""

_AnyScanner = Callable[[str, int], tuple[Any, int]]

Span = tuple[str, int, int, int]
"""One member of an object: its key, decoded; where the key's opening quote stands; where the value starts and ends.

``text[key_at:end]`` is ``"key": value`` as it was written, ``text[value_at:end]`` the value alone.
"""

P = ParamSpec("P")
R = TypeVar("R")

_end_of_key = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*').match  # a key without escapes, to its value
_skip = re.compile(r"[ \t\n\r]*").match  # JSON's four blanks; ``\s`` would accept more


class ShapeError(ValueError):
    """Good JSON so far, but an array or an object was expected here and another kind of value stands there."""


class EncodingError(ValueError):
    """Bytes that are no text, other than text that is cut within its last character."""


class DepthError(ValueError):
    """JSON that is nested too deeply to be read."""


class Number(str):
    """A JSON number, as its digits were written."""

    __slots__ = ()


class Nested(str):
    """A JSON array or object, as it was written."""

    __slots__ = ()


Cell = str | Number | Nested | bool | None
"""One value, as a table needs it: strings decoded, numbers and nested values as the text they were written as."""


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int | Decimal:
    """Read an integer of any length: Python refuses to convert more than 4,300 digits, a Decimal takes them exactly."""
    try:
        return int(digits)
    except ValueError:
        return Decimal(digits)


def _scanner(parse_int: Callable[[str], object], parse_float: Callable[[str], object]) -> _AnyScanner:
    """Return the C scanner of the standard library, with these ways to read a number."""
    decoder = json.JSONDecoder(parse_int=parse_int, parse_float=parse_float, parse_constant=_refuse_constant)
    return cast("_AnyScanner", decoder.scan_once)  # type: ignore[attr-defined]


_scan = _scanner(_integer, float)
_flat = _scanner(Number, Number)
_measure = _scanner(str, str)
"""To find where a value ends its numbers need no converting; ``str`` hands back the text it is given."""
_exact = _scanner(lambda digits: (digits,), lambda digits: (digits,))


def _without_document(function: Callable[P, R]) -> Callable[P, R]:
    """Turn whatever the standard library raises into a ValueError that doesn't hold the text."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        kind = ValueError
        try:
            return function(*args, **kwargs)
        except (ShapeError, EncodingError, DepthError):
            raise
        except json.JSONDecodeError as err:
            problem = f"not JSON: {err.msg.lower()} at character {err.pos}"
        except UnicodeDecodeError as err:
            problem = f"not text: no {err.encoding} at byte {err.start}"
            kind = ValueError if err.end >= len(err.object) else EncodingError
        except StopIteration as err:
            problem = f"not JSON: no value at character {err.value}"
        except IndexError:
            problem = "not JSON: the text ends too early"
        except RecursionError:
            problem = "not readable: nested too deeply"
            kind = DepthError
        except ValueError as err:
            problem = str(err)
        raise kind(problem)  # outside the except, so that the original is not even its context

    return guarded


def _not_json(expected: str, position: int) -> ValueError:
    return ValueError(f"not JSON: expected {expected} at character {position}")


@_without_document
def scan_value(text: str, index: int) -> tuple[object, int]:
    """Read the value at ``index``; return it parsed, and the position after it.

    Integers of more than 4,300 digits come as :class:`~decimal.Decimal`. NaN and Infinity are refused.

    Raises ValueError if no JSON value starts there, or it is nested too deeply to be read.
    """
    return _scan(text, index)


@_without_document
def scan_object(text: str, index: int, descend: Mapping[str, Scanner] | None = None) -> tuple[dict[str, object], int]:
    """Read the object at ``index`` member by member; return it parsed, and the position after it.

    :param descend: member names whose *array or object* is read by another scanner, for example
        ``{"data": lambda text, at: scan_object(text, at, {"results": scan_records})}``. Where such a member holds a
        string, a number, a boolean or null it is read as usual: refusals come with ``"data": null``.

    Of duplicated keys the last one wins, as in :func:`json.loads`.

    Raises ShapeError if no object starts there or a scanner says so, ValueError if it isn't JSON.
    """
    members, values, end = _read_object(text, index, _scan, descend or {})
    return dict(zip((key for key, *_ in members), values, strict=True)), end


@_without_document
def scan_records(text: str, index: int) -> tuple[list[Record], int]:
    """Read the array of objects at ``index``; return each one parsed and raw, and the position after the array.

    Raises ShapeError if no array starts there or an element is no object, ValueError if it isn't JSON.
    """
    records: list[Record] = []
    if text[index] != "[":
        raise ShapeError(f"expected an array at character {index}")
    at = _end_of_blanks(text, index + 1)
    if text[at] == "]":
        return records, at + 1
    while True:
        if text[at] != "{":
            scan_value(text, at)  # is it JSON at all? that is another error
            raise ShapeError(f"expected an object at character {at}, element {len(records)} of the array")
        value, end = _scan(text, at)
        records.append((value, text[at:end]))
        at = _end_of_blanks(text, end)
        if text[at] == "]":
            return records, at + 1
        if text[at] != ",":
            raise _not_json("a comma or a closing bracket", at)
        at = _end_of_blanks(text, at + 1)


@_without_document
def parse(text: str, scan: Scanner = scan_value) -> object:
    """Read a whole document with ``scan``; blanks around it are allowed, anything else is not.

    Raises ValueError if it isn't one JSON value, ShapeError if ``scan`` does.
    """
    value, end = scan(text, _end_of_blanks(text, 0))
    _expect_end(text, end)
    return value


@_without_document
def spans(text: str) -> list[Span]:
    """Return where each member of the one object in ``text`` stands, in order, duplicated keys included.

    Raises ShapeError if the text holds no object, ValueError if it isn't JSON.
    """
    members, _, end = _read_object(text, _end_of_blanks(text, 0), _measure, {})
    _expect_end(text, end)
    return members


def members(text: str) -> dict[str, str]:
    """Return the raw text of each member of the one object in ``text``, in order; the last duplicate wins.

    Raises ShapeError if the text holds no object, ValueError if it isn't JSON.
    """
    return {key: text[start:end] for key, _, start, end in spans(text)}


@_without_document
def cells(text: str) -> dict[str, Cell]:
    """Return each member of the one object in ``text`` as a table needs it, in order; the last duplicate wins.

    Raises ShapeError if the text holds no object, ValueError if it isn't JSON.
    """
    at = _end_of_blanks(text, 0)
    if text[at] != "{":
        raise ShapeError(f"expected an object at character {at}")
    found, end = _flat(text, at)
    _expect_end(text, end)
    nested = [key for key, value in found.items() if value.__class__ is dict or value.__class__ is list]
    if nested:
        raw = members(text)
        found.update((key, Nested(raw[key])) for key in nested)
    return cast("dict[str, Cell]", found)


def comparable(text: str) -> object:
    """Return the value in ``text`` for comparison with ``==``: the order of members and blanks don't count, digits do.

    Numbers come as a tuple of the text they were written as, so that 1 is neither 1.0 nor true nor "1", and no digit is
    rounded away. Of duplicated keys the last one wins.

    Raises ValueError if it isn't one JSON value.
    """
    return parse(text, _exact)


def join(raw: Mapping[str, str]) -> str:
    """Return the object with these members: names as ASCII JSON strings, values as they are."""
    return "{" + ", ".join(f"{json.dumps(key)}: {value}" for key, value in raw.items()) + "}"


def one_line(raw: str) -> str:
    r"""Return the same JSON on one line, fit for JSON Lines.

    A line break can only stand *between* the tokens of valid JSON, so a blank says the same. (U+2028, U+0085 and the
    like may stand inside strings; they are no line breaks to JSON Lines. Split at ``\n``, not with ``splitlines``.)
    """
    if "\n" in raw or "\r" in raw:
        return raw.replace("\r", " ").replace("\n", " ")
    return raw


def encode(text: str) -> bytes:
    r"""Return JSON text as UTF-8; lone surrogates, which UTF-8 cannot hold, as the ``\ud800`` escapes they mean."""
    return text.encode("utf-8", "backslashreplace")


@_without_document
def decode(body: bytes) -> str:
    r"""Return the JSON text in ``body``: UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Surrogates that were encoded singly, as some servers do, come as ``\ud800`` escapes, so that whatever this returns
    can be written as UTF-8 again.

    Raises ValueError if the bytes are none of these encodings.
    """
    encoding = json.detect_encoding(body)
    try:
        return body.decode(encoding)
    except UnicodeDecodeError:
        text = body.decode(encoding, "surrogatepass")
    return encode(text).decode("utf-8")


def _read_object(
    text: str, index: int, scan: Scanner, descend: Mapping[str, Scanner]
) -> tuple[list[Span], list[object], int]:
    """Read the object at ``index``; return its members, their values, and the position after it."""
    members: list[Span] = []
    values: list[object] = []
    if text[index] != "{":
        raise ShapeError(f"expected an object at character {index}")
    at = _end_of_blanks(text, index + 1)
    if text[at] == "}":
        return members, values, at + 1
    while True:
        key, start = _key(text, at)
        value, end = (descend[key] if key in descend and text[start] in "{[" else scan)(text, start)
        members.append((key, at, start, end))
        values.append(value)
        at = end
        if text[at] != ",":
            at = _end_of_blanks(text, at)
            if text[at] == "}":
                return members, values, at + 1
            if text[at] != ",":
                raise _not_json("a comma or a closing brace", at)
        at += 1
        if text[at] != '"':
            at = _end_of_blanks(text, at)


def _end_of_blanks(text: str, at: int) -> int:
    found = _skip(text, at)
    return found.end() if found else at


def _key(text: str, at: int) -> tuple[str, int]:
    """Read ``"key":`` at this position; return the key, and where its value starts."""
    plain = _end_of_key(text, at)
    if plain:
        return plain[1], plain.end()
    if text[at] != '"':
        raise _not_json("a member's name", at)
    key, at = scanstring(text, at + 1)
    at = _end_of_blanks(text, at)
    if text[at] != ":":
        raise _not_json("a colon", at)
    return key, _end_of_blanks(text, at + 1)


def _expect_end(text: str, at: int) -> None:
    at = _end_of_blanks(text, at)
    if at != len(text):
        raise _not_json("the end of the text", at)
