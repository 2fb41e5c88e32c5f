"""How far a snapshot is, in the task's state store: only where there is one, and never at the price of the snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
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
