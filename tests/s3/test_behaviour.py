"""What the protocol promises, held against the model and against real servers. What is true of one is true of all."""

from __future__ import annotations

import base64
import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from model_store import MemoryStore

from airflow_provider_kore.exceptions import BucketNotFoundError
from airflow_provider_kore.store.s3 import S3Store
from airflow_provider_kore.store.store import ABSENT, Condition, ConditionFailed, Upload, UploadGone

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.store.store import ObjectStore, StoredObject

TYPE = "application/x-test"
PART = b"p" * 5 * 1024 * 1024
KEYS = (
    "plain",
    "with space/and  two",
    "contact_list_id=cl-1/snapshot_date=2026-01-31/contacts.jsonl.gz",
    "umlaut/ä ö/日本/𝄞",
    "plus+and%2Bpercent%/&?#",
    "scheduled__2026-01-31T00:00:00+00:00",
    "under/_manifest.json",
    "quotes'\"<>",
)


def put(store: ObjectStore, key: str, body: bytes = b"x", condition: Condition | None = None) -> StoredObject:
    return store.put(key, body, content_type=TYPE, condition=condition)


def read(store: ObjectStore, key: str) -> bytes:
    opened = store.get(key)
    assert opened is not None
    with opened as stream:
        return stream.read()


def etag(store: ObjectStore, key: str) -> str:
    found = store.head(key)
    assert found is not None
    return found.etag


def sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


@pytest.fixture(params=["memory", "ministack"])
def strict_store(request: pytest.FixtureRequest) -> ObjectStore:
    """Those that check a condition at a completion, and refuse parts of an upload that is gone. moto does neither."""
    if request.param == "memory":
        return MemoryStore()
    server = request.getfixturevalue("ministack_server")
    return S3Store(server.client(), server.bucket())


@pytest.fixture(params=["memory", "moto", "ministack"])
def nowhere(request: pytest.FixtureRequest) -> ObjectStore:
    if request.param == "memory":
        return MemoryStore(missing=True)
    return S3Store(request.getfixturevalue(f"{request.param}_server").client(), "kore-no-such-bucket")


def test_what_is_absent_is_none(store: ObjectStore) -> None:
    assert store.head("nothing") is None
    assert store.get("nothing") is None
    assert list(store.list("")) == []
    assert list(store.list_uploads("")) == []


def test_an_object_is_described_as_it_was_written(store: ObjectStore) -> None:
    metadata = {"snapshot-id": "4711", "contacts": "1000000"}
    written = store.put("k", b"hello", content_type=TYPE, metadata=metadata)
    found = store.head("k")
    assert found is not None
    assert (found.key, found.size, found.etag) == ("k", 5, written.etag)
    assert dict(found.metadata) == dict(written.metadata) == metadata
    assert found.checksum == f"SHA256:{sha256(b'hello')}"
    assert found.modified is not None
    assert found.modified.tzinfo is not None
    assert read(store, "k") == b"hello"


def test_a_file_is_sent_whole_wherever_it_stands(store: ObjectStore) -> None:
    file = io.BytesIO(b"0123456789" * 100_000)
    file.seek(77)
    assert store.put("k", file, content_type=TYPE).size == 1_000_000
    assert read(store, "k") == file.getvalue()
    assert not file.closed


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    assert put(store, "k", b"").size == 0
    assert read(store, "k") == b""
    assert [found.key for found in store.list("k")] == ["k"]


@pytest.mark.slow
def test_any_key_goes_there_and_back(store: ObjectStore) -> None:
    for key in KEYS:
        put(store, key, key.encode())
        assert read(store, key) == key.encode()
        found = store.head(key)
        assert found is not None
        assert found.key == key
        assert [one.key for one in store.list(key)] == [key]
        store.delete([key])
        assert store.head(key) is None


def test_a_part_of_an_object_may_be_read_and_the_rest_left(store: ObjectStore) -> None:
    put(store, "k", b"abc" * 1_000_000)
    opened = store.get("k")
    assert opened is not None
    with opened as stream:
        assert stream.read(4) == b"abca"
        assert stream.readline(3) == b"bca"
    assert read(store, "k")[:4] == b"abca"


def test_a_listing_is_in_the_order_of_utf8_bytes_over_several_pages(store: ObjectStore) -> None:
    names = [*"zZaA09_-~é日", "𝄞", "\uffee", "a b", "a+b", "aa", "a/b", "a/b/c"]
    for name in names:
        put(store, f"p/{name}", name.encode())
    put(store, "other", b"")
    listed = list(store.list("p/"))
    assert [found.key for found in listed] == sorted((f"p/{name}" for name in names), key=str.encode)
    assert {found.key: found.size for found in listed} == {f"p/{name}": len(name.encode()) for name in names}
    assert all(found.etag == etag(store, found.key) for found in listed[:2])
    assert all(found.checksum is None and not found.metadata and found.modified for found in listed)
    assert [found.key for found in store.list("p/a/")] == ["p/a/b", "p/a/b/c"]


def test_a_deletion_takes_what_is_there_and_forgives_what_is_not(store: ObjectStore) -> None:
    for number in range(9):
        put(store, f"k{number}")
    store.delete([f"k{number}" for number in range(5)] + ["never-was"])
    assert [found.key for found in store.list("")] == ["k5", "k6", "k7", "k8"]
    store.delete([])
    store.delete(["k5", "k5"])
    assert len(list(store.list(""))) == 3


def test_a_put_replaces(store: ObjectStore) -> None:
    first = put(store, "k", b"one")
    second = put(store, "k", b"two")
    assert first.etag != second.etag
    assert read(store, "k") == b"two"


def test_create_once_creates_once(store: ObjectStore) -> None:
    put(store, "k", b"first", ABSENT)
    with pytest.raises(ConditionFailed) as refused:
        put(store, "k", b"second", ABSENT)
    assert (refused.value.key, refused.value.in_doubt) == ("k", False)
    assert read(store, "k") == b"first"


def test_a_swap_replaces_only_what_it_names(store: ObjectStore) -> None:
    first = put(store, "k", b"first")
    second = put(store, "k", b"second", Condition(etag=first.etag))
    with pytest.raises(ConditionFailed):
        put(store, "k", b"third", Condition(etag=first.etag))
    assert read(store, "k") == b"second"
    assert etag(store, "k") == second.etag


def test_a_swap_of_nothing_creates_nothing(store: ObjectStore) -> None:
    with pytest.raises(ConditionFailed):
        put(store, "k", b"x", Condition(etag='"0123"'))
    assert store.head("k") is None


def test_parts_become_an_object_only_when_completed(store: ObjectStore) -> None:
    metadata = {"snapshot-id": "4711"}
    upload = store.create_upload("big", content_type=TYPE, metadata=metadata)
    parts = [store.upload_part(upload, 1, PART), store.upload_part(upload, 2, b"tail")]
    assert store.head("big") is None
    assert list(store.list("")) == []
    assert [(one.key, one.upload_id) for one in store.list_uploads("big")] == [("big", upload.upload_id)]
    done = store.complete_upload(upload, parts)
    found = store.head("big")
    assert found is not None
    assert (found.size, found.etag) == (done.size, done.etag) == (len(PART) + 4, done.etag)
    assert dict(found.metadata) == metadata
    assert read(store, "big") == PART + b"tail"
    assert list(store.list_uploads("")) == []
    assert found.checksum is not None
    composite = sha256(hashlib.sha256(PART).digest() + hashlib.sha256(b"tail").digest())
    assert found.checksum.removesuffix("-2") == f"SHA256:{composite}"  # moto leaves the -2 out


def test_a_part_may_be_sent_again(store: ObjectStore) -> None:
    upload = store.create_upload("big", content_type=TYPE)
    store.upload_part(upload, 1, b"wrong")
    store.complete_upload(upload, [store.upload_part(upload, 1, b"right")])
    assert read(store, "big") == b"right"


def test_a_completion_creates_once(store: ObjectStore) -> None:
    put(store, "k", b"first")
    upload = store.create_upload("k", content_type=TYPE)
    parts = [store.upload_part(upload, 1, b"second")]
    with pytest.raises(ConditionFailed):
        store.complete_upload(upload, parts, condition=ABSENT)
    assert read(store, "k") == b"first"
    assert len(list(store.list_uploads("k"))) == 1, "the upload stays, to be aborted"
    store.delete(["k"])
    store.complete_upload(upload, parts, condition=ABSENT)
    assert read(store, "k") == b"second"


def test_a_completion_swaps_only_what_it_names(strict_store: ObjectStore) -> None:
    first = put(strict_store, "k", b"first")
    upload = strict_store.create_upload("k", content_type=TYPE)
    parts = [strict_store.upload_part(upload, 1, b"second")]
    with pytest.raises(ConditionFailed):
        strict_store.complete_upload(upload, parts, condition=Condition(etag='"0123"'))
    assert read(strict_store, "k") == b"first"
    strict_store.complete_upload(upload, parts, condition=Condition(etag=first.etag))
    assert read(strict_store, "k") == b"second"


def test_a_completion_swaps_nothing_where_there_is_nothing(strict_store: ObjectStore) -> None:
    upload = strict_store.create_upload("k", content_type=TYPE)
    parts = [strict_store.upload_part(upload, 1, b"x")]
    with pytest.raises(ConditionFailed):
        strict_store.complete_upload(upload, parts, condition=Condition(etag='"0123"'))
    assert strict_store.head("k") is None


def test_an_aborted_upload_is_gone_and_aborting_it_again_is_no_error(store: ObjectStore) -> None:
    upload = store.create_upload("big", content_type=TYPE)
    store.upload_part(upload, 1, b"x")
    store.abort_upload(upload)
    store.abort_upload(upload)
    assert list(store.list_uploads("")) == []
    assert store.head("big") is None


def test_whoever_was_fenced_off_hears_it_at_the_next_part_or_the_commit(strict_store: ObjectStore) -> None:
    upload = strict_store.create_upload("big", content_type=TYPE)
    part = strict_store.upload_part(upload, 1, b"x")
    strict_store.abort_upload(upload)
    with pytest.raises(UploadGone):
        strict_store.upload_part(upload, 2, b"x")
    with pytest.raises(UploadGone):
        strict_store.complete_upload(upload, [part])
    assert strict_store.head("big") is None


def test_unfinished_uploads_are_listed_by_prefix_over_several_pages(store: ObjectStore) -> None:
    for number in range(9):
        store.create_upload(f"a/{number}", content_type=TYPE)
    store.create_upload("a/3", content_type=TYPE)
    store.create_upload("b", content_type=TYPE)
    listed = list(store.list_uploads("a/"))
    assert sorted(upload.key for upload in listed) == sorted([f"a/{number}" for number in range(9)] + ["a/3"])
    assert len({upload.upload_id for upload in listed}) == 10
    assert all(upload.started and upload.started.tzinfo for upload in listed)


RACES: dict[str, Callable[[ObjectStore, int], Any]] = {
    "create": lambda _, __: ABSENT,
    "swap": lambda store, number: Condition(etag=put(store, f"k{number}", b"old").etag),
}


@pytest.mark.parametrize("store", ["memory", "ministack"], indirect=True)  # moto looks first and writes later
@pytest.mark.parametrize("race", RACES)
def test_of_two_racing_writers_one_wins(store: ObjectStore, race: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        for number in range(10):
            condition = RACES[race](store, number)
            barrier = Barrier(2)

            def write(
                body: bytes, key: str = f"k{number}", when: Condition = condition, start: Barrier = barrier
            ) -> bool:
                start.wait(5)
                try:
                    put(store, key, body, when)
                except ConditionFailed:
                    return False
                return True

            bodies = [b"a" * 100_000, b"b" * 100_000]
            won = list(pool.map(write, bodies))
            assert sorted(won) == [False, True]
            assert read(store, f"k{number}") == bodies[won.index(True)]


@pytest.mark.parametrize("store", ["memory", "ministack"], indirect=True)
def test_of_two_racing_completions_one_wins(store: ObjectStore) -> None:
    with ThreadPoolExecutor(2) as pool:
        for number in range(5):
            uploads = [store.create_upload(f"k{number}", content_type=TYPE) for _ in range(2)]
            bodies = [b"a" * 1000, b"b" * 1000]
            parts = [store.upload_part(*one) for one in zip(uploads, (1, 1), bodies, strict=True)]
            barrier = Barrier(2)

            def complete(which: int, start: Barrier = barrier, ups: Any = uploads, made: Any = parts) -> bool:
                start.wait(5)
                try:
                    store.complete_upload(ups[which], [made[which]], condition=ABSENT)
                except ConditionFailed:
                    return False
                return True

            won = list(pool.map(complete, range(2)))
            assert sorted(won) == [False, True]
            assert read(store, f"k{number}") == bodies[won.index(True)]


CALLS: dict[str, Callable[[ObjectStore], Any]] = {
    "get": lambda store: store.get("k"),
    "put": lambda store: put(store, "k"),
    "list": lambda store: list(store.list("p")),
    "list_all": lambda store: list(store.list("")),
    "delete": lambda store: store.delete(["k"]),
    "create_upload": lambda store: store.create_upload("k", content_type=TYPE),
    "list_uploads": lambda store: list(store.list_uploads("")),
}


def test_a_missing_bucket_is_named(nowhere: ObjectStore) -> None:
    for call in CALLS.values():
        with pytest.raises(BucketNotFoundError, match=nowhere.bucket):
            call(nowhere)


def test_a_head_cannot_tell_a_missing_bucket_from_a_missing_key(nowhere: ObjectStore) -> None:
    assert nowhere.head("k") is None


def test_metadata_that_would_come_back_changed_is_refused(store: ObjectStore) -> None:
    for name, value in (
        ("Upper", "x"),
        ("name", "ü"),
        ("name", " padded"),
        ("name", "two\nlines"),
        ("big", "x" * 2048),
    ):
        with pytest.raises(ValueError, match="etadata") as refused:
            store.put("k", b"", content_type=TYPE, metadata={name: value})
        assert value not in str(refused.value)
        with pytest.raises(ValueError, match="etadata"):
            store.create_upload("k", content_type=TYPE, metadata={name: value})


def test_equal_bytes_have_equal_etags_and_others_have_not(store: ObjectStore) -> None:
    etags = [put(store, f"k{number}", body).etag for number, body in enumerate((b"a", b"a", b"b"))]
    assert [one == two for one, two in pairwise(etags)] == [True, False]


def test_an_upload_nobody_began_is_gone(strict_store: ObjectStore) -> None:
    with pytest.raises(UploadGone):
        strict_store.complete_upload(Upload(key="k", upload_id="made-up"), [])
