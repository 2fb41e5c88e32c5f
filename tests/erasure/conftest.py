"""Guesses are cheap here."""

from __future__ import annotations

import pytest

from airflow_provider_kore.erasure import names


@pytest.fixture(autouse=True)
def cheap_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive the key of pseudonyms in no time."""
    monkeypatch.setattr(names, "COST", 2)
