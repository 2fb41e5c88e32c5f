"""What is wrong with proxies and certificates is found before the first request; and looks that end, whatever hangs."""

from __future__ import annotations

import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import requests
from clocks import ImpatientClock
from landing import config_of
from test_transport import config, http, request, serving
from urllib3.util import connection as urllib3_connection

from airflow_provider_kore.api import diagnosis
from airflow_provider_kore.api.calls import contacts_of
from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.transport import RequestsTransport
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import ConfigError, KoreError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_kore.simulator import Simulator

PASSWORD = "the-proxys-own-password"


def refusal(url: str = "https://kore.test", **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        RequestsTransport(config(url, **changes), SystemClock())
    assert caught.value.__context__ is None
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


def test_a_socks_proxy_without_pysocks_is_the_proxys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", missing)
    told = refusal(proxy=f"socks5://user:{PASSWORD}@127.0.0.1:1080")
    assert "'proxy': names a SOCKS proxy" in told
    assert "install requests[socks]" in told
    monkeypatch.setenv("HTTPS_PROXY", f"socks5h://user:{PASSWORD}@127.0.0.1:1080")
    assert "HTTPS_PROXY names a SOCKS proxy" in refusal()


@pytest.mark.parametrize("value", ["http://", "://nothing", "ftp://10.0.0.1:80", "http://[::1", "http://a:b:c"])
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_variable_that_is_no_url_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    told = refusal()
    assert name in told
    assert "use http://host:port" in told


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_variable_that_names_no_bundle_is_named(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(name, str(tmp_path / "gone.pem"))
    told = refusal()
    assert name in told
    assert "does not exist" in told
    RequestsTransport(config("http://127.0.0.1:1"), SystemClock())  # where nothing is verified, nothing is missing


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\x00\xff" * 100])
def test_a_bundle_that_holds_no_certificate_is_refused(content: bytes, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(content)
    told = refusal(verify=str(bundle))
    assert "'verify': names the CA bundle" in told
    assert "no certificate" in told


def test_a_mistake_of_ours_does_not_look_like_a_broken_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_: object) -> bytes:
        return {}["no such key"]  # type: ignore[no-any-return]

    for wrong in (mistaken, lambda *_: None.nothing):  # type: ignore[attr-defined]
        monkeypatch.setattr(RequestsTransport, "_read", wrong)
        with (
            serving(lambda *_: http()) as server,
            pytest.raises((KeyError, AttributeError)),
        ):
            RequestsTransport(config(server.url), SystemClock()).send(request())


class Silent:
    """Addresses of loopback at which a connection never comes about: their queues are full."""

    def __init__(self, stack: ExitStack, number: int) -> None:
        self.addresses = [f"127.0.0.{2 + at}" for at in range(number)]
        first = stack.enter_context(socket.create_server((self.addresses[0], 0), backlog=0))
        self.port = first.getsockname()[1]
        servers = [first]
        servers += [
            stack.enter_context(socket.create_server((address, self.port), backlog=0)) for address in self.addresses[1:]
        ]
        for server in servers:
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(server.getsockname())


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names by their addresses."""
    names: dict[str, list[str]] = {}
    really = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
        return [each for name in names.get(host, [host]) for each in really(name, port, *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


def test_all_addresses_of_a_host_share_one_timeout(
    resolve: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    granted: list[float] = []
    really = urllib3_connection.create_connection

    def create_connection(address: Any, timeout: float, **more: Any) -> Any:
        granted.append(timeout)
        return really(address, timeout, **more)

    monkeypatch.setattr(urllib3_connection, "create_connection", create_connection)
    with ExitStack() as stack:
        silent = Silent(stack, 4)
        resolve["many.localhost"] = silent.addresses
        url = f"http://many.localhost:{silent.port}"
        with pytest.raises(UnreachableError, match=r"within 0\.4 s"):
            RequestsTransport(config(url, timeout=0.4), SystemClock()).send(request())
    assert len(granted) == 4
    assert granted[0] <= 0.11  # its share: the first must not take the others' time


@pytest.mark.slow
def test_an_address_that_is_silent_does_not_keep_from_the_next(resolve: dict[str, list[str]]) -> None:
    with ExitStack() as stack, serving(lambda *_: http(b"good")) as server:
        silent = stack.enter_context(socket.create_server(("127.0.0.2", server.port), backlog=0))
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(silent.getsockname())
        resolve["two.localhost"] = ["127.0.0.2", "127.0.0.1"]
        url = f"http://two.localhost:{server.port}"
        client = RequestsTransport(config(url, timeout=2.0), SystemClock())
        assert client.send(request()).body == b"good"
        assert b"Host: two.localhost" in server.requests[0]


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Checks that end soon; and an event that ends what hangs."""
    monkeypatch.setattr(diagnosis, "LONGEST_CHECK", 0.6)
    monkeypatch.setattr(diagnosis, "_GRACE", 0.2)
    monkeypatch.setattr(diagnosis, "_under_way", threading.BoundedSemaphore(diagnosis.MOST_CHECKS))
    over = threading.Event()
    yield over
    over.set()
    for thread in threading.enumerate():
        if thread.name == "kore-check":
            thread.join(30)


def hanging_url(kind: str, stack: ExitStack, over: threading.Event, monkeypatch: pytest.MonkeyPatch) -> str:
    if kind == "a name server that hangs":

        def getaddrinfo(*_: object, **__: object) -> Any:
            over.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "try again")

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return "http://hangs.localhost:1"
    if kind == "silence":
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=200))
        return f"http://127.0.0.1:{silent.getsockname()[1]}"

    def drip(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=drop_by_drop, args=[connection], daemon=True).start()

    def drop_by_drop(connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not over.wait(0.05):
                    connection.sendall(b"X-Drop: 1\r\n")
            except OSError:
                pass

    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=200))
    threading.Thread(target=drip, args=[listener], daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["a name server that hangs", "silence", "drops"])
def test_45_people_may_press_test_at_once_on_a_host_that_hangs(
    kind: str, brief: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        settings = config(hanging_url(kind, stack, brief, monkeypatch), timeout=3600.0)

        def press(_: int) -> Exception | None:
            try:
                diagnosis.check_connection(settings, CampaignClient)
            except KoreError as err:
                return err
            return None

        began = time.monotonic()
        with ThreadPoolExecutor(45) as people:
            found = list(people.map(press, range(45)))
        assert time.monotonic() - began < 30  # a hang guard, no measure
        assert {type(each) for each in found} == {UnreachableError}
        brief.set()


@pytest.mark.slow
def test_checks_that_hang_do_not_pile_up(brief: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_under_way", threading.BoundedSemaphore(2))
    with ExitStack() as stack:
        settings = config(hanging_url("a name server that hangs", stack, brief, monkeypatch))
        told = []
        for _ in range(4):
            with pytest.raises(UnreachableError) as caught:
                diagnosis.check_connection(settings, CampaignClient)
            told.append(str(caught.value))
        assert sum(thread.name == "kore-check" for thread in threading.enumerate()) == 2
        assert ["Too many checks" in each for each in told] == [False, False, True, True]
        brief.set()


@pytest.mark.slow
def test_reading_far_ahead_leaves_no_warning_about_connections(
    kore: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    kore.configure(latency=0.02, requests_per_minute=0)
    kore.add_list("cl-1", contacts=4_000)
    settings = config_of(kore.connection, requests_per_minute=0, page_size=10)
    with CampaignClient(settings, clock=ImpatientClock(), in_flight=32) as client:
        assert sum(len(page.records) for page in client.iter_pages(contacts_of("cl-1"))) == 4_000
    with CampaignClient(settings, clock=ImpatientClock()) as client, ThreadPoolExecutor(32) as threads:
        assert len(list(threads.map(lambda _: client.get_contact_list("cl-1"), range(64)))) == 64
    assert "pool is full" not in caplog.text
