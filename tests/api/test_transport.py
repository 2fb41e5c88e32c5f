"""One exchange over real sockets: what can go wrong between here and the server, and what is not done on the way."""

from __future__ import annotations

import gzip
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from clocks import ImpatientClock
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from landing import assert_clear, client_of, config_of, outcome_of
from processes import free_port
from urllib3.exceptions import InsecureRequestWarning

from airflow_provider_kore.api import transport as transport_module
from airflow_provider_kore.api.calls import contacts_of
from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.config import ApiConfig
from airflow_provider_kore.api.retry import NO_RETRIES, RetryPolicy
from airflow_provider_kore.api.transport import HttpRequest, HttpResponse, RequestsTransport, TooLargeError
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import KoreError, MalformedResponseError, TlsError, UnreachableError
from airflow_provider_kore.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = "a-token-nobody-may-see"


class RawServer:
    """Answers each request with bytes, as a test likes them.

    :param reply: given the number of the request on its connection (from 0) and its bytes; None closes the connection.
    """

    def __init__(self, reply: Callable[[int, bytes], bytes | None], *, close_after: int = 0) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = threading.Semaphore(0)
        self._reply = reply
        self._close_after = close_after
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=[connection], daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        number = 0
        with connection:
            while request := self._read(connection):
                self.requests.append(request)
                answer = self._reply(number, request)
                if answer is None:
                    break
                try:
                    connection.sendall(answer)
                except OSError:
                    break
                number += 1
                if number == self._close_after:
                    break
        self.closed.release()

    def _read(self, connection: socket.socket) -> bytes:
        found = b""
        try:
            while b"\r\n\r\n" not in found:
                piece = connection.recv(65536)
                if not piece:
                    return b""
                found += piece
        except OSError:
            return b""
        return found


@contextmanager
def serving(reply: Callable[[int, bytes], bytes | None], *, close_after: int = 0) -> Iterator[RawServer]:
    server = RawServer(reply, close_after=close_after)
    try:
        yield server
    finally:
        server.close()


def http(body: bytes = b"{}", status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def config(url: str, **changes: Any) -> ApiConfig:
    given: dict[str, Any] = {
        "base_url": url, "client_id": "cs-1", "client_secret": "s" * 64, "stream_id": "st-1", "account_id": "ac-1",
        "timeout": 5.0, "requests_per_minute": 0,
    }  # fmt: skip
    return ApiConfig(**{**given, **changes})


def exchange(url: str, **changes: Any) -> HttpResponse:
    transport = RequestsTransport(config(url, **changes), SystemClock())
    try:
        return transport.send(request())
    finally:
        transport.close()


def request() -> HttpRequest:
    return HttpRequest(method="GET", path="/path", query={"a": "b c"}, headers={"auth": TOKEN})


def failure(url: str, **changes: Any) -> KoreError:
    error = outcome_of(lambda: exchange(url, **changes))
    assert TOKEN not in repr(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


# --- Nobody answers --------------------------------------------------------------------------------------------------


def test_a_dead_host() -> None:
    error = failure(f"http://127.0.0.1:{free_port()}")
    assert isinstance(error, UnreachableError)
    assert "refuses the connection" in str(error)


def test_a_name_that_does_not_resolve() -> None:
    error = failure("http://no-such-host.invalid")
    assert isinstance(error, UnreachableError)
    assert "cannot be resolved" in str(error)


def test_a_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        error = failure(f"http://127.0.0.1:{mute.getsockname()[1]}", timeout=0.05)
    assert isinstance(error, UnreachableError)
    assert "within 0.05 s" in str(error)
    assert "timeout field" in str(error)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_dead_proxy(scheme: str) -> None:
    error = failure(f"{scheme}://kore.test", proxy=f"http://user:{TOKEN}@127.0.0.1:{free_port()}")
    assert isinstance(error, UnreachableError)
    assert "proxy" in str(error)


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n"])
def test_an_answer_that_is_no_http(answer: bytes) -> None:
    with serving(lambda *_: answer or None, close_after=1) as server:
        assert isinstance(failure(server.url), UnreachableError)


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulated")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_certificate_that_nobody_vouches_for_is_fatal_and_costs_no_retry(certificate: Path) -> None:
    with Simulator(certfile=str(certificate)) as kore:
        clock = ImpatientClock()
        with client_of(kore, clock) as client:
            error = outcome_of(client.get_contact_lists)
    assert isinstance(error, TlsError)
    assert "self-signed certificate" in str(error)
    assert "verify field" in str(error)
    assert clock.slept == []


@pytest.mark.parametrize("how", ["bundle", "off", "environment"])
def test_a_certificate_that_the_connection_vouches_for(
    certificate: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "environment":
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    verify = {"bundle": str(certificate), "off": False, "environment": True}[how]
    warned = pytest.warns(InsecureRequestWarning) if how == "off" else nullcontext()
    with Simulator(certfile=str(certificate)) as kore, warned:
        kore.add_list("cl-1", contacts=1)
        with client_of(kore, verify=verify) as client:
            assert client.check() == 1


def test_https_towards_a_server_that_speaks_plain_http(kore: Simulator) -> None:
    error = failure(kore.url.replace("http:", "https:"))
    assert isinstance(error, TlsError)


# --- Bodies ----------------------------------------------------------------------------------------------------------

BODY = b'{"status":"success","data":{"results":[' + b" " * 5000 + b"]}}"
ZIPPED = gzip.compress(BODY, mtime=0)


def chunked(body: bytes, *, end: bool = True) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
    return head + f"{len(body):x}\r\n".encode() + body + (b"\r\n0\r\n\r\n" if end else b"\r\n")


def test_whole_bodies_arrive() -> None:
    for answer in (http(BODY), http(ZIPPED, "200 OK", "Content-Encoding: gzip"), chunked(ZIPPED)):
        with serving(lambda *_, answer=answer: answer) as server:
            found = exchange(server.url)
        assert (found.status, found.body) == (200, BODY)


@pytest.mark.parametrize(
    "answer",
    [
        http(BODY[:-7], length=len(BODY)),
        http(b"", length=len(BODY)),
        http(ZIPPED[:-7], "200 OK", "Content-Encoding: gzip", length=len(ZIPPED)),
        chunked(ZIPPED[:-7], end=False),
        chunked(ZIPPED, end=False),
        http(b"no gzip at all", "200 OK", "Content-Encoding: gzip"),
    ],
    ids=["plain", "nothing", "gzip", "chunked gzip", "chunked without an end", "not gzip"],
)
def test_a_body_that_ends_too_early_is_retried(answer: bytes) -> None:
    with serving(lambda *_: answer, close_after=1) as server:
        error = failure(server.url)
    assert isinstance(error, MalformedResponseError | UnreachableError)
    assert "complete" in str(error)


def test_headers_that_end_too_early_are_no_empty_answer() -> None:
    with serving(lambda *_: b"HTTP/1.1 200 OK\r\nContent-Le", close_after=1) as server:
        client = CampaignClient(config(server.url), clock=ImpatientClock(), retry=NO_RETRIES)
        assert isinstance(outcome_of(lambda: client.get_contact_list("cl-1")), MalformedResponseError)


def test_gzip_that_ends_too_early_within_its_length_is_no_json() -> None:
    cut = http(ZIPPED[:-20], "200 OK", "Content-Encoding: gzip")
    with serving(lambda *_: cut) as server:
        client = CampaignClient(config(server.url), clock=ImpatientClock(), retry=RetryPolicy(attempts=2))
        assert isinstance(outcome_of(lambda: client.get_contact_list("cl-1")), MalformedResponseError)
        assert len(server.requests) == 2


def test_a_body_that_dribbles_in_ends_at_the_deadline(kore: Simulator) -> None:
    """No single read takes as long as the time-out."""
    kore.add_list("cl-1", contacts=50)
    kore.add_fault("slow_body", piece=100, pause=0.02)
    with CampaignClient(config_of(kore.connection, timeout=0.3), retry=NO_RETRIES) as client:
        error = outcome_of(lambda: list(client.iter_pages(contacts_of("cl-1"))))
    assert isinstance(error, UnreachableError)
    assert "within 0.3 s" in str(error)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_body_without_measure_is_left(zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "LARGEST_BODY", 100_000)
    body = b" " * 5_000_000
    answer = http(gzip.compress(body), "200 OK", "Content-Encoding: gzip") if zipped else http(body)
    with serving(lambda *_: answer) as server:
        error = failure(server.url)
    assert isinstance(error, TooLargeError)
    assert "more than 100,000 bytes" in str(error)
    assert "page_size" in str(error)


# --- Connections -----------------------------------------------------------------------------------------------------


def test_many_requests_share_one_connection() -> None:
    with serving(lambda *_: http(BODY)) as server:
        transport = RequestsTransport(config(server.url), SystemClock())
        for _ in range(50):
            transport.send(request())
        transport.close()
    assert (server.connections, len(server.requests)) == (1, 50)


def test_threads_share_it_and_each_gets_its_own_answer() -> None:
    def echo(_number: int, sent: bytes) -> bytes:
        return http(sent.split(b" ", 2)[1])

    with serving(echo) as server, ThreadPoolExecutor(8) as threads:
        transport = RequestsTransport(config(server.url), SystemClock(), connections=8)

        def ask(number: int) -> bytes:
            return transport.send(replace(request(), query={"skip": str(number)})).body

        assert list(threads.map(ask, range(400))) == [f"/path?skip={number}".encode() for number in range(400)]
        transport.close()
    assert server.connections <= 8


def test_a_zipped_and_a_whole_body_leave_the_connection_alike() -> None:
    answers = [http(BODY), http(ZIPPED, "200 OK", "Content-Encoding: gzip"), chunked(ZIPPED), http(b"")]
    with serving(lambda number, _: answers[number % len(answers)]) as server:
        transport = RequestsTransport(config(server.url), SystemClock())
        assert [transport.send(request()).body for _ in range(8)] == [BODY, BODY, BODY, b""] * 2
        transport.close()
    assert server.connections == 1


def test_closing_gives_up_the_connections_and_nothing_else() -> None:
    with serving(lambda *_: http(BODY)) as server:
        transport = RequestsTransport(config(server.url), SystemClock())
        for _ in range(2):
            assert transport.send(request()).body == BODY
            transport.close()
            assert server.closed.acquire(timeout=10)
    assert server.connections == 2


def test_refusals_do_not_cost_the_connection() -> None:
    with serving(lambda *_: http(b"<html>no</html>", "503 Service Unavailable")) as server:
        transport = RequestsTransport(config(server.url), SystemClock())
        assert [transport.send(request()).status for _ in range(5)] == [503] * 5
        transport.close()
    assert server.connections == 1


def test_a_kept_connection_that_the_server_has_closed_is_no_failure() -> None:
    answer = http(b'{"status":"success","data":{"_id":"cl-1"}}')
    with serving(lambda *_: answer, close_after=1) as server:
        client = CampaignClient(config(server.url), clock=ImpatientClock(), retry=NO_RETRIES)
        for _ in range(5):
            client.get_contact_list("cl-1")
            assert server.closed.acquire(timeout=10)
        client.close()
    assert (server.connections, client.spent.requests, client.spent.retries) == (5, 5, 0)


# --- What is not done on the way -------------------------------------------------------------------------------------


def test_a_redirect_is_not_followed(kore: Simulator) -> None:
    with serving(lambda *_: http(BODY)) as elsewhere:
        kore.add_fault("redirect", location=elsewhere.url)
        with client_of(kore) as client:
            error = outcome_of(client.get_contact_lists)
        assert "redirects" in str(error)
        assert elsewhere.requests == []


def test_netrc_is_ignored_and_no_cookie_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {TOKEN}x\ndefault login me password x\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(lambda *_: http(BODY, "200 OK", "Set-Cookie: a=b")) as server:
        transport = RequestsTransport(config(server.url), SystemClock())
        for _ in range(2):
            transport.send(request())
    sent = b"".join(server.requests).lower()
    assert b"authorization" not in sent
    assert b"cookie" not in sent


def test_what_is_sent() -> None:
    with serving(lambda *_: http(BODY)) as server:
        exchange(server.url)
    (sent,) = server.requests
    assert sent.startswith(b"GET /path?a=b+c HTTP/1.1\r\n")
    assert sent.count(TOKEN.encode()) == 1


# --- Proxies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["field", "HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_used(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda *_: http(BODY)) as proxy:
        if how != "field":
            monkeypatch.setenv(how, proxy.url)
        assert exchange("http://kore.invalid", proxy=proxy.url if how == "field" else None).body == BODY
    assert proxy.requests[0].startswith(b"GET http://kore.invalid/path?a=b+c HTTP/1.1")


def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(lambda *_: http(BODY)) as server:
        assert exchange(server.url).body == BODY


def test_the_field_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with serving(lambda *_: http(BODY)) as proxy:
        assert exchange("http://kore.invalid", proxy=proxy.url).body == BODY


def test_a_proxy_that_refuses_to_connect() -> None:
    with serving(lambda *_: http(b"", "407 Proxy Authentication Required")) as proxy:
        error = failure("https://kore.invalid", proxy=proxy.url)
    assert isinstance(error, UnreachableError)
    assert "proxy" in str(error)
    assert_clear(error)
