"""S3 that fails, slows down, hangs up and lies; a full disk: what was fetched is kept, and nothing half-done shows."""

from __future__ import annotations

import errno
import resource
from typing import TYPE_CHECKING, Any

import pytest
from s3_proxy import Rule, S3Proxy
from world import record_death

if TYPE_CHECKING:
    from collections.abc import Callable

    from world import Task, World

pytestmark = pytest.mark.exhaustive

OBJECT = "contacts."
MANIFEST = "_manifest.json"
CHUNK = "/000000000000-"
"""In the name of a walk's first chunk; a probe of what the store can do lies below staging, too."""
STAGED = "_staging"


def hurried_retries(operator: Any, tell: Callable[..., None]) -> None:
    """In the child: botocore waits up to 20 s between its tries; here it does not."""
    import botocore.endpoint

    from airflow_provider_kore.store import patient

    botocore.endpoint.time.sleep = lambda _: None  # type: ignore[attr-defined]
    patient.LONGEST_OUTAGE = patient.LONGEST_FIRST_OUTAGE = 0.3  # type: ignore[misc]  # the store is waited for in vain


def small_parts(operator: Any, tell: Callable[..., None]) -> None:
    """In the child: every file goes up in parts."""
    hurried_retries(operator, tell)
    from airflow_provider_kore.store import upload

    upload.upload_file.__kwdefaults__.update(single_put_bytes=0, part_bytes=8 * 1024)


TRANSIENT = {
    "a chunk's put answers SlowDown": Rule(503, "PUT", CHUNK, times=2),
    "the answer to a chunk's put is lost": Rule("lose", "PUT", CHUNK),
    "slow answers": Rule("slow", times=4, after=3),
    "a listing answers 500": Rule(500, "GET", "list-type"),
    "a chunk read back is cut": Rule("truncate", "GET", STAGED + "/table"),
    "the commit is reset": Rule("reset", "PUT", OBJECT),
    "the answer to the commit is lost": Rule("lose", "PUT", OBJECT),
    "the answer to the manifest is lost": Rule("lose", "PUT", MANIFEST),
    "the clean-up answers 500": Rule(500, "POST", "delete"),
}


@pytest.mark.parametrize("what", TRANSIENT)
def test_a_moment_of_s3_trouble_is_survived_in_the_same_try_or_the_next(world: World, what: str) -> None:
    task = world.task(1000)
    rule = TRANSIENT[what]
    with S3Proxy(world.server, rule) as proxy:
        task.endpoint = proxy.url
        task.new_run()
        outcome = task.land(tries=2, prepare=hurried_retries)
        assert proxy.fired, "the fault did not happen"
    task.check()
    if task.tries > 1:
        record_death("S3 trouble", task.repeated()[0] / task.repeated()[1])
    assert outcome.summary["contacts"] == 1000


LASTING = {
    "chunks cannot be put": (Rule(500, "PUT", ".jsonl.gz", times=None, after=2), "StoreUnavailableError"),
    "everything is slowed down": (Rule(503, after=25, times=None), "StoreUnavailableError"),
    "chunks may no longer be put": (Rule(403, "PUT", ".jsonl.gz", after=2, times=None), "AccessRefused"),
    "chunks cannot be read": (Rule("truncate", "GET", STAGED + "/table", times=None), "StoreUnavailableError"),
    "the object cannot be put": (Rule(500, "PUT", OBJECT, times=None), "StoreUnavailableError"),
    "every answer to the commit is lost": (Rule("lose", "PUT", OBJECT, times=None), ""),
    "the manifest cannot be put": (Rule(500, "PUT", MANIFEST, times=None), "StoreUnavailableError"),
}


@pytest.mark.parametrize("what", LASTING)
def test_lasting_s3_trouble_is_an_error_and_a_retry_continues(world: World, what: str) -> None:
    task = world.task(1000)
    old = world.vendor.ids(task.list_id)
    assert task.run().kind == "success"
    world.vendor.change(task.list_id, "append", n=60)
    task.new_run()
    rule, error = LASTING[what]
    with S3Proxy(world.server, rule) as proxy:
        task.endpoint = proxy.url
        attempt = task.start(prepare=hurried_retries)
        outcome = attempt.wait()
        assert proxy.fired, "the fault did not happen"
    assert outcome.kind == "error", f"{outcome}\n{attempt.log()}"
    assert outcome.error == error or not error, f"{outcome}\n{attempt.log()}"
    committed = rule.holding == MANIFEST or rule.action == "lose"
    if not committed:
        assert task.landed() == old, "the previous snapshot is not what it was"
    task.endpoint = None
    task.land(tries=1)
    task.check()
    twice, total = task.repeated()
    record_death("S3 trouble", twice / total)
    staging_gone = rule.holding == ".jsonl.gz" and rule.method == "PUT"
    assert twice <= total // 3 + 2 or staging_gone, f"{twice} of {total} pages were fetched twice"


MULTIPART = {
    "beginning it fails": Rule(500, "POST", "?uploads", times=None),
    "a part fails": Rule(500, "PUT", "partNumber=2", times=None),
    "a part is reset once": Rule("reset", "PUT", "partNumber=2"),
    "the completion fails": Rule(500, "POST", "uploadId", times=None),
    "the answer to the completion is lost": Rule("lose", "POST", "uploadId"),
    "aborting fails, too": Rule(500, "DELETE", "uploadId", times=None),
}


@pytest.mark.parametrize("what", MULTIPART)
def test_a_multipart_upload_that_fails_leaves_nothing_behind(world: World, what: str) -> None:
    task = world.task(1000)
    rules = [MULTIPART[what]]
    if rules[0].method == "DELETE":
        rules.append(Rule(500, "PUT", "partNumber=3", times=None))
    with S3Proxy(world.server, *rules) as proxy:
        task.endpoint = proxy.url
        task.new_run()
        attempt = task.start(prepare=small_parts)
        outcome = attempt.wait()
        assert proxy.fired, f"the fault did not happen\n{attempt.log()}"
    if outcome.kind == "error":
        assert outcome.error == "StoreUnavailableError", f"{outcome}\n{attempt.log()}"
        assert task.manifest() is None
        assert rules[0].method == "DELETE" or task.uploads() == [], "an upload was not aborted"
        task.endpoint = None
        task.land(tries=1, prepare=small_parts)
    task.check()


def full_at(number: int) -> Callable[..., None]:
    def prepare(operator: Any, tell: Callable[..., None]) -> None:
        """In the child: the disk is full from the n-th write to a temporary file on."""
        import tempfile

        from airflow_provider_kore.snapshot import commit

        commit.IN_MEMORY = 1
        make = tempfile.TemporaryFile
        written = [0]

        class Full:
            def __init__(self, file: Any) -> None:
                self._file = file

            def __enter__(self) -> Full:
                return self

            def __exit__(self, *_: object) -> None:
                self._file.close()

            def __getattr__(self, name: str) -> Any:
                return getattr(self._file, name)

            def write(self, data: Any) -> int:
                written[0] += 1
                if written[0] >= number:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return int(self._file.write(data))

        tempfile.TemporaryFile = lambda *args, **kwargs: Full(make(*args, **kwargs))

    return prepare


def limited(size: int) -> Callable[..., None]:
    def prepare(operator: Any, tell: Callable[..., None]) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return prepare


def full_disk(task: Task, prepare: Callable[..., None]) -> None:
    task.new_run()
    attempt = task.start(prepare=prepare)
    outcome = attempt.wait()
    assert (outcome.kind, outcome.error) == ("error", "TempSpaceError"), f"{outcome}\n{attempt.log()}"
    assert "TMPDIR" in outcome.message
    assert task.manifest() is None


@pytest.mark.parametrize(("file_format", "number"), [("jsonl", 2), ("csv", 3), ("parquet", 3)])
def test_a_full_temp_folder_loses_nothing_that_was_fetched(world: World, file_format: str, number: int) -> None:
    task = world.task(1_000, file_format=file_format, compression="none")
    full_disk(task, full_at(number))
    assert task.staged()
    task.land(tries=1)
    task.check()
    twice, total = task.repeated()
    assert twice <= 2, f"{twice} of {total} pages were fetched twice"
    record_death("full temp folder", twice / total)


def test_a_temp_folder_that_is_full_from_the_start_costs_no_page(world: World) -> None:
    task = world.task(1_000)
    full_disk(task, full_at(1))
    assert task.repeated() == (0, 0)


def test_a_file_larger_than_the_process_may_write_is_a_full_temp_folder(world: World) -> None:
    task = world.task(5_000, compression="none")
    full_disk(task, limited(1 << 20))
    task.land(tries=1)
    task.check()


def test_a_full_temp_folder_while_nothing_is_durable(world: World) -> None:
    task = world.task(2_000, durable=False)
    full_disk(task, limited(4 * 1024))
    assert task.staged() == []
    task.land(tries=1)
    task.check()
