"""The operator: from what tasks landed to a table, over connections, with catalogs of several kinds."""

from __future__ import annotations

import json
import re
import sys
import textwrap
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from bench import Bench, set_connection
from lake import NEXT, TABLE, Lake, contacts
from processes import free_port

from airflow_provider_kore.exceptions import (
    CatalogUnavailableError,
    ConnectionNotFoundError,
    ParameterError,
    RetryableError,
    StoppedError,
)
from airflow_provider_kore.hooks import iceberg
from airflow_provider_kore.hooks.airflow_versions import AirflowFailException
from airflow_provider_kore.hooks.iceberg import catalog_properties, open_catalog
from airflow_provider_kore.transfers.contact_lists_to_s3 import ContactListsToS3Operator
from airflow_provider_kore.transfers.snapshots_to_iceberg import SnapshotsToIcebergOperator

if TYPE_CHECKING:
    from s3_servers import S3Server

    from airflow_provider_kore.simulator import Simulator

pytestmark = pytest.mark.slow

PASSWORD = "Sesame-0pen"
LANDED = "2025-03-09"


@pytest.fixture
def bench(kore: Simulator, lake: Lake, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A simulator with two lists, the lake's bucket, and connections to all of them."""
    kore.add_list("cl-1", contacts=120)
    kore.add_list("cl-2", contacts=30)
    connect(monkeypatch, lake.properties)
    return Bench(kore, moto_server, lake.bucket, monkeypatch)


def connect(monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], **fields: Any) -> None:
    set_connection(monkeypatch, "iceberg_default", {"conn_type": "iceberg", "extra": extra, **fields})


def commit(snapshots: Any, context: Any = None, **parameters: Any) -> dict[str, Any]:
    given = {"task_id": "commit", "snapshots": snapshots, "table": TABLE, **parameters}
    return SnapshotsToIcebergOperator(**given).execute(context or {})


def test_what_a_task_landed_is_in_the_table_contact_by_contact(bench: Bench, lake: Lake) -> None:
    assert lake.reader
    summary = commit(bench.run())
    assert summary == {
        "table": TABLE,
        "iceberg_snapshot_id": str(lake.table().metadata.current_snapshot_id),
        "contact_lists": 1,
        "contacts": 120,
        "snapshot_dates": [LANDED],
        "new_snapshots": 1,
        "tags": [f"kore-{LANDED}"],
    }
    assert {row[2] for row in lake.ids()} == set(bench.kore.contact_ids("cl-1"))
    vendor = {row["_id"]: row for row in bench.rows(bench.run(bench.context("s__2"), snapshot_date=NEXT)["keys"][0])}
    for row in lake.rows():
        contact = vendor[row["_id"]]
        assert row["phoneNumber"] == contact["phoneNumber"]
        assert set(contact) <= set(row)


def test_what_many_lists_landed_is_committed_at_once_also_from_mapped_tasks_and_as_text(
    bench: Bench, lake: Lake
) -> None:
    assert lake.reader
    landed = ContactListsToS3Operator(
        task_id="land", contact_list_ids=["cl-1", "cl-2"], s3_bucket=bench.bucket
    ).execute(bench.context())  # type: ignore[arg-type]
    assert commit(landed)["new_snapshots"] == 2
    assert len(lake.ids()) == 150
    again = [
        bench.run(bench.context(map_index=number), contact_list_id=f"cl-{number}", snapshot_date=NEXT)
        for number in (1, 2)
    ]
    assert commit((again[0], None, again[1]))["new_snapshots"] == 2  # as Airflow hands over mapped tasks, one skipped
    assert commit(json.dumps(again)) | {"iceberg_snapshot_id": None} == commit(again)  # as a template renders them
    assert commit(again)["iceberg_snapshot_id"] is None
    assert len(lake.table().metadata.snapshots) == 2


def test_a_stopped_task_commits_nothing(bench: Bench, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lake.reader
    landed = bench.run()
    operator = SnapshotsToIcebergOperator(task_id="commit", snapshots=landed, table=TABLE)
    monkeypatch.setattr("airflow_provider_kore.iceberg.run.find_table", lambda *_: operator.on_kill())
    with pytest.raises(StoppedError):
        operator.execute({})  # type: ignore[arg-type]
    assert not lake.reader.table_exists(TABLE)
    assert lake.objects() == set()
    operator.on_kill()  # after its end: nothing


def test_what_no_retry_helps_fails_the_task_at_once(bench: Bench, lake: Lake) -> None:
    assert lake.reader
    landed = bench.run()
    for parameters, match in (
        ({"snapshots": "s3://lake"}, "'snapshots'"),
        ({"table": "contacts"}, "'table'"),
        ({"tags": "perhaps"}, "'tags'"),
        ({"table": "{{ crm"}, "template"),
        ({"iceberg_conn_id": "nowhere"}, "nowhere"),
        ({"table": "nowhere.contacts"}, "namespace"),
    ):
        with pytest.raises(AirflowFailException, match=match):
            commit(**{"snapshots": landed, **parameters})


def test_the_page_runs_as_printed(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "iceberg.md").read_text(encoding="utf-8")
    for printed, here in (("/tmp/iceberg", str(tmp_path)), ("2026-11-26", LANDED), ('"lake"', f'"{bench.bucket}"')):  # noqa: S108
        page = page.replace(printed, here)
    [connection] = re.findall(r"AIRFLOW_CONN_ICEBERG_DEFAULT='(.*?)'", page, re.DOTALL)
    monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", connection)
    given: dict[str, Any] = {}
    operators, *others = (textwrap.dedent(each) for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    with DAG("lake"):
        exec(operators, given)  # noqa: S102
    catalog, read, forget = others
    exec(catalog, given)  # noqa: S102
    commit = given["commit"]
    commit.snapshots = given["land"].execute(bench.context())
    assert commit.execute({})["contacts"] == 150
    exec(read, given)  # noqa: S102
    assert len(given["now"]) == len(given["as_of_that_day"]) == 150
    assert given["one_day"].sql("select count(*) from contacts").fetchall() == [(150,)]
    exec(forget, given)  # noqa: S102
    assert len(given["catalog"].load_table(TABLE).metadata.snapshots) == 1


# --- Connections ------------------------------------------------------------------------------------------------------


class Connection:
    def __init__(self, **fields: Any) -> None:
        self.host = self.login = self.password = None
        self.extra_dejson: dict[str, Any] = {}
        vars(self).update(fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"host": "https://c.example/ws/"}, {"type": "rest", "uri": "https://c.example/ws"}),
        (
            {"host": "https://c", "login": "me", "password": "pw", "extra_dejson": {"warehouse": "w", "ssl": True}},
            {"type": "rest", "uri": "https://c", "credential": "me:pw", "warehouse": "w", "ssl": "true"},
        ),
        ({"login": "me", "extra_dejson": {"type": "glue", "n": 3, "none": None}}, {"type": "glue", "n": 3}),
        ({"extra_dejson": {"type": "sql", "uri": "sqlite://"}}, {"type": "sql", "uri": "sqlite://"}),
    ],
)
def test_a_connection_is_read_as_airflows_own_provider_reads_it(
    fields: dict[str, Any], expected: dict[str, str]
) -> None:
    assert catalog_properties(Connection(**fields)) == expected  # type: ignore[arg-type]


def test_a_catalog_that_is_down_is_one_clear_error_that_a_retry_may_help(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    landed, before, down = bench.run(), set(bench.objects()), f"http://127.0.0.1:{free_port()}"
    storage = {"s3.endpoint": down, "s3.access-key-id": "key", "s3.secret-access-key": PASSWORD, "s3.region": "r"}
    glue = {"endpoint": down, "region": "r", "access-key-id": "k", "secret-access-key": PASSWORD, "max-retries": 1}
    kinds: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"type": "rest", "oauth2-server-uri": down}, {"host": down, "login": "me", "password": PASSWORD}),
        ({"type": "rest", "uri": down, "token": PASSWORD}, {}),
        ({"type": "glue", **{f"glue.{name}": value for name, value in glue.items()}}, {}),
        ({"type": "sql", "uri": f"sqlite:////nowhere/{PASSWORD}/catalog.db", "warehouse": "s3://w"}, {}),
    ]
    for extra, fields in kinds:
        connect(monkeypatch, {**storage, **extra}, **fields)
        with pytest.raises(CatalogUnavailableError, match="did not answer as it should") as caught:
            commit(landed)
        assert isinstance(caught.value, RetryableError)
        assert PASSWORD not in str(caught.value) + caplog.text
    assert set(bench.objects()) == before


def test_a_key_that_may_not_write_to_the_warehouse_is_told_so_and_nothing_is_done(
    ministack_server: S3Server, ministack_bucket: str, tmp_path: Path
) -> None:
    lake = Lake(ministack_server, ministack_bucket, tmp_path)
    lake.commit(lake.land(contacts(1)))
    before = lake.objects(), lake.table().metadata
    address = lake.land(contacts(2))
    key, secret = ministack_server.user("s3:GetObject", "s3:ListBucket")
    lake.properties |= {"s3.access-key-id": key, "s3.secret-access-key": secret}
    with pytest.raises(CatalogUnavailableError, match=r"while writing its files \(OSError, ACCESS_DENIED\)") as caught:
        lake.commit(address, catalog=lake.catalog())
    assert "arn:" not in "".join(traceback.format_exception(caught.value))
    assert (lake.objects(), lake.table().metadata) == before


def test_a_catalog_of_an_unknown_kind_and_a_missing_connection_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, {"type": "card index", "uri": f"https://me:{PASSWORD}@c"})
    with pytest.raises(Exception, match="check type") as caught:
        open_catalog("iceberg_default", TABLE)
    assert PASSWORD not in str(caught.value)
    with pytest.raises(ConnectionNotFoundError, match="nowhere"):
        open_catalog("nowhere", TABLE)


def test_secrets_of_the_connection_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    masked: list[str] = []
    monkeypatch.setattr(iceberg, "mask_secret", masked.append)
    extra = {"token": "one", "s3.secret-access-key": "two", "type": "in-memory", "s3.access-key-id": "four"}
    extra |= {"auth": {"type": "basic", "basic": {"username": "me", "password": "five"}}}
    connect(monkeypatch, {**extra, "uri": "postgresql+psycopg2://me:three@db/c", "s3.region": "r"})
    with pytest.raises(Exception):  # noqa: B017, PT011  # whatever it says: such a catalog has no such server
        open_catalog("iceberg_default", TABLE).load_table(TABLE)
    assert {"one", "two", "three", "five"} <= set(masked)


def test_without_pyiceberg_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyiceberg", None)
    with pytest.raises(ParameterError, match=r"install airflow-provider-kore\[iceberg\]"):
        open_catalog("iceberg_default", TABLE)


# --- Other catalogs ---------------------------------------------------------------------------------------------------


def test_glue_holds_the_table_as_well_and_its_commits_are_found_again(lake: Lake) -> None:
    client = {"region": "eu-central-1", "access-key-id": "key", "secret-access-key": "secret"}
    lake.properties = {
        "type": "glue",
        "glue.endpoint": lake.server.url,
        **{f"glue.{name}": value for name, value in client.items()},
        **lake.storage(),
    }
    given = [lake.land(contacts(1)), lake.land(contacts(2), contact_list_id="cl-2")]
    assert len(lake.commit(given).new) == 2
    assert lake.commit(given).snapshot_id is None
    lake.commit(lake.land(contacts(3, vip=True)), given[1], catalog=lake.catalog())
    assert [row[2] for row in lake.ids()] == ["ct-3", "ct-2"]
    assert len(lake.table().metadata.snapshots) == 2
