"""How far a snapshot is, in the task's state store: only where there is one, and never at the price of the snapshot."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.exceptions import StoppedError
from airflow_provider_kore.snapshot.progress import Checkpoint, ProgressLog
from airflow_provider_kore.task import state
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench import Bench


class Store:
    """``context["task_state_store"]``, as far as it is used; tests/airflow/test_at_home.py has Airflow's own."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []

    def set(self, key: str, value: dict[str, Any]) -> None:
        assert key == "progress"
        assert value.pop("at").endswith("+00:00")
        self.shown.append(value)


class BrokenStore(Store):
    def set(self, key: str, value: dict[str, Any]) -> None:
        super().set(key, value)
        raise BrokenPipeError("the supervisor is gone")


def test_each_checkpoint_and_the_end_are_shown(bench: Bench) -> None:
    bench.kore.add_list("cl-long", contacts=1_000)
    store = Store()
    result = bench.run(bench.context() | {"task_state_store": store}, contact_list_id="cl-long")
    *checkpoints, landed = store.shown
    rows = [shown["rows"] for shown in checkpoints]
    assert rows == sorted(rows)
    assert {shown["total"] for shown in checkpoints} == {1_000}
    assert [shown["percent"] for shown in checkpoints] == [each // 10 for each in rows]
    (location,) = {shown["checkpoint"] for shown in checkpoints}
    assert location.startswith(f"s3://{bench.bucket}/kore/_staging/contact_lists/a_dag/snapshot/")
    manifest = f"s3://{bench.bucket}/{result['manifest_key']}"
    assert landed == {"rows": 1_000, "total": 1_000, "percent": 100, "manifest": manifest}


def test_a_try_that_fails_leaves_behind_where_the_next_one_continues(bench: Bench) -> None:
    store = Store()
    context = bench.context() | {"task_state_store": store}
    fault = bench.kore.fault("service_unavailable", endpoint="contacts", at_offset=100, retry_after="100000")
    with fault, pytest.raises(Exception, match="503"):
        bench.run(context)
    assert [shown["rows"] for shown in store.shown] == [100]
    folder = store.shown[0]["checkpoint"].removeprefix(f"s3://{bench.bucket}/")
    assert [key for key in bench.objects() if key.startswith(folder)] == bench.objects()


class DeadlyStore(Store):
    """The process dies when its first checkpoint is written."""

    def set(self, _key: str, _value: dict[str, Any]) -> None:
        os._exit(9)


def killed(bench: Bench, context: dict[str, Any]) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            bench.run(context | {"task_state_store": DeadlyStore()})
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


def refused(bench: Bench, context: dict[str, Any]) -> None:
    fault = bench.kore.fault("service_unavailable", endpoint="contacts", at_offset=150, retry_after="100000")
    with fault, pytest.raises(Exception, match="503"):
        bench.run(context)


def refused_when_all_rows_were_written(bench: Bench, context: dict[str, Any]) -> None:
    fault = bench.kore.fault("service_unavailable", endpoint="contacts", at_offset=100, retry_after="100000")
    with fault, pytest.raises(Exception, match="503"):
        bench.run(context)


def told_to_stop(bench: Bench, context: dict[str, Any]) -> None:
    operator = ContactListToS3Operator(task_id="snapshot", contact_list_id="cl-1", s3_bucket=bench.bucket)
    page = ProgressLog.page

    def kill(progress: ProgressLog, dataset: Any, read: Any) -> None:
        page(progress, dataset, read)
        if read.end == 150:
            operator.on_kill()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProgressLog, "page", kill)
        with pytest.raises(StoppedError):
            operator.execute(context)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("death", "told"),
    [
        (
            killed,
            "nothing about its end: read the end of its own log; where that breaks off without an error, its process,",
        ),
        (refused, "ended in ServerError."),
        (refused_when_all_rows_were_written, "ended in ServerError."),
        (told_to_stop, "was stopped from outside (StoppedError): marked, cleared or out of time,"),
    ],
)
@pytest.mark.parametrize("number", [2, 1])
def test_the_next_try_tells_what_became_of_the_one_before(
    bench: Bench, death: Callable[[Bench, dict[str, Any]], None], told: str, number: int, caplog: Any
) -> None:
    who = "Try 1" if number > 1 else "An earlier process of this try"
    bench.kore.add_list("cl-1", contacts=400)
    caplog.set_level("INFO")
    death(bench, bench.context())
    caplog.clear()
    context = bench.context()
    context["ti"].try_number = number
    assert bench.run(context)["contacts"] == 400
    resuming, end = [each.message for each in caplog.records if each.name.endswith("snapshot.progress")][:2]
    assert resuming.startswith("Resuming contact list cl-1 ")
    today = datetime.now(UTC).strftime("%Y-%m-")
    assert end.startswith(f"{who} wrote the last checkpoint at {today}")
    assert f" UTC, and {told}" in end


def test_without_checkpoints_there_is_none_to_show(bench: Bench) -> None:
    bench.kore.add_list("cl-long", contacts=1_000)
    store = Store()
    bench.run(bench.context() | {"task_state_store": store}, contact_list_id="cl-long", durable=False)
    assert [shown["rows"] for shown in store.shown] == [1_000]
    assert "manifest" in store.shown[0]


def test_a_store_that_fails_costs_nothing(bench: Bench) -> None:
    bench.kore.add_list("cl-long", contacts=1_000)
    result = bench.run(bench.context() | {"task_state_store": BrokenStore()}, contact_list_id="cl-long")
    assert result["contacts"] == 1_000


class HangingStore(Store):
    """As while the API server is down: a write hangs until somebody opens the gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.writers: set[int] = set()

    def set(self, key: str, value: dict[str, Any]) -> None:
        assert not self.writers, "two writes at a time"
        self.writers.add(threading.get_ident())
        super().set(key, value)
        self.gate.wait(60)
        self.writers.clear()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingStore]:
    monkeypatch.setattr(state, "threads_may_ask_the_supervisor", lambda: True)
    monkeypatch.setattr(state, "PATIENCE", 0.05)
    monkeypatch.setattr(state, "LAST", 0.05)
    store = HangingStore()
    yield store
    store.gate.set()


def test_a_store_that_hangs_does_not_hold_the_walk(
    bench: Bench, hanging: HangingStore, caplog: pytest.LogCaptureFixture
) -> None:
    bench.kore.add_list("cl-long", contacts=1_000)
    began = time.monotonic()
    result = bench.run(bench.context() | {"task_state_store": hanging}, contact_list_id="cl-long")
    assert time.monotonic() - began < 30  # each write would take a minute
    assert result["contacts"] == 1_000
    assert len(hanging.shown) == 1  # the others are dropped while it is under way
    assert [record.message for record in caplog.records if "progress" in record.message] == [
        "Airflow took more than a second to store this task's progress. It is shown again in 5 minutes at the "
        "earliest; the walk goes on, and this log tells how far it is."
    ]


def test_a_slow_store_is_written_to_seldom(hanging: HangingStore) -> None:
    now = [0.0]
    shown = state.ShownProgress({"task_state_store": hanging}, lambda: now[0])  # type: ignore[typeddict-item]

    def checkpoint(at: float) -> int:
        now[0] = at
        shown.checkpoint(Checkpoint(rows=1, total=2, location="s3://b/k"))
        return len(hanging.shown)

    def finish() -> None:
        hanging.gate.set()
        shown._writing.join(30)  # type: ignore[union-attr]
        hanging.gate.clear()

    assert checkpoint(0.0) == 1
    finish()
    assert [checkpoint(at) for at in (10.0, 299.0)] == [1, 1]
    assert checkpoint(301.0) == 2
    finish()
    assert [checkpoint(at) for at in (310.0, 600.0)] == [2, 2]


def test_the_end_is_shown_even_where_a_write_was_slow(hanging: HangingStore) -> None:
    shown = state.ShownProgress({"task_state_store": hanging})  # type: ignore[typeddict-item]
    shown.checkpoint(Checkpoint(rows=1, total=2, location="s3://b/k"))
    hanging.gate.set()
    shown.close()
    shown._writing.join(30)  # type: ignore[union-attr]
    shown.landed(2, "s3://b/m")
    assert hanging.shown[-1]["manifest"] == "s3://b/m"


def test_in_a_dag_test_the_supervisor_is_asked_from_the_tasks_own_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would mix up the answers."""
    asked = []
    store = Store()
    monkeypatch.setattr(store, "set", lambda _key, _value: asked.append(threading.get_ident()))
    state.ShownProgress({"task_state_store": store}).landed(1, "s3://b/m")  # type: ignore[typeddict-item]
    assert asked == [threading.get_ident()]
