"""What a person reads in the task's log while a walk goes on, or many: how far, how fast, how long."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final

from airflow_provider_kore.exceptions import PausedError, StoppedError
from airflow_provider_kore.quoting import count
from airflow_provider_kore.snapshot.phases import Teller

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.snapshot.checkpoints import Note
    from airflow_provider_kore.snapshot.phases import Phase
    from airflow_provider_kore.walk.page import Page
    from airflow_provider_kore.walk.reader import Meter
    from airflow_provider_kore.walk.source import Dataset, Source, Sources

log = logging.getLogger(__name__)

EVERY: Final = 10.0
"""Seconds between two lines in the first minute."""

MINUTE: Final = 60.0

_SAMPLED_EVERY: Final = 1.0

LATER_EVERY: Final = 25.0
"""Seconds between two lines after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint that was just written, for what shows progress elsewhere than in the log."""

    rows: int
    """How many are safe: a retry continues after them."""
    total: int | None
    """How many there are, as the server tells; None: it doesn't."""
    location: str
    """``s3://…/``: where this run's checkpoints lie."""


class ProgressLog:
    """One line now and then; never one per page.

    :param teller: says what goes on while no page comes.
    """

    level: ClassVar = logging.INFO
    """Of what is said of the beginning of one walk."""

    def __init__(self, dataset: Dataset, client: Meter, clock: Clock, teller: Teller | None = None) -> None:
        self._dataset = dataset
        self._client = client
        self._clock = clock
        self._allowance = client.allowance
        self._began = clock.monotonic()
        self._last = self._began
        self._first_offset = 0
        self._first_total: int | None = None
        self._announced = False
        self._teller = teller or Teller(clock)
        self._waiting: Phase | None = None
        self._spent: deque[tuple[float, int]] = deque([(self._began, client.spent.requests)])
        """Of the last minute: when, and how many requests had been sent by then."""

    @contextmanager
    def waiting(self, dataset: Dataset) -> Iterator[None]:
        """Read pages until the end of the block; a line tells if one takes long."""
        what = f"waiting for an answer about {dataset.title}"
        with self._teller.phase(what, f"{dataset.rows} read") as phase:
            before, self._waiting = self._waiting, phase
            try:
                yield
            finally:
                self._waiting = before

    def resumed(self, dataset: Dataset, offset: int, note: Note, try_number: int) -> None:
        """Say that a walk continues, and where; and of the try that was here before, how it ended.

        :param note: of the checkpoint that it continues.
        :param try_number: of this try.
        """
        self._first_offset = offset
        title, row, where = dataset.title, dataset.row, f"{offset:,}"
        log.log(self.level, "Resuming %s after %s %s, which earlier tries have staged.", title, row, where)
        if not (note.ended == PausedError.__name__ and note.try_number == try_number):
            who = "An earlier process of this try" if note.try_number == try_number else f"Try {note.try_number}"
            at = f"{datetime.fromtimestamp(note.written, UTC):%Y-%m-%d %H:%M:%S}"
            log.log(self.level, "%s wrote the last checkpoint at %s UTC, and %s.", who, at, _end(note.ended))

    def built_on(self, dataset: Dataset, date: str, rows: int) -> None:
        """Say that the last snapshot is built on.

        :param date: of that one.
        :param rows: how many it holds.
        """
        self._first_offset = rows
        held, name = dataset.count(rows), dataset.name
        log.log(self.level, "Building on the snapshot of %s, which holds %s of %s.", date, held, name)

    def page(self, dataset: Dataset, page: Page) -> None:  # noqa: ARG002  # there is one
        """Note a page."""
        now = self._clock.monotonic()
        if self._waiting is not None:
            self._waiting.begin_again(now, page.end, page.total)
        if self._first_total is None:
            self._first_total = page.total
        if not self._announced and not page.grows:  # until then it is too early to say how long the walk takes
            self._announced = True
            self._announce(page)
        self._say(now, lambda: self._reached(page), lambda: self._left(page, now))

    def _say(self, now: float, reached: Callable[[], str], left: Callable[[], list[str]]) -> None:
        """Write a line, if it is time to: how far it is, how fast it goes, and how long it will."""
        pace = self._pace(now)
        if now - self._last >= (EVERY if now - self._began <= MINUTE else LATER_EVERY):
            self._last = now
            self._teller.told()
            retries = count(self._client.spent.retries, "retry", "retries")
            log.info("%s.", ", ".join([reached(), pace, retries, *left()]))
        self._teller.look()

    def _reached(self, page: Page) -> str:
        if page.total is None:
            return self._dataset.count(page.end)
        grown = 0 if self._first_total is None else page.total - self._first_total
        growth = f"; {grown:+,} since the walk began" if grown else ""
        share = 100 * page.end // max(page.total, 1)
        return f"{page.end:,} of {self._dataset.count(page.total)} ({share} %{growth})"

    def _left(self, page: Page, now: float) -> list[str]:
        if page.total is None:
            return []
        rows, speed = page.total - page.end, (page.end - self._first_offset) / (now - self._began)
        seconds = self._allowance.shortest_time(_pages(rows, page))
        return [f"{about(max(rows / speed if speed > 0 else 0.0, seconds))} left"]

    def _pace(self, now: float) -> str:
        """Say how many requests have been sent in the last minute, as the allowance counts them."""
        spent, sent = self._spent, self._client.spent.requests
        if now - spent[-1][0] >= _SAMPLED_EVERY:
            spent.append((now, sent))
        while len(spent) > 1 and now - spent[0][0] > MINUTE:
            spent.popleft()
        since, before = spent[0]
        seconds = now - since
        over = "the last minute" if now - self._began >= MINUTE else f"{seconds:.0f} s"
        return f"{count(sent - before, 'request')} in {over}"

    def _announce(self, page: Page) -> None:
        length, per_page, least = "length unknown", self._dataset.count(page.end - page.offset), ""
        if page.total is not None:
            length, per_page = self._dataset.count(page.total), f"{page.end - page.offset:,}"
            # The list is looked at before and after; what each request takes comes on top.
            seconds = self._allowance.shortest_time(_pages(page.total - page.end, page) + 3)
            least = f": {about(seconds)} or more" if seconds >= MINUTE else ""
        log.info("%s: %s, %s per page, %s%s.", self._dataset.headline, length, per_page, self._allowance, least)


def _end(ended: str | None) -> str:
    """Say how a try ended, as far as its last checkpoint tells."""
    if ended is None:
        return (
            "nothing about its end: read the end of its own log; where that breaks off without an error, its process, "
            "its worker or its supervisor died"
        )
    if ended == StoppedError.__name__:
        return (
            "was stopped from outside (StoppedError): marked, cleared or out of time, or its supervisor or the API "
            "server was lost"
        )
    return f"ended in {ended}"


def _pages(rows: int, page: Page) -> int:
    """Return how many pages of this length hold so many rows."""
    return -(-rows // max(page.end - page.offset, 1))


def about(seconds: float) -> str:
    """Say a length of time as a person would."""
    if seconds < MINUTE:
        return "less than a minute"
    hours, minutes = divmod(round(seconds / 60), 60)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    return f"about {' '.join(part for part in parts if part)}"


class OverallProgress(ProgressLog):
    """One line now and then about all sources; never one per page, nor an announcement for each.

    :param dataset: one of them: how its rows are called.
    :param location: ``s3://…``: of the table.
    :param on_checkpoint: called when one has landed; must not raise.
    """

    level: ClassVar = logging.DEBUG

    def __init__(
        self,
        dataset: Dataset,
        client: Meter,
        clock: Clock,
        *,
        teller: Teller,
        location: str,
        on_checkpoint: Callable[[Checkpoint], None] | None = None,
    ) -> None:
        super().__init__(dataset, client, clock, teller)
        self._location = location
        self._on_checkpoint = on_checkpoint
        self._expected: dict[str, int] = {}
        self._done: dict[str, int] = {}
        """By name: rows that there are, as far as is known, and that have been read."""
        self._waiting_names: set[str] = set()
        self._landed = 0
        self._rows = 0
        """Read by this try."""
        self._longest_page = 1

    def planned(self, sources: Sources, new: Collection[Source]) -> None:
        """Note sources that are going to be read."""
        for source in new:
            self._expected[source.dataset.name] = sources.expected(source)

    def announce(self) -> None:
        """Say what lies ahead."""
        rows, seconds = sum(self._expected.values()), self._allowance.shortest_time(len(self._expected))
        least = f": {about(seconds)} or more" if seconds >= MINUTE else ""
        said = f"{self._dataset.count(rows)}, as the catalogue says" if rows else "length unknown"
        log.info("%s: %s, %s%s.", count(len(self._expected), "contact list"), said, self._allowance, least)

    def page(self, dataset: Dataset, page: Page) -> None:
        """Note a page of one of them."""
        if self._waiting is not None:
            self._waiting.begin_again(self._clock.monotonic(), page.end, page.total)
        self._rows += page.end - page.offset
        self._longest_page = max(self._longest_page, page.end - page.offset)
        self._done[dataset.name] = page.end
        self._expected[dataset.name] = max(page.end, page.total or 0)
        self._tell()

    def waits(self, dataset: Dataset) -> None:
        """Note that one was read, and waits for the look after it."""
        self._waiting_names.add(dataset.name)

    def left(self, dataset: Dataset) -> None:
        """Note that one will not land."""
        self._waiting_names.discard(dataset.name)
        self._expected.pop(dataset.name, None)
        self._done.pop(dataset.name, None)

    def landed(self, dataset: Dataset, rows: int) -> None:
        """Note that one stands."""
        self._waiting_names.discard(dataset.name)
        self._landed += 1
        self._expected[dataset.name] = self._done[dataset.name] = rows
        if self._on_checkpoint is not None:
            total = sum(self._expected.values())
            self._on_checkpoint(Checkpoint(rows=sum(self._done.values()), total=total, location=self._location))
        self._tell()

    def _tell(self) -> None:
        now = self._clock.monotonic()
        self._say(now, self._how_far, lambda: [self._how_long(now)])

    def _how_far(self) -> str:
        done, total, waiting = sum(self._done.values()), sum(self._expected.values()), len(self._waiting_names)
        wait = f", {waiting:,} wait for the look after them" if waiting else ""
        lists = f"{self._landed:,} of {count(len(self._expected), 'contact list')} landed{wait}"
        return f"{lists}; {done:,} of {self._dataset.count(total)} ({100 * done // max(total, 1)} %)"

    def _how_long(self, now: float) -> str:
        left = {name: rows - self._done.get(name, 0) for name, rows in self._expected.items()}
        pages = sum(max(name not in self._done, -(-rows // self._longest_page)) for name, rows in left.items())
        speed = self._rows / max(now - self._began, 0.001)
        seconds = max(sum(left.values()) / speed if speed > 0 else 0.0, self._allowance.shortest_time(pages))
        return f"{about(seconds)} left"
