"""JSON is read without being rewritten, and no error takes the document along."""

from __future__ import annotations

import json
import math
import pickle
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_kore import json_text
from airflow_provider_kore.json_text import Nested, Number, ShapeError

if TYPE_CHECKING:
    from collections.abc import Callable

settings.register_profile("json_text", deadline=None, suppress_health_check=[HealthCheck.too_slow])
quietly = settings.get_profile("json_text")

# Surrogates only singly: two that make a pair *are* another character, in JSON's eyes as in UTF-16's.
text = st.text(max_size=12) | st.text('\ud83d\ud800ab"\\\n\u2028', max_size=6)
keys = st.text(max_size=6) | st.sampled_from(["_id", " Priority", "", 'quo"te', "a\nb", "\ud800", "ключ"])
numbers = (
    st.integers()
    | st.integers(min_value=10**300, max_value=10**301)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False, places=30)
)
values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
blanks = st.text(" \t\r\n", max_size=3)


def exactly(raw: str) -> object:
    """Parse with every digit kept and duplicated keys visible."""
    return json.loads(raw, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=tuple)


@st.composite
def raw_values(draw: st.DrawFn) -> str:
    def write(value: object) -> str:
        def gap() -> str:
            return draw(blanks)

        if isinstance(value, Decimal):
            return format(value, "f")
        if isinstance(value, list):
            return "[" + gap() + ",".join(gap() + write(item) + gap() for item in value) + "]"
        if isinstance(value, dict):
            written = (f"{gap()}{write(key)}{gap()}:{gap()}{write(item)}{gap()}" for key, item in value.items())
            return "{" + gap() + ",".join(written) + "}"
        return json.dumps(value, ensure_ascii=draw(st.booleans()))

    return write(draw(values))


@st.composite
def raw_objects(draw: st.DrawFn) -> str:
    inside = [
        f"{draw(blanks)}{json.dumps(draw(keys), ensure_ascii=draw(st.booleans()))}{draw(blanks)}:{draw(blanks)}"
        f"{draw(raw_values())}{draw(blanks)}"
        for _ in range(draw(st.integers(0, 4)))
    ]
    return "{" + (",".join(inside) or draw(blanks)) + "}"


def page(text: str, at: int) -> tuple[object, int]:
    return json_text.scan_object(
        text, at, {"data": lambda t, i: json_text.scan_object(t, i, {"results": json_text.scan_records})}
    )


@pytest.mark.parametrize(
    "records",
    [
        ['{"_id": "a"}', '{ "_id" : "b" }'],
        ['{"_id": "}"}', '{"_id": "b"}'],
        ['{"_id": "{"}', '{"_id": "}"}'],
        ['{"_id": "}{"}', '{"n": {}}', "{}"],
        ['{"n": [{"_id": "b"}]}', '{"_id": "\\"}"}'],
        [],
    ],
)
def test_braces_in_a_record_are_not_taken_for_its_end(records: list[str]) -> None:
    text = f"[{', '.join(records)}]"
    assert json_text.scan_records(text, 0) == ([(json.loads(raw), raw) for raw in records], len(text))


@pytest.mark.slow
@quietly
@given(st.lists(raw_objects(), max_size=4), blanks)
def test_each_record_of_an_envelope_comes_parsed_and_as_it_was_written(records: list[str], gap: str) -> None:
    body = (
        f'{gap}{{"status":{gap}"success", "data":{gap}{{"results": [{gap}'
        + f"{gap},{gap}".join(records)
        + f'{gap}]{gap}, "skip": 0,"hasMore":false}}}}{gap}'
    )
    envelope = json_text.parse(body, page)
    assert isinstance(envelope, dict)
    found = envelope["data"].pop("results")
    assert [raw for _, raw in found] == records
    assert [value for value, _ in found] == [json.loads(raw) for raw in records]
    assert envelope == {"status": "success", "data": {"skip": 0, "hasMore": False}}


@quietly
@given(raw_values())
def test_parse_agrees_with_the_standard_library(raw: str) -> None:
    assert json_text.parse(raw) == json.loads(raw)


@pytest.mark.slow
@quietly
@given(raw_objects())
@example('{"a": 1, "a" : 2}')
@example("{}")
def test_members_are_the_text_between_the_commas(raw: str) -> None:
    found = json_text.members(raw)
    assert {key: exactly(value) for key, value in found.items()} == dict(exactly(raw))  # type: ignore[call-overload]
    assert list(found) == list(json.loads(raw))
    assert all(value in raw for value in found.values())
    assert json_text.members(json_text.join(found)) == found
    pieces = [raw[key_at:end] for _, key_at, _, end in json_text.spans(raw)]
    assert exactly("{" + ",".join(pieces) + "}") == exactly(raw)


@pytest.mark.slow
@quietly
@given(raw_objects())
def test_cells_decode_strings_and_leave_the_rest_as_it_was_written(raw: str) -> None:
    for (key, cell), (name, value) in zip(json_text.cells(raw).items(), json_text.members(raw).items(), strict=True):
        assert key == name
        if isinstance(cell, Number | Nested):
            assert str(cell) == value
            assert isinstance(cell, Nested) == (value[0] in "{[")
        else:
            assert cell == json.loads(value)
            assert type(cell) is type(json.loads(value))


@pytest.mark.slow
@quietly
@given(raw_objects())
def test_one_line_says_the_same(raw: str) -> None:
    line = json_text.one_line(raw)
    assert "\n" not in line
    assert "\r" not in line
    assert exactly(line) == exactly(raw)


@quietly
@given(raw_objects(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-32-be"]))
@example('{"a": "\ud800 raw"}', "utf-8")
def test_what_is_decoded_can_be_encoded_and_means_the_same(raw: str, encoding: str) -> None:
    read = json_text.decode(raw.encode(encoding, "surrogatepass"))
    # Two surrogates that happen to stand side by side are one character from here on.
    assert json_text.decode(json_text.encode(read)) == read
    joined = json.dumps(json.loads(raw)).encode()
    assert json.loads(json_text.encode(read)) == json.loads(joined)


def test_a_number_of_any_length_is_read() -> None:
    digits = "9" * 5_000
    assert json_text.parse(f"[{digits}, 1e999, -0.0]") == [Decimal(digits), math.inf, 0.0]
    assert json_text.members(f'{{"n": {digits}}}') == {"n": digits}
    assert json_text.cells(f'{{"n": {digits}}}') == {"n": digits}


SECRET = "+4915112345678"
DAMAGED = {
    "nothing": "",
    "cut in a key": f'{{"{SECRET}',
    "cut in a value": f'{{"phoneNumber": "{SECRET}',
    "cut after a value": f'{{"phoneNumber": "{SECRET}"',
    "cut after a comma": f'{{"phoneNumber": "{SECRET}",',
    "cut after a key": f'{{"{SECRET}"',
    "garbage after it": f'{{"phoneNumber": "{SECRET}"}} x',
    "a second value": f'{{"phoneNumber": "{SECRET}"}}{{}}',
    "NaN": f'{{"phoneNumber": "{SECRET}", "n": NaN}}',
    "Infinity": f'{{"phoneNumber": "{SECRET}", "n": -Infinity}}',
    "a control character": f'{{"phoneNumber": "{SECRET}\n"}}',
    "a control character in a key": f'{{"{SECRET}\n": 1}}',
    "a comma too many": f'{{"phoneNumber": "{SECRET}",}}',
    "a comma too few": f'{{"phoneNumber": "{SECRET}" "a": 1}}',
    "no colon": f'{{"phoneNumber" "{SECRET}"}}',
    "a bare key": f"{{phoneNumber: '{SECRET}'}}",
    "a blank JSON doesn't know": f'{{\xa0"phoneNumber": "{SECRET}"}}',
    "too deep": f'{{"phoneNumber": "{SECRET}", "n": ' + "[" * 200_000 + "]" * 200_000 + "}",
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize(
    "read",
    [
        json_text.parse,
        lambda text: json_text.parse(text, page),
        lambda text: json_text.parse(f'{{"data": {{"results": [{text}, 0]}}}}', page),
        json_text.spans,
        json_text.members,
        json_text.cells,
    ],
    ids=["parse", "envelope", "records", "spans", "members", "cells"],
)
def test_what_is_no_json_is_refused_without_a_word_of_it(read: Callable[[str], object], damage: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|nested|expected") as caught:
        read(DAMAGED[damage])
    error: BaseException = caught.value
    assert SECRET[3:] not in str(error)
    assert SECRET[3:] not in repr(vars(error))
    assert error.__context__ is None
    assert error.__cause__ is None
    assert type(error) in (ValueError, ShapeError, json_text.DepthError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301


@pytest.mark.parametrize("body", [b'{"a": "\xe4"}', b'"\xff\xfe'])
def test_bytes_that_are_no_text_are_refused_without_a_byte_of_them(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"not text: no utf-\S+ at byte \d+") as caught:
        json_text.decode(body)
    assert type(caught.value) in (ValueError, json_text.EncodingError)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "body",
    [
        '{"data": []}',
        '{"data": {"results": {}}}',
        '{"data": {"results": [{}, 1]}}',
        '{"data": {"results": [[]]}}',
        "[]",
    ],
)
def test_another_shape_is_told_from_damage(body: str) -> None:
    with pytest.raises(ShapeError, match=r"expected an (object|array) at character"):
        json_text.parse(body, page)


@pytest.mark.parametrize("value", ["null", '"none"', "1", "true"])
def test_a_refusal_without_data_is_read_as_usual(value: str) -> None:
    assert json_text.parse(f'{{"status": "error", "data": {value}}}', page) == {
        "status": "error",
        "data": json.loads(value),
    }


def test_values_are_compared_by_what_they_say_and_numbers_by_their_digits() -> None:
    assert json_text.comparable('{"a": [1, {"x": null}], "b": true}') == json_text.comparable(
        ' {"b":true,"a":[1,{"x":null}]}'
    )
    values = ["1", "1.0", '"1"', "true", '["1"]', "0.1", "0.1000000000000000000001", "null", "[]", "{}"]
    told = [json_text.comparable(value) for value in values]
    assert all(left != right for number, left in enumerate(told) for right in told[:number])


@pytest.mark.parametrize("text", ['{"phone": "+4915112345678"', '{"phone": "+4915112345678"} x', "NaN", ""])
def test_what_cannot_be_compared_is_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"not JSON|NaN") as caught:
        json_text.comparable(text)
    assert "4915112345678" not in str(caught.value)
    assert caught.value.__context__ is None
