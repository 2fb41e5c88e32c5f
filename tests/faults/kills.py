"""One round: a list that changed since the last one, kill -9 wherever the seed says, retries, and what must hold."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from reader import Reader
from world import PAGE, Task, World, digest, record_death

if TYPE_CHECKING:
    from collections.abc import Callable

    from attempt import Attempt
    from reader import Seen

MOST_DEATHS = 3
LOOK_SECONDS = 0.005


@dataclass(frozen=True)
class Settings:
    """What the rounds of one seed have in common."""

    parameters: dict[str, Any]
    contacts: int

    @classmethod
    def of(cls, seed: int, random: Random) -> Settings:
        """Return what this seed plays with: five seeds in a row meet each format once."""
        formats: list[dict[str, Any]] = [
            {"file_format": "jsonl"},
            {"file_format": "jsonl", "rows_per_file": 400, "incremental": True},
            {"file_format": "csv", "incremental": True},
            {"file_format": "parquet"},
            {"file_format": "jsonl", "compression": "none"},
        ]
        return cls(formats[seed % len(formats)], random.randrange(800, 1300))


def die_by_request(random: Random) -> tuple[str, Callable[..., None]]:
    """Kill the task from within, just before or just after its n-th request to S3."""
    number, after = random.randrange(1, 26), random.random() < 0.5

    def prepare(operator: Any, tell: Callable[..., None]) -> None:
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        connect = S3Hook.get_conn
        sent = [0]

        def before_send(**_: Any) -> None:
            sent[0] += 1
            if sent[0] == number and not after:
                os.kill(os.getpid(), signal.SIGKILL)

        def after_call(**_: Any) -> None:
            if sent[0] >= number:
                os.kill(os.getpid(), signal.SIGKILL)

        def connected(self: Any) -> Any:
            client: Any = connect(self)
            client.meta.events.register("before-send.s3", before_send)
            client.meta.events.register("after-call.s3", after_call)
            return client

        S3Hook.get_conn = connected

    return f"{'after' if after else 'before'} S3 request {number}", prepare


class Rounds:
    """Rounds on one partition, one run after the other, under the eyes of one reader."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.seed = seed
        self.random = Random(f"{seed}")  # noqa: S311 - must be repeatable, not secret
        settings = Settings.of(seed, self.random)
        self.task: Task = world.task(settings.contacts, **settings.parameters)
        self.by_manifest = "rows_per_file" in settings.parameters
        self.legal: list[str] = []
        self.undisturbed = 0.0

    def play(self, number: int) -> None:
        """Play all rounds; an error names seed and round."""
        world, task = self.world, self.task
        world.vendor.configure(latency=0.002)
        with Reader(world, task, by_manifest=self.by_manifest) as reader:
            outcome = task.run()
            assert outcome.kind == "success", outcome
            self.undisturbed = outcome.seconds
            self.legal = [digest(world.vendor.ids(task.list_id))]
            for turn in range(number):
                where = f"KORE_KILL_SEED={self.seed}, round {turn} ({task.parameters})"
                try:
                    self._round(reader)
                except AssertionError as wrong:
                    raise AssertionError(f"{where}, deaths {task.deaths}: {wrong}") from wrong
            self._check_seen(reader.news())
            assert reader.polls > number / 2, "the reader hardly looked"

    def _round(self, reader: Reader) -> None:
        task, random = self.task, self.random
        self._change_list()
        task.new_run()
        self.legal = [*self.legal[-1:], digest(self.world.vendor.ids(task.list_id))]
        for _ in range(random.choice([1, 1, 1, 2, MOST_DEATHS])):
            attempt = self._die()
            outcome = attempt.wait()
            assert outcome.kind != "error", f"{outcome}\n{attempt.log()}"
            if outcome.kind == "success":
                break
            self._check_seen(reader.news())
        else:
            attempt = task.start()
            outcome = attempt.wait()
            assert outcome.kind == "success", f"{outcome}\n{attempt.log()}"
        task.check()
        assert outcome.summary["contacts"] == len(task.landed())
        deaths = task.tries - 1
        if deaths:
            record_death("kill -9", task.check_repeated(deaths=deaths) / deaths)
        self._check_seen(reader.news())

    def _change_list(self) -> None:
        vendor, task, random = self.world.vendor, self.task, self.random
        how = random.choice(["append", "insert", "remove", "nothing"])
        if how in {"append", "insert"}:
            vendor.change(task.list_id, how, n=random.randrange(1, 2 * PAGE))
        elif how == "remove":
            vendor.change(task.list_id, how, index=random.randrange(200), n=random.randrange(1, 2 * PAGE))

    def _die(self) -> Attempt:
        """Start a try and kill it, at the moment that the seed chooses."""
        task, random = self.task, self.random
        kind = random.choice(["time", "time", "pages", "chunk", "request", "request"])
        prepare = None
        if kind == "time":
            seconds = random.uniform(0.0, 1.1) * self.undisturbed
            how = f"after {seconds:.3f} s"
        elif kind == "pages":
            pages = self.world.vendor.pages() + random.randrange(1, 26)
            how = f"after {pages} pages"
        elif kind == "chunk":
            chunks = random.randrange(1, 5)
            how = f"at chunk {chunks}"
        else:
            how, prepare = die_by_request(random)
        task.deaths.append(how)
        attempt = task.start(prepare=prepare)
        if attempt.wait_for("begin") is None or kind == "request":
            return attempt
        if kind == "time":
            time.sleep(seconds)
        while kind == "pages" and self.world.vendor.pages() < pages and attempt.is_running():
            time.sleep(LOOK_SECONDS)
        while kind == "chunk" and len(task.staged()) < chunks and attempt.is_running():
            time.sleep(LOOK_SECONDS)
        attempt.kill()
        return attempt

    def _check_seen(self, news: list[Seen]) -> None:
        """What the reader saw is the old list or the new one, and never the old one again."""
        for seen in news:
            assert seen.digest in self.legal, f"the reader saw {seen.rows} contacts that were never a snapshot"
            if len(set(self.legal)) > 1 and seen.digest == self.legal[-1]:
                self.legal = self.legal[-1:]
