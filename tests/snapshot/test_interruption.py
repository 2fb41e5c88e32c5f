"""A walk that is interrupted at any call, or whose store fails: what was read is kept once."""

from __future__ import annotations

import itertools
import sys
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from model_store import MemoryStore
from model_world import CONFIG, FakeClock, World

from airflow_provider_kore.exceptions import KoreError, StoppedError, StoreUnavailableError
from airflow_provider_kore.snapshot import checkpoints, staging
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.snapshot.progress import ProgressLog
from airflow_provider_kore.snapshot.staging import Staging
from airflow_provider_kore.snapshot.work import Shared, Work
from airflow_provider_kore.stop import Stop
from airflow_provider_kore.walk.cost import Spent
from airflow_provider_kore.walk.page import Page, Progress, Record, Records
from airflow_provider_kore.walk.state import WalkState

PAGE = 2
CHUNK = 8
FREE: Any = SimpleNamespace(config=CONFIG, spent=Spent(), allowance=SimpleNamespace(usage=tuple))
"""A client whose requests cost nothing."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "CHUNK_ROWS", CHUNK)
    monkeypatch.setattr(staging, "SMALLEST_CHUNK_ROWS", PAGE)


class Walker:
    """Adds page after page to a staging, as a walk does."""

    def __init__(self, store: MemoryStore) -> None:
        clock, client = FakeClock(), FREE
        work = Work(spec=World().spec(), store=store, clock=clock, stop=Stop(), teller=Teller(clock))
        progress = ProgressLog(work.spec.dataset, client, clock)
        self.staging = Staging(work, Shared(client=client, staging_store=store, progress=progress))

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


def ids(found: Staging) -> list[str]:
    return list(found.ids())


@pytest.mark.parametrize("error", [StoreUnavailableError("not now"), StoppedError("told to stop")])
def test_what_could_not_be_written_is_written_once_more_at_the_end(error: KoreError) -> None:
    """Also where the wait for the store ended because the task was told to stop: by then it may take it."""
    store = MemoryStore()
    store.crash_at(1, "before", error, dead=False)
    walker = Walker(store)
    with pytest.raises(type(error)), walker.staging:
        walker.pages(CHUNK)
    again = Walker(store.reopen())
    assert again.staging.find(oldest=0.0) is not None
    assert walker.staging.next_offset == again.staging.next_offset == CHUNK
    assert ids(again.staging) == [f"cc-{n}" for n in range(CHUNK)]


class Interrupted(BaseException):
    """Airflow's execution_timeout, or a person's."""


@pytest.mark.slow
def test_an_interruption_at_any_call_loses_no_row_and_doubles_none() -> None:
    """A profiler's hook raises where a signal's handler would: when Python calls something, or comes back from it."""
    for event in itertools.count():
        store = MemoryStore()
        walker = Walker(store)
        walker.pages(CHUNK // PAGE)
        interrupted = walks_on_until(walker, event)
        again = Walker(store.reopen())
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
