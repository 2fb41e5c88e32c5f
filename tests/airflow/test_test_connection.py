"""The Test button: one request when all is well, one sentence that names the cause when it isn't."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import json
import re
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from processes import free_port

from airflow_provider_kore.hooks.campaign import KoreCampaignHook
from airflow_provider_kore.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Define = Callable[[str, dict[str, Any]], None]


@pytest.fixture
def connect(kore: Simulator, define: Define) -> Callable[..., KoreCampaignHook]:
    """Return a function that makes a hook to the simulator, with changes to its connection."""

    def make(**changes: Any) -> KoreCampaignHook:
        connection = kore.connection
        for name, value in changes.items():
            (connection if name in {"host", "login", "password"} else connection["extra"])[name] = value
        define("kore_default", connection)
        return KoreCampaignHook()

    return make


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody has signed but itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


@pytest.fixture
def tls_kore(self_signed: Path) -> Iterator[Simulator]:
    with Simulator(certfile=str(self_signed), requests_per_minute=0) as running:
        yield running


def check_failure(hook: KoreCampaignHook, *senses: str) -> str:
    """Press the button; the sentence must have each of these senses (patterns), and nothing that is secret."""
    works, sentence = hook.test_connection()
    assert works is False
    for sense in senses:
        assert re.search(sense, sentence, re.IGNORECASE), (sense, sentence)
    assert sentence.endswith((".", "?"))
    assert "\n" not in sentence
    assert "eyJ" not in sentence
    return sentence


def test_success_costs_one_request_and_says_what_it_saw(kore: Simulator, connect: Callable[..., Any]) -> None:
    kore.add_list("cl-1", contacts=5)
    kore.add_list("cl-2", contacts=5)
    works, sentence = connect().test_connection()
    assert works is True
    assert kore.url in sentence
    assert "2 contact lists" in sentence
    assert len(kore.requests) == 1


def test_success_over_v1(kore: Simulator, connect: Callable[..., Any]) -> None:
    assert connect(api_version="v1").test_connection()[0] is True
    assert "/agentassist/api/v1/" in kore.requests[0].path


def test_a_field_that_is_wrong_costs_no_request(kore: Simulator, connect: Callable[..., Any]) -> None:
    check_failure(connect(api_version="v7"), "'api_version'", "v2, v1")
    assert kore.requests == []


def test_a_host_where_nobody_listens(connect: Callable[..., Any]) -> None:
    port = free_port()
    check_failure(connect(host=f"http://127.0.0.1:{port}"), f"127.0.0.1:{port} refuses the connection", "host field")


def test_a_name_that_does_not_resolve(connect: Callable[..., Any]) -> None:
    check_failure(connect(host="https://kore.invalid"), "kore.invalid cannot be resolved", "DNS")


def test_a_certificate_that_cannot_be_verified(tls_kore: Simulator, define: Define, self_signed: Path) -> None:
    define("kore_default", tls_kore.connection)
    check_failure(KoreCampaignHook(), "TLS certificate", "self.signed", "verify field", "CA")
    trusting = tls_kore.connection
    trusting["extra"]["verify"] = str(self_signed)
    define("kore_default", trusting)
    assert KoreCampaignHook().test_connection()[0] is True


def test_a_host_that_speaks_no_tls(kore: Simulator, connect: Callable[..., Any]) -> None:
    check_failure(connect(host=kore.url.replace("http://", "https://")), "TLS", "host")


def test_a_proxy_that_is_down(connect: Callable[..., Any]) -> None:
    port = free_port()
    sentence = check_failure(connect(proxy=f"http://someone:hush@127.0.0.1:{port}"), "proxy", "proxy field")
    assert "hush" not in sentence


def test_a_proxy_that_works(kore: Simulator, connect: Callable[..., Any]) -> None:
    """The simulator answers for any host, so it can stand for a proxy."""
    hook = connect(host="http://kore.invalid", allow_http=True, proxy=kore.url)
    assert hook.test_connection()[0] is True


def test_a_server_that_does_not_answer_in_time(kore: Simulator, connect: Callable[..., Any]) -> None:
    with kore.fault("latency", seconds=2.0):
        check_failure(connect(timeout=0.3), r"did not finish its answer within 0.3 s", "timeout field")


def test_a_wrong_secret(kore: Simulator, connect: Callable[..., Any]) -> None:
    secret = "quite-another-secret-that-is-long-enough-for-hs256"
    sentence = check_failure(connect(password=secret), "refuses the credentials", "401", "password", "login")
    assert secret not in sentence


@pytest.mark.parametrize("configured", ["HS256", "HS512"])
def test_the_other_algorithm_is_found_out(kore: Simulator, connect: Callable[..., Any], configured: str) -> None:
    real = {"HS256": "HS512", "HS512": "HS256"}[configured]
    kore.configure(jwt_algorithm=real, client_secret="x" * 64)
    sentence = check_failure(
        connect(jwt_algorithm=configured), rf"app signs with {real}", f"set jwt_algorithm to {real}"
    )
    assert "everything else is right" in sentence


def test_the_algorithms_of_another_family_need_another_key(kore: Simulator, connect: Callable[..., Any]) -> None:
    check_failure(connect(jwt_algorithm="RS256"), "'password'", "PEM")


def test_a_scope_that_is_not_granted(kore: Simulator, connect: Callable[..., Any]) -> None:
    kore.configure(scope_granted=False)
    check_failure(connect(), "scope Campaign Management", "grant", "publish")


def test_a_wrong_stream(connect: Callable[..., Any]) -> None:
    check_failure(connect(stream_id="st-of-somebody-else"), "stream_id")


def test_a_wrong_account(connect: Callable[..., Any]) -> None:
    check_failure(connect(account_id="somebody-else"), "account_id")


@pytest.mark.kore(wrong_account="invalid_arguments")
def test_a_wrong_account_where_the_server_calls_it_invalid_arguments(connect: Callable[..., Any]) -> None:
    check_failure(connect(account_id="somebody-else"), "account")


@pytest.mark.parametrize(("offset", "sense"), [(3_600, "behind"), (-3_600, "ahead of")])
def test_a_clock_that_is_far_off(kore: Simulator, connect: Callable[..., Any], offset: int, sense: str) -> None:
    kore.configure(clock_offset=offset)
    check_failure(connect(), rf"clock is 3,(599|60\d|600) s {sense} the server's", "NTP")


@pytest.mark.parametrize("offset", [60, -60])
def test_a_clock_that_is_some_seconds_off_does_no_harm(
    kore: Simulator, connect: Callable[..., Any], offset: int
) -> None:
    kore.configure(clock_offset=offset)
    assert connect().test_connection()[0] is True


def test_an_allowance_that_is_spent(kore: Simulator, connect: Callable[..., Any]) -> None:
    kore.configure(requests_per_minute=1)
    assert connect().test_connection()[0] is True
    began = time.monotonic()
    check_failure(connect(), "per-minute allowance is spent", "wait")
    assert time.monotonic() - began < 30  # nobody waits a minute at a screen


def test_a_web_page_instead_of_json(kore: Simulator, connect: Callable[..., Any]) -> None:
    with kore.fault("html_body"):
        check_failure(connect(), "web page instead of JSON", "host", "proxy")


def test_a_login_page_behind_a_redirect(kore: Simulator, connect: Callable[..., Any]) -> None:
    with kore.fault("redirect", location="https://elsewhere.example/login"):
        check_failure(connect(), "redirect", "host")


@pytest.mark.parametrize("fault", ["server_error", "bad_gateway", "service_unavailable"])
def test_a_server_in_trouble_is_asked_once(kore: Simulator, connect: Callable[..., Any], fault: str) -> None:
    with kore.fault(fault):
        check_failure(connect(), r"\b50[023]\b")
    assert len(kore.requests) == 1


def test_a_jti_that_is_enforced(kore: Simulator, connect: Callable[..., Any]) -> None:
    kore.configure(enforce_jti=True)
    check_failure(connect(send_jti=False), "send_jti")
    hook = connect(send_jti=True)
    assert hook.test_connection()[0] is True
    assert hook.test_connection()[0] is True


def test_a_host_that_is_another_web_server(connect: Callable[..., Any], tmp_path: Path) -> None:
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        check_failure(connect(host=f"http://127.0.0.1:{server.server_port}"), "501")
        server.shutdown()


def test_airflow_itself_presses_the_button(connect: Callable[..., Any], kore: Simulator) -> None:
    """As the UI does it: a connection of the database model, found by its type."""
    from airflow.models import Connection

    connect()
    connection = Connection(conn_id="kore_default", **{**kore.connection, "extra": None})
    connection.set_extra(json.dumps(kore.connection["extra"]))
    works, sentence = connection.test_connection()
    assert works is True, sentence
