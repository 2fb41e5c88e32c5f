"""Forget persons: take them out of all snapshots in S3, then prove that what is left is what was landed.

Without a change of the form it counts, says what it would cost, and changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from airflow_provider_kore.operators.contact_erasure import ContactErasureOperator
from airflow_provider_kore.operators.snapshot_verification import SnapshotVerificationOperator

BUCKETS = ["kore-demo"]  # who triggers chooses among these, and no other bucket
OWNER = None  # "123456789012": your AWS account; S3 then refuses a bucket of any other
LIST = rf"^s3://({'|'.join(BUCKETS)})/erasures/[A-Za-z0-9_-]{{1,100}}\.(csv|jsonl)(\.gz)?$"

with DAG(
    dag_id="kore_erasure",
    schedule=None,  # by hand
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    max_active_runs=1,
    default_args={"retries": 5, "retry_delay": timedelta(minutes=1)},  # a retry continues
    params={
        "s3_bucket": Param(BUCKETS[0], enum=BUCKETS, description="Bucket that holds the snapshots."),
        "erasure_list": Param(
            f"s3://{BUCKETS[0]}/erasures/persons.csv",
            type="string",
            pattern=LIST,
            description="File with a column _id, phoneNumber, or both. Erase these persons in Kore.ai first.",
        ),
        "plan_only": Param(True, type="boolean", description="Only count; off: erase."),
    },
    tags=["kore"],
    doc_md=__doc__,
):
    erase = ContactErasureOperator(
        task_id="erase",
        s3_bucket="{{ params.s3_bucket }}",
        s3_settings={"expected_bucket_owner": OWNER},
        s3_prefix="kore/contact_lists",
        erasure_list="{{ params.erasure_list }}",
        plan_only="{{ params.plan_only }}",
    )
    verify = SnapshotVerificationOperator(
        task_id="verify", s3_bucket="{{ params.s3_bucket }}", s3_prefix="kore/contact_lists"
    )
    erase >> verify
