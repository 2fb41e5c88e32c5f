"""Each way in which S3 can refuse, and the error that a person gets to read instead."""

from __future__ import annotations

import http.server
import pickle
import ssl
import threading
import traceback
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
import pytest
from botocore import exceptions as boto
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from interception import Interceptor, response
from urllib3.exceptions import ProtocolError

from airflow_provider_kore.exceptions import (
    BucketNotFoundError,
    CredentialsError,
    FatalError,
    KoreError,
    RequestRefusedError,
    StorePermissionError,
    StoreUnavailableError,
    TlsError,
)
from airflow_provider_kore.store.s3 import S3Store
from airflow_provider_kore.store.s3.errors import Call, translate
from airflow_provider_kore.store.s3.settings import S3Settings
from airflow_provider_kore.store.store import (
    ABSENT,
    AccessRefused,
    CallUnsupported,
    Condition,
    ConditionFailed,
    ConditionUnsupported,
    Part,
    Upload,
    UploadGone,
    find,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from s3_servers import S3Server

pytestmark = pytest.mark.slow

TYPE = "application/x-test"
UPLOAD = Upload(key="dir/k", upload_id="u1")
PART = Part(number=1, etag='"e"', checksum="AAAA", size=1)
CALLS: dict[str, tuple[str, Callable[[S3Store], Any]]] = {
    "HeadObject": ("s3:GetObject", lambda store: store.head("dir/k")),
    "GetObject": ("s3:GetObject", lambda store: store.get("dir/k")),
    "PutObject": ("s3:PutObject", lambda store: store.put("dir/k", b"x", content_type=TYPE)),
    "ListObjectsV2": ("s3:ListBucket", lambda store: list(store.list("dir/"))),
    "DeleteObjects": ("s3:DeleteObject", lambda store: store.delete(["dir/k"])),
    "CreateMultipartUpload": ("s3:PutObject", lambda store: store.create_upload("dir/k", content_type=TYPE)),
    "UploadPart": ("s3:PutObject", lambda store: store.upload_part(UPLOAD, 1, b"x")),
    "CompleteMultipartUpload": ("s3:PutObject", lambda store: store.complete_upload(UPLOAD, [PART])),
    "AbortMultipartUpload": ("s3:AbortMultipartUpload", lambda store: store.abort_upload(UPLOAD)),
    "ListMultipartUploads": ("s3:ListBucketMultipartUploads", lambda store: list(store.list_uploads("dir/"))),
}
BODY = "User: arn:aws:sts::123456789012:assumed-role/private/AKIAPRIVATE is not authorized"


@pytest.fixture
def intercepted(moto_server: S3Server) -> tuple[S3Store, Interceptor]:
    """A store whose requests need not arrive anywhere."""
    client = moto_server.client()
    return S3Store(client, "kore-intercepted"), Interceptor(client)


@pytest.mark.parametrize("operation", CALLS)
def test_a_refusal_names_the_permission_the_bucket_and_the_key(
    intercepted: tuple[S3Store, Interceptor], operation: str
) -> None:
    store, interceptor = intercepted
    interceptor.answer("*", 403, "AccessDenied", message=BODY)
    permission, call = CALLS[operation]
    with pytest.raises(StorePermissionError) as refused:
        call(store)
    assert isinstance(refused.value, AccessRefused)
    assert refused.value.permission == permission
    for word in (operation, permission, "kore-intercepted", "dir/"):
        assert word in str(refused.value)
    # a GET tells more than a HEAD, and some stores delete one by one only
    assert len(interceptor.requests) == (2 if operation in {"HeadObject", "DeleteObjects"} else 1)


@pytest.mark.parametrize(
    ("operation", "status", "code"),
    [
        *((operation, 503, "SlowDown") for operation in CALLS),
        ("PutObject", 500, "InternalError"),
        ("HeadObject", 503, ""),
        ("ListObjectsV2", 429, ""),
    ],
)
def test_a_busy_server_is_worth_another_try(
    intercepted: tuple[S3Store, Interceptor], operation: str, status: int, code: str
) -> None:
    store, interceptor = intercepted
    interceptor.answer("*", status, code, message=BODY, headers={"Retry-After": "7"})
    with pytest.raises(StoreUnavailableError, match=operation) as refused:
        CALLS[operation][1](store)
    assert refused.value.retry_after == 7.0


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        *((operation, boto.ReadTimeoutError(endpoint_url="http://private")) for operation in CALLS),
        ("PutObject", boto.EndpointConnectionError(endpoint_url="http://private")),
        ("PutObject", boto.ConnectTimeoutError(endpoint_url="http://private")),
        ("PutObject", boto.ConnectionClosedError(endpoint_url="http://private")),
        ("PutObject", boto.CredentialRetrievalError(provider="iam-role", error_msg="private")),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_no_answer_is_worth_another_try(
    intercepted: tuple[S3Store, Interceptor], operation: str, error: Exception
) -> None:
    store, interceptor = intercepted

    def fail(_: Any) -> None:
        raise error

    interceptor.act("*", fail)
    with pytest.raises(StoreUnavailableError, match=type(error).__name__) as refused:
        CALLS[operation][1](store)
    assert "private" not in "".join(traceback.format_exception(refused.value))


OUTCOMES: dict[str, tuple[int, str, type[KoreError], str]] = {
    "no such bucket": (404, "NoSuchBucket", BucketNotFoundError, "no such bucket"),
    "unknown key id": (403, "InvalidAccessKeyId", CredentialsError, "access key id"),
    "wrong secret": (403, "SignatureDoesNotMatch", CredentialsError, "secret access key"),
    "wrong clock": (403, "RequestTimeTooSkewed", CredentialsError, "clock"),
    "expired token": (400, "ExpiredToken", StoreUnavailableError, "expired"),
    "not said to a HEAD": (400, "", StoreUnavailableError, "expired"),
    "damaged on its way": (400, "BadDigest", StoreUnavailableError, "checksum"),
    "came too slowly": (400, "RequestTimeout", StoreUnavailableError, "took too long"),
    "conflict": (409, "ConditionalRequestConflict", StoreUnavailableError, "another write"),
    "no ACLs": (400, "AccessControlListNotSupported", RequestRefusedError, "acl"),
    "archived": (403, "InvalidObjectState", RequestRefusedError, "restore"),
    "no such key in KMS": (400, "KMS.NotFoundException", RequestRefusedError, "KMS key"),
    "disabled key in KMS": (400, "KMS.DisabledException", RequestRefusedError, "disabled"),
    "an argument": (400, "InvalidArgument", RequestRefusedError, "InvalidArgument"),
    "not implemented": (501, "NotImplemented", CallUnsupported, "does not implement"),
    "not allowed": (405, "MethodNotAllowed", CallUnsupported, "does not implement"),
    "an MD5 wanted": (400, "MissingContentMD5", CallUnsupported, "does not implement"),
    "never heard of": (418, "Te<apot", RequestRefusedError, "unknown"),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_answer_has_its_error(intercepted: tuple[S3Store, Interceptor], outcome: str) -> None:
    store, interceptor = intercepted
    status, code, error, word = OUTCOMES[outcome]
    interceptor.answer("*", status, code.replace("<", "&lt;"), message=BODY)
    with pytest.raises(error, match=word) as refused:
        store.put("dir/k", b"contact", content_type=TYPE)
    shown = "".join(traceback.format_exception(refused.value))
    for private in ("AKIAPRIVATE", "123456789012", "contact", "http://"):
        assert private not in shown.replace("content_type=TYPE", "").replace('b"contact"', ""), "nothing of the body"
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (boto.SSLError(endpoint_url="https://x", error=ssl.SSLCertVerificationError(1, "no")), TlsError),
        (boto.SSLError(endpoint_url="https://x", error=OSError("EOF occurred")), StoreUnavailableError),
        (boto.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), CredentialsError),
        (boto.UnauthorizedSSOTokenError(), CredentialsError),
        (boto.ParamValidationError(report="Unknown parameter: private"), RequestRefusedError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_each_complaint_of_botocore_has_its_error(
    intercepted: tuple[S3Store, Interceptor], error: Exception, expected: type[KoreError]
) -> None:
    store, interceptor = intercepted

    def fail(_: Any) -> None:
        raise error

    interceptor.act("*", fail)
    with pytest.raises(expected):
        store.head("k")


def test_a_certificate_that_nobody_signed_is_an_error_of_tls_and_not_an_outage(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = tmp_path / "pem"
    pem.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    for encrypted, expected in ((True, TlsError), (False, StoreUnavailableError)):
        server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if encrypted:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client: Any = boto3.client(
            "s3",
            endpoint_url=f"https://localhost:{server.server_port}",
            region_name="eu-central-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=10),
        )
        with pytest.raises(expected, match="HeadObject on s3://bucket/k"):
            S3Store(client, "bucket").head("k")
        server.shutdown()
        server.server_close()


def test_without_credentials_it_says_so() -> None:
    client: Any = boto3.Session(region_name="eu-central-1").client("s3", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(CredentialsError, match="no complete AWS credentials"):
        S3Store(client, "bucket").head("k")


def test_a_bucket_in_another_region_is_named_with_the_region(intercepted: tuple[S3Store, Interceptor]) -> None:
    store, interceptor = intercepted
    interceptor.answer("*", 301, "PermanentRedirect", headers={"x-amz-bucket-region": "ap-south-1"})
    with pytest.raises(FatalError, match=r"region 'ap-south-1'.*region_name"):
        store.put("k", b"", content_type=TYPE)
    with pytest.raises(FatalError, match="region 'ap-south-1'"):
        store.head("k")


KMS = (
    f"{BODY} to perform: kms:GenerateDataKey on resource: arn:aws:kms:eu-central-1:123456789012:key/private because no"
)


def test_a_refusal_by_kms_names_the_permission_of_kms(intercepted: tuple[S3Store, Interceptor]) -> None:
    store, interceptor = intercepted
    interceptor.answer("*", 403, "AccessDenied", message=KMS)
    with pytest.raises(AccessRefused, match="kms:GenerateDataKey") as refused:
        store.put("k", b"", content_type=TYPE)
    assert refused.value.permission == "kms:GenerateDataKey"
    assert "arn:" not in str(refused.value)
    interceptor.answer("*", 400, "KMS.AccessDeniedException")
    with pytest.raises(AccessRefused, match="kms:Decrypt"):
        store.get("k")


def test_what_acl_and_tags_take_on_top_is_named(moto_server: S3Server) -> None:
    client = moto_server.client()
    Interceptor(client).answer("*", 403, "AccessDenied")
    settings = S3Settings(acl="private", tags={"team": "data"}, expected_bucket_owner="123456789012")
    with pytest.raises(AccessRefused, match=r"s3:PutObject and s3:PutObjectAcl and s3:PutObjectTagging.*123456789012"):
        S3Store(client, "bucket", settings).put("k", b"", content_type=TYPE)


def test_a_head_refused_says_that_the_key_may_not_exist(intercepted: tuple[S3Store, Interceptor]) -> None:
    store, interceptor = intercepted
    interceptor.answer("HeadObject", 403)
    with pytest.raises(AccessRefused, match="s3:ListBucket"):
        store.head("k")


def test_what_a_deletion_did_not_delete_is_an_error(intercepted: tuple[S3Store, Interceptor]) -> None:
    store, interceptor = intercepted

    def refuse(code: str) -> None:
        body = f"<DeleteResult><Error><Key>dir/k</Key><Code>{code}</Code><Message>x</Message></Error></DeleteResult>"
        interceptor.act("DeleteObjects", lambda _: response(200, body.encode()))

    refuse("AccessDenied")
    with pytest.raises(AccessRefused, match="dir/k"):
        store.delete(["dir/k"])
    refuse("SlowDown")
    with pytest.raises(StoreUnavailableError):
        store.delete(["dir/k"])
    refuse("InternalError")
    with pytest.raises(StoreUnavailableError):
        store.delete(["dir/k"])
    refuse("NoSuchKey")
    store.delete(["dir/k"])


@pytest.mark.parametrize("condition", [ABSENT, Condition(etag='"e"')])
@pytest.mark.parametrize("commit", ["PutObject", "CompleteMultipartUpload"])
def test_conditions_have_outcomes_of_their_own(
    intercepted: tuple[S3Store, Interceptor], commit: str, condition: Condition
) -> None:
    store, interceptor = intercepted

    def write() -> None:
        if commit == "PutObject":
            store.put("k", b"", content_type=TYPE, condition=condition)
        else:
            store.complete_upload(UPLOAD, [PART], condition=condition)

    interceptor.answer("*", 412, "PreconditionFailed")
    with pytest.raises(ConditionFailed):
        write()
    interceptor.answer("*", 404, "NoSuchKey")
    with pytest.raises(ConditionFailed):
        write()
    interceptor.answer("*", 404, "NoSuchUpload")
    with pytest.raises(UploadGone):
        write()
    for status, code in ((501, "NotImplemented"), (400, "InvalidArgument")):
        interceptor.answer("*", status, code)
        with pytest.raises(ConditionUnsupported):
            write()
    interceptor.answer("*", 409, "ConditionalRequestConflict")
    with pytest.raises(StoreUnavailableError):
        write()
    interceptor.answer("*", 404, "NoSuchBucket")
    with pytest.raises(BucketNotFoundError):
        write()


def test_a_lost_answer_leaves_the_condition_in_doubt(s3_server: S3Server) -> None:
    client = s3_server.client(retries=1)
    store = S3Store(client, s3_server.bucket())
    Interceptor(client).lose_the_first_answer("PutObject")
    with pytest.raises(ConditionFailed) as refused:
        store.put("k", b"mine", content_type=TYPE, condition=ABSENT)
    assert refused.value.in_doubt
    opened = store.get("k")
    assert opened is not None
    with opened as stream:
        assert stream.read() == b"mine"


def test_a_server_that_checks_keys_is_understood(ministack_server: S3Server) -> None:
    running = ministack_server
    bucket = running.bucket()
    wrong = (running.access_key, "not-the-secret")
    unknown = ("AKIAUNKNOWNUNKNOWN00", "x")
    for key, word in ((wrong, "secret access key"), (unknown, "access key id")):
        store = S3Store(running.client(key=key), bucket)
        for operation in CALLS.keys() - {"HeadObject", "CompleteMultipartUpload"}:
            with pytest.raises(CredentialsError, match=word) as refused:
                CALLS[operation][1](store)
            assert key[0] not in str(refused.value)
            assert key[1] not in str(refused.value).split()
    with pytest.raises(StorePermissionError, match="credentials themselves"):
        S3Store(running.client(key=wrong), bucket).head("k")
    with pytest.raises(CredentialsError, match="token"):
        S3Store(running.client(token="made-up"), bucket).get("k")


@pytest.mark.parametrize("granted", ["s3:GetObject", "s3:PutObject", "s3:ListBucket"])
def test_whatever_a_policy_leaves_out_is_named(ministack_server: S3Server, granted: str) -> None:
    running = ministack_server
    bucket = running.bucket()
    S3Store(running.client(), bucket).put("dir/k", b"x", content_type=TYPE)
    store = S3Store(running.client(key=running.user(granted)), bucket)
    for operation in CALLS.keys() - {"UploadPart", "CompleteMultipartUpload"}:
        permission, call = CALLS[operation]
        if permission == granted:
            call(store)
            continue
        with pytest.raises(AccessRefused) as refused:
            call(store)
        assert refused.value.permission == permission


def read_to_the_end(stream: BinaryIO) -> None:
    while stream.read(100_000):
        pass


@pytest.mark.parametrize("how", ["short", "reset", "wrong checksum"])
def test_a_stream_that_breaks_is_never_a_short_object(intercepted: tuple[S3Store, Interceptor], how: str) -> None:
    store, interceptor = intercepted
    headers = {"content-length": "2000000" if how != "wrong checksum" else "1000000", "etag": '"e"'}
    if how == "wrong checksum":
        headers["x-amz-checksum-crc32"] = "AAAAAA=="
    answer = response(200, b"x" * 1_000_000, headers)
    if how == "reset":
        whole = answer.raw.read

        def read(amount: int | None = None) -> bytes:
            data: bytes = whole(amount)
            if not data:
                raise ProtocolError("Connection broken")
            return data

        answer.raw.read = read
    interceptor.act("GetObject", lambda _: answer)
    opened = store.get("k")
    assert opened is not None
    with opened as stream:
        assert stream.read(1000) == b"x" * 1000
        with pytest.raises(StoreUnavailableError, match="GetObject on s3://kore-intercepted/k"):
            read_to_the_end(stream)
    assert answer.raw.closed


def test_an_absent_key_is_found_absent_where_a_head_is_refused(s3_server: S3Server) -> None:
    client = s3_server.client()
    store = S3Store(client, s3_server.bucket())
    store.put("dir/there", b"x", content_type=TYPE)
    store.put("dir/k2", b"x", content_type=TYPE)
    described = find(store, "dir/there")
    assert described == store.head("dir/there")
    assert find(store, "dir/k") is None
    interceptor = Interceptor(client)
    interceptor.answer("HeadObject", 403)
    interceptor.answer("GetObject", 403, "AccessDenied")
    assert find(store, "dir/k") is None
    with pytest.raises(AccessRefused, match="HeadObject"):
        find(store, "dir/there")
    interceptor.answer("ListObjectsV2", 403, "AccessDenied")
    with pytest.raises(AccessRefused, match="HeadObject"):
        find(store, "dir/k")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, CredentialsError),
        ("Throttling", 400, StoreUnavailableError),
        ("x", 500, StoreUnavailableError),
    ],
)
def test_credentials_that_cannot_be_renewed_in_mid_walk_are_not_a_missing_permission(
    code: str, status: int, kind: type[Exception]
) -> None:
    answer: Any = {"Error": {"Code": code, "Message": "arn:aws:iam::123456789012:role/x"}}
    answer["ResponseMetadata"] = {"HTTPStatusCode": status}
    error = translate(boto.ClientError(answer, "AssumeRole"), Call(operation="PutObject", bucket="lake", key="k"))
    assert type(error) is kind
    assert "123456789012" not in str(error)
    assert "AssumeRole" in str(error) or "token service" in str(error)
