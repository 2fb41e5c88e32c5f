"""What the log says of a walk is true: never a rate above the allowance, never one thing in the plural."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_world import FakeClock

from airflow_provider_kore.api.allowance import Allowance
from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.quoting import count
from airflow_provider_kore.snapshot.progress import ProgressLog, about
from airflow_provider_kore.walk.cost import Spent
from airflow_provider_kore.walk.page import NO_RECORDS, Page

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = ContactListSource(contact_list_id="cl-1")


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@pytest.fixture
def lines() -> Iterator[list[str]]:
    log = logging.getLogger("airflow_provider_kore.snapshot.progress")
    handler, level = Lines(), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler.said
    log.removeHandler(handler)
    log.setLevel(level)


def walk(limit: int, latencies: list[float], pages: int, *, total: int | None = 1_000_000) -> None:
    """Walk as fast as an allowance lets one, with answers that take so long."""
    clock = FakeClock()
    allowance = Allowance.per_minute_and_hour(limit, 0, clock)
    client: Any = SimpleNamespace(allowance=allowance, spent=Spent())
    progress = ProgressLog(SOURCE.dataset, client, clock)
    for page in range(pages):
        while (wait := allowance.book()) > 0:
            clock.sleep(wait)
        client.spent += Spent(requests=1)
        clock.sleep(latencies[page % len(latencies)])
        allowance.settle()
        progress.page(SOURCE.dataset, Page(records=NO_RECORDS, offset=50 * page, end=50 * (page + 1), total=total))


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    limit=st.integers(min_value=2, max_value=300),
    latencies=st.lists(st.floats(min_value=0.001, max_value=20.0), min_size=1, max_size=5),
)
def test_the_log_never_tells_of_more_requests_than_the_allowance_has(
    lines: list[str], limit: int, latencies: list[float]
) -> None:
    lines.clear()
    walk(limit, latencies, 3 * limit)
    told = [re.search(r"([\d,]+) requests? in (the last minute|(\d+) s)", line) for line in lines]
    numbers = [(int(found[1].replace(",", "")), found[3]) for found in told if found]
    assert all(number <= limit for number, _ in numbers)
    assert all(seconds is None or int(seconds) <= 60 for _, seconds in numbers)


def test_a_line_says_how_far_how_fast_and_how_long(lines: list[str]) -> None:
    walk(60, [0.4], 130)
    assert (
        lines[0]
        == "Contact list cl-1: 1,000,000 contacts, 50 per page, 60 requests a minute: about 5 h 33 min or more."
    )
    assert re.fullmatch(
        r"[\d,]+ of 1,000,000 contacts \(0 %\), \d+ requests in 10 s, 0 retries, about .* left\.", lines[1]
    )
    assert "requests in the last minute" in lines[-1]


def test_what_nobody_can_know_is_not_said(lines: list[str]) -> None:
    walk(100_000, [0.4], 2)
    assert lines == ["Contact list cl-1: 1,000,000 contacts, 50 per page, 100,000 requests a minute."]


@pytest.mark.parametrize(("seconds", "said"), [(59, "less than a minute"), (61, "about 1 min"), (3_590, "about 1 h")])
def test_a_length_of_time_is_said_as_a_person_would(seconds: float, said: str) -> None:
    assert about(seconds) == said


@given(number=st.integers(min_value=0, max_value=10**9))
def test_one_thing_is_one_thing(number: int) -> None:
    said = count(number, "retry", "retries")
    assert said == f"{number:,} {'retry' if number == 1 else 'retries'}"
    assert count(number, "page").endswith("page") == (number == 1)
