"""S3 servers as fixtures, which start when first asked for, once per test process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import debian_packages
import pytest
import s3_servers
from s3_servers import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """moto, which checks no credentials."""
    with s3_servers.moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def moto_auth_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A moto of its own that checks signatures and policies."""
    with s3_servers.moto_that_checks(tmp_path_factory.mktemp("moto-auth")) as server:
        yield server


@pytest.fixture(scope="session")
def ministack_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """ministack, which checks signatures, policies and checksums."""
    with s3_servers.ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture(scope="session")
def localbucket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """localbucket: no batch delete, metadata, checksums, nor conditions but If-None-Match."""
    with s3_servers.localbucket(tmp_path_factory.mktemp("localbucket")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """``rclone serve s3``: checks signatures, ignores conditions, keeps no checksums."""
    with s3_servers.rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def s3rver_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """s3rver: ignores conditions, keeps no checksums, lists no uploads. Takes a Node.js, Debian's if there is none."""
    programs = debian_packages.require({"node": "nodejs", "npm": "npm"})
    with s3_servers.s3rver(tmp_path_factory.mktemp("s3rver"), **programs) as server:
        yield server


@pytest.fixture
def moto_bucket(moto_server: S3Server) -> str:
    """A new, empty bucket in moto."""
    return moto_server.bucket()


@pytest.fixture
def ministack_bucket(ministack_server: S3Server) -> str:
    """A new, empty bucket in ministack."""
    return ministack_server.bucket()


@pytest.fixture(params=["moto", "ministack"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    """Each server in turn; starts only the one it is."""
    server: S3Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> str:
    """A new, empty bucket in each server in turn."""
    return s3_server.bucket()
