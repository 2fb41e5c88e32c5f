"""What an answer that is no success means: one place that knows the vendor's ways of saying no.

No page of the Campaign API shows an error body. Sources: error texts of other Kore.ai endpoints, and what users
reported; the spelling of the texts is the vendor's.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from airflow_provider_kore import json_text
from airflow_provider_kore.api.auth import TOLERATED_SKEW
from airflow_provider_kore.clock import LONGEST_WAIT
from airflow_provider_kore.exceptions import (
    ConfigError,
    ContractError,
    CredentialsError,
    KoreError,
    MalformedResponseError,
    NotFoundError,
    RateLimitedError,
    RequestRefusedError,
    ScopeError,
    ServerError,
)
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from airflow_provider_kore.api.transport import HttpResponse


class WebPageError(RequestRefusedError):
    """A refusal that is a web page: not the API's, but of something in between, or of another host."""


_REDIRECTION = 3
_CLIENT_ERROR = 4
_LONGEST_HEADER = 300
_WORTH_A_RETRY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY}
_RATE_LIMIT = re.compile(
    r"exceeded the (per-minute|hourly) rate limit|rate limit for this api has been reached", re.IGNORECASE
)


def explain(
    response: HttpResponse, payload: object, problem: ValueError | None, *, what: str, skew: float, now: float
) -> KoreError:
    """Return the error that an answer stands for which is no success.

    Its status is HTTP's; below 400 the refusal was told in the body. The body as text is only searched for the vendor's
    rate limit texts, wherever they stand in it.

    :param payload: its parsed body, None if that is no JSON of this API.
    :param problem: what the parser raised.
    :param what: the call, for the message: "contact list cl-1".
    :param skew: seconds by which the server's clock is ahead of ours.
    :param now: seconds since the epoch, to read a date in ``Retry-After``.
    """
    status, headers, text = response.status, response.headers, _text(response.body)
    known: KoreError | None
    known = rate_limit(text, headers, what, now, certain=status == HTTPStatus.TOO_MANY_REQUESTS)
    if status == HTTPStatus.OK and payload is None:
        known = known or _garbage(problem, text, headers, what)
    known = known or _refused_elsewhere(status, headers, text, what)
    if known is not None:
        return known
    lower = " / ".join(_messages(payload)).lower()
    if status == HTTPStatus.UNAUTHORIZED or any(known in lower for known in _OF_TOKENS):
        return _unauthorised(lower, what, skew)
    if "invalid streamid" in lower:
        return ConfigError("stream_id", "is refused by the server", "copy the stream id (st-…) from the app's settings")
    if status < _REDIRECTION * 100 and "4002" in _codes(payload):  # beside a status of its own that code says little
        return _unauthorised(lower, what, skew)
    if status // 100 in {_REDIRECTION, _CLIENT_ERROR} and status not in _WORTH_A_RETRY:
        return _refused_request(status, lower, what)
    told = f"failed on {what} ({status})" if status >= HTTPStatus.BAD_REQUEST else f"refused {what} under HTTP {status}"
    return ServerError(
        f"The server {told}{_quoted(lower)}. Try again later; if it stays so, ask Kore.ai support about this call.",
        retry_after(headers, now),
    )


def _refused_elsewhere(status: int, headers: Mapping[str, str], text: str, what: str) -> KoreError | None:
    """Return the error for a refusal that is not the API's own, None for any other."""
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return ConfigError(
            "proxy",
            f"names a proxy that wants credentials before it lets {what} pass (407)",
            "write them into its URL, http://user:password@host:port, here or in the worker's HTTPS_PROXY",
        )
    if status in _OWN_SENTENCES:
        return RequestRefusedError(_OWN_SENTENCES[status].format(what=what))
    if status // 100 == _CLIENT_ERROR and status not in _WORTH_A_RETRY and is_web_page(text, headers):
        return WebPageError(
            f"The answer for {what} is a web page instead of JSON ({status}), so it is not the API that refuses. Check "
            "that the connection's host is the Kore.ai environment itself, and that no proxy, firewall or login page "
            "stands in between."
        )
    return None


def rate_limit(
    text: str, headers: Mapping[str, str], what: str, now: float, *, certain: bool = False
) -> RateLimitedError | None:
    """Return the error if the text is one of the vendor's for a spent allowance, or if that is certain already."""
    found = _RATE_LIMIT.search(text)
    if not found and not certain:
        return None
    window = "hourly" if found and found[1] and found[1].lower() == "hourly" else "per-minute"
    return RateLimitedError(
        f"The account's {window} allowance is spent, by this or another application, while reading {what}. "
        f"Wait, or lower {'requests_per_hour' if window == 'hourly' else 'requests_per_minute'} in the connection.",
        retry_after(headers, now),
        window,
    )


def is_web_page(text: str, headers: Mapping[str, str]) -> bool:
    """Say whether an answer is HTML or XML: nothing that this API sends."""
    return text.lstrip("\ufeff \t\r\n")[:1] == "<" or "html" in headers.get("Content-Type", "").lower()


def _garbage(error: ValueError | None, text: str, headers: Mapping[str, str], what: str) -> KoreError:
    """Return the error for a body that is not an answer of this API, although its status says success."""
    if is_web_page(text, headers):
        return MalformedResponseError(
            f"The answer for {what} is a web page instead of JSON. Check that the connection's host is the Kore.ai "
            "environment itself, and that no proxy or login page stands in between."
        )
    if isinstance(error, json_text.ShapeError):  # up to there it was good JSON
        error = _not_json(text) or error
    for kind, broken in _BROKEN:
        if isinstance(error, kind):
            return ContractError(f"The answer for {what} {broken}")
    return MalformedResponseError(
        f"The answer for {what} is no JSON; it was probably cut on its way. Try again; if it stays so, check what "
        "stands between here and the connection's host."
    )


_BROKEN: Final = (
    (json_text.EncodingError, "holds bytes that are no UTF-8. Ask Kore.ai support about this page."),
    (
        json_text.DepthError,
        "is JSON nested too deeply to be read. Ask Kore.ai support about this page, and check that the connection's "
        "host is the Kore.ai environment.",
    ),
    (
        json_text.ShapeError,
        "is JSON, but not of the documented shape. Check the connection's host and api_version.",
    ),
)
"""What is wrong with a body, by what its parser raised; the first that fits."""


def _text(body: bytes) -> str:
    try:
        return json_text.decode(body)
    except ValueError:
        return ""


def _not_json(text: str) -> ValueError | None:
    """Return why a text is no JSON, None if it is."""
    try:
        json_text.parse(text)
    except ValueError as err:
        return err
    return None


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that ``Retry-After`` names (a number or a date), None if there is none that makes sense.

    Never more than :data:`~airflow_provider_kore.clock.LONGEST_WAIT`.
    """
    value = headers.get("Retry-After", "").strip()[:_LONGEST_HEADER]
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return min(float(value), LONGEST_WAIT)
    date = parse_date(value)
    return None if date is None else min(max(0.0, date - now), LONGEST_WAIT)


@lru_cache(maxsize=2)  # a server's ``Date`` changes once in a second
def parse_date(value: str | None) -> float | None:
    """Return an HTTP date as seconds since the epoch, None if it is none."""
    if not value:
        return None
    try:
        date = email.utils.parsedate_to_datetime(value[:_LONGEST_HEADER])
        # HTTP knows no other zone than GMT, named or not.
        return (date.replace(tzinfo=UTC) if date.tzinfo is None else date).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def clock_sentence(skew: float) -> str:
    """Say by how much this machine's clock is off."""
    direction = "behind" if skew > 0 else "ahead of"
    return f"this machine's clock is {abs(skew):,.0f} s {direction} the server's"


def _unauthorised(lower: str, what: str, skew: float) -> KoreError:
    if "scope is incorrect" in lower or "permission denied" in lower:
        return ScopeError(
            f"The token is good, but may not read {what}: its app lacks the API scope Campaign Management. "
            "Grant the scope, save it and publish it."
        )
    if abs(skew) > TOLERATED_SKEW:
        return CredentialsError(
            f"The server refuses the token for {what} (401), and {clock_sentence(skew)}. Set the clock (NTP)."
        )
    if "jwt expired" in lower or "token expired" in lower:
        return CredentialsError(
            f"The server finds the token for {what} expired (401). Check this machine's clock, or raise token_lifetime."
        )
    if "invalid jwt" in lower:
        return CredentialsError(
            f"The server cannot read the token for {what} (401, invalid JWT). Check that jwt_algorithm is the app's, "
            "and that the app does not enforce JWE, which this provider does not support; if it enforces JTI, set "
            "send_jti."
        )
    return CredentialsError(
        f"The server refuses the credentials for {what} (401). It gives one answer for several causes: check the "
        "client secret (password), the client id (login), jwt_algorithm, stream_id and account_id, and set send_jti if "
        "the app enforces JTI."
    )


def _refused_request(status: int, lower: str, what: str) -> KoreError:
    if status == HTTPStatus.NOT_FOUND:
        return NotFoundError(
            f"The server does not know {what} (404). Check the id, and that it belongs to the connection's stream and "
            "account; if every call says this, check host and api_version."
        )
    if status == HTTPStatus.FORBIDDEN:
        return ScopeError(
            f"The server forbids reading {what} (403). Grant the JWT app the API scope Campaign Management, and "
            "publish it; if that is done, ask whether a firewall stands in between."
        )
    if status // 100 == _REDIRECTION:
        return RequestRefusedError(
            f"The server redirects {what} elsewhere ({status}), which is not followed, as it would carry the token "
            "along. Set the connection's host to the address it redirects to."
        )
    return RequestRefusedError(
        f"The server refuses the request for {what} ({status}{_quoted(lower)}). Check its ids and parameters, "
        "and the connection's account_id and stream_id."
    )


_TOO_LONG: Final = (
    "The request for {what} is too long for the server, or for a proxy before it (413, 414 or 431). Check the length "
    "of the ids and filters, and the limits of what stands in between."
)

_OWN_SENTENCES: Final[Mapping[int, str]] = MappingProxyType(
    {
        413: _TOO_LONG,
        414: _TOO_LONG,
        421: "The server that was reached does not serve this host (421), so it refuses the request for {what}. Check "
        "the connection's host, and what stands between here and there.",
        431: _TOO_LONG,
        451: "The request for {what} is refused for legal reasons (451). Ask those who run the network, and Kore.ai "
        "support, which rule that is.",
    }
)
"""Refusals that say nothing about credentials, scope or ids."""


def _messages(payload: object) -> Iterator[str]:
    """Yield the texts of an error body; one page spells the key ``message``, the others ``msg``."""
    for part in _parts(payload):
        texts = [part.get(key) for key in ("msg", "message", "error")] if isinstance(part, Mapping) else [part]
        yield from (text for text in texts if isinstance(text, str))


def _codes(payload: object) -> set[str]:
    return {quoted(part["code"]) for part in _parts(payload) if isinstance(part, Mapping) and "code" in part}


def _parts(payload: object) -> list[object]:
    """Return an error body and what is in its list of errors."""
    if not isinstance(payload, Mapping):
        return []
    errors = payload.get("errors")
    return [payload, *(errors if isinstance(errors, list) else [errors])]


_OF_TOKENS: Final = ("jwt expired", "invalid jwt", "invalid sdk credentials", "scope is incorrect")
"""What only the check of a token says, whatever the status."""

_KNOWN_TEXTS: Final = (
    "validation errors",
    "invalid arguments",
    "method not allowed",
    "permission denied",
    "invalid streamid",
)


def _quoted(lower: str) -> str:
    """Quote the server's text only where it is one of the documented ones: any other may repeat what was sent."""
    known = [text for text in _KNOWN_TEXTS if text in lower]
    return f", {known[0]}" if known else ""
