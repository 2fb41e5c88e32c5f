"""A file becomes an object, or nothing at all; and what lies there is known to be what was sent."""

from __future__ import annotations

import base64
import hashlib
import io
import tempfile
import tracemalloc
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest
from interception import Interceptor, response
from model_store import MemoryStore

from airflow_provider_kore.exceptions import CorruptSnapshotError, StoreUnavailableError
from airflow_provider_kore.store.s3 import S3Store
from airflow_provider_kore.store.s3.settings import S3Settings
from airflow_provider_kore.store.store import (
    ABSENT,
    AccessRefused,
    Condition,
    ConditionFailed,
    StoredObject,
    UploadGone,
)
from airflow_provider_kore.store.upload import PART_BYTES, Uploaded, _part_size, abort_leftovers, upload_file

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from s3_servers import S3Server

    from airflow_provider_kore.store.store import ObjectStore

TYPE = "application/x-test"
MINE = {"snapshot-id": "mine", "contacts": "3"}
BODY = bytes(range(256)) * 40  # 10 KiB: ten parts of 1 KiB


def upload(store: ObjectStore, body: bytes = BODY, *, parts: bool = True, **more: Any) -> Uploaded:
    sizes: dict[str, Any] = {"single_put_bytes": 4096, "part_bytes": 1024} if parts else {}
    return upload_file(store, "dir/k", io.BytesIO(body), content_type=TYPE, metadata=MINE, **sizes, **more)


def read(store: ObjectStore, key: str = "dir/k") -> bytes:
    opened = store.get(key)
    assert opened is not None
    with opened as stream:
        return stream.read()


WAYS = pytest.mark.parametrize("parts", [False, True], ids=["single put", "in parts"])


@WAYS
def test_a_file_is_uploaded_and_verified(store: ObjectStore, parts: bool) -> None:
    done = upload(store, parts=parts)
    assert read(store) == BODY
    assert done.sha256 == hashlib.sha256(BODY).hexdigest()
    assert done.evidence == "checksum"
    assert done.stored.checksum is not None
    assert done.stored == store.head("dir/k")
    assert dict(done.stored.metadata) == MINE
    assert ("-" in done.stored.etag) is parts
    assert list(store.list_uploads("")) == []


@WAYS
@pytest.mark.parametrize("server", ["moto", "ministack"])
def test_crc32_is_verified_too(server: str, parts: bool, request: pytest.FixtureRequest) -> None:
    running = request.getfixturevalue(f"{server}_server")
    store = S3Store(running.client(), running.bucket(), S3Settings(checksum_algorithm="CRC32"))
    done = upload(store, parts=parts)
    assert done.evidence == "checksum"
    assert done.stored.checksum is not None
    if server == "moto" or not parts:  # ministack keeps a composite one where the full object's was asked for
        assert done.stored.checksum == f"CRC32:{base64.b64encode(zlib.crc32(BODY).to_bytes(4, 'big')).decode()}"


def test_parts_grow_where_a_file_would_need_more_than_ten_thousand() -> None:
    assert _part_size(80_000 << 20, PART_BYTES) == PART_BYTES
    assert _part_size((80_000 << 20) + 1, PART_BYTES) == PART_BYTES + (1 << 20)
    assert -(-(5 << 40) // _part_size(5 << 40, PART_BYTES)) <= 10_000


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 5 * 1024, 5 * 1024 + 1])
def test_every_size_around_the_threshold_and_the_parts(size: int) -> None:
    store = MemoryStore()
    body = BODY[:size]
    upload(store, body)
    assert store.bodies() == {"dir/k": body}
    names = [effect.name for effect in store.effects]
    assert ("put" in names) is (size <= 4096)
    assert names.count("upload_part") == (0 if size <= 4096 else -(-size // 1024))


@WAYS
def test_the_condition_holds_at_the_commit(store: ObjectStore, parts: bool) -> None:
    first = upload(store, parts=parts, condition=ABSENT)
    with pytest.raises(ConditionFailed):
        upload(store, b"z" * 9999, parts=parts, condition=ABSENT)
    assert read(store) == BODY
    assert list(store.list_uploads("")) == []
    upload(store, b"y" * 9999, parts=parts, condition=Condition(etag=first.stored.etag))
    assert read(store) == b"y" * 9999


class Interrupting(io.BytesIO):
    """A file whose reader is interrupted in its midst."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(BODY)
        self.error = error

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= 5 * 1024:
            raise self.error
        return super().read(size)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit(), OSError("disk"), MemoryError()])
def test_whatever_ends_an_upload_it_is_aborted(store: ObjectStore, error: BaseException) -> None:
    with pytest.raises(type(error)):
        upload_file(
            store, "dir/k", Interrupting(error), content_type=TYPE, metadata=MINE, single_put_bytes=1, part_bytes=1024
        )
    assert list(store.list_uploads("")) == []
    assert store.head("dir/k") is None


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
def test_an_upload_that_s3_gives_up_on_is_aborted(s3_server: S3Server, operation: str) -> None:
    client = s3_server.client()
    store = S3Store(client, s3_server.bucket())
    Interceptor(client).answer(operation, 503, "SlowDown")
    with pytest.raises(StoreUnavailableError):
        upload(store)
    assert list(store.list_uploads("")) == []
    assert store.head("dir/k") is None


def test_an_abort_that_fails_does_not_hide_what_went_wrong(
    moto_server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    client = moto_server.client()
    store = S3Store(client, moto_server.bucket())
    interceptor = Interceptor(client)
    interceptor.answer("UploadPart", 503, "SlowDown")
    interceptor.answer("AbortMultipartUpload", 403, "AccessDenied")
    with pytest.raises(StoreUnavailableError, match="SlowDown"):
        upload(store)
    assert "stays behind" in caplog.text
    assert "s3:AbortMultipartUpload" in caplog.text


@WAYS
def test_end_of_the_world_at_every_effect(parts: bool) -> None:
    """Killed before or after any effect: the old object or the new one, never anything else; leftovers are found."""
    count = len((trial := MemoryStore(), upload(trial, parts=parts))[0].effects)
    assert count == (2 if not parts else 1 + 10 + 1 + 1)
    for number in range(1, count + 1):
        for when in ("before", "after"):
            for dead in (False, True):
                store = MemoryStore()
                old = store.put("dir/k", b"old", content_type=TYPE)
                store.crash_at(number, when, KeyboardInterrupt(), dead=dead)
                with pytest.raises(KeyboardInterrupt):
                    upload(store, parts=parts, condition=Condition(etag=old.etag))
                after = store.reopen()
                # killed at any effect but the last, the look afterwards, it was not committed, or it was at this one
                committed = number == count or (number == count - 1 and when == "after")
                assert after.bodies() == {"dir/k": BODY if committed else b"old"}
                if not dead and not (number == 1 and when == "after"):
                    # an answer lost between the creation and us is the one thing only abort_leftovers can mend
                    assert list(after.uploads()) == []
                abort_leftovers(after, "dir/")
                assert list(after.uploads()) == []


@pytest.mark.slow
@WAYS
def test_a_lost_answer_is_recognised_as_our_own_write(s3_server: S3Server, parts: bool) -> None:
    client = s3_server.client(retries=1)
    store = S3Store(client, s3_server.bucket())
    Interceptor(client).lose_the_first_answer("CompleteMultipartUpload" if parts else "PutObject")
    done = upload(store, parts=parts, condition=ABSENT)
    assert done.stored == store.head("dir/k")
    assert read(store) == BODY


@pytest.mark.slow
@WAYS
def test_the_write_of_another_is_not_taken_for_our_own(ministack_server: S3Server, parts: bool) -> None:
    client = ministack_server.client(retries=1)
    store = S3Store(client, ministack_server.bucket())
    theirs = {**MINE, "snapshot-id": "theirs"}
    store.put("dir/k", BODY, content_type=TYPE, metadata=theirs)
    interceptor = Interceptor(client)
    operation = "CompleteMultipartUpload" if parts else "PutObject"

    def busy_once(_: Any) -> Any:
        interceptor.act(operation, lambda _: None)
        return response(503, b"<Error><Code>SlowDown</Code></Error>")

    interceptor.act(operation, busy_once)
    with pytest.raises(ConditionFailed) as refused:
        upload(store, parts=parts, condition=ABSENT)
    assert refused.value.in_doubt
    found = store.head("dir/k")
    assert found is not None
    assert dict(found.metadata) == theirs


def test_a_lost_answer_in_a_bucket_that_nobody_may_read_stays_in_doubt(ministack_server: S3Server) -> None:
    client = ministack_server.client(retries=1)
    store = S3Store(client, ministack_server.bucket())
    interceptor = Interceptor(client)
    interceptor.lose_the_first_answer("PutObject")
    interceptor.answer("HeadObject", 403)
    interceptor.answer("GetObject", 403, "AccessDenied")
    with pytest.raises(ConditionFailed) as refused:
        upload(store, parts=False, condition=ABSENT)
    assert refused.value.in_doubt


class Lying(MemoryStore):
    """A store that keeps other bytes than it was sent, and describes them faithfully."""

    def head(self, key: str) -> StoredObject | None:
        self._state.objects[key] = other = MemoryStore()._state.objects.get(key) or self._changed(key)
        return other.described

    def _changed(self, key: str) -> Any:
        kept = self._state.objects[key]
        other = MemoryStore(checksum_algorithm=self._algorithm)
        other.put(key, kept.body[:-1] + b"?", content_type=TYPE, metadata=MINE)
        changed = other._state.objects[key]
        etag = kept.described.etag
        return type(changed)(
            StoredObject(key=key, size=changed.described.size, etag=etag, checksum=changed.described.checksum),
            changed.body,
            TYPE,
        )


@WAYS
@pytest.mark.parametrize("algorithm", ["SHA256", "CRC32", None])
def test_other_bytes_than_were_sent_are_detected(algorithm: Any, parts: bool) -> None:
    with pytest.raises(CorruptSnapshotError, match="dir/k"):
        upload(Lying(checksum_algorithm=algorithm), parts=parts)


def test_a_lost_tail_is_detected() -> None:
    class Short(MemoryStore):
        def head(self, key: str) -> StoredObject | None:
            found = super().head(key)
            assert found is not None
            return StoredObject(key=key, size=found.size - 1, etag=found.etag)

    with pytest.raises(CorruptSnapshotError, match="10,239 bytes"):
        upload(Short())


def test_the_checksum_of_nothing_is_not_that_of_a_file() -> None:
    class Empty(MemoryStore):
        def head(self, key: str) -> StoredObject | None:
            found = super().head(key)
            assert found is not None
            nothing = base64.b64encode(hashlib.sha256(b"").digest()).decode()
            return StoredObject(key=key, size=found.size, etag=found.etag, checksum=f"SHA256:{nothing}")

    with pytest.raises(CorruptSnapshotError, match="dir/k"):
        upload(Empty(), parts=False)


@WAYS
def test_a_store_without_checksums_is_read_back(parts: bool) -> None:
    done = upload(MemoryStore(checksum_algorithm=None), parts=parts)
    assert (done.evidence, done.stored.checksum is not None) == ("read back", False)


class Blind(MemoryStore):
    """A bucket that may be written but not read."""

    def head(self, key: str) -> StoredObject | None:
        raise AccessRefused("no", "s3:GetObject", key)

    def get(self, key: str) -> BinaryIO | None:
        raise AccessRefused("no", "s3:GetObject", key)


class Deaf(MemoryStore):
    """A bucket that may be described but not read."""

    def get(self, key: str) -> BinaryIO | None:
        raise AccessRefused("no", "s3:GetObject", key)


def test_a_bucket_that_nobody_may_read_is_written_all_the_same() -> None:
    done = upload(Blind())
    assert (done.evidence, done.stored.checksum is not None) == ("checksum", True)
    for store in (Blind(checksum_algorithm=None), Deaf(checksum_algorithm=None)):
        assert upload(store).evidence == "etag"


def test_a_later_writer_is_not_our_corruption() -> None:
    class Overtaken(MemoryStore):
        def head(self, key: str) -> StoredObject | None:
            self.put(key, b"theirs", content_type=TYPE)
            return super().head(key)

    done = upload(Overtaken())
    assert done.stored.size == len(BODY)
    assert done.evidence == "checksum"


def test_a_later_writer_while_we_read_back_is_not_our_corruption() -> None:
    class Overtaken(MemoryStore):
        def get(self, key: str) -> AbstractContextManager[BinaryIO] | None:  # type: ignore[override]
            self.put(key, b"theirs", content_type=TYPE)
            return super().get(key)

    assert upload(Overtaken(checksum_algorithm=None)).evidence == "etag"


def test_leftovers_are_found_and_aborted(store: ObjectStore) -> None:
    mine = [store.create_upload(key, content_type=TYPE) for key in ("dir/k", "dir/k", "dir/k2")]
    others = store.create_upload("elsewhere", content_type=TYPE)
    aborted = abort_leftovers(store, "dir/k", lambda key: key == "dir/k")
    assert {one.upload_id for one in aborted} == {u.upload_id for u in mine[:2]}
    assert {one.upload_id for one in abort_leftovers(store, "dir/")} == {mine[2].upload_id}
    assert [one.upload_id for one in store.list_uploads("")] == [others.upload_id]


def test_leftovers_may_be_spared_by_age(ministack_server: S3Server) -> None:
    for store in (MemoryStore(), S3Store(ministack_server.client(), ministack_server.bucket())):
        store.create_upload("dir/k", content_type=TYPE)
        (begun,) = store.list_uploads("dir/")
        assert abort_leftovers(store, "dir/", started_before=begun.started) == []
        assert len(abort_leftovers(store, "dir/")) == 1


def test_an_orphan_whose_upload_was_aborted_cannot_commit(ministack_server: S3Server) -> None:
    for store in (MemoryStore(), S3Store(ministack_server.client(), ministack_server.bucket())):

        class Fenced(io.BytesIO):
            fence: ObjectStore = store

            def read(self, size: int | None = -1, /) -> bytes:
                if self.tell() == 5 * 1024:
                    assert abort_leftovers(self.fence, "dir/")
                return super().read(size)

        with pytest.raises(UploadGone):
            upload_file(store, "dir/k", Fenced(BODY), content_type=TYPE, single_put_bytes=1, part_bytes=1024)
        assert store.head("dir/k") is None


@WAYS
def test_memory_does_not_grow_with_the_file(moto_server: S3Server, parts: bool) -> None:
    client = moto_server.client()
    interceptor = Interceptor(client)
    answers = {
        "PutObject": b"",
        "UploadPart": b"",
        "CreateMultipartUpload": b"<Begun><UploadId>u</UploadId></Begun>",
        "CompleteMultipartUpload": b"<Done><ETag>e</ETag></Done>",
    }
    for operation, body in answers.items():
        interceptor.act(operation, partial(lambda body, _: response(200, body, {"etag": "e"}), body))
    interceptor.answer("HeadObject", 403)
    store = S3Store(client, "kore-intercepted")
    with tempfile.TemporaryFile() as file:
        file.truncate(30 << 20)
        tracemalloc.start()
        try:
            upload_file(store, "k", file, content_type=TYPE, single_put_bytes=0 if parts else 64 << 20)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < PART_BYTES + (4 << 20)
