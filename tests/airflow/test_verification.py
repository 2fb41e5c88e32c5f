"""The task that verifies snapshots, over what tasks of several days landed in a real bucket."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.audit.history import histories
from airflow_provider_kore.audit.progress import Progress
from airflow_provider_kore.exceptions import StoreUnavailableError
from airflow_provider_kore.hooks.airflow_versions import AirflowFailException
from airflow_provider_kore.operators.contact_list_changes import ContactListChangesOperator
from airflow_provider_kore.operators.snapshot_verification import SnapshotVerificationOperator
from airflow_provider_kore.store.s3 import S3Store
from airflow_provider_kore.transfers.campaign_contacts_to_s3 import CampaignContactsToS3Operator
from airflow_provider_kore.transfers.campaigns_to_s3 import CampaignsToS3Operator
from airflow_provider_kore.transfers.contact_list_catalog_to_s3 import ContactListCatalogToS3Operator

if TYPE_CHECKING:
    from bench import Bench

LIST = "kore/contact_lists/contact_list_id=cl-1"


def verify(bench: Bench, **parameters: Any) -> dict[str, Any]:
    given = {"task_id": "verify", "s3_bucket": bench.bucket} | parameters
    found: dict[str, Any] = SnapshotVerificationOperator(**given).execute(bench.context())  # type: ignore[arg-type]
    return found


def two_days(bench: Bench) -> list[str]:
    """Land the list twice; return the keys of both days' files."""
    keys: list[str] = []
    for day in ("08", "09"):
        summary = bench.run(bench.context(f"scheduled__{day}"), snapshot_date=f"2025-03-{day}")
        keys += summary["keys"]
        bench.kore.append("cl-1", 2)
    return keys


def test_what_was_landed_is_fine_and_the_xcom_counts_it(bench: Bench) -> None:
    two_days(bench)
    bench.kore.forget_requests()
    found = verify(bench, s3_prefix=LIST)
    assert found == verify(bench) | {"prefix": LIST}
    rows = found["rows"]
    assert found == {
        "bucket": bench.bucket,
        "prefix": LIST,
        "tables": 1,
        "snapshots": 2,
        "rows": rows,
        "files": 2,
        "bytes": found["bytes"],
        "first_date": "2025-03-08",
        "last_date": "2025-03-09",
        "notes": {},
    }
    assert rows > 0
    assert json.dumps(found)
    assert bench.kore.requests == [], "the vendor is asked nothing"
    assert verify(bench, s3_prefix=f"{LIST}/snapshot_date=2025-03-09")["snapshots"] == 1


def test_what_is_wrong_fails_the_task_with_where_and_what_to_do(bench: Bench) -> None:
    first, second = two_days(bench)
    source = {"Bucket": bench.bucket, "Key": second}
    bench.s3.copy_object(Bucket=bench.bucket, Key=first, CopySource=source)
    with pytest.raises(AirflowFailException) as caught:
        verify(bench)
    said = str(caught.value)
    assert said.startswith("Verified 2 snapshots: ")
    assert f"s3://{bench.bucket}/{first}: " in said
    assert "Don't use it; take the snapshot again" in said
    assert not re.search(r"\bcc-|\+\d{4}", said)


def test_where_nothing_is_the_task_fails_too(bench: Bench) -> None:
    two_days(bench)
    with pytest.raises(AirflowFailException, match=r"There is no snapshot\. Check the address"):
        verify(bench, s3_prefix="kore/contact_list")
    with pytest.raises(AirflowFailException, match="no such bucket"):
        verify(bench, s3_bucket="kore-no-such-bucket")
    with pytest.raises(AirflowFailException, match="begins with a slash"):
        verify(bench, s3_prefix="/kore")
    with pytest.raises(AirflowFailException, match="still holds a template"):
        verify(bench, s3_prefix="{{ x }}")


def test_a_store_that_does_not_answer_is_left_to_retries(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    bench.connect_aws(endpoint_url="http://127.0.0.1:9")
    with pytest.raises(StoreUnavailableError, match="no answer from S3"):
        verify(bench)


@pytest.mark.slow
def test_every_kind_of_snapshot_is_verified_and_has_a_history(bench: Bench) -> None:
    """Below one prefix, each over two days, with a table of changes and a split one among them."""
    bench.kore.add_campaign("cd-1", status="Completed", results=130)
    first, _ = two_days(bench)
    for day in ("08", "09"):
        context = bench.context(f"scheduled__{day}")
        common: dict[str, Any] = {"task_id": "land", "s3_bucket": bench.bucket, "snapshot_date": f"2025-03-{day}"}
        CampaignContactsToS3Operator(campaign_id="cd-1", file_format="csv", **common).execute(context)  # type: ignore[arg-type]
        CampaignsToS3Operator(file_format="parquet", **common).execute(context)  # type: ignore[arg-type]
        ContactListCatalogToS3Operator(**common).execute(context)  # type: ignore[arg-type]
        bench.run(context, s3_prefix="kore/split", rows_per_file=50, snapshot_date=f"2025-03-{day}")
    ContactListChangesOperator(
        task_id="changes", contact_list_id="cl-1", s3_bucket=bench.bucket, snapshot_date="2025-03-09"
    ).execute(bench.context())  # type: ignore[arg-type]
    found = verify(bench, s3_prefix="kore")
    assert (found["tables"], found["snapshots"], found["notes"]) == (6, 11, {})
    store = S3Store(bench.s3, bench.bucket)
    told = {one.address.split("/")[4]: one for one in histories(store, "kore/", progress=Progress(str))}
    assert {name: (one.kind, one.status) for name, one in told.items()} == {
        "campaign_contacts": ("contacts", "fine"),
        "campaigns": ("campaigns", "fine"),
        "contact_list_catalogue": ("contact_lists", "fine"),
        "contact_lists": ("contacts", "fine"),
        "contact_lists_changes": ("changes", "fine"),
        "split": ("contacts", "fine"),
    }
    assert [(day.added, day.gone) for day in told["contact_lists"].days] == [(None, None), (2, 0)]
    assert [(day.added, day.gone) for day in told["contact_lists_changes"].days] == [(2, 0)]
    bench.s3.delete_object(Bucket=bench.bucket, Key=first)
    with pytest.raises(AirflowFailException, match="is not there"):
        verify(bench, s3_prefix="kore")
