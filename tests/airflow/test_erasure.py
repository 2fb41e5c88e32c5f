"""The operator that erases contacts, from what real operators have landed in a real bucket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_kore.exceptions import StoppedError
from airflow_provider_kore.hooks.airflow_versions import AirflowFailException
from airflow_provider_kore.operators.contact_erasure import ContactErasureOperator
from airflow_provider_kore.operators.contact_list_changes import ContactListChangesOperator
from airflow_provider_kore.store.versions import PatientVersionedStore
from airflow_provider_kore.transfers.campaign_contacts_to_s3 import CampaignContactsToS3Operator

if TYPE_CHECKING:
    from bench import Bench

OLD, NEW = "2025-03-08", "2025-03-09"
HASHING = {"conn_type": "generic", "login": "k1", "password": "x" * 32}


def forget(bench: Bench, context: dict[str, Any] | None = None, **parameters: Any) -> dict[str, Any]:
    """Run the operator once."""
    given = {"task_id": "forget", "s3_bucket": bench.bucket, "plan_only": False} | parameters
    found: dict[str, Any] = ContactErasureOperator(**given).execute(context or bench.context("manual__1"))  # type: ignore[arg-type]
    return found


def erasure_list(bench: Bench, *rows: dict[str, Any]) -> str:
    """Put a list into the bucket; return its address."""
    body = "".join(json.dumps(row) + "\n" for row in rows).encode()
    bench.s3.put_object(Bucket=bench.bucket, Key="requests/list.jsonl", Body=body)
    return f"s3://{bench.bucket}/requests/list.jsonl"


def row_of(bench: Bench, index: int) -> dict[str, Any]:
    """Return a contact as the first snapshot landed it."""
    return bench.rows(f"kore/contact_lists/contact_list_id=cl-1/snapshot_date={OLD}/contacts.jsonl.gz")[index]


def all_text(bench: Bench) -> str:
    """Return all that the bucket says, without the list of requests."""
    import gzip

    text = []
    for key in bench.objects():
        body = bench.body(key)
        if not key.startswith("requests/"):
            text.append((gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode("utf-8", "replace"))
    return "".join(text)


def test_who_is_in_the_list_is_forgotten_in_snapshots_and_changes(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.run(snapshot_date=OLD)
    gone, other = row_of(bench, 10), row_of(bench, 11)
    bench.kore.remove("cl-1", index=10, n=1)
    bench.run(bench.context("scheduled__2"), snapshot_date=NEW)
    ContactListChangesOperator(
        task_id="changes", contact_list_id="cl-1", s3_bucket=bench.bucket, snapshot_date=NEW, before=True
    ).execute(bench.context("scheduled__2"))  # type: ignore[arg-type]
    assert gone["_id"] in all_text(bench)
    where = erasure_list(bench, {"phoneNumber": gone["phoneNumber"]})
    caplog.set_level("DEBUG")
    caplog.clear()
    bench.kore.forget_requests()
    before = {key: bench.body(key) for key in bench.objects()}
    plan = forget(bench, erasure_list=where, plan_only=True)
    assert {key: bench.body(key) for key in bench.objects()} == before
    assert (plan["plan_only"], plan["rows"], plan["not_found"]) == (True, 2, 0)
    receipt = forget(bench, erasure_list=where)
    assert (receipt["rows_erased"], receipt["complete"], receipt["plan_only"]) == (2, True, False)
    text = all_text(bench)
    assert gone["_id"] not in text
    assert gone["phoneNumber"] not in text
    assert other["_id"] in text
    assert bench.kore.requests == []  # Kore.ai is asked for nothing
    stored = json.loads(bench.body(receipt["receipt_key"]))
    assert stored["searched"]["rows_left"] == 0
    told = caplog.text + json.dumps([plan, receipt, stored, bench.xcoms])
    for name in (gone["_id"], gone["phoneNumber"], gone["phoneNumber"][1:]):
        assert name not in told


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_the_next_runs_work_on_what_was_erased(bench: Bench, file_format: str) -> None:
    landed = bench.run(snapshot_date=OLD, file_format=file_format)
    gone = list(bench.kore.contact_ids("cl-1"))[10]
    forget(bench, contact_ids=[gone])
    again = bench.run(snapshot_date=OLD, file_format=file_format)  # a Clear, for all that this context knows
    assert (landed["contacts"], again["contacts"]) == (120, 120)
    forget(bench, bench.context("manual__2"), contact_ids=[gone])
    manifest = bench.manifest(again)
    assert (manifest["contacts"], manifest["erased"], "seal" in manifest) == (119, 1, False)
    bench.kore.remove("cl-1", index=10, n=1)
    bench.kore.append("cl-1", 2)
    later = bench.run(bench.context("scheduled__2"), snapshot_date=NEW, file_format=file_format, incremental=True)
    assert later["contacts"] == 121
    assert "with this connection's secret" in str(bench.manifest(later)["incremental"]["whole_because"])
    changes = ContactListChangesOperator(
        task_id="changes", contact_list_id="cl-1", s3_bucket=bench.bucket, snapshot_date=NEW
    ).execute(bench.context("scheduled__2"))  # type: ignore[arg-type]
    assert (changes["added"], changes["gone"], changes["unchanged"]) == (2, 0, 119)


def test_hashed_numbers_and_call_results_are_found(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_KORE_HASH_KEY", json.dumps(HASHING))
    bench.run(snapshot_date=OLD)
    number = row_of(bench, 7)["phoneNumber"]
    hashing = {"field_policies": {"phoneNumber": "hash"}, "hash_conn_id": "kore_hash_key"}
    bench.run(snapshot_date=OLD, **hashing)
    bench.kore.add_campaign("cd-1", status="Completed", results=20)
    results = CampaignContactsToS3Operator(task_id="results", campaign_id="cd-1", s3_bucket=bench.bucket)
    called = bench.rows(results.execute(bench.context())["keys"][0])[3]["phoneNumber"]  # type: ignore[arg-type]
    with pytest.raises(AirflowFailException, match="hash_conn_id"):
        forget(bench, phone_numbers=[number])
    receipt = forget(
        bench,
        phone_numbers=[number, called],
        hash_conn_id="kore_hash_key",
        call_results_prefix="kore/campaign_contacts",
    )
    assert receipt["not_found"] == 0
    assert receipt["rows_erased"] >= 2
    assert called not in all_text(bench)


BAD_INPUT: list[tuple[dict[str, Any], str]] = [
    ({}, "names no one"),
    ({"contact_ids": ["+4915112345678"]}, "its 1st entry is given as an id, and looks like a phone number"),
    ({"contact_ids": ["cc-nowhere-at-all"]}, "1 entry of 1 are nowhere|1 entry of 1"),
    ({"contact_ids": "cc-nowhere-at-all"}, "'contact_ids': is no list"),
    ({"erasure_list": "requests/list.jsonl"}, "'erasure_list': is 'requests/list.jsonl'; pass an address"),
    ({"erasure_list": "s3://{bucket}/requests/none.jsonl"}, "does not exist"),
    ({"contact_ids": ["cc-nowhere-at-all"], "gone_on": "{{{{ ds }}}}"}, "still holds a template"),
    ({"contact_ids": ["cc-nowhere-at-all"], "gone_on": OLD}, "there are no changes of any list"),
    ({"contact_ids": ["cc-nowhere-at-all"], "s3_bucket": "no-such-bucket-anywhere"}, "no such bucket"),
]


def test_bad_input_is_one_error_that_names_no_one(bench: Bench) -> None:
    bench.run(snapshot_date=OLD)
    before = {key: bench.body(key) for key in bench.objects()}
    for parameters, message in BAD_INPUT:
        given = {
            name: value.format(bucket=bench.bucket) if isinstance(value, str) else value
            for name, value in parameters.items()
        }
        with pytest.raises(AirflowFailException, match=message) as caught:
            forget(bench, **given)
        assert "nowhere-at-all" not in str(caught.value)
        assert "4915112345678" not in str(caught.value)
        assert {key: bench.body(key) for key in bench.objects()} == before


def test_a_task_that_is_told_to_stop_ends_in_an_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run(snapshot_date=OLD)
    gone = row_of(bench, 5)["_id"]
    operator = ContactErasureOperator(task_id="forget", s3_bucket=bench.bucket, contact_ids=[gone], plan_only=False)
    traits = PatientVersionedStore.traits

    def stopping(self: PatientVersionedStore, key: str) -> Any:
        operator.on_kill()
        return traits(self, key)

    monkeypatch.setattr(PatientVersionedStore, "traits", stopping)
    with pytest.raises(StoppedError):
        operator.execute(bench.context("manual__1"))  # type: ignore[arg-type]
    monkeypatch.undo()
    bench.connect_aws()
    assert forget(bench, contact_ids=[gone])["continued"] is True
    assert gone not in all_text(bench)


def test_no_one_is_in_what_airflow_renders_or_keeps_of_the_dag() -> None:
    with DAG("dag", schedule=None) as dag:
        operator = ContactErasureOperator(
            task_id="forget", s3_bucket="lake", contact_ids=["cc-secretive"], phone_numbers=["+4915112345678"]
        )
    assert not {"contact_ids", "phone_numbers"} & set(operator.template_fields)
    try:
        from airflow.serialization.serialized_objects import DagSerialization as Serialized  # 3.2 and later
    except ImportError:
        from airflow.serialization.serialized_objects import SerializedDAG as Serialized
    kept = json.dumps(Serialized.to_dict(dag), default=str)
    assert "forget" in kept
    assert "secretive" not in kept
    assert "4915112345678" not in kept
    assert "secretive" not in repr(operator)
