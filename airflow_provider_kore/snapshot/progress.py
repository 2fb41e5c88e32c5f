"""What a person reads in the task's log while a walk goes on: how far, how fast, how long."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.exceptions import PausedError, StoppedError
from airflow_provider_kore.snapshot.source import headline

if TYPE_CHECKING:
    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.snapshot.source import Source
    from airflow_provider_kore.snapshot.staging import WalkState

log = logging.getLogger(__name__)

EVERY: Final = 10.0
"""Seconds between two lines in the first minute."""

MINUTE: Final = 60.0

LATER_EVERY: Final = 30.0
"""Seconds between two lines after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint that was just written, for whoever shows progress elsewhere than in the log."""

    rows: int
    """How many are safe: a retry continues behind them."""
    total: int | None
    """How many there are, as the server tells; None: it doesn't."""
    location: str
    """``s3://…/``: where this run's checkpoints lie."""


class ProgressLog:
    """One line now and then; never one per page."""

    def __init__(self, source: Source, client: CampaignClient, clock: Clock) -> None:
        self._source = source
        self._client = client
        self._clock = clock
        self._allowance = client.allowance
        self._began = clock.monotonic()
        self._last = self._began
        self._first_offset = 0
        self._first_total: int | None = None
        self._announced = False

    def resumed(self, offset: int, state: WalkState, try_number: int) -> None:
        """Say that the walk continues, and where; and of the try that was here before, how it ended.

        :param state: of the checkpoint that it continues.
        :param try_number: of this try.
        """
        self._first_offset = offset
        log.info(
            "Resuming %s behind %s %s, which earlier tries have staged.",
            self._source.title,
            self._source.row,
            f"{offset:,}",
        )
        if state.written is not None and not (state.ended == PausedError.__name__ and state.try_number == try_number):
            who = "An earlier process of this try" if state.try_number == try_number else f"Try {state.try_number}"
            log.info(
                "%s wrote the last checkpoint at %s UTC, and %s.",
                who,
                f"{datetime.fromtimestamp(state.written, UTC):%Y-%m-%d %H:%M:%S}",
                _end(state.ended),
            )

    def page(self, offset: int, total: int | None, page_length: int) -> None:
        """Note a page that ends at ``offset``."""
        if not self._announced:
            self._announced = True
            self._first_total = total
            self._announce(offset, total, page_length)
        now = self._clock.monotonic()
        if now - self._last < (EVERY if now - self._began <= MINUTE else LATER_EVERY):
            return
        self._last = now
        elapsed = now - self._began
        speed = (offset - self._first_offset) / elapsed
        per_minute = 60.0 * self._client.spent.requests / elapsed
        if total is None:
            log.info(
                "%s %s, %.1f requests/min, %d retries.",
                f"{offset:,}",
                self._source.rows,
                per_minute,
                self._client.spent.retries,
            )
            return
        grown = total - (self._first_total or 0)
        log.info(
            "%s of %s %s (%d %%%s), %.1f requests/min, %d retries, %s left.",
            f"{offset:,}",
            f"{total:,}",
            self._source.rows,
            100 * offset // max(total, 1),
            f"; {grown:+,} since the walk began" if grown and self._first_total is not None else "",
            per_minute,
            self._client.spent.retries,
            about(
                max(
                    (total - offset) / speed if speed > 0 else 0.0,
                    self._allowance.shortest_time(_pages(total - offset, page_length)),
                )
            ),
        )

    def _announce(self, offset: int, total: int | None, page_length: int) -> None:
        if total is None:
            log.info(
                "%s: length unknown, %d %s per page, %s.",
                headline(self._source),
                page_length,
                self._source.rows,
                self._allowance,
            )
            return
        # The list is looked at before and after.
        seconds = self._allowance.shortest_time(_pages(total - offset, page_length) + 3)
        log.info(
            "%s: %s %s, %d per page, %s: %s.",
            headline(self._source),
            f"{total:,}",
            self._source.rows,
            page_length,
            self._allowance,
            about(seconds),
        )


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


def _pages(rows: int, page_length: int) -> int:
    return -(-rows // max(page_length, 1))


def about(seconds: float) -> str:
    """Say a length of time as a person would."""
    if seconds < MINUTE:
        return "less than a minute"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"about {hours} h {minutes} min" if hours else f"about {minutes} min"
