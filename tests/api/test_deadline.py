"""The connection's timeout bounds an answer from connecting to its last byte, whatever arrives meanwhile."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from test_transport import BODY, config, failure, http, outcome_of, request, serving

from airflow_provider_kore.api.transport import RequestsTransport, TooLargeError
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import MalformedResponseError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 0.4
HANG = 30.0  # seconds in which a thread has to come back, on the busiest machine

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n"
EMPTY_GZIP_BLOCK = b"\x00\x00\x00\xff\xff"

ENDLESS = {
    "silence": (b"", b""),
    "status line": (b"HTTP/1.1 200 O", b"K"),
    "one header": (OK + b"X: ", b"y"),
    "many headers": (OK, b"X: y\r\n"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (OK + b"Content-Length: 100000\r\n\r\n", b" "),
    "body that ends with its connection": (OK + b"Connection: close\r\n\r\n", b" "),
    "chunk extension": (CHUNKED + b"\r\n5;", b"x"),
    "chunks": (CHUNKED + b"\r\n", b"1\r\n \r\n"),
    "trailers": (CHUNKED + b"\r\n2\r\n{}\r\n0\r\n", b"X: y\r\n"),
    "gzip that yields nothing": (
        CHUNKED + b"Content-Encoding: gzip\r\n\r\na\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\r\n",
        b"5\r\n" + EMPTY_GZIP_BLOCK + b"\r\n",
    ),
}


@contextmanager
def dripping(start: bytes, drop: bytes, *, good: int = 0, pause: float = 0.02) -> Iterator[tuple[int, list[int]]]:
    """Serve so many good answers on each connection, then one that never ends; yields port and a list of hang-ups."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    ended: list[int] = []

    def talk(connection: socket.socket) -> None:
        with connection:
            try:
                for _ in range(good):
                    if not connection.recv(65536):
                        return
                    connection.sendall(http(BODY))
                connection.recv(65536)
                connection.sendall(start)
                while drop:
                    connection.sendall(drop)
                    time.sleep(pause)
                connection.recv(65536)
            except OSError:
                pass
        ended.append(1)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=[connection], daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1], ended
    finally:
        listener.close()


def within(seconds: float, call: object) -> object:
    """Return what a call returns, or fail after so long; its thread is left alone then."""
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)  # type: ignore[operator]
    thread.start()
    thread.join(seconds)
    assert found, "it hangs"
    return found[0]


@pytest.mark.parametrize("good", [0, 1], ids=["new", "kept"])
@pytest.mark.parametrize("kind", ENDLESS)
def test_an_answer_that_never_ends_is_left_at_the_deadline(kind: str, good: int) -> None:
    with dripping(*ENDLESS[kind], good=good) as (port, ended):
        url = f"http://127.0.0.1:{port}"
        transport = RequestsTransport(config(url, timeout=TIMEOUT), SystemClock())
        for _ in range(good):
            assert transport.send(request()).body == BODY
        error = within(HANG, lambda: outcome_of(lambda: transport.send(request())))
        assert isinstance(error, UnreachableError)
        assert f"did not finish its answer within {TIMEOUT:g} s" in str(error)
        transport.close()
        until = time.monotonic() + HANG
        while not ended and time.monotonic() < until:
            time.sleep(0.01)
    assert ended  # the server has seen the end of the connection: no socket is left


@pytest.mark.parametrize("scheme", ["https", "proxy", "proxy for https"])
def test_a_handshake_that_never_ends_is_left_at_the_deadline(scheme: str) -> None:
    start, drop = (b"\x16\x03\x03\x40\x00", b"\x02") if scheme == "https" else ENDLESS["one header"]
    with dripping(start, drop) as (port, _):
        url = f"https://127.0.0.1:{port}" if scheme == "https" else "http://kore.invalid"
        url = "https://kore.invalid" if scheme == "proxy for https" else url
        proxy = None if scheme == "https" else f"http://127.0.0.1:{port}"
        error = within(HANG, lambda: failure(url, timeout=TIMEOUT, proxy=proxy))
    assert isinstance(error, UnreachableError)
    assert "did not finish" in str(error)


def watchdogs() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "kore-watchdog"]


def test_many_threads_come_back_and_leave_no_thread_behind() -> None:
    with dripping(*ENDLESS["continue"]) as (port, _):
        url = f"http://127.0.0.1:{port}"
        transport = RequestsTransport(config(url, timeout=TIMEOUT), SystemClock(), connections=8)
        with ThreadPoolExecutor(8) as threads:
            errors = list(threads.map(lambda _: outcome_of(lambda: transport.send(request())), range(16), timeout=60))
        transport.close()
    assert {type(error) for error in errors} == {UnreachableError}
    until = time.monotonic() + HANG
    while watchdogs() and time.monotonic() < until:
        time.sleep(0.05)
    assert not watchdogs()


@pytest.mark.slow
def test_a_deadline_never_ends_the_next_request_on_the_same_connection() -> None:
    """Each answer comes in a third of the time-out, so that the deadlines of those before fall into later ones."""

    def reply(_number: int, _request: bytes) -> bytes:
        time.sleep(0.1)
        return http(BODY)

    with serving(reply) as server:
        transport = RequestsTransport(config(server.url, timeout=3.0), SystemClock(), connections=4)
        transport._watchdog._seconds = 0.3
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda _: transport.send(request()).body, range(40)))
        transport.close()
    assert found == [BODY] * 40
    assert server.connections <= 4


# --- What is packed --------------------------------------------------------------------------------------------------


def gzipped(body: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


@pytest.mark.slow
def test_a_bomb_is_not_unpacked_further_than_the_limit() -> None:
    bomb = gzipped(b" " * 200_000_000)
    with serving(lambda *_: http(bomb, "200 OK", "Content-Encoding: gzip")) as server:
        assert isinstance(failure(server.url), TooLargeError)


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "compress", "gzip;q=1", "\xff", "identity, gzip"])
def test_an_encoding_that_nobody_asked_for_is_named_and_not_unpacked(encoding: str) -> None:
    bomb = gzipped(gzipped(b" " * 5_000_000))
    answer = http(bomb, "200 OK").replace(b"\r\n\r\n", f"\r\nContent-Encoding: {encoding}\r\n\r\n".encode("latin-1"), 1)
    with serving(lambda *_: answer) as server:
        error = failure(server.url)
    assert isinstance(error, MalformedResponseError)
    assert "packed as" in str(error)


@pytest.mark.parametrize("bits", [15, -15, 31])
def test_one_gzip_or_deflate_is_unpacked(bits: int) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    packed = packer.compress(BODY) + packer.flush()
    name = "gzip" if bits == 31 else "deflate"
    with serving(lambda *_: http(packed, "200 OK", f"Content-Encoding: {name}")) as server:
        transport = RequestsTransport(config(server.url), SystemClock())
        assert [transport.send(request()).body for _ in range(3)] == [BODY] * 3
        transport.close()
    assert server.connections == 1


# --- Loopback --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_loopback_goes_through_no_proxy_of_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda *_: http(b"proxy")) as proxy, serving(lambda *_: http(BODY)) as server:
        monkeypatch.setenv(name, proxy.url)
        transport = RequestsTransport(config(server.url), SystemClock())
        assert transport.send(request()).body == BODY
        assert proxy.requests == []
