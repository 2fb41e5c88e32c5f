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

from urllib3.util.connection import allowed_gai_family

from airflow_provider_kore.unexpected import start_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3

_LEAST_TIMEOUT: Final = 0.001

_current = threading.local()


class Exchange:
    """One request and its answer, as the watchdog sees it.

    It holds a duplicate of the socket's descriptor: TLS takes the socket itself over before its handshake is done.
    """

    def __init__(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self.expired = False
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._handle: socket.socket | None = None

    def attach(self, sock: Any) -> None:
        """Name the socket that is in use; one whose time is over is shut down at once."""
        with self._lock:
            if self._over.is_set():
                return
            self._drop()
            with contextlib.suppress(OSError, ValueError, AttributeError):
                self._handle = socket.socket(fileno=os.dup(sock.fileno()))
            if self.expired:
                self._shut_down()

    def watch(self) -> None:
        """End the exchange at its deadline, unless it is over before."""
        self._over.wait(self.deadline - time.monotonic())
        with self._lock:
            if not self._over.is_set():
                self.expired = True
                self._shut_down()

    def finish(self) -> None:
        """Let go of the socket, which another exchange may use from now on."""
        with self._lock:
            self._over.set()
            self._drop()

    def _shut_down(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):  # it is closed by the other side
                self._handle.shutdown(socket.SHUT_RDWR)

    def _drop(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None


@contextlib.contextmanager
def watching(seconds: float) -> Iterator[Exchange]:
    """Bound what this thread exchanges until the end of the block. Raises UnreachableError if no thread is left."""
    exchange = Exchange(seconds)
    start_thread("kore-watchdog", exchange.watch)
    _current.exchange = exchange
    try:
        yield exchange
    finally:
        exchange.finish()


def _share_timeout(conn: Any, exchange: Exchange) -> None:
    """Let all addresses of a host share the time that is left: urllib3 gives its time-out to each of them."""
    if hasattr(conn, "_socks_options"):  # the proxy looks for the host
        return
    name, number = conn._dns_host, 1  # noqa: SLF001 - what urllib3 resolves
    with contextlib.suppress(OSError, ValueError):  # which urllib3 then meets, too, and says
        number = len(socket.getaddrinfo(name.strip("[]"), conn.port, allowed_gai_family(), socket.SOCK_STREAM))
    conn.timeout = max(_LEAST_TIMEOUT, (exchange.deadline - time.monotonic()) / number)


def watch_connections(pool: urllib3.HTTPConnectionPool) -> None:
    """Have the connections of a pool name their sockets to the exchange of the thread that uses them."""
    pool_: Any = pool
    if getattr(pool_, "kore_watched", False):
        return
    plain: Any = pool_.ConnectionCls
    put_back = type(pool_)._put_conn  # noqa: SLF001 - the last moment at which nothing else has the connection
    this = weakref.ref(pool_)  # a pool closes its connections when it is collected

    class Watched(plain):  # type: ignore[misc]
        debuglevel = 0  # http.client would print the token, if this is set for all connections of a process

        def _new_conn(self) -> Any:
            _share_timeout(self, _current.exchange)
            sock = super()._new_conn()
            _current.exchange.attach(sock)
            return sock

        def request(self, *args: Any, **kwargs: Any) -> Any:
            if self.sock is not None:
                _current.exchange.attach(self.sock)
            return super().request(*args, **kwargs)

    def put_conn(conn: Any) -> None:
        _current.exchange.finish()
        put_back(this(), conn)

    Watched.__name__ = plain.__name__
    pool_.ConnectionCls = Watched
    pool_._put_conn = put_conn  # noqa: SLF001
    pool_.kore_watched = True
