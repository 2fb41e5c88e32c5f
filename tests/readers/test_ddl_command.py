"""``python -m airflow_provider_kore ddl`` as a person runs it, on a real S3 server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import recipes
from test_ddl import manifest

from airflow_provider_kore.__main__ import main

if TYPE_CHECKING:
    from s3_servers import S3Server

FOLDER = "kore/csv/contact_list_id=cl-81/snapshot_date=2026-01-0{}/_manifest.json"


@pytest.fixture(autouse=True)
def _as_a_person(moto_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have credentials where boto3 finds them."""
    for name, value in recipes.credentials(moto_server).items():
        monkeypatch.setenv(name, value)


def put(server: S3Server, bucket: str, **manifests: bytes) -> None:
    for day, body in manifests.items():
        server.client().put_object(Bucket=bucket, Key=FOLDER.format(day[1:]), Body=body)


def test_the_statement_is_printed_and_what_it_leaves_out_is_told_beside_it(
    moto_server: S3Server, moto_bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = json.dumps(manifest("_id", "a")).encode()
    put(moto_server, moto_bucket, d1=b"no manifest", d2=newest)
    address = f"s3://{moto_bucket}/kore/csv/contact_list_id=cl-81"
    assert main(["ddl", address, "--table", "contacts", "--database", "lake"]) == 0
    said = capsys.readouterr()
    assert "CREATE EXTERNAL TABLE `lake`.`contacts` (\n  `_id` string,\n  `a` string\n)" in said.out
    assert f"LOCATION '{address}/'" in said.out
    assert said.err == ("Snapshots up to 2026-01-01 are left out: of that day, the manifest cannot be read.\n")


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("kore/csv/", [], "is no manifest that this version of the provider can read"),
        ("kore/", [], "address: is above the table; name the table: s3://"),
        ("other/", [], "address: holds no snapshot: s3://"),
        ("other/\x1b[31m", [], r"/other/\x1b[31m/; name the folder"),
        ("good/", ["--table", "a b"], "--table: 'a b' is no name that Athena takes"),
    ],
)
def test_what_cannot_be_said_is_one_line_and_exit_status_two(  # noqa: PLR0917
    path: str,
    options: list[str],
    said: str,
    moto_server: S3Server,
    moto_bucket: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(moto_server, moto_bucket, d1=b"no manifest")
    good = json.dumps(manifest("_id")).encode()
    moto_server.client().put_object(Bucket=moto_bucket, Key="good/snapshot_date=2026-01-01/_manifest.json", Body=good)
    assert main(["ddl", f"s3://{moto_bucket}/{path}", *options]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.err.count("\n") == 1
    assert told.err.rstrip("\n").isprintable()
    assert "CREATE" not in told.out
