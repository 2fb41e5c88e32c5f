"""Faults in which the server, or a gateway before it, refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from airflow_provider_kore.simulator.faults.fault import Fault, answering

if TYPE_CHECKING:
    from airflow_provider_kore.simulator.settings import Settings


def _refusing(name: str, status: int, message: str) -> None:
    """Add a fault that refuses in the vendor's JSON."""
    answering(name, f'{status} "{message}".', lambda settings: refusal(status, message, "fault", settings))


_refusing("unauthorized", 401, SDK_CREDENTIALS)
_refusing("jwt_expired", 401, EXPIRED)
_refusing("scope_incorrect", 401, WRONG_SCOPE)
_refusing("bad_request", 400, "Bad Request")
_refusing("forbidden", 403, "Forbidden")
_refusing("not_found", 404, "Not Found")
_refusing("method_not_allowed", 405, METHOD_NOT_ALLOWED)
_refusing("invalid_arguments", 412, INVALID_ARGUMENTS)


class TooManyRequests(Fault, name="too_many_requests"):
    """429 with the per-minute text, and ``Retry-After: retry_after`` unless that is empty."""

    retry_after: str = ""

    def answer(self, settings: Settings) -> Answer:
        return refusal(429, MINUTE_LIMIT, "fault", settings).with_header("Retry-After", self.retry_after)


_refusing("server_error", 500, "Internal Server Error")
answering("bad_gateway", "502 with a gateway's HTML.", lambda _: html(502, "Bad Gateway"))


class ServiceUnavailable(Fault, name="service_unavailable"):
    """503 with a gateway's HTML, and ``Retry-After: retry_after`` unless that is empty."""

    retry_after: str = ""

    def answer(self, settings: Settings) -> Answer:
        return html(503, "Service Unavailable").with_header("Retry-After", self.retry_after)


answering("gateway_timeout", "504 with a gateway's HTML.", lambda _: html(504, "Gateway Timeout"))


class RefusalUnder200(Fault, name="refusal_under_200"):
    """200 whose ``status`` says ``word``, by default the setting ``failure_status``, with ``message``."""

    word: str = ""
    message: str = "Something went wrong"

    def answer(self, settings: Settings) -> Answer:
        return refusal_under_200(self.message, "fault", self.word or settings.failure_status)


class RateLimitUnder200(Fault, name="rate_limit_under_200"):
    """200 whose ``message`` is a rate limit text."""

    message: str = GENERIC_LIMIT

    def answer(self, settings: Settings) -> Answer:
        return refusal_under_200(self.message, "fault", settings.failure_status)


class Redirect(Fault, name="redirect"):
    """302 to ``location``."""

    location: str = "/login"

    def answer(self, settings: Settings) -> Answer:
        return Answer(status=302, body=b"", headers=(("Location", self.location),), refused="fault")
