"""A simulator, an S3 server and connections between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bench import Bench, set_connection
from whole_airflow import WholeAirflow, start_airflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from s3_servers import S3Server

    from airflow_provider_kore.simulator import Simulator


@pytest.fixture
def bench(
    kore: Simulator,
    moto_server: S3Server,
    moto_bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Bench:
    """A simulator with the list ``cl-1`` of 120 contacts, an empty bucket, and the two default connections."""
    kore.add_list("cl-1", contacts=120)
    return Bench(kore, moto_server, moto_bucket, monkeypatch)


@pytest.fixture(scope="session")
def whole(
    moto_server: S3Server,
    airflow_db: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[WholeAirflow]:
    """A whole Airflow, started once: the files that share it run in one process (``SHARED`` in tests/conftest.py)."""
    with start_airflow(moto_server, airflow_db, tmp_path_factory.mktemp("whole-airflow")) as running:
        yield running


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, Any]], None]:
    """Return a function that defines a connection by the environment."""
    return lambda name, connection: set_connection(monkeypatch, name, connection)


@pytest.fixture
def fast_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client wait next to nothing between its tries of one request."""
    from airflow_provider_kore.api import retry

    monkeypatch.setattr(
        retry.RetryPolicy.__init__,
        "__kwdefaults__",
        {**retry.RetryPolicy.__init__.__kwdefaults__, "first_delay": 0.01, "longest_rate_wait": 0.0},  # type: ignore[dict-item]
    )
