"""Checkpoints that are written while the walk goes on: on real threads, with a store that a test holds up."""

from __future__ import annotations

import itertools
import sys
import threading
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from model_world import CONFIG, FakeClock

from airflow_provider_kore.exceptions import DriftError, StoppedError, StoreUnavailableError
from airflow_provider_kore.snapshot import checkpoints, staging
from airflow_provider_kore.snapshot.fields import FieldPolicies
from airflow_provider_kore.snapshot.seal import Seal
from airflow_provider_kore.snapshot.staging import CHUNK_SECONDS, Staging
from airflow_provider_kore.stop import Stop
from airflow_provider_kore.walk import prefetch
from airflow_provider_kore.walk.cost import Spent
from airflow_provider_kore.walk.page import Page, Progress, Record, Records
from airflow_provider_kore.walk.state import WalkState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE = 2
CHUNK = 8
MOST = 12
"""Contacts in no checkpoint."""
PATIENCE = 20.0
FREE: Any = SimpleNamespace(spent=Spent(), allowance=SimpleNamespace(usage=tuple))
"""A meter of requests that cost nothing."""


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(staging, "CHUNK_ROWS", MOST)
    monkeypatch.setattr(staging, "SMALLEST_CHUNK_ROWS", PAGE)
    with mock.patch.object(staging, "Prefetcher", prefetch.Prefetcher):
        yield


class HeldChunks:
    """A store whose writes wait until they may go on, or fail."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.errors: list[Exception] = []
        self.writers: set[int] = set()

    def names(self) -> list[str]:
        return sorted(self.kept)

    def read(self, name: str) -> bytes:
        return self.kept[name]

    def write(self, name: str, body: bytes) -> None:
        self.writers.add(threading.get_ident())
        self.begun.release()
        assert self.go.acquire(timeout=PATIENCE)
        if self.errors:
            raise self.errors.pop()
        self.kept[name] = body

    def delete(self, names: Sequence[str]) -> None:
        for name in names:
            self.kept.pop(name, None)

    def close(self) -> None:
        """Nothing to give up."""


class Walker:
    """Adds page after page to a staging, as a walk does."""

    def __init__(self, chunks: HeldChunks) -> None:
        self.clock = FakeClock()
        self.staging = Staging(
            chunks,
            self.clock,
            FieldPolicies(),
            Seal(CONFIG, "here"),
            typed_columns=False,
            meter=FREE,
            stop=Stop(),
        )

    @property
    def cuts(self) -> list[int]:
        return [chunk.end for chunk in self.staging._chain]

    def page(self) -> None:
        offset = self.staging.next_offset
        numbers = range(offset, offset + PAGE)
        records = Records.of(Record(f"cc-{n}", f'{{"_id": "cc-{n}"}}', {"_id": f"cc-{n}"}) for n in numbers)
        page = Page(records=records, offset=offset, end=offset + PAGE, total=100)
        state = WalkState(walk_id="0" * 12, started=0.0, progress=Progress(offset=offset + PAGE))
        self.staging.add(page, state)
        self.staging.checkpoint_if_due(100)

    def pages(self, number: int) -> None:
        for _ in range(number):
            self.page()


def in_background(call: Any) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def ids(found: Staging) -> list[str]:
    return list(found.ids())


@pytest.fixture
def chunks() -> HeldChunks:
    return HeldChunks()


@pytest.fixture
def walker(chunks: HeldChunks) -> Iterator[Walker]:
    made = Walker(chunks)
    yield made
    made.staging._writes.close()


def test_the_walk_goes_on_while_a_chunk_is_written(walker: Walker, chunks: HeldChunks) -> None:
    walker.pages(CHUNK // PAGE + 1)
    assert chunks.begun.acquire(timeout=PATIENCE)
    assert (walker.staging.next_offset, walker.cuts) == (CHUNK + PAGE, []), "what is not written is no checkpoint"
    chunks.go.release()
    chunks.go.release()
    walker.staging.checkpoint()
    assert walker.cuts == [CHUNK, CHUNK + PAGE]
    assert ids(walker.staging) == [f"cc-{n}" for n in range(CHUNK + PAGE)]
    assert threading.get_ident() not in chunks.writers


def test_it_waits_when_a_death_would_cost_more_than_it_may(walker: Walker, chunks: HeldChunks) -> None:
    walker.pages(CHUNK // PAGE + 1)
    waiting = in_background(walker.page)
    waiting.join(0.3)
    assert waiting.is_alive()
    chunks.go.release()
    waiting.join(PATIENCE)
    assert walker.cuts == [CHUNK]


def test_it_waits_when_it_has_a_second_of_the_next_chunk(walker: Walker, chunks: HeldChunks) -> None:
    walker.page()
    walker.clock.now += CHUNK_SECONDS
    walker.page()
    walker.page()
    walker.clock.now += staging.AHEAD_SECONDS
    waiting = in_background(walker.page)
    waiting.join(0.3)
    assert waiting.is_alive()
    chunks.go.release()
    waiting.join(PATIENCE)
    assert walker.cuts == [2 * PAGE]


def test_what_could_not_be_written_is_written_with_the_next_chunk(walker: Walker, chunks: HeldChunks) -> None:
    chunks.errors.append(StoreUnavailableError("not now"))
    chunks.go.release()
    chunks.go.release()
    with pytest.raises(StoreUnavailableError), walker.staging:
        walker.pages(CHUNK)
    assert [name[13:38] for name in chunks.kept] == [f"{0:012d}-{walker.staging.next_offset:012d}"]
    again = Walker(chunks)
    assert again.staging.find(oldest=0.0) is not None
    assert ids(again.staging) == [f"cc-{n}" for n in range(walker.staging.next_offset)]


def test_a_chunk_that_waits_for_the_store_when_the_task_is_stopped_is_sent_once_more(
    walker: Walker, chunks: HeldChunks
) -> None:
    """The wait ends with StoppedError, on the writer's thread; by then the store may take it."""
    chunks.errors.append(StoppedError("told to stop"))
    chunks.go.release()
    chunks.go.release()
    walker.pages(CHUNK // PAGE)
    with pytest.raises(StoppedError), walker.staging:
        raise StoppedError("told to stop")
    assert walker.staging.kept_until == CHUNK
    again = Walker(chunks)
    assert again.staging.find(oldest=0.0) is not None
    assert ids(again.staging) == [f"cc-{n}" for n in range(CHUNK)]


def test_a_chunk_that_is_written_is_kept_when_the_walk_ends_badly(walker: Walker, chunks: HeldChunks) -> None:
    chunks.go.release()
    chunks.go.release()
    walker.pages(CHUNK // PAGE + 1)
    with pytest.raises(KeyboardInterrupt), walker.staging:
        raise KeyboardInterrupt
    assert len(chunks.kept) == 2
    again = Walker(chunks)
    assert again.staging.find(oldest=0.0) is not None
    assert again.staging.next_offset == CHUNK + PAGE


def test_a_walk_that_begins_anew_leaves_nothing_of_a_chunk_under_way(walker: Walker, chunks: HeldChunks) -> None:
    walker.pages(CHUNK // PAGE)
    discarding = in_background(walker.staging.discard)
    discarding.join(0.3)
    assert discarding.is_alive(), "deleted before it is written it would stay"
    chunks.go.release()
    discarding.join(PATIENCE)
    assert chunks.kept == {}


def test_a_changed_list_drops_a_chunk_that_fails(walker: Walker, chunks: HeldChunks) -> None:
    chunks.errors.append(StoreUnavailableError("not now"))
    chunks.go.release()
    walker.pages(CHUNK // PAGE)
    walker.staging.discard()
    with pytest.raises(DriftError), walker.staging:
        raise DriftError("changed")
    assert chunks.kept == {}


class Interrupted(BaseException):
    """Airflow's execution_timeout, or a person's."""


def test_an_interruption_at_any_call_loses_no_row_and_doubles_none() -> None:
    """A profiler's hook raises where a signal's handler would: when Python calls something, or comes back from it."""
    for event in itertools.count():
        chunks = HeldChunks()
        for _ in range(9):
            chunks.go.release()
        walker = Walker(chunks)
        walker.pages(CHUNK // PAGE)
        interrupted = walks_on_until(walker, event)
        again = Walker(chunks)
        assert again.staging.find(oldest=0.0) is not None, event
        assert ids(again.staging) == [f"cc-{n}" for n in range(again.staging.next_offset)], event
        assert again.staging.next_offset == walker.staging.next_offset, event
        if not interrupted:
            break
    assert event > 60


def walks_on_until(walker: Walker, number: int) -> bool:
    """Add pages until the n-th call in the staging is interrupted; say whether it was."""
    calls = itertools.count()

    def interrupt(frame: Any, event: str, arg: Any) -> None:
        here = (frame, frame.f_back) if frame.f_back else (frame,)
        if (
            any(each.f_code.co_filename in {staging.__file__, checkpoints.__file__} for each in here)
            and next(calls) == number
        ):
            sys.setprofile(None)
            raise Interrupted

    with suppress(Interrupted, KeyboardInterrupt), walker.staging:
        sys.setprofile(interrupt)
        try:
            walker.pages(CHUNK // PAGE + 1)
        finally:
            sys.setprofile(None)
        raise KeyboardInterrupt
    return next(calls) > number
