"""Land all contact lists of a Kore.ai application in S3, every day, and commit them to one Iceberg table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from airflow_provider_kore.transfers.contact_lists_to_s3 import ContactListsToS3Operator
from airflow_provider_kore.transfers.snapshots_to_iceberg import SnapshotsToIcebergOperator

BUCKETS = ["kore-demo"]  # who triggers chooses among these, and no other bucket
OWNER = None  # "123456789012": your AWS account; S3 then refuses a bucket of any other

with DAG(
    dag_id="kore_iceberg",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,  # the API shows a list as it is now: there is no yesterday to catch up with
    max_active_runs=1,  # runs that commit to one table get in each other's way
    default_args={
        "retries": 5,  # a retry reads only what is missing, and commits nothing twice
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(hours=1),
    },
    params={"s3_bucket": Param(BUCKETS[0], enum=BUCKETS, description="Bucket that the snapshots land in.")},
    tags=["kore"],
    doc_md=__doc__,
):
    land = ContactListsToS3Operator(
        task_id="land",
        s3_bucket="{{ params.s3_bucket }}",
        s3_settings={"expected_bucket_owner": OWNER},
        s3_prefix="kore/lake",
        file_format="parquet",
        execution_timeout=timedelta(hours=24),
    )
    SnapshotsToIcebergOperator(
        task_id="commit",  # in one commit: readers see yesterday, or all of today
        snapshots=land.output,
        table="crm.contacts",  # the namespace has to exist, the table not
        iceberg_conn_id="iceberg_default",
    )
