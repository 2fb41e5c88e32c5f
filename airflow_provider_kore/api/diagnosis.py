"""One cheap authenticated call, and one sentence about what it found: for the Test button and whoever presses it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import CredentialsError, KoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.api.config import ApiConfig

_OTHER_ALGORITHM = {"HS256": "HS512", "HS512": "HS256", "RS256": "RS512", "RS512": "RS256"}


def diagnose(config: ApiConfig, connect: Callable[[ApiConfig], CampaignClient]) -> tuple[bool, str]:
    """Return whether the connection works, and a sentence that names the cause if it doesn't.

    The server gives one answer for a wrong secret and a wrong algorithm, so after a refusal the same key is tried once
    with the other algorithm it can sign with.
    """
    try:
        count = _check(config, connect)
    except CredentialsError as err:
        other = replace(config, jwt_algorithm=_OTHER_ALGORITHM[config.jwt_algorithm])
        try:
            _check(other, connect)
        except KoreError:
            return False, str(err)
        return False, (
            f"The app signs with {other.jwt_algorithm}, not {config.jwt_algorithm}: set jwt_algorithm to "
            f"{other.jwt_algorithm}; everything else is right."
        )
    except KoreError as err:
        return False, str(err)
    noun = "list" if count == 1 else "lists"
    return True, f"Connected to {config.base_url} ({config.api_version}): the application has {count} contact {noun}."


def _check(config: ApiConfig, connect: Callable[[ApiConfig], CampaignClient]) -> int:
    with connect(config) as client:
        return client.check()
