"""Faults in which the server, or a gateway before it, refuses."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_kore.simulator.answers import (
    EXPIRED,
    GENERIC_LIMIT,
    INVALID_ARGUMENTS,
    METHOD_NOT_ALLOWED,
    MINUTE_LIMIT,
    SDK_CREDENTIALS,
    WRONG_SCOPE,
    Answer,
    html,
    refusal,
    refusal_under_200,
)
from airflow_provider_kore.simulator.faults.fault import Fault

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from airflow_provider_kore.simulator.settings import Settings


class _Refusal(Fault):
    """A refusal in the vendor's JSON."""

    status: ClassVar[int]
    message: ClassVar[str]

    @override
    def answer(self, settings: Settings) -> Answer:
        return refusal(self.status, self.message, "fault", settings)


class Unauthorized(_Refusal, name="unauthorized"):
    """401 "Invalid SDK credentials"."""

    status = 401
    message = SDK_CREDENTIALS


class JwtExpired(_Refusal, name="jwt_expired"):
    """401 "jwt expired"."""

    status = 401
    message = EXPIRED


class ScopeIncorrect(_Refusal, name="scope_incorrect"):
    """401 "Permission denied. Scope is incorrect!"."""

    status = 401
    message = WRONG_SCOPE


class BadRequest(_Refusal, name="bad_request"):
    """400 "Bad Request"."""

    status = 400
    message = "Bad Request"


class Forbidden(_Refusal, name="forbidden"):
    """403 "Forbidden"."""

    status = 403
    message = "Forbidden"


class NotFound(_Refusal, name="not_found"):
    """404 "Not Found"."""

    status = 404
    message = "Not Found"


class MethodNotAllowed(_Refusal, name="method_not_allowed"):
    """405 "Method Not Allowed"."""

    status = 405
    message = METHOD_NOT_ALLOWED


class InvalidArguments(_Refusal, name="invalid_arguments"):
    """412 "Validation errors/ Invalid arguments"."""

    status = 412
    message = INVALID_ARGUMENTS


@dataclass(frozen=True, kw_only=True)
class TooManyRequests(Fault, name="too_many_requests"):
    """429 with the per-minute text, and ``Retry-After: retry_after`` unless that is empty."""

    retry_after: str = ""

    @override
    def answer(self, settings: Settings) -> Answer:
        headers = (("Retry-After", self.retry_after),) if self.retry_after else ()
        return replace(refusal(429, MINUTE_LIMIT, "fault", settings), headers=headers)


class ServerError(_Refusal, name="server_error"):
    """500 "Internal Server Error"."""

    status = 500
    message = "Internal Server Error"


class BadGateway(Fault, name="bad_gateway"):
    """502 with a gateway's HTML."""

    @override
    def answer(self, settings: Settings) -> Answer:
        return html(502, "Bad Gateway")


@dataclass(frozen=True, kw_only=True)
class ServiceUnavailable(Fault, name="service_unavailable"):
    """503 with a gateway's HTML, and ``Retry-After: retry_after`` unless that is empty."""

    retry_after: str = ""

    @override
    def answer(self, settings: Settings) -> Answer:
        headers = (("Retry-After", self.retry_after),) if self.retry_after else ()
        return replace(html(503, "Service Unavailable"), headers=headers)


class GatewayTimeout(Fault, name="gateway_timeout"):
    """504 with a gateway's HTML."""

    @override
    def answer(self, settings: Settings) -> Answer:
        return html(504, "Gateway Timeout")


@dataclass(frozen=True, kw_only=True)
class RefusalUnder200(Fault, name="refusal_under_200"):
    """200 whose ``status`` says ``word``, by default the setting ``failure_status``, with ``message``."""

    word: str = ""
    message: str = "Something went wrong"

    @override
    def answer(self, settings: Settings) -> Answer:
        return refusal_under_200(self.message, "fault", self.word or settings.failure_status)


@dataclass(frozen=True, kw_only=True)
class RateLimitUnder200(Fault, name="rate_limit_under_200"):
    """200 whose ``message`` is a rate limit text."""

    message: str = GENERIC_LIMIT

    @override
    def answer(self, settings: Settings) -> Answer:
        return refusal_under_200(self.message, "fault", settings.failure_status)


@dataclass(frozen=True, kw_only=True)
class Redirect(Fault, name="redirect"):
    """302 to ``location``."""

    location: str = "/login"

    @override
    def answer(self, settings: Settings) -> Answer:
        return Answer(status=302, body=b"", headers=(("Location", self.location),), refused="fault")
