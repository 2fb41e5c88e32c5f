"""One answer into a page: nothing is rewritten, and nothing is left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_provider_kore.api import endpoints
from airflow_provider_kore.api.answers import page_answer, parse_page
from airflow_provider_kore.exceptions import ContractError

if TYPE_CHECKING:
    from airflow_provider_kore.api.page import PageAnswer


def read(results: str) -> PageAnswer:
    text = f'{{"status": "success",\n "data": {{"results": {results}}},\r\n "skip": 0}}'
    return page_answer(parse_page(text), endpoints.CONTACTS, "a page")


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
