"""Sensors and their triggers: what ends the waiting, what doesn't, and what it costs."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

try:
    from airflow.sdk.exceptions import TaskDeferred  # 3.2 and later
except ImportError:
    from airflow.exceptions import TaskDeferred

from airflow_provider_kore.exceptions import RetryableError
from airflow_provider_kore.hooks.airflow_versions import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from airflow_provider_kore.sensors.campaign import CampaignStatusSensor
from airflow_provider_kore.sensors.contact_list import ContactListSensor
from airflow_provider_kore.triggers import poll
from airflow_provider_kore.triggers.campaign import CampaignStatusTrigger
from airflow_provider_kore.triggers.poll import PollTrigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench import Bench

    from airflow_provider_kore.simulator import Simulator

LONG = 3600.0


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let triggers look as often as a test can bear."""
    monkeypatch.setattr(poll, "LEAST_INTERVAL", 0.01)


def context(try_number: int = 1) -> Any:
    ti = SimpleNamespace(try_number=try_number, get_first_reschedule_date=lambda _: None)
    return {"ti": ti}


def campaign_sensor(**parameters: Any) -> CampaignStatusSensor:
    given = {"task_id": "wait", "campaign_id": "cd-1", "poke_interval": 0.01, "timeout": LONG, "deferrable": True}
    return CampaignStatusSensor(**{**given, **parameters})


def list_sensor(**parameters: Any) -> ContactListSensor:
    given = {"task_id": "wait", "contact_list_id": "cl-1", "poke_interval": 0.01, "timeout": LONG, "deferrable": True}
    return ContactListSensor(**{**given, **parameters})


def deferred(sensor: Any) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(context())
    return caught.value


def restarted(trigger: Any) -> PollTrigger:
    """What another triggerer makes of what Airflow has stored."""
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    made: PollTrigger = getattr(__import__(module, fromlist=[name]), name)(**json.loads(json.dumps(arguments)))
    return made


def event_of(trigger: Any, meanwhile: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Run a trigger to its event, as a triggerer that has just started it would."""

    async def run() -> dict[str, Any]:
        events = restarted(trigger).run()
        first = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        await asyncio.to_thread(meanwhile)
        payload: dict[str, Any] = (await first).payload
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        return payload

    payload = asyncio.run(run())
    assert json.loads(json.dumps(payload)) == payload
    return payload


def end(sensor: Any, meanwhile: Callable[[], None] = lambda: None) -> Any:
    """Defer, let the trigger fire, and resume in a new object, as Airflow does."""
    request = deferred(sensor)
    event = event_of(request.trigger, meanwhile)
    return getattr(sensor, request.method_name)(context(), event=event, **request.kwargs)


def when_asked(kore: Simulator, times: int, change: Callable[[], None]) -> Callable[[], None]:
    """Return what makes a change once the simulator has served so many requests."""

    def wait() -> None:
        while len(kore.requests) < times:
            time.sleep(0.005)
        change()

    return wait


def test_a_campaign_that_is_completed_defers_nothing(bench: Bench) -> None:
    bench.kore.add_campaign("cd-1", status="Completed")
    assert campaign_sensor().execute(context()) == {"campaign_id": "cd-1", "campaign_status": "Completed"}
    assert [request.endpoint for request in bench.kore.requests] == ["campaign_status"]


def test_the_sensor_ends_when_the_campaign_does(bench: Bench) -> None:
    bench.kore.add_campaign("cd-1", status="Active")
    completed = when_asked(bench.kore, 3, lambda: bench.kore.set_campaign_status("cd-1", "Completed"))
    assert end(campaign_sensor(), completed) == {"campaign_id": "cd-1", "campaign_status": "Completed"}


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_the_other_modes_see_the_same(bench: Bench, mode: str) -> None:
    bench.kore.add_campaign("cd-1", status="Active")
    sensor = campaign_sensor(deferrable=False, mode=mode)
    assert not sensor.poke(context())
    bench.kore.set_campaign_status("cd-1", "Completed")
    assert sensor.execute(context()) == {"campaign_id": "cd-1", "campaign_status": "Completed"}


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_stopped_campaign_fails_the_task_for_good(bench: Bench, deferrable: bool) -> None:
    bench.kore.add_campaign("cd-1", status="Stopped")
    with pytest.raises(AirflowFailException, match=r"Campaign cd-1 is Stopped, and Completed was waited for\."):
        campaign_sensor(deferrable=deferrable).execute(context())


def test_a_campaign_that_is_stopped_while_waiting_fails_the_task_for_good(bench: Bench) -> None:
    bench.kore.add_campaign("cd-1", status="Active")
    with pytest.raises(AirflowFailException, match=r"Campaign cd-1 is Stopped"):
        end(campaign_sensor(), when_asked(bench.kore, 2, lambda: bench.kore.set_campaign_status("cd-1", "Stopped")))


def test_a_status_that_is_waited_for_is_no_failure(bench: Bench) -> None:
    bench.kore.add_campaign("cd-1", status="Stopped")
    found = campaign_sensor(status=["Completed", "Stopped"]).execute(context())
    assert found["campaign_status"] == "Stopped"


@pytest.mark.parametrize("unknown_id", ["404", "400", "empty_200"])
@pytest.mark.parametrize("deferrable", [True, False])
def test_an_unknown_campaign_fails_at_once_however_the_server_says_so(
    bench: Bench, unknown_id: str, deferrable: bool
) -> None:
    bench.kore.configure(unknown_id=unknown_id)
    with pytest.raises(AirflowFailException, match="cd-nowhere"):
        campaign_sensor(campaign_id="cd-nowhere", deferrable=deferrable).execute(context())
    assert len(bench.kore.requests) == 1


@pytest.mark.parametrize("unknown_id", ["404", "400", "empty_200"])
def test_a_campaign_that_is_deleted_while_waiting_fails_with_the_same_sentence(bench: Bench, unknown_id: str) -> None:
    bench.kore.configure(unknown_id=unknown_id)
    bench.kore.add_campaign("cd-1", status="Active")
    with pytest.raises(AirflowFailException) as later:
        end(campaign_sensor(), when_asked(bench.kore, 2, lambda: bench.kore.remove_campaign("cd-1")))
    with pytest.raises(AirflowFailException) as at_once:
        campaign_sensor(deferrable=False).execute(context())
    assert str(later.value) == str(at_once.value)
    assert "cd-1" in str(later.value)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"campaign_id": ""}, "Parameter 'campaign_id': is empty"),
        ({"campaign_id": "cd 1/2"}, "holds a character that no Kore.ai id has"),
        ({"status": "Complete"}, "Parameter 'status': there is no status 'Complete'; use Active, Completed"),
        ({"status": []}, r"Parameter 'status': is \[\]"),
        ({"failed_statuses": ["Halted"]}, "Parameter 'failed_statuses': there is no status 'Halted'"),
        ({"kore_conn_id": "kore_nowhere"}, "kore_nowhere"),
    ],
)
@pytest.mark.parametrize("deferrable", [True, False])
def test_an_impossible_parameter_spends_no_request(
    bench: Bench, parameters: dict[str, Any], sentence: str, deferrable: bool
) -> None:
    with pytest.raises(AirflowFailException, match=sentence):
        campaign_sensor(**{"deferrable": deferrable, **parameters}).execute(context())
    assert bench.kore.requests == []


def test_a_wrong_secret_fails_at_once(bench: Bench) -> None:
    bench.kore.add_campaign("cd-1", status="Active")
    request = deferred(campaign_sensor())
    bench.connect(password="wrong-" * 8)
    event = event_of(request.trigger)
    assert (event["outcome"], event["error"], event["fatal"]) == ("failed", "CredentialsError", True)
    assert "wrong-wrong" not in json.dumps(event)


RUBBISH = [
    "not_json",
    "html_body",
    "empty_body",
    "cut_json",
    "truncated_body",
    "reset_before_headers",
    "reset_after_headers",
    "server_error",
    "bad_gateway",
    "refusal_under_200",
    "too_many_requests",
    "rate_limit_under_200",
]


@pytest.mark.parametrize("fault", RUBBISH)
def test_rubbish_is_survived_and_costs_nothing_but_time(bench: Bench, fault: str) -> None:
    bench.kore.add_campaign("cd-1", status="Completed")
    with bench.kore.fault(fault, endpoint="campaign_status", times=4) as handle:
        request = deferred(campaign_sensor())  # the first look, on the worker, has met it already
        event = event_of(request.trigger)
        assert handle.fired == 4
    assert event["outcome"] == "found"
    assert len(bench.kore.requests) == 5


@pytest.mark.parametrize("fault", RUBBISH)
def test_rubbish_without_end_fails_with_what_it_was_and_leaves_the_retry_to_airflow(bench: Bench, fault: str) -> None:
    bench.kore.add_campaign("cd-1", status="Completed")
    with (
        bench.kore.fault(fault, endpoint="campaign_status"),
        pytest.raises(RetryableError, match="3 looks in a row have failed"),
    ):
        end(campaign_sensor(max_failures=3))
