"""The operators beside contacts, as a task runs them: real HTTP to the simulator, a real S3 server."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_kore.exceptions import RetryableError
from airflow_provider_kore.hooks.airflow_versions import AirflowFailException
from airflow_provider_kore.hooks.campaign import KoreCampaignHook
from airflow_provider_kore.transfers.campaign_contacts_to_s3 import CampaignContactsToS3Operator
from airflow_provider_kore.transfers.campaigns_to_s3 import CampaignsToS3Operator
from airflow_provider_kore.transfers.contact_list_catalog_to_s3 import ContactListCatalogToS3Operator

if TYPE_CHECKING:
    from bench import Bench

    from airflow_provider_kore.transfers.snapshot_to_s3 import SnapshotToS3Operator

STREAM = "st-simulated-stream"
DAY = "snapshot_date=2025-03-09"
OPERATORS: dict[type[SnapshotToS3Operator], dict[str, Any]] = {
    CampaignContactsToS3Operator: {"campaign_id": "cd-1"},
    CampaignsToS3Operator: {},
    ContactListCatalogToS3Operator: {},
}
LANDS: dict[type[SnapshotToS3Operator], str] = {
    CampaignContactsToS3Operator: f"kore/campaign_contacts/campaign_id=cd-1/{DAY}/contacts",
    CampaignsToS3Operator: f"kore/campaigns/stream_id={STREAM}/campaign_type=voice/{DAY}/campaigns",
    ContactListCatalogToS3Operator: f"kore/contact_list_catalogue/stream_id={STREAM}/{DAY}/contact_lists",
}
COUNTS: dict[type[SnapshotToS3Operator], tuple[str, int]] = {
    CampaignContactsToS3Operator: ("contacts", 130),
    CampaignsToS3Operator: ("campaigns", 60),
    ContactListCatalogToS3Operator: ("contact_lists", 1),
}
each_operator = pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)


@pytest.fixture(autouse=True)
def _campaigns(bench: Bench) -> None:
    for number in range(1, 61):
        bench.kore.add_campaign(f"cd-{number}", status="Active" if number % 2 else "Paused", results=130)


def run(bench: Bench, operator: type[SnapshotToS3Operator], context: Any = None, **parameters: Any) -> dict[str, Any]:
    given = {"task_id": "snapshot", "s3_bucket": bench.bucket, **OPERATORS[operator], **parameters}
    return operator(**given).execute(context or bench.context())


@each_operator
@pytest.mark.parametrize(("file_format", "suffix"), [("jsonl", "jsonl.gz"), ("csv", "csv.gz"), ("parquet", "parquet")])
def test_object_and_manifest_land_in_the_documented_layout(
    bench: Bench, operator: type[SnapshotToS3Operator], file_format: str, suffix: str
) -> None:
    result = run(bench, operator, file_format=file_format)
    key, (noun, count) = f"{LANDS[operator]}.{suffix}", COUNTS[operator]
    partition = key.rpartition("/")[0]
    assert bench.objects() == [f"{partition}/_manifest.json", key]
    assert (result["keys"], result["manifest_key"]) == ([key], f"{partition}/_manifest.json")
    assert (result[noun], bench.manifest(result)[noun], bench.manifest(result)["files"][0]["rows"]) == (count,) * 3
    assert bench.s3.head_object(Bucket=bench.bucket, Key=key)["Metadata"][f"kore-{noun.replace('_', '-')}"] == str(
        count
    )


def test_the_results_name_what_they_are_of(bench: Bench) -> None:
    result = run(bench, CampaignContactsToS3Operator)
    assert (result["campaign_id"], result["campaign_status"]) == ("cd-1", "Active")
    result = run(bench, CampaignsToS3Operator)
    assert (result["stream_id"], result["campaign_type"]) == (STREAM, "voice")
    assert run(bench, ContactListCatalogToS3Operator)["stream_id"] == STREAM


@each_operator
def test_the_same_run_fetches_nothing_twice(bench: Bench, operator: type[SnapshotToS3Operator]) -> None:
    context = bench.context()
    context["ti"].max_tries = 2
    first = run(bench, operator, context)
    bench.kore.forget_requests()
    assert run(bench, operator, context) == first
    assert bench.kore.requests == []


@pytest.mark.parametrize("operator", list(OPERATORS)[:2], ids=lambda operator: operator.__name__)
@pytest.mark.usefixtures("fast_retries")
def test_a_retry_continues(bench: Bench, operator: type[SnapshotToS3Operator]) -> None:
    endpoint = {CampaignContactsToS3Operator: "campaign_results", CampaignsToS3Operator: "campaigns"}[operator]
    bench.kore.add_fault("server_error", endpoint=endpoint, after_requests=5)
    with pytest.raises(RetryableError):
        run(bench, operator, page_size=10)
    bench.kore.clear_faults()
    bench.kore.forget_requests()
    result = run(bench, operator, page_size=10)
    manifest = bench.manifest(result)
    assert manifest["walk"]["resumed_from"] >= 40
    assert manifest["files"][0]["rows"] == COUNTS[operator][1]
    assert len(bench.objects()) == 2


ALIASES: dict[type[SnapshotToS3Operator], str] = {
    CampaignContactsToS3Operator: "kore_campaign_contacts",
    CampaignsToS3Operator: "kore_campaigns",
    ContactListCatalogToS3Operator: "kore_contact_list_catalogue",
}


@each_operator
def test_an_event_tells_who_waits_for_it(bench: Bench, operator: type[SnapshotToS3Operator]) -> None:
    """The asset is known at once only where the DAG names all of its location, and not the connection."""
    alias = AssetAlias(ALIASES[operator])
    location = LANDS[operator].partition(f"/{DAY}")[0]
    templated = {"s3_prefix": "{{ params.prefix }}"}
    given: dict[str, Any] = {"task_id": "snapshot", "s3_bucket": bench.bucket, **OPERATORS[operator]}
    assert operator(**given | templated).outlets == [alias]
    asset = Asset(f"s3://{bench.bucket}/{location}")
    assert operator(**given).outlets == [asset if operator is CampaignContactsToS3Operator else alias]
    context = bench.context() | {"outlet_events": OutletEventAccessors()}
    run(bench, operator, context, outlets=[alias])
    (event,) = context["outlet_events"][alias].asset_alias_events
    noun, count = COUNTS[operator]
    assert (event.dest_asset_key.uri, event.extra[noun]) == (asset.uri, count)


@each_operator
def test_a_refusal_that_no_retry_mends_fails_for_good(bench: Bench, operator: type[SnapshotToS3Operator]) -> None:
    with bench.kore.fault("scope_incorrect"), pytest.raises(AirflowFailException, match="Campaign Management"):
        run(bench, operator)
    assert bench.objects() == []


@pytest.mark.parametrize(
    ("operator", "parameters", "sense"),
    [
        (CampaignContactsToS3Operator, {"campaign_id": "cd-nowhere"}, "cd-nowhere"),
        (CampaignContactsToS3Operator, {"campaign_id": "Spring sale"}, "'campaign_id'"),
        (CampaignContactsToS3Operator, {"min_contacts": 131}, "has 130 call results, and min_contacts is 131"),
        (CampaignsToS3Operator, {"campaign_type": "fax"}, "'campaign_type'"),
        (CampaignsToS3Operator, {"filters": {"status": "completed"}}, "'filters'"),
        (CampaignsToS3Operator, {"min_campaigns": 61}, "has 60 campaigns, and min_campaigns is 61"),
        (CampaignsToS3Operator, {"min_campaigns": "many"}, "'min_campaigns'"),
        (ContactListCatalogToS3Operator, {"min_contact_lists": 2}, "has 1 contact lists, and min_contact_lists is 2"),
        (ContactListCatalogToS3Operator, {"s3_prefix": "/x"}, "'s3_prefix'"),
    ],
)
def test_bad_input_fails_for_good_and_names_itself(
    bench: Bench, operator: type[SnapshotToS3Operator], parameters: dict[str, Any], sense: str
) -> None:
    with pytest.raises(AirflowFailException, match=sense):
        run(bench, operator, **parameters)
    assert [key for key in bench.objects() if "/_staging/" not in key] == []


def test_ids_and_filters_are_templated(bench: Bench) -> None:
    operator = CampaignsToS3Operator(
        task_id="snapshot",
        s3_bucket=bench.bucket,
        s3_prefix="lake/{{ params.status }}",
        campaign_type="{{ params.type }}",
        filters={"status": ["{{ params.status }}"]},
    )
    context = bench.context() | {"params": {"type": "voice", "status": "Paused"}}
    operator.render_template_fields(context)  # type: ignore[arg-type]
    result = operator.execute(context)  # type: ignore[arg-type]
    assert result["campaigns"] == 30
    assert result["manifest_key"].startswith("lake/Paused/")
    assert bench.manifest(result)["filters"] == {"status": ["Paused"]}
    assert CampaignContactsToS3Operator.template_fields[0] == "campaign_id"


def test_one_task_for_each_campaign_that_runs(bench: Bench) -> None:
    running = KoreCampaignHook().get_campaigns("voice", {"status": "Active"})
    assert {campaign["_id"] for campaign in running} == {f"cd-{number}" for number in range(1, 61, 2)}
    with DAG("a_dag", schedule=None):
        mapped = CampaignContactsToS3Operator.partial(task_id="results", s3_bucket="lake").expand(
            campaign_id=[campaign["_id"] for campaign in running]
        )
    assert mapped.task_id == "results"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_hook_reads_every_endpoint_on_both_versions(bench: Bench, version: str) -> None:
    bench.connect(api_version=version)
    hook = KoreCampaignHook()
    assert len(list(hook.iter_contacts("cl-1"))) == 120
    assert hook.get_contact_list("cl-1")["_id"] == "cl-1"
    assert [found["_id"] for found in hook.get_contact_lists()] == ["cl-1"]
    assert len(hook.get_campaigns()) == 60
    assert hook.get_campaigns("sms") == []
    assert hook.get_campaign_status("cd-1") == {"id": "cd-1", "status": "Active", "name": "Campaign cd-1"}
    if version == "v2":  # documented for v2 only
        assert hook.get_campaign("cd-1")["name"] == "Campaign cd-1"
    assert list(hook.iter_campaign_contacts("cd-1", page_size=7)) == bench.kore.campaign_results("cd-1")
    base = {"v1": "/agentassist/api/v1/public/", "v2": "/campaign/api/v2/public/"}[version]
    assert {request.path.startswith(base) for request in bench.kore.requests} == {True}
    assert {request.endpoint for request in bench.kore.requests} == {
        "contacts", "list", "lists", "campaigns", *(["campaign"] if version == "v2" else []), "campaign_status",
        "campaign_results",
    }  # fmt: skip


@each_operator
def test_every_parameter_is_documented(request: pytest.FixtureRequest, operator: type[SnapshotToS3Operator]) -> None:
    page = "campaigns" if "campaign" in operator.__module__ else "contact-lists"
    text = (request.config.rootpath / "docs" / f"{page}-to-s3.md").read_text()
    missing = [
        name
        for name in inspect.signature(operator.__init__).parameters
        if name not in {"self", "kwargs"} and f"`{name}`" not in text
    ]
    assert missing == []
    assert operator.__name__ in text
