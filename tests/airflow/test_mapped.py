"""Mapped or not, with and without each optional argument: the same task, in a task runner of Airflow's own."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from airflow.sdk import DAG, AssetAlias, BaseOperator, BaseSensorOperator
from test_documentation import PAGES, blocks

from airflow_provider_kore.operators.connection import KoreConnectionCheckOperator
from airflow_provider_kore.operators.contact_erasure import ContactErasureOperator
from airflow_provider_kore.operators.contact_list_changes import ContactListChangesOperator
from airflow_provider_kore.operators.snapshot_verification import SnapshotVerificationOperator
from airflow_provider_kore.sensors.campaign import CampaignStatusSensor
from airflow_provider_kore.sensors.contact_list import ContactListSensor
from airflow_provider_kore.simulator import Simulator
from airflow_provider_kore.transfers.campaign_contacts_to_s3 import CampaignContactsToS3Operator
from airflow_provider_kore.transfers.campaigns_to_s3 import CampaignsToS3Operator
from airflow_provider_kore.transfers.contact_list_catalog_to_s3 import ContactListCatalogToS3Operator
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator
from airflow_provider_kore.transfers.contact_lists_to_s3 import ContactListsToS3Operator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3_servers import S3Server


OPERATORS: dict[type[BaseOperator], dict[str, Any]] = {
    ContactListToS3Operator: {"contact_list_id": "cl-1"},
    ContactListsToS3Operator: {"contact_list_ids": ["cl-1"]},  # of cl-81 an example waits for its first snapshot
    CampaignContactsToS3Operator: {"campaign_id": "cd-1"},
    CampaignsToS3Operator: {},
    ContactListCatalogToS3Operator: {},
    ContactListChangesOperator: {"contact_list_id": "cl-1", "s3_prefix": "before"},
    SnapshotVerificationOperator: {"s3_prefix": "before"},
    ContactErasureOperator: {
        "contact_ids": ["cc-nowhere"],
        "on_missing": "skip",
        "erasure_list": None,  # the example of its page has one
        "gone_on": None,
        "s3_prefix": "before",
    },
    CampaignStatusSensor: {"campaign_id": "cd-1"},
    ContactListSensor: {"contact_list_id": "cl-1"},
    KoreConnectionCheckOperator: {},
}
"""Every operator and sensor, with what it has to be told beside the bucket."""

VALUES: dict[str, Any] = {
    "allow_backfill": True,
    "aws_conn_id": "aws_other",
    "before": True,
    "call_results_prefix": "other_results",
    "campaign_type": "sms",
    "changes_prefix": "other_changes",
    "columns": ["phoneNumber"],
    "compression": "none",
    "contact_ids": ["cc-nowhere"],
    "contact_list_ids": ["cl-1"],
    "deadline": 3_600.0,
    "defer_after": 60.0,
    "deferrable": True,
    "durable": False,
    "erasure_list": "s3://lake/requests/list.jsonl",
    "field_policies": {"phoneNumber": "mask"},
    "fields": ["_id", "phoneNumber"],
    "file_format": "csv",
    "filters": {"status": ["Completed"]},
    "gone_on": "2025-01-02",
    "hash_conn_id": "kore_hash_key",
    "kore_conn_id": "kore_other",
    "max_failures": 2,
    "max_shrink": 0.5,
    "max_walks": 2,
    "incremental": True,
    "full_walk_every": 86_400.0,
    "probes": 1,
    "name_pattern": "List *",
    "on_drift": "fail",
    "on_missing": "fail",
    "on_missing_field": "warn",
    "on_schema_change": "text",
    "page_size": 20,
    "phone_fields": ["phoneNumber", "altPhone"],
    "phone_numbers": ["+4930123456"],
    "plan_only": False,
    "poke_interval": 1.0,
    "receipt_prefix": "other_receipts",
    "replace": False,
    "replace_instance": True,
    "rows_per_file": 100,
    "s3_settings": {"tags": {"team": "data"}},
    "since": "2025-01-01",
    "snapshot_date": "2025-01-02",
    "sources": ["localDrive"],
    "staging_expiry": 3_600.0,
    "staging_prefix": "elsewhere",
    "statuses": ["Ready", "Validated"],
    "versions": True,
    # Of Airflow's own:
    "mode": "reschedule",
    "soft_fail": True,
    "timeout": 60.0,
}
"""A value for every optional argument, none of them the default."""


def signatures(kind: type[BaseOperator]) -> list[Mapping[str, inspect.Parameter]]:
    """Return the parameters that an operator's own classes declare."""
    own = [each for each in kind.__mro__ if each.__module__.startswith("airflow_provider_kore")]
    return [inspect.signature(each.__init__).parameters for each in own if "__init__" in vars(each)]  # type: ignore[misc]


def options(kind: type[BaseOperator]) -> dict[str, Any]:
    """Return all optional arguments of an operator's own, with a value."""
    declared = [one for found in signatures(kind) for one in found.values()]
    own = [one.name for one in declared if one.default is not inspect.Parameter.empty]
    sensor = ["mode", "soft_fail", "timeout"] if issubclass(kind, BaseSensorOperator) else []
    # A subclass names what its rows are called; a partition is what a subclass tells its base.
    passed = {name: value(kind, name) for name in [*own, *sensor] if name not in {"min_rows", "max_rows", "partition"}}
    return {name: each for name, each in passed.items() if name not in OPERATORS[kind]}


def value(kind: type[BaseOperator], name: str) -> Any:
    if name.startswith(("min_", "max_")) and name not in VALUES:
        return 1 if name.startswith("min_") else 1_000
    if name in {"status", "failed_statuses"}:
        known = {CampaignStatusSensor: "Completed", ContactListSensor: "Ready"}[kind]
        return [known] if name == "status" else []
    return {"s3_prefix": "other", "s3_bucket": "lake"}.get(name) or VALUES[name]


def required(kind: type[BaseOperator], bucket: str) -> dict[str, Any]:
    parameters = inspect.signature(kind.__init__).parameters  # type: ignore[misc]
    wanted = "s3_bucket" in parameters and parameters["s3_bucket"].default is inspect.Parameter.empty
    return OPERATORS[kind] | ({"s3_bucket": bucket} if wanted else {})


# --- What an operator is, mapped and not ------------------------------------------------------------------------------

OF_AIRFLOW: dict[str, Any] = {
    "retries": 7,
    "retry_delay": timedelta(seconds=5),
    "max_retry_delay": timedelta(seconds=50),
    "retry_exponential_backoff": True,
    "execution_timeout": timedelta(hours=1),
    "pool": "kore",
    "pool_slots": 2,
    "queue": "kore",
    "priority_weight": 3,
    "trigger_rule": "all_done",
    "do_xcom_push": False,
    "owner": "data",
    "outlets": [AssetAlias("mine")],
    "inlets": [AssetAlias("mine")],
    "max_active_tis_per_dag": 1,
    "depends_on_past": True,
}
"""Arguments of every operator's, among them all that ``.partial()`` gives a default of its own."""
OF_MAPPING = {"outlets", "task_group", "start_date", "end_date", "returns_dag_result"}


def seen(operator: BaseOperator) -> dict[str, Any]:
    """Return all that an operator was told, but for what being mapped is meant to change."""
    found = {name: one for name, one in vars(operator).items() if name[0] != "_" and name not in OF_MAPPING}
    return found | {"retry_policy": type(found.get("retry_policy"))}


def both(kind: type[BaseOperator], given: dict[str, Any], *, expanded: bool, defaults: dict[str, Any]) -> list[Any]:
    """Return an operator as it is for itself, and as its mapped task makes it on a worker."""
    must = required(kind, "lake")
    with DAG("alone", default_args=defaults):
        alone = kind(task_id="t", **must, **given)
    with DAG("mapped", default_args=defaults):
        if expanded and given:
            mapped: Any = kind.partial(task_id="t", **must).expand_kwargs([given])
        else:
            mapped = kind.partial(task_id="t", **given).expand_kwargs([must])
    return [alone, mapped.unmap(given if expanded and given else must)]


@pytest.mark.parametrize("kind", OPERATORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("expanded", [False, True], ids=["in partial", "in expand"])
def test_a_mapped_task_has_the_same_settings_with_and_without_each_argument(
    kind: type[BaseOperator], expanded: bool
) -> None:
    every = options(kind) | ({} if expanded else OF_AIRFLOW)  # Airflow maps none of its own
    for given in ({}, *({name: each} for name, each in every.items()), every):
        alone, mapped = both(kind, given, expanded=expanded, defaults={})
        assert seen(mapped) == seen(alone), given
        if "outlets" in given:
            assert mapped.outlets == alone.outlets == OF_AIRFLOW["outlets"]


@pytest.mark.parametrize("kind", OPERATORS, ids=lambda kind: kind.__name__)
def test_the_defaults_of_a_dag_reach_a_mapped_task(kind: type[BaseOperator]) -> None:
    every = {name: each for name, each in (OF_AIRFLOW | options(kind)).items() if name != "mode"}
    for defaults in (*({name: each} for name, each in every.items()), every):
        alone, mapped = both(kind, {}, expanded=False, defaults=defaults)
        assert seen(mapped) == seen(alone), defaults


def test_no_signature_repeats_an_argument_of_airflows_own() -> None:
    """Its default there would be what ``.partial()`` picks up on 3.3, whatever the author of the DAG said."""
    own = {name for name in inspect.signature(BaseOperator.__init__).parameters if name not in {"self", "kwargs"}}
    for kind in OPERATORS:
        for found in signatures(kind):
            assert not own & set(found), kind


# --- In Airflow's own task runner -------------------------------------------------------------------------------------

DAGS = """
from datetime import UTC, datetime
from airflow.sdk import DAG
{imports}

START = datetime(2025, 1, 1, tzinfo=UTC)
with DAG("before", schedule=None, start_date=START):
    for task_id, day in (("first", "2025-01-01"), ("second", "2025-01-02"), ("today", None)):
        ContactListToS3Operator(
            task_id=task_id, contact_list_id="cl-1", s3_bucket={bucket!r}, s3_prefix="before", snapshot_date=day
        )

with DAG("alone", schedule=None, start_date=START):
    for kind, must, every in {alone!r}:
        for index, given in enumerate(every):
            globals()[kind](task_id=f"{{kind}}-{{index}}", **must, **given)

with DAG("mapped", schedule=None, start_date=START):
    for kind, must, every in {mapped!r}:
        globals()[kind].partial(task_id=kind, **must).expand_kwargs(every)
"""


def cases(bucket: str, place: str) -> list[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
    """Return for each operator what it is told each time: nothing optional, then each half of all there is."""
    found = []
    for kind in OPERATORS:
        every = [{name: bucket if name == "s3_bucket" else each} for name, each in options(kind).items()]
        every = [{name: each for one in every[part::2] for name, each in one.items()} for part in range(2)]
        told: list[dict[str, Any]] = [{}]
        own = "changes_prefix" if kind is ContactListChangesOperator else "s3_prefix"  # or all would land in one place
        for index, given in enumerate(every):
            if given.get("deferrable") and "s3_settings" in options(kind):
                given.pop("durable", None)  # a walk that is deferred has to be
            own_place = {own: f"{place}/{kind.__name__}-{index}"} if own in options(kind) else {}
            told.append(given | own_place)
        found.append((kind.__name__, required(kind, bucket), told))
    return found


def examples(bucket: str) -> dict[str, str]:
    """Return the Python that README and pages show, as DAG files by DAG id."""
    found = {}
    for page in PAGES:
        for number, code in enumerate(blocks(page, "python")):
            dag_id = re.sub(r"\W", "_", f"{page}_{number}")
            text = code.replace("my-data-lake", bucket).replace("retries=5", "retries=0")
            if named := re.search(r'DAG\("(\w+)"', text):
                text = text.replace(named[0], f'DAG("{dag_id}"').replace('schedule="@daily"', "schedule=None")
            elif "@dag(" in text:
                text = text.replace("@dag(", f'@dag(dag_id="{dag_id}", ').replace('schedule="@daily"', "schedule=None")
            elif "task_id=" in text:
                indented = textwrap.indent(text, "    ")
                text = f'from airflow.sdk import DAG\nwith DAG("{dag_id}", schedule=None):\n{indented}'
            else:
                continue  # no task
            imports = "from datetime import timedelta\nfrom airflow_provider_kore.transfers.contact_list_to_s3 import *"
            found[dag_id] = f"{imports}\n{text}"
    # A sensor waits for what has changed since the last snapshot, and changes are those since one.
    return dict(sorted(found.items(), key=lambda one: ("sensors" not in one[0], "changes" in one[0])))


in_a_task_runner = pytest.mark.timeout(500)


@pytest.fixture(scope="module")
def ran(moto_server: S3Server, airflow_db: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The states of all tasks, by DAG."""
    home, bucket = tmp_path_factory.mktemp("mapped"), moto_server.bucket()
    shutil.copy(airflow_db, home / "airflow.db")
    folder = home / "dags"
    folder.mkdir()
    imports = "\n".join(f"from {kind.__module__} import {kind.__name__}" for kind in OPERATORS)
    mapped = cases(bucket, "mapped")
    alone = [(kind, must, [{}]) for kind, must, _ in mapped]  # their settings are the same, as is shown above
    (folder / "every.py").write_text(DAGS.format(imports=imports, bucket=bucket, alone=alone, mapped=mapped))
    shown = examples(bucket)
    listed = b'{"_id": "cc-nowhere"}\n'  # as docs/erasure.md has one
    moto_server.client().put_object(Bucket=bucket, Key="requests/2025-03-09.jsonl", Body=listed)
    for dag_id, code in shown.items():
        (folder / f"{dag_id}.py").write_text(code)
    first = "docs_operator_md_0"  # the older snapshot of the list that docs/changes.md compares
    with Simulator(requests_per_minute=0) as kore:
        for list_id in ("cl-1", "cl-81", "cl-82"):
            kore.add_list(list_id, contacts=120)
        kinds: tuple[tuple[str, Literal["voice", "sms"]], ...] = (
            ("cd-1", "voice"),
            ("cd-17", "voice"),
            ("cd-18", "sms"),
        )
        for campaign_id, kind in kinds:
            kore.add_campaign(campaign_id, type=kind, status="Completed", results=60)
        aws, hashing = moto_server.connection(), {"conn_type": "generic", "login": "k1", "password": "x" * 32}
        defined = {"kore_default": kore.connection, "kore_other": kore.connection, "kore_hash_key": hashing}
        defined |= {"aws_default": aws, "aws_other": aws}
        environment = os.environ | {f"AIRFLOW_CONN_{name.upper()}": json.dumps(one) for name, one in defined.items()}
        environment |= {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__DAGS_FOLDER": str(folder)}
        runs = [*(dag_id for dag_id in shown if "changes" not in dag_id), f"{first}@2025-01-01"]
        runs += [dag_id for dag_id in shown if "changes" in dag_id]
        runner = str(Path(__file__).with_name("run_dags.py"))
        command = [sys.executable, runner, str(folder), str(home / "report"), "before", "alone", "mapped", *runs]
        output = home / "output"
        with output.open("wb") as log:
            status = subprocess.run(
                command, env=environment, check=False, stdout=log, stderr=subprocess.STDOUT, timeout=450
            ).returncode
    assert status == 0, output.read_text(errors="replace")[-5000:]
    report = json.loads((home / "report").read_text())
    assert report["errors"] == {}
    text = output.read_text(errors="replace")
    return {"runs": report["runs"], "log": text, "examples": list(shown), "mapped": mapped}


def failed(ran: dict[str, Any], dag_id: str) -> tuple[dict[str, str], str]:
    tasks = ran["runs"][dag_id]["tasks"]
    return {name: state for name, state in tasks.items() if state != "success"}, ran["log"][-6000:]


@in_a_task_runner
def test_every_operator_runs_mapped_without_and_with_each_optional_argument(ran: dict[str, Any]) -> None:
    assert failed(ran, "mapped")[0] == {}, failed(ran, "mapped")
    expected = {f"{kind}[{index}]" for kind, _, every in ran["mapped"] for index in range(len(every))}
    assert set(ran["runs"]["mapped"]["tasks"]) == expected


@in_a_task_runner
def test_every_operator_runs_unmapped(ran: dict[str, Any]) -> None:
    assert failed(ran, "alone")[0] == {}, failed(ran, "alone")
    assert len(ran["runs"]["alone"]["tasks"]) == len(OPERATORS)


@in_a_task_runner
def test_every_documented_example_runs(ran: dict[str, Any]) -> None:
    assert len(ran["examples"]) >= 10
    for dag_id in ran["examples"]:
        assert failed(ran, dag_id)[0] == {}, (dag_id, failed(ran, dag_id))
