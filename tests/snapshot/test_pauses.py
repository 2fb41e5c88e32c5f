"""Long waits for the allowance that are spent without a worker: each stretch gets somewhere, however few requests."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import model_world
import pytest
from model_world import CONFIG, Process, World

from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.stoppable import StoppableTransport
from airflow_provider_kore.exceptions import PausedError
from airflow_provider_kore.snapshot.layout import Layout
from airflow_provider_kore.snapshot.run import take_snapshot
from airflow_provider_kore.stop import StoppableClock

PAUSE_AFTER = 30.0
PAGES = 15


def stretch(process: Process) -> None:
    clock = StoppableClock(process.world.clock, process.stop)
    client = CampaignClient(
        model_world.CONFIG,
        clock=clock,
        transport=StoppableTransport(process, process.stop),
        pause_after=PAUSE_AFTER,
    )
    process.manifest = take_snapshot(process.spec, client, process.store, clock, process.stop)


@pytest.mark.parametrize("requests_per_minute", [1, 2, 3, 10])
def test_a_walk_that_pauses_gets_to_its_end_however_far_apart_its_requests_are(
    requests_per_minute: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two requests prove after each pause that the list is the same: pauses before pages are read would never end."""
    monkeypatch.setattr(model_world, "CONFIG", replace(CONFIG, requests_per_minute=requests_per_minute))
    world = World(contacts=PAGES * 4)
    world.layout = Layout(world.spec(), model_world.CONFIG.source)
    pauses = 0
    while True:
        process = world.process(try_number=1)
        try:
            stretch(process)
        except PausedError as pause:
            pauses += 1
            assert pauses <= PAGES, "it gets nowhere"
            world.clock.now += pause.retry_after or 0.0
        else:
            break
    world.hold(process)
    assert pauses
    assert world.vendor.requests <= 2 * PAGES + 3, "a pause costs no more than is read for it"


@pytest.mark.parametrize(
    ("spent", "seconds", "pauses"),
    [
        ({}, 31.0, True),
        ({}, 30.0, False),
        ({"requests": 1, "rate_limited": 1}, 31.0, True),
        ({"requests": 2}, 31.0, False),
        ({"requests": 3, "pages": 1}, 31.0, False),
        ({"requests": 4, "pages": 2}, 31.0, True),
        ({"requests": 2}, 600.0, True),
    ],
    ids=str,
)
def test_a_pause_is_made_where_it_loses_nothing_or_the_wait_is_very_long(
    spent: dict[str, int], seconds: float, pauses: bool
) -> None:
    world = World()
    process = world.process()
    client = CampaignClient(
        CONFIG, clock=world.clock, transport=StoppableTransport(process, process.stop), pause_after=PAUSE_AFTER
    )
    client._sender.spend(**spent)
    with pytest.raises(PausedError) if pauses else nullcontext():
        client._sender._wait(seconds, "the allowance is spent")
