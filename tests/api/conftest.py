"""The fixture ``kore``, and what the tests of the API have in common, found from here however pytest was started."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_kore.simulator import pytest_plugin

TESTS = Path(__file__).parents[1]
for folder in (TESTS / "snapshot", TESTS / "api"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from clocks import ImpatientClock  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.simulator import Simulator


def pytest_configure(config: pytest.Config) -> None:
    """Bring the fixture along where the package is not installed, only checked out."""
    if not config.pluginmanager.has_plugin("kore"):
        config.pluginmanager.register(pytest_plugin, "kore")


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
