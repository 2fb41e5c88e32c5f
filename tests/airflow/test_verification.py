"""The task that verifies snapshots, over what tasks of several days landed in a real bucket."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.exceptions import StoreUnavailableError
from airflow_provider_kore.hooks.airflow_versions import AirflowFailException
from airflow_provider_kore.operators.snapshot_verification import SnapshotVerificationOperator

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
