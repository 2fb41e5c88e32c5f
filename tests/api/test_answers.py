"""One answer into a page: nothing is rewritten, and nothing is left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_kore.api import answers, endpoints
from airflow_provider_kore.api.answers import page_answer, parse_page
from airflow_provider_kore.exceptions import ContractError

if TYPE_CHECKING:
    from airflow_provider_kore.walk.page import PageAnswer


def read(results: str) -> PageAnswer:
    text = f'{{"status": "success",\n "data": {{"results": {results}}},\r\n "skip": 0}}'
    return page_answer(parse_page(text.encode()), endpoints.CONTACTS, "a page")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_contact_over_several_lines_comes_on_one(end: str) -> None:
    written = f'{{"_id": "cc-1",{end}  "a":{end} "\\n"}}'
    (record,) = read(f"[{end}{written}{end}]").records
    assert record.text == written.replace("\r", " ").replace("\n", " ")
    assert json.loads(record.text) == {"_id": "cc-1", "a": "\n"}


def test_a_contact_on_one_line_is_not_touched_by_line_breaks_around_it() -> None:
    written = ['{"_id":"cc-1", "a":"\\n\u2028"}', '{ "_id" : "cc-2" }']
    found = read(f"[{written[0]}, {written[1]}]").records
    assert [(record.id, record.text) for record in found] == [("cc-1", written[0]), ("cc-2", written[1])]


@pytest.mark.parametrize(
    "bad", ["{}", '{"_id": null}', '{"_id": ""}', '{"_id": 7}', '{"_id": ["cc-1"]}', '{"id": "x"}']
)
@pytest.mark.parametrize("position", [0, 2])
def test_an_item_without_an_id_is_named_by_its_position(bad: str, position: int) -> None:
    items = ['{"_id": "cc-1"}', '{"_id": "cc-2"}']
    items.insert(position, bad)
    with pytest.raises(ContractError, match=rf"^Item {position} of the answer for a page has no _id"):
        read(f"[{', '.join(items)}]")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
PAGES = st.fixed_dictionaries(
    {
        "status": st.just("success"),
        "data": st.fixed_dictionaries({"results": st.lists(VALUES)}, optional={"skip": VALUES}),
    },
    optional={"results": VALUES, "hasMore": VALUES},
)


@pytest.mark.slow
@given(
    body=st.builds(
        lambda page, indent, ascii_: json.dumps(page, indent=indent, ensure_ascii=ascii_).encode(
            "utf-8", "surrogatepass"
        ),
        PAGES,
        st.sampled_from([None, 1, "\t"]),
        st.booleans(),
    ),
    at=st.integers(0, 400),
    other=st.binary(max_size=3),
    removed=st.integers(0, 3),
)
@example(body=b'{"data":{"results":[{"a":1}]},"data":{"results":[{"b":2}]}}', at=400, other=b"", removed=0)
@example(body=b'{"data":{"results":[{"a":1}],"results":[]}}', at=400, other=b"", removed=0)
@example(body=b'{"data":{"results":[{"a":"\\ud800"}]}}', at=400, other=b"", removed=0)
@example(body=b'{"data":{"results":[{"a":' + b"1" * 5000 + b"}]}}", at=5100, other=b"", removed=0)
@example(body=b'\xef\xbb\xbf{"data":{"results":[{}]}}', at=400, other=b"", removed=0)
@example(body=b'{"data":{"results":[{"a":NaN}]}}', at=400, other=b"", removed=0)
@example(body=b'{"data":{"results":' + b"[" * 100_000 + b"}}", at=100_100, other=b"", removed=0)
def test_a_usual_page_is_parsed_as_any_other(body: bytes, at: int, other: bytes, removed: int) -> None:
    """Whatever the short way takes, mangled or not, it reads as the careful one does."""
    body = body[:at] + other + body[at + removed :]
    page = answers._parse_usual_page(body)
    if page is not None:
        assert repr(page) == repr(answers._parse(body, answers._SCAN_PAGE))


def test_a_page_of_objects_is_a_usual_one() -> None:
    body = '{"status":"success","data":{"results":[{"_id":"cc-1", "name":"Göran \\ud83d\\ude00", "n":[1e5]}]}}'
    assert answers._parse_usual_page(body.encode()) is not None
