"""Small chunks, so that a small walk has many."""

from __future__ import annotations

import pytest

from airflow_provider_kore.snapshot import staging
from airflow_provider_kore.store import upload
from airflow_provider_kore.walk import walk


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut a chunk at every eighth contact: two pages of the models' walks."""
    monkeypatch.setattr(staging, "CHUNK_ROWS", 8)
    monkeypatch.setattr(staging, "SMALLEST_CHUNK_ROWS", 8)


@pytest.fixture
def short_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a list of three pages count as one that is worth a second look after its first page."""
    monkeypatch.setattr(walk, "LONG", 2)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upload in parts from 64 bytes on, 100 bytes each."""
    monkeypatch.setattr(
        upload.upload_file,
        "__kwdefaults__",
        {
            **upload.upload_file.__kwdefaults__,
            "single_put_bytes": 64,
            "part_bytes": 100,
        },
    )
