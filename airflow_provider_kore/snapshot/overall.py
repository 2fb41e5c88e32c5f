"""What a person reads in the log of a task that takes many snapshots: how far all of them are together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_kore.quoting import count
from airflow_provider_kore.snapshot.progress import MINUTE, Checkpoint, ProgressLog, about

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.snapshot.phases import Teller
    from airflow_provider_kore.walk.page import Page
    from airflow_provider_kore.walk.reader import Meter
    from airflow_provider_kore.walk.source import Dataset, Source, Sources

log = logging.getLogger(__name__)


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
