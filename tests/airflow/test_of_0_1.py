"""What was written for the first version works unchanged: its connections, kept as they were.

``test_dags.py`` runs its example DAGs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.hooks.campaign import KoreCampaignHook

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = Path(__file__).with_name("of_0_1")
CONNECTIONS: dict[str, Any] = json.loads((KEPT / "connections.json").read_text())


@pytest.mark.parametrize("name", CONNECTIONS)
def test_a_connection_of_the_first_version_means_what_it_meant(define: Callable[..., None], name: str) -> None:
    define("kore_default", CONNECTIONS[name]["given"])
    config = KoreCampaignHook().config
    wanted = CONNECTIONS[name]["means"]
    assert {field: getattr(config, field) for field in wanted} == wanted
