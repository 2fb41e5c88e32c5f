"""A backfill is recognised by what each Airflow says of its run, and a first day is no failure."""

from __future__ import annotations

import enum
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.hooks.airflow_versions import AirflowFailException, AirflowSkipException
from airflow_provider_kore.operators.contact_list_changes import ContactListChangesOperator
from airflow_provider_kore.snapshot.spec import BACKFILL
from airflow_provider_kore.task.context import run_type
from airflow_provider_kore.transfers.campaign_contacts_to_s3 import CampaignContactsToS3Operator
from airflow_provider_kore.transfers.campaigns_to_s3 import CampaignsToS3Operator
from airflow_provider_kore.transfers.contact_list_catalog_to_s3 import ContactListCatalogToS3Operator
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator
from airflow_provider_kore.transfers.contact_lists_to_s3 import ContactListsToS3Operator

if TYPE_CHECKING:
    from bench import Bench


class DagRunType(enum.StrEnum):
    """As Airflow's own: what ``dag_run.run_type`` is."""

    BACKFILL_JOB = "backfill"


OPERATORS: list[tuple[type[Any], dict[str, Any]]] = [
    (ContactListToS3Operator, {"contact_list_id": "cl-1"}),
    (ContactListsToS3Operator, {}),
    (ContactListCatalogToS3Operator, {}),
    (CampaignsToS3Operator, {}),
    (CampaignContactsToS3Operator, {"campaign_id": "cd-1"}),
]


def context_of(bench: Bench, kind: object, **changes: Any) -> dict[str, Any]:
    context = bench.context(**changes)
    context["dag_run"].run_type = kind
    return context


def test_airflow_still_calls_it_so() -> None:
    from airflow.utils.types import DagRunType as Theirs

    assert Theirs.BACKFILL_JOB.value == BACKFILL


@pytest.mark.parametrize("kind", ["backfill", DagRunType.BACKFILL_JOB])
@pytest.mark.parametrize(("operator", "parameters"), OPERATORS, ids=lambda each: getattr(each, "__name__", ""))
def test_it_is_refused_by_name_before_a_request(
    bench: Bench, operator: type[Any], parameters: dict[str, Any], kind: object
) -> None:
    with pytest.raises(AirflowFailException, match="'allow_backfill'"):
        operator(task_id="snapshot", s3_bucket=bench.bucket, **parameters).execute(context_of(bench, kind))
    assert bench.kore.requests == []
    assert bench.objects() == []


@pytest.mark.parametrize("allowed", [True, "True"])
def test_it_can_be_allowed_and_then_says_so(bench: Bench, caplog: pytest.LogCaptureFixture, allowed: object) -> None:
    caplog.set_level(logging.INFO)
    manifest = bench.manifest(bench.run(context_of(bench, DagRunType.BACKFILL_JOB), allow_backfill=allowed))
    assert manifest["run"]["run_type"] == "backfill"
    (warning,) = manifest["warnings"]
    assert warning.endswith("and is filed under 2025-03-09, by a backfill.")
    assert warning in caplog.messages


def test_a_run_that_comes_days_late_lands_and_says_so(bench: Bench) -> None:
    manifest = bench.manifest(bench.run(context_of(bench, "scheduled")))
    assert [warning.partition(" and is ")[2] for warning in manifest["warnings"]] == ["filed under 2025-03-09."]


def test_a_run_that_is_on_time_has_nothing_to_say(bench: Bench) -> None:
    manifest = bench.manifest(bench.run(context_of(bench, "scheduled", logical_date=datetime.now(UTC))))
    assert manifest["warnings"] == []


def test_an_airflow_that_does_not_tell_is_taken_for_no_backfill(bench: Bench) -> None:
    assert run_type(bench.context()) is None  # type: ignore[arg-type]
    assert run_type(context_of(bench, "manual")) == "manual"  # type: ignore[arg-type]


# --- The first day ----------------------------------------------------------------------------------------------------


def compare(bench: Bench, **parameters: Any) -> None:
    given = {"task_id": "changes", "contact_list_id": "cl-1", "s3_bucket": bench.bucket, **parameters}
    ContactListChangesOperator(**given).execute(bench.context())  # type: ignore[arg-type]


@pytest.mark.parametrize("parameters", [{}, {"on_missing": " skip "}])
def test_the_first_snapshot_of_a_list_is_skipped_with_a_sentence(bench: Bench, parameters: dict[str, Any]) -> None:
    bench.run()
    before = bench.objects()
    with pytest.raises(AirflowSkipException, match="changes begin with the second snapshot"):
        compare(bench, **parameters)
    assert bench.objects() == before


@pytest.mark.parametrize(
    ("days", "parameters", "said"),
    [
        (["2025-03-09"], {"on_missing": "fail"}, "changes begin with the second snapshot"),
        (["2025-03-08"], {}, "snapshot_date=2025-03-09/_manifest.json does not exist"),  # the newer has vanished
        ([], {}, "snapshot_date=2025-03-09/_manifest.json does not exist"),
        (["2025-03-09"], {"since": "2025-03-01"}, "snapshot_date=2025-03-01/_manifest.json does not exist"),
        (["2025-03-09"], {"on_missing": "pass"}, "'on_missing'.*skip, fail"),
    ],
)
def test_whatever_else_is_missing_fails(bench: Bench, days: list[str], parameters: dict[str, Any], said: str) -> None:
    for day in days:
        bench.run(snapshot_date=day)
    with pytest.raises(AirflowFailException, match=said):
        compare(bench, **parameters)


def test_older_snapshots_that_prove_nothing_are_no_first_day(bench: Bench) -> None:
    bench.run(snapshot_date="2025-03-09")
    key = "kore/contact_lists/contact_list_id=cl-1/snapshot_date=2025-03-08/_manifest.json"
    bench.s3.put_object(Bucket=bench.bucket, Key=key, Body=b"{}")
    with pytest.raises(AirflowFailException, match="no consistent snapshot before"):
        compare(bench)
