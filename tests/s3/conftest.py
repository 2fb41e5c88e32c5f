"""Stores on the servers and the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from model_store import MemoryStore

from airflow_provider_kore.store.s3 import S3Store

if TYPE_CHECKING:
    from s3_servers import S3Server

    from airflow_provider_kore.store.store import ObjectStore


@pytest.fixture(params=["memory", "moto", "ministack"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """An empty bucket: of the model, and of each real server. What holds for one must hold for all."""
    if request.param == "memory":
        return MemoryStore(page_size=7)
    server: S3Server = request.getfixturevalue(f"{request.param}_server")
    monkeypatch.setattr("airflow_provider_kore.store.s3.MAX_KEYS_PER_REQUEST", 7)
    return S3Store(server.client(), server.bucket())


@pytest.fixture
def client(s3_server: S3Server) -> Any:
    """A client of each real server in turn, for hooks into its requests."""
    return s3_server.client()
