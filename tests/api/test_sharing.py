"""An account's allowance shared by a ledger, against a model: whatever happens, nobody is ever refused.

The vendor's window is strict, the clients' clocks have nothing in common, and the store tells whole seconds.
"""

from __future__ import annotations

import json
import logging
import math
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_account import EPOCH, MINUTE, Client, Clock, World
from test_allowance import World as Alone

from airflow_provider_kore.api import sharing
from airflow_provider_kore.api.ledger import LARGEST, Ledger, LedgerError, Terms, parse
from airflow_provider_kore.store.shared import ServerTime
from airflow_provider_kore.walk.cost import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.api.sharing import SharedAllowance

WARNING = "learns of others on the account by being refused"


@pytest.fixture(autouse=True)
def _warn_anew() -> Iterator[None]:
    sharing._warned.clear()
    yield
    sharing._warned.clear()


def optimum(requests: int, per_minute: int) -> float:
    """Return how long one task takes that has the account for itself."""
    world = Alone(per_minute, 0)
    walk = world.client(requests)
    world.run()
    return walk.ended


def with_ledger(world: World) -> World:
    """Let somebody have used the ledger long ago."""
    world.client(1)
    world.run()
    world.at(world.now + 120.0, lambda: None)
    world.run()
    world.clients.clear()
    world.counted.clear()
    return world


def places(client: Client) -> int:
    return client.allowance._windows[0].places


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [1, 4, 16])
@pytest.mark.parametrize("seed", range(1))
def test_tasks_that_share_a_ledger_take_as_long_as_one_would_and_are_never_refused(tasks: int, seed: int) -> None:
    world = with_ledger(World(seed=seed))
    begun = world.now
    for _ in range(tasks):
        world.client(608 // tasks, start=begun)
    world.run()
    assert world.refused == 0
    assert world.ended - begun <= 1.03 * optimum(608, 60)


def test_the_ledger_is_asked_every_three_seconds_and_written_every_ten() -> None:
    world = with_ledger(World())
    begun, world.bucket.requests = world.now, 0
    world.client(600, start=begun)
    world.run()
    assert world.bucket.requests <= (world.ended - begun) * (1 / 3 + 1 / 9) + 10


def test_a_newcomer_has_its_share_within_seconds_and_the_others_what_it_leaves() -> None:
    world = with_ledger(World())
    first = world.client(600, start=world.now)
    begun = world.now
    second = world.client(60, start=begun + 100.0)
    world.until = begun + 105.0
    world.run()
    assert (places(first), places(second)) == (30, 30)
    world.until = math.inf
    world.run()
    assert world.refused == 0


def test_a_look_gets_the_one_place_that_it_wants() -> None:
    world = with_ledger(World())
    begun = world.now
    walks = [world.client(300, start=begun) for _ in range(2)]
    look = world.client(1, start=begun + 90.0, most=1)
    world.until = begun + 96.0
    world.run()
    assert (places(look), sorted(places(walk) for walk in walks)) == (1, [29, 30])
    world.until = math.inf
    world.run()
    assert world.refused == 0


def test_the_places_of_a_task_that_died_come_back() -> None:
    world = with_ledger(World())
    begun = world.now
    dead, alive = (world.client(600, start=begun) for _ in range(2))
    world.at(begun + 70.0, lambda: world.kill(dead))
    terms = Terms()
    world.until = begun + 70.0 + terms.lease + terms.grace + 2 * terms.beat
    world.run()
    assert places(alive) == 60
    world.until = math.inf
    world.run()
    assert world.refused == 0


def test_a_client_that_comes_back_finds_all_that_it_has_not_used() -> None:
    world = with_ledger(World())
    begun = world.now
    client = world.client(10, start=begun)
    world.run()
    client.left, client.ended = 50, 0.0
    world.push(begun + 30.0, "try", client)
    world.push(begun + 30.1, "beat", client)
    world.run()
    assert world.refused == 0
    assert client.ended <= begun + 40.0


def test_what_one_is_refused_because_of_others_all_leave_alone() -> None:
    """An application outside Airflow takes half of the account."""
    world = with_ledger(World())
    begun = world.now
    for second in range(0, 1200, 2):
        world.at(begun + second, lambda: world.admit(world.now))
    for _ in range(4):
        world.client(75, start=begun)
    world.run()
    assert world.refused <= 0.06 * 300
    assert world.ended - begun <= 1.25 * optimum(600, 60)


def test_a_pause_that_the_server_asks_of_one_is_kept_by_all() -> None:
    world = with_ledger(World())
    begun = world.now
    clients = [world.client(100, start=begun) for _ in range(2)]
    world.until = begun + 20.0
    world.run()
    asked = clients[0].allowance
    asked.refused(started=asked._clock.monotonic(), hourly=False, retry_after=200.0)
    asked.beat()
    clients[1].allowance.beat()
    assert clients[1].allowance.book() >= 195.0


def test_an_outage_that_outlasts_the_lease_means_todays_way_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    world = with_ledger(World())
    begun = world.now
    for _ in range(3):
        world.client(150, start=begun)
    world.at(begun + 70.0, lambda: setattr(world.bucket, "down", True))
    world.at(begun + 200.0, lambda: setattr(world.bucket, "down", False))
    world.until = begun + 260.0
    with caplog.at_level(logging.WARNING):
        world.run()
    assert {client.allowance._state.name for client in world.clients} == {"SHARING"}
    assert sum(WARNING in each.getMessage() for each in caplog.records) == 1
    world.until = math.inf
    world.run()
    assert world.refused <= 0.06 * 450
    assert world.ended - begun <= 1.15 * optimum(450, 60)


def test_without_an_answer_a_task_begins_alone_after_a_moment() -> None:
    world = World()
    world.bucket.down = True
    client = world.client(70)
    world.run()
    assert client.ended <= optimum(70, 60) + Terms().patience + 2.0


def test_places_that_seem_not_to_be_used_are_left_to_those_who_want_them() -> None:
    world = with_ledger(World())
    begun = world.now
    lazy = world.client(2, start=begun)
    lazy.left = 1000
    busy = world.client(600, start=begun)
    world.until = begun + 130.0
    lazy.allowance.book()
    world.events = [event for event in world.events if not (event[3] is lazy and event[2] == "try")]
    world.run()
    assert places(lazy) <= 4
    assert places(busy) >= 56


def alone(world: World, **more: Any) -> SharedAllowance:
    """Return the allowance of a client that a test plays, request by request."""
    found = world.client(0, start=world.now, **more).allowance
    world.events.clear()
    return found


def go(world: World, seconds: int, *clients: SharedAllowance, most: int = 60) -> int:
    """Let each send up to so many requests every second; return how many were sent."""
    before = len(world.counted)
    for _ in range(seconds):
        for client in clients:
            for _ in range(most):
                if client.book():
                    break
                world.counted.append(world.now)
                client.settle()
            client.beat()
        world.now += 1.0
    return len(world.counted) - before


def spent(ledger: Ledger) -> int:
    return sum(number for _, number in ledger.windows["hourly"].spent)


def busiest(world: World) -> int:
    return max(sum(0 <= other - each < MINUTE for other in world.counted) for each in world.counted)


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_places_of_which_it_is_not_known_whether_they_were_given_back_are_not_used_twice(
    is_carried_out: bool,
) -> None:
    world = with_ledger(World())
    client = alone(world)
    assert go(world, 20, client) == 60
    for _ in range(8):
        world.now += 3.0
        client.beat()
    world.bucket.lost = "answer" if is_carried_out else "request"
    client.leave()
    world.bucket.lost = ""
    go(world, 90, client)
    assert busiest(world) <= 60
    assert len(world.counted) >= 120


def test_one_that_had_left_goes_on_alone_with_its_share_and_not_with_all_of_it() -> None:
    world = with_ledger(World())
    client, other = alone(world), alone(world)
    go(world, 20, client, other, most=1)
    go(world, 70, client, other, most=0)
    client.leave()
    world.bucket.down = True
    assert go(world, 20, client) == 30


def test_a_window_of_an_hour_goes_on_where_the_ledger_is_gone() -> None:
    world = with_ledger(World(per_minute=0, per_hour=1800))
    clients = [alone(world) for _ in range(2)]
    go(world, 300, *clients, most=1)
    world.bucket.down = True
    assert go(world, 600, clients[0], most=1) >= 400
    world.bucket.down = False
    go(world, 60, *clients, most=0)
    for client in clients:
        known = client._member.known
        assert known is not None
        counted = spent(known) + known.held("hourly")
        assert len(world.counted) - 10 <= counted <= len(world.counted) + 60  # each once, and what is in a hand


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize("others", [0, 1])
def test_one_that_comes_back_halfway_forgets_nothing_of_what_it_sent(lost: Any, others: int) -> None:
    world = with_ledger(World(per_minute=0, per_hour=600))
    clients = [alone(world) for _ in range(others + 1)]
    world.bucket.down = others == 0
    go(world, 40, *clients, most=1)
    world.bucket.down = True
    go(world, 60, *clients, most=3)
    for _ in range(3):
        world.bucket.down, world.bucket.lost = False, lost
        go(world, 1, *clients, most=20)
        world.bucket.down, world.bucket.lost = True, ""
        go(world, 40, *clients, most=20)
    world.bucket.down = False
    go(world, 100, *clients, most=20)
    assert len(world.counted) <= 600 + 80 * others  # all within an hour; alone, one knows what it has in its own hand
    if not others and lost == "request":  # a write whose answer is lost makes a holder, whose places count for an hour
        known = clients[0]._member.known
        assert known is not None
        assert spent(known) + known.held("hourly") <= len(world.counted) + 60  # each once


def test_what_an_earlier_process_spent_counts_once_however_often_the_ledger_is_lost() -> None:
    world = World(per_minute=0, per_hour=1000)
    world.bucket.down = True
    client = alone(world)
    client.remember([Usage(client._clock.time() - 10.0, 400)])
    for _ in range(3):
        go(world, 15, client, most=1)
        client.leave()
    assert client._windows[0].used(client._clock.monotonic()) <= 400 + 3 * 15


def test_without_a_thread_to_look_at_the_ledger_a_task_goes_on_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    client = alone(World())
    client._threaded = True
    assert [client.book() for _ in range(60)] == [0.0] * 60
    client.close()


@given(
    offset=st.floats(-1e6, 1e9),
    answers=st.lists(st.tuples(st.floats(0.0, 100.0), st.floats(0.0, 2.0), st.floats(0.0, 1.0)), max_size=20),
)
def test_the_stores_clock_is_where_it_is_thought_to_be(
    offset: float, answers: list[tuple[float, float, float]]
) -> None:
    now, time = 0.0, ServerTime()
    for idle, under_way, when in answers:
        sent = now + idle
        now = sent + under_way
        time.observe(sent, now, math.floor(sent + when * under_way + offset))
        assert time.earliest(now) - 1e-3 <= now + offset <= time.latest(now) + 1e-3


def test_a_second_look_at_the_right_moment_halves_what_is_not_known() -> None:
    time, now, offset = ServerTime(), 0.0, 12_345.6789
    for _ in range(8):
        time.observe(now, now, math.floor(now + offset))
        now += time.best_moment(now, 3.0)
    assert time.latest(now) - time.earliest(now) <= 0.12


def a_ledger() -> dict[str, Any]:
    ledger = Ledger(name="x", settled=EPOCH)
    ledger.know("per-minute", 60.1)
    ledger.give("per-minute", [(EPOCH + 5, 3)])
    found: dict[str, Any] = json.loads(ledger.dump())
    return found


def with_holder(**fields: Any) -> bytes:
    holder = {"until": EPOCH + 5, "turn": 1, "wants": {}, "held": {}, "since": 0.0, **fields}
    return json.dumps({**a_ledger(), "holders": {"x": holder}}).encode()


def changed(**fields: Any) -> bytes:
    return json.dumps({**a_ledger(), **fields}).encode()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\x00\xff" * 100, "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "format"),
        (b'{"rows": 5}', "format"),
        (changed(format="kore-allowance-ledger/2"), "format"),
        (changed() + b" " * LARGEST, "256 KiB"),
        (changed(pause=math.nan), "damaged"),
        (changed(pause=-1), "damaged"),
        (changed(windows={"per-minute": {"seconds": 0, "spent": []}}), "damaged"),
        (changed(windows={"per-minute": {"seconds": 60, "spent": [[EPOCH, 1.5]]}}), "damaged"),
        (with_holder(turn=-1), "damaged"),
        (with_holder(held={"weekly": 1}), "damaged"),
        (with_holder(held={"per-minute": True}), "damaged"),
        (changed(settled=EPOCH + 9_000), "future"),
        (changed(pause=EPOCH + 90_000), "future"),
        (with_holder(until=EPOCH + 9_000, held={"per-minute": 1}), "future"),
        (changed(windows={"per-minute": {"seconds": 60, "spent": [[EPOCH + 90_000, 60]]}}), "future"),
    ],
)
def test_what_is_no_ledger_is_told_by_what_is_wrong(body: bytes, problem: str) -> None:
    with pytest.raises(LedgerError) as caught:
        parse(body, EPOCH, Terms())
    assert problem in caught.value.problem


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)


@given(
    field=st.sampled_from(["format", "name", "settled", "pause", "windows", "holders"]),
    value=json_values,
)
def test_whatever_a_ledger_holds_is_a_ledger_or_a_clear_error(field: str, value: object) -> None:
    body = changed(**{field: value})
    try:
        found = parse(body, EPOCH, Terms())
    except LedgerError:
        return
    found.sweep(EPOCH, 5.0)
    assert parse(found.dump(), EPOCH, Terms()) == found


class Misfortunes:
    """What may befall a ledger. It is deleted while somebody uses it: of another one nobody knows what it held."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng

    @property
    def alive(self) -> list[Client]:
        return [client for client in self.world.clients if client.started and client.left and not client.dead]

    def rival(self, writer: Clock) -> None:
        others = [client for client in self.alive if client.allowance._clock is not writer]
        if others:
            self.rng.choice(others).allowance.beat()

    def delete(self) -> None:
        if self.alive:
            self.world.bucket.body = None

    def damage(self) -> None:
        if self.alive and self.world.bucket.body is not None:
            self.world.bucket.body, self.world.bucket.version = b"[", self.world.bucket.version + 1


def story(seed: int) -> World:
    """Play a random story of an account: deaths, a ledger deleted or damaged, lost requests and answers, rivals."""
    rng = random.Random(seed)  # noqa: S311
    world = World(
        seed=seed,
        latency=rng.choice([0.01, 0.05, 0.5]),
        per_minute=rng.choice([10, 20, 60]),
        per_hour=rng.choice([0, 0, 0, 600]),
    )
    world.bucket.trouble = rng.choice([0.0, 0.0, 0.02, 0.1])

    misfortunes = Misfortunes(world, rng)
    if rng.random() < 0.7:
        world.bucket.between = misfortunes.rival
    tasks = rng.choice([2, 3, 5, 8])
    for _ in range(tasks):
        world.client(rng.randrange(1, 4 * world.per_minute) // tasks + 1, start=rng.choice([0.0, 150 * rng.random()]))
    if rng.random() < 0.5:
        for client in rng.sample(world.clients, rng.randrange(1, tasks)):
            world.at(rng.random() * 200, lambda client=client: world.kill(client))
    for what in (misfortunes.delete, misfortunes.damage):
        for _ in range(rng.choice([0, 0, 1, 3])):
            world.at(rng.random() * 200, what)
    world.run()
    return world


def check(world: World) -> None:
    assert all(client.dead or not client.left for client in world.clients)
    assert [client.allowance._state.name for client in world.clients if not client.dead and client.left] == []
    assert world.refused == 0


@pytest.mark.parametrize("seed", range(12))
def test_no_story_ends_with_a_refusal(seed: int) -> None:
    check(story(seed))


@pytest.mark.exhaustive
@pytest.mark.parametrize("first", range(12, 212, 25))
def test_none_of_many_stories_ends_with_a_refusal(first: int) -> None:
    for seed in range(first, first + 25):
        check(story(seed))
