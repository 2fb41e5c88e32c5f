"""Told to stop, out of time, or orphaned: the task ends in an error, publishes nothing more, and a retry continues."""

from __future__ import annotations

import os
import signal
import time
import traceback
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from world import World, digest, record_death

if TYPE_CHECKING:
    from collections.abc import Callable

    from attempt import Attempt, Outcome
    from world import Task

pytestmark = pytest.mark.slow

PROMISE_SECONDS = 5.0
"""What Airflow gives a task that was marked or cleared, before it kills it: this bound is the promise itself."""
SEEDS = range(3)


def told(events: list[dict[str, Any]]) -> float:
    return next(event["at"] for event in events if event["event"] == "told")


def check_stopped(task: Task, outcome: Outcome, before: object) -> None:
    """An error, and the partition as it was."""
    assert outcome.kind == "error"
    assert outcome.error == "StoppedError", outcome
    assert task.manifest() == before


def until_it_hits(world: World, contacts: int, play: Callable[[Task], Attempt]) -> tuple[Task, Attempt, Outcome]:
    """Play with new tasks until one is hit in mid-walk; the vendor is twice as slow each time one got away."""
    for slower in range(6):
        task = world.task(contacts)
        task.new_run()
        world.vendor.configure(latency=0.004 * 2**slower)
        attempt = play(task)
        outcome = attempt.wait()
        if outcome.kind != "success" and "Landed" not in attempt.log():
            return task, attempt, outcome
    raise AssertionError(f"six tasks in a row landed. Of the last: {attempt.events}\n{attempt.log()}")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stopped_task_checkpoints_and_ends_in_an_error_within_five_seconds(world: World, seed: int) -> None:
    random = Random(f"stop {seed}")  # noqa: S311 - must be repeatable, not secret
    contacts, pages = random.randrange(800, 1300), random.randrange(0, 18)

    def play(task: Task) -> Attempt:
        attempt = task.start()
        assert attempt.wait_for("begin")
        while world.vendor.pages() < pages and attempt.is_running():
            time.sleep(0.001)
        attempt.kill(signal.SIGTERM)
        return attempt

    task, attempt, outcome = until_it_hits(world, contacts, play)
    assert outcome.kind == "error", f"seed {seed}: {outcome}\n{attempt.log()}"
    end = next(event["at"] for event in attempt.events if event["event"] == "end")
    assert end - told(attempt.events) < PROMISE_SECONDS
    check_stopped(task, outcome, None)
    assert task.keys(task.partition) == [], "a stopped task published something"
    staged, served = task.staged(), world.vendor.offsets(task.list_id)
    if served.total() > 2:
        assert staged, f"seed {seed}: {served.total()} pages were read, and no checkpoint was left\n{attempt.log()}"
    world.vendor.calm()
    assert task.run().kind == "success"
    task.check()
    twice, total = task.repeated()
    # what was under way, and the look at the last page of the checkpoint
    assert twice <= 2, f"seed {seed}: {twice} of {total} pages were fetched twice"
    record_death("SIGTERM", twice / total)


@pytest.mark.parametrize("seed", range(2))
def test_a_task_stopped_while_it_publishes_never_ends_as_a_success(world: World, seed: int) -> None:
    """Wherever it is in verifying, uploading and cleaning up: what readers see is a whole snapshot all the same."""
    random = Random(f"publish {seed}")  # noqa: S311 - must be repeatable, not secret
    undisturbed = world.task(1000).start(prepare=lambda _, tell: on_s3_request(lambda count, _: tell("s3", n=count)))
    assert undisturbed.wait().kind == "success"
    requests = sum(event["event"] == "s3" for event in undisturbed.events)
    assert requests > 12, "hardly a request to S3 was counted"
    task = world.task(1000)
    number = random.randrange(requests // 4, requests - 2)

    def stop_at_request(operator: Any, tell: Callable[..., None]) -> None:
        on_s3_request(lambda count, _: os.kill(os.getpid(), signal.SIGTERM) if count == number else None)

    attempt = task.start(prepare=stop_at_request)
    outcome = attempt.wait()
    assert outcome.kind == "error", f"seed {seed}, request {number} of {requests}: {outcome}\n{attempt.log()}"
    end = next(event["at"] for event in attempt.events if event["event"] == "end")
    assert end - told(attempt.events) < PROMISE_SECONDS
    if task.manifest() is not None:
        assert task.landed() == world.vendor.ids(task.list_id)
    assert task.run().kind == "success"
    task.check()


def on_s3_request(call: Callable[[int, str], None]) -> None:
    """In the child: call with the number of each request to S3, and its operation, before it is sent."""
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    connect = S3Hook.get_conn
    count = [0]

    def before_send(event_name: str, **_: Any) -> None:
        count[0] += 1
        call(count[0], event_name.rpartition(".")[2])

    def connected(self: Any) -> Any:
        client: Any = connect(self)
        client.meta.events.register("before-send.s3", before_send)
        return client

    S3Hook.get_conn = connected


def test_on_kill_twice_is_like_once(world: World) -> None:
    task = world.task(1000)
    task.new_run()
    world.vendor.configure(latency=0.01)
    attempt = task.start()
    assert attempt.wait_for("begin")
    while world.vendor.pages() < 8:
        time.sleep(0.001)
    attempt.kill(signal.SIGTERM)
    attempt.kill(signal.SIGTERM)
    assert attempt.wait_for("told")
    attempt.kill(signal.SIGTERM)
    check_stopped(task, attempt.wait(), None)
    assert task.staged(), "no checkpoint was left"
    world.vendor.calm()
    assert task.run().kind == "success"
    task.check()
    assert task.repeated()[0] <= 2


def test_on_kill_before_and_after_execute_does_nothing(world: World) -> None:
    task = world.task(200)
    outcome = task.run(
        prepare=lambda operator, _: operator.on_kill(), after=lambda operator: [operator.on_kill() for _ in range(2)]
    )
    assert outcome.kind == "success"
    task.check()


def test_a_stop_while_waiting_for_the_allowance_ends_the_wait(world: World) -> None:
    task = world.task(1000)
    task.new_run()
    world.vendor.fault("too_many_requests", after_requests=8, endpoint="contacts")
    attempt = task.start()
    assert attempt.wait_for("begin")
    while world.vendor.pages() < 9:
        time.sleep(0.005)
    attempt.kill(signal.SIGTERM)
    outcome = attempt.wait()
    check_stopped(task, outcome, None)
    end = next(event["at"] for event in attempt.events if event["event"] == "end")
    assert end - told(attempt.events) < PROMISE_SECONDS
    world.vendor.calm()
    assert task.run().kind == "success"
    task.check()
    assert task.repeated()[0] <= 2


@pytest.mark.parametrize("seed", range(2))
def test_a_task_that_runs_out_of_time_is_continued(world: World, seed: int) -> None:
    """Airflow's execution_timeout raises a BaseException from SIGALRM, out of whatever line runs.

    That line may be a library's which lets no exception through (a finaliser, a lazy module), so each task that landed
    all the same is followed by one that is hit at another moment.
    """
    random = Random(f"timeout {seed}")  # noqa: S311 - must be repeatable, not secret

    def prepare(operator: Any, tell: Callable[..., None]) -> None:
        from airflow.exceptions import AirflowTaskTimeout

        def handler(number: int, frame: Any) -> None:
            tell("raised", stack=traceback.format_stack(frame)[-8:])
            raise AirflowTaskTimeout("Timeout")

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def after(operator: Any) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        operator.on_kill()

    def play(task: Task) -> Attempt:
        nonlocal seconds
        seconds = random.uniform(0.05, 0.3)
        return task.start(prepare=prepare, after=after)

    seconds = 0.0
    task, attempt, outcome = until_it_hits(world, 1000, play)
    served = world.vendor.offsets(task.list_id).total()
    assert outcome.error == "AirflowTaskTimeout", f"seed {seed}: {outcome}\n{attempt.log()}"
    assert served <= 2 or task.staged() or task.manifest(), f"seed {seed}: no checkpoint\n{attempt.log()}"
    world.vendor.calm()
    assert task.run().kind == "success"
    task.check()
    twice, total = task.repeated()
    assert twice <= 2, f"seed {seed}: {twice} of {total} pages were fetched twice"
    record_death("execution timeout", twice / total)


@pytest.mark.parametrize("pages", [1, 13])
def test_a_task_whose_supervisor_died_stops_by_itself(world: World, pages: int) -> None:
    """kill -9 of the supervisor sends nothing; the task notices that its parent is another one."""
    task = world.task(1000)
    task.new_run()
    world.vendor.configure(latency=0.01)
    attempt = task.start(orphaned=True)
    assert attempt.wait_for("begin")
    while world.vendor.pages() < pages:
        time.sleep(0.001)
    attempt.kill()
    outcome = attempt.wait()
    check_stopped(task, outcome, None)
    world.vendor.calm()
    assert task.run().kind == "success"
    task.check()
    twice, total = task.repeated()
    assert twice <= 2
    record_death("supervisor lost", twice / total)


@pytest.mark.parametrize("seed", range(2))
def test_an_orphan_beside_its_own_retry_leaves_one_whole_snapshot(world: World, seed: int) -> None:
    """The orphan is asleep while it is orphaned and wakes up beside the retry, anywhere in it."""
    random = Random(f"orphan {seed}")  # noqa: S311 - must be repeatable, not secret
    task = world.task(1000)
    world.vendor.configure(latency=0.004)
    task.new_run()
    orphan = task.start(orphaned=True)
    begun = orphan.wait_for("begin")
    assert begun
    while world.vendor.pages() < random.randrange(1, 20):
        time.sleep(0.001)
    os.kill(begun["pid"], signal.SIGSTOP)
    orphan.kill()
    retry = task.start()
    assert retry.wait_for("begin")
    time.sleep(random.uniform(0.0, 0.4))
    os.kill(begun["pid"], signal.SIGCONT)
    ended, outcome = retry.wait(), orphan.wait()
    assert ended.kind == "success", f"seed {seed}: {ended}\n{retry.log()}"
    assert outcome.kind == "error", f"seed {seed}: {outcome}\n{orphan.log()}"
    assert outcome.error == "StoppedError"
    assert digest(task.landed()) == digest(world.vendor.ids(task.list_id))
    task.run_id = "run-9"
    assert task.run().kind == "success"
    task.check()
