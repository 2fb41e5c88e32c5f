"""One cheap authenticated call, and one sentence about what it found: for a button, a task, and a terminal."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.exceptions import CredentialsError, KoreError, UnreachableError
from airflow_provider_kore.unexpected import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.api.config import ApiConfig

_GRACE: Final = 0.2
"""Seconds by which the exchange's own deadline, which names the cause, comes first."""

LONGEST_CHECK: Final = 10.0
"""Seconds for a check in all, whatever the connection's timeout: the server that asks has more to do."""

LONGEST_WAIT: Final = 6.0
"""Seconds of those that a check waits for its place in a shared allowance."""

_LEAST_BYTES: Final = {"HS256": 32, "HS512": 64}
"""Of a secret for an algorithm (RFC 7518, section 3.2)."""

_OTHER_ALGORITHM = {"HS256": "HS512", "HS512": "HS256", "RS256": "RS512", "RS512": "RS256"}


MOST_CHECKS: Final = 64
"""Requests of checks that may be under way in a process: one whose name server hangs cannot be taken back."""

_under_way = threading.BoundedSemaphore(MOST_CHECKS)


def check_connection(config: ApiConfig, connect: Callable[[ApiConfig], CampaignClient]) -> str:
    """Return a sentence that says what works.

    :param connect: makes a client of settings.

    The server gives one answer for a wrong secret and a wrong algorithm, so after a refusal the same key is tried once
    with the other algorithm it can sign with.

    Raises the client's KoreError, whose message is one sentence or two that name the cause.
    """
    # One request, and at the most a second with the other algorithm.
    config = replace(config, timeout=min(config.timeout, LONGEST_CHECK / 2))
    deadline = time.monotonic() + LONGEST_CHECK
    try:
        number = _check(config, connect, deadline)
    except CredentialsError as refusal:
        other = replace(config, jwt_algorithm=_OTHER_ALGORITHM[config.jwt_algorithm])
        try:
            _check(other, connect, deadline)
        except KoreError:
            raise refusal from None
        raise CredentialsError(
            f"The app signs with {other.jwt_algorithm}, not {config.jwt_algorithm}: set jwt_algorithm to "
            f"{other.jwt_algorithm}; everything else is right."
        ) from None
    noun = "list" if number == 1 else "lists"
    return (
        f"Connected to {config.base_url} ({config.api_version}): the application has {number} contact {noun}."
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


def _check(config: ApiConfig, connect: Callable[[ApiConfig], CampaignClient], deadline: float) -> int:
    """Make the call on a thread of its own, and leave it at the deadline, whatever it waits for."""
    client = connect(config)
    if not _under_way.acquire(blocking=False):
        raise UnreachableError(
            f"Too many checks still wait for an answer of {config.base_url} or another host. Try again in a minute; if "
            "it stays so, check the connection's host, and DNS."
        )
    answer: Future[int] = Future()

    def call() -> None:
        try:
            answer.set_result(client.check())
        except Exception as err:  # noqa: BLE001 - raised where the answer is waited for
            answer.set_exception(err)
        finally:
            _under_way.release()

    try:
        start_thread("kore-check", call)
    except UnreachableError:
        _under_way.release()
        raise
    with client:
        try:
            return answer.result(timeout=max(0.0, deadline - time.monotonic()) + _GRACE)
        except TimeoutError:
            raise UnreachableError(
                f"{config.base_url} did not finish its answer within {LONGEST_CHECK:g} s, which is all that a check "
                "waits. Check the connection's host, and that the name server which knows it answers."
            ) from None
