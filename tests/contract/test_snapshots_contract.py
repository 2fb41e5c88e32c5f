"""What stands on the documented calls, against a server that knows only them: snapshots, and a sensor's look."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from model_store import MemoryStore
from vendor_table import TableServer

from airflow_provider_kore.api.campaigns import CampaignQuery
from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.config import ApiConfig
from airflow_provider_kore.api.sources.call_results import CampaignContactsSource
from airflow_provider_kore.api.sources.campaigns import CampaignsSource
from airflow_provider_kore.api.sources.catalog import ContactListsSource
from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.snapshot.run import take_snapshot
from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec
from airflow_provider_kore.triggers.campaign import CampaignStatusTrigger

if TYPE_CHECKING:
    from airflow_provider_kore.walk.source import Source

SOURCES: dict[str, Source] = {
    "contacts": ContactListSource(contact_list_id="cl-1"),
    "contact lists": ContactListsSource(stream_id="st-1"),
    "campaigns": CampaignsSource(
        stream_id="st-1", query=CampaignQuery.parse("voice", {"status": ["Rerun", "Ready"], "priority": 5})
    ),
    "call results": CampaignContactsSource(campaign_id="cd-1"),
}


def config_of(server: TableServer, version: str) -> ApiConfig:
    connection = server.connection
    return ApiConfig.parse(
        host=connection["host"],
        login=connection["login"],
        password=connection["password"],
        extra={**connection["extra"], "api_version": version},
    )


@pytest.mark.parametrize("account", ["as documented", "refused", "required"])
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    ("name", "name_in_sort"), [*((name, "refused") for name in SOURCES), ("campaigns", "required")]
)
def test_each_snapshot_lands_by_documented_calls(name: str, version: str, name_in_sort: str, account: str) -> None:
    spec = SnapshotSpec.parse(
        source=SOURCES[name],
        s3_prefix="lake",
        snapshot_date="2026-01-02",
        durable=False,
        run=RunKey(dag_id="dag", run_id="run", task_id="task"),
    )
    with (
        TableServer(account=account, name_in_sort=name_in_sort) as server,
        CampaignClient(config_of(server, version)) as client,
    ):
        manifest = take_snapshot(spec, client, MemoryStore(), SystemClock())
    # Asked in a way that a server might like, and this one does not: only after it has refused the documented one.
    asked = [each for each in server.asked.strange if account != "as documented" or name_in_sort != "refused"]
    assert asked == []
    assert manifest.rows == 1
    assert manifest.consistent


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_sensor_looks_by_a_documented_call(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with TableServer() as server:
        connection = server.connection
        connection["extra"]["api_version"] = version
        monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", json.dumps(connection))
        trigger = CampaignStatusTrigger(
            campaign_id="cd-1",
            statuses=["Ready", "Rerun"],
            failed_statuses=[],
            kore_conn_id="kore_default",
            poke_interval=60,
            deadline=1e12,
            max_failures=1,
        )
        sight = trigger.look(trigger.connect())
    assert sight.found
    assert server.asked.strange == []
    assert server.asked.rows == [f"campaign status {version}"]
