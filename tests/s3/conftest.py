"""The servers and the model, found from here however pytest was started; and stores on them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

TESTS = Path(__file__).parents[1]
for folder in (TESTS, TESTS / "snapshot", TESTS / "s3"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from model_store import MemoryStore  # noqa: E402
from s3_servers import (  # noqa: E402, F401
    localbucket_server,
    ministack_bucket,
    ministack_server,
    moto_auth_server,
    moto_bucket,
    moto_server,
    rclone_server,
    s3_bucket,
    s3_server,
    s3rver_server,
)

from airflow_provider_kore.store.s3 import S3Store  # noqa: E402

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
def client(s3_server: S3Server) -> Any:  # noqa: F811
    """A client of each real server in turn, for hooks into its requests."""
    return s3_server.client()
