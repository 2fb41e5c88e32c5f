"""The largest page that a server serves well is found on the walk's own pages, and proves no less than a small one."""

from __future__ import annotations

import json
import threading
import time
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest
from clocks import StoppedClock
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from landing import Landing, client_of, config_of
from paged_server import Glitch, Habits, PagedServer, names
from test_pagination import GLITCHES, beyond_proof, habits_within

from airflow_provider_kore.api.client import MOST_IN_FLIGHT, CampaignClient
from airflow_provider_kore.api.retry import RetryPolicy
from airflow_provider_kore.api.transport import LARGEST_BODY, RequestsTransport, TooLargeError
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import ContractError, KoreError, UnreachableError
from airflow_provider_kore.walk.page_size import FIRST, MOST_TEXT, NOTHING, SOON, STEPS, Learned, PageSizes
from airflow_provider_kore.walk.pagination import OffsetPagination

if TYPE_CHECKING:
    from airflow_provider_kore.api.transport import HttpRequest, HttpResponse, Transport
    from airflow_provider_kore.simulator import Simulator

SMALL_STEPS = (1, 2, 4, 8, 16, 32)

habits = habits_within((1, 20), changed=12, contacts=40)
glitches = st.dictionaries(st.integers(0, 9), st.builds(Glitch, kind=st.sampled_from(GLITCHES)), max_size=1)
memories = st.builds(
    Learned, size=st.sampled_from([0, 1, 3, 4, 16, 32, 5000]), too_large=st.sampled_from([0, 2, 4, 8, 32])
)


def adaptive(remembered: Learned = NOTHING, known: Learned = NOTHING, **options: Any) -> OffsetPagination:
    progress = options.get("progress")
    sizes = PageSizes(progress.learned if progress else Learned(), remembered, known, first=2, steps=SMALL_STEPS)
    return OffsetPagination(sizes=sizes, **options)


# --- The proof is the same -------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(n=st.integers(0, 70), server=habits, glitches=glitches, remembered=memories, known=memories)
@example(n=30, server=Habits(max_limit=4, too_large="lie", total="missing", has_more="missing"), glitches={},
         remembered=Learned(), known=Learned())  # fmt: skip
@example(n=30, server=Habits(max_limit=4, too_large="lie", total="missing", has_more="missing"),
         glitches={4: Glitch(kind="empty")}, remembered=Learned(), known=Learned())  # fmt: skip
@example(n=30, server=Habits(max_limit=20, changed_limit=3, changed_from=6), glitches={}, remembered=Learned(16),
         known=Learned())  # fmt: skip
def test_a_walk_whose_pages_grow_is_the_whole_list_or_an_error(
    n: int, server: Habits, glitches: dict[int, Glitch], remembered: Learned, known: Learned
) -> None:
    if beyond_proof(n, server, glitches):
        return
    model = PagedServer(names(n), server, glitches)
    try:
        found = model.walk(adaptive(remembered, known), at_most=3 * (n + 10))
    except KoreError:
        return
    assert found == names(n)


@pytest.mark.parametrize("total", ["missing", "null"])
def test_a_page_that_is_short_of_a_size_that_no_page_had_is_no_end(total: str) -> None:
    """Full at 2 and at 4; asked for 8, the server gives 4 and echoes 8; and the page after that is empty by mistake."""
    server = Habits(max_limit=4, too_large="lie", total=total, has_more="missing")
    model = PagedServer(names(30), server, {3: Glitch(kind="empty")})
    assert model.walk(adaptive()) == names(30)
    assert [request.limit for request in model.requests[:3]] == [2, 4, 8]


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(n=st.integers(1, 70), server=habits, stop_after=st.integers(1, 40), remembered=memories)
def test_a_walk_whose_pages_grow_continues_in_another_process(
    n: int, server: Habits, stop_after: int, remembered: Learned
) -> None:
    if beyond_proof(n, server, {1: Glitch(kind="done")}):
        return
    model, first = PagedServer(names(n), server), adaptive(remembered)
    found: list[str] = []
    try:
        while len(found) < stop_after and (request := first.next) is not None:
            answer = model.answer(request)
            if answer is None:
                first.refuse_limit()
                continue
            page = first.accept(answer)
            found += page.records.ids if page else []
        ids = OffsetPagination().ids
        ids.add_all(found)
        found += model.walk(adaptive(remembered, progress=first.progress, ids=ids), at_most=6 * (n + 10))
    except KoreError:
        return
    assert found == names(n)


# --- What it costs ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(1, 6_000),
    largest=st.sampled_from([*STEPS, 70, 150, 300, 1234]),
    total=st.sampled_from(["list", "missing"]),
)
def test_a_server_that_clamps_costs_no_request_and_is_read_in_its_largest_pages(
    n: int, largest: int, total: str
) -> None:
    server = PagedServer(names(n), Habits(max_limit=largest, total=total))
    assert server.walk() == names(n)
    plain = PagedServer(names(n), Habits(max_limit=largest, total=total))
    plain.walk(OffsetPagination(page_size=min(largest, FIRST)))
    assert len(server.requests) <= len(plain.requests)  # never more than without
    assert len(server.requests) <= ceil(n / largest) + 6  # the steps to it, and the page after the last


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(n=st.integers(1, 6_000), largest=st.sampled_from([50, 70, 100, 150, 200, 300, 500, 999, 1000]))
def test_a_server_that_refuses_costs_one_request(n: int, largest: int) -> None:
    server = PagedServer(names(n), Habits(max_limit=largest, default_limit=50, too_large="refuse"))
    assert server.walk() == names(n)
    plain = PagedServer(names(n), Habits(max_limit=largest, default_limit=50))
    plain.walk(OffsetPagination(page_size=FIRST if largest >= FIRST else 50))
    served = max([50, *(step for step in STEPS if FIRST <= step <= largest)])
    assert len(server.requests) <= len(plain.requests) + 1
    assert len(server.requests) <= ceil(n / served) + 5


def test_a_walk_begins_where_the_last_one_ended() -> None:
    server = PagedServer(names(10_000), Habits(max_limit=1000))
    pagination = OffsetPagination()
    server.walk(pagination)
    assert [request.limit for request in server.requests[:5]] == [100, 200, 500, 1000, 2000]
    learned = pagination.progress.learned
    assert learned == Learned(1000)
    again = PagedServer(names(10_000), Habits(max_limit=1000))
    again.walk(OffsetPagination(sizes=PageSizes(remembered=learned)))
    assert len(again.requests) == 10


def test_what_was_refused_is_asked_for_again_only_where_that_is_worth_it() -> None:
    for n, asked in ((9_000, False), (110_000, True)):
        server = PagedServer(names(n), Habits(max_limit=500, too_large="refuse"))
        server.walk(OffsetPagination(sizes=PageSizes(remembered=Learned(500, 1000))))
        assert (1000 in [request.limit for request in server.requests]) is asked
        assert len(server.requests) == ceil(n / 500) + asked


@pytest.mark.parametrize("n", [1, 99, 100, 101, 200, 201])
def test_a_short_list_is_no_place_to_try_anything(n: int) -> None:
    server = PagedServer(names(n), Habits(max_limit=5000))
    server.walk()
    assert {request.limit for request in server.requests} == {FIRST}


def test_a_named_size_is_that_size_and_no_limit_is_none() -> None:
    server = PagedServer(names(3000), Habits(max_limit=5000, default_limit=50))
    server.walk(OffsetPagination(page_size=70))
    assert {request.limit for request in server.requests} == {70}
    server = PagedServer(names(3000), Habits(max_limit=5000, default_limit=50))
    server.walk(OffsetPagination(page_size=0))
    assert {request.limit for request in server.requests} == {None}


@pytest.mark.parametrize("word", ["server", " Server "])
def test_a_connection_may_say_that_no_limit_is_sent(kore: Simulator, word: str) -> None:
    fill(kore, 120, default_limit=30, max_limit=1000)
    assert len(read(kore, client_of(kore, page_size=word))) == 120
    assert limits(kore) == [None] * 4


# --- What a page may not be -------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    characters=st.integers(50, 60_000),
    least=st.floats(0.0, 3.0),
    per_row=st.floats(0.0, 0.1),
    pace=st.sampled_from([0.0, 0.2, 1.0]),
)
def test_no_page_is_tried_that_may_be_too_large_or_too_slow(
    characters: int, least: float, per_row: float, pace: float
) -> None:
    sizes, left, seconds = PageSizes(slowest=7.5, pace=pace), 200_000, least + per_row * FIRST
    while left > 0:
        if sizes.trial:
            assert sizes.trial * characters <= MOST_TEXT
            assert seconds * sizes.trial / sizes.size <= 7.5
        rows = min(sizes.asked, left)
        left, seconds = left - rows, least + per_row * rows
        sizes.note(rows, characters * rows, sizes.asked, left=left, seconds=seconds)
    served = FIRST / max(least + per_row * FIRST, pace, SOON)
    assert sizes.size / max(least + per_row * sizes.size, pace, SOON) >= 0.9 * served


def test_a_page_that_is_slower_twice_is_not_asked_for_again() -> None:
    sizes = PageSizes()
    asked = []
    for left in range(100_000, 90_000, -500):
        asked.append(sizes.asked)
        sizes.note(sizes.asked, 1000, sizes.asked, left=left, seconds=(sizes.asked / 100) ** 2)
    assert asked[:3] == [100, 200, 200]
    assert set(asked[3:]) == {100}
    assert sizes.learned == Learned(100, 200)


def test_a_page_that_is_slower_once_may_be_chance() -> None:
    sizes, hiccups = PageSizes(), iter([1.0, 9.0, 1.0, 1.0, 1.0])
    asked = []
    for seconds in hiccups:
        asked.append(sizes.asked)
        sizes.note(sizes.asked, 1000, sizes.asked, left=100_000, seconds=seconds)
    assert asked == [100, 200, 200, 500, 1000]


def test_a_page_within_the_pace_of_the_allowance_is_not_slower() -> None:
    sizes = PageSizes(pace=1.0)
    sizes.note(100, 1000, 100, left=100_000, seconds=0.05)
    sizes.note(200, 1000, 200, left=100_000, seconds=0.9)
    assert (sizes.size, sizes.trial) == (200, 500)


@pytest.mark.parametrize(
    "told",
    [
        {"page_size": 10**6}, {"page_size": -5}, {"page_size": 1}, {"page_size": "500"}, {"page_size": True},
        {"page_size": 500.0}, {"page_size": [500]}, {"page_size": None, "page_size_too_large": 10**30}, {},
    ],
)  # fmt: skip
def test_what_others_may_have_written_is_within_bounds_or_nothing(told: dict[str, Any]) -> None:
    assert Learned.of(told) == Learned()


@given(told=st.dictionaries(st.sampled_from(["page_size", "page_size_too_large"]), st.integers(-10, 10**7)))
def test_nothing_that_is_remembered_makes_pages_small_or_huge(told: dict[str, Any]) -> None:
    learned = Learned.of(told)
    assert learned.size == 0 or FIRST <= learned.size <= STEPS[-1]
    assert learned.too_large == 0 or FIRST <= learned.size < learned.too_large or learned.size == 0
    sizes = PageSizes(remembered=learned)
    assert sizes.size == FIRST
    assert FIRST <= sizes.asked <= STEPS[-1]


# --- Over real HTTP ---------------------------------------------------------------------------------------------------


def fill(kore: Simulator, n: int = 5_000, **given: Any) -> None:
    kore.configure(**given)
    kore.add_list("cl-1", contacts=n)


def limits(kore: Simulator) -> list[int | None]:
    return [request.limit for request in kore.requests if request.endpoint == "contacts"]


def read(kore: Simulator, client: CampaignClient | None = None, list_id: str = "cl-1", **extra: Any) -> list[str]:
    client = client or client_of(kore, in_flight=MOST_IN_FLIGHT, **extra)
    return [each for page in client.iter_contact_pages(list_id) for each in page.records.ids]


@pytest.mark.parametrize("handling", ["clamp", "reject_400", "reject_412"])
@pytest.mark.parametrize("largest", [50, 100, 500, 1000])
def test_every_server_is_read_exactly_in_few_requests(kore: Simulator, handling: str, largest: int) -> None:
    fill(kore, 5_000, limit_handling=handling, max_limit=largest)
    assert read(kore) == [contact["_id"] for contact in kore.contacts("cl-1")]
    assert len(limits(kore)) <= 5_000 / largest + 4


@pytest.mark.slow
def test_pages_that_are_read_ahead_have_the_size_that_was_found(kore: Simulator) -> None:
    fill(kore, 40_000, max_limit=1000, latency=0.01)
    client = client_of(kore, in_flight=MOST_IN_FLIGHT)
    assert len(read(kore, client)) == 40_000
    assert limits(kore)[:4] == [100, 200, 500, 1000]
    assert len(limits(kore)) <= 43
    assert client.spent.requests == len(limits(kore)) + 2  # the looks at updatedAt: none was asked for twice


@pytest.mark.slow
def test_another_list_of_the_same_client_skips_the_steps(kore: Simulator) -> None:
    fill(kore, 4_000, limit_handling="reject_400", max_limit=1000)
    kore.add_list("cl-2", contacts=4_000)
    client = client_of(kore)
    read(kore, client)
    assert 2000 not in limits(kore)  # it would save one request
    kore.forget_requests()
    assert len(read(kore, client, "cl-2")) == 4_000
    assert limits(kore) == [100, 1000, 1000, 1000, 1000]


def test_a_refusal_is_met_once_for_all_lists_of_a_client(kore: Simulator) -> None:
    fill(kore, 2_000, limit_handling="reject_412", max_limit=100)
    kore.add_list("cl-2", contacts=2_000)
    client = client_of(kore)
    for list_id in ("cl-1", "cl-2"):
        assert len(read(kore, client, list_id)) == 2_000
    assert limits(kore).count(200) == 1
    assert len(limits(kore)) == 41


@pytest.mark.parametrize("handling", ["reject_any", "reject_412"])
def test_a_server_that_refuses_even_the_first_size_is_asked_for_no_other_list_with_a_limit(
    kore: Simulator, handling: str
) -> None:
    fill(kore, 120, limit_handling=handling, max_limit=50)
    kore.add_list("cl-2", contacts=120)
    client = client_of(kore)
    for list_id in ("cl-1", "cl-2"):
        assert len(read(kore, client, list_id)) == 120
    assert limits(kore) == [FIRST, *[None] * 6]


def test_a_large_page_that_times_out_costs_two_tries_and_no_snapshot(kore: Simulator) -> None:
    """A gateway that gives up on slow answers: 200 rows take too long for the connection's patience, 100 do not."""
    fill(kore, 1_000, max_limit=1000)
    clock = StoppedClock(time.time())
    inner = client_of(kore)._sender._transport

    class Gateway:
        def send(self, request: HttpRequest) -> HttpResponse:
            if int(request.query.get("limit", 0)) > FIRST:
                clock.now += 30
                raise late()
            return inner.send(request)

        def close(self) -> None:
            inner.close()

    client = CampaignClient(
        config_of(kore.connection), clock=clock, transport=Gateway(), retry=RetryPolicy(first_delay=0.0)
    )
    found = [each for page in client.iter_pages(_call(), client.pagination(_call())) for each in page.records.ids]
    assert len(found) == 1_000
    assert client.spent.requests == 12


def late() -> UnreachableError:
    error = UnreachableError("the server did not finish its answer")
    error.timed_out = True
    return error


def _call() -> Any:
    from airflow_provider_kore.api.calls import contacts_of

    return contacts_of("cl-1")


@pytest.mark.parametrize("fault", ["server_error", "truncated_body", "reset_after_headers"])
def test_one_failure_of_a_larger_page_does_not_keep_pages_small(kore: Simulator, fault: str) -> None:
    fill(kore, 10_000, max_limit=1000)
    with kore.fault(fault, after_requests=2, times=1) as armed:
        assert len(read(kore)) == 10_000
    assert armed.fired == 1
    assert len(limits(kore)) <= 15


def test_rows_that_are_long_do_not_get_larger_pages(kore: Simulator) -> None:
    kore.configure(max_limit=5000)
    kore.add_list("cl-1", contacts=600, columns={"note": "x" * 12_000})
    assert len(read(kore)) == 600
    assert set(limits(kore)) == {FIRST}


@pytest.mark.slow
def test_rows_that_become_long_are_read_in_smaller_pages(kore: Simulator) -> None:
    kore.configure(max_limit=5000)
    contacts: list[dict[str, Any]] = [{"_id": f"cc-{number:06d}", "phoneNumber": "1"} for number in range(3_000)]
    contacts += [
        {"_id": f"cc-{number:06d}", "phoneNumber": "1", "note": "x" * 200_000} for number in range(3_000, 3_150)
    ]
    kore.add_list("cl-1", contacts=contacts)
    client = client_of(kore, in_flight=MOST_IN_FLIGHT)
    assert read(kore, client) == [contact["_id"] for contact in kore.contacts("cl-1")]
    assert client._sender.largest <= LARGEST_BODY


def test_a_server_whose_answers_grow_with_the_page_is_not_asked_for_more(kore: Simulator) -> None:
    """Each row takes 1 ms, and the time-out is 0.6 s: 200 rows would be beyond its quarter."""
    fill(kore, 500, max_limit=1000, row_latency=0.001)
    assert len(read(kore, client_of(kore, timeout=0.6))) == 500
    assert set(limits(kore)) == {FIRST}


# --- Remembered with the snapshot -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_next_snapshot_of_a_list_begins_where_the_last_one_ended(kore: Simulator) -> None:
    fill(kore, 20_000, max_limit=1000)
    landing = Landing(kore)
    first = landing.take(snapshot_date="2026-01-01")
    assert first.content["walk"]["page_size"] == 1000
    kore.forget_requests()
    second = landing.take(snapshot_date="2026-01-02")
    assert limits(kore)[0] == 1000
    assert len(limits(kore)) == 20
    assert second.content["walk"]["page_size"] == 1000
    assert second.rows == first.rows == 20_000
    assert second.consistent


@pytest.mark.parametrize(
    ("size", "handling"),
    [
        *((size, handling) for size in (10**6, 5000) for handling in ("clamp", "reject_412", "honour")),
        *((size, "honour") for size in (-1, "1000", None, True, {}, 10**40)),
    ],
)
def test_a_manifest_that_was_edited_by_hand_costs_a_request_at_most(kore: Simulator, size: Any, handling: str) -> None:
    fill(kore, 700, max_limit=100, limit_handling=handling)
    landing = Landing(kore)
    landing.take(snapshot_date="2026-01-01")
    (key,) = [key for key in landing.store.bodies() if key.endswith("_manifest.json")]
    content = json.loads(landing.store.bodies()[key])
    content["walk"] |= {"page_size": size, "page_size_too_large": size}
    landing.store.put(key, json.dumps(content).encode(), content_type="application/json")
    kore.forget_requests()
    manifest = landing.take(snapshot_date="2026-01-02")
    assert manifest.rows == 700
    assert manifest.consistent
    assert len(limits(kore)) <= 9
    assert max(limit or 0 for limit in limits(kore)) <= 5000


# --- A page size of a million -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("handling", ["clamp", "ignore", "reject_400", "reject_412", "reject_any"])
def test_a_page_size_of_a_million_is_the_servers_to_cut(kore: Simulator, handling: str) -> None:
    fill(kore, 700, limit_handling=handling)
    assert len(read(kore, client_of(kore, page_size=1_000_000))) == 700
    assert len(limits(kore)) <= 15


@pytest.mark.slow
def test_a_page_size_of_a_million_that_is_honoured_is_one_clear_error(kore: Simulator) -> None:
    fill(kore, 60_000, limit_handling="honour")
    with pytest.raises(ContractError, match="page_size") as caught:
        read(kore, client_of(kore, page_size=1_000_000))
    assert isinstance(caught.value, TooLargeError)


# --- The pace of an allowance that is spread evenly -------------------------------------------------------------------


class Overlapping:
    """The real transport; it notes how many requests are under way."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def send(self, request: HttpRequest) -> HttpResponse:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            return self._inner.send(request)
        finally:
            with self._lock:
                self._now -= 1

    def close(self) -> None:
        self._inner.close()


@pytest.mark.slow
def test_an_answer_that_takes_long_does_not_set_the_pace(kore: Simulator) -> None:
    """40 starts a second are allowed, and an answer takes 0.4 s: 16 are under way where nothing else is slow."""
    fill(kore, 3_200, latency=0.4)
    config, clock = config_of(kore.connection, requests_per_minute=2400, even_pacing=True), SystemClock()
    transport = Overlapping(RequestsTransport(config, clock, connections=MOST_IN_FLIGHT))
    client = CampaignClient(config, clock=clock, transport=transport, in_flight=MOST_IN_FLIGHT)
    assert len(read(kore, client)) == 3_200
    assert transport.most >= 4
    assert client.spent.requests == 66  # none is asked for twice


@pytest.mark.parametrize(("latency", "most"), [(0.1, 4), (2.0, 4), (10.0, 12), (25.0, 27), (60.0, 32)])
def test_as_many_requests_may_be_under_way_as_start_while_one_is_answered(
    kore: Simulator, latency: float, most: int
) -> None:
    client = client_of(kore, in_flight=MOST_IN_FLIGHT, requests_per_minute=60)
    client._sender.latency = latency
    assert client._reader._most_in_flight == most


@pytest.mark.slow
def test_even_pacing_sends_nothing_before_its_time(kore: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(kore, 1_500, latency=0.1)
    client = client_of(kore, SystemClock(), in_flight=MOST_IN_FLIGHT, requests_per_minute=2400, even_pacing=True)
    starts: list[float] = []
    book = client.allowance.book

    def noted() -> float:
        wait = book()
        if wait == 0:
            starts.append(client.allowance._last_start)
        return wait

    monkeypatch.setattr(client.allowance, "book", noted)
    read(kore, client)
    assert len(starts) == 32
    assert all(after - before >= 60 / 2400 for before, after in pairwise(starts))
