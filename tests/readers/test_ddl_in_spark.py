"""What ``ddl`` prints is a table: Hive's own classes, in Spark, find in it what was landed. Athena is not here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import many_days
import pytest
import recipes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# The first of them makes the environment of the engines, and installs Java.
pytestmark = [pytest.mark.slow, pytest.mark.once, pytest.mark.timeout(600)]

IN_HIVE = [each for each in many_days.DEFINED if each not in many_days.NOT_IN_HIVE]
PARTITION = "snapshot_date"


def as_landed(
    rows: list[dict[str, Any]], landed: many_days.Lake, file_format: str, list_id: str
) -> list[dict[str, Any]]:
    """Return Hive's rows under the contacts' own names, and the day under the partition's.

    A field may be called as the partition is: its value is left aside as ``another``.
    """
    assert "error" not in rows[0], rows[0]["error"]
    names = list(many_days.table_of(landed.server, file_format, list_id).columns)
    own = ["another" if name == PARTITION else name for name in names]
    found = [dict(zip([*own, PARTITION], row.values(), strict=True)) for row in rows]
    if file_format == "csv":  # Spark's Hive does not skip the header, Athena does
        headers = [row for row in found if row["_id"] == "_id"]
        assert len(headers) == len(many_days.LISTS[list_id])
        found = [row for row in found if row["_id"] != "_id"]
    return found


@pytest.mark.debian
@pytest.mark.parametrize("name", IN_HIVE)
def test_hive_finds_every_value_in_the_table_that_is_printed(
    name: str, found: Callable[[str], recipes.Rows], landed: many_days.Lake
) -> None:
    file_format, list_id = name.split()
    rows = as_landed(found("spark")[f"hive {name}"], landed, file_format, list_id)
    told = many_days.Told(null_is_empty=file_format == "csv")
    assert many_days.differences(rows, list_id, told, without={PARTITION}) == []
    sent = many_days.sent(list_id)
    for row in rows:
        assert row.get("another") == sent[row[PARTITION], row["_id"]].get(PARTITION)


@pytest.mark.debian
def test_without_the_escape_character_the_backslash_is_eaten(
    found: Callable[[str], recipes.Rows], landed: many_days.Lake
) -> None:
    rows = as_landed(found("spark")["hive csv cl-83 backslash"], landed, "csv", "cl-83")
    shown = " ".join(many_days.differences(rows, "cl-83", many_days.Told(null_is_empty=True), without={PARTITION}))
    assert r"'N', not '\\N'" in shown


def test_the_statement_on_the_page_is_what_the_command_prints(landed: many_days.Lake, tmp_path: Path) -> None:
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
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(".*".join(map(re.escape, shown.split("…\n"))), done.stdout, re.DOTALL)


def test_sqlglot_reads_the_same_columns_in_every_statement(
    printed: dict[str, str], found: Callable[[str], recipes.Rows]
) -> None:
    for name, statement in printed.items():
        columns = re.findall(r"^  `([^`]+)`", statement, re.MULTILINE)
        assert [column.get("name") for column in found("sqlglot")[name]] == columns
