"""A list whose fields drift, landed by its operator on a real S3 server, and read by DuckDB as one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from airflow_provider_kore.hooks.airflow_versions import AirflowFailException

if TYPE_CHECKING:
    from pathlib import Path

    from bench import Bench

LIST = "cl-days"
DAYS: list[list[dict[str, Any]]] = [
    [{"phoneNumber": "+1", "score": 1, "city": "Bonn"}, {"phoneNumber": "+2", "score": 2**60}],
    [{"zip": "00123", "city": "Köln", "score": None, "phoneNumber": "+3"}],
    [],
    [{"score": 4, "zip": "9", "phoneNumber": "+4"}],
]
"""Contacts of each day: a column stays away, is null, comes in front of the others, and nobody is there at all."""


def land_all(bench: Bench, tmp_path: Path, **parameters: Any) -> list[str]:
    found = []
    for number, contacts in enumerate(DAYS, 1):
        bench.kore.add_list(LIST, contacts=[{"_id": f"cc-{number}-{at}", **each} for at, each in enumerate(contacts)])
        context = bench.context(f"scheduled__{number}")
        given = {"contact_list_id": LIST, "max_shrink": 1, "snapshot_date": f"2025-03-{number:02d}", **parameters}
        (key,) = bench.run(context, **given)["keys"]
        path = tmp_path / f"{number}-{key.rpartition('/')[2]}"
        path.write_bytes(bench.body(key))
        found.append(str(path))
    return found


def test_parquet_is_one_table_without_union_by_name(bench: Bench, tmp_path: Path) -> None:
    paths = land_all(bench, tmp_path, file_format="parquet")
    read = duckdb.read_parquet(paths).project('_id, "phoneNumber", score, city')
    assert [str(type_) for type_ in read.types] == ["VARCHAR", "VARCHAR", "BIGINT", "VARCHAR"]
    assert read.fetchall() == [
        ("cc-1-0", "+1", 1, "Bonn"),
        ("cc-1-1", "+2", 2**60, None),
        ("cc-2-0", "+3", None, "Köln"),
        ("cc-4-0", "+4", 4, None),
    ]
    names = {tuple(duckdb.read_parquet(path).columns) for path in paths[1:]}
    assert len(names) == 1, "an empty day has the columns of the others"


def test_csv_is_one_table_by_position(bench: Bench, tmp_path: Path) -> None:
    paths = land_all(bench, tmp_path, file_format="csv", compression="none", columns=["phoneNumber", "zip"])
    headers = [(tmp_path / path).read_text(encoding="utf-8").splitlines()[0] for path in paths]
    assert len(set(headers)) == 1
    assert headers[0].startswith('"_id","phoneNumber","zip",')
    read = duckdb.read_csv(paths, all_varchar=True).project("#1, #2, #3")
    assert read.fetchall() == [
        ("cc-1-0", "+1", None),
        ("cc-1-1", "+2", None),
        ("cc-2-0", "+3", "00123"),
        ("cc-4-0", "+4", "9"),
    ]


def test_a_value_that_does_not_fit_fails_the_task_at_once_and_names_the_column(bench: Bench, tmp_path: Path) -> None:
    land_all(bench, tmp_path, file_format="parquet")
    before = bench.objects()
    bench.kore.add_list(LIST, contacts=[{"_id": "cc-9", "score": 1.5}])
    given = {"contact_list_id": LIST, "max_shrink": 1, "snapshot_date": "2025-03-09", "file_format": "parquet"}
    with pytest.raises(AirflowFailException, match=r"'score' is int64 and has double now.*on_schema_change"):
        bench.run(bench.context("scheduled__9"), **given)
    assert [key for key in bench.objects() if "_staging" not in key] == before
    result = bench.run(bench.context("scheduled__9"), **given, on_schema_change="text")
    assert bench.manifest(result)["schema"]["changes"] == [
        {"column": "score", "change": "text", "from": "int64", "to": "string"}
    ]
