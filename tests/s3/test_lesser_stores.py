"""Stores that lack much of S3: what can be done without is a warning, and whole snapshots land and continue there."""

from __future__ import annotations

import gzip
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.config import ApiConfig
from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import KoreError, StoppedError
from airflow_provider_kore.snapshot.run import take_snapshot
from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec
from airflow_provider_kore.stop import Stop
from airflow_provider_kore.store.s3 import S3Store
from airflow_provider_kore.store.store import find

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_servers import S3Server

    from airflow_provider_kore.simulator import Simulator
    from airflow_provider_kore.snapshot.manifest import Manifest

pytestmark = pytest.mark.slow

CONTACTS = 1_200
"""Enough for checkpoints: a chunk is cut at 300."""

TYPE = "application/x-test"

WAYS_ROUND: dict[str, tuple[str, ...]] = {
    "localbucket": ("DeleteObjects", "user metadata"),
    "rclone": ("conditional writes",),
    "s3rver": ("conditional writes",),
}
"""By server, what the log says it lacks."""


SEVERAL = {"rows_per_file": 500}


@pytest.fixture(params=list(WAYS_ROUND))
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def bucket(server: S3Server) -> str:
    return server.bucket()


@pytest.fixture
def take(kore: Simulator) -> Callable[..., Manifest]:
    """Return a function that lands one list of the simulator in a bucket."""
    kore.add_list("cl-1", contacts=CONTACTS)
    found = kore.connection
    config = ApiConfig.parse(host=found["host"], login=found["login"], password=found["password"], extra=found["extra"])

    def run(
        client: Any,
        bucket: str,
        *,
        stop: Stop | None = None,
        on_checkpoint: Any = None,
        run_id: str = "run-1",
        **more: Any,
    ) -> Manifest:
        spec = SnapshotSpec.parse(
            source=ContactListSource(contact_list_id="cl-1"),
            s3_prefix="lake/contacts",
            snapshot_date="2026-01-02",
            generation="1",
            run=RunKey(dag_id="d", run_id=run_id, task_id="t"),
            **more,
        )
        store = S3Store(client, bucket)
        with CampaignClient(config) as kore_client:
            return take_snapshot(spec, kore_client, store, SystemClock(), stop, on_checkpoint=on_checkpoint)

    return run


def rows_of(client: Any, bucket: str, manifest: Manifest) -> list[str]:
    bodies = [client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in manifest.keys]
    return [json.loads(line)["_id"] for body in bodies for line in gzip.decompress(body).splitlines()]


def keys(client: Any, bucket: str) -> list[str]:
    return [found.key for found in S3Store(client, bucket).list("")]


def test_what_every_snapshot_needs_works(server: S3Server, bucket: str) -> None:
    store = S3Store(server.client(), bucket)
    written = store.put("dir/a", b"one", content_type=TYPE, metadata={"mine": "yes"})
    found = store.head("dir/a")
    assert found is not None
    assert (found.size, found.etag) == (3, written.etag)
    assert store.head("dir/none") is None
    assert find(store, "dir/none") is None
    assert store.get("dir/none") is None
    opened = store.get("dir/a")
    assert opened is not None
    with opened as stream:
        assert stream.read() == b"one"
    store.put("dir/a", b"two!", content_type=TYPE)
    store.put("dir/b", b"three", content_type=TYPE)
    assert [(each.key, each.size) for each in store.list("dir/")] == [("dir/a", 4), ("dir/b", 5)]
    store.delete(["dir/a", "dir/none", "dir/b"])
    assert list(store.list("")) == []


@pytest.mark.parametrize(
    ("server", "parameters"),
    [*((name, {}) for name in WAYS_ROUND), ("localbucket", SEVERAL), ("rclone", SEVERAL)],
    indirect=["server"],
)
def test_a_snapshot_lands_whole_is_found_again_and_is_replaced(
    server: S3Server,
    take: Callable[..., Manifest],
    kore: Simulator,
    parameters: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, bucket = server.client(), server.bucket()
    with caplog.at_level(logging.INFO, "airflow_provider_kore"):
        first = take(client, bucket, **parameters)
    told = [record for record in caplog.records if record.getMessage().startswith("What the store of bucket")]
    assert [record.levelname for record in told] == ["WARNING"]
    for lacking in WAYS_ROUND[server.name]:
        assert lacking in told[0].getMessage()
    landed = rows_of(client, bucket, first)
    assert len(set(landed)) == len(landed) == CONTACTS
    named = {*first.keys, "lake/contacts/contact_list_id=cl-1/snapshot_date=2026-01-02/_manifest.json"}
    assert set(keys(client, bucket)) == named, "something stays behind"

    asked = len(kore.requests)
    assert take(client, bucket, **parameters).content == first.content
    assert len(kore.requests) == asked, "a retry after the commit walks again"

    second = take(client, bucket, run_id="run-2", **parameters)
    assert rows_of(client, bucket, second) == landed
    assert {key for key in keys(client, bucket) if not key.endswith(".json")} == set(second.keys)


def test_a_walk_that_is_stopped_continues_where_it_was(
    server: S3Server, bucket: str, take: Callable[..., Manifest], kore: Simulator
) -> None:
    client, stop = server.client(), Stop()
    with pytest.raises(StoppedError):
        take(client, bucket, stop=stop, on_checkpoint=lambda _: stop.request())
    assert any("_staging" in key for key in keys(client, bucket))
    manifest = take(client, bucket)
    assert manifest.content["walk"]["resumed_from"]
    assert len(rows_of(client, bucket, manifest)) == CONTACTS
    assert not any("_staging" in key for key in keys(client, bucket))


def test_a_large_file_lands_in_parts_or_as_they_can(
    server: S3Server, bucket: str, take: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_kore.store import upload

    monkeypatch.setitem(upload.upload_file.__kwdefaults__, "single_put_bytes", 0)
    client = server.client()
    try:
        manifest = take(client, bucket, compression="none")
    except KoreError as error:
        pytest.fail(f"{type(error).__name__}: {error}")
    body = client.get_object(Bucket=bucket, Key=manifest.keys[0])["Body"].read()
    assert len(body.splitlines()) == CONTACTS
