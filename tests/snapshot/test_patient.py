"""An outage of S3 costs time, and no try: what was fetched waits, nothing more is fetched, and the log says why."""

from __future__ import annotations

import io
import re
import threading
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from model_store import MemoryStore
from model_world import FakeClock, Process, World

from airflow_provider_kore.exceptions import StoppedError, StoreUnavailableError
from airflow_provider_kore.stop import Stop
from airflow_provider_kore.store import patient
from airflow_provider_kore.store.patient import PatientStore
from airflow_provider_kore.store.store import ABSENT, ConditionFailed, SessionExpired, UploadGone

if TYPE_CHECKING:
    from collections.abc import Callable

TYPE = "application/x-test"


class Outage:
    """From an effect of a process on, S3 is gone for so many seconds of the given clock."""

    def __init__(self, seconds: float, begins: Callable[[Process, int], bool]) -> None:
        self.seconds = seconds
        self.begins = begins
        self.until: float | None = None
        self.asked = 0

    def __call__(self, process: Process, number: int) -> None:
        now = process.world.clock.now
        is_http = process.effects[-1].startswith("http")
        if self.until is None and not is_http and self.begins(process, number):
            self.until = now + self.seconds
        if self.until is not None and now < self.until:
            if is_http:
                self.asked += 1
            else:
                raise StoreUnavailableError("PutObject on s3://memory/k: no answer from S3 (ConnectTimeoutError).")


def at_the_first_chunk(process: Process, number: int) -> bool:
    return process.effects[-1].startswith("put") and process.effects[-1].endswith(".jsonl.gz")


def world(**more: Any) -> World:
    return World(contacts=60, request_seconds=5.0, **more)


@pytest.mark.parametrize("seconds", [60.0, 500.0])
def test_an_outage_in_the_middle_of_a_walk_costs_no_try(seconds: float) -> None:
    here, outage = world(), Outage(seconds, at_the_first_chunk)
    process = here.process(on_effect=outage)
    with here.listening() as log:
        process.run()
    here.hold(process)
    assert outage.until is not None
    assert any("Waiting for S3" in line and "ConnectTimeoutError" in line for line in log.lines)
    assert any("answers again" in line for line in log.lines)
    assert outage.asked <= 5, "what is in no checkpoint has to be bounded: the walk must stop fetching"


def test_the_log_says_every_thirty_seconds_what_is_waited_for() -> None:
    store, clock = MemoryStore(), FakeClock()
    told: list[float] = []
    down = clock.now + 590

    class Down(MemoryStore):
        def put(self, *args: Any, **more: Any) -> Any:
            clock.now += 20  # as long as one request may hang
            if clock.now < down:
                raise StoreUnavailableError("PutObject: no answer from S3.")
            return store.put(*args, **more)

    def slept(seconds: float) -> None:
        told.append(clock.now)
        clock.now += seconds

    clock.sleep = slept  # type: ignore[method-assign]
    patience = PatientStore(Down(), clock, Stop())
    assert patience.head("k") is None  # a store that has answered once is waited for longer
    patience.put("k", b"", content_type=TYPE)
    assert max(later - earlier for earlier, later in pairwise(told)) <= 30
    assert set(store.bodies()) == {"k"}


def test_an_outage_that_lasts_is_an_error_and_the_next_try_continues() -> None:
    here = world()
    process = here.process(on_effect=Outage(5_000, at_the_first_chunk))
    begun = here.clock.now
    with pytest.raises(StoreUnavailableError, match="ConnectTimeoutError"):
        process.run()
    assert patient.LONGEST_OUTAGE / 2 < here.clock.now - begun < 1.2 * patient.LONGEST_OUTAGE, "waited for once"
    here.clock.now += 5_000
    here.hold(here.finish())


def test_what_was_waited_for_in_vain_is_not_waited_for_again_before_there_was_an_answer() -> None:
    clock, down = FakeClock(), [True]

    class Down(MemoryStore):
        def head(self, key: str) -> Any:
            if down[0]:
                raise StoreUnavailableError("HeadObject: no answer from S3.")
            return super().head(key)

    store = PatientStore(Down(), clock, Stop())
    waited = []
    for each, gone in ((store, True), (store, True), (store.beside(Down()), True), (store, False), (store, True)):
        down[0], begun = gone, clock.now
        with suppress(StoreUnavailableError):
            each.head("k")
        waited.append(round(clock.now - begun, -2))
    assert waited == [100, 0, 0, 0, 600]


@pytest.mark.parametrize("number", range(1, 40, 3))
def test_whenever_s3_goes_for_some_minutes_the_same_try_lands(number: int) -> None:
    here = world()
    begins: list[int] = []

    def begin(process: Process, _: int) -> bool:
        stored = [effect for effect in process.effects if not effect.startswith("http")]
        begins.append(len(stored))
        return len(stored) == number

    process = here.process(on_effect=Outage(100.0, begin))
    process.run()
    here.hold(process)


def test_a_task_that_is_told_to_stop_waits_no_longer() -> None:
    here = world()
    process = here.process(on_effect=Outage(500, at_the_first_chunk))
    sleep = here.clock.sleep

    def stop_soon(seconds: float) -> None:
        sleep(seconds)
        if here.clock.now > 1_767_225_600 + 60:
            process.stop.requested = True

    here.clock.sleep = stop_soon  # type: ignore[method-assign]
    guard = threading.Timer(30, lambda: None)
    guard.start()
    with pytest.raises((StoppedError, StoreUnavailableError)):
        process.run()
    guard.cancel()
    assert here.clock.now < 1_767_225_600 + 400


class Losing(MemoryStore):
    """The answer to the first write of each kind is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[str] = set()

    def _lose(self, kind: str) -> None:
        if kind not in self.lost:
            self.lost.add(kind)
            raise StoreUnavailableError(f"{kind}: no answer.")

    def put(self, *args: Any, **more: Any) -> Any:
        done = super().put(*args, **more)
        self._lose("put")
        return done

    def create_upload(self, *args: Any, **more: Any) -> Any:
        done = super().create_upload(*args, **more)
        self._lose("create")
        return done

    def complete_upload(self, *args: Any, **more: Any) -> Any:
        done = super().complete_upload(*args, **more)
        self._lose("complete")
        return done


def test_a_write_whose_answer_was_lost_is_in_doubt_and_leaves_nothing_behind() -> None:
    inner = Losing()
    store = PatientStore(inner, FakeClock(), Stop())
    with pytest.raises(ConditionFailed) as failed:
        store.put("k", b"mine", content_type=TYPE, condition=ABSENT)
    assert failed.value.in_doubt
    upload = store.create_upload("big", content_type=TYPE)
    assert [each.upload_id for each in inner.uploads()] == [upload.upload_id], "the first one, whose answer was lost"
    part = store.upload_part(upload, 1, b"x")
    with pytest.raises(UploadGone) as gone:
        store.complete_upload(upload, [part])
    assert gone.value.in_doubt
    assert set(inner.bodies()) == {"k", "big"}


def test_what_no_waiting_helps_is_told_at_once() -> None:
    class Expired(MemoryStore):
        def head(self, key: str) -> Any:  # noqa: ARG002
            raise SessionExpired("expired")

    clock = FakeClock()
    with pytest.raises(SessionExpired):
        PatientStore(Expired(), clock, Stop()).head("k")
    assert clock.now == FakeClock().now


def test_a_listing_that_breaks_off_tells_each_object_once() -> None:
    inner = MemoryStore(page_size=2)
    for name in "abcdefg":
        inner.put(name, b"", content_type=TYPE)
    inner.crash_at(3, "before", StoreUnavailableError("broken"), dead=False)
    store = PatientStore(inner, FakeClock(), Stop())
    assert [found.key for found in store.list("")] == list("abcdefg")


@pytest.mark.parametrize("size", [0, 10, patient.READ_AHEAD - 1, patient.READ_AHEAD, patient.READ_AHEAD + 9])
def test_what_is_read_is_what_is_there(size: int) -> None:
    inner = MemoryStore()
    body = bytes(size)
    inner.put("k", body, content_type=TYPE)
    opened = PatientStore(inner, FakeClock(), Stop()).get("k")
    assert opened is not None
    with opened as stream:
        assert stream.read() == body


class Breaking(io.RawIOBase):
    """A stream that breaks where its end should be told, as one whose checksum is wrong does."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__()
        self.pieces = pieces

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self.pieces:
            raise StoreUnavailableError("GetObject on s3://memory/k: the answer broke off. Try again.")
        piece = self.pieces.pop(0)
        buffer[: len(piece)] = piece
        return len(piece)


def test_an_object_that_breaks_off_is_fetched_again_before_its_reader_gets_any() -> None:
    opened: list[Any] = []

    class Flaky(MemoryStore):
        def get(self, key: str) -> Any:
            opened.append(super().get(key) if opened else io.BufferedReader(Breaking([b"wr", b"ong"])))
            return opened[-1]

    inner = Flaky()
    inner.put("k", b"right", content_type=TYPE)
    found = PatientStore(inner, FakeClock(), Stop()).get("k")
    assert found is not None
    with found as stream:
        assert stream.read() == b"right"
    assert [each.closed for each in opened] == [True, True]


def test_what_was_logged_names_no_more_than_the_call() -> None:
    here = world()
    process = here.process(on_effect=Outage(60, at_the_first_chunk))
    with here.listening() as log:
        process.run()
    line = next(line for line in log.lines if "Waiting for S3" in line)
    assert re.search(r"for \d+ s of at most 600 so far: .* Trying again in \d", line)
