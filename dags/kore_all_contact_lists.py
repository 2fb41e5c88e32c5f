"""Find all contact lists of a Kore.ai application, and land each of them in S3, every day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param, task

from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

BUCKETS = ["kore-demo"]  # who triggers chooses among these, and no other bucket
OWNER = None  # "123456789012": your AWS account; S3 then refuses a bucket of any other


@task
def contact_list_ids() -> list[str]:
    """Ask for the ids of all lists; one request."""
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook

    return [str(found["_id"]) for found in KoreCampaignHook("kore_default").get_contact_lists()]


with DAG(
    dag_id="kore_all_contact_lists",
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
    params={"s3_bucket": Param(BUCKETS[0], enum=BUCKETS, description="Bucket that the snapshots land in.")},
    tags=["kore"],
    doc_md=__doc__,
):
    ContactListToS3Operator.partial(
        task_id="snapshot",
        s3_bucket="{{ params.s3_bucket }}",
        s3_settings={"expected_bucket_owner": OWNER},
        s3_prefix="kore/contact_lists",
        kore_conn_id="kore_default",
        aws_conn_id="aws_default",
        # The account has one allowance (60 requests a minute) however many lists it has. Side by side they would not be
        # faster, only refuse each other. Where several DAGs share the account, use a pool of one slot instead.
        max_active_tis_per_dag=1,
        map_index_template="{{ task.contact_list_id }}",
        execution_timeout=timedelta(hours=12),
    ).expand(contact_list_id=contact_list_ids())
