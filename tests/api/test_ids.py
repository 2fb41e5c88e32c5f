"""The set of ids is a set, only smaller."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.walk.ids import IdSet


@given(st.lists(st.text(max_size=6), max_size=300))
def test_it_answers_as_a_set_does(identifiers: list[str]) -> None:
    ids, model = IdSet(), set[str]()
    for identifier in identifiers:
        assert (identifier in ids) == (identifier in model)
        assert ids.add(identifier) == (identifier not in model)
        model.add(identifier)
        assert len(ids) == len(model)
    assert all(identifier in ids for identifier in model)
    assert "something longer than any of them" not in ids


def test_it_grows_without_losing_any() -> None:
    ids = IdSet()
    assert all(ids.add(f"cc-{number:024x}") for number in range(50_000))
    assert not any(ids.add(f"cc-{number:024x}") for number in range(50_000))
    assert len(ids) == 50_000
    assert "cc-x" not in ids


def test_it_costs_less_than_thirty_bytes_an_id() -> None:
    ids = IdSet()
    for number in range(100_000):
        ids.add(f"cc-{number:024x}")
    assert ids._slots.nbytes < 30 * 100_000


def test_lone_surrogates_are_ids_too() -> None:
    ids = IdSet()
    assert ids.add("cc-\ud800")
    assert "cc-\ud800" in ids
    assert "cc-\ud801" not in ids


@given(st.lists(st.lists(st.text(max_size=2), max_size=40), max_size=20), st.integers(0, 3_000))
def test_a_page_of_them_at_once_is_the_same_as_one_by_one(pages: list[list[str]], expected: int) -> None:
    ids, one_by_one = IdSet(), IdSet()
    ids.expect(expected)
    for page in pages:
        assert ids.add_all(page) == [number for number, identifier in enumerate(page) if not one_by_one.add(identifier)]
        assert len(ids) == len(one_by_one)


def test_what_is_expected_may_come_or_not() -> None:
    ids = IdSet()
    ids.add("cc-0")
    ids.expect(10**15)  # a server that says so costs 16 MB, untouched
    assert ids._slots.nbytes <= 16 << 20
    assert "cc-0" in ids
    room = ids._slots.nbytes
    ids.expect(3)
    assert ids._slots.nbytes == room
    assert ids.add_all(["cc-0", "cc-1", "cc-1"]) == [0, 2]
