"""A snapshot of the day before, taken by the package without Airflow: there is something to compare with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from stage import BUCKET, LIST_ID

if TYPE_CHECKING:
    from stage import Stage


def land_yesterday(stage: Stage) -> None:
    """Land the demo's list as yesterday's, and then change it: three contacts gone, three new, one changed."""
    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.api.sources.contacts import ContactListSource
    from airflow_provider_kore.clock import SystemClock
    from airflow_provider_kore.snapshot.run import take_snapshot
    from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec
    from airflow_provider_kore.store.s3 import S3Store

    kore, allowance = stage.kore, stage.kore.settings.requests_per_minute
    kore.configure(requests_per_minute=0)  # the allowance is left to the person who plays with the demo
    known = kore.connection
    config = ApiConfig.parse(host=known["host"], login=known["login"], password=known["password"], extra=known["extra"])
    spec = SnapshotSpec.parse(
        source=ContactListSource(contact_list_id=LIST_ID),
        s3_prefix="kore/contact_lists",
        snapshot_date=f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}",
        run=RunKey(dag_id="demo", run_id="yesterday", task_id="snapshot"),
    )
    with CampaignClient(config) as client:
        take_snapshot(spec, client, S3Store(stage.s3, BUCKET), SystemClock())
    kore.configure(requests_per_minute=allowance)
    kore.remove(LIST_ID, index=10, n=3)
    kore.append(LIST_ID, 3)
    kore.update(LIST_ID, index=0, firstName="Changed")
