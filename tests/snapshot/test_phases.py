"""Whatever takes long says so: a line after ten seconds, and then at least every half minute."""

from __future__ import annotations

import logging
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from model_world import FakeClock

from airflow_provider_kore.formats import ColumnSet, parse_format
from airflow_provider_kore.snapshot import phases
from airflow_provider_kore.snapshot.commit import build
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.stop import Stop
from airflow_provider_kore.walk.ids import IdSet

if TYPE_CHECKING:
    from collections.abc import Iterator

HANG_GUARD = 30.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="airflow_provider_kore")
    return caplog


def pass_time(teller: Teller, clock: FakeClock, seconds: int) -> list[float]:
    """Let time pass and look every second; return when a line was written."""
    told = []
    for _ in range(seconds):
        clock.now += 1
        before = teller._last
        teller.look()
        if teller._last != before:
            told.append(clock.now)
    return told


def test_nothing_is_said_of_what_is_quick(clock: FakeClock, log: pytest.LogCaptureFixture) -> None:
    teller = Teller(clock)
    for _ in range(20):
        with teller.phase("building the file"):
            pass_time(teller, clock, 9)
        teller.told()
    assert log.messages == []


def test_a_phase_is_told_of_after_ten_seconds_and_then_at_least_every_thirty(
    clock: FakeClock, log: pytest.LogCaptureFixture
) -> None:
    teller = Teller(clock)
    began = clock.now
    with teller.phase("uploading the file", "bytes", 2_000) as phase:
        told = pass_time(teller, clock, 10)
        phase.reached(1_500)
        told += pass_time(teller, clock, 300)
    assert told[0] == began + 10
    assert all(later - earlier <= 30 for earlier, later in pairwise(told))
    assert log.messages[0] == "Still uploading the file, 0 of 2,000 bytes (10 s so far)."
    assert log.messages[1].startswith("Still uploading the file, 1,500 of 2,000 bytes (")
    assert len(told) <= 1 + 300 // 25


def test_the_innermost_phase_is_told_of(clock: FakeClock, log: pytest.LogCaptureFixture) -> None:
    teller = Teller(clock)
    with teller.phase("waiting for an answer"), teller.phase("writing a checkpoint"):
        pass_time(teller, clock, 12)
    assert log.messages == ["Still writing a checkpoint (10 s so far)."]


def test_what_else_is_said_counts(clock: FakeClock, log: pytest.LogCaptureFixture) -> None:
    teller = Teller(clock)
    with teller.phase("waiting for an answer"):
        for _ in range(20):
            pass_time(teller, clock, 9)
            teller.told()
    assert log.messages == []


def test_a_call_that_hangs_is_told_of_by_a_thread(
    log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phases, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(phases, "FIRST", 0.0)
    before = threading.active_count()
    teller = Teller()
    with teller.watching(), teller.phase("looking at what the bucket holds"):
        deadline = time.monotonic() + HANG_GUARD
        while not log.messages and time.monotonic() < deadline:
            time.sleep(0.01)
    assert log.messages[0].startswith("Still looking at what the bucket holds")
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_who_sleeps_says_himself_why(clock: FakeClock, log: pytest.LogCaptureFixture) -> None:
    teller = Teller(clock)

    class Restless(FakeClock):
        def sleep(self, seconds: float) -> None:
            pass_time(teller, clock, int(seconds))

    with teller.phase("waiting for an answer"):
        teller.quiet(Restless()).sleep(100)
        assert log.messages == []
        pass_time(teller, clock, 1)
        assert log.messages == ["Still waiting for an answer (101 s so far)."]


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_building_and_verifying_a_file_say_how_far_they_are(
    clock: FakeClock, log: pytest.LogCaptureFixture, file_format: str
) -> None:
    teller = Teller(clock)
    texts = [f'{{"_id": "cc-{n}"}}' for n in range(25_000)]

    def slowly() -> Iterator[str]:
        for number, text in enumerate(texts):
            if number % 5_000 == 4_999:
                clock.now += 30
                teller.look()
            yield text

    class Slow(Stop):
        def check(self) -> None:
            clock.now += 30

    parsed = parse_format(file_format)
    with build(
        slowly(), parsed.format, parsed.compression, ColumnSet.of(texts), seen=IdSet(), stop=Slow(), teller=teller
    ) as built:
        assert built.rows == 25_000
    building = [line for line in log.messages if "building the file" in line]
    verifying = [line for line in log.messages if "verifying the file" in line]
    assert len(building) == 5
    assert "4,999 rows" in building[0]
    assert verifying[-1] == "Still verifying the file, 20,000 of 25,000 rows (90 s so far)."
