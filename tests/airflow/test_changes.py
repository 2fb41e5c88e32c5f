"""The operator that compares two snapshots in a real bucket, as tasks of two days landed them."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_kore.hooks.airflow_versions import AirflowFailException, AirflowSkipException
from airflow_provider_kore.operators.contact_list_changes import ContactListChangesOperator

if TYPE_CHECKING:
    from bench import Bench

OLD, NEW = "2025-03-08", "2025-03-09"
SOMEBODY = "Zaphodina"


def changes(bench: Bench, context: dict[str, Any] | None = None, **parameters: Any) -> dict[str, Any]:
    """Run the operator once, as a task of the run of :data:`NEW`."""
    given = {"task_id": "changes", "contact_list_id": "cl-1", "s3_bucket": bench.bucket} | parameters
    found: dict[str, Any] = ContactListChangesOperator(**given).execute(context or bench.context())  # type: ignore[arg-type]
    return found


def two_days(bench: Bench, **parameters: Any) -> dict[str, set[str]]:
    """Land the list twice, with five contacts fewer and two more the second time, and one changed; say which."""
    bench.run(snapshot_date=OLD, **parameters)
    before = set(bench.kore.contact_ids("cl-1"))
    bench.kore.remove("cl-1", index=10, n=5)
    bench.kore.append("cl-1", 2)
    bench.kore.update("cl-1", index=0, firstName=SOMEBODY)
    changed = next(bench.kore.contact_ids("cl-1"))
    bench.run(bench.context("scheduled__2"), snapshot_date=NEW, **parameters)
    after = set(bench.kore.contact_ids("cl-1"))
    return {"gone": before - after, "added": after - before, "changed": {changed}}


def by_change(bench: Bench, summary: dict[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in bench.rows(summary["keys"][0]):
        found.setdefault(row["change"], set()).add(row["_id"])
    return found


@pytest.mark.parametrize(
    ("file_format", "form"), [("jsonl", {}), ("csv", {"rows_per_file": 50}), ("parquet", {"rows_per_file": 50})]
)
def test_what_changed_between_two_days_lands_beside_the_snapshots(
    bench: Bench, file_format: str, form: dict[str, Any]
) -> None:
    expected = two_days(bench, file_format=file_format, **form)
    bench.kore.forget_requests()
    summary = changes(bench)
    assert by_change(bench, summary) == expected
    partition = f"kore/contact_lists_changes/contact_list_id=cl-1/snapshot_date={NEW}"
    assert summary == {
        "added": 2,
        "changed": 1,
        "gone": 5,
        "unchanged": 114,
        "changes": 8,
        "contact_list_id": "cl-1",
        "snapshot_date": NEW,
        "since": OLD,
        "snapshot_id": summary["snapshot_id"],
        "bucket": bench.bucket,
        "manifest_key": f"{partition}/_manifest.json",
        "keys": [f"{partition}/changes.jsonl.gz"],
    }
    assert bench.manifest(summary)["files"][0]["rows"] == 8
    assert bench.kore.requests == []  # Kore.ai is asked for nothing
    assert not [key for key in bench.objects() if "_staging" in key]


def test_a_row_says_what_the_snapshot_says_and_a_policy_holds_here_too(bench: Bench) -> None:
    two_days(bench, field_policies={"phoneNumber": "mask", "firstName": "drop"})
    summary = changes(bench, before=True)
    rows = bench.rows(summary["keys"][0])
    assert {"added", "gone"} <= {row["change"] for row in rows}
    for row in rows:
        for side in ("contact", "before"):
            if row[side] is not None:
                assert row[side]["phoneNumber"].startswith("****")
                assert "firstName" not in row[side]


def test_by_default_of_who_is_gone_nothing_but_the_id_is_written(bench: Bench) -> None:
    two_days(bench)
    gone = [row for row in bench.rows(changes(bench)["keys"][0]) if row["change"] == "gone"]
    assert len(gone) == 5
    assert all(row["contact"] is None and row["before"] is None for row in gone)


def test_neither_logs_nor_xcom_nor_manifest_hold_a_contact(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    expected = two_days(bench)
    caplog.set_level("DEBUG", logger="airflow_provider_kore")
    caplog.clear()
    summary = changes(bench)
    told = caplog.text + json.dumps(summary) + json.dumps(bench.manifest(summary)) + json.dumps(bench.xcoms)
    assert "2 added, 1 changed, 5 gone" in caplog.text
    assert SOMEBODY not in told
    assert "+1555" not in told
    assert not any(each in told for kind in expected.values() for each in kind)


def test_the_first_snapshot_has_nothing_to_be_compared_with(bench: Bench) -> None:
    bench.run(snapshot_date=NEW)
    before = bench.objects()
    with pytest.raises(AirflowSkipException, match="changes begin with the second snapshot"):
        changes(bench)
    assert bench.objects() == before


def test_a_snapshot_that_is_not_there_is_named(bench: Bench) -> None:
    bench.run(snapshot_date=OLD)
    missing = f"s3://{bench.bucket}/kore/contact_lists/contact_list_id=cl-1/snapshot_date={NEW}/_manifest.json"
    with pytest.raises(AirflowFailException, match=f"{missing} does not exist. Take the snapshot first"):
        changes(bench)
    with pytest.raises(AirflowFailException, match=r"snapshot_date=2025-03-07/_manifest\.json does not exist"):
        changes(bench, snapshot_date=OLD, since="2025-03-07")


def test_two_snapshots_with_other_field_policies_are_refused(bench: Bench) -> None:
    bench.run(snapshot_date=OLD)
    bench.run(bench.context("scheduled__2"), snapshot_date=NEW, field_policies={"phoneNumber": "mask"})
    before = bench.objects()
    with pytest.raises(AirflowFailException, match="different field policies"):
        changes(bench)
    assert bench.objects() == before


def test_an_accepted_drift_is_no_basis_for_changes(bench: Bench) -> None:
    bench.run(snapshot_date=OLD)
    with bench.kore.fault("duplicate_id", endpoint="contacts"):
        bench.run(bench.context("scheduled__2"), snapshot_date=NEW, on_drift="accept")
    with pytest.raises(AirflowFailException, match="is not proven consistent"):
        changes(bench)


def test_a_retry_and_a_second_run_change_nothing(bench: Bench) -> None:
    two_days(bench)
    context = bench.context("asset__1")
    first = changes(bench, context)
    body = bench.body(first["keys"][0])
    context["ti"].try_number = 2
    assert changes(bench, context) == first
    assert changes(bench, bench.context("asset__2")) == first
    assert bench.body(first["keys"][0]) == body
    with pytest.raises(AirflowFailException, match="replace is False"):
        changes(bench, bench.context("asset__3"), replace=False)


def test_its_event_names_a_table_of_its_own(bench: Bench) -> None:
    two_days(bench)
    context = bench.context() | {"outlet_events": OutletEventAccessors()}
    summary = changes(bench, context)
    (event,) = context["outlet_events"]._dict.values()
    assert event.key.uri == f"s3://{bench.bucket}/kore/contact_lists_changes/contact_list_id=cl-1"
    assert event.extra == {name: value for name, value in summary.items() if name != "keys"}


def test_what_is_a_template_is_known_by_an_alias() -> None:
    given: dict[str, Any] = {"task_id": "changes", "contact_list_id": "cl-1", "s3_bucket": "lake"}
    assert ContactListChangesOperator(**given).outlets == [
        Asset("s3://lake/kore/contact_lists_changes/contact_list_id=cl-1")
    ]
    given["contact_list_id"] = "{{ params.x }}"
    assert ContactListChangesOperator(**given).outlets == [AssetAlias("kore_contact_list_changes")]
    assert ContactListChangesOperator(**given, outlets=[]).outlets == []


def test_every_parameter_has_its_row_and_every_field_of_the_manifest(bench: Bench) -> None:
    page = (Path(__file__).parents[2] / "docs" / "changes.md").read_text()
    own = set(inspect.signature(ContactListChangesOperator.__init__).parameters) - {"self", "kwargs"}
    assert {name for name in own if f"\n| `{name}` |" not in page} == set()
    two_days(bench)
    manifest = bench.manifest(changes(bench))
    known = (Path(__file__).parents[2] / "docs" / "manifest.md").read_text() + page
    assert {name for name in manifest if f"`{name}`" not in known and f"`{name}." not in known} == set()
