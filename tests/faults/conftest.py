"""A simulator and real S3 servers in processes of their own, and the harness around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from vendor import Vendor, running_vendor
from world import World, warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_servers import S3Server


@pytest.fixture(scope="session")
def vendor() -> Iterator[Vendor]:
    """The simulator, in another process; one for all tests of this process, which use lists of their own."""
    with running_vendor(requests_per_minute=0) as vendor:
        vendor.connection["extra"]["requests_per_minute"] = 0
        yield vendor


@pytest.fixture(scope="session")
def moto_world(moto_server: S3Server, vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> World:
    warm_up()
    return World(vendor, moto_server, moto_server.bucket(), tmp_path_factory.mktemp("moto-world"))


@pytest.fixture(scope="session")
def ministack_world(
    ministack_server: S3Server,
    vendor: Vendor,
    tmp_path_factory: pytest.TempPathFactory,
) -> World:
    warm_up()
    return World(vendor, ministack_server, ministack_server.bucket(), tmp_path_factory.mktemp("ministack-world"))


@pytest.fixture
def world(moto_world: World) -> Iterator[World]:
    """A vendor without faults or latency, and moto; what a test leaves running is ended after it."""
    moto_world.vendor.calm()
    yield moto_world
    moto_world.end_all()
    moto_world.vendor.calm()
