"""A real server behind what no server here can be made to do: each way to differ is found out or gone round."""

from __future__ import annotations

import gzip
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from interception import Interceptor, response

from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.config import ApiConfig
from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import KoreError
from airflow_provider_kore.snapshot.run import take_snapshot
from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec
from airflow_provider_kore.store.s3 import S3Store
from airflow_provider_kore.store.s3.settings import S3Settings, patient_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_servers import S3Server

    from airflow_provider_kore.simulator import Simulator
    from airflow_provider_kore.snapshot.manifest import Manifest

pytestmark = pytest.mark.slow

CONTACTS = 500
"""Enough for checkpoints: a chunk is cut at some hundreds."""
TYPE = "application/x-test"
CHECKSUM = "x-amz-checksum-"


class Hurried(SystemClock):
    """Waits no time at all."""

    def sleep(self, seconds: float) -> None:
        """Nothing to do."""


def refuse(operation: str, status: int, code: str) -> Callable[[Any, Interceptor], None]:
    return lambda _, interceptor: interceptor.answer(operation, status, code)


def refuse_header(start: str, status: int, code: str) -> Callable[[Any, Interceptor], None]:
    """Refuse every request with a header that begins so."""

    def act(request: Any) -> Any:
        named = any(name.lower().startswith(start) for name in request.headers)
        body = b"" if request.method == "HEAD" else f"<Error><Code>{code}</Code></Error>".encode()
        return response(status, body) if named else None

    return lambda _, interceptor: interceptor.act("*", act)


def lose_header(start: str, *operations: str) -> Callable[[Any, Interceptor], None]:
    """Take headers that begin so out of the answers."""

    def strip(response_dict: dict[str, Any], **_: Any) -> None:
        headers = response_dict["headers"]
        for name in [name for name in headers if name.lower().startswith(start)]:
            del headers[name]

    def set_up(client: Any, interceptor: Interceptor) -> None:
        for operation in operations:
            client.meta.events.register(f"before-parse.s3.{operation}", strip)

    return set_up


def rewrite_etag(write: Callable[[str], str]) -> Callable[[Any, Interceptor], None]:
    """Change the ETag of each answer that has one in its headers."""

    def change(response_dict: dict[str, Any], **_: Any) -> None:
        if found := response_dict["headers"].get("ETag"):
            response_dict["headers"]["ETag"] = write(found)

    return lambda client, _: client.meta.events.register("before-parse.s3", change)


def passed_on(client: Any, request: Any) -> Any:
    answer = client._endpoint.http_session.send(request)
    answer.content  # noqa: B018 - read to its end
    return answer


def lag(client: Any, interceptor: Interceptor) -> None:
    """The first HEADs of a key after each write say that it is not there."""
    pending: dict[str, int] = {}

    def write(request: Any) -> Any:
        answer = passed_on(client, request)
        if answer.status_code == 200:
            pending[request.url.partition("?")[0]] = 3
        return answer

    def head(request: Any) -> Any:
        left = pending.get(request.url, 0)
        pending[request.url] = left - 1
        return response(404) if left > 0 else None

    interceptor.act("PutObject", write)
    interceptor.act("CompleteMultipartUpload", write)
    interceptor.act("HeadObject", head)


def show_the_old(client: Any, interceptor: Interceptor) -> None:
    """The first HEADs after a write describe what it replaced."""
    seen: dict[str, Any] = {}
    pending: dict[str, int] = {}

    def write(request: Any) -> Any:
        answer = passed_on(client, request)
        if answer.status_code == 200:
            pending[request.url.partition("?")[0]] = 3
        return answer

    def head(request: Any) -> Any:
        url = request.url
        if pending.get(url, 0) > 0 and url in seen:
            pending[url] -= 1
            return response(200, b"", seen[url])
        answer = passed_on(client, request)
        if answer.status_code == 200:
            seen[url] = {name.lower(): value for name, value in answer.headers.items()}
        return answer

    interceptor.act("PutObject", write)
    interceptor.act("HeadObject", head)


METADATA = ("HeadObject", "GetObject")
STRANGE: dict[str, tuple[Callable[[Any, Interceptor], None], str]] = {
    "no DeleteObjects: MissingContentMD5": (refuse("DeleteObjects", 400, "MissingContentMD5"), "DeleteObjects"),
    "no DeleteObjects: GCS": (refuse("DeleteObjects", 400, "InvalidArgument"), "DeleteObjects"),
    "nothing can be deleted": (refuse("DeleteObjects", 403, "AccessDenied"), ""),
    "uploads may not be listed": (refuse("ListMultipartUploads", 403, "AccessDenied"), "listing uploads"),
    "no uploads are aborted": (refuse("AbortMultipartUpload", 405, "MethodNotAllowed"), "aborting uploads"),
    "no multipart uploads": (refuse("CreateMultipartUpload", 501, "NotImplemented"), "multipart uploads"),
    "no HEAD: 405": (refuse("HeadObject", 405, ""), "HeadObject"),
    "no HEAD: 403": (refuse("HeadObject", 403, ""), "HeadObject"),
    "no metadata": (lose_header("x-amz-meta-", *METADATA), "user metadata"),
    "checksum headers are refused: 400": (refuse_header(CHECKSUM, 400, "InvalidArgument"), "x-amz-checksum"),
    "conditions are refused: 501": (refuse_header("if-", 501, "NotImplemented"), "conditional writes"),
    "conditions fail always": (refuse_header("if-", 412, "PreconditionFailed"), "conditional writes"),
    "weak ETags": (rewrite_etag(lambda etag: f"W/{etag}"), ""),
    "ETags without quotes": (rewrite_etag(lambda etag: etag.strip('"')), ""),
    "no ETag in the answer to a put": (lose_header("etag", "PutObject"), ""),
    "HEADs that lag": (lag, ""),
    "HEADs that show what was replaced": (show_the_old, ""),
}


@pytest.fixture
def take(kore: Simulator) -> Callable[..., Manifest]:
    """Return a function that lands one list of the simulator in a bucket."""
    kore.add_list("cl-1", contacts=CONTACTS)
    found = kore.connection
    config = ApiConfig.parse(host=found["host"], login=found["login"], password=found["password"], extra=found["extra"])

    def run(
        client: Any, bucket: str, *, run_id: str = "run-1", settings: S3Settings | None = None, **more: Any
    ) -> Manifest:
        spec = SnapshotSpec.parse(
            source=ContactListSource(contact_list_id="cl-1"),
            s3_prefix="lake/contacts",
            snapshot_date="2026-01-02",
            generation="1",
            run=RunKey(dag_id="d", run_id=run_id, task_id="t"),
            **more,
        )
        with CampaignClient(config) as kore_client:
            return take_snapshot(spec, kore_client, S3Store(client, bucket, settings), Hurried())

    return run


def check(server: S3Server, bucket: str, manifest: Manifest) -> None:
    """The snapshot is whole, as a client sees it that meets the server itself."""
    client = server.client()
    bodies = [client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in manifest.keys]
    ids = [json.loads(line)["_id"] for body in bodies for line in gzip.decompress(body).splitlines()]
    assert len(set(ids)) == len(ids) == CONTACTS
    stored = client.get_object(Bucket=bucket, Key=manifest.keys[0].rpartition("/")[0] + "/_manifest.json")
    assert json.loads(stored["Body"].read())["snapshot_id"] == manifest.snapshot_id


SEVERAL = ("no DeleteObjects: GCS", "uploads may not be listed", "no HEAD: 405", "no metadata", "HEADs that lag")
"""Where a snapshot of several files goes another way."""


@pytest.mark.parametrize(
    ("what", "rows_per_file"), [*((what, None) for what in STRANGE), *((what, 400) for what in SEVERAL)]
)
def test_a_snapshot_lands_is_found_again_and_is_replaced(
    moto_server: S3Server,
    take: Callable[..., Manifest],
    caplog: pytest.LogCaptureFixture,
    what: str,
    rows_per_file: int | None,
) -> None:
    parameters = {"rows_per_file": rows_per_file}
    client, bucket = moto_server.client(), moto_server.bucket()
    set_up, told = STRANGE[what]
    set_up(client, Interceptor(client))
    with caplog.at_level(logging.INFO, "airflow_provider_kore"):
        first = take(client, bucket, **parameters)
    check(moto_server, bucket, first)
    lines = [each for each in caplog.records if each.getMessage().startswith("What the store of bucket")]
    assert len(lines) == 1
    if told:
        assert lines[0].levelname == "WARNING"
        assert told in lines[0].getMessage()
    again = take(client, bucket, **parameters)
    assert again.content == first.content, "a retry after the commit walks again"
    check(moto_server, bucket, take(client, bucket, run_id="run-2", **parameters))


NEEDED = {
    "PutObject": (403, "AccessDenied"),
    "GetObject": (501, "NotImplemented"),
    "ListObjectsV2": (501, "NotImplemented"),
}


@pytest.mark.parametrize("operation", NEEDED)
def test_what_is_needed_and_missing_is_named_before_a_contact_is_fetched(
    moto_server: S3Server, kore: Simulator, take: Callable[..., Manifest], operation: str
) -> None:
    client = moto_server.client()
    Interceptor(client).answer(operation, *NEEDED[operation])
    with pytest.raises(KoreError, match=operation):
        take(client, moto_server.bucket())
    assert kore.requests == []


@pytest.mark.parametrize(
    ("operation", "missing"), [("HeadObject", "etag"), ("HeadObject", "content-length")], ids=["ETag", "ContentLength"]
)
def test_what_an_answer_must_hold_and_lacks_is_named(
    moto_server: S3Server, kore: Simulator, take: Callable[..., Manifest], operation: str, missing: str
) -> None:
    client = moto_server.client()
    lose_header(missing, operation, "GetObject")(client, Interceptor(client))
    with pytest.raises(KoreError, match=operation):
        take(client, moto_server.bucket())
    assert kore.requests == []


@pytest.mark.parametrize("way", ["none", "when_required"])
def test_no_checksum_header_is_sent_where_none_is_wanted(
    moto_server: S3Server, take: Callable[..., Manifest], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_kore.store import upload

    client, bucket = moto_server.client(), moto_server.bucket()
    if way == "when_required":
        quiet = Config(request_checksum_calculation=way, response_checksum_validation=way)
        client.meta._client_config = client.meta.config.merge(quiet)
        settings = S3Settings()
    else:
        settings = S3Settings(checksum_algorithm=way)
    interceptor = Interceptor(client)
    manifest = take(client, bucket, settings=settings)
    check(moto_server, bucket, manifest)
    assert manifest.content["files"][0]["evidence"] in {"checksum", "read back"}
    monkeypatch.setitem(upload.upload_file.__kwdefaults__, "single_put_bytes", 0)
    monkeypatch.setitem(upload.upload_file.__kwdefaults__, "part_bytes", 8 * 1024)
    check(moto_server, bucket, take(client, bucket, settings=settings, run_id="run-2"))
    for request in interceptor.requests:
        if request.operation != "DeleteObjects":  # S3 insists on one there
            sent = [name for name in request.headers if name.startswith(("x-amz-checksum-", "x-amz-sdk-checksum"))]
            assert sent == [], request.operation
    assert {"PutObject", "UploadPart"} <= {request.operation for request in interceptor.requests}


@pytest.mark.parametrize("name", ["sha256", "SHA256", "SHA-256", "crc32", "Crc32", "none", "None", None])
def test_an_algorithm_may_be_written_as_people_do(name: str | None) -> None:
    expected = "NONE" if name is None else name.upper().replace("-", "")
    assert S3Settings(checksum_algorithm=name).checksum_algorithm == expected


def test_a_hanging_store_is_noticed_soon_where_the_connection_says_nothing() -> None:
    ours: Any = patient_config(None, {})
    assert (ours.connect_timeout, ours.read_timeout) == (10, 20)
    theirs: Any = patient_config(Config(read_timeout=300, max_pool_connections=7), {"read_timeout": 300})
    assert (theirs.connect_timeout, theirs.read_timeout, theirs.max_pool_connections) == (10, 300, 7)


def test_a_directory_bucket_is_listed_in_order_and_below_folders_only(moto_server: S3Server) -> None:
    client = moto_server.client()
    store = S3Store(client, "lake--euc1-az1--x-s3")
    asked: list[str] = []

    def listing(request: Any) -> Any:
        asked.append(request.url)
        keys = "".join(f"<Contents><Key>dir/{name}</Key></Contents>" for name in ("contacts-b", "other", "contacts-a"))
        return response(200, f"<ListBucketResult>{keys}</ListBucketResult>".encode())

    interceptor = Interceptor(client)
    interceptor.act("ListObjectsV2", listing)
    interceptor.act("CreateSession", lambda _: response(200, SESSION))
    assert [found.key for found in store.list("dir/contacts")] == ["dir/contacts-a", "dir/contacts-b"]
    assert "prefix=dir%2F&" in asked[0]


SESSION = b"""<CreateSessionResult><Credentials><AccessKeyId>a</AccessKeyId><SecretAccessKey>b</SecretAccessKey>
<SessionToken>c</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></CreateSessionResult>"""
