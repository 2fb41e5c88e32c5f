"""What only the model can do: end the world, and look at several futures of one past."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from model_store import MemoryStore

from airflow_provider_kore.exceptions import RequestRefusedError, StoreUnavailableError

if TYPE_CHECKING:
    from model_store import When

    from airflow_provider_kore.store.store import ObjectStore

TYPE = "application/x-test"


class Killed(BaseException):
    """As a test of crashes would have it."""


def two_puts(store: MemoryStore) -> None:
    try:
        store.put("a", b"a", content_type=TYPE)
        store.put("b", b"b", content_type=TYPE)
    finally:
        store.delete(["a"])


@pytest.mark.parametrize(("number", "when", "left"), [(1, "before", ""), (1, "after", "a"), (2, "after", "ab")])
def test_a_killed_process_changes_nothing_more(number: int, when: When, left: str) -> None:
    store = MemoryStore()
    store.crash_at(number, when, Killed())
    with pytest.raises(Killed):
        two_puts(store)
    assert "".join(store.bodies()) == left


def test_a_failed_request_fails_alone() -> None:
    store = MemoryStore()
    store.crash_at(2, "after", StoreUnavailableError("no answer"), dead=False)
    with pytest.raises(StoreUnavailableError):
        two_puts(store)
    assert list(store.bodies()) == ["b"]
    assert [effect.name for effect in store.effects] == ["put", "put", "delete"]


def test_the_next_process_finds_the_same_bucket() -> None:
    store = MemoryStore()
    store.put("a", b"a", content_type=TYPE)
    store.crash_at(1, "before", Killed())
    with pytest.raises(Killed):
        store.head("a")
    after = store.reopen()
    assert after.head("a") is not None
    assert len(after.effects) == 1


def test_a_clone_has_a_future_of_its_own() -> None:
    store = MemoryStore()
    store.put("a", b"a", content_type=TYPE)
    upload = store.create_upload("b", content_type=TYPE)
    other = store.clone()
    other.put("a", b"z", content_type="text/plain")
    other.complete_upload(upload, [other.upload_part(upload, 1, b"b")])
    assert store.bodies() == {"a": b"a"}
    assert len(store.uploads()) == 1
    assert other.bodies() == {"a": b"z", "b": b"b"}
    assert (store.content_type("a"), other.content_type("a")) == (TYPE, "text/plain")


def test_a_listing_sees_what_happens_between_its_pages_and_each_page_is_an_effect() -> None:
    store = MemoryStore(page_size=2)
    for key in "abcd":
        store.put(key, b"", content_type=TYPE)
    store.effects.clear()
    listing = store.list("")
    assert next(listing).key == "a"
    store.delete(["c"])
    assert [found.key for found in listing] == ["b", "d"]
    assert [effect.name for effect in store.effects] == ["list", "delete", "list"]


def test_it_refuses_what_s3_refuses_and_other_servers_let_pass() -> None:
    store = MemoryStore(min_part_bytes=3)
    upload = store.create_upload("k", content_type=TYPE)
    parts = [store.upload_part(upload, number, body) for number, body in ((1, b"big"), (2, b"s"), (3, b"big"))]
    for wrong in ([], parts[:2][::-1], [parts[0], parts[0]], parts):
        with pytest.raises(RequestRefusedError):
            store.complete_upload(upload, wrong)
    assert store.complete_upload(upload, parts[:2]).size == 4


def test_times_come_from_the_clock_it_is_given() -> None:
    class Noon:
        def monotonic(self) -> float:
            return 0.0

        def time(self) -> float:
            return 43_200.0

        def sleep(self, seconds: float) -> None:
            """Not needed."""

    store = MemoryStore(clock=Noon())
    store.put("k", b"", content_type=TYPE)
    found = store.head("k")
    assert found is not None
    assert found.modified is not None
    assert found.modified.timestamp() == 43_200.0


def test_it_is_an_object_store() -> None:
    store: ObjectStore = MemoryStore()  # mypy holds it against the protocol
    assert store.bucket == "memory"
