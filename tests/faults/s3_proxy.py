"""A proxy in front of an S3 server, in a process of its own, that misbehaves as it is told."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from s3_servers import S3Server

CODES = {500: "InternalError", 503: "SlowDown", 403: "AccessDenied"}


@dataclass
class Rule:
    """What happens to which requests.

    :param action: a status, or ``reset`` (before the server hears of it), ``lose`` (the answer, after the server did
        it), ``truncate`` (half the body) or ``slow``.
    :param method: of the request.
    :param holding: a part of path and query.
    :param after: so many matching requests pass.
    :param times: how often it happens; None: always.
    """

    action: int | str
    method: str = ""
    holding: str = ""
    after: int = 0
    times: int | None = 1
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)

    def strikes(self, method: str, path: str) -> bool:
        if self.method not in {"", method} or self.holding not in path:
            return False
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.fired >= self.times):
            return False
        self.fired += 1
        return True


class S3Proxy:
    """Runs from ``with`` to its end; rules are fixed."""

    def __init__(self, server: S3Server, *rules: Rule) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                os.close(self._reading)
                _serve(listener, urlsplit(server.url).netloc, rules, writing)
            finally:
                os._exit(0)
        os.close(writing)
        os.set_blocking(self._reading, False)
        listener.close()
        self._fired = 0

    @property
    def fired(self) -> int:
        """How often a rule has struck."""
        try:
            while data := os.read(self._reading, 4096):
                self._fired += len(data)
        except BlockingIOError:
            pass
        return self._fired

    def __enter__(self) -> S3Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._reading)


def _serve(listener: socket.socket, upstream: str, rules: tuple[Rule, ...], pipe: int) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_address = listener.getsockname()
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    _Handler.upstream, _Handler.rules, _Handler.pipe = upstream, rules, pipe
    server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = ""
    rules: tuple[Rule, ...] = ()
    pipe = -1
    lock = threading.Lock()

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.lock:
            action = next((rule.action for rule in self.rules if rule.strikes(self.command, self.path)), None)
        if action is not None:
            os.write(self.pipe, b".")
        if isinstance(action, int):
            self.refuse(action)
        elif action == "reset":
            self.reset()
        else:
            time.sleep(0.3 if action == "slow" else 0)
            self.pass_on(body, action)

    def pass_on(self, body: bytes, action: str | None) -> None:
        connection = http.client.HTTPConnection(self.upstream, timeout=30)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in {"expect", "connection"}:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if action == "lose":
            self.reset()
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if action == "truncate" else content)
        if action == "truncate":
            self.wfile.flush()
            self.reset()

    def refuse(self, status: int) -> None:
        text = f"<Error><Code>{CODES[status]}</Code><Message>injected</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(0 if self.command == "HEAD" else len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        pass
