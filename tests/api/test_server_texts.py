"""Text that the server chooses, and what its ids tell: nothing of it reaches errors, logs and XCom as it came."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landing import QUICK, outcome_of
from model_store import MemoryStore
from test_transport import config, http, serving

from airflow_provider_kore.api.campaigns import CampaignQuery
from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.sources.call_results import CampaignContactsSource
from airflow_provider_kore.api.sources.campaigns import CampaignsSource
from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import DriftError
from airflow_provider_kore.snapshot.fields import FieldPolicies
from airflow_provider_kore.snapshot.run import take_snapshot
from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec

HOSTILE = ["\x1b[2J\x07", "line\nERROR: forged", "\u202eevil\u2066", "\ud800", "x" * 1_000_000, "\r\x00\x85\u2028"]


class Told:
    """A client that is told these texts."""

    def __init__(self, text: str, id_key: str = "") -> None:
        self.text = text
        self.config = config("http://a.test", **({"id_key": id_key} if id_key else {}))

    def get_contact_list(self, _: str) -> dict[str, str]:
        return {"name": self.text, "updatedAt": self.text}

    def look_at_campaign(self, _: str) -> dict[str, str]:
        return {"name": self.text, "status": self.text}

    def get_newest_update(self, _: object) -> str:
        return self.text


SOURCES = [
    ContactListSource(contact_list_id="cl-1"),
    CampaignContactsSource(campaign_id="cd-1"),
    CampaignsSource(stream_id="st-1", query=CampaignQuery.parse("voice")),
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.dataset.name)
@given(text=st.text(max_size=300) | st.sampled_from(HOSTILE))
def test_what_a_source_says_of_itself_is_short_and_printable(source: Any, text: str) -> None:
    state = source.look(Told(text))
    assert state.mark is None or (state.mark.isprintable() and len(state.mark) <= 80)
    assert all(len(value) <= 1_000 for value in state.identity.values() if isinstance(value, str))
    assert all(each.isprintable() and len(each) < 600 for each in source.dataset.warnings(state, _Evidence))


class _Evidence:
    contacts, total = 1, 1


@pytest.mark.parametrize("mark", ["2025-12-09T04:28:44.832Z", "Completed", "Preparing", "Rerun"])
def test_an_ordinary_mark_is_kept_as_it_is(mark: str) -> None:
    assert [source.look(Told(mark)).mark for source in SOURCES] == [mark] * 3  # type: ignore[arg-type]


@pytest.mark.parametrize("text", HOSTILE)
def test_an_error_about_a_change_shows_no_text_of_the_server_as_it_came(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    looks = 0

    def reply(_number: int, request: bytes) -> bytes:
        nonlocal looks
        if b"getAllContacts" in request:
            page = {"results": [{"_id": "c-1"}], "skip": 0, "limit": 5, "totalResults": 1, "hasMore": False}
            return http(json.dumps({"status": "success", "data": page}).encode())
        looks += 1
        details = {"_id": "cl-1", "name": text, "updatedAt": f"{looks}{text}", "status": text}
        return http(json.dumps({"status": "success", "data": details}).encode())

    spec = SnapshotSpec.parse(
        source=ContactListSource(contact_list_id="cl-1"), s3_prefix="lake", snapshot_date="2026-01-02", durable=False,
        run=RunKey(dag_id="dag", run_id="run", task_id="task"), on_drift="fail",
    )  # fmt: skip
    with serving(reply) as server, CampaignClient(config(server.url), retry=QUICK) as client:
        error = outcome_of(lambda: take_snapshot(spec, client, MemoryStore(), SystemClock()))
        assert isinstance(error, DriftError)
        assert str(error).isprintable()
        assert isinstance(outcome_of(lambda: list(client.iter_contact_pages("cl-1"))), DriftError)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_kore")]
    assert all(line.isprintable() and len(line) < 1_000 for line in ours)


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({"field_policies": {"phoneNumber": "hash"}}, True),
        ({"field_policies": {"phoneNumber": "drop"}}, True),
        ({"fields": ["_id", "status"]}, True),
        ({"field_policies": {"name": "mask"}}, False),
        ({}, False),
    ],
)
def test_hidden_numbers_whose_ids_have_no_key_get_a_warning(given: dict[str, Any], warned: bool) -> None:
    source, policies = SOURCES[1], FieldPolicies.parse(**given)
    exposed = source.look(Told("Completed")).exposed
    told = [text for name, text in exposed.items() if policies.hides(name)]
    assert [("id_key" in each) for each in told] == [True] * warned
    assert source.look(Told("Completed", id_key="k" * 32)).exposed == {}
    assert SOURCES[0].look(Told("Completed")).exposed == {}
