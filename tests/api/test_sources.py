"""What can be landed besides contacts: each source over real HTTP into a bucket, on both versions of the API."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet
import pytest
from landing import Landing, assert_clear, client_of, outcome_of

from airflow_provider_kore.api.campaigns import CampaignQuery
from airflow_provider_kore.api.client import MOST_IN_FLIGHT
from airflow_provider_kore.api.sources.call_results import CampaignContactsSource
from airflow_provider_kore.api.sources.campaigns import CampaignsSource
from airflow_provider_kore.api.sources.catalog import ContactListsSource
from airflow_provider_kore.exceptions import (
    ContractError,
    DriftError,
    KoreError,
    NotFoundError,
    PaginationError,
    ParameterError,
    RequestRefusedError,
    ServerError,
    ShrunkError,
)
from airflow_provider_kore.simulator import FAULTS
from airflow_provider_kore.snapshot.fields import FieldPolicies

if TYPE_CHECKING:
    from airflow_provider_kore.simulator import Simulator
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.walk.source import Source

CAMPAIGNS = 130
RESULTS = 250
LATER = "2026-01-02T00:00:00.000Z"
LAST = "2031-01-01T00:00:00.000Z"
SOURCES = ("voice campaigns", "sms campaigns", "call results", "contact lists")
PAGED = SOURCES[:3]
ENDPOINTS = {
    "voice campaigns": "campaigns",
    "sms campaigns": "campaigns",
    "call results": "campaign_results",
    "contact lists": "lists",
}


@pytest.fixture(autouse=True)
def _account(kore: Simulator) -> None:
    for number in range(CAMPAIGNS):
        for kind in ("voice", "sms"):
            created = f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}.000Z"
            status = "Completed" if number % 3 else "Active"
            kore.add_campaign(
                f"cd-{kind}-{number}", type=kind, status=status, createdAt=created, updatedAt=created, priority="2"
            )
    kore.add_campaign("cd-1", type="voice", status="Completed", results=RESULTS, createdAt=LATER, updatedAt=LATER)
    for number in range(7):
        kore.add_list(f"cl-{number}", contacts=number)


def source_of(name: str, kore: Simulator, filters: dict[str, Any] | None = None) -> Source:
    stream = kore.settings.stream_id
    match name:
        case "call results":
            return CampaignContactsSource(campaign_id="cd-1")
        case "contact lists":
            return ContactListsSource(stream_id=stream)
    return CampaignsSource(stream_id=stream, query=CampaignQuery.parse(name.split(maxsplit=1)[0], filters))


def served(name: str, kore: Simulator) -> list[dict[str, Any]]:
    """Return the source's rows as the simulator holds them."""
    match name:
        case "call results":
            return kore.campaign_results("cd-1")
        case "contact lists":
            return [record.catalogue_fields(kore.settings) for record in kore.lists.values()]
    return [campaign.fields() for campaign in kore.campaigns.values() if campaign.type == name.split(maxsplit=1)[0]]


def without_made_id(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as the server sent them."""
    if name in {"sms campaigns", "call results"}:
        assert len({row["_id"] for row in rows}) == len(rows)
        return [{key: value for key, value in row.items() if key != "_id"} for row in rows]
    return rows


@pytest.fixture(params=SOURCES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def landing(kore: Simulator, name: str) -> Landing:
    return Landing(kore, source=source_of(name, kore))


# --- The right rows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_every_row_lands_once_in_the_servers_order(kore: Simulator, landing: Landing, name: str, version: str) -> None:
    manifest = landing.take({"api_version": version})
    expected = served(name, kore)
    assert without_made_id(name, landing.rows) == expected
    assert manifest.rows == len(expected)
    assert manifest.content[landing.source.dataset.file_name] == len(expected)  # type: ignore[union-attr]
    assert manifest.consistent
    base = {"v1": "/agentassist/api/v1/public/", "v2": "/campaign/api/v2/public/"}[version]
    assert all(request.path.startswith(base) for request in kore.requests)


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_tables_hold_the_same(kore: Simulator, landing: Landing, name: str, file_format: str) -> None:
    landing.take(file_format=file_format)
    (body,) = [body for key, body in landing.published.items() if not key.endswith(".json")]
    if file_format == "csv":
        rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(gzip.decompress(body).decode(), newline="")))
    else:
        rows = pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist()
    expected = served(name, kore)
    assert len({row["_id"] for row in rows}) == len(expected)
    for column in ("name", "uniqueId", "status"):
        assert [row.get(column) for row in rows] == [row.get(column) for row in expected]


def test_keys_are_partitions_that_readers_of_tables_know(kore: Simulator, landing: Landing, name: str) -> None:
    landing.take()
    stream = kore.settings.stream_id
    partition = {
        "voice campaigns": f"stream_id={stream}/campaign_type=voice",
        "sms campaigns": f"stream_id={stream}/campaign_type=sms",
        "call results": "campaign_id=cd-1",
        "contact lists": f"stream_id={stream}",
    }[name]
    file = {"call results": "contacts", "contact lists": "contact_lists"}.get(name, "campaigns")
    where = f"lake/contacts/{partition}/snapshot_date=2026-01-02/"
    assert set(landing.published) == {f"{where}{file}.jsonl.gz", f"{where}_manifest.json"}


@pytest.mark.parametrize(
    ("page_size", "results"),
    [
        (1, 1),
        (1, 14),
        (7, 0),
        (7, 14),
        (99, 1),
        (99, 99),
        (99, 100),
        (100, 99),
        (100, 100),
        (100, 101),
        (500, 0),
        (500, 101),
    ],
)
def test_call_results_are_walked_by_number_whatever_the_page(kore: Simulator, page_size: int, results: int) -> None:
    kore.add_campaign("cd-1", status="Completed", results=results)
    landing = Landing(kore, source=CampaignContactsSource(campaign_id="cd-1"))
    assert landing.take(page_size=page_size).rows == results
    assert without_made_id("call results", landing.rows) == kore.campaign_results("cd-1")


@pytest.mark.parametrize("settings", [{"echo": False}, {"total": "missing"}, {"total": "string"}, {"total": "page"}])
def test_call_results_land_whichever_witness_is_missing(kore: Simulator, settings: dict[str, Any]) -> None:
    kore.configure(**settings)
    landing = Landing(kore, source=CampaignContactsSource(campaign_id="cd-1"))
    landing.take(page_size=50)
    assert without_made_id("call results", landing.rows) == kore.campaign_results("cd-1")


@pytest.mark.parametrize(
    "settings",
    [
        {"limit_handling": "reject_any"},
        {"max_limit": 3},
        {"has_more": "missing"},
        {"total": "missing"},
        {"envelope": "top"},
        {"post_status": 201},
    ],
)
def test_campaigns_land_however_the_server_pages(kore: Simulator, settings: dict[str, Any]) -> None:
    kore.configure(**settings)
    landing = Landing(kore, source=source_of("sms campaigns", kore))
    landing.take()
    assert without_made_id("sms campaigns", landing.rows) == served("sms campaigns", kore)


def test_every_field_of_the_manifest_is_described(kore: Simulator, landing: Landing, name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "manifest.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`([^`]+)`", page))
    own = page.partition("## Other snapshots than of contacts")[2].partition("\n## ")[0]
    content = set(landing.take().content) - {"run", "walk", "files"}
    contacts = set(Landing(kore).take().content)
    assert content <= described
    assert content - contacts <= set(re.findall(r"`([^`]+)`", own))


def test_the_catalogue_costs_one_request(kore: Simulator) -> None:
    Landing(kore, source=source_of("contact lists", kore)).take()
    assert [request.endpoint for request in kore.requests] == ["lists"]


def test_an_empty_catalogue_is_asked_for_twice(kore: Simulator) -> None:
    for number in range(7):
        kore.remove_list(f"cl-{number}")
    landing = Landing(kore, source=source_of("contact lists", kore))
    assert landing.take().rows == 0
    assert landing.rows == []
    assert len(kore.requests) == 2


@pytest.mark.parametrize("clamped", [30, 64, 7])
def test_a_server_that_clamps_a_numbered_page_is_followed_by_a_retry_too(kore: Simulator, clamped: int) -> None:
    kore.configure(changed_limit=clamped)
    landing = Landing(kore, source=CampaignContactsSource(campaign_id="cd-1"), in_flight=1)
    with kore.fault("server_error", endpoint="campaign_results", after_requests=3), pytest.raises(ServerError):
        landing.take(durable=True)  # page by page: which one a fault meets is chance where several are under way
    landing.in_flight = MOST_IN_FLIGHT
    manifest = landing.take(durable=True)
    assert manifest.content["walk"]["resumed_from"] == clamped * 3
    assert without_made_id("call results", landing.rows) == kore.campaign_results("cd-1")


# --- Ids of call results ---------------------------------------------------------------------------------------------


def test_the_id_of_a_call_result_stays_while_the_campaign_goes_on(kore: Simulator) -> None:
    results = [{"phoneNumber": "+15551", "uniqueId": "u-1"}, {"phoneNumber": "+15552", "uniqueId": None}]
    kore.add_campaign("cd-1", results=results)
    landing = Landing(kore, source=CampaignContactsSource(campaign_id="cd-1"))
    landing.take()
    before = [row["_id"] for row in landing.rows]
    kore.add_campaign("cd-1", results=[{**result, "dialerOutcome": "Busy"} for result in results])
    landing.take()
    assert [row["_id"] for row in landing.rows] == before
    kore.add_campaign("cd-2", results=results)
    other = Landing(kore, source=CampaignContactsSource(campaign_id="cd-2"))
    other.take()
    assert not set(before) & {row["_id"] for row in other.rows}


def test_a_number_that_a_page_holds_twice_is_an_error(kore: Simulator) -> None:
    results = [{"phoneNumber": "+15551", "botSessionId": f"s-{number}"} for number in range(3)]
    kore.add_campaign("cd-1", status="Completed", results=results)
    landing = Landing(kore, source=CampaignContactsSource(campaign_id="cd-1"))
    error = outcome_of(landing.take)
    assert isinstance(error, PaginationError)
    assert "only 1 different uniqueId-phoneNumber pairs" in str(error)
    assert "status?view=contacts" in str(error)
    kore.add_campaign(
        "cd-1", status="Completed", results=[{**each, "uniqueId": each["botSessionId"]} for each in results]
    )
    assert landing.take().rows == 3


def test_a_number_that_two_pages_hold_is_no_snapshot(kore: Simulator) -> None:
    results = [{"phoneNumber": f"+1555{number % 5}"} for number in range(7)]
    kore.add_campaign("cd-1", status="Completed", results=results)
    landing = Landing(kore, source=CampaignContactsSource(campaign_id="cd-1"))
    with pytest.raises(DriftError, match=r"2 of the 3 call results of the page at offset 4 had been read before"):
        landing.take(page_size=4)
    assert landing.published == {}


def test_an_author_may_accept_that_each_lands_once(kore: Simulator) -> None:
    results = [{"phoneNumber": f"+1555{number % 5}"} for number in range(7)]
    kore.add_campaign("cd-1", status="Completed", results=results)
    landing = Landing(kore, source=CampaignContactsSource(campaign_id="cd-1"))
    content = landing.take(page_size=4, on_drift="accept").content
    assert (content["contacts"], content["duplicates_removed"], content["consistent"]) == (5, 2, False)
    assert without_made_id("call results", landing.rows) == results[:5]


def test_a_result_with_nothing_to_know_it_by_is_an_error(kore: Simulator) -> None:
    kore.add_campaign("cd-1", results=[{"dialerOutcome": "Busy", "uniqueId": ""}])
    error = outcome_of(Landing(kore, source=CampaignContactsSource(campaign_id="cd-1")).take)
    assert isinstance(error, ContractError)
    assert "uniqueId or phoneNumber" in str(error)


def test_policies_reach_call_results_and_spare_the_made_id(kore: Simulator) -> None:
    landing = Landing(kore, source=CampaignContactsSource(campaign_id="cd-1"))
    landing.take(policies=FieldPolicies.parse({"drop": ["phoneNumber"]}, {"uniqueId": "mask"}))
    assert all(set(row) >= {"_id", "dialerOutcome"} and "phoneNumber" not in row for row in landing.rows)
    assert landing.rows[0]["uniqueId"] == "****"
    body = gzip.decompress(landing.published[next(key for key in landing.published if key.endswith(".gz"))])
    assert b"+1555" not in body


# --- Changes ---------------------------------------------------------------------------------------------------------


def change(kore: Simulator, what: str) -> None:
    match what:
        case "campaign edited":
            kore.set_campaign_status("cd-voice-7", "Paused")
        case "campaign removed":
            del kore.campaigns["cd-voice-3"]
        case "campaign exchanged":
            change(kore, "campaign removed")
            kore.add_campaign("cd-late", createdAt=LAST, updatedAt=LAST)
        case "campaign completes":
            kore.set_campaign_status("cd-1", "Stopped")
        case "result added":
            kore.add_campaign_results("cd-1", 1)


CHANGES = {
    "campaign edited": ("voice campaigns", "newest updatedAt went from"),
    "campaign removed": ("voice campaigns", "totalResults went from 131 to 130"),
    "campaign exchanged": ("voice campaigns", "went from"),
    "campaign completes": ("call results", r"the campaign's status went from Completed .* to Stopped"),
    "result added": ("call results", "totalResults went from 250 to 251"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_that_can_be_noticed_is_an_error_or_walked_again(kore: Simulator, what: str) -> None:
    name, words = CHANGES[what]
    landing = Landing(kore, source=source_of(name, kore), happenings={3: lambda: change(kore, what)})
    with pytest.raises(DriftError, match=words):
        landing.take(on_drift="fail", page_size=50)
    assert landing.published == {}
    _restore(kore, what)
    manifest = landing.take(page_size=50)
    assert manifest.content["walk"]["walks"] == 2
    assert without_made_id(name, landing.rows) == served(name, kore)


@pytest.mark.parametrize("what", CHANGES)
def test_an_author_may_accept_it_and_is_told(kore: Simulator, what: str) -> None:
    name, _ = CHANGES[what]
    landing = Landing(kore, source=source_of(name, kore), happenings={3: lambda: change(kore, what)})
    manifest = landing.take(on_drift="accept", page_size=50)
    assert not manifest.consistent
    assert manifest.content["drift"]


def _restore(kore: Simulator, what: str) -> None:
    """Put back what the first walk changed, so that the same happens to the second."""
    match what:
        case "campaign removed" | "campaign exchanged":
            kore.campaigns.pop("cd-late", None)
            created = "2026-01-01T00:00:03.000Z"
            kore.add_campaign("cd-voice-3", createdAt=created, updatedAt=created)
            campaigns = kore.campaigns
            kore.campaigns = dict(sorted(campaigns.items(), key=lambda each: each[1].fields()["createdAt"]))
        case "campaign completes":
            kore.set_campaign_status("cd-1", "Completed")
        case "result added":
            kore.add_campaign("cd-1", status="Completed", results=RESULTS, createdAt=LATER, updatedAt=LATER)


def test_a_campaign_that_comes_last_meanwhile_is_in(kore: Simulator) -> None:
    late = {3: lambda: kore.add_campaign("cd-late", createdAt=LAST, updatedAt=LAST)}
    landing = Landing(kore, source=source_of("voice campaigns", kore), happenings=late)
    manifest = landing.take(on_drift="fail", page_size=50)
    assert manifest.content["appended_while_reading"] == 1
    assert landing.rows[-1]["_id"] == "cd-late"


@pytest.mark.parametrize("status", ["Active", "Paused", "Completed"])
def test_the_manifest_tells_the_campaigns_status(kore: Simulator, status: str) -> None:
    kore.set_campaign_status("cd-1", status)
    content = Landing(kore, source=source_of("call results", kore)).take().content
    assert content["campaign_status"] == status
    assert "campaign_status" in content["witnesses"]["agreed"]
    assert any("may change" in warning for warning in content["warnings"]) == (status != "Completed")


def test_a_server_that_does_not_sort_costs_the_witness(kore: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_kore.simulator import endpoints

    monkeypatch.setattr(endpoints, "_sorted", lambda found, *_: found)
    landing = Landing(kore, source=source_of("voice campaigns", kore))
    content = landing.take().content
    assert landing.rows == served("voice campaigns", kore)
    assert content["newest_updated_at"] is None
    assert "updated_at" not in content["witnesses"]["agreed"]
    assert "which campaign changed last" in content["warnings"][0]


@pytest.mark.parametrize(
    ("version", "account", "sort_by_name"),
    [
        ("v1", "ignored", "required"),
        ("v1", "required", "refused"),
        ("v1", "refused", "required"),
        ("v2", "ignored", "refused"),
        ("v2", "required", "required"),
        ("v2", "refused", "refused"),
    ],
)
def test_what_the_pages_leave_open_costs_a_refusal_and_no_witness(
    kore: Simulator, version: str, account: str, sort_by_name: str
) -> None:
    kore.configure(account_in_query=account, sort_by_name=sort_by_name)
    for name in SOURCES:
        landing = Landing(kore, source=source_of(name, kore))
        kore.forget_requests()
        content = landing.take({"api_version": version}).content
        assert without_made_id(name, landing.rows) == served(name, kore)
        assert content["walk"]["requests"] - content["walk"]["pages"] <= 9
        if name == "voice campaigns":
            assert content["newest_updated_at"] == LATER
            assert "updated_at" in content["witnesses"]["agreed"]


@pytest.mark.parametrize("named", ["like instants", "against them", "at random"])
def test_a_server_that_sorts_by_name_first_is_not_believed_to_sort_by_instant(kore: Simulator, named: str) -> None:
    kore.configure(sort_by_order="name_first")
    for number in range(CAMPAIGNS):
        kore.remove_campaign(f"cd-voice-{number}")
    kore.remove_campaign("cd-1")
    for number in range(40):
        instant = f"2026-01-01T00:00:{number:02d}.000Z"
        order = {"like instants": number, "against them": 99 - number, "at random": number * 37 % 41}[named]
        kore.add_campaign(f"cd-{number}", name=f"Week {order:02d}", createdAt=instant, updatedAt=instant)
    landing = Landing(kore, source=source_of("voice campaigns", kore))
    content = landing.take().content
    assert sorted(row["_id"] for row in landing.rows) == sorted(f"cd-{number}" for number in range(40))
    assert content["newest_updated_at"] in {None, "2026-01-01T00:00:39.000Z"}


@pytest.mark.parametrize("status", ["Rerun", "Run as emergency", "Archived"])
def test_a_status_that_no_page_lists_is_passed_on(
    kore: Simulator, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    kore.add_campaign("cd-rare", status=status, dialingMode="Agentless")
    landing = Landing(kore, source=source_of("voice campaigns", kore, {"status": status, "dialing_mode": "Agentless"}))
    landing.take()
    assert [row["_id"] for row in landing.rows] == ["cd-rare"]
    assert f"The status '{status}'" in caplog.text


def test_filters_go_as_the_vendor_spells_them() -> None:
    query = CampaignQuery.parse(
        "voice", {"priority": ["5", 1, "1"], "start_date": "2025-12-01", "end_date": "2025-12-04"}
    )
    assert query.body == {
        "type": "voice",
        "startDate": "2025-12-01T00:00:00.000Z",
        "endDate": "2025-12-04T23:59:59.999Z",
        "filters": {"priority": [1, 5]},
    }


# --- Misfortune ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGED, indirect=False)
def test_a_retry_continues_where_the_last_try_stopped(kore: Simulator, name: str) -> None:
    landing = Landing(kore, source=source_of(name, kore))
    with (
        kore.fault("server_error", endpoint=ENDPOINTS[name], after_requests=20),
        pytest.raises(ServerError),
    ):
        landing.take(durable=True, page_size=5)
    assert landing.published == {}
    kore.forget_requests()
    manifest = landing.take(durable=True, page_size=5)
    assert manifest.content["walk"]["resumed_from"] >= 50
    assert without_made_id(name, landing.rows) == served(name, kore)
    pages = -(-len(landing.rows) // 5)
    assert len(kore.requests) <= pages - manifest.content["walk"]["resumed_from"] // 5 + 6
    assert landing.store.bodies("lake/_staging/") == {}


def test_the_catalogue_is_never_pieced_together(kore: Simulator) -> None:
    landing = Landing(kore, source=source_of("contact lists", kore))
    with pytest.raises(ShrunkError):
        landing.take(durable=True, min_rows=8)
    kore.add_list("cl-new")
    assert landing.take(durable=True, min_rows=8).rows == 8
    assert landing.rows == served("contact lists", kore)


@pytest.mark.parametrize("name", PAGED, indirect=False)
def test_a_secret_that_changes_between_two_tries_is_no_wrong_snapshot(kore: Simulator, name: str) -> None:
    landing = Landing(kore, source=source_of(name, kore))
    with kore.fault("server_error", endpoint=ENDPOINTS[name], after_requests=20), pytest.raises(ServerError):
        landing.take(durable=True, page_size=5)
    kore.configure(client_secret="another-simulated-secret-of-good-length")
    landing.take(durable=True, page_size=5)
    assert without_made_id(name, landing.rows) == served(name, kore)


QUICK: dict[str, dict[str, Any]] = {"latency": {"seconds": 0.02}, "slow_body": {"piece": 65536, "pause": 0.002}}


OF_PAGES = sorted(name for name, fault in FAULTS.items() if fault.endpoints and not name.startswith("list_"))
"""What any request may meet is the same for all sources: test_hostile.py."""


@pytest.mark.exhaustive
@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
@pytest.mark.parametrize("fault", OF_PAGES)
def test_a_fault_lands_the_right_rows_or_a_clear_error(
    kore: Simulator, landing: Landing, name: str, fault: str, times: int | None
) -> None:
    kore.add_fault(
        fault, endpoint=ENDPOINTS[name], after_requests=1 if name in PAGED else 0, times=times, **QUICK.get(fault, {})
    )
    try:
        landing.take()
    except KoreError as err:
        assert_clear(err)
        assert landing.published == {}
    else:
        assert without_made_id(name, landing.rows) == served(name, kore)


@pytest.mark.parametrize("fault", ["short_page", "empty_page", "repeated_page", "wrong_skip_echo"])
def test_call_results_that_contradict_each_other_are_refused(kore: Simulator, fault: str) -> None:
    landing = Landing(kore, source=source_of("call results", kore))
    with kore.fault(fault, endpoint="campaign_results", after_requests=1), pytest.raises((PaginationError, DriftError)):
        landing.take(on_drift="fail", page_size=100)
    assert landing.published == {}


@pytest.mark.parametrize("setting", ["404", "400", "error_200", "empty_200"])
def test_an_unknown_campaign_is_an_error(kore: Simulator, setting: str) -> None:
    kore.configure(unknown_id=setting)
    error = outcome_of(Landing(kore, source=CampaignContactsSource(campaign_id="cd-nowhere")).take)
    kinds = {"404": NotFoundError, "empty_200": NotFoundError, "400": RequestRefusedError, "error_200": ServerError}
    assert type(error) is kinds[setting]
    assert "cd-nowhere" in str(error)


# --- Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("campaign_type", "filters", "parameter", "sense"),
    [
        ("email", None, "campaign_type", "voice, sms"),
        (None, None, "campaign_type", "voice, sms"),
        ("voice", ["Active"], "filters", "dictionary"),
        ("voice", {"state": "Active"}, "filters", "dialing_mode"),
        ("voice", {"status": "active"}, "filters", "Rescheduled"),
        ("voice", {"status": []}, "filters", "leave the filter out"),
        ("voice", {"status": "Complete"}, "filters", "did you mean 'Completed'"),
        ("voice", {"priority": [None]}, "filters", "leave the filter out"),
        ("voice", {"priority": "high"}, "filters", "numbers"),
        ("voice", {"start_date": "0001-01-01T00:00:00+05:00"}, "filters", "YYYY-MM-DD"),
        ("voice", {"start_date": "01.02.2026"}, "filters", "YYYY-MM-DD"),
        ("voice", {"end_date": "2026-02-30"}, "filters", "YYYY-MM-DD"),
        ("voice", {"start_date": "2026-02-02", "end_date": "2026-01-01"}, "filters", "exchange"),
    ],
)
def test_a_query_that_means_nothing_is_refused(campaign_type: Any, filters: Any, parameter: str, sense: str) -> None:
    with pytest.raises(ParameterError, match=sense) as caught:
        CampaignQuery.parse(campaign_type, filters)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize("campaign_id", ["", "cd 1", "a/b", "../x"])
def test_a_campaign_id_that_is_none_is_refused(campaign_id: str) -> None:
    with pytest.raises(ParameterError) as caught:
        CampaignContactsSource(campaign_id=campaign_id)
    assert caught.value.parameter == "campaign_id"
    assert "cl-" not in str(caught.value)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"status": "Active"}, 44),
        ({"status": ["Active", "Completed"]}, 131),
        ({"status": ["Paused"]}, 0),
        ({"priority": 2, "dialing_mode": "Preview"}, 130),
        ({"start_date": "2026-01-01", "end_date": "2026-01-01"}, 130),
        ({"priority": ["2", 7], "dialing_mode": ["Agentless", "Preview"]}, 130),
        ({"start_date": "2026-01-01T00:01:00.000Z", "end_date": "2026-12-31"}, 71),
        ({"start_date": "2026-01-01T01:01:00+01:00", "end_date": "2026-12-31T00:00:00.1234Z"}, 71),
    ],
)
def test_filters_let_pass_what_they_say(kore: Simulator, filters: dict[str, Any], expected: int) -> None:
    landing = Landing(kore, source=source_of("voice campaigns", kore, filters))
    manifest = landing.take()
    assert manifest.rows == expected
    assert set(manifest.content["filters"]) == set(filters)


def test_a_filter_that_the_server_ignores_is_found_out(kore: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_kore.simulator import endpoints

    monkeypatch.setattr(endpoints, "_filtered", lambda found, _asked: found)
    error = outcome_of(Landing(kore, source=source_of("voice campaigns", kore, {"status": "Active"})).take)
    assert isinstance(error, ContractError)
    assert "ignores the filter 'status'" in str(error)


def test_other_filters_do_not_overwrite_a_snapshot(kore: Simulator) -> None:
    landing = Landing(kore, source=source_of("voice campaigns", kore))
    landing.take()
    rows = landing.rows
    kore.forget_requests()
    landing.source = source_of("voice campaigns", kore, {"status": "Active"})
    with pytest.raises(ParameterError, match="other filters"):
        landing.take()
    assert landing.rows == rows
    assert kore.requests == []


def test_fewer_than_last_time_are_refused_in_the_sources_words(kore: Simulator) -> None:
    landing = Landing(kore, source=source_of("call results", kore))
    landing.take()
    kore.add_campaign("cd-1", status="Completed", results=1)
    with pytest.raises(ShrunkError, match=r"Campaign cd-1 has 1 call results, 99.6% fewer than the 250"):
        landing.take(snapshot_date="2026-01-03")
    with pytest.raises(ShrunkError, match=r"min_contacts is 2"):
        landing.take(snapshot_date="2026-01-03", min_rows=2)


# --- The client alone ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_client_reads_campaigns_and_call_results(kore: Simulator, version: str) -> None:
    with client_of(kore, api_version=version) as client:
        query = CampaignQuery.parse("sms", {"status": "Active"})
        found = [record.value for page in client.iter_campaign_pages(query) for record in page.records]
        assert [campaign["id"] for campaign in found] == [f"cd-sms-{number}" for number in range(0, CAMPAIGNS, 3)]
        assert client.get_campaign_status("cd-1") == {"id": "cd-1", "status": "Completed", "name": "Campaign cd-1"}
        results = [
            record.value for page in client.iter_campaign_contact_pages("cd-1", page_size=33) for record in page.records
        ]
        assert results == kore.campaign_results("cd-1")


def test_the_client_notices_that_a_campaign_moved_on(kore: Simulator) -> None:
    happenings = {3: lambda: kore.set_campaign_status("cd-1", "Stopped")}
    with client_of(kore, happenings=happenings) as client, pytest.raises(DriftError, match="Completed to Stopped"):
        list(client.iter_campaign_contact_pages("cd-1"))
    happenings = {3: lambda: kore.set_campaign_status("cd-voice-0", "Stopped")}
    with client_of(kore, happenings=happenings) as client, pytest.raises(DriftError, match="newest updatedAt"):
        list(client.iter_campaign_pages(CampaignQuery.parse()))


def test_no_number_is_in_an_id_or_a_log(kore: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    with client_of(kore) as client:
        pages = list(client.iter_campaign_contact_pages("cd-1"))
    assert all(len(record.id) == 24 and "+1555" not in repr(record) for page in pages for record in page.records)
    assert "+1555" not in caplog.text
    assert json.dumps("+15550000000") not in repr(pages)


# --- The table over days ----------------------------------------------------------------------------------------------


def of_columns(manifest: Manifest) -> dict[str, str | None]:
    return {each["name"]: each["type"] for each in manifest.content["schema"]["columns"]}


@pytest.mark.parametrize("file_format", ["csv", "parquet", "jsonl"])
def test_every_kind_of_snapshot_goes_on_with_its_last_columns(
    kore: Simulator, landing: Landing, file_format: str
) -> None:
    days = [f"2026-01-0{day}" for day in (2, 3, 4)]
    first = landing.take(file_format=file_format, snapshot_date=days[0])
    before = of_columns(first)
    key = f"{first.keys[0].rpartition('/')[0]}/_manifest.json"
    told = json.loads(landing.store.bodies(key)[key])
    assert (told["previous"], told["replaces"], told["schema"]["from"]) == (None, [], None)
    more = [*told["schema"]["columns"], {"name": "of old", "type": "int64" if file_format == "parquet" else None}]
    told["schema"]["columns"] = more
    landing.store.put(key, json.dumps(told).encode(), content_type="application/json")
    second = landing.take(file_format=file_format, snapshot_date=days[1])
    of_old = {"csv": "string", "parquet": "int64", "jsonl": None}[file_format]
    assert list(of_columns(second).items()) == [*before.items(), ("of old", of_old)]
    assert second.content["schema"]["changes"] == []
    assert second.content["previous"]["snapshot_id"] == first.snapshot_id
    if file_format == "parquet":
        (body,) = landing.store.bodies(second.keys[0]).values()
        assert pyarrow.parquet.read_schema(io.BytesIO(body)).names == list(of_columns(second))
