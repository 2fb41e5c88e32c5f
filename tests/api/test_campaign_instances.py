"""Kore.ai drops a campaign's results when it is started again: what has landed of them is not silently replaced."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from landing import Landing, client_of

from airflow_provider_kore.api.sources.call_results import CampaignContactsSource
from airflow_provider_kore.exceptions import DriftError, SnapshotExistsError

if TYPE_CHECKING:
    from airflow_provider_kore.simulator import Simulator

RESULTS = 120


@pytest.fixture(autouse=True)
def _campaign(kore: Simulator) -> None:
    kore.add_campaign("cd-1", status="Completed", results=RESULTS)
    for number in range(3):
        kore.add_campaign(f"cd-other-{number}")


def landing_of(kore: Simulator, *, replace_instance: bool = False) -> Landing:
    return Landing(kore, source=CampaignContactsSource(campaign_id="cd-1", replace_instance=replace_instance))


def again(kore: Simulator, landing: Landing, **options: Any) -> dict[str, Any]:
    """Land it as another run of the task, or the same run cleared, would."""
    kore.forget_requests()
    return landing.take(generation="another", **options).content


@pytest.mark.parametrize("status", ["Completed", "Active", "Paused", "Rerun"])
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("told", ["list", "both"])
def test_another_instances_results_are_refused_before_they_are_read(
    kore: Simulator, status: str, version: str, told: str
) -> None:
    kore.configure(campaign_instance=told)
    kore.set_campaign_status("cd-1", status)
    landing = landing_of(kore)
    landing.take({"api_version": version})
    rows = landing.rows
    kore.restart_campaign("cd-1", results=RESULTS + 7, status=status)
    with pytest.raises(SnapshotExistsError, match=r"another run of campaign cd-1.*replace_instance=True"):
        again(kore, landing, extra={"api_version": version})
    assert landing.rows == rows
    assert "campaign_results" not in kore.report()["endpoints"]


@pytest.mark.parametrize("moved", ["Active", "Stopped", "Completed"])
def test_results_that_were_final_are_kept_where_only_status_and_dates_tell(kore: Simulator, moved: str) -> None:
    kore.configure(campaign_instance="missing")
    landing = landing_of(kore)
    content = landing.take().content
    assert content["campaign_instance"]["updated_at"] is None
    assert any("campaignInstanceUpdatedAt" in warning for warning in content["warnings"])
    kore.set_campaign_status("cd-1", moved)
    with pytest.raises(SnapshotExistsError, match="it was Completed"):
        again(kore, landing)
    assert len(landing.rows) == RESULTS


def test_a_campaign_that_goes_on_is_landed_again(kore: Simulator) -> None:
    kore.set_campaign_status("cd-1", "Active")
    landing = landing_of(kore)
    landing.take()
    kore.add_campaign_results("cd-1", 5)
    kore.set_campaign_status("cd-1", "Completed")
    assert again(kore, landing)["contacts"] == RESULTS + 5
    assert landing.take(generation="a third").rows == RESULTS + 5


def test_its_author_may_replace_them(kore: Simulator) -> None:
    landing = landing_of(kore, replace_instance=True)
    first = landing.take().content["campaign_instance"]
    kore.restart_campaign("cd-1", results=1)
    content = again(kore, landing)
    assert (content["contacts"], content["campaign_status"]) == (1, "Active")
    assert content["campaign_instance"]["updated_at"] > first["updated_at"]


def test_each_instance_has_its_day_and_a_shorter_one_is_no_loss(kore: Simulator) -> None:
    landing = landing_of(kore)
    landing.take(max_shrink=0.1)
    kore.restart_campaign("cd-1", results=3, status="Completed")
    assert again(kore, landing, snapshot_date="2026-01-03", max_shrink=0.1)["contacts"] == 3
    manifests = [json.loads(body) for key, body in landing.published.items() if key.endswith(".json")]
    assert len({each["campaign_instance"]["updated_at"] for each in manifests}) == 2


def test_an_instance_that_begins_while_another_is_read_is_drift(kore: Simulator) -> None:
    restart = {3: lambda: kore.restart_campaign("cd-1", results=RESULTS, status="Completed")}
    landing = Landing(kore, source=CampaignContactsSource(campaign_id="cd-1"), happenings=restart)
    with pytest.raises(DriftError, match="instance of"):
        landing.take(on_drift="fail", page_size=50)
    assert landing.published == {}
    with client_of(kore, happenings=restart) as client, pytest.raises(DriftError, match="campaignInstanceUpdatedAt"):
        list(client.iter_campaign_contact_pages("cd-1", page_size=50))


def test_the_manifest_says_which_run_it_holds(kore: Simulator) -> None:
    schedule = {"isSchedulingEnabled": True, "recurrence": "daily"}
    kore.add_campaign("cd-1", status="Completed", results=3, schedule=schedule, updatedAt="2026-01-02T00:00:00.000Z")
    told = landing_of(kore).take().content["campaign_instance"]
    assert told == {
        "updated_at": "2025-12-09T04:28:44.832Z",
        "campaign_created_at": "2025-12-09T04:28:44.832Z",
        "campaign_updated_at": "2026-01-02T00:00:00.000Z",
        "schedule": schedule,
    }


@pytest.mark.parametrize("fault", ["bad_request", "not_found", "missing_data"])
def test_a_server_that_tells_no_run_costs_a_warning(kore: Simulator, fault: str) -> None:
    for endpoint in ("campaigns", "campaign"):
        kore.add_fault(fault, endpoint=endpoint)
    content = landing_of(kore).take().content
    assert content["contacts"] == RESULTS
    assert set(content["campaign_instance"].values()) == {None}
    assert any("which run of the campaign" in warning for warning in content["warnings"])


def test_a_manifest_of_before_is_compared_by_its_status(kore: Simulator) -> None:
    source = CampaignContactsSource(campaign_id="cd-1")
    with client_of(kore) as client:
        state = source.look(client)
    assert source.is_comparable({"campaign_status": "Active", "campaign_instance": "x"}, state)
    assert source.is_comparable({"campaign_status": "Completed"}, state)
    assert not source.is_comparable({"campaign_status": "Stopped"}, state)


@pytest.mark.parametrize(("version", "older", "cost"), [("v1", 0, 1), ("v2", 0, 1), ("v1", 60, 2), ("v2", 60, 2)])
def test_a_look_costs_a_request_or_two(kore: Simulator, version: str, older: int, cost: int) -> None:
    for number in range(older):
        kore.add_campaign(f"cd-newer-{number}", updatedAt="2030-01-01T00:00:00.000Z")
    with client_of(kore, api_version=version) as client:
        told = client.look_at_campaign("cd-1")
    assert (told["status"], told["name"]) == ("Completed", "Campaign cd-1")
    assert len(kore.requests) == cost
