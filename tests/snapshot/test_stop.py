"""Told to stop: wherever that falls, what was read is kept, nothing more is published, and it ends in an error."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

import pytest
from model_vendor import Quirks
from model_world import World

from airflow_provider_kore.exceptions import StoppedError
from airflow_provider_kore.stop import Stop, StoppableClock

if TYPE_CHECKING:
    from model_world import Process

pytestmark = pytest.mark.usefixtures("small_chunks")


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [{}, {"rows_per_file": 7}], ids=["one file", "split"])
@pytest.mark.parametrize("parts", [False, True], ids=["put", "parts"])
def test_a_stop_at_any_effect_ends_in_an_error_and_publishes_nothing_after_it(
    parameters: dict[str, Any], parts: bool, request: pytest.FixtureRequest
) -> None:
    if parts:
        request.getfixturevalue("small_parts")
    for at in itertools.count(1):
        world = World(contacts=18, parameters=parameters)

        def tell(process: Process, number: int, at: int = at) -> None:
            if number == at:
                process.stop.requested = True

        process = world.process(on_effect=tell)
        try:
            process.run()
        except StoppedError:
            pass
        else:
            assert len(process.effects) < at, "a stopped task ended as success"
            break
        commits = [
            number
            for number, effect in enumerate(process.effects, 1)
            if effect.startswith(("put", "complete_upload"))
            and effect.endswith("contacts.jsonl.gz" if not parameters else "_manifest.json")
        ]
        # The request that was under way may commit; what follows the last file of several is their manifest, at once.
        late = [number for number in commits if number > at]
        assert not late or (
            parameters and not any("_staging" in effect for effect in process.effects[at - 1 : late[0]])
        )
        if not commits:
            assert world.seen == []
            assert world.bucket.uploads() == []
        read = max((skip for skip in process.asked), default=0)
        if not commits and world.checkpoint():
            assert world.checkpoint() >= read, "what was read is checkpointed"
        world.hold(world.finish())


def test_a_stop_in_a_request_is_noticed_at_once_and_the_pages_before_are_kept() -> None:
    world = World(contacts=40)

    def tell(process: Process, number: int) -> None:
        if process.effects[-1].startswith("http") and len(process.asked) == 5:
            process.stop.request()  # as a signal handler does, on top of whatever line runs

    process = world.process(on_effect=tell)
    with pytest.raises(StoppedError):
        process.run()
    assert world.checkpoint() == 20
    retry = world.finish()
    world.hold(retry)
    assert retry.asked[:2] == [16, 20]


def test_a_stop_while_sleeping_is_noticed_within_half_a_second() -> None:
    stop = Stop()
    slept: list[float] = []

    class Sleeper:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

        def time(self) -> float:
            return self.now

        def sleep(self, seconds: float) -> None:
            slept.append(seconds)
            self.now += seconds
            if len(slept) == 3:
                stop.requested = True

    with pytest.raises(StoppedError):
        StoppableClock(Sleeper(), stop).sleep(3600)
    assert len(slept) == 3
    assert max(slept) <= 0.5


def test_a_stop_is_asked_for_once_and_raises_once() -> None:
    stop = Stop()
    with pytest.raises(StoppedError), stop.interruptible():
        stop.request()
    stop.request()
    assert stop.requested
    with pytest.raises(StoppedError):
        stop.check()


def test_a_request_while_nothing_waits_raises_nothing() -> None:
    stop = Stop()
    stop.request()
    with pytest.raises(StoppedError), stop.interruptible():
        raise AssertionError("the block must not begin")


def test_an_orphan_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(contacts=40)

    def orphan(process: Process, number: int) -> None:
        if len(process.asked) == 5:
            monkeypatch.setattr(os, "getppid", lambda: 1)

    process = world.process(on_effect=orphan)
    monkeypatch.setattr(process.stop, "_parent", os.getppid())
    with pytest.raises(StoppedError, match="supervised"):
        process.run()
    assert world.seen == []
    assert world.checkpoint() >= 16


def test_a_stop_with_nothing_read_leaves_nothing() -> None:
    world = World(contacts=40, quirks=Quirks(total="missing"))
    process = world.process()
    process.stop.request()
    with pytest.raises(StoppedError):
        process.run()
    assert world.staged() == {}
    assert world.bucket.uploads() == []
