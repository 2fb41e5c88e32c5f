"""The allowance against a model: never more than the limit in any window, never later than need be."""

from __future__ import annotations

from itertools import pairwise
from threading import Thread

import pytest
from clocks import StoppedClock
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_kore.api.rate_limit import MARGIN, Allowance, RollingWindow

MINUTE, HOUR = 60.0 + MARGIN, 3600.0 + MARGIN
pauses = st.lists(st.tuples(st.floats(0.0, 90.0), st.sampled_from([0.0, 0.0, 0.0, 5.0, 100.0])), max_size=60)


def spend(allowance: Allowance, clock: StoppedClock) -> float:
    """Book, wait and return when the request started."""
    clock.sleep(allowance.book())
    return clock.now


@settings(max_examples=300, deadline=None)
@given(per_minute=st.integers(0, 7), per_hour=st.integers(0, 12), story=pauses)
def test_no_window_ever_holds_too_many_and_no_request_waits_too_long(
    per_minute: int, per_hour: int, story: list[tuple[float, float]]
) -> None:
    clock = StoppedClock()
    allowance = Allowance.per_minute_and_hour(per_minute, per_hour, clock)
    starts: list[float] = []
    paused_until = 0.0
    for idle, pause in story:
        clock.now += idle
        if pause:
            allowance.pause(pause)
            paused_until = max(paused_until, clock.now + pause)
        earliest = max(clock.now, paused_until)
        for limit, seconds in ((per_minute, MINUTE), (per_hour, HOUR)):
            if limit and len(starts) >= limit:
                earliest = max(earliest, starts[-limit] + seconds)
        starts.append(spend(allowance, clock))
        assert starts[-1] == pytest.approx(earliest, abs=1e-6)
    for limit, seconds in ((per_minute, 60.0), (per_hour, 3600.0)):
        for start in starts if limit else []:
            assert sum(start <= other < start + seconds for other in starts) <= limit


def test_the_61st_request_waits_until_the_first_leaves_the_window() -> None:
    clock = StoppedClock()
    allowance = Allowance.per_minute_and_hour(60, 0, clock)
    assert [spend(allowance, clock) for _ in range(61)] == [0.0] * 60 + [MINUTE]


def test_a_spent_hour_stops_although_the_minute_is_free() -> None:
    clock = StoppedClock()
    allowance = Allowance.per_minute_and_hour(60, 120, clock)
    starts = [spend(allowance, clock) for _ in range(121)]
    assert starts[119] == MINUTE
    assert starts[120] == HOUR


def test_zero_is_no_limit() -> None:
    clock = StoppedClock()
    allowance = Allowance.per_minute_and_hour(0, 0, clock)
    assert {allowance.book() for _ in range(10_000)} == {0.0}


def test_a_pause_holds_all_that_follow_and_never_shortens_a_longer_one() -> None:
    clock = StoppedClock()
    allowance = Allowance.per_minute_and_hour(0, 0, clock)
    allowance.pause(30.0)
    allowance.pause(10.0)
    assert [allowance.book(), allowance.book()] == [30.0, 30.0]
    clock.now = 31.0
    assert allowance.book() == 0.0


def test_bookings_ahead_are_spread_over_the_windows_to_come() -> None:
    allowance = Allowance.per_minute_and_hour(2, 0, StoppedClock())
    assert [allowance.book() for _ in range(5)] == [0.0, 0.0, MINUTE, MINUTE, 2 * MINUTE]


def test_threads_share_one_allowance() -> None:
    clock = StoppedClock()
    allowance = Allowance.per_minute_and_hour(10, 0, clock)
    waits: list[float] = []
    threads = [Thread(target=lambda: waits.extend(allowance.book() for _ in range(25))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == [MINUTE * (number // 10) for number in range(200)]


@given(limit=st.integers(1, 5), gaps=st.lists(st.floats(0.0, 50.0), max_size=30))
def test_a_window_by_itself(limit: int, gaps: list[float]) -> None:
    window, now, starts = RollingWindow(limit, 60.0), 0.0, list[float]()
    for gap in gaps:
        now = window.earliest(now + gap)
        window.add(now)
        starts.append(now)
    assert all(later >= earlier for earlier, later in pairwise(starts))
    assert all(later >= earlier + 60.0 for earlier, later in zip(starts, starts[limit:], strict=False))
