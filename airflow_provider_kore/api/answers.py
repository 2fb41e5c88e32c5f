"""From the text of one answer to a typed page: what the server said, of the documented type or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import msgspec

from airflow_provider_kore import json_text
from airflow_provider_kore.exceptions import ContractError
from airflow_provider_kore.walk.page import NO_RECORDS, PageAnswer, Records

if TYPE_CHECKING:
    from airflow_provider_kore.api.endpoints import Endpoint

_LARGEST_COUNT: Final = 10**15
"""No list is so long; a larger number is none that can be believed, or calculated with."""

MOST_VALUES: Final = 500_000
"""Values in one answer at the most: some 80 MB; a page has some 2,000."""

_OF_A_VALUE: Final = 170
"""Bytes that a value takes at the most, even one of two bytes of JSON.

Measured, on Python 3.13: 165 in items that hold nothing but an id, 94 in contacts, empty arrays and objects, 28 for
numbers.
"""

_OF_A_BYTE: Final = 6
"""Times its length that a body takes at the least: 5.5 where one character of a long string is outside of Latin 1."""

_WORTH_COUNTING: Final = 256 * 1024

Identify = Callable[[Mapping[str, object]], str | None]
"""Makes an id of an item."""


def _scan_items(text: str, index: int) -> tuple[list[json_text.Record], int]:
    items, end = json_text.scan_records(text, index)
    if text.find("\n", index, end) >= 0 or text.find("\r", index, end) >= 0:
        items = [(value, json_text.one_line(raw)) for value, raw in items]
    return items, end


_SCAN_DATA: Final = partial(json_text.scan_object, descend={"results": _scan_items})
_SCAN_PAGE: Final = partial(json_text.scan_object, descend={"data": _SCAN_DATA, "results": _scan_items})


def _scan_either(text: str, index: int) -> tuple[object, int]:
    return _SCAN_DATA(text, index) if text[index] == "{" else _scan_items(text, index)


_SCAN_ARRAY: Final = partial(json_text.scan_object, descend={"data": _scan_either, "results": _scan_items})


class _Data(msgspec.Struct):
    results: list[msgspec.Raw]


class _Body(msgspec.Struct):
    data: _Data


_decode: Final = msgspec.json.Decoder().decode
_decode_texts: Final = msgspec.json.Decoder(_Body).decode


def parse_page(body: bytes) -> Mapping[str, object]:
    """Parse the body of a page, keeping the raw text of each item, on one line.

    Raises ValueError if it is no JSON, json_text.ShapeError if it is JSON of another shape.
    """
    _check_amount(body)
    page = _parse_usual_page(body)
    return _parse(body, _SCAN_PAGE) if page is None else page


def _parse_usual_page(body: bytes) -> Mapping[str, object] | None:
    """Parse a page of UTF-8 whose items are in ``data``, in half the time; None for any other.

    msgspec is stricter than we are (a lone surrogate, an integer of 5,000 digits), and names errors in its own way.
    """
    try:
        page = _decode(body)
        texts = _decode_texts(body).data.results
        items = page["data"]["results"]
        if {*map(type, items)} - {dict} or "results" in page:
            return None
        raw = [str(text, "utf-8") for text in texts]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if b"\n" in body or b"\r" in body:
        raw = [*map(json_text.one_line, raw)]
    page["data"]["results"] = [*zip(items, raw, strict=True)]
    return cast("Mapping[str, object]", page)


def parse_array(body: bytes) -> Mapping[str, object]:
    """Parse the body of an answer whose ``data`` is an array, or holds one as a page does; else as :func:`parse_page`.

    Raises ValueError, json_text.ShapeError.
    """
    return _parse(body, _SCAN_ARRAY)


def parse_object(body: bytes) -> Mapping[str, object]:
    """Parse the body of any other answer. Raises ValueError, json_text.ShapeError."""
    return _parse(body, json_text.scan_object)


def _parse(body: bytes, scan: json_text.Scanner) -> Mapping[str, object]:
    _check_amount(body)
    payload = json_text.parse(json_text.decode(body), scan)
    return payload if isinstance(payload, dict) else {}


def _check_amount(body: bytes) -> None:
    """Raise ContractError if parsing this would cost many times its length."""
    if len(body) > _WORTH_COUNTING and _values(body) > MOST_VALUES:
        raise ContractError(
            f"An answer holds more than {MOST_VALUES:,} values. Lower page_size, and check that host is the Kore.ai "
            "environment."
        )


def memory_of(body: bytes) -> int:
    """Return the bytes that the page in a body takes at the most: the body, its items' texts, and their values."""
    return max(_OF_A_BYTE * len(body), _OF_A_VALUE * _values(body))


def _values(body: bytes) -> int:
    return sum(map(body.count, (b",", b"[", b"{")))


def page_answer(
    payload: Mapping[str, object],
    endpoint: Endpoint,
    what: str,
    identify: Identify | None = None,
) -> PageAnswer:
    """Read a page: the vendor's text puts its fields at the top level, the vendor's sample puts them into ``data``.

    Where pages have numbers (from 1), number and length stand for ``skip``, and ``totalPages`` for ``hasMore``.

    :param identify: makes the id of an item that has none of its own, None if it has nothing to make it of.

    Raises ContractError if there are no results, or one of them has no id.
    """
    told = _told(payload)
    results = told.get("results")
    if not isinstance(results, list):
        raise ContractError(
            f"The answer for {what} has no list of results, neither in 'data' nor beside it. Check that host is the "
            "Kore.ai environment and api_version is the service it runs."
        )
    if endpoint.paging == "whole":
        _refuse_more(told, len(results))
    limit, skip, has_more = as_count(told.get("limit")) or None, as_count(told.get("skip")), _flag(told.get("hasMore"))
    number, pages = as_count(told.get("page")), as_count(told.get("totalPages"))
    if endpoint.paging == "numbers" and number:
        skip = None if limit is None else (number - 1) * limit
        has_more = None if pages is None else number < pages
    return PageAnswer(
        records=_records(results, endpoint, what, identify),
        skip=skip,
        limit=limit,
        has_more=has_more,
        total=as_count(told.get("totalResults")),
    )


def catalogue_of(payload: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return the lists in a catalogue, whether they have ids or not. Raises ContractError."""
    told = _told(payload)
    lists = told.get("results")
    if not isinstance(lists, list) or not all(isinstance(item, Mapping) for item in lists):
        raise ContractError("The catalogue of contact lists has no 'data' array. Check the connection's api_version.")
    _refuse_more(told, len(lists))
    return lists


def _told(payload: Mapping[str, object]) -> Mapping[str, object]:
    """Return what an answer says of a list in ``data`` and beside it, the former first; the list is its results."""
    data = payload.get("data")
    if isinstance(data, Mapping):
        return {**payload, **data}
    return {**payload, "results": data} if isinstance(data, list) else payload


def _refuse_more(told: Mapping[str, object], rows: int) -> None:
    """Raise ContractError if there is more than the one answer which, as documented, is all there is."""
    if _flag(told.get("hasMore")) or max(as_count(told.get("totalResults")) or 0, rows) > rows:
        raise ContractError(
            "The catalogue of contact lists says that there are more lists than it holds, and no way to ask for them "
            "is documented. Nothing is left out silently: ask Kore.ai support about getAllListDetails."
        )


def _records(items: list[json_text.Record], endpoint: Endpoint, what: str, identify: Identify | None) -> Records:
    if not items:
        return NO_RECORDS
    values, texts = zip(*items, strict=True)
    ids: list[str]
    if identify is not None:
        ids = [identify(value) or "" for value in values]
    else:
        ids = [value.get(endpoint.id_fields[0]) for value in values]
        if {*map(type, ids)} != {str} or not all(ids):
            ids = [_id(value, endpoint.id_fields) for value in values]
    if not all(ids):
        raise ContractError(
            f"Item {ids.index('')} of the answer for {what} has no {' or '.join(endpoint.id_fields)}, so it can be "
            "neither counted nor told apart. Nothing is left out silently: ask Kore.ai support about this item."
        )
    return Records(ids, texts, values)


def _id(value: Mapping[str, object], fields: tuple[str, ...]) -> str:
    for field in fields:
        identifier = value.get(field)
        if isinstance(identifier, str) and identifier:
            return identifier
    return ""


def as_count(value: object) -> int | None:
    """Return a count, also if it came as a string or as 3.0; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value.strip()):
        value = int(value)
    return value if isinstance(value, int) and 0 <= value <= _LARGEST_COUNT else None


def _flag(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None
