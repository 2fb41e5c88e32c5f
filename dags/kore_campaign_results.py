"""Wait until a Kore.ai campaign has completed; then land its call results, and the contact list that it called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from airflow_provider_kore.sensors.campaign import CampaignStatusSensor
from airflow_provider_kore.transfers.campaign_contacts_to_s3 import CampaignContactsToS3Operator
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

BUCKETS = ["kore-demo"]  # who triggers chooses among these, and no other bucket
OWNER = None  # "123456789012": your AWS account; S3 then refuses a bucket of any other
ID = r"^[A-Za-z0-9_-]{1,100}$"

with DAG(
    dag_id="kore_campaign_results",
    schedule=None,  # started together with the campaign, with its ids
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    default_args={
        "retries": 5,  # a retry continues from the last checkpoint of the try before
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(hours=1),
    },
    params={
        "campaign_id": Param("cd-demo", type="string", pattern=ID, description="Id of the campaign."),
        "contact_list_id": Param("cl-demo", type="string", pattern=ID, description="Id of the list that it calls."),
        "s3_bucket": Param(BUCKETS[0], enum=BUCKETS, description="Bucket that the snapshots land in."),
    },
    tags=["kore"],
    doc_md=__doc__,
):
    completed = CampaignStatusSensor(
        task_id="completed",
        campaign_id="{{ params.campaign_id }}",
        kore_conn_id="kore_default",
        poke_interval=timedelta(minutes=5),  # each look is one of the account's 60 requests a minute
        timeout=timedelta(days=2),
        deferrable=True,  # waits in the triggerer; without one: mode="reschedule"
    )
    results = CampaignContactsToS3Operator(
        task_id="results",
        campaign_id="{{ params.campaign_id }}",
        s3_bucket="{{ params.s3_bucket }}",
        s3_settings={"expected_bucket_owner": OWNER},
        kore_conn_id="kore_default",
        aws_conn_id="aws_default",
    )
    contacts = ContactListToS3Operator(
        task_id="contacts",
        contact_list_id="{{ params.contact_list_id }}",
        s3_bucket="{{ params.s3_bucket }}",
        s3_settings={"expected_bucket_owner": OWNER},
        kore_conn_id="kore_default",
        aws_conn_id="aws_default",
    )
    # One after the other: side by side they would share one allowance.
    completed >> results >> contacts
