"""A snapshot that is filed under another day than the one on which it was read is refused, or says so."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_world import World

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.snapshot.content import filed_elsewhere
from airflow_provider_kore.snapshot.spec import check_backfill

READ = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
DAYS = st.integers(min_value=-4_000, max_value=4_000)


@pytest.mark.parametrize("allowed", [False, "False", "false"])
def test_a_backfill_is_refused_by_name(allowed: object) -> None:
    with pytest.raises(ParameterError, match=r"belongs to a backfill.*today's contacts") as caught:
        check_backfill("backfill", allowed)
    assert caught.value.parameter == "allow_backfill"


@pytest.mark.parametrize("run_type", ["scheduled", "manual", "asset_triggered", "asset_materialization", None])
def test_any_other_run_is_none(run_type: str | None) -> None:
    check_backfill(run_type, allow_backfill=False)
    check_backfill("backfill", allow_backfill=True)
    check_backfill("backfill", "True")


@pytest.mark.parametrize("given_value", ["perhaps", 1, None])
def test_what_is_no_boolean_is_refused_in_every_run(given_value: object) -> None:
    with pytest.raises(ParameterError, match="allow_backfill"):
        check_backfill("scheduled", given_value)


@given(days=DAYS, seconds=st.integers(min_value=0, max_value=86_399), run_type=st.sampled_from(["manual", "backfill"]))
def test_whatever_lies_more_than_a_day_apart_is_told(days: int, seconds: int, run_type: str) -> None:
    started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    filed = date(2026, 1, 1) + timedelta(days=days)
    sentence = filed_elsewhere(filed.isoformat(), started.timestamp(), title="contact list cl-1", run_type=run_type)
    assert (sentence is not None) == (abs(days) > (0 if run_type == "backfill" else 1))
    if sentence is not None:
        assert "as it was on 2026-01-01" in sentence
        assert f"filed under {filed}" in sentence
        assert ("backfill" in sentence) == (run_type == "backfill")


def test_the_manifest_and_the_log_say_it() -> None:
    world = World(contacts=12, parameters={"run_type": "backfill", "allow_backfill": True})
    with world.listening() as log:
        process = world.finish(snapshot_date="2025-03-02")
    assert process.manifest is not None
    content = process.manifest.content
    assert content["run"]["run_type"] == "backfill"
    (warning,) = content["warnings"]
    assert "filed under 2025-03-02, by a backfill" in warning
    assert warning in log.lines
