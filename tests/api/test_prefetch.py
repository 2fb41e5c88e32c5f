"""Calls ahead of their turn: as many as help, in order, and none lost."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from landing import client_of

from airflow_provider_kore.api.allowance import Allowance
from airflow_provider_kore.api.calls import contacts_of
from airflow_provider_kore.api.reader import PageReader
from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import StoppedError, UnreachableError
from airflow_provider_kore.stop import Stop, StoppableClock
from airflow_provider_kore.walk import prefetch, walk
from airflow_provider_kore.walk.page import PageRequest
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_after_a_stop_nothing_new_is_asked_for_between_the_pages_under_way(
    kore: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "LOOK_EVERY", 41)
    kore.configure(latency=0.1, requests_per_minute=0)
    kore.add_list("cl-long", contacts=6_000)
    stop = Stop()
    pages: list[int] = []
    source = ContactListSource(contact_list_id="cl-long")
    with client_of(kore, in_flight=8, requests_per_minute=0) as client:
        reading = walk.Walk(
            source, client, SystemClock(), stop, page_size=None, most=10_000, accept_drift=False
        )  # fmt: skip
        reading.start()
        looks = len(kore.requests)

        def read() -> None:
            for page in reading.pages():
                pages.append(page.offset)
                stop.requested = len(pages) > 40

        with pytest.raises(StoppedError):
            read()
    assert len(pages) > 41
    assert len(kore.requests) - len(kore.page_requests) == looks + 1  # the one after the first page of a long list


@pytest.mark.slow
def test_pages_under_way_are_kept_while_another_is_asked_for_again(kore: Simulator) -> None:
    kore.configure(latency=0.05, requests_per_minute=0)
    kore.add_list("cl-long", contacts=6_000)
    with client_of(kore, in_flight=8, requests_per_minute=0) as client:
        pages = client.iter_pages(contacts_of("cl-long"))
        read = [next(pages).offset for _ in range(40)]
        with kore.fault("empty_page", times=1) as fault:
            read += [next(pages).offset for _ in range(20)]
            assert fault.fired == 1
        read += [page.offset for page in pages]
    assert read == list(range(0, 6_000, 50))
    assert len(kore.page_requests) == len(read) + 1


def test_pages_under_way_are_kept_when_fewer_hide_the_latency() -> None:
    clock, gate = SystemClock(), threading.Event()
    allowance = Allowance.per_minute_and_hour(60, 0, clock)
    sender = SimpleNamespace(
        latency=9.0, costliest=1, largest=1, allowance=allowance, prepare=lambda *_: gated(gate, 1)
    )  # fmt: skip
    ways = SimpleNamespace(best=lambda _: None)
    call = SimpleNamespace(endpoint=None, page=lambda *_: None)
    coming = SimpleNamespace(is_in_doubt=False, planned=lambda number: [PageRequest(at, 1) for at in range(number)])
    reader: Any = PageReader(None, sender, ways, 32)  # type: ignore[arg-type]
    with Prefetcher[PageRequest, Any](32) as ahead:
        ahead.depth = 32
        reader._read_ahead(call, coming, ahead)
        asked = len(ahead)
        sender.latency = 0.2
        reader._read_ahead(call, coming, ahead)
        gate.set()
        assert len(ahead) == asked > 4


@pytest.fixture
def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)


@pytest.mark.usefixtures("no_thread")
def test_without_threads_calls_are_made_in_their_turn() -> None:
    with Prefetcher[int, int](4) as ahead:
        for key in range(3):
            ahead.start(key, threading.get_ident)
        assert {ahead.take(key) for key in range(3)} == {threading.get_ident()}


def test_without_a_thread_that_bounds_it_nothing_is_sent_and_the_error_is_ours(
    kore: Simulator,
    no_thread: None,
) -> None:
    with client_of(kore) as client, pytest.raises(UnreachableError, match="No thread can be started"):
        client.check()
    assert not kore.requests
