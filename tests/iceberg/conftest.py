"""A lake of its own for each test. Nothing here runs where pyiceberg is not installed: in the matrix and the lowest."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest
from lake import Lake

if TYPE_CHECKING:
    from pathlib import Path

    from s3_servers import S3Server

if importlib.util.find_spec("pyiceberg") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def lake(moto_server: S3Server, moto_bucket: str, tmp_path: Path) -> Lake:
    """An empty bucket in moto, and a catalog in a file."""
    return Lake(moto_server, moto_bucket, tmp_path)
