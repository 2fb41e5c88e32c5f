"""Snapshots as assets: what Airflow knows when it parses a DAG, and what the event says once a snapshot has landed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_kore.operators.contact_list_changes import ContactListChangesOperator
from airflow_provider_kore.transfers.campaign_contacts_to_s3 import CampaignContactsToS3Operator
from airflow_provider_kore.transfers.campaigns_to_s3 import CampaignsToS3Operator
from airflow_provider_kore.transfers.contact_list_catalog_to_s3 import ContactListCatalogToS3Operator
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

if TYPE_CHECKING:
    from bench import Bench

ALIAS = AssetAlias("kore_contact_lists")


def operator(**parameters: Any) -> ContactListToS3Operator:
    given: dict[str, Any] = {"task_id": "snapshot", "contact_list_id": "cl-1", "s3_bucket": "lake"}
    return ContactListToS3Operator(**given | parameters)


def emitted(bench: Bench, **parameters: Any) -> tuple[OutletEventAccessors, dict[str, Any]]:
    """Run once; return the events and the summary. ``dag`` and ``partition_key`` go into the context."""
    context = bench.context() | {"outlet_events": OutletEventAccessors()}
    context |= {name: parameters.pop(name) for name in ("dag", "partition_key") if name in parameters}
    return context["outlet_events"], bench.run(context, **parameters)


# --- At parse time --------------------------------------------------------------------------------------------------


def test_what_is_written_in_the_dag_is_an_asset_that_airflow_knows_at_once() -> None:
    assert operator(s3_prefix="a/b/").outlets == [Asset("s3://lake/a/b/contact_list_id=cl-1")]


def test_every_operator_has_an_asset_or_an_alias_of_its_own() -> None:
    campaign = CampaignContactsToS3Operator(task_id="results", campaign_id="cd-1", s3_bucket="lake")
    assert campaign.outlets == [Asset("s3://lake/kore/campaign_contacts/campaign_id=cd-1")]
    templated = CampaignContactsToS3Operator(task_id="results", campaign_id="{{ params.x }}", s3_bucket="lake")
    assert templated.outlets == [AssetAlias("kore_campaign_contacts")]
    # Which application it is, only the connection knows.
    assert CampaignsToS3Operator(task_id="t", s3_bucket="lake").outlets == [AssetAlias("kore_campaigns")]
    assert ContactListCatalogToS3Operator(task_id="t", s3_bucket="lake").outlets == [
        AssetAlias("kore_contact_list_catalogue")
    ]


@pytest.mark.parametrize(
    "templated",
    [{"contact_list_id": "{{ params.x }}"}, {"s3_bucket": "{{ params.x }}"}, {"s3_prefix": "a/{{ params.x }}"}],
)
def test_what_is_a_template_is_known_by_an_alias(templated: dict[str, str]) -> None:
    assert operator(**templated).outlets == [ALIAS]


def test_an_impossible_bucket_is_left_to_the_task_to_refuse() -> None:
    assert operator(s3_bucket="").outlets == []


@pytest.mark.parametrize("outlets", [[], [Asset("s3://lake/mine")], [AssetAlias("mine")]])
def test_outlets_that_the_author_names_are_the_only_ones(outlets: list[Any]) -> None:
    assert operator(outlets=outlets).outlets == outlets


def test_a_dag_can_do_without() -> None:
    with DAG("a_dag", default_args={"outlets": []}):
        assert operator().outlets == []


@pytest.mark.parametrize("default_args", [{}, {"outlets": None}, {"retries": 3}], ids=str)
def test_a_mapped_task_has_its_operators_alias_which_its_dag_knows(default_args: dict[str, Any]) -> None:
    with DAG("a_dag", default_args=default_args):
        tasks = [
            kind.partial(task_id=kind.__name__, s3_bucket="lake").expand(**{mapped: ["1", "2"]})
            for kind, mapped in (
                (ContactListToS3Operator, "contact_list_id"),
                (CampaignContactsToS3Operator, "campaign_id"),
                (CampaignsToS3Operator, "s3_prefix"),
                (ContactListCatalogToS3Operator, "s3_prefix"),
                (ContactListChangesOperator, "contact_list_id"),
            )
        ]
    for task in tasks:
        alias = AssetAlias(task.operator_class.asset_alias)
        assert task.outlets == [alias]
        (mapped,) = task.expand_input.value
        assert task.unmap({mapped: "1"}).outlets == [alias]


@pytest.mark.parametrize("outlets", [[], [Asset("s3://lake/mine")], [AssetAlias("mine")]])
def test_a_mapped_task_has_the_outlets_that_its_author_or_its_dag_names(outlets: list[Any]) -> None:
    with DAG("a_dag"):
        named = ContactListToS3Operator.partial(task_id="t", s3_bucket="lake", outlets=outlets).expand(
            contact_list_id=["cl-1"]
        )
    with DAG("another", default_args={"outlets": outlets}):
        inherited = ContactListToS3Operator.partial(task_id="t", s3_bucket="lake").expand(contact_list_id=["cl-1"])
    for task in (named, inherited):
        assert task.outlets == outlets
        assert task.unmap({"contact_list_id": "cl-1"}).outlets == outlets


# --- At run time ----------------------------------------------------------------------------------------------------


def test_the_event_says_what_landed(bench: Bench) -> None:
    events, summary = emitted(bench)
    (event,) = events._dict.values()
    assert event.key.uri == f"s3://{bench.bucket}/kore/contact_lists/contact_list_id=cl-1"
    assert event.extra == {
        "contacts": 120,
        "consistent": True,
        "contact_list_id": "cl-1",
        "snapshot_date": "2025-03-09",
        "snapshot_id": summary["snapshot_id"],
        "bucket": bench.bucket,
        "manifest_key": summary["manifest_key"],
    }


def test_an_alias_gets_the_lists_own_asset(bench: Bench) -> None:
    events, summary = emitted(bench, outlets=[ALIAS])
    (event,) = events[ALIAS].asset_alias_events
    assert event.dest_asset_key.uri == f"s3://{bench.bucket}/kore/contact_lists/contact_list_id=cl-1"
    assert event.extra["manifest_key"] == summary["manifest_key"]


def test_an_asset_of_the_authors_own_gets_the_same_extra(bench: Bench) -> None:
    mine = Asset("mine")
    events, summary = emitted(bench, outlets=[mine])
    assert events[mine].extra["contacts"] == summary["contacts"]


def test_a_prefix_that_is_not_ascii_is_a_uri_all_the_same(bench: Bench) -> None:
    events, _ = emitted(bench, s3_prefix="kore/Verträge", outlets=[ALIAS])
    (event,) = events[ALIAS].asset_alias_events
    assert event.dest_asset_key.uri.endswith("/kore/Vertr%C3%A4ge/contact_list_id=cl-1")


def test_a_catalogues_event_names_the_application_that_the_connection_knows(bench: Bench) -> None:
    context = bench.context() | {"outlet_events": OutletEventAccessors()}
    catalogue = ContactListCatalogToS3Operator(task_id="catalogue", s3_bucket=bench.bucket)
    catalogue.execute(context)  # type: ignore[arg-type]
    (event,) = context["outlet_events"][AssetAlias("kore_contact_list_catalogue")].asset_alias_events
    stream = bench.kore.connection["extra"]["stream_id"]
    assert event.dest_asset_key.uri == f"s3://{bench.bucket}/kore/contact_list_catalogue/stream_id={stream}"
    assert event.extra["contact_lists"] == 1
    assert set(context["ti"].xcoms) == set()  # this store has no console


def test_a_prefix_that_airflow_has_no_asset_for_costs_the_event_and_not_the_snapshot(bench: Bench) -> None:
    """Longer than 1,500 characters, once its letters are percent-encoded."""
    events, summary = emitted(bench, s3_prefix="ü" * 256, outlets=[ALIAS])
    assert summary["contacts"] == 120
    assert events[ALIAS].asset_alias_events == []


def test_a_snapshot_that_fails_tells_nobody_of_contacts(bench: Bench) -> None:
    events = OutletEventAccessors()
    with pytest.raises(Exception, match="min_contacts"):
        bench.run(bench.context() | {"outlet_events": events}, min_contacts=1_000)
    assert len(events) == 0


@pytest.mark.requires_airflow("3.3")
def test_the_snapshot_date_is_the_partition_where_the_task_is_to_say_it(bench: Bench) -> None:
    from airflow.sdk import PartitionedAtRuntime

    with DAG("a_dag", schedule=PartitionedAtRuntime()) as partitioned:
        events, _ = emitted(bench, dag=partitioned)
    (event,) = events._dict.values()
    assert event.partition_keys == {"2025-03-09"}


@pytest.mark.requires_airflow("3.3")
def test_no_partition_is_named_where_it_would_hide_the_event_or_the_run_has_one(bench: Bench) -> None:
    from airflow.sdk import PartitionedAtRuntime

    with DAG("plain") as plain:
        events, _ = emitted(bench, dag=plain)
    assert [event.partition_keys for event in events._dict.values()] == [set()]
    with DAG("partitioned", schedule=PartitionedAtRuntime()) as partitioned:
        events, _ = emitted(bench, dag=partitioned, partition_key="2025-03-09T00:00:00")
    assert [event.partition_keys for event in events._dict.values()] == [set()]
