"""One HTTP exchange over requests: an answer with its whole body, or the one reason why there is none.

Requests' adapter says how to get there (proxies, certificates), once; then its connection pool is used directly.
``Session.request`` would also follow redirects (carrying the token to another host), read ``.netrc`` and keep cookies,
none of which this API wants, and costs three times as much a page.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote_plus, urlencode

import requests
import urllib3
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from airflow_provider_kore.api.certificates import check_bundle, variable_of
from airflow_provider_kore.api.config import is_loopback
from airflow_provider_kore.api.watchdog import Exchange, Watchdog, watch_connections
from airflow_provider_kore.exceptions import (
    ConfigError,
    ContractError,
    KoreError,
    MalformedResponseError,
    TlsError,
    UnreachableError,
)
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.clock import Clock

LARGEST_BODY = 8 * 1024 * 1024
"""Bytes of the largest body that is read, unpacked; a page of contacts has some 20 kB."""

_AT_ONCE = 8 * 1024
"""Bytes that are read and unpacked in one piece: some become a thousand times as many."""

_PACKINGS = {"", "identity", "gzip", "x-gzip", "deflate"}
"""``Content-Encoding`` of what was asked for: no other is unpacked, nor two that are nested."""

_SPARE_CONNECTIONS = 64
"""Connections that a pool keeps beyond those that are meant to be in use: one of its size costs nothing."""

_TROUBLE = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,  # for odd bytes in an answer's head, in some versions
)


class TooLargeError(ContractError):
    """A success whose body is larger than is read."""


_quote = lru_cache(quote_plus)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """What to send. Its repr holds neither headers nor body."""

    method: str
    path: str
    """Below the ``base_url`` of the settings."""
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    largest: int | None = None
    """Bytes that the answer's body may have; None: LARGEST_BODY."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """What came back. Its repr holds neither headers nor body."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Looked up without regard to case."""
    body: bytes = field(repr=False)


class Transport(Protocol):
    """How the client reaches the server; tests pass their own."""

    def send(self, request: HttpRequest) -> HttpResponse:
        """Exchange one request for one whole answer, whatever its status.

        Raises UnreachableError, TlsError, MalformedResponseError (the body was cut, or packed in a way that was not
        asked for), TooLargeError.
        """
        ...

    def close(self) -> None:
        """Give up the connections."""
        ...


class RequestsTransport:
    """The real one; safe to share between threads.

    :param connections: how many requests may be under way at once over kept connections.
    """

    def __init__(self, config: ApiConfig, clock: Clock, *, connections: int = 1) -> None:
        self._clock = clock
        self._timeout = config.timeout
        self._watchdog = Watchdog(config.timeout)
        self._timeouts = urllib3.Timeout(connect=config.timeout, read=config.timeout)
        self._host = config.base_url
        # Pages whose results are no longer wanted still hold their connection for a while.
        self._adapter = HTTPAdapter(
            pool_connections=1, pool_maxsize=2 * connections + _SPARE_CONNECTIONS, max_retries=0
        )
        with requests.Session() as session:
            given = {config.base_url.partition("://")[0]: config.proxy} if config.proxy else {}
            # Adds HTTPS_PROXY, NO_PROXY and REQUESTS_CA_BUNDLE, where the connection leaves them open.
            settings = session.merge_environment_settings(config.base_url, dict(given), None, config.verify, None)
        # What a proxy calls localhost is another machine, which must not get a token.
        self._proxies = given if is_loopback(config.base_url) else settings["proxies"]
        self._verify: bool | str = settings["verify"] if settings["verify"] is not None else True
        self._own_proxy = bool(config.proxy)
        if self._host.startswith("https:"):
            check_bundle(self._verify, of_connection=isinstance(config.verify, str))
        self._route: tuple[urllib3.HTTPConnectionPool, str] | None = self._find_route()
        """The pool that leads to the host, and what stands in the request line before the path."""

    def send(self, request: HttpRequest) -> HttpResponse:
        """See :meth:`Transport.send`."""
        target = request.path
        if request.query:
            target = f"{target}?{urlencode(request.query, quote_via=_quote)}"
        deadline = self._clock.monotonic() + self._timeout
        error: KoreError
        with self._watchdog.watching() as exchange:
            try:
                return self._exchange(request, target, exchange, deadline)
            except KoreError as err:
                error = err
                error.__context__ = None
            except Exception as err:
                if not exchange.expired and not isinstance(err, _TROUBLE):
                    raise  # a mistake of ours is no broken connection
                error = self._explain(TimeoutError() if exchange.expired else err)
        # Raised outside the except: the original's frames and text may hold the token or a proxy's password.
        raise error

    def _exchange(self, request: HttpRequest, target: str, exchange: Exchange, deadline: float) -> HttpResponse:
        # Two threads may both find it: it is the same pool.
        pool, before_path = self._route or self._find_route()
        raw = pool.urlopen(
            request.method,
            before_path + target,
            body=request.body,
            headers=request.headers,
            retries=self._adapter.max_retries,
            timeout=self._timeouts,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            body = self._read(raw, deadline, request.largest or LARGEST_BODY)
            if exchange.expired:  # where a body ends with its connection, its end looks like any other
                raise requests.Timeout
            return HttpResponse(status=raw.status, headers=raw.headers, body=body)
        finally:
            raw.close()  # read to its end, it has given its connection back by itself

    def close(self) -> None:
        """See :meth:`Transport.close`."""
        self._route = None
        self._adapter.close()

    def _find_route(self) -> tuple[urllib3.HTTPConnectionPool, str]:
        """Ask requests for the pool that leads to the host, as its adapter does anew for each request.

        Raises ConfigError for a proxy or a host that it cannot use. Sends nothing.
        """
        problem = ("is no URL of a proxy", "use http://host:port")
        try:
            somewhere = requests.Request("GET", f"{self._host}/").prepare()
        except (requests.RequestException, ValueError):
            raise ConfigError(
                "host", "is no URL", "use the environment URL, such as https://platform.kore.ai"
            ) from None
        adapter: Any = self._adapter
        try:
            if hasattr(adapter, "get_connection_with_tls_context"):
                pool = adapter.get_connection_with_tls_context(somewhere, self._verify, proxies=self._proxies)
            else:  # requests 2.31
                pool = adapter.get_connection(somewhere.url, self._proxies)
            adapter.cert_verify(pool, somewhere.url, self._verify, None)
            # A proxy of plain HTTP is asked for the whole URL.
            before_path = adapter.request_url(somewhere, self._proxies).removesuffix("/")
        except requests.exceptions.InvalidSchema:  # of a SOCKS proxy alone
            problem = (
                "names a SOCKS proxy, for which PySocks is missing here",
                "install requests[socks] on every worker, or use an http:// proxy",
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError):
            pass
        else:
            watch_connections(pool)
            self._route = found = pool, before_path
            return found
        # Raised outside the except: the original's text may hold a proxy's password.
        if self._own_proxy:
            raise ConfigError("proxy", *problem)
        variable = variable_of(self._host.partition("://")[0] + "_proxy", "all_proxy")
        raise ConfigError("proxy", f"is not set, and the worker's variable {variable} {problem[0]}", problem[1])

    def _read(self, raw: urllib3.BaseHTTPResponse, deadline: float, largest: int) -> bytes:
        """Read and unpack the body, within its limit."""
        encoding = str(raw.headers.get("Content-Encoding", ""))
        if encoding.strip().lower() not in _PACKINGS:
            raise MalformedResponseError(
                f"{self._host} sent a body packed as '{quoted(encoding)}', which was not asked for. "
                "Check what stands between here and the connection's host."
            )
        pieces: list[bytes] = []
        size = 0
        while piece := raw.read(_AT_ONCE, decode_content=True):
            size += len(piece)
            pieces.append(piece)
            if size > largest:
                kind = TooLargeError if raw.status == HTTPStatus.OK else MalformedResponseError
                raise kind(
                    f"{self._host} sent a body of more than {largest:,} bytes. Lower page_size, and check that host is "
                    "the Kore.ai environment."
                )
            if self._clock.monotonic() > deadline:
                raise requests.Timeout
        return b"".join(pieces)

    def _explain(self, err: Exception) -> KoreError:
        found = _chain(err)
        kinds, error, message = next(
            reason for reason in _REASONS if any(isinstance(each, reason[0]) for each in found)
        )
        explained = error(message.format(host=self._host, timeout=self._timeout, tls=_tls_reason(found)))
        if isinstance(explained, UnreachableError):
            explained.timed_out = kinds is _TIMEOUTS
        return explained


def _chain(err: BaseException) -> list[BaseException]:
    """Return the error and what it wraps, as requests and urllib3 nest them: in args, reason, cause and context."""
    found: list[BaseException] = []
    pending: list[object] = [err]
    while pending:
        current = pending.pop()
        if isinstance(current, BaseException) and current not in found:
            found.append(current)
            pending += [*current.args, getattr(current, "reason", None), current.__cause__, current.__context__]
    return found


def _tls_reason(kinds: list[BaseException]) -> str:
    for kind in kinds:
        message = getattr(kind, "verify_message", None)  # of ssl.SSLCertVerificationError
        if message:
            return str(message)
    return "it does not speak TLS as expected"


_BETWEEN = "if it stays so, check the proxies and firewalls in between."
_Reason = tuple[tuple[type[BaseException], ...], type[KoreError], str]
_TIMEOUTS = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_REASONS: tuple[_Reason, ...] = (
    (
        (urllib3.exceptions.ProxyError, requests.exceptions.ProxyError),
        UnreachableError,
        "The proxy between here and {host} cannot be reached, or refuses. Check the connection's proxy field and the "
        "HTTPS_PROXY variable of the worker; if it wants credentials, write them into its URL.",
    ),
    (
        (urllib3.exceptions.SSLError, requests.exceptions.SSLError),
        TlsError,
        "The TLS certificate of {host} cannot be verified: {tls}. Check the host's name, or set the connection's "
        "verify field to the bundle of the CA that signed it.",
    ),
    (
        (urllib3.exceptions.NameResolutionError,),
        UnreachableError,
        "The name of {host} cannot be resolved. Check the connection's host field, and DNS.",
    ),
    (
        (urllib3.exceptions.NewConnectionError,),
        UnreachableError,
        "{host} refuses the connection. Check the connection's host field, and the network.",
    ),
    (  # after the two above, which urllib3 counts among its time-outs
        _TIMEOUTS,
        UnreachableError,
        "{host} did not finish its answer within {timeout:g} s. If it is just slow, raise the connection's timeout "
        "field.",
    ),
    (
        (urllib3.exceptions.IncompleteRead, urllib3.exceptions.DecodeError),
        MalformedResponseError,
        "{host} ended its answer before it was complete. Try again; " + _BETWEEN,
    ),
    (
        (BaseException,),
        UnreachableError,
        "The connection to {host} broke before the answer was complete. Try again; " + _BETWEEN,
    ),
)
"""Which of the errors that requests and urllib3 nest in each other says why; the first that fits."""
