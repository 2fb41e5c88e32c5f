"""Wait until a Kore.ai campaign has completed; then land its call results, and the contact list that it called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from airflow_provider_kore.sensors.campaign import CampaignStatusSensor
from airflow_provider_kore.transfers.campaign_contacts_to_s3 import CampaignContactsToS3Operator
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

with DAG(
    dag_id="kore_campaign_results",
    schedule=None,  # whoever starts the campaign starts a run, with its ids
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    default_args={
        "retries": 5,  # a retry continues behind the last checkpoint of the try before
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(hours=1),
    },
    params={
        "campaign_id": Param("cd-demo", type="string", description="Id of the campaign."),
        "contact_list_id": Param("cl-demo", type="string", description="Id of the contact list that it calls."),
        "s3_bucket": Param("kore-demo", type="string", description="Bucket that the snapshots land in."),
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
        kore_conn_id="kore_default",
        aws_conn_id="aws_default",
    )
    contacts = ContactListToS3Operator(
        task_id="contacts",
        contact_list_id="{{ params.contact_list_id }}",
        s3_bucket="{{ params.s3_bucket }}",
        kore_conn_id="kore_default",
        aws_conn_id="aws_default",
    )
    # One after the other: side by side they would share one allowance.
    completed >> results >> contacts
