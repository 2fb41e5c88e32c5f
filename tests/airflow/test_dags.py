"""The example DAGs in real Airflow, and a DAG where everything goes wrong: what lands, and what must never show."""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_servers import S3Server

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
EXAMPLES: tuple[str, ...] = (
    "kore_contact_list_daily@2025-01-01",
    "kore_contact_list_daily",
    "kore_contact_list_daily@none",
    "kore_all_contact_lists",
    "kore_application",
    "kore_consumer",
    "kore_campaign_results",
    "kore_contact_list_changes",
    "kore_contact_list_on_demand",
    "kore_erasure",
)
HAS_ICEBERG = importlib.util.find_spec("pyiceberg") is not None
if HAS_ICEBERG:  # elsewhere its example is parsed, and not run
    EXAMPLES = (*EXAMPLES, "kore_iceberg")
if importlib.metadata.version("apache-airflow") == "3.0.0":
    # Its dag.test() runs tasks by the old runner, which hands a consumer a plain dict that no asset can be a key of.
    EXAMPLES = tuple(name for name in EXAMPLES if name not in {"kore_consumer", "kore_contact_list_changes"})
REFUSED = ("kore_contact_list_on_demand@2025-01-01",)
OF_0_1 = ("of_0_1_contact_list_daily", "of_0_1_all_contact_lists", "of_0_1_campaign_results")
"""Those of the first version, kept as they were but for their names and their bucket."""
HASH_KEY = "hash-key-of-32-characters-length"
NAMES = {"firstName": "Zaphodina", "lastName": "Beeblebroxson"}

MISFORTUNES = """
from datetime import UTC, datetime
from airflow.sdk import DAG
from airflow_provider_kore.operators.connection import KoreConnectionCheckOperator
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

with DAG("misfortunes", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC)):
    for name, parameters in CASES.items():
        ContactListToS3Operator(task_id=name, s3_bucket=BUCKET, s3_prefix=f"misfortunes/{name}", **parameters)
    for name, conn_id in CHECKS.items():
        KoreConnectionCheckOperator(task_id=name, kore_conn_id=conn_id)
"""
CHECKS = {"check": "kore_cruel", "check_wrong_secret": "kore_wrong_secret", "check_nothing": "kore_nowhere"}
CASES: dict[str, dict[str, Any]] = {
    "good_csv": {"contact_list_id": "cl-1", "file_format": "csv"},
    "good_hash": {
        "contact_list_id": "cl-1",
        "field_policies": {"phoneNumber": "hash", "firstName": "mask"},
        "hash_conn_id": "kore_hash_key",
    },
    "wrong_secret": {"contact_list_id": "cl-1", "kore_conn_id": "kore_wrong_secret"},
    "wrong_algorithm": {"contact_list_id": "cl-1", "kore_conn_id": "kore_wrong_algorithm"},
    "wrong_field": {"contact_list_id": "cl-1", "kore_conn_id": "kore_wrong_field"},
    "tls": {"contact_list_id": "cl-1", "kore_conn_id": "kore_tls"},
    "unknown_list": {"contact_list_id": "cl-nowhere"},
    "odd_id": {"contact_list_id": "cl 1/2"},
    "missing_bucket": {"contact_list_id": "cl-1", "s3_bucket": "kore-nowhere"},
    "odd_prefix": {"contact_list_id": "cl-1", "s3_prefix": "../up"},
    "odd_format": {"contact_list_id": "cl-1", "file_format": "xlsx"},
    "odd_page_size": {"contact_list_id": "cl-1", "page_size": 0},
    "missing_data": {"contact_list_id": "cl-missing-data"},
    "without_id": {"contact_list_id": "cl-without-id"},
    "same_id_twice": {"contact_list_id": "cl-twice", "on_drift": "fail"},
    "unavailable": {"contact_list_id": "cl-unavailable"},
    "shrunk": {"contact_list_id": "cl-1", "min_contacts": 1_000},
}
GOOD = {"good_csv", "good_hash"}


@dataclass(frozen=True)
class Played:
    """What is left of the runs."""

    report: dict[str, Any]
    log: str
    home: Path
    secrets: list[str]
    s3: Any
    bucket: str
    of_0_1: str
    """The bucket of the first version's examples."""

    def keys(self, prefix: str = "", bucket: str | None = None) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=bucket or self.bucket, Prefix=prefix).get("Contents", [])
        return [each["Key"] for each in found]

    def body(self, key: str) -> bytes:
        found: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return found


def fill(kore: Simulator) -> None:
    for list_id in ("cl-demo", "cl-1"):
        kore.add_list(list_id, contacts=120, columns=NAMES)
    kore.add_list("cl-empty")
    kore.add_campaign("cd-demo", status="Completed", results=60)


def misfortunes(kore: Simulator) -> None:
    """Add the lists of another environment, which only the misfortunes read."""
    kore.add_list("cl-1", contacts=120, columns=NAMES)
    for fault, list_id in (
        ("missing_data", "cl-missing-data"),
        ("contact_without_id", "cl-without-id"),
        ("duplicate_id", "cl-twice"),
    ):
        kore.add_list(list_id, contacts=60, columns=NAMES)
        kore.add_fault(fault, endpoint="contacts", list_id=list_id)
    kore.add_list("cl-unavailable", contacts=120, columns=NAMES)
    kore.add_fault(
        "service_unavailable", endpoint="contacts", list_id="cl-unavailable", after_requests=1, retry_after="100000"
    )


def connections(kore: Simulator, cruel: Simulator, server: S3Server) -> dict[str, dict[str, Any]]:
    right = cruel.connection

    def changed(password: str | None = None, host: str | None = None, **extra: Any) -> dict[str, Any]:
        return right | {
            "password": password or right["password"],
            "host": host or right["host"],
            "extra": right["extra"] | extra,
        }

    return {
        "kore_default": kore.connection,
        "kore_cruel": right,
        "kore_wrong_secret": changed(password="wrong-" + "secret-" * 8),
        "kore_wrong_algorithm": changed(jwt_algorithm="HS512"),
        "kore_wrong_field": changed(api_version="v7"),
        "kore_tls": changed(host=cruel.url.replace("http:", "https:"), proxy=""),
        "kore_hash_key": {"conn_type": "generic", "login": "k1", "password": HASH_KEY},
        "aws_default": server.connection(),
    }


def iceberg(folder: Path) -> dict[str, dict[str, Any]]:
    """Make a catalog in a folder of its own, and return the connection to it."""
    if not HAS_ICEBERG:
        return {}
    from pyiceberg.catalog import load_catalog

    properties = {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}"}
    load_catalog("iceberg_default", **properties).create_namespace("crm")
    return {"iceberg_default": {"conn_type": "iceberg", "extra": properties}}


@pytest.fixture(scope="module")
def played(moto_server: S3Server, tmp_path_factory: pytest.TempPathFactory, airflow_db: Path) -> Iterator[Played]:
    home = tmp_path_factory.mktemp("dags-home")
    shutil.copy(airflow_db, home / "airflow.db")
    bucket, of_0_1 = moto_server.bucket(), moto_server.bucket()
    folder = home / "dags"
    shutil.copytree(ROOT / "dags", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in folder.glob("*.py"):
        text = file.read_text()
        file.write_text(text.replace("kore-demo", bucket))  # the test's own bucket as the parameter's default
    (folder / "of_0_1").mkdir()
    for file in (Path(__file__).with_name("of_0_1") / "dags").glob("*.py"):
        text = file.read_text().replace("kore-demo", of_0_1).replace('dag_id="kore_', 'dag_id="of_0_1_')
        (folder / "of_0_1" / file.name).write_text(text)
    cases = MISFORTUNES.replace('s3_bucket=BUCKET, s3_prefix=f"misfortunes/{name}", **parameters', "**parameters")
    given = {
        name: {"s3_bucket": bucket, "s3_prefix": f"misfortunes/{name}", "kore_conn_id": "kore_cruel", **parameters}
        for name, parameters in CASES.items()
    }
    (folder / "misfortunes.py").write_text(f"CASES = {given!r}\nCHECKS = {CHECKS!r}\n{cases}")
    with Simulator(requests_per_minute=0) as kore, Simulator(requests_per_minute=0) as cruel:
        fill(kore)
        misfortunes(cruel)
        persons = "_id\n" + "\n".join(list(kore.contact_ids("cl-demo"))[:2])
        moto_server.client().put_object(Bucket=bucket, Key="erasures/persons.csv", Body=persons.encode())
        every = connections(kore, cruel, moto_server) | iceberg(tmp_path_factory.mktemp("iceberg"))
        environment = {
            **os.environ,
            **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(one) for name, one in every.items()},
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        }
        script = str(Path(__file__).with_name("run_dags.py"))
        runs = [*EXAMPLES, *OF_0_1, "misfortunes", *REFUSED]
        done = subprocess.run(
            [sys.executable, script, str(folder), str(home / "report"), *runs],
            env=environment,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=500,
        )
        log = done.stdout
        assert done.returncode == 0, log[-5000:]
        report = json.loads((home / "report").read_text())
        secrets = [one["password"] for name, one in every.items() if name not in {"aws_default", "iceberg_default"}]
        if importlib.metadata.version("apache-airflow").startswith("3.0."):
            # Its dag.test() knows no log settings: it prints level debug, and all local variables of a traceback.
            log = "\n".join(
                line
                for line in log.splitlines()
                if re.search(r"\[(info|warning|error) *\]| (INFO|WARNING|ERROR) - ", line)
            )
        (home / "output.log").write_text(log)
        yield Played(report, log, home, secrets, moto_server.client(), bucket, of_0_1)


def test_the_examples_parse_without_errors_and_warnings(played: Played) -> None:
    assert played.report["errors"] == {}
    assert played.report["warnings"] == []


def test_the_examples_are_short_enough_to_copy() -> None:
    files = sorted((ROOT / "dags").glob("*.py"))
    assert [file.name for file in files] == [
        "kore_all_contact_lists.py",
        "kore_application.py",
        "kore_campaign_results.py",
        "kore_consumer.py",
        "kore_contact_list_changes.py",
        "kore_contact_list_daily.py",
        "kore_contact_list_on_demand.py",
        "kore_erasure.py",
        "kore_iceberg.py",
    ]
    assert all(len(file.read_text().splitlines()) <= 60 for file in files)


STRANGERS: list[dict[str, Any]] = [
    {"s3_bucket": "somebody-elses"},
    {"s3_bucket": ["kore-demo"]},
    {"contact_list_id": "../cl-1"},
    {"contact_list_id": ""},
    {"campaign_id": "cd 1"},
    {"phone_numbers": "keep"},
    {"erasure_list": "s3://somebody-elses/erasures/persons.csv"},
    {"erasure_list": "s3://kore-demo/erasures/../other/persons.csv"},
]


@pytest.mark.parametrize("conf", STRANGERS, ids=str)
def test_who_may_trigger_may_not_choose_any_bucket_nor_unmask(airflow_home: Path, conf: dict[str, Any]) -> None:
    import copy

    from run_dags import dag_bag

    (name,) = conf
    asked = [dag for dag in dag_bag(str(ROOT / "dags")).dags.values() if name in dag.params]
    assert asked
    for dag in asked:
        params = copy.deepcopy(dag.params)
        params.validate()  # the form as it is will do
        with pytest.raises(Exception, match=r"Invalid input for param|is not one of|does not match"):
            params.update(conf)  # validates


@pytest.mark.parametrize("run", EXAMPLES)
def test_the_examples_succeed(played: Played, run: str) -> None:
    found = played.report["runs"][run]
    assert found["state"] == "success", f"{found}\n{played.log[-4000:]}"


def test_the_examples_of_the_first_version_run_unchanged(played: Played) -> None:
    assert {name: played.report["runs"][name]["state"] for name in OF_0_1} == dict.fromkeys(OF_0_1, "success")
    assert {key.split("/")[1] for key in played.keys(bucket=played.of_0_1)} == {"contact_lists", "campaign_contacts"}


def test_every_list_of_the_application_is_one_mapped_task(played: Played) -> None:
    tasks = played.report["runs"]["kore_all_contact_lists"]["tasks"]
    assert tasks == {"contact_list_ids[-1]": "success", **{f"snapshot[{index}]": "success" for index in range(3)}}


def test_all_lists_of_the_application_are_landed_by_one_task(played: Played) -> None:
    assert played.report["runs"]["kore_application"]["tasks"] == {"snapshots[-1]": "success"}


@pytest.mark.parametrize(("list_id", "contacts"), [("cl-demo", 120), ("cl-1", 120), ("cl-empty", 0)])
def test_the_examples_land_complete_lists(played: Played, list_id: str, contacts: int) -> None:
    found = played.keys(f"kore/contact_lists/contact_list_id={list_id}/")[-2:]
    assert [key.rpartition("/")[2] for key in found] == ["_manifest.json", "contacts.jsonl.gz"]
    manifest, rows = (played.body(key) for key in found)
    assert json.loads(manifest)["contacts"] == contacts == len(gzip.decompress(rows).splitlines())


if "kore_contact_list_changes" in EXAMPLES:

    def test_the_changes_since_the_snapshot_before_are_a_table_of_their_own(played: Played) -> None:
        found = played.keys("kore/contact_lists_changes/")
        assert [key.rpartition("/")[2] for key in found] == ["_manifest.json", "changes.jsonl.gz"]
        manifest = json.loads(played.body(found[0]))
        assert (manifest["older"]["snapshot_date"], manifest["changes"], manifest["unchanged"]) == (
            "2025-01-01",
            0,
            120,
        )


def test_an_erasure_that_only_plans_counts_and_the_proof_after_it_holds(played: Played) -> None:
    assert played.report["runs"]["kore_erasure"]["tasks"] == {"erase[-1]": "success", "verify[-1]": "success"}
    assert played.keys("kore/_erasures/") == []


def test_todays_list_is_not_filed_under_another_day_unless_asked_for(played: Played) -> None:
    assert played.report["runs"][REFUSED[0]]["tasks"]["asked[-1]"] == "failed"
    old = importlib.metadata.version("apache-airflow").startswith("3.0.")  # whose dag.test() leaves out what tasks log
    assert old or "The API can't tell how the list was on 2025-01-01." in played.log
    assert {key.split("/")[3] for key in played.keys("kore/on_demand/")} != {"snapshot_date=2025-01-01"}
    assert len(played.keys("kore/on_demand/")) == 2


def test_each_misfortune_fails_and_the_rest_succeeds(played: Played) -> None:
    tasks = played.report["runs"]["misfortunes"]["tasks"]
    assert tasks == {f"{name}[-1]": "success" if name in {*GOOD, "check"} else "failed" for name in (*CASES, *CHECKS)}


def test_nothing_of_a_misfortune_is_published(played: Played) -> None:
    published = {key.split("/")[1] for key in played.keys("misfortunes/") if "/_staging/" not in key}
    assert published - {"_staging"} == GOOD


def everything(played: Played) -> Iterator[tuple[str, str]]:
    """All that Airflow has written: output, task logs, and the database with XComs and rendered templates."""
    for file in played.home.rglob("*"):
        if file.is_file() and "dags" not in file.relative_to(played.home).parts[:1] and file.name != "airflow.cfg":
            yield str(file.relative_to(played.home)), file.read_bytes().decode("utf-8", "replace")


def test_no_secret_no_token_and_nobodys_data_is_written_anywhere(played: Played) -> None:
    texts = dict(everything(played))
    assert "airflow.db" in texts
    old = importlib.metadata.version("apache-airflow").startswith("3.0.")  # whose dag.test() leaves out what tasks log
    assert ("Filling up the DagBag" if old else "Landed 120 contacts") in texts["output.log"]  # so it is the right log
    assert played.bucket in texts["airflow.db"]  # and the right database
    found = []
    for name, text in texts.items():
        found += [(name, "secret") for secret in played.secrets if secret in text]
        found += [(name, token[:8]) for token in re.findall(r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}", text)]
        found += [(name, phone) for phone in re.findall(r"\+1555\d{7}", text)]
        found += [(name, person) for person in NAMES.values() if person in text]
    assert found == []


def test_secret_and_tokens_are_known_to_the_masker(kore: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """In case that somebody's own code in the same task logs one."""
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook

    proxy = f"http://someone:hush-hush@{kore.url.partition('://')[2]}"
    connection = kore.connection
    connection["extra"]["proxy"] = proxy
    monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", json.dumps(connection))
    hook = KoreCampaignHook()
    hook.get_contact_lists()
    token = hook.client._sender._tokens.token()
    assert token.startswith("eyJ")
    redacted = redact(f"{kore.connection['password']} {token} {proxy}")
    assert redacted == "*** *** ***"


def redact(text: str) -> str:
    try:
        from airflow.sdk._shared.secrets_masker import redact as found  # 3.2 and later
    except ImportError:
        try:
            from airflow._shared.secrets_masker import redact as found  # 3.1
        except ImportError:
            from airflow.sdk.execution_time.secrets_masker import redact as found  # 3.0
    return str(found(text))
