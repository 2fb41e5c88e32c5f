"""Calls ahead of their turn: as many as help, in order, and none lost."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from landing import client_of

from airflow_provider_kore.api.calls import contacts_of
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import StoppedError
from airflow_provider_kore.stop import Stop, StoppableClock
from airflow_provider_kore.walk import prefetch
from airflow_provider_kore.walk.prefetch import Prefetcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_kore.simulator import Simulator
    from airflow_provider_kore.walk.page import Page


def gated(gate: threading.Event, value: int) -> Callable[[], int]:
    def call() -> int:
        gate.wait(10)
        return value

    return call


def test_the_depth_grows_only_while_somebody_waits() -> None:
    with Prefetcher[int, int](8) as ahead:
        for key in range(3):
            ahead.start(key, lambda: 1)
            while not ahead._ahead[key].done():
                time.sleep(0.001)
            ahead.take(key)
        assert ahead.depth == 1
        for key, depth in ((10, 4), (11, 8), (12, 8), (13, 8)):
            gate = threading.Event()
            ahead.start(key, gated(gate, key))
            threading.Timer(0.05, gate.set).start()
            assert ahead.take(key) == key
            assert ahead.depth == depth


def test_an_error_is_raised_where_its_result_is_taken() -> None:
    def fail() -> int:
        raise KeyError("7")

    with Prefetcher[int, int](4) as ahead:
        ahead.start(1, fail)
        ahead.start(2, lambda: 2)
        assert ahead.take(2) == 2
        with pytest.raises(KeyError):
            ahead.take(1)


def test_what_nobody_will_take_is_dropped_but_ends() -> None:
    ended = threading.Event()
    with Prefetcher[int, bool](4) as ahead:
        ahead.start(1, lambda: ended.set() or True)
        ahead.keep([2])
        assert 1 not in ahead
        assert ended.wait(10)


def between_two_calls(ahead: Prefetcher[int, int], stop: Stop) -> None:
    ahead.end(stop.reason())


def within_a_call(ahead: Prefetcher[int, int], stop: Stop) -> None:
    """The clock tells while the call's result is waited for."""


@pytest.mark.parametrize("notice", [between_two_calls, within_a_call])
def test_whoever_ends_gets_what_is_under_way(notice: Callable[[Prefetcher[int, int], Stop], None]) -> None:
    stop = Stop()
    stop.request()

    gate = threading.Event()
    with Prefetcher[int, int](4, StoppableClock(SystemClock(), stop)) as ahead:
        ahead.start(1, gated(gate, 1))
        notice(ahead, stop)
        threading.Timer(3.5 * prefetch._LOOK_EVERY, gate.set).start()
        assert ahead.take(1) == 1
        assert isinstance(ahead.ending, StoppedError)


@pytest.mark.parametrize("notice", [between_two_calls, within_a_call])
def test_whoever_ends_does_not_wait_for_long(
    notice: Callable[[Prefetcher[int, int], Stop], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "GRACE", 0.2)

    stop = Stop()
    stop.request()

    gate = threading.Event()
    with Prefetcher[int, int](4, StoppableClock(SystemClock(), stop)) as ahead:
        ahead.start(1, gated(gate, 1))
        notice(ahead, stop)
        with pytest.raises(StoppedError):
            ahead.take(1)
        gate.set()


def test_no_thread_is_left_behind() -> None:
    with Prefetcher[int, int](4) as ahead:
        for key in range(4):
            ahead.start(key, lambda: 1)
        threads = [thread for thread in threading.enumerate() if thread.name == "kore-prefetch"]
        assert threads
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_pages_read_ahead_come_in_order_and_each_once(kore: Simulator) -> None:
    kore.configure(latency=0.01, requests_per_minute=0)
    kore.add_list("cl-long", contacts=6_000)
    with client_of(kore, in_flight=8, requests_per_minute=0) as client:
        pages = list(client.iter_pages(contacts_of("cl-long")))
    assert [page.offset for page in pages] == list(range(0, 6_000, 50))
    assert [record.id for page in pages for record in page.records] == list(kore.contact_ids("cl-long"))
    assert sorted(request.skip or 0 for request in kore.page_requests) == [page.offset for page in pages]


def test_a_server_that_becomes_fast_is_not_asked_twice(kore: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_kore.api.reader.WORTH_READING_AHEAD", 0.04)
    kore.configure(latency=0.05, requests_per_minute=0)
    kore.add_list("cl-long", contacts=6_000)
    with client_of(kore, in_flight=8, requests_per_minute=0) as client:
        for page in client.iter_pages(contacts_of("cl-long")):
            if page.offset == 1_000:
                kore.configure(latency=0.0)
    assert sorted(request.skip or 0 for request in kore.page_requests) == list(range(0, 6_000, 50))


def test_pages_that_were_asked_for_are_not_lost_when_it_ends(kore: Simulator) -> None:
    kore.configure(latency=0.3, requests_per_minute=0)
    kore.add_list("cl-long", contacts=10_000)
    stop = Stop()
    pages: list[int] = []

    def read(walk: Iterator[Page]) -> None:
        for page in walk:
            pages.append(page.offset)
            stop.requested = len(pages) > 40

    with client_of(kore, in_flight=8, requests_per_minute=0) as client, pytest.raises(StoppedError):
        read(client.iter_pages(contacts_of("cl-long"), stop=stop))
    assert len(pages) > 41  # those under way, too
    assert len(kore.page_requests) == len(pages)
