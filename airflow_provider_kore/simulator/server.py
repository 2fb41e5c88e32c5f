"""HTTP around the service: an event loop in a thread, a listening socket, and the ways an answer can go wrong.

The parser is aiohttp's; its router and its applications are not needed for a handful of paths.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from airflow_provider_kore.simulator.answers import Answer

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: closing sends RST instead of FIN."""

_TLS_FAREWELL = 0.05
"""Seconds for closing https connections, of which the loop has nothing to wait for."""

_forks: list[None] = []
"""One entry per fork of this process, each of which copied every open connection into the child."""
os.register_at_fork(after_in_parent=lambda: _forks.append(None))


class HttpServer:
    """Serves one function over HTTP in a thread of its own."""

    def __init__(
        self,
        respond: Callable[[str, str, Mapping[str, str], bytes], Answer],
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Bind the port; nothing answers there yet.

        :param respond: method, target, headers (names in lower case) and body of a request in, its answer out. Runs
            in the server's thread and must not block for long.
        :param host: address to listen on.
        :param port: 0 for a free one.
        :param tls: serve https with this context.
        Raises OSError if the port is taken.
        """
        self._respond = respond
        self._tls = tls
        # Bound here and not in the thread, so that a port that is taken fails in the caller's face.
        self._socket = socket.create_server((host, port), backlog=512)
        self.host, self.port = self._socket.getsockname()[:2]
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._opened_at: WeakKeyDictionary[asyncio.BaseTransport, int] = WeakKeyDictionary()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"kore-simulator-{self.port}", daemon=True)

    def start(self) -> None:
        """Start to serve; returns when the server answers."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Close every connection and end the thread. Does nothing in a forked child, whose parent still serves."""
        if os.getpid() != self._pid or self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        # A forked child may hold the socket, too: closing alone would leave its callers waiting.
        self._socket.close()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        protocols = web.Server(self._handle, access_log=None)
        server = await self._loop.create_server(protocols, sock=self._socket, ssl=self._tls)
        self._ready.set()
        await self._stopping.wait()
        self._socket.shutdown(socket.SHUT_RDWR)
        server.close()
        transports = [connection.transport for connection in protocols.connections]
        protocols.pre_shutdown()
        await protocols.shutdown(0.1)
        for transport in transports:
            if transport is not None:
                transport.abort()  # https would wait for the other side's farewell
        # Transports close in the loop's next rounds, and a broken handshake a little later.
        await asyncio.sleep(_TLS_FAREWELL if self._tls else 0)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            return web.Response()  # whose caller is gone
        self._opened_at.setdefault(transport, len(_forks))
        # Not request.read(): it refuses bodies over 1 MiB, and a test may hand over a list of many contacts.
        body = await request.content.read() if request.can_read_body else b""
        headers = {name.lower(): value for name, value in request.headers.items()}
        target = request.raw_path
        if not target.startswith("/"):
            # As a proxy is asked: http://host/path. Answered like any other request, so that a proxy can be simulated.
            target = "/" + target.partition("://")[2].partition("/")[2]
        answer = self._respond(request.method, target, headers, body)
        if answer.latency:
            await asyncio.sleep(answer.latency)
        if answer.reset == "before_headers":
            self._reset(transport)
            return web.Response()
        if answer.reset or answer.piece or answer.missing:
            return await self._deliver_badly(request, transport, answer)
        return web.Response(
            status=answer.status, body=answer.body, content_type=answer.content_type, headers=dict(answer.headers)
        )

    async def _deliver_badly(
        self, request: web.BaseRequest, transport: asyncio.Transport, answer: Answer
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=dict(answer.headers))
        response.content_type = answer.content_type
        response.content_length = len(answer.body)
        try:
            await response.prepare(request)
            if answer.reset:
                await response.write(answer.body[:1])
                self._reset(transport)
                return response
            body = answer.body[: max(0, len(answer.body) - answer.missing)]
            piece = answer.piece or len(body)
            for start in range(0, len(body), piece or 1):
                if start and answer.pause:
                    await asyncio.sleep(answer.pause)
                await response.write(body[start : start + piece])
            if answer.missing:
                if transport.can_write_eof():
                    # Ends the connection even if a forked child holds a copy of its socket.
                    transport.write_eof()
                transport.close()
        except ConnectionError:
            pass  # the client has given up first, which is what a slow body is for
        return response

    def _reset(self, transport: asyncio.Transport) -> None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if self._opened_at.get(transport) != len(_forks):
            # A child may hold a copy, and then closing resets nothing: better a plain end than a caller who waits.
            connection.shutdown(socket.SHUT_RDWR)
        transport.abort()
