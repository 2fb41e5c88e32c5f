"""One cheap authenticated call, and one sentence about what it found: for a button, a task, and a terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import CredentialsError, KoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.api.config import ApiConfig

_OTHER_ALGORITHM = {"HS256": "HS512", "HS512": "HS256", "RS256": "RS512", "RS512": "RS256"}


def check_connection(config: ApiConfig, connect: Callable[[ApiConfig], CampaignClient]) -> str:
    """Return a sentence that says what works.

    The server gives one answer for a wrong secret and a wrong algorithm, so after a refusal the same key is tried once
    with the other algorithm it can sign with.

    Raises the client's KoreError, whose message is one sentence or two that name the cause.
    """
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
    return f"Connected to {config.base_url} ({config.api_version}): the application has {count} contact {noun}."


def _works(config: ApiConfig, connect: Callable[[ApiConfig], CampaignClient]) -> bool:
    try:
        _check(config, connect)
    except KoreError:
        return False
    return True


def _check(config: ApiConfig, connect: Callable[[ApiConfig], CampaignClient]) -> int:
    with connect(config) as client:
        return client.check()
