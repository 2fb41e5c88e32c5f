"""The walk is the whole list in its order, or a clear error, whatever the server's habits; and it always ends.

The model server has every habit that the vendor's pages leave open. A habit that lies about the end is found out by
another witness. What no client can find out is left out below, by name.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from paged_server import Glitch, Habits, PagedServer, names
from test_transport import config

from airflow_provider_kore.api.calls import contacts_of
from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.exceptions import DriftError, KoreError, PaginationError, ParameterError
from airflow_provider_kore.walk.ids import IdSet
from airflow_provider_kore.walk.page import PageAnswer, PageRequest, Record, Records
from airflow_provider_kore.walk.page_size import FIRST
from airflow_provider_kore.walk.pagination import ASK_AGAIN, OffsetPagination, Tolerance

TOO_LARGE = ("clamp", "lie", "refuse", "ignore")
SKIP = ("honour", "ignore", "ignore_unseen")
ECHO = ("right", "missing", "wrong")
TOTAL = ("list", "page", "missing", "null", "wrong", "string", "capped")
HAS_MORE = ("right", "missing", "always", "never", "string", "full_page")
GLITCHES = ("empty", "short", "repeat", "double", "first", "echo", "more", "done", "total")


def habits_within(limits: tuple[int, int], *, changed: int, contacts: int) -> st.SearchStrategy[Habits]:
    """Return servers whose largest page is within these limits, which may change to another one on the way.

    :param changed: the largest limit that it may change to.
    :param contacts: how many there may be before that.
    """
    return st.builds(
        Habits,
        max_limit=st.integers(*limits),
        default_limit=st.integers(limits[0], 6),
        too_large=st.sampled_from(TOO_LARGE),
        changed_limit=st.integers(0, changed),
        changed_from=st.integers(0, contacts),
        skip=st.sampled_from(SKIP),
        echo=st.sampled_from(ECHO),
        total=st.sampled_from(TOTAL),
        total_error=st.sampled_from([-3, -2, 2, 3]),
        total_cap=st.integers(3, contacts),
        has_more=st.sampled_from(HAS_MORE),
        nested=st.booleans(),
    )


habits = habits_within((2, 6), changed=4, contacts=12)
glitch = st.builds(Glitch, kind=st.sampled_from(GLITCHES))


def beyond_proof(n: int, server: Habits, glitches: dict[int, Glitch]) -> bool:
    """Whether so many witnesses agree on one lie that no client could tell.

    A limit that is echoed as asked although fewer are served makes every page look like the last. Then ``hasMore`` and
    the total are all that is left, and if both lie about the same page, that page is the end.
    """
    denies = server.has_more == "never" or any(each.kind in {"done", "empty"} for each in glitches.values())
    if server.too_large == "lie" and denies and server.total not in {"list", "string"}:
        return True
    if server.too_large == "lie" and server.changed_limit == 1 and glitches:
        return True  # the same for pages of one
    # A wrong total that ends where a page by mistake is empty or denies that there is more.
    if server.total in {"wrong", "capped"} and glitches and denies:
        return True
    if server.total == "wrong" and n + server.total_error <= 0:
        return True
    mistaken = {server.total_error} if server.total == "wrong" else set()
    mistaken |= {server.total_cap - n} if server.total == "capped" else set()
    lost = sum(each.amount for each in glitches.values() if each.kind == "short")
    moved = sum(1 for each in glitches.values() if each.kind == "total")
    return -lost in mistaken or (lost > 0 and moved > 0)


def most(n: int) -> int:
    """Return the requests that a walk takes at the very most: each page asked again, one contact per page."""
    return (ASK_AGAIN + 1) * (n + 4)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(n=st.integers(0, 17), server=habits, glitches=st.dictionaries(st.integers(0, 6), glitch, max_size=1))
@example(n=10, server=Habits(total="missing", has_more="missing"), glitches={1: Glitch(kind="empty")})
@example(n=10, server=Habits(total="page", has_more="missing"), glitches={1: Glitch(kind="empty")})
@example(n=7, server=Habits(total="page", has_more="missing"), glitches={0: Glitch(kind="empty")})
@example(n=12, server=Habits(total="capped", total_cap=10, has_more="never"), glitches={})
@example(n=7, server=Habits(skip="ignore_unseen", total="page"), glitches={3: Glitch(kind="empty")})
@example(n=2, server=Habits(changed_limit=1, total="page"), glitches={1: Glitch(kind="empty")})
@example(n=12, server=Habits(too_large="lie", total="capped", total_cap=10, has_more="missing"), glitches={})
def test_a_walk_is_the_whole_list_or_an_error(n: int, server: Habits, glitches: dict[int, Glitch]) -> None:
    if beyond_proof(n, server, glitches):
        return
    model = PagedServer(names(n), server, glitches)
    try:
        found = model.walk(at_most=most(n))
    except KoreError as err:
        assert_clear(err)
    else:
        assert found == names(n)


@pytest.mark.slow
def test_every_habit_by_itself_and_with_every_glitch_at_every_page() -> None:
    """Not a sample: all of them, at the lengths where pages end exactly and where they don't."""
    tried = 0
    for n in (0, 5, 12):
        for habit in every_habit():
            if habit.echo == "wrong" or habit.total == "null":
                continue  # an error at the first page; the same as missing
            for glitches in [{}, *({at: Glitch(kind=kind)} for at in range(3) for kind in GLITCHES)]:
                if beyond_proof(n, habit, glitches):
                    continue
                tried += 1
                try:
                    found = PagedServer(names(n), habit, glitches).walk(at_most=most(n))
                except KoreError:
                    continue
                assert found == names(n), (n, habit, glitches)
    assert tried > 10_000


def every_habit() -> list[Habits]:
    return [
        Habits(skip=skip, echo=echo, total=total, total_error=-2, has_more=has_more)
        for skip in SKIP
        for echo in ECHO
        for total in TOTAL
        for has_more in HAS_MORE
    ]


@pytest.mark.parametrize("has_more", HAS_MORE)
@pytest.mark.parametrize("total", ["list", "page", "missing", "null", "string"])
@pytest.mark.parametrize("echo", ["right", "missing"])
@pytest.mark.parametrize("too_large", TOO_LARGE)
@pytest.mark.parametrize("n", [1, 4, 5, 6, 10, 13])
def test_a_server_that_is_merely_silent_or_unusual_is_read(
    n: int, too_large: str, echo: str, total: str, has_more: str
) -> None:
    if (too_large, total, has_more) == ("lie", "page", "never"):
        return  # every witness says that the first page is all
    server = PagedServer(names(n), Habits(too_large=too_large, echo=echo, total=total, has_more=has_more))
    if has_more == "always" and total in {"missing", "null", "page"}:
        # An empty page that promises more, and no total to overrule it: it may be a hole.
        try:
            assert server.walk(at_most=most(n)) == names(n)
        except PaginationError as err:
            assert "hasMore says that there is more" in str(err)  # noqa: PT017  # either is right
    else:
        assert server.walk(at_most=most(n)) == names(n)


@pytest.mark.parametrize("total", ["list", "string"])
@pytest.mark.parametrize("has_more", ["right", "string"])
@pytest.mark.parametrize("n", [0, 1, 4, 5, 6, 10, 11, 50])
def test_n_pages_cost_n_requests_where_total_and_has_more_are_there(n: int, has_more: str, total: str) -> None:
    server = PagedServer(names(n), Habits(total=total, has_more=has_more))
    server.walk()
    cost = max(1, math.ceil(n / 5))
    # The total of a single full page may count that page, so its end is looked at twice.
    assert len(server.requests) == cost + 2 * (n == 5)


@pytest.mark.parametrize("total", ["list", "missing", "page"])
@pytest.mark.parametrize("has_more", ["right", "missing"])
@pytest.mark.parametrize("n", [6, 9, 10, 12, 49, 50])
def test_missing_witnesses_cost_one_request_more(n: int, has_more: str, total: str) -> None:
    server = PagedServer(names(n), Habits(total=total, has_more=has_more))
    server.walk()
    alone = has_more == "missing" and total != "list" and n % 5 == 0  # then only the empty page tells of the end
    assert len(server.requests) <= math.ceil(n / 5) + 1 + alone


@pytest.mark.parametrize("n", [1, 4, 5])
def test_a_single_page_costs_at_most_three_requests(n: int) -> None:
    for habit in every_habit():
        if habit.skip == "honour" and habit.echo != "wrong":
            server = PagedServer(names(n), habit)
            try:
                server.walk()
            except PaginationError:
                continue
            blind = n == 1 and habit.echo == "missing"  # for all it knows, pages hold one contact each
            assert len(server.requests) <= 3 + 2 * blind + (habit.has_more in {"always", "full_page"}), habit


def test_a_refused_limit_costs_one_request() -> None:
    server = PagedServer(names(12), Habits(too_large="refuse"))
    assert server.walk() == names(12)
    assert [request.limit for request in server.requests] == [FIRST, None, None, None]


def test_offsets_follow_what_arrived_and_not_what_was_asked() -> None:
    server = PagedServer(names(14), Habits(max_limit=5, changed_limit=2, changed_from=5))
    assert server.walk(OffsetPagination(page_size=4)) == names(14)
    assert [request.skip for request in server.requests] == [0, 4, 8, 10, 12]


@pytest.mark.parametrize("kind", GLITCHES)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_bad_answer_is_survived(kind: str, at: int) -> None:
    server = PagedServer(names(14), glitches={at: Glitch(kind=kind)})
    if kind == "total" and at < 2:  # the last page is asked for again, and is right then
        with pytest.raises(DriftError, match=r"totalResults went from 1[45] to 1[45]"):
            server.walk()
        return
    assert server.walk() == names(14)
    assert len(server.requests) <= 5


@pytest.mark.parametrize("kind", ["empty", "repeat", "double", "echo"])
@pytest.mark.parametrize("has_more", ["right", "missing"])
@pytest.mark.parametrize("total", ["list", "missing", "page"])
def test_a_page_that_stays_wrong_is_an_error_after_three_tries(kind: str, has_more: str, total: str) -> None:
    forever = {number: Glitch(kind=kind) for number in range(1, 100)}
    server = PagedServer(names(14), Habits(total=total, has_more=has_more), forever)
    with pytest.raises(PaginationError) as caught:
        server.walk(at_most=20)
    assert_clear(caught.value)


@pytest.mark.parametrize("has_more", ["right", "missing", "always", "never"])
@pytest.mark.parametrize("total", ["list", "missing", "page", "capped"])
@pytest.mark.parametrize("hole", [0, 5, 10])
def test_a_hole_is_never_taken_for_the_end(hole: int, total: str, has_more: str) -> None:
    """The page at one offset is always empty, though contacts follow."""
    if hole == 0 and total in {"missing", "page"} and has_more in {"missing", "never"}:
        return  # an empty list, as far as anybody can tell
    if (hole, total) == (10, "capped") and has_more in {"missing", "never"}:
        return  # the total ends at the very hole
    server = PagedServer(names(14), Habits(hole=hole, total=total, total_cap=10, has_more=has_more))
    with pytest.raises(PaginationError) as caught:
        server.walk(at_most=20)
    assert_clear(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("skip", ["ignore", "ignore_unseen"])
@pytest.mark.parametrize("echo", ["right", "missing"])
@pytest.mark.parametrize("total", ["list", "missing", "page"])
@pytest.mark.parametrize("has_more", HAS_MORE)
def test_a_server_that_ignores_skip_ends_in_an_error(skip: str, echo: str, total: str, has_more: str) -> None:
    server = PagedServer(names(14), Habits(skip=skip, echo=echo, total=total, has_more=has_more))
    with pytest.raises(PaginationError, match=r"ignores\s+(or changes )?skip"):
        server.walk(at_most=10)


def test_a_page_that_says_it_is_another_is_refused_although_nothing_else_tells() -> None:
    """The server serves pages of four and counts in fives: it skips contacts that no total and no id would miss."""
    server = PagedServer(names(14), Habits(skip="round", changed_limit=4, total="missing"))
    with pytest.raises(PaginationError, match="Asked for the page at skip=4, the server answered with skip=5"):
        server.walk(at_most=5)


def test_a_list_that_outgrows_its_own_total_ends_in_an_error() -> None:
    server = PagedServer(names(1_000), Habits(total="wrong", total_error=-980))
    with pytest.raises(PaginationError, match="totalResults says 20, but 25 contacts were read"):
        server.walk(at_most=5)


# --- Lists that change -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(
    n=st.integers(0, 17),
    at=st.integers(0, 5),
    change=st.tuples(st.sampled_from(["append", "insert", "remove"]), st.integers(0, 17)),
    has_more=st.sampled_from(["right", "missing"]),
)
def test_a_list_whose_total_moves_is_an_error_or_one_of_its_two_states(
    n: int, at: int, change: tuple[str, int], has_more: str
) -> None:
    server = PagedServer(names(n), Habits(has_more=has_more), changes={at: change})
    try:
        found = server.walk(at_most=most(n))
    except KoreError as err:
        assert_clear(err)
    else:
        assert found in server.states


@settings(max_examples=300, deadline=None)
@given(n=st.integers(0, 17), at=st.integers(0, 5), where=st.integers(0, 17), kind=st.sampled_from(["swap", "insert"]))
def test_where_every_change_is_tolerated_the_walk_still_ends_and_counts_what_came_twice(
    n: int, at: int, where: int, kind: str
) -> None:
    server = PagedServer(names(n), changes={at: (kind, where)})
    pagination = OffsetPagination(tolerate="everything")
    try:
        found = server.walk(pagination, at_most=most(n))
    except KoreError as err:
        assert_clear(err)
        return
    assert len(found) == len(set(found)) == pagination.evidence.contacts
    assert pagination.progress.offset == len(found) + pagination.evidence.duplicates


@pytest.mark.parametrize(("tolerate", "raises"), [("nothing", True), ("growth", False), ("everything", False)])
def test_growth_is_told_as_tolerated(tolerate: Tolerance, raises: bool) -> None:
    server = PagedServer(names(12), changes={1: ("append", 0)})
    pagination = OffsetPagination(tolerate=tolerate)
    if raises:
        with pytest.raises(DriftError, match="totalResults went from 12 to 13"):
            server.walk(pagination)
        return
    assert server.walk(pagination) == server.states[-1]
    assert pagination.evidence.totals == (12, 13)


# --- Evidence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("habit", "n", "agreed", "disagreed"),
    [
        (Habits(), 12, {"echo", "has_more", "total", "short_page", "unique_ids"}, set()),
        (Habits(), 10, {"echo", "has_more", "total", "unique_ids"}, set()),
        (Habits(total="missing"), 12, {"echo", "has_more", "empty_page", "unique_ids"}, set()),
        (Habits(total="page"), 12, {"echo", "has_more", "empty_page", "unique_ids"}, set()),
        (Habits(has_more="missing"), 12, {"echo", "total", "short_page", "unique_ids"}, set()),
        (Habits(has_more="missing"), 10, {"echo", "total", "empty_page", "unique_ids"}, set()),
        (Habits(has_more="never"), 12, {"echo", "total", "short_page", "unique_ids"}, {"has_more"}),
        (Habits(has_more="always"), 12, {"echo", "total", "empty_page", "unique_ids"}, {"has_more"}),
        (Habits(echo="missing"), 12, {"has_more", "total", "unique_ids"}, set()),
        (Habits(echo="missing", total="missing", has_more="missing"), 12, {"empty_page", "unique_ids"}, set()),
    ],
)
def test_the_evidence_names_who_agreed(habit: Habits, n: int, agreed: set[str], disagreed: set[str]) -> None:
    server, pagination = PagedServer(names(n), habit), OffsetPagination()
    server.walk(pagination)
    evidence = pagination.evidence
    assert (set(evidence.agreed), set(evidence.disagreed)) == (agreed, disagreed)
    assert evidence.contacts == n
    assert evidence.total == (None if habit.total in {"missing", "page"} else n)
    assert not evidence.duplicates


@settings(max_examples=300, deadline=None)
@given(n=st.integers(0, 17), server=habits)
def test_no_walk_ends_without_a_witness_of_its_end(n: int, server: Habits) -> None:
    pagination = OffsetPagination()
    try:
        PagedServer(names(n), server).walk(pagination, at_most=most(n))
    except KoreError:
        return
    evidence = pagination.evidence
    assert "unique_ids" in evidence.agreed
    assert {"short_page", "empty_page", "total"} & set(evidence.agreed)


# --- Continued in another process ------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(n=st.integers(1, 17), server=habits, stop_after=st.integers(1, 5))
def test_a_walk_continues_where_another_process_left_off(n: int, server: Habits, stop_after: int) -> None:
    if beyond_proof(n, server, {1: Glitch(kind="done")}):
        return
    model, first = PagedServer(names(n), server), OffsetPagination()
    found: list[str] = []
    try:
        while len(found) < stop_after and (request := first.next) is not None:
            answer = model.answer(request)
            if answer is None:
                first.refuse_limit()
                continue
            page = first.accept(answer)
            found += [record.id for record in page.records] if page else []
        ids = IdSet()
        for identifier in found:
            ids.add(identifier)
        found += model.walk(OffsetPagination(progress=first.progress, ids=ids), at_most=2 * most(n))
    except KoreError as err:
        assert_clear(err)
    else:
        assert found == names(n)


def test_reopening_asks_for_what_is_behind_the_end() -> None:
    server, pagination = PagedServer(names(7)), OffsetPagination(tolerate="growth")
    found = server.walk(pagination)
    server.ids.append("later")
    pagination.reopen()
    assert pagination.next == PageRequest(7, FIRST)
    assert found + server.walk(pagination) == server.ids


# --- The small parts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "expected"), [(None, FIRST), (1, 1), ("50", 50), (" 7 ", 7), ("007", 7)])
def test_a_page_size_is_read(value: object, expected: int) -> None:
    with CampaignClient(config("http://a.test")) as client:
        assert client.pagination(contacts_of("cl-1"), page_size=value).limit == expected


@pytest.mark.parametrize("value", [0, -1, "0", "-5", 1.5, "ten", True, False, [], "1 0", 10**16, "٣x"])
def test_an_impossible_page_size_is_refused_by_its_name(value: object) -> None:
    with (
        CampaignClient(config("http://a.test")) as client,
        pytest.raises(ParameterError, match="page_size") as caught,
    ):
        client.pagination(contacts_of("cl-1"), page_size=value)
    assert_clear(caught.value)


def test_a_page_with_the_same_id_twice_says_so() -> None:
    twice = PageAnswer(records=Records(["a", "a"], ["{}", "{}"], [{}, {}]), skip=0, limit=5, total=2)
    pagination = OffsetPagination()
    assert [pagination.accept(twice) for _ in range(ASK_AGAIN)] == [None] * ASK_AGAIN
    with pytest.raises(PaginationError, match="the same _id twice"):
        pagination.accept(twice)


def assert_clear(err: KoreError) -> None:
    text = str(err)
    assert text.endswith(".")
    assert "cc-" not in text
    assert any(word in text for word in ("skip", "page", "totalResults", "hasMore"))
    assert isinstance(err, DriftError) or any(word in text for word in ("Ask ", "pass "))


INSTANTS = [f"2025-12-09T04:28:{second:02d}.832Z" for second in range(4)]


@given(
    st.lists(st.lists(st.sampled_from([*INSTANTS, "2025", None, 5]), min_size=1, max_size=4), max_size=4)
    | st.lists(st.sampled_from(INSTANTS), min_size=1).map(lambda found: [[each] for each in sorted(found)])
)
@example([INSTANTS[:2], INSTANTS[1:]])
@example([INSTANTS[1:], INSTANTS[:2]])
def test_the_order_of_creation_is_that_of_contact_after_contact(pages: list[list[object]]) -> None:
    pagination = OffsetPagination(tolerate="growth", newer_than=INSTANTS[1])
    ascending, last, newer = True, "", 0
    for number, page in enumerate(pages):
        records = Records.of(
            Record(f"cc-{number}-{position}", "{}", {"createdAt": created}) for position, created in enumerate(page)
        )
        pagination.accept(PageAnswer(records=records))
        before = (last, newer)
        for created in page if ascending else ():
            if not isinstance(created, str) or len(created) != len(INSTANTS[0]) or created < last:
                ascending, (last, newer) = False, before  # the page counts as a whole
                break
            last, newer = created, newer + (created > INSTANTS[1])
        progress = pagination.progress
        assert (progress.ascending, progress.last_created, progress.newer) == (ascending, last, newer)
