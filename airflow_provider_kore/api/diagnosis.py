"""One cheap authenticated call, and one sentence about what it found: for a button, a task, and a terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.exceptions import CredentialsError, KoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.api.config import ApiConfig

LONGEST_CHECK: Final = 10.0
"""Seconds for a check in all, whatever the connection's timeout: the server that asks has more to do."""

_LEAST_BYTES: Final = {"HS256": 32, "HS512": 64}
"""Of a secret for an algorithm (RFC 7518, section 3.2)."""

_OTHER_ALGORITHM = {"HS256": "HS512", "HS512": "HS256", "RS256": "RS512", "RS512": "RS256"}


def check_connection(config: ApiConfig, connect: Callable[[ApiConfig], CampaignClient]) -> str:
    """Return a sentence that says what works.

    The server gives one answer for a wrong secret and a wrong algorithm, so after a refusal the same key is tried once
    with the other algorithm it can sign with.

    Raises the client's KoreError, whose message is one sentence or two that name the cause.
    """
    # One request, and at the most a second with the other algorithm.
    config = replace(config, timeout=min(config.timeout, LONGEST_CHECK / 2))
    try:
        count = _check(config, connect)
    except CredentialsError:
        other = replace(config, jwt_algorithm=_OTHER_ALGORITHM[config.jwt_algorithm])
        if not _works(other, connect):
            raise
        raise CredentialsError(
            f"The app signs with {other.jwt_algorithm}, not {config.jwt_algorithm}: set jwt_algorithm to "
            f"{other.jwt_algorithm}; everything else is right."
        ) from None
    noun = "list" if count == 1 else "lists"
    return (
        f"Connected to {config.base_url} ({config.api_version}): the application has {count} contact {noun}."
        + _weakness(config)
    )


def _weakness(config: ApiConfig) -> str:
    """Say that a secret can be guessed, empty if it cannot."""
    least = _LEAST_BYTES.get(config.jwt_algorithm, 0)
    if len(config.client_secret.encode("utf-8", "surrogatepass")) >= least:
        return ""
    return (
        f" Warning: the client secret is shorter than the {least} bytes that {config.jwt_algorithm} should have, so a "
        "token that leaks helps to guess it. Ask for a longer one."
    )


def _works(config: ApiConfig, connect: Callable[[ApiConfig], CampaignClient]) -> bool:
    try:
        _check(config, connect)
    except KoreError:
        return False
    return True


def _check(config: ApiConfig, connect: Callable[[ApiConfig], CampaignClient]) -> int:
    with connect(config) as client:
        return client.check()
