"""The allowance against a model: never more than the limit in any window, never later than need be."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Thread

import pytest
from clocks import StoppedClock
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_kore.api.allowance import JITTER, MARGIN, Allowance
from airflow_provider_kore.api.rolling_window import IN_FLIGHT
from airflow_provider_kore.walk.cost import Usage

MINUTE, HOUR = 60.0 + MARGIN, 3600.0 + MARGIN
FOREVER = 300_000

stories = st.lists(
    st.tuples(st.floats(0.0, 90.0), st.floats(0.0, 20.0), st.floats(0.0, 1.0), st.integers(1, 4)), max_size=60
)
"""Of each burst: seconds idle before it, seconds until it is answered, when in between it arrives, how many at once."""


def shortest_time(requests: int, per_minute: int, per_hour: int) -> float:
    return Allowance.per_minute_and_hour(per_minute, per_hour, StoppedClock()).shortest_time(requests)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(per_minute=st.integers(0, 7), per_hour=st.integers(0, 12), story=stories)
def test_no_window_ever_holds_too_many_and_no_request_waits_too_long(
    per_minute: int, per_hour: int, story: list[tuple[float, float, float, int]]
) -> None:
    """The server may count a request at any instant between its start and its answer."""
    clock = StoppedClock()
    allowance = Allowance.per_minute_and_hour(per_minute, per_hour, clock)
    answered: list[float] = []
    counted: list[float] = []
    limits = [(limit, seconds) for limit, seconds in ((per_minute, MINUTE), (per_hour, HOUR)) if limit]
    for idle, latency, arrival, burst in story:
        clock.now += idle
        flying = 0
        for _ in range(burst):
            earliest = max((answered[-limit + flying] + seconds
                            for limit, seconds in limits
                            if 0 < limit - flying <= len(answered)), default=clock.now)  # fmt: skip
            wait = allowance.book()
            if any(flying >= limit for limit, _ in limits):
                assert wait == pytest.approx(IN_FLIGHT) or wait > 0  # every place is taken by what is under way
                break
            if wait:
                assert clock.now + wait == pytest.approx(earliest)  # not a moment later than is proven to be safe
                break
            assert earliest <= clock.now + 1e-6
            flying += 1
        counted += [clock.now + arrival * latency] * flying
        clock.now += latency
        for _ in range(flying):
            allowance.settle()
            answered.append(clock.now)
    for limit, seconds in ((per_minute, 60.0), (per_hour, 3600.0)):
        for start in counted if limit else []:
            assert sum(start <= other < start + seconds for other in counted) <= limit


def spend(allowance: Allowance, clock: StoppedClock, latency: float = 0.0) -> float:
    """Wait for a place, take it, and return when the request started."""
    while (wait := allowance.book()) > 0:
        clock.now += wait
    start = clock.now
    clock.now += latency
    allowance.settle()
    return start


def test_a_list_that_fits_the_window_goes_out_in_one_burst_and_the_rest_as_places_come_free() -> None:
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
    allowance = Allowance.per_minute_and_hour(0, 0, StoppedClock())
    assert {allowance.book() for _ in range(10_000)} == {0.0}
    assert allowance.limit is None
    assert str(allowance) == "no limit"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("per_minute", "per_hour", "requests"), [(60, 0, 3000), (60, 1800, 6000), (600, 18_000, 40_000)]
)
@pytest.mark.parametrize("latency", [0.05, 0.5])
def test_a_long_walk_takes_two_percent_more_than_the_shortest_time_at_the_most(
    per_minute: int, per_hour: int, requests: int, latency: float
) -> None:
    world = World(per_minute, per_hour, latency=latency)
    walk = world.client(requests)
    world.run()
    assert walk.refused == 0
    assert (
        walk.ended
        <= 1.02 * shortest_time(requests, per_minute, per_hour) + requests % per_minute * latency + 60 * latency
    )
    assert walk.ended >= shortest_time(requests, per_minute, per_hour)


def test_a_reserve_is_left_to_others() -> None:
    clock = StoppedClock()
    allowance = Allowance.per_minute_and_hour(60, 0, clock, reserve=0.25)
    assert allowance.limit == 45
    assert [spend(allowance, clock) for _ in range(46)] == [0.0] * 45 + [MINUTE]


def test_a_reserve_leaves_at_least_one_request() -> None:
    assert Allowance.per_minute_and_hour(1, 0, StoppedClock(), reserve=0.95).limit == 1


def test_even_pacing_spreads_the_same_number_over_the_window() -> None:
    clock = StoppedClock()
    allowance = Allowance.per_minute_and_hour(60, 0, clock, even=True)
    starts = [spend(allowance, clock, latency=0.05) for _ in range(200)]
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert min(gaps) == pytest.approx(MINUTE / 60)
    assert starts[-1] == pytest.approx(199 * MINUTE / 60, rel=0.02)


def test_a_process_that_continues_another_knows_what_that_one_spent() -> None:
    clock = StoppedClock()
    first = Allowance.per_minute_and_hour(60, 0, clock)
    for _ in range(60):
        spend(first, clock, latency=0.1)
    second = Allowance.per_minute_and_hour(60, 0, clock)
    second.remember(first.usage())
    assert second.book() == pytest.approx(first.book(), abs=0.11)  # a bucket of the memory is a tenth of a second


def test_checkpoints_that_tell_of_the_same_requests_make_nothing_wait_twice() -> None:
    clock = StoppedClock()
    first = Allowance.per_minute_and_hour(0, 100, clock)
    told = []
    for _ in range(6):
        told.append(first.usage())
        for _ in range(10):
            spend(first, clock, latency=1.0)
    second = Allowance.per_minute_and_hour(0, 100, clock)
    for each in random.Random(0).sample(told, len(told)):  # noqa: S311 - those of several lists, in whatever order
        second.remember(each)
    assert sum(each.requests for each in second.usage()) == pytest.approx(50, abs=5)
    assert [second.book() for _ in range(40)] == [0.0] * 40


def test_what_another_process_spent_long_ago_is_forgotten() -> None:
    clock = StoppedClock()
    first = Allowance.per_minute_and_hour(5, 0, clock)
    for _ in range(5):
        spend(first, clock)
    usage = first.usage()
    assert sum(each.requests for each in usage) == 5
    clock.now += 61.0
    second = Allowance.per_minute_and_hour(5, 0, clock)
    second.remember(usage)
    assert second.book() == 0.0


def test_a_clock_that_was_set_back_makes_no_window_longer() -> None:
    clock = StoppedClock()
    allowance = Allowance.per_minute_and_hour(1, 0, clock)
    allowance.remember([Usage(clock.time() + 5_000.0, 1)])
    assert allowance.book() == MINUTE


def test_the_memory_of_a_full_hour_stays_small() -> None:
    clock = StoppedClock()
    allowance = Allowance.per_minute_and_hour(600, 18_000, clock)
    for _ in range(18_000):
        spend(allowance, clock, latency=0.2)
    assert sum(each.requests for each in allowance.usage()) == 18_000
    assert len(allowance.usage()) <= 601


def test_threads_share_one_allowance() -> None:
    allowance = Allowance.per_minute_and_hour(100, 0, StoppedClock())
    waits: list[float] = []
    threads = [Thread(target=lambda: waits.extend(allowance.book() for _ in range(50))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wait == 0.0 for wait in waits) == 100


def test_a_named_delay_is_honoured_with_a_floor() -> None:
    for named, least in ((30.0, 30.0), (0.0, 1.0)):
        clock = StoppedClock()
        allowance = Allowance.per_minute_and_hour(60, 0, clock)
        assert allowance.book() == 0.0
        allowance.refused(started=clock.now, hourly=False, retry_after=named)
        assert least <= allowance.book() <= least + JITTER


def test_a_window_that_others_have_filled_costs_one_refusal() -> None:
    """Without a named delay, too: a minute from now, what was there is gone."""
    world = World(60, 0, retry_after=False)
    world.fill(60)
    walk = world.client(60)
    world.run()
    assert walk.refused == 1
    assert walk.ended <= 62.0


def test_a_spent_hour_is_asked_about_every_few_minutes() -> None:
    world = World(0, 100, retry_after=False)
    world.fill(100)
    walk = world.client(5)
    world.run()
    assert walk.refused <= 3600 / 60
    assert 3600 <= walk.ended <= 3600 + 310


@pytest.mark.parametrize("retry_after", [True, False])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pages", [200, 1000])
def test_four_tasks_of_one_account_are_together_as_fast_as_one(pages: int, seed: int, *, retry_after: bool) -> None:
    world = World(60, 0, retry_after=retry_after, seed=seed)
    walks = [world.client(pages) for _ in range(4)]
    world.run()
    assert max(walk.ended for walk in walks) <= 1.10 * shortest_time(4 * pages, 60, 0)
    assert sum(walk.refused for walk in walks) <= 0.06 * 4 * pages


@pytest.mark.parametrize("retry_after", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_newcomers_get_their_share_and_nobody_collapses(seed: int, *, retry_after: bool) -> None:
    world = World(60, 0, retry_after=retry_after, seed=seed)
    walks = [world.client(400, start=100.0 * number) for number in range(4)]
    world.run()
    assert max(walk.ended for walk in walks) <= 1.15 * shortest_time(1600, 60, 0)
    assert sum(walk.refused for walk in walks) <= 0.10 * 1600


@pytest.mark.parametrize("retry_after", [True, False])
def test_a_server_that_counts_refusals_is_not_hammered(*, retry_after: bool) -> None:
    world = World(60, 0, retry_after=retry_after, count_refused=True)
    walks = [world.client(200) for _ in range(4)]
    world.run()
    assert max(walk.ended for walk in walks) <= 1.25 * shortest_time(800, 60, 0)
    assert sum(walk.refused for walk in walks) <= 0.12 * 800


def test_when_the_others_are_gone_the_whole_allowance_is_spent_again() -> None:
    world = World(60, 0)
    others = [world.client(60) for _ in range(3)]
    walk = world.client(1500)
    world.run()
    assert max(other.ended for other in others) < 600
    assert walk.ended <= 1.05 * shortest_time(1680, 60, 0)


@dataclass
class Walk:
    """One client of the simulated account."""

    allowance: Allowance
    left: int
    flying: int = 0
    refused: int = 0
    ended: float = 0.0


@dataclass
class World:
    """An account whose server counts as documented, and clients that keep some requests under way; no real time."""

    per_minute: int
    per_hour: int
    retry_after: bool = True
    count_refused: bool = False
    latency: float = 0.05
    seed: int = 0
    clock: StoppedClock = field(default_factory=StoppedClock)
    counted: list[float] = field(default_factory=list)
    events: list[tuple[float, int, str, Walk, float, float | None]] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311

    @property
    def at_once(self) -> int:
        """How many requests a client has under way."""
        return min(32, max(1, (self.per_minute or self.per_hour) // 15))

    def fill(self, requests: int) -> None:
        """Let others have spent so much at this instant."""
        self.counted += [self.clock.now] * requests

    def client(self, requests: int, start: float = 0.0) -> Walk:
        allowance = Allowance.per_minute_and_hour(self.per_minute, self.per_hour, self.clock)
        allowance._uniform = self.random.uniform
        walk = Walk(allowance, requests)
        self.push(start + self.random.random() * 0.2, "try", walk)
        return walk

    def push(self, at: float, what: str, walk: Walk, started: float = 0.0, wait: float | None = None) -> None:
        self.number += 1
        heapq.heappush(self.events, (at, self.number, what, walk, started, wait))

    def run(self) -> None:
        while self.events:
            now, _, what, walk, started, wait = heapq.heappop(self.events)
            self.clock.now = now
            if what == "try" and walk.left > walk.flying:
                delay = walk.allowance.book()
                if delay:
                    self.push(now + delay, "try", walk)
                else:
                    walk.flying += 1
                    self.push(now + self.latency / 2, "arrive", walk, now)
            elif what == "arrive":
                self.push(now + self.latency / 2, "answer", walk, started, self.admit(now))
            elif what == "answer":
                walk.flying -= 1
                if wait is None:
                    if not walk.ended:  # as a walk does, which reads ahead when its first page has come
                        for _ in range(self.at_once - 1):
                            self.push(now, "try", walk)
                    walk.left -= 1
                    walk.ended = now
                    walk.allowance.settle()
                else:
                    walk.refused += 1
                    hourly = bool(self.per_hour) and wait > 60.0
                    named = wait if self.retry_after else None
                    walk.allowance.refused(started=started, hourly=hourly, retry_after=named)
                self.push(now, "try", walk)
            assert self.number < FOREVER, "somebody hammers"

    def admit(self, now: float) -> float | None:
        """Count a request; return the seconds to wait if it is refused."""
        wait = max(
            (
                self.counted[-limit] + seconds - now
                for limit, seconds in ((self.per_minute, 60.0), (self.per_hour, 3600.0))
                if limit and len(self.counted) >= limit
            ),
            default=-math.inf,
        )
        if wait <= 0 or self.count_refused:
            self.counted.append(now)
        return wait if wait > 0 else None
