"""Our core without Airflow: the same snapshot from a plain Python process."""

from __future__ import annotations

import boto3
from botocore.config import Config
from contender import Job, compete

from airflow_provider_kore.api.client import MOST_IN_FLIGHT, CampaignClient
from airflow_provider_kore.api.config import ApiConfig
from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.snapshot.run import take_snapshot
from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec
from airflow_provider_kore.store.s3 import S3Store


def land(job: Job) -> None:
    """Take one snapshot."""
    config = ApiConfig.parse(
        host=job.url,
        login=job.client_id,
        password=job.secret,
        extra={
            "stream_id": job.stream_id,
            "account_id": job.account_id,
            "requests_per_minute": job.requests_per_minute,
            "page_size": job.page,
        },
    )
    spec = SnapshotSpec.parse(
        source=ContactListSource(contact_list_id=job.list_id),
        s3_prefix=job.prefix,
        snapshot_date="2026-11-23",
        run=RunKey(dag_id="bench", run_id=job.prefix, task_id="land"),
    )
    s3 = boto3.client(
        "s3",
        endpoint_url=job.s3,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",  # noqa: S106  # opens nothing
        config=Config(s3={"addressing_style": "path"}),
    )
    with CampaignClient(config, in_flight=MOST_IN_FLIGHT) as client:
        take_snapshot(spec, client, S3Store(s3, job.bucket), SystemClock())


if __name__ == "__main__":
    compete(land)
