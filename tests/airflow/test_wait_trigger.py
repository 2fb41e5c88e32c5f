"""The trigger of a long wait: serializable, ended by its moment, and quiet."""

from __future__ import annotations

import asyncio
import importlib
import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_kore.triggers.wait import WaitTrigger

HANG_GUARD = 30.0


def again(trigger: WaitTrigger) -> WaitTrigger:
    """Return the trigger as a triggerer makes it from the database."""
    path, given = trigger.serialize()
    module, _, name = path.rpartition(".")
    made: WaitTrigger = getattr(importlib.import_module(module), name)(**given)
    return made


def events(trigger: WaitTrigger) -> list[Any]:
    async def run() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    return asyncio.run(asyncio.wait_for(run(), HANG_GUARD))


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-9, minutes=-30))])
def test_it_survives_the_database(zone: timezone) -> None:
    moment = datetime(2026, 3, 9, 4, 30, 0, 123_456, tzinfo=zone)
    assert again(WaitTrigger(moment)).moment == moment
    assert again(again(WaitTrigger(moment))).serialize() == WaitTrigger(moment).serialize()


def test_it_ends_at_once_where_the_moment_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    moment = datetime.now(UTC) - timedelta(days=1)
    assert events(again(WaitTrigger(moment))) == [moment.isoformat()]
    assert not [line for line in caplog.messages if "Waiting until" in line]


def test_it_ends_when_the_moment_has_come_and_leaves_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    moment = datetime.now(UTC) + timedelta(seconds=0.3)
    assert events(WaitTrigger(moment)) == [moment.isoformat()]
    assert datetime.now(UTC) >= moment
    assert len([line for line in caplog.messages if "UTC" in line]) <= 1


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        WaitTrigger(datetime(2026, 3, 9))  # noqa: DTZ001 - that is the case
