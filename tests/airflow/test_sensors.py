"""Sensors and their triggers: what ends the waiting, what doesn't, and what it costs."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

try:
    from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred  # 3.2 and later
except ImportError:
    from airflow.exceptions import AirflowRescheduleException, TaskDeferred

from airflow_provider_kore.exceptions import ContractError, RetryableError, ServerError
from airflow_provider_kore.hooks.airflow_versions import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from airflow_provider_kore.sensors.campaign import CampaignStatusSensor
from airflow_provider_kore.sensors.contact_list import ContactListSensor
from airflow_provider_kore.triggers import poll

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench import Bench

    from airflow_provider_kore.simulator import Simulator
    from airflow_provider_kore.triggers.poll import PollTrigger

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


def test_a_status_that_no_page_lists_can_be_waited_for_and_passed_by(bench: Bench) -> None:
    bench.kore.add_campaign("cd-1", status="Run as emergency")
    rerun = when_asked(bench.kore, 3, lambda: bench.kore.set_campaign_status("cd-1", "Rerun"))
    assert end(campaign_sensor(status=["Rerun"]), rerun)["campaign_status"] == "Rerun"


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
        ({"failed_statuses": ["Stoped"]}, "Parameter 'failed_statuses': there is no status 'Stoped'"),
        ({"max_failures": 0}, "Parameter 'max_failures'"),
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


def test_a_server_that_asks_for_longer_than_the_deadline_ends_the_waiting(bench: Bench) -> None:
    bench.kore.add_campaign("cd-1", status="Active")
    request = deferred(campaign_sensor())
    with bench.kore.fault("service_unavailable", retry_after="100000"):
        event = event_of(request.trigger)
    assert (event["error"], event["retry_after"]) == ("ServerError", 21_600.0)  # six hours: nobody is parked for longer
    assert len(bench.kore.requests) == 2


def test_a_trigger_keeps_the_wait_that_the_server_asked_of_the_first_look(bench: Bench) -> None:
    bench.kore.add_campaign("cd-1", status="Completed")
    with bench.kore.fault("service_unavailable", retry_after="1"):
        request = deferred(campaign_sensor())
    before = time.time()
    assert event_of(request.trigger)["outcome"] == "found"
    assert request.trigger.not_before > before
    assert time.time() >= request.trigger.not_before
    with bench.kore.fault("service_unavailable", retry_after="5000"), pytest.raises(ServerError):
        campaign_sensor().execute(context())  # its deadline comes first


def test_a_look_that_comes_in_another_process_keeps_the_wait_that_the_server_asked_for(bench: Bench) -> None:
    bench.kore.add_campaign("cd-1", status="Completed")
    sensor = campaign_sensor(deferrable=False, mode="reschedule")
    with bench.kore.fault("service_unavailable", retry_after="100"), pytest.raises(AirflowRescheduleException) as again:
        sensor.execute(context())
    assert again.value.reschedule_date.timestamp() >= time.time() + 90
    with bench.kore.fault("service_unavailable"), pytest.raises(AirflowRescheduleException) as again:
        campaign_sensor(deferrable=False, mode="reschedule").execute(context())
    assert again.value.reschedule_date.timestamp() <= time.time() + 90


def test_the_other_modes_survive_rubbish_too_and_honour_retry_after(bench: Bench) -> None:
    bench.kore.add_campaign("cd-1", status="Completed")
    sensor = campaign_sensor(deferrable=False)
    with bench.kore.fault("service_unavailable", retry_after="100"):
        assert not sensor.poke(context())
    assert not sensor.poke(context())
    assert len(bench.kore.requests) == 1
    other = campaign_sensor(deferrable=False, max_failures=2)
    with bench.kore.fault("not_json"):
        assert not other.poke(context())
        with pytest.raises(RetryableError):
            other.poke(context())


@pytest.mark.parametrize("fault", ["missing_data", "null_data"])
def test_an_answer_that_says_nothing_is_no_status(bench: Bench, fault: str) -> None:
    bench.kore.add_campaign("cd-1", status="Completed")
    with bench.kore.fault(fault), pytest.raises(AirflowFailException, match="campaign cd-1"):
        campaign_sensor().execute(context())


@pytest.mark.parametrize("told", [{"id": "cd-2", "status": "Completed"}, {"status": ""}, {"status": ["Completed"]}])
def test_an_answer_about_something_else_or_without_status_is_not_believed(told: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="The answer for campaign cd-1"):
        poll.told_status(told, "cd-1", "campaign cd-1")


def test_a_status_that_nobody_documents_is_no_end(bench: Bench) -> None:
    bench.kore.add_campaign("cd-1", status="Archiving")
    assert deferred(campaign_sensor()).trigger


def test_the_deadline_holds_whichever_triggerer_looks(bench: Bench) -> None:
    bench.kore.add_campaign("cd-1", status="Active")
    sensor = campaign_sensor(timeout=0.05)
    request = deferred(sensor)
    deadline = request.trigger.deadline
    assert deadline <= time.time() + 0.05
    assert request.timeout.total_seconds() > sensor.timeout  # the trigger tells first, and in more words
    again = restarted(restarted(request.trigger))
    assert again.serialize() == request.trigger.serialize()
    event = event_of(again)
    assert event == {"outcome": "too_late", "message": "Campaign cd-1 is Active, not Completed yet."}
    with pytest.raises(AirflowSensorTimeout, match=r"is Active, not Completed yet\. The timeout of 0 s is over\."):
        sensor.resume(context(), event=event)


def test_a_trigger_that_starts_behind_its_deadline_looks_once_before_it_gives_up(bench: Bench) -> None:
    bench.kore.add_campaign("cd-1", status="Active")
    late, lost = deferred(campaign_sensor(timeout=0)), deferred(campaign_sensor(timeout=0))
    assert event_of(lost.trigger)["outcome"] == "too_late"
    bench.kore.set_campaign_status("cd-1", "Completed")
    assert event_of(late.trigger)["outcome"] == "found"


def test_a_retry_starts_anew_where_airflow_resumes_the_old_try(bench: Bench) -> None:
    """Airflow 3.0 calls the resume method again, with the event of the try that failed."""
    bench.kore.add_campaign("cd-1", status="Completed")
    old = {"outcome": "failed", "error": "ServerError", "message": "old", "fatal": False, "retry_after": None}
    sensor = campaign_sensor()
    with pytest.raises(ServerError, match="old"):
        sensor.resume(context(1), event=old, try_number=1)
    with pytest.raises(ServerError, match="old"):
        sensor.resume(context(1), event=old)  # dag.test() loses what was given to defer()
    assert sensor.resume(context(2), event=old, try_number=1)["campaign_status"] == "Completed"


def test_triggers_that_start_together_ask_at_different_moments(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    bench.kore.add_campaign("cd-1", status="Active")
    trigger = deferred(campaign_sensor(poke_interval=300.0)).trigger
    bench.kore.set_campaign_status("cd-1", "Completed")
    monkeypatch.setattr(poll.asyncio, "sleep", sleep)
    for _ in range(10):
        assert asyncio.run(anext(trigger.run())).payload["outcome"] == "found"
    assert len(set(slept)) == 10
    assert all(0 <= seconds <= 300 for seconds in slept)


def test_failures_in_a_row_are_looked_at_ever_more_rarely(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(poll.asyncio, "sleep", sleep)
    bench.kore.add_campaign("cd-1", status="Active")
    trigger = deferred(campaign_sensor(poke_interval=300.0, timeout=1e6, max_failures=6)).trigger
    with bench.kore.fault("bad_gateway"):
        assert asyncio.run(anext(trigger.run())).payload["outcome"] == "failed"
    assert [seconds >= least for seconds, least in zip(slept[1:], [300, 600, 1200, 1800, 1800], strict=True)] == [
        True
    ] * 5
    assert max(slept) <= 1.1 * 1800


@pytest.mark.parametrize("deferrable", [True, False])
def test_soft_fail_skips(bench: Bench, deferrable: bool) -> None:
    with pytest.raises(AirflowSkipException):
        campaign_sensor(campaign_id="cd-nowhere", soft_fail=True, deferrable=deferrable).execute(context())
    with pytest.raises(AirflowSkipException, match="late"):
        campaign_sensor(soft_fail=True).resume(context(), event={"outcome": "too_late", "message": "late"})
    error = {"outcome": "failed", "error": "ServerError", "message": "503", "fatal": False, "retry_after": None}
    with pytest.raises(AirflowSkipException, match="503"):
        campaign_sensor(never_fail=True).resume(context(), event=error)


def test_deferrable_is_what_airflow_is_configured_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not campaign_sensor(deferrable=None).deferrable
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "true")
    assert campaign_sensor(deferrable=None).deferrable


def test_default_args_reach_a_sensor_and_it_can_be_mapped() -> None:
    shared = {"poke_interval": 60, "deferrable": True, "status": "Paused", "timeout": 5}
    with DAG("a_dag", schedule=None, default_args=shared):
        sensor = CampaignStatusSensor(task_id="one", campaign_id="cd-1")
        CampaignStatusSensor.partial(task_id="all", max_failures=2).expand(campaign_id=["cd-1", "cd-2"])
        with pytest.raises(TypeError, match="max_failure"):
            CampaignStatusSensor.partial(task_id="misspelt", max_failure=2)
    assert (sensor.poke_interval, sensor.deferrable, sensor.status, sensor.timeout) == (60.0, True, "Paused", 5.0)
    assert CampaignStatusSensor(task_id="plain", campaign_id="cd-1").poke_interval == 300.0


# --- Contact lists ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["Validating", "Validated"])
def test_a_list_is_waited_for_until_it_is_ready(bench: Bench, status: str) -> None:
    bench.kore.add_list("cl-1", status=status)
    ready = when_asked(bench.kore, 2, lambda: bench.kore.add_list("cl-1", status="Ready"))
    assert end(list_sensor(), ready) == {"contact_list_id": "cl-1", "list_status": "Ready"}
    assert {request.endpoint for request in bench.kore.requests} == {"list"}


@pytest.mark.parametrize("deferrable", [True, False])
def test_an_invalid_list_fails_for_good(bench: Bench, deferrable: bool) -> None:
    bench.kore.add_list("cl-1", status="Invalid")
    with pytest.raises(AirflowFailException, match="Contact list cl-1 is Invalid"):
        list_sensor(deferrable=deferrable).execute(context())


def test_a_list_without_a_snapshot_has_changed(bench: Bench) -> None:
    found = list_sensor(s3_bucket=bench.bucket).execute(context())
    assert (found["snapshot_id"], found["snapshot_updated_at"]) == (None, None)


def test_a_list_is_waited_for_until_it_changes(bench: Bench) -> None:
    landed = bench.run()
    before = bench.manifest(landed)["list_updated_at"]
    bench.kore.forget_requests()
    changed = when_asked(bench.kore, 3, lambda: bench.kore.append("cl-1"))
    found = end(list_sensor(s3_bucket=bench.bucket), changed)
    assert (found["snapshot_id"], found["snapshot_updated_at"]) == (landed["snapshot_id"], before)
    assert found["list_updated_at"] > before
    assert {request.endpoint for request in bench.kore.requests} == {"list"}
    bench.run(bench.context("another"))
    assert deferred(list_sensor(s3_bucket=bench.bucket)).trigger  # what has landed is no change any more


def test_a_snapshot_elsewhere_or_inconsistent_is_not_the_last_one(bench: Bench) -> None:
    bench.run(s3_prefix="other")
    assert list_sensor(s3_bucket=bench.bucket).execute(context())["snapshot_id"] is None
    landed = bench.run()
    manifest = bench.manifest(landed)
    bench.s3.put_object(
        Bucket=bench.bucket, Key=landed["manifest_key"], Body=json.dumps({**manifest, "consistent": False})
    )
    assert list_sensor(s3_bucket=bench.bucket).execute(context())["snapshot_id"] is None


@pytest.mark.parametrize("told", [None, ""])
def test_a_list_that_tells_no_updated_at_is_never_taken_for_changed(bench: Bench, told: object) -> None:
    bench.kore.add_list("cl-1", contacts=3, updatedAt=told)
    with pytest.raises(AirflowFailException, match="has no updatedAt"):
        list_sensor(s3_bucket=bench.bucket).execute(context())
    assert list_sensor().execute(context())["list_status"] == "Ready"


def test_a_list_is_only_compared_once_it_is_ready(bench: Bench) -> None:
    bench.kore.add_list("cl-1", status="Validating")
    assert deferred(list_sensor(s3_bucket="kore-nowhere")).trigger


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"contact_list_id": "cl-nowhere"}, "contact list cl-nowhere"),
        ({"contact_list_id": "cl 1"}, "Parameter 'contact_list_id'"),
        ({"status": "ready"}, "there is no status 'ready'; use Validating, Validated, Invalid, Ready"),
        ({"s3_bucket": "s3://bucket"}, "Parameter 's3_bucket'"),
        ({"s3_bucket": "kore-nowhere"}, "kore-nowhere"),
        ({"s3_bucket": "kore-bucket", "s3_prefix": "../up"}, "Parameter 's3_prefix'"),
        ({"s3_bucket": "kore-bucket", "aws_conn_id": "aws_nowhere"}, "aws_nowhere"),
        ({"contact_list_id": "{{ oops }}"}, "Parameter 'contact_list_id': still holds a template"),
    ],
)
def test_what_can_never_come_fails_at_once(bench: Bench, parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(AirflowFailException, match=sentence):
        list_sensor(**parameters).execute(context())


def test_a_trigger_holds_ids_and_settings_and_nothing_else(bench: Bench) -> None:
    bench.kore.add_list("cl-1", status="Validating", contacts=3)
    path, arguments = deferred(list_sensor(s3_bucket="b-1")).trigger.serialize()
    assert path == "airflow_provider_kore.triggers.contact_list.ContactListTrigger"
    assert set(arguments) == {
        "contact_list_id", "statuses", "failed_statuses", "s3_bucket", "s3_prefix", "aws_conn_id",
        "kore_conn_id", "poke_interval", "deadline", "max_failures", "not_before",
    }  # fmt: skip
