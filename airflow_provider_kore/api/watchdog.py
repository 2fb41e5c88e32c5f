"""One deadline for a whole exchange: when it passes, its socket is shut down, whatever its thread waits for.

A time-out of a socket bounds the silence between two bytes. A server that drips its headers, sends ``100 Continue``
for ever or never ends its trailers is never silent for so long. Shutting the socket down ends each of these waits.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from airflow_provider_kore.unexpected import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    import urllib3

_IDLE: Final = 1.0
"""Seconds after which a watchdog that has nothing to watch ends its thread."""

_LEAST_TIMEOUT: Final = 0.001

MOST_ADDRESSES: Final = 8
"""Of one host that are tried at the most."""

_current = threading.local()


class Exchange:
    """One request and its answer, as the watchdog sees it.

    It holds a duplicate of the socket's descriptor: TLS takes the socket itself over before its handshake is done.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.expired = False
        self._lock = threading.Lock()
        self._over = False
        self._handle: socket.socket | None = None

    def attach(self, sock: Any) -> None:
        """Name the socket that is in use; one whose time is over is shut down at once."""
        with self._lock:
            if self._over:
                return
            self._drop()
            with contextlib.suppress(OSError, ValueError, AttributeError):
                self._handle = socket.socket(fileno=os.dup(sock.fileno()))
            if self.expired:
                self._shut_down()

    def expire(self) -> None:
        """End the exchange, unless it is over."""
        with self._lock:
            if not self._over:
                self.expired = True
                self._shut_down()

    def finish(self) -> None:
        """Let go of the socket, which another exchange may use from now on."""
        with self._lock:
            self._over = True
            self._drop()

    def _shut_down(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):  # it is closed by the other side
                self._handle.shutdown(socket.SHUT_RDWR)

    def _drop(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None


class Watchdog:
    """Ends exchanges at their deadlines, on one daemon thread that exists only while there are any.

    :param seconds: from the start of an exchange to its deadline.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._wake = threading.Condition()
        self._watched: set[Exchange] = set()
        self._thread: threading.Thread | None = None
        self._next_look = float("inf")

    @contextlib.contextmanager
    def watching(self) -> Any:
        """Bound what this thread exchanges until the end of the block. Raises UnreachableError if no thread is left."""
        exchange = Exchange(time.monotonic() + self._seconds)
        with self._wake:
            if self._thread is None or not self._thread.is_alive():  # the latter: this process was forked
                self._thread = start_thread("kore-watchdog", self._run)
            elif exchange.deadline < self._next_look:
                self._wake.notify()
            self._watched.add(exchange)
        _current.exchange = exchange
        try:
            yield exchange
        finally:
            _current.exchange = None
            exchange.finish()
            with self._wake:
                self._watched.discard(exchange)

    def _run(self) -> None:
        with self._wake:
            while True:
                now = time.monotonic()
                late = [each for each in self._watched if each.deadline <= now]
                for each in late:
                    each.expire()
                    self._watched.discard(each)
                wait = min((each.deadline - now for each in self._watched), default=_IDLE)
                self._next_look = now + min(wait, _IDLE)
                notified = self._wake.wait(min(wait, _IDLE))
                if not notified and not self._watched:
                    self._thread = None
                    return


def _connect_within(conn: Any, exchange: Exchange, connect: Callable[[], Any]) -> Any:
    """Connect to the first address of a host that answers; looking for it and all of them share one deadline.

    urllib3 gives its time-out to each address anew.
    """
    if hasattr(conn, "_socks_options"):  # the proxy looks for the host
        return connect()
    name = conn._dns_host  # noqa: SLF001 - what urllib3 resolves; TLS asks for the certificate of this name
    addresses = _addresses(name, conn.port)
    for number, address in enumerate(addresses):
        left = exchange.deadline - time.monotonic()
        conn.timeout = max(_LEAST_TIMEOUT, left / (len(addresses) - number))
        conn._dns_host = address  # noqa: SLF001
        try:
            return connect()
        except (ConnectTimeoutError, NewConnectionError):
            if number == len(addresses) - 1:
                raise
        finally:
            conn._dns_host = name  # noqa: SLF001
    return connect()


def _addresses(name: str, port: int) -> list[str]:
    """Return the different addresses of a host; none if there are none, which urllib3 then finds, too, and says."""
    try:
        found = socket.getaddrinfo(name.strip("[]"), port, allowed_gai_family(), socket.SOCK_STREAM)
    except (OSError, ValueError):
        return []
    return [*dict.fromkeys(str(each[4][0]) for each in found)][:MOST_ADDRESSES]


def watch_connections(pool: urllib3.HTTPConnectionPool) -> None:
    """Have the connections of a pool name their sockets to the exchange of the thread that uses them."""
    pool_: Any = pool
    if getattr(pool_, "kore_watched", False):
        return
    plain: Any = pool_.ConnectionCls
    put_back = type(pool_)._put_conn  # noqa: SLF001 - the last moment at which nothing else has the connection
    this = weakref.ref(pool_)  # a pool closes its connections when it is collected

    class Watched(plain):  # type: ignore[misc]
        kore_exchange: Exchange | None = None
        debuglevel = 0  # http.client would print the token, if this is set for all connections of a process

        def _new_conn(self) -> Any:
            exchange = getattr(_current, "exchange", None)
            connect = super()._new_conn
            sock = connect() if exchange is None else _connect_within(self, exchange, connect)
            self._attach(sock)
            return sock

        def request(self, *args: Any, **kwargs: Any) -> Any:
            if self.sock is not None:
                self._attach(self.sock)
            return super().request(*args, **kwargs)

        def _attach(self, sock: Any) -> None:
            self.kore_exchange = getattr(_current, "exchange", None)
            if self.kore_exchange is not None:
                self.kore_exchange.attach(sock)

    def put_conn(conn: Any) -> None:
        exchange = getattr(conn, "kore_exchange", None)
        if exchange is not None:
            conn.kore_exchange = None
            exchange.finish()
        put_back(this(), conn)

    Watched.__name__ = plain.__name__
    pool_.ConnectionCls = Watched
    pool_._put_conn = put_conn  # noqa: SLF001
    pool_.kore_watched = True
