"""The simulator against the vendor's table: each row is served, and nothing else is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import requests
from vendor_table import READS, Row, rows, shape_problem

if TYPE_CHECKING:
    from airflow_provider_kore.simulator import Simulator

ROWS = rows()
BODIES: dict[str, Any] = {
    "campaigns": {
        "type": "voice",
        "skip": "",
        "limit": "",
        "page": "",
        "startDate": "2025-12-01T00:00:00.000Z",
        "endDate": "2031-12-04T00:00:00.000Z",
        "sortBy": {"createdAt": "asc"},
        "filters": {"status": ["Active"], "priority": [1, 5], "dialingMode": ["Progressive", "Preview"]},
    },
    "call results": {"page": 1, "limit": 100},
    "interaction details": {
        "startDate": "2026-02-16",
        "endDate": "2026-02-17 07:20:15",
        "direction": "Outbound",
        "selectedFields": ["campaigninfo"],
        "queues": [],
        "channels": [],
        "timeZoneOffset": -330,
    },
    "add contacts": {"contact_list_name": "Autumn", "data": [{"phoneNumber": "+15550100"}]},
    "campaign status": {},
}


@pytest.fixture(autouse=True)
def _account(kore: Simulator) -> None:
    kore.add_list("cl-1", contacts=3, name="Autumn")
    kore.add_campaign("cd-1", results=4, priority="5")


def ask(kore: Simulator, row: Row, *, method: str = "", path: str = "", **query: str) -> requests.Response:
    """Ask what a row documents, with nothing but ``requests`` and a token made here."""
    connection = kore.connection
    ids = {"stream": connection["extra"]["stream_id"], "account": connection["extra"]["account_id"]}
    now = int(time.time())
    claims = {"sub": "tester", "appId": connection["login"], "iat": now, "exp": now + 300}
    headers = {name: row.filled(value, **ids) for name, value in row.headers.items()}
    headers |= {"auth": jwt.encode(claims, connection["password"], "HS256"), "Content-Type": "application/json"}
    if row.name == "interaction details" and not query:
        query = {"offset": "0", "limit": "100"}
    elif not query:
        query = {**row.query, **({"accountId": ids["account"]} if row.account == "yes" else {})}
    with requests.Session() as session:
        session.trust_env = False
        return session.request(
            method or row.method,
            kore.url + row.filled(path or row.path, **ids),
            params=query,
            headers=headers,
            json=BODIES.get(row.name) if row.body is not None else None,
            timeout=10,
            allow_redirects=False,
        )


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_each_row_is_served_with_the_documented_shape(kore: Simulator, row: Row) -> None:
    response = ask(kore, row)
    assert response.status_code == 200, response.text
    assert shape_problem(response.json(), row.answer) is None
    assert ("status" in response.json()) == ("status" in row.answer)


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_no_other_method_and_no_other_path_is_served(kore: Simulator, row: Row) -> None:
    for method in {"GET", "POST", "PUT", "DELETE"} - {row.method}:
        assert ask(kore, row, method=method).status_code in {404, 405}, method
    known = {(each.method, each.path) for each in ROWS}
    others = {
        row.path.replace("/campaign/", "/campaign/campaign/"),
        row.path.replace("/public/{stream}/campaign/", "/public/{stream}/campaign/campaign/"),
        row.path.replace("/public/{stream}/campaign/", "/public/{stream}/"),
        row.path + "/more",
        row.path.replace("/v2/", "/v3/").replace("/v1/", "/v2/").replace("/1.1/", "/v2/"),
        row.path.replace("/api/", "/"),
        row.path.replace("contactList/addContacts", "contactList/{list}/addContacts"),
        row.path.replace("/campaign/api/", "/agentassist/api/"),
        row.path.replace("/agentassist/api/", "/campaign/api/"),
    } - {row.path}
    for path in others:
        if (row.method, path) not in known:
            assert ask(kore, row, path=path).status_code in {404, 405}, path


@pytest.mark.parametrize("row", [row for row in READS if row.account != "yes"], ids=lambda row: row.id)
def test_an_account_in_the_query_is_a_setting_where_no_sample_has_it(kore: Simulator, row: Row) -> None:
    account = kore.settings.account_id
    statuses = {}
    for setting in ("ignored", "refused", "required"):
        kore.configure(account_in_query=setting, wrong_account="invalid_arguments")
        without = ask(kore, row, **(row.query or {"x": "1"})).status_code
        statuses[setting] = (without, ask(kore, row, **row.query, accountId=account).status_code)
    assert statuses == {"ignored": (200, 200), "refused": (200, 412), "required": (412, 200)}


def test_contacts_are_added_by_the_lists_name_and_come_later(kore: Simulator) -> None:
    kore.configure(add_contacts_delay=0, add_contacts_requests=1)
    (row,) = [row for row in ROWS if row.name == "add contacts"]
    assert ask(kore, row).json() == {"message": "Adding contacts to public list is in progress"}
    assert len(list(kore.contact_ids("cl-1"))) == 3
    ask(kore, ROWS[0])
    assert [contact["phoneNumber"] for contact in kore.contacts("cl-1")][3:] == ["+15550100"]


def test_statuses_sources_and_dialing_modes_that_no_page_lists_are_served_as_they_are(kore: Simulator) -> None:
    kore.add_campaign("cd-1", status="Run as emergency", dialingMode="Power")
    (row,) = [row for row in ROWS if row.id == "campaign status v2"]
    assert ask(kore, row).json()["data"]["status"] == "Run as emergency"
