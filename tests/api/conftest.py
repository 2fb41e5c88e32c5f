"""What the tests of the API have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from clocks import ImpatientClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.simulator import Simulator


@pytest.fixture(autouse=True)
def _read_ahead_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pages be read ahead although the simulator answers at once."""
    monkeypatch.setattr("airflow_provider_kore.api.reader.WORTH_READING_AHEAD", 0.0)


@pytest.fixture(autouse=True)
def _no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own proxy and CA settings out of every test; those about them set their own."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def clock() -> ImpatientClock:
    """A clock that never really sleeps."""
    return ImpatientClock()


@pytest.fixture(scope="module")
def shared_kore() -> Iterator[Simulator]:
    """One environment for a whole module of many small tests; each puts it into the state it needs."""
    from airflow_provider_kore.simulator import Simulator

    with Simulator(requests_per_minute=0) as running:
        yield running
