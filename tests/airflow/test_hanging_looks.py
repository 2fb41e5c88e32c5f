"""Sensors beside servers that never answer, or answer rubbish: nobody else waits, and the task is always told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_sensors import campaign_sensor, context, list_sensor

from airflow_provider_kore.exceptions import KoreError, RetryableError, UnreachableError
from airflow_provider_kore.hooks.airflow_versions import AirflowFailException, AirflowSensorTimeout
from airflow_provider_kore.triggers import poll, threads
from airflow_provider_kore.triggers.campaign import CampaignStatusTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench import Bench

    from airflow_provider_kore.triggers.poll import Hooks

GUARD = 60.0
"""Seconds after which a test gives up; nothing is measured by it."""


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "LEAST_INTERVAL", 0.01)
    monkeypatch.setattr(poll, "LAST_LOOK", 0.1)


@pytest.fixture
def silent() -> Iterator[tuple[str, Callable[[], int]]]:
    """A server that accepts every connection and never says anything, and how many it has; hangs up at the end."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(listener.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", lambda: len(held)
        listener.shutdown(socket.SHUT_RDWR)
    for each in held:
        each.close()


def trigger(seconds: float = 3600.0, **changes: Any) -> CampaignStatusTrigger:
    arguments: dict[str, Any] = {
        "campaign_id": "cd-1",
        "statuses": ["Completed"],
        "failed_statuses": [],
        "kore_conn_id": "kore_default",
        "poke_interval": 0.01,
        "deadline": time.time() + seconds,
        "max_failures": 1,
    }
    return CampaignStatusTrigger(**{**arguments, **changes})


async def event(waiting: CampaignStatusTrigger) -> dict[str, Any]:
    async with asyncio.timeout(GUARD):
        payload: dict[str, Any] = (await anext(waiting.run())).payload
    return payload


def ours() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("kore-look")]


def test_looks_that_hang_take_no_thread_that_others_need(bench: Bench, silent: Any) -> None:
    bench.connect(host=silent[0], timeout=1000)

    async def run() -> None:
        waiting = [asyncio.ensure_future(event(trigger())) for _ in range(24)]
        async with asyncio.timeout(GUARD):
            while silent[1]() < threads.MOST:
                await asyncio.sleep(0.01)
            # All of the default executor's threads are free: more than 24 of its calls meet each other.
            barrier = threading.Barrier(min(4, threads.MOST))
            await asyncio.gather(*(asyncio.to_thread(barrier.wait, GUARD) for _ in range(barrier.parties)))
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        assert len(ours()) == threads.MOST
        assert all(each.daemon for each in ours())
        for each in waiting:
            each.cancel()
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(each) for each in told} == {asyncio.CancelledError}

    asyncio.run(run())


def test_the_deadline_is_noticed_while_a_look_hangs(bench: Bench, silent: Any) -> None:
    bench.connect(host=silent[0], timeout=1000)
    told = asyncio.run(event(trigger(0.3)))
    assert told["outcome"] == "too_late"
    with pytest.raises(AirflowSensorTimeout, match="did not end within"):
        campaign_sensor().resume(context(), event=told)


def test_threads_that_hang_do_not_add_up_and_come_back(bench: Bench, silent: Any) -> None:
    bench.connect(host=silent[0], timeout=1000)
    lane = ("hanging-lane",)
    ends = threading.Event()

    async def hang(executor: threads.OneThread) -> None:
        await asyncio.get_running_loop().run_in_executor(executor, ends.wait, GUARD)

    async def look(seconds: float) -> None:
        await threads.bounded(lane, "The look", seconds, hang)

    for _ in range(threads.MOST):
        with pytest.raises(UnreachableError, match="did not end within"):
            asyncio.run(look(0.01))
    before = threading.active_count()
    for _ in range(5):
        with pytest.raises(UnreachableError, match=f"{threads.MOST} of them by earlier ones over the same connection"):
            asyncio.run(look(0.01))
    assert threading.active_count() <= before
    ends.set()
    asyncio.run(look(GUARD))


def test_one_connection_that_hangs_does_not_stop_another(bench: Bench, silent: Any, define: Any) -> None:
    bench.kore.add_campaign("cd-1", status="Completed")
    other = bench.kore.connection
    other["extra"] = {**other["extra"], "timeout": 1000}
    define("kore_silent", {**other, "host": silent[0]})

    async def run() -> dict[str, Any]:
        waiting = [asyncio.ensure_future(event(trigger(kore_conn_id="kore_silent"))) for _ in range(40)]
        async with asyncio.timeout(GUARD):
            while silent[1]() < threads.MOST:
                await asyncio.sleep(0.01)
        found = await event(trigger())
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return found

    assert asyncio.run(run())["outcome"] == "found"


class Surprise(CampaignStatusTrigger):
    error: BaseException

    def look(self, hooks: Hooks) -> Any:  # noqa: ARG002
        raise self.error


@pytest.mark.parametrize(
    ("error", "fatal"),
    [
        (TypeError("s3cret"), True),
        (OverflowError("s3cret"), True),
        (StopIteration("s3cret"), True),
        (RecursionError("s3cret"), True),
        (OSError("s3cret"), False),
        (MemoryError("s3cret"), False),
        (SystemExit("s3cret"), False),
    ],
)
def test_whatever_a_look_raises_the_task_is_told_in_a_sentence_of_ours(
    bench: Bench, error: BaseException, fatal: bool
) -> None:
    waiting = Surprise(**trigger().serialize()[1])
    waiting.error = error
    told = asyncio.run(event(waiting))
    assert (told["outcome"], told["fatal"]) == ("failed", fatal)
    assert "s3cret" not in json.dumps(told)
    with pytest.raises(RetryableError if not fatal else AirflowFailException):
        campaign_sensor().resume(context(), event=told)


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({"profile_name": "nowhere"}, "field 'profile_name': names a profile that this worker does not have"),
        ({"endpoint_url": "no url"}, "endpoint_url"),
        ({"role_arn": 1}, "The AWS connection 'aws_default' failed: AWS's library refuses"),
    ],
)
@pytest.mark.parametrize("deferrable", [True, False])
def test_an_aws_connection_that_cannot_work_is_a_sentence(
    bench: Bench, extra: dict[str, Any], sentence: str, deferrable: bool
) -> None:
    bench.kore.add_list("cl-1", status="Ready", contacts=1)
    bench.connect_aws(**extra)
    with pytest.raises((AirflowFailException, KoreError), match=sentence):
        list_sensor(s3_bucket=bench.bucket, deferrable=deferrable, max_failures=1).execute(context())


@pytest.mark.parametrize("waits", [1e18, float("inf"), 10**400, -5.0, float("nan"), "soon", None, True])
def test_no_retry_after_is_longer_than_six_hours(bench: Bench, waits: Any) -> None:
    told = poll.failed(RetryableError("later", waits))
    assert told["retry_after"] is None or 0 <= told["retry_after"] <= 21_600
    with pytest.raises(RetryableError) as caught:
        campaign_sensor().resume(context(), event={**told, "retry_after": waits})
    assert caught.value.retry_after is None or 0 <= caught.value.retry_after <= 21_600
    assert 0 < trigger()._backoff(10**6, RetryableError("later", waits)) <= 1.1 * 21_600


@pytest.mark.parametrize("name", ["poke_interval", "timeout"])
@pytest.mark.parametrize("value", [1e10, float("inf"), float("nan"), -1, "soon", "1e400", 10**400, None.__class__])
def test_a_duration_that_no_clock_can_count_is_refused_where_it_is_given(name: str, value: Any) -> None:
    with pytest.raises(KoreError, match=f"Parameter '{name}'"):
        campaign_sensor(**{name: value})


@pytest.mark.parametrize("name", ["poke_interval", "timeout"])
def test_a_timedelta_is_taken_unless_no_date_can_take_it(name: str) -> None:
    from datetime import timedelta

    with pytest.raises(KoreError, match=f"Parameter '{name}'"):
        campaign_sensor(**{name: timedelta.max})
    for a_minute in ("60", 60, timedelta(minutes=1)):
        assert campaign_sensor(**{name: a_minute}).__dict__[name] == 60.0


@pytest.mark.parametrize("numbers", [{"deadline": float("inf")}, {"deadline": float("nan")}, {"poke_interval": "x"}])
def test_a_trigger_with_arguments_that_are_no_numbers_tells_or_looks(bench: Bench, numbers: dict[str, Any]) -> None:
    bench.kore.add_campaign("cd-1", status="Completed")
    assert asyncio.run(event(trigger(**numbers)))["outcome"] == "found"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=JSON | st.fixed_dictionaries({}, optional={
    "outcome": st.sampled_from(["found", "failed", "too_late"]) | JSON, "message": JSON, "summary": JSON,
    "fatal": JSON, "error": st.sampled_from(["ServerError", "ConfigError", "annotations", "KoreError"]) | JSON,
    "retry_after": JSON,
}))  # fmt: skip
def test_any_event_ends_the_task_in_a_way_that_is_meant(told: Any) -> None:
    try:
        found = campaign_sensor().resume(context(), event=told)
    except (RetryableError, AirflowFailException, AirflowSensorTimeout) as err:
        assert str(err).isprintable()  # noqa: PT017
    else:
        assert isinstance(found, dict)


class Rubbish(BaseHTTPRequestHandler):
    body = b""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def rubbish() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Rubbish)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


ANSWER = st.fixed_dictionaries(
    {"status": st.just("success")},
    optional={"data": JSON | st.fixed_dictionaries({}, optional={"id": JSON, "_id": JSON, "status": JSON})},
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=ANSWER | JSON)
def test_any_answer_is_an_event_in_one_printable_line(bench: Bench, rubbish: str, answer: Any) -> None:
    bench.connect(host=rubbish)
    Rubbish.body = json.dumps(answer).encode()
    told = asyncio.run(event(trigger(0.0)))
    assert told["outcome"] in {"found", "failed", "too_late"}
    assert told["message"].isprintable()
    assert len(told["message"]) < 1000


@pytest.mark.parametrize("status", ["x" * 101, "Act\x1b[2Jive", "Completed\n", "\u202eevitcA"])
def test_a_status_that_cannot_be_shown_is_refused(bench: Bench, status: str) -> None:
    bench.kore.add_campaign("cd-1", status=status)
    with pytest.raises(AirflowFailException, match="longer than 100 characters or not printable") as caught:
        campaign_sensor().execute(context())
    assert status not in str(caught.value)


@pytest.mark.parametrize("updated", ["x" * 101, "2025\x1b[2J"])
def test_an_updated_at_that_cannot_be_shown_is_refused(bench: Bench, updated: str) -> None:
    bench.kore.add_list("cl-1", contacts=1, updatedAt=updated)
    with pytest.raises(AirflowFailException, match="updatedAt that is longer than 100 characters or not printable"):
        list_sensor(s3_bucket=bench.bucket).execute(context())


def test_a_manifest_whose_texts_cannot_be_shown_is_refused(bench: Bench) -> None:
    landed = bench.run()
    manifest = bench.manifest(landed)
    for field in ("list_updated_at", "snapshot_date", "snapshot_id"):
        for value in (["x"], "x\n" * 10, "x" * 101):
            body = json.dumps({**manifest, field: value})
            bench.s3.put_object(Bucket=bench.bucket, Key=landed["manifest_key"], Body=body)
            try:  # what is no manifest of ours is passed over; one of ours with such a text is refused
                told = str(list_sensor(s3_bucket=bench.bucket).execute(context()))
            except AirflowFailException as err:
                told = str(err)
            assert str(value) not in told, field
            assert told.isprintable()


def test_where_no_thread_is_left_a_look_has_failed_and_its_place_is_free_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.kore.add_campaign("cd-1", status="Completed")
    really, refused = threading.Thread.start, 0

    def start(thread: threading.Thread) -> None:
        nonlocal refused
        if thread.name.startswith("kore-look") and refused <= threads.MOST:
            refused += 1
            raise RuntimeError("can't start new thread")
        really(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr(poll, "LONGEST_BACKOFF", 0.01)
    told = asyncio.run(event(trigger(max_failures=2 * threads.MOST)))
    assert told["outcome"] == "found"
    assert refused > threads.MOST
    assert not threads._running[("kore_default",)]
