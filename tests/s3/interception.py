"""Look at a client's requests, and answer some in the server's place: what no server here can be made to say."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse, HeadersDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass(frozen=True)
class Request:
    operation: str
    method: str
    url: str
    headers: Mapping[str, str]


class Interceptor:
    """Hooked into one client. ``requests`` holds what was sent, in order."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._answers: dict[str, Callable[[Any], AWSResponse | None]] = {}
        self.requests: list[Request] = []
        client.meta.events.register("before-send.s3", self._before_send)

    def answer(
        self,
        operation: str,
        status: int,
        code: str = "",
        *,
        message: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """From now on answer this operation ("*": all) with an error."""
        body = b""
        if code:
            body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self._answers[operation] = lambda _: response(status, body, headers)

    def act(self, operation: str, what: Callable[[Any], AWSResponse | None]) -> None:
        """From now on ask ``what`` for the answer to this operation; None lets the request pass."""
        self._answers[operation] = what

    def lose_the_first_answer(self, operation: str) -> None:
        """Let the next request of this kind reach the server, and tell the client 503."""

        def once(request: Any) -> AWSResponse:
            del self._answers[operation]
            self._client._endpoint.http_session.send(request).content  # noqa: B018 - read to its end
            return response(503, b"<Error><Code>SlowDown</Code></Error>")

        self._answers[operation] = once

    def _before_send(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        operation = event_name.rpartition(".")[2]
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else str(value)
            for name, value in request.headers.items()
        }
        self.requests.append(Request(operation, request.method, request.url, headers))
        what = self._answers.get(operation) or self._answers.get("*")
        return what(request) if what else None


class RawBody(io.BytesIO):
    """What urllib3 would hand to botocore."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def response(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> AWSResponse:
    known = {"content-type": "application/xml", "content-length": str(len(body)), **(headers or {})}
    described: Any = HeadersDict(known)
    return AWSResponse("http://intercepted", status, described, RawBody(body))
