"""What the server is going to say, before any HTTP: a status, a body, and how badly it is delivered."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from airflow_provider_kore.simulator.settings import Settings

SDK_CREDENTIALS = "Invalid SDK credentials"
INVALID_TOKEN = "Invalid JWT token"  # noqa: S105  # a refusal's text
WRONG_SCOPE = "Permission denied. Scope is incorrect!"
EXPIRED = "jwt expired"
INVALID_STREAM = "Invalid StreamId"
INVALID_ARGUMENTS = "Validation errors/ Invalid arguments"
METHOD_NOT_ALLOWED = "Method Not Allowed"
MINUTE_LIMIT = "You've exceeded the per-minute rate limit. Please wait for sometime before retrying."
HOUR_LIMIT = "You've exceeded the hourly rate limit. Please wait for sometime before retrying"
GENERIC_LIMIT = "Rate limit for this API has been reached. Please try again after some time."

REFUSAL_CODE = 4002
"""The only error code the vendor's pages show (docs.kore.ai, several automation endpoints)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response, and how it travels: by default at once and whole.

    :param refused: why it is no success, in a word or two, for the request report.
    :param latency: seconds before the first byte.
    :param piece: bytes per piece of a dribbled body, 0 for all at once.
    :param pause: seconds between two pieces.
    :param missing: bytes that ``Content-Length`` promises and that never come.
    :param reset: break the connection there instead.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    refused: str = ""
    latency: float = 0.0
    piece: int = 0
    pause: float = 0.0
    missing: int = 0
    reset: Literal["", "before_headers", "after_headers"] = ""

    def late(self, seconds: float) -> Answer:
        """Return the same, so much later."""
        return replace(self, latency=self.latency + seconds)

    def with_header(self, name: str, value: str) -> Answer:
        """Return the same with one more header; an empty value is none."""
        return replace(self, headers=(*self.headers, (name, value))) if value else self


class RefusedError(Exception):
    """The contract says no. Raised anywhere below the service, which turns it into an answer."""

    def __init__(self, status: int, message: str, reason: str) -> None:
        """Say no.

        :param status: HTTP status.
        :param message: the vendor's text.
        :param reason: what was wrong, for the request report; never a token or a contact.
        """
        super().__init__(status, message, reason)
        self.status = status
        self.message = message
        self.reason = reason


def success(message: str, data: object) -> Answer:
    """Build a 200 with the vendor's envelope around ``data``."""
    return Answer(status=200, body=json.dumps({"status": "success", "message": message, "data": data}).encode())


def refusal(status: int, message: str, reason: str, settings: Settings) -> Answer:
    """Build a refusal in the only shape the vendor shows: ``{"errors": [{"msg": …, "code": 4002}]}``."""
    body = {"errors": [{settings.error_key: message, "code": REFUSAL_CODE}]}
    return Answer(status=status, body=json.dumps(body).encode(), refused=reason)


def refusal_under_200(message: str, reason: str, status_word: str) -> Answer:
    """Build a refusal that is told by the word in ``status`` only."""
    body = {"status": status_word, "message": message}
    return Answer(status=200, body=json.dumps(body).encode(), refused=reason)


def html(status: int, text: str) -> Answer:
    """Build what a gateway or a maintenance page says: HTML where JSON is expected."""
    body = f"<!DOCTYPE html><html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>"
    return Answer(status=status, body=body.encode(), content_type="text/html", refused="fault")


def spoilt(body: bytes) -> Answer:
    """Build a 200 whose body a fault has made."""
    return Answer(status=200, body=body, refused="fault")
