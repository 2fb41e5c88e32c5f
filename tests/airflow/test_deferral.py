"""Long waits give the worker's slot back: the walk is checkpointed, the task defers, and any worker continues."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.exceptions import PausedError, StoppedError
from airflow_provider_kore.hooks.airflow_versions import AirflowFailException
from airflow_provider_kore.transfers.campaign_contacts_to_s3 import CampaignContactsToS3Operator
from airflow_provider_kore.transfers.campaigns_to_s3 import CampaignsToS3Operator
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator
from airflow_provider_kore.triggers.wait import WaitTrigger

if TYPE_CHECKING:
    from bench import Bench

    from airflow_provider_kore.transfers.snapshot_to_s3 import SnapshotToS3Operator

try:
    from airflow.sdk.exceptions import TaskDeferred  # 3.2 and later
except ImportError:
    from airflow.exceptions import TaskDeferred  # 3.0, 3.1

LIMITED = {"minute_seconds": 2.0, "requests_per_minute": 4, "max_limit": 20, "retry_after": "wait"}
"""What the server allows: with 120 contacts, six pages and two looks at the list."""


def snapshot(
    bench: Bench, *, kind: type[SnapshotToS3Operator] = ContactListToS3Operator, **parameters: Any
) -> SnapshotToS3Operator:
    given = {
        "task_id": "snapshot",
        "s3_bucket": bench.bucket,
        "deferrable": True,
        **({"contact_list_id": "cl-1"} if kind is ContactListToS3Operator else {}),
    } | parameters
    return kind(**{"defer_after": 0.5, **given})


def play(bench: Bench, context: Any, **parameters: Any) -> tuple[dict[str, Any], list[TaskDeferred]]:
    """Run a task as scheduler, workers and triggerer do: a new operator for each stretch, on whatever worker."""
    pauses: list[TaskDeferred] = []
    while True:
        operator = snapshot(bench, **parameters)
        try:
            if not pauses:
                return operator.execute(context), pauses
            last = pauses[-1]
            return getattr(operator, last.method_name)(context, event=None, **(last.kwargs or {})), pauses
        except TaskDeferred as pause:
            pauses.append(pause)
            assert len(pauses) < 20
            wait = pause.trigger.moment - datetime.now(UTC)
            time.sleep(max(0.0, wait.total_seconds()))


def test_a_long_wait_is_deferred_and_the_walk_continues_where_it_was(bench: Bench) -> None:
    bench.kore.configure(**LIMITED)
    result, pauses = play(bench, bench.context())
    assert pauses
    assert all(isinstance(pause.trigger, WaitTrigger) for pause in pauses)
    assert result["contacts"] == 120
    assert bench.rows(result["keys"][0]) == list(bench.kore.contacts("cl-1"))
    walk = bench.manifest(result)["walk"]
    assert walk["resumed_from"]
    # A page that a stretch had read is read again only as the proof that the list is still the same.
    asked = [request.skip for request in bench.kore.page_requests if not request.refused]
    assert 6 <= len(asked) <= 6 + len(pauses)
    assert not [key for key in bench.objects() if "_staging" in key]


@pytest.mark.parametrize(
    ("kind", "parameters", "rows"),
    [
        (CampaignContactsToS3Operator, {"campaign_id": "cd-1"}, {"contacts": 130}),
        (CampaignsToS3Operator, {}, {"campaigns": 120}),
    ],
)
def test_other_snapshots_defer_as_well(
    bench: Bench, kind: type[SnapshotToS3Operator], parameters: dict[str, Any], rows: dict[str, int]
) -> None:
    for number in range(1, 121):
        bench.kore.add_campaign(f"cd-{number}", status="Completed", results=130)
    bench.kore.configure(**LIMITED)
    result, pauses = play(bench, bench.context(), kind=kind, page_size=20, **parameters)
    assert pauses
    assert rows.items() <= result.items()
    manifest = bench.manifest(result)
    assert manifest["walk"]["resumed_from"]
    assert manifest["files"][0]["rows"] == next(iter(rows.values()))


def test_mapped_tasks_defer_each_for_itself(bench: Bench) -> None:
    bench.kore.configure(**LIMITED)
    for index, list_id in enumerate(("cl-1", "cl-2")):
        bench.kore.add_list(list_id, contacts=120)
        context = bench.context(map_index=index)
        result, pauses = play(bench, context, contact_list_id=list_id)
        assert pauses
        assert bench.rows(result["keys"][0]) == list(bench.kore.contacts(list_id))


def test_a_delay_that_the_server_names_is_deferred(bench: Bench) -> None:
    bench.kore.add_fault("too_many_requests", times=1, retry_after="1800")
    operator = snapshot(bench, defer_after=30)
    before = datetime.now(UTC)
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(bench.context())
    assert timedelta(seconds=1799) < caught.value.trigger.moment - before < timedelta(seconds=1830)
    assert caught.value.timeout > timedelta(seconds=1800)


def test_a_short_wait_is_not_worth_a_deferral(bench: Bench) -> None:
    bench.kore.configure(**LIMITED)
    _, pauses = play(bench, bench.context(), defer_after=30)
    assert pauses == []


def test_without_deferrable_the_task_waits_by_itself(bench: Bench) -> None:
    bench.kore.configure(**LIMITED)
    result, pauses = play(bench, bench.context(), deferrable=False, defer_after=0.0)
    assert pauses == []
    assert result["contacts"] == 120


def test_the_default_is_what_airflow_is_configured_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.kore.add_fault("too_many_requests", times=1, retry_after="1800")
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    with pytest.raises(TaskDeferred):
        snapshot(bench, deferrable=None).execute(bench.context())


def test_a_deadline_ends_it_clearly_and_keeps_what_was_read(bench: Bench) -> None:
    bench.kore.configure(**LIMITED)
    with pytest.raises(AirflowFailException, match="past the deadline of 1 s"):
        play(bench, bench.context(), deadline=1)
    assert [key for key in bench.objects() if "_staging" in key]
    bench.kore.configure(requests_per_minute=0)
    result, _ = play(bench, bench.context(), deadline=1)
    assert bench.manifest(result)["walk"]["resumed_from"]


def test_the_deadline_counts_from_the_first_stretch_of_a_try(bench: Bench) -> None:
    bench.kore.add_fault("too_many_requests", times=2, retry_after="100")
    context = bench.context()
    with pytest.raises(TaskDeferred) as caught:
        snapshot(bench, deadline=250).execute(context)
    arguments = dict(caught.value.kwargs or {})
    with pytest.raises(AirflowFailException, match="deadline"):
        snapshot(bench, deadline=250).resume(context, **arguments | {"since": arguments["since"] - 200})


def test_a_retry_is_not_held_to_the_deadline_of_the_try_before(bench: Bench) -> None:
    """Airflow 3.0 may call the method of the last deferral when a task is tried again."""
    bench.kore.add_fault("too_many_requests", times=1, retry_after="100")
    with pytest.raises(TaskDeferred):
        snapshot(bench, deadline=250).resume(bench.context(), since=0.0, try_number=7)


def test_a_task_that_was_told_to_stop_does_not_come_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = snapshot(bench)

    def stop_and_pause(*_: object, **__: object) -> None:
        operator.on_kill()
        raise PausedError("Pausing for 100 s: the allowance is spent.", 100.0)

    monkeypatch.setattr("airflow_provider_kore.snapshot.run.take_snapshot", stop_and_pause)
    with pytest.raises(StoppedError):
        operator.execute(bench.context())


def test_a_walk_without_checkpoints_cannot_be_deferred(bench: Bench) -> None:
    with pytest.raises(AirflowFailException, match="durable=True"):
        snapshot(bench, durable=False).execute(bench.context())


@pytest.mark.parametrize("parameters", [{"defer_after": -1}, {"defer_after": "soon"}, {"deadline": 0}])
def test_an_impossible_parameter_is_refused_by_name(bench: Bench, parameters: dict[str, Any]) -> None:
    with pytest.raises(AirflowFailException, match=next(iter(parameters))):
        snapshot(bench, **parameters).execute(bench.context())
    assert bench.kore.requests == []
