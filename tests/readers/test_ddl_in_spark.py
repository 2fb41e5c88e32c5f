"""What ``ddl`` prints is a table: Hive's own classes, in Spark, find in it what was landed. Athena is not here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import debian_packages
import pytest
import recipes
from lake import BUCKET, FORMS, LISTS, Told, differences

from airflow_provider_kore.readers.athena import create_table
from airflow_provider_kore.readers.table import Table, find_table
from airflow_provider_kore.store.s3 import S3Store
from airflow_provider_kore.store.s3.settings import S3Settings

if TYPE_CHECKING:
    from pathlib import Path

    from lake import Lake

pytestmark = [pytest.mark.slow, pytest.mark.once]

TABLES = [("csv", "cl-83"), ("parquet", "cl-84"), ("parquet", "cl-81")]
"""Read in Hive. Its lines end wherever a value breaks one, so no csv of a list that has such values."""

PRINTED = [*TABLES, ("jsonl", "cl-81"), ("csv", "cl-81")]


def table_of(landed: Lake, file_format: str, list_id: str) -> Table:
    store = S3Store(landed.server.client(), BUCKET, S3Settings())
    return find_table(store, f"{FORMS[file_format]['s3_prefix']}/contact_list_id={list_id}/")


@pytest.fixture(scope="module")
def printed(landed: Lake) -> dict[tuple[str, str], str]:
    """Return the statement for each table."""
    return {each: create_table(table_of(landed, *each)) for each in PRINTED}


@pytest.fixture(scope="module")
def read(
    printed: dict[tuple[str, str], str], landed: Lake, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the rows that each table has in Hive."""
    debian_packages.require({"java": "default-jre-headless"})
    given = [
        (
            f"{file_format} {list_id}",
            printed[file_format, list_id].replace(f"s3://{BUCKET}/", f"file://{landed.copy}/{BUCKET}/"),
            json.dumps(list(LISTS[list_id])),
        )
        for file_format, list_id in TABLES
    ]
    rows = recipes.run_engine("hive", given, tmp_path_factory.mktemp("hive"), landed.server)
    return {(file_format, list_id): rows[f"{file_format} {list_id}"] for file_format, list_id in TABLES}


@pytest.mark.debian
@pytest.mark.parametrize(("file_format", "list_id"), TABLES)
def test_hive_finds_every_value_in_the_table_that_is_printed(
    file_format: str, list_id: str, read: dict[tuple[str, str], list[dict[str, Any]]], landed: Lake
) -> None:
    rows = read[file_format, list_id]
    assert "error" not in rows[0], rows[0]["error"]
    names = [*(column.name for column in table_of(landed, file_format, list_id).columns), "snapshot_date"]
    found = [(row["snapshot_date"], dict(zip(names, row.values(), strict=True))) for row in rows]
    if file_format == "csv":  # Spark's Hive does not skip the header, Athena does
        headers = [row for _, row in found if row["_id"] == "_id"]
        assert len(headers) == len(LISTS[list_id])
        found = [(date, row) for date, row in found if row["_id"] != "_id"]
    # a field that is called as the partition is one column, the partition another
    shown = [{**row, "snapshot_date": date} for date, row in found]
    told = Told(null_is_empty=file_format == "csv")
    assert differences(shown, list_id, told, without={"snapshot_date"}) == []


def test_the_statement_on_the_page_is_what_the_command_prints(landed: Lake, tmp_path: Path) -> None:
    page = recipes.PAGE.read_text(encoding="utf-8")
    ((command, shown),) = re.findall(r"<!-- ddl -->\n```text\n\$ python (.*)\n((?:.*\n)*?)```", page)
    done = subprocess.run(
        [sys.executable, *command.split()],
        env={**os.environ, **recipes.credentials(landed.server), "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, shown, "")


def test_sqlglot_reads_the_same_columns_in_every_statement(
    printed: dict[tuple[str, str], str], landed: Lake, tmp_path_factory: pytest.TempPathFactory
) -> None:
    given = [(f"{file_format} {list_id}", printed[file_format, list_id], "") for file_format, list_id in PRINTED]
    found = recipes.run_engine("sqlglot", given, tmp_path_factory.mktemp("sqlglot"), landed.server)
    for (file_format, list_id), statement in printed.items():
        names = re.findall(r"^  `([^`]+)`", statement, re.MULTILINE)
        assert [column.get("name") for column in found[f"{file_format} {list_id}"]] == names
