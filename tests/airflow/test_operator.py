"""The operator as a task runs it: real HTTP to the simulator, a real S3 server, connections from the environment."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_kore.hooks.airflow_versions import AirflowFailException
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator
from airflow_provider_kore.transfers.snapshot_to_s3 import SnapshotToS3Operator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench import Bench

PARTITION = "kore/contact_lists/contact_list_id=cl-1/snapshot_date=2025-03-09/"


def test_one_object_and_its_manifest_land_in_the_documented_layout(bench: Bench) -> None:
    bench.run()
    assert bench.objects() == [f"{PARTITION}_manifest.json", f"{PARTITION}contacts.jsonl.gz"]


def test_what_landed_is_what_the_server_holds_in_its_order(bench: Bench) -> None:
    bench.run()
    assert bench.rows(f"{PARTITION}contacts.jsonl.gz") == list(bench.kore.contacts("cl-1"))


def test_the_summary_is_counts_and_keys_and_survives_json(bench: Bench) -> None:
    result = bench.run()
    manifest = bench.manifest(result)
    assert result == {
        "contacts": 120,
        "consistent": True,
        "contact_list_id": "cl-1",
        "snapshot_date": "2025-03-09",
        "snapshot_id": manifest["snapshot_id"],
        "bucket": bench.bucket,
        "manifest_key": f"{PARTITION}_manifest.json",
        "keys": [f"{PARTITION}contacts.jsonl.gz"],
    }
    assert json.loads(json.dumps(result)) == result


def test_the_manifest_tells_who_when_and_by_which_proof(bench: Bench) -> None:
    manifest = bench.manifest(bench.run())
    assert manifest["contacts"] == manifest["total_results"] == 120
    assert manifest["consistent"] is True
    assert {"echo", "total", "unique_ids"} <= set(manifest["witnesses"]["agreed"])
    assert manifest["witnesses"]["disagreed"] == []
    run = manifest["run"]
    assert (run["dag_id"], run["run_id"], run["task_id"], run["map_index"]) == ("a_dag", "scheduled__1", "snapshot", -1)
    assert run["logical_date"] == "2025-03-09T04:30:00+00:00"


def test_an_empty_list_is_an_empty_snapshot(bench: Bench) -> None:
    bench.kore.add_list("cl-empty")
    result = bench.run(contact_list_id="cl-empty")
    assert result["contacts"] == 0
    assert bench.rows(result["keys"][0]) == []
    assert bench.manifest(result)["contacts"] == 0


def test_what_a_person_would_template_is_templated() -> None:
    wanted = {"contact_list_id", "s3_bucket", "s3_prefix", "snapshot_date", "file_format", "compression", "replace"}
    wanted |= {
        "kore_conn_id",
        "aws_conn_id",
        "hash_conn_id",
        "fields",
        "field_policies",
        "min_contacts",
        "max_contacts",
    }
    wanted |= {"max_shrink", "page_size", "on_drift", "staging_prefix", "s3_settings", "rows_per_file", "deferrable"}
    assert wanted <= set(ContactListToS3Operator.template_fields)


# --- What names the partition ---------------------------------------------------------------------------------------


def test_the_partition_is_the_logical_date_in_utc(bench: Bench) -> None:
    late = datetime.fromisoformat("2025-03-09T23:30:00-05:00")
    assert bench.run(bench.context(logical_date=late))["snapshot_date"] == "2025-03-10"


def test_a_run_without_a_logical_date_is_named_by_when_it_was_due(bench: Bench) -> None:
    """Triggered by hand with a null date, or by an asset: Airflow leaves the keys out of the context."""
    result = bench.run(bench.context("manual__2", logical_date=None))
    assert result["snapshot_date"] == "2025-03-10"
    assert bench.manifest(result)["run"]["logical_date"] is None


def test_a_run_for_a_partition_is_named_by_its_date(bench: Bench) -> None:
    context = bench.context(logical_date=None) | {"partition_date": datetime(2024, 12, 31, tzinfo=UTC)}
    assert bench.run(context)["snapshot_date"] == "2024-12-31"


def test_a_date_that_is_given_wins(bench: Bench) -> None:
    assert bench.run(snapshot_date="2020-02-29")["snapshot_date"] == "2020-02-29"


# --- Replace --------------------------------------------------------------------------------------------------------


def test_another_run_replaces_the_snapshot(bench: Bench) -> None:
    first = bench.run()
    bench.kore.append("cl-1", 5)
    second = bench.run(bench.context("scheduled__2"))
    assert second["contacts"] == 125
    assert second["snapshot_id"] != first["snapshot_id"]
    assert len(bench.rows(f"{PARTITION}contacts.jsonl.gz")) == 125
    assert len(bench.objects()) == 2


def test_without_replace_another_runs_snapshot_is_left_alone_and_costs_no_request(bench: Bench) -> None:
    first = bench.run()
    bench.kore.forget_requests()
    with pytest.raises(AirflowFailException, match="another run published, and replace is False"):
        bench.run(bench.context("scheduled__2"), replace=False)
    assert bench.kore.requests == []
    assert bench.manifest(first)["snapshot_id"] == first["snapshot_id"]


def test_without_replace_a_run_finds_its_own_snapshot_again(bench: Bench) -> None:
    """Its first try was published, but could not say so; or somebody has cleared it."""
    first = bench.run(replace=False)
    bench.kore.forget_requests()
    assert bench.run(replace=False) == first
    assert bench.kore.page_requests == []


def test_without_replace_an_empty_partition_is_filled(bench: Bench) -> None:
    assert bench.run(replace=False)["contacts"] == 120


# --- Formats and fields ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file_format", "compression", "name"),
    [
        ("jsonl", None, "contacts.jsonl.gz"),
        ("csv", "none", "contacts.csv"),
        ("parquet", "snappy", "contacts.parquet"),
    ],
)
def test_format_and_compression_decide_the_objects_name(
    bench: Bench, file_format: str, compression: str | None, name: str
) -> None:
    result = bench.run(file_format=file_format, compression=compression)
    assert result["keys"] == [f"{PARTITION}{name}"]
    manifest = bench.manifest(result)
    assert manifest["file_format"] == file_format
    assert manifest["files"][0]["rows"] == 120


def test_parquet_is_read_by_those_who_read_parquet(bench: Bench) -> None:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(io.BytesIO(bench.body(bench.run(file_format="parquet")["keys"][0])))
    assert table.column("_id").to_pylist() == list(bench.kore.contact_ids("cl-1"))


def test_another_format_beside_the_one_that_is_there_is_refused(bench: Bench) -> None:
    bench.run()
    with pytest.raises(AirflowFailException, match=r"'file_format'.*contacts\.jsonl\.gz.*would count"):
        bench.run(bench.context("scheduled__2"), file_format="csv")


def test_a_page_size_is_asked_for(bench: Bench) -> None:
    bench.run(page_size=20)
    assert {page.limit for page in bench.kore.page_requests} == {20}


def test_several_files_are_named_by_the_manifest(bench: Bench) -> None:
    result = bench.run(rows_per_file=50)
    assert [len(bench.rows(key)) for key in result["keys"]] == [50, 50, 20]


def test_fields_are_kept_masked_and_hashed_before_they_land(bench: Bench, define: Callable[..., None]) -> None:
    define("hash_key", {"conn_type": "generic", "login": "2025-01", "password": "0123456789abcdef" * 2})
    parameters: dict[str, Any] = {
        "fields": ["phoneNumber", "firstName", "timeZone"],
        "field_policies": {"phoneNumber": "hash", "firstName": "mask"},
        "hash_conn_id": "hash_key",
    }
    result = bench.run(**parameters)
    row = bench.rows(result["keys"][0])[0]
    contact = next(bench.kore.contacts("cl-1"))
    assert set(row) == {"_id", "phoneNumber", "firstName", "timeZone"}
    assert row["timeZone"] == contact["timeZone"]
    assert row["firstName"].startswith("****")
    assert len(row["phoneNumber"]) == 64
    assert row["phoneNumber"] != contact["phoneNumber"]
    recorded = bench.manifest(result)["fields"]
    assert recorded["hash"]["key_id"] == "2025-01"
    assert "0123456789abcdef" not in json.dumps(recorded)
    assert bench.rows(bench.run(**parameters)["keys"][0])[0] == row  # the same key, the same hash


# --- Tasks side by side ---------------------------------------------------------------------------------------------


def test_mapped_tasks_of_one_run_do_not_meet(bench: Bench) -> None:
    bench.kore.add_list("cl-2", contacts=70)
    results = []
    for index, list_id in enumerate(["cl-1", "cl-2"]):
        context = bench.context()
        context["ti"].map_index = index
        results.append(bench.run(context, contact_list_id=list_id))
    assert [result["contacts"] for result in results] == [120, 70]
    assert [bench.manifest(result)["run"]["map_index"] for result in results] == [0, 1]


def test_settings_of_s3_reach_the_object(bench: Bench) -> None:
    key = bench.run(s3_settings={"encryption": "AES256", "storage_class": "STANDARD_IA"})["keys"][0]
    head = bench.s3.head_object(Bucket=bench.bucket, Key=key)
    assert (head["ServerSideEncryption"], head["StorageClass"]) == ("AES256", "STANDARD_IA")


def test_staging_is_where_it_is_told_to_be_and_gone_afterwards(bench: Bench) -> None:
    with bench.kore.fault("service_unavailable", endpoint="contacts", after_requests=2, retry_after="100000"):
        with pytest.raises(Exception, match="503"):
            bench.run(staging_prefix="elsewhere/staging")
        assert [key for key in bench.objects() if not key.startswith("elsewhere/staging/")] == []
        assert bench.objects()
    bench.run(staging_prefix="elsewhere/staging")
    assert [key for key in bench.objects() if "staging" in key] == []


def test_a_retry_fetches_only_what_no_earlier_try_has_staged(bench: Bench) -> None:
    fault = bench.kore.fault("service_unavailable", endpoint="contacts", at_offset=100, retry_after="100000")
    with fault, pytest.raises(Exception, match="503"):
        bench.run()
    bench.kore.forget_requests()
    assert bench.run()["contacts"] == 120
    offsets = [page.skip for page in bench.kore.page_requests]
    assert offsets[-1] == 100
    assert 0 not in offsets  # at most the last staged page is looked at again


def test_without_durable_a_retry_begins_anew_and_nothing_is_staged(bench: Bench) -> None:
    fault = bench.kore.fault("service_unavailable", endpoint="contacts", at_offset=100, retry_after="100000")
    with fault, pytest.raises(Exception, match="503"):
        bench.run(durable=False)
    assert bench.objects() == []
    bench.kore.forget_requests()
    bench.run(durable=False)
    assert bench.kore.page_requests[0].skip == 0


# --- Clear, and a run under an old id ---------------------------------------------------------------------------------

MASKED = {"field_policies": {"phoneNumber": "mask"}}


def as_airflow_has_it(bench: Bench, *, max_tries: int, started: str, clears: int = 0, try_number: int = 1) -> Any:
    """Return the context of a try of the same run, with what Airflow 3.0 to 3.3 tell of it."""
    context = bench.context()
    context["ti"].max_tries, context["ti"].try_number = max_tries, try_number
    context["dag_run"].start_date, context["dag_run"].clear_number = started, clears
    return context


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize(
    ("then", "retries"),
    [
        # cleared in a run that goes on, after retries went from 3 to 2: max_tries is 1 + 2, as before
        ({"max_tries": 3, "started": "10:00", "try_number": 2}, 2),
        # the whole run was cleared
        ({"max_tries": 4, "started": "11:00", "try_number": 2, "clears": 1}, 3),
        # deleted, and triggered again under its id
        ({"max_tries": 3, "started": "11:00"}, 3),
        # a retry after the commit, of a DAG that was changed meanwhile
        ({"max_tries": 3, "started": "10:00", "try_number": 2}, 3),
    ],
    ids=["cleared", "run cleared", "created anew", "changed"],
)
def test_no_old_snapshot_in_the_clear_passes_for_one_with_a_policy(
    bench: Bench, then: dict[str, Any], retries: int, replace: bool
) -> None:
    bench.run(as_airflow_has_it(bench, max_tries=3, started="10:00"), retries=3, replace=replace)
    try:
        bench.run(as_airflow_has_it(bench, **then), retries=retries, replace=replace, **MASKED)
    except AirflowFailException as err:
        assert then.get("try_number", 1) == 1
        assert not replace
        assert "another run published" in str(err)  # noqa: PT017 - it is one of two right outcomes
    else:
        rows = bench.rows(f"{PARTITION}contacts.jsonl.gz")
        assert {row["phoneNumber"][:4] for row in rows} == {"****"}


def test_a_retry_after_the_commit_finds_what_its_run_has_published(bench: Bench) -> None:
    first = bench.run(as_airflow_has_it(bench, max_tries=3, started="10:00"), retries=3)
    bench.kore.forget_requests()
    retry = as_airflow_has_it(bench, max_tries=3, started="10:00", try_number=2)
    assert bench.run(retry, retries=3) == first
    assert bench.kore.requests == []


# --- The docs -------------------------------------------------------------------------------------------------------


def test_every_parameter_is_documented(request: pytest.FixtureRequest) -> None:
    import inspect

    page: Path = request.config.rootpath / "docs" / "operator.md"
    text = page.read_text()
    parameters = [
        name
        for operator in (ContactListToS3Operator, SnapshotToS3Operator)
        for name in inspect.signature(operator.__init__).parameters
    ]
    internal = {"self", "kwargs", "min_rows", "max_rows", "partition"}
    missing = [name for name in parameters if name not in internal and f"`{name}`" not in text]
    assert missing == []


def test_default_args_reach_shared_and_own_parameters() -> None:
    shared = {"s3_bucket": "lake", "on_drift": "fail", "min_contacts": 7}
    with DAG("a_dag", schedule=None, default_args=shared):
        operator = ContactListToS3Operator(task_id="land", contact_list_id="cl-1")  # type: ignore[call-arg]
        ContactListToS3Operator.partial(task_id="all", max_walks=2).expand(contact_list_id=["cl-1", "cl-2"])
        with pytest.raises(TypeError, match="max_walk"):
            ContactListToS3Operator(task_id="typo", contact_list_id="cl-1", max_walk=2)  # type: ignore[call-arg]
    assert {name: getattr(operator, name) for name in shared} == shared
