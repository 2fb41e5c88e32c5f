"""Land one contact list of Kore.ai on request: Trigger shows a form.

The API shows a list as it is now and keeps no history, so nothing can fill in a day that was missed: today's contacts
would be filed under that day's date. This DAG refuses any date but today's, unless the form says that this is meant.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

BUCKETS = ["kore-demo"]  # who triggers chooses among these, and no other bucket
OWNER = None  # "123456789012": your AWS account; S3 then refuses a bucket of any other
ID = r"^[A-Za-z0-9_-]{1,100}$"


@task(retries=0)
def asked(*, params: dict[str, Any], logical_date: datetime | None = None) -> list[dict[str, Any]]:
    """Return the operator's parameters as the form has them; raise if they would file today's list under a past day."""
    now = datetime.now(UTC)
    date = params["snapshot_date"] or f"{(logical_date or now).astimezone(UTC):%Y-%m-%d}"
    if date != f"{now:%Y-%m-%d}" and not params["another_day"]:
        raise ValueError(
            f"The API can't tell how the list was on {date}. Tick another_day to file it there all the same."
        )
    given = {name: params[name] for name in ("contact_list_id", "s3_bucket", "file_format")}
    return [{**given, "snapshot_date": date, "field_policies": {"phoneNumber": params["phone_numbers"]}}]


with DAG(
    dag_id="kore_contact_list_on_demand",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    params={
        "contact_list_id": Param("cl-demo", type="string", pattern=ID, title="Contact list", description="Its id."),
        "s3_bucket": Param(BUCKETS[0], enum=BUCKETS, title="Bucket", description="Where the snapshot lands."),
        "file_format": Param("jsonl", enum=["jsonl", "csv", "parquet"], title="Format"),
        "phone_numbers": Param("mask", enum=["mask", "hash", "drop"], title="Phone numbers"),  # no "keep"
        "snapshot_date": Param(None, type=["null", "string"], format="date", title="Date", description="Empty: today."),
        "another_day": Param(default=False, type="boolean", title="File it under another day than today"),
    },
    tags=["kore"],
    doc_md=__doc__,
):
    ContactListToS3Operator.partial(
        task_id="snapshot",
        s3_settings={"expected_bucket_owner": OWNER},
        s3_prefix="kore/on_demand",  # a table of its own: the daily one has one format and one policy
        hash_conn_id="kore_hash_key",
        kore_conn_id="kore_default",
        aws_conn_id="aws_default",
        retries=5,
        retry_delay=timedelta(minutes=1),
        execution_timeout=timedelta(hours=12),
        outlets=[],  # no DAG waits for this table
    ).expand_kwargs(asked())
