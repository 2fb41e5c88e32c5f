"""Land one contact list of Kore.ai in S3, every day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

BUCKETS = ["kore-demo"]  # who triggers chooses among these, and no other bucket
OWNER = None  # "123456789012": your AWS account; S3 then refuses a bucket of any other
ID = r"^[A-Za-z0-9_-]{1,100}$"

with DAG(
    dag_id="kore_contact_list_daily",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,  # the API shows a list as it is now: there is no yesterday to catch up with
    max_active_runs=1,
    default_args={
        "retries": 5,  # a retry continues from the last checkpoint of the try before
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(hours=1),
    },
    params={
        "contact_list_id": Param("cl-demo", type="string", pattern=ID, description="Id of the contact list."),
        "s3_bucket": Param(BUCKETS[0], enum=BUCKETS, description="Bucket that the snapshot lands in."),
    },
    tags=["kore"],
    doc_md=__doc__,
):
    ContactListToS3Operator(
        task_id="snapshot",
        contact_list_id="{{ params.contact_list_id }}",
        s3_bucket="{{ params.s3_bucket }}",
        s3_settings={"expected_bucket_owner": OWNER},
        s3_prefix="kore/contact_lists",
        kore_conn_id="kore_default",
        aws_conn_id="aws_default",
        execution_timeout=timedelta(hours=12),
    )
