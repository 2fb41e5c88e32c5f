"""The pytest fixture ``kore``: a running simulator per test.

    def test_lands_all_contacts(kore):
        kore.add_list("cl-1", contacts=120)
        ...

Every pytest run with this package installed imports this module, so it imports nothing else until the fixture is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore import simulator

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that sets the fixture up."""
    config.addinivalue_line(
        "markers",
        "kore(**settings): settings of the simulator behind the fixture `kore`, such as jwt_algorithm='RS256'",
    )


@pytest.fixture
def kore(request: pytest.FixtureRequest) -> Iterator[simulator.Simulator]:
    """Yield a Kore.ai environment on a free loopback port, empty, without rate limits.

    ``@pytest.mark.kore(requests_per_minute=60)`` or ``kore.configure(requests_per_minute=60)`` changes that.
    """
    settings: dict[str, Any] = {"requests_per_minute": 0}
    for marker in reversed(list(request.node.iter_markers("kore"))):
        settings |= marker.kwargs
    with simulator.Simulator(**settings) as running:
        yield running
