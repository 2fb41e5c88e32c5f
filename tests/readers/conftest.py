"""A bucket in which a list lies day after day, in every format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lake
import pytest
import s3_servers

from airflow_provider_kore.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lake.Lake]:
    """A moto of its own: recipes name the bucket, and other tests do what they like in theirs."""
    with (
        s3_servers.moto(tmp_path_factory.mktemp("moto-lake")) as server,
        Simulator(max_limit=5_000, requests_per_minute=0, requests_per_hour=0) as kore,
    ):
        server.bucket(lake.BUCKET)
        for file_format, form in lake.FORMS.items():
            lake.land(kore, server, "cl-81", **form)
            lake.land(kore, server, "cl-82", **form, **lake.OTHERS[file_format])
        lake.land(kore, server, "cl-83", **lake.FORMS["csv"])
        lake.land(kore, server, "cl-84", **lake.FORMS["parquet"])
        copy = tmp_path_factory.mktemp("lake")
        lake.copy(server, copy)
        yield lake.Lake(server, copy)
