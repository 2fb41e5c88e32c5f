"""Many lists by one task, as Airflow runs it: real HTTP to the simulator, a real S3 server."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_kore.exceptions import ListsFailedError
from airflow_provider_kore.hooks.airflow_versions import AirflowFailException
from airflow_provider_kore.links.snapshot import SnapshotLink
from airflow_provider_kore.transfers.contact_lists_to_s3 import ContactListsToS3Operator

try:
    from airflow.sdk.exceptions import TaskDeferred  # 3.2 and later
except ImportError:
    from airflow.exceptions import TaskDeferred  # 3.0, 3.1

if TYPE_CHECKING:
    from bench import Bench

LISTS = {"cl-1": 120, "cl-a": 30, "cl-b": 75, "cl-c": 0, "cl-d": 260}


@pytest.fixture(autouse=True)
def _lists(bench: Bench) -> None:
    for name, contacts in LISTS.items():
        bench.kore.add_list(name, contacts=contacts, source="apiIntegration" if name < "cl-b" else "localDrive")
    bench.kore.configure(max_limit=50)


def run(bench: Bench, context: Any = None, **parameters: Any) -> dict[str, Any]:
    given = {"task_id": "snapshot", "s3_bucket": bench.bucket, **parameters}
    return ContactListsToS3Operator(**given).execute(context or bench.context())


def key(name: str, file: str = "contacts.jsonl.gz") -> str:
    return f"kore/contact_lists/contact_list_id={name}/snapshot_date=2025-03-09/{file}"


def test_each_list_lands_as_the_single_operator_lands_it(bench: Bench) -> None:
    result = run(bench)
    together = {name: (bench.body(key(name)), bench.body(key(name, "_manifest.json"))) for name in LISTS}
    assert [each for each in bench.objects() if "_staging" in each] == []
    assert (result["contact_lists"], result["contacts"]) == (len(LISTS), sum(LISTS.values()))
    for name, (body, manifest) in together.items():
        alone = bench.run(bench.context(run_id="alone"), contact_list_id=name)
        assert bench.body(alone["keys"][0]) == body
        ours, theirs = json.loads(manifest), bench.manifest(alone)
        assert ours["witnesses"] == theirs["witnesses"]
        assert ours["run"].pop("item") == name
        for each in (ours, theirs):
            for changing in ("snapshot_id", "run", "walk", "seal", "replaces", "content_sha256"):
                del each[changing]
            del each["incremental"]["whole_walk_at"]
            each["files"][0].pop("etag")
        assert ours == theirs


def test_xcom_stays_small_and_says_where_the_rest_is(bench: Bench) -> None:
    for number in range(20):
        bench.kore.add_list(f"cl-{number:03d}", contacts=1)
    result = run(bench)
    assert result["contact_lists"] == 20 + len(LISTS)
    assert len(result["contact_list_ids"]) == 20
    assert (result["superseded"], result["gone"], result["inconsistent"], result["consistent"]) == ([], [], [], True)
    assert len(json.dumps(result)) < 1_000
    assert result["manifest_keys"].format(contact_list_id="cl-007") in bench.objects()


def test_each_list_is_an_event_of_its_own_asset(bench: Bench) -> None:
    context = bench.context() | {"outlet_events": OutletEventAccessors()}
    run(bench, context)
    events = context["outlet_events"][AssetAlias("kore_contact_lists")].asset_alias_events
    said = {event.dest_asset_key.uri: event.extra for event in events}
    place = f"s3://{bench.bucket}/kore/contact_lists/contact_list_id="
    assert {uri: extra["contacts"] for uri, extra in said.items()} == {f"{place}{n}": c for n, c in LISTS.items()}
    alone = bench.context(run_id="alone") | {"outlet_events": OutletEventAccessors()}
    bench.run(alone, contact_list_id="cl-d")
    (event,) = alone["outlet_events"]._dict.values()
    changing = {"snapshot_id": None}
    assert said[f"{place}cl-d"] | changing == event.extra | changing


def test_lists_that_the_dag_names_are_its_outlets(bench: Bench) -> None:
    def outlets(**parameters: Any) -> list[Any]:
        return list(ContactListsToS3Operator(task_id="t", s3_bucket="lake", **parameters).outlets)

    alias = [AssetAlias("kore_contact_lists")]
    assert outlets(contact_list_ids=["cl-1", "cl-2", "cl-1"]) == [
        Asset("s3://lake/kore/contact_lists/contact_list_id=cl-1"),
        Asset("s3://lake/kore/contact_lists/contact_list_id=cl-2"),
    ]
    assert outlets() == outlets(contact_list_ids=["cl-1", "{{ x }}"]) == outlets(contact_list_ids="{{ x }}") == alias
    assert outlets(contact_list_ids=["cl-1"], statuses=["Ready"]) == alias
    assert outlets(contact_list_ids=["cl-1"], s3_prefix="{{ x }}") == alias
    context = bench.context() | {"outlet_events": OutletEventAccessors()}
    run(bench, context, contact_list_ids=["cl-1", "cl-a"])
    events = {each.key.uri[-4:]: each.extra["contacts"] for each in context["outlet_events"]._dict.values()}
    assert events == {"cl-1": 120, "cl-a": 30}


def test_the_button_leads_to_the_table(bench: Bench) -> None:
    bench.connect_aws(console_url="https://minio.example/browser/{bucket}/{key}")
    run(bench)
    assert bench.xcoms == {SnapshotLink().xcom_key: f"https://minio.example/browser/{bench.bucket}/kore/contact_lists/"}


@pytest.mark.usefixtures("fast_retries")
def test_a_list_that_fails_is_named_and_the_retry_reads_it_alone(bench: Bench) -> None:
    context = bench.context()
    context["ti"].max_tries = 3
    with (
        bench.kore.fault("server_error", endpoint="contacts", list_id="cl-b"),
        pytest.raises(ListsFailedError, match=r"^1 of 5 contact lists did not land, 4 did\. cl-b: The server failed"),
    ):
        run(bench, context)
    bench.kore.forget_requests()
    context["ti"].try_number = 2
    assert run(bench, context)["contact_lists"] == len(LISTS)
    assert {request.path.split("/")[-2] for request in bench.kore.page_requests} == {"cl-b"}
    bench.kore.forget_requests()
    context["ti"].try_number, context["ti"].max_tries = 3, 4  # a person's Clear
    run(bench, context)
    assert len({request.path.split("/")[-2] for request in bench.kore.page_requests}) == len(LISTS)


def test_what_no_retry_helps_fails_for_good(bench: Bench) -> None:
    with pytest.raises(AirflowFailException, match=r"cl-nowhere: .*land"):
        run(bench, contact_list_ids=["cl-nowhere", "cl-1"])
    assert key("cl-1") in bench.objects()


@pytest.mark.parametrize(
    ("parameters", "sense"),
    [
        ({"contact_list_ids": ["cl 1"]}, "'contact_list_ids'"),
        ({"statuses": []}, "'statuses'"),
        ({"name_pattern": "Autumn *"}, "0 contact lists"),
        ({"min_contact_lists": 6}, "5 contact lists .* is 6"),
        ({"min_contact_lists": "few"}, "'min_contact_lists'"),
        ({"s3_prefix": "/x"}, "'s3_prefix'"),
        ({"deferrable": True, "durable": False}, "durable=True"),
    ],
)
def test_bad_input_fails_for_good_and_names_itself(bench: Bench, parameters: dict[str, Any], sense: str) -> None:
    with pytest.raises(AirflowFailException, match=sense):
        run(bench, **parameters)
    assert bench.objects() == []


def test_templates_mean_what_the_values_mean(bench: Bench) -> None:
    operator = ContactListsToS3Operator(
        task_id="snapshot", s3_bucket=bench.bucket, contact_list_ids="{{ params.ids }}", sources="{{ params.sources }}"
    )
    context = bench.context() | {"params": {"ids": ["cl-1", "cl-b"], "sources": ["localDrive"]}}
    operator.render_template_fields(context)  # type: ignore[arg-type]
    assert operator.execute(context)["contact_list_ids"] == ["cl-b"]  # type: ignore[arg-type]


def test_a_long_wait_is_deferred_and_no_list_is_read_twice(bench: Bench) -> None:
    bench.kore.configure(minute_seconds=1.5, requests_per_minute=7, retry_after="wait")
    for number in range(3):
        bench.kore.add_list(f"cl-{number:03d}", contacts=20)
    lists, stretches = 3 + len(LISTS), 0
    context, again = bench.context(), None
    context["ti"].max_tries = 1
    while True:
        operator = ContactListsToS3Operator(
            task_id="snapshot", s3_bucket=bench.bucket, deferrable=True, defer_after=0.3
        )
        try:
            result = operator.execute(context) if again is None else operator.resume(context, **again)
            break
        except TaskDeferred as pause:
            stretches, again = stretches + 1, dict(pause.kwargs or {})
            assert stretches < 20
            time.sleep(max(0.0, (pause.trigger.moment - datetime.now(UTC)).total_seconds()))
    assert stretches > 1
    assert result["contact_lists"] == lists
    pages = Counter((each.path.split("/")[-2], each.skip) for each in bench.kore.page_requests if not each.refused)
    assert sum(pages.values()) - len(pages) <= stretches  # the page where a stretch ended is looked at once more
    assert [each for each in bench.objects() if "_staging" in each] == []


def test_a_list_that_fails_is_tried_last_after_a_pause(bench: Bench) -> None:
    operator = ContactListsToS3Operator(task_id="snapshot", s3_bucket=bench.bucket, deferrable=True)
    operator.resume(bench.context(), failed=["cl-c", "cl-a"])
    order = list(dict.fromkeys(request.path.split("/")[-2] for request in bench.kore.page_requests))
    assert order == ["cl-b", "cl-d", "cl-1", "cl-a", "cl-c"]
