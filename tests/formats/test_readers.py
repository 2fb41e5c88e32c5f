"""What lands is read as one partitioned table by those who read such tables."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_kore.formats import FORMATS, ColumnSet, FormatChoice, parse_format
from airflow_provider_kore.formats.row_groups import ROWS_PER_GROUP

if TYPE_CHECKING:
    from pathlib import Path

CHOICES = [FormatChoice(each, compression) for each in FORMATS.values() for compression in each.compressions]
every_choice = pytest.mark.parametrize(
    "choice", CHOICES, ids=[f"{each.format.name}-{each.compression}" for each in CHOICES]
)
SCAN = {
    "jsonl": "read_json('{}', hive_partitioning=true, union_by_name=true, columns={{_id: 'VARCHAR', phoneNumber: "
    "'VARCHAR', \" Priority\": 'VARCHAR', region: 'VARCHAR', createdAt: 'TIMESTAMPTZ'}})",
    "csv": "read_csv('{}', hive_partitioning=true, union_by_name=true, all_varchar=true, allow_quoted_nulls=false)",
    "parquet": "read_parquet('{}', hive_partitioning=true, union_by_name=true)",
}
DAYS = {
    ("cl-1", "2025-01-01"): [
        '{"_id":"cc-1","phoneNumber":"0151","createdAt":"2025-01-01T04:28:44.832Z"," Priority":"1"}',
        '{"_id":"cc-2","phoneNumber":"0152","createdAt":"2025-01-01T04:28:44Z"}',
    ],
    ("cl-1", "2025-01-02"): ['{"_id":"cc-1","phoneNumber":"0151","createdAt":"2025-01-01T04:28:44.832Z"}'],
    ("cl-2", "2025-01-02"): [
        '{"_id":"cc-3","phoneNumber":"","createdAt":"2025-01-02T00:00:00Z","region":"Süd, \\"links\\"\\nunten"}',
        '{"region":null,"_id":"cc-4","phoneNumber":null,"createdAt":null}',
    ],
    ("cl-2", "2025-01-03"): [],
}


def land(folder: Path, choice: FormatChoice) -> Path:
    for (contact_list, day), rows in DAYS.items():
        partition = folder / f"contact_list_id={contact_list}" / f"snapshot_date={day}"
        partition.mkdir(parents=True)
        with (partition / f"contacts{choice.suffix}").open("wb") as file:
            choice.format.write(rows, file, compression=choice.compression, columns=ColumnSet.of(rows))
        (partition / "_manifest.json").write_text("{}")
    return folder


@every_choice
def test_duckdb_reads_lists_and_days_as_one_table(choice: FormatChoice, tmp_path: Path) -> None:
    land(tmp_path, choice)
    priority = '"Priority"' if choice.format.name == "csv" else '" Priority"'  # DuckDB trims names in CSV
    scan = SCAN[choice.format.name].format(f"{tmp_path}/*/*/contacts*")
    database = duckdb.connect()
    database.sql("SET TimeZone = 'UTC'")
    table = database.sql(
        f'SELECT contact_list_id, snapshot_date, _id, "phoneNumber", {priority}, region, '  # noqa: S608
        f'CAST("createdAt" AS TIMESTAMPTZ)::VARCHAR FROM {scan} ORDER BY ALL'
    )
    found = table.fetchall()
    first, second, third = date(2025, 1, 1), date(2025, 1, 2), "2025-01-02 00:00:00+00"
    assert found == [
        ("cl-1", first, "cc-1", "0151", "1", None, "2025-01-01 04:28:44.832+00"),
        ("cl-1", first, "cc-2", "0152", None, None, "2025-01-01 04:28:44+00"),
        ("cl-1", second, "cc-1", "0151", None, None, "2025-01-01 04:28:44.832+00"),
        ("cl-2", second, "cc-3", "", None, 'Süd, "links"\nunten', third),
        ("cl-2", second, "cc-4", None, None, None, None),
    ]


@pytest.mark.parametrize("compression", FORMATS["parquet"].compressions)
def test_pyarrow_reads_lists_and_days_as_one_table(compression: str, tmp_path: Path) -> None:
    land(tmp_path, parse_format("parquet", compression))
    paths = [str(path) for path in sorted(tmp_path.rglob("*.parquet"))]
    # An empty day knows no columns but the id; the schema is that of all files together.
    schema = pa.unify_schemas([pq.read_schema(path) for path in paths])
    for partition in ("contact_list_id", "snapshot_date"):
        schema = schema.append(pa.field(partition, pa.string()))
    table = ds.dataset(paths, schema=schema, partitioning="hive").to_table().to_pylist()
    assert [(row["contact_list_id"], row["snapshot_date"], row["_id"]) for row in table] == [
        ("cl-1", "2025-01-01", "cc-1"),
        ("cl-1", "2025-01-01", "cc-2"),
        ("cl-1", "2025-01-02", "cc-1"),
        ("cl-2", "2025-01-02", "cc-3"),
        ("cl-2", "2025-01-02", "cc-4"),
    ]
    assert table[0]["createdAt"] == datetime(2025, 1, 1, 4, 28, 44, 832_000, tzinfo=UTC)


def parquet(rows: list[str], compression: str = "snappy") -> pa.Table:
    file = io.BytesIO()
    FORMATS["parquet"].write(rows, file, compression=compression, columns=ColumnSet.of(rows))
    file.seek(0)
    return pq.read_table(file)


def csv_rows(rows: list[str]) -> list[dict[str, str]]:
    file = io.BytesIO()
    FORMATS["csv"].write(rows, file, compression="none", columns=ColumnSet.of(rows))
    return list(csv.DictReader(io.StringIO(file.getvalue().decode(), newline=""), strict=True))


def test_csv_quotes_strings_and_only_strings() -> None:
    file = io.BytesIO()
    rows = [
        '{"_id":"cc-1","a":"","b":null,"c":"1","d":1.10,"e":true,"f":{"g":"h"}}',
        '{"_id":"cc-2","c":"x\\"\\r\\ny"}',
    ]
    FORMATS["csv"].write(rows, file, compression="none", columns=ColumnSet.of(rows))
    assert file.getvalue() == (
        b'"_id","a","b","c","d","e","f"\r\n'
        b'"cc-1","",,"1",1.10,true,"{""g"":""h""}"\r\n'
        b'"cc-2",,,"x""\r\ny",,,\r\n'
    )  # fmt: skip


def test_one_schema_however_sparse_the_columns_are() -> None:
    rows = [f'{{"_id": "cc-{number}"}}' for number in range(2 * ROWS_PER_GROUP)] + ['{"_id": "last", "late": 7}']
    table = parquet(rows)
    assert table.schema.names == ["_id", "late"]
    assert table.schema.field("late").type == pa.int64()
    assert table["late"].null_count == 2 * ROWS_PER_GROUP
    assert table.slice(2 * ROWS_PER_GROUP).to_pylist() == [{"_id": "last", "late": 7}]


def test_parquet_types_what_it_can_and_keeps_the_rest_as_text() -> None:
    rows = [
        '{"_id":"cc-1","updatedAt":"2025-12-09T04:28:44.832Z","n":1,"f":0.5,"b":true,"x":{"a": [1,2.50]},"m":"x"}',
        '{"_id":"cc-2","updatedAt":"2025-12-09T04:28:44+01:00","n":-5,"f":3,"b":null,"x":[],"m":17,"big":1e400}',
        '{"_id":"cc-3","m":false,"big":123456789012345678901234567890,"s":"\\ud800 é"}',
    ]
    table = parquet(rows)
    assert {field.name: str(field.type) for field in table.schema} == {
        "_id": "string",
        "updatedAt": "timestamp[ms, tz=UTC]",
        "n": "int64",
        "f": "double",
        "b": "bool",
        "x": "string",
        "m": "string",
        "big": "string",
        "s": "string",
    }
    assert table["x"].to_pylist() == ['{"a": [1,2.50]}', "[]", None]
    assert table["m"].to_pylist() == ["x", "17", "false"]
    assert table["big"].to_pylist() == [None, "1e400", "123456789012345678901234567890"]
    assert table["s"].to_pylist() == [None, None, "\\ud800 é"]
    assert table["updatedAt"][1].as_py() == datetime(2025, 12, 9, 3, 28, 44, tzinfo=UTC)


READ_BY_DUCKDB = {  # it trims names in CSV, and numbers those that differ in case only
    "csv": ["_id", "Priority", 'quo"te', "a b", "a b_", "A", "a_1", "column07", "select", "a.b", "snapshot_date"],
    "parquet": ["_id", " Priority", 'quo"te', "a\nb", "a b", "A", "a_1", "C7", "select", "a.b", "snapshot_date"],
}


def test_hostile_names_are_read_by_everyone(tmp_path: Path) -> None:
    names = ["_id", " Priority", 'quo"te', "a\nb", "a b", "A", "a", "", "select", "a.b", "snapshot_date"]
    rows = [json.dumps({name: f"value of {number}" for number, name in enumerate(names)})]
    assert list(csv_rows(rows)[0]) == [{"a\nb": "a b", "a b": "a b_"}.get(name, name) for name in names]
    assert parquet(rows).schema.names == names
    for file_format in ("csv", "parquet"):
        choice = parse_format(file_format, "none")
        path = tmp_path / f"contacts{choice.suffix}"
        with path.open("wb") as file:
            choice.format.write(rows, file, compression="none", columns=ColumnSet.of(rows))
        found = duckdb.connect().sql(f"SELECT * FROM '{path}'")  # noqa: S608
        assert found.fetchall() == [tuple(f"value of {number}" for number in range(len(names)))]
        assert found.columns == READ_BY_DUCKDB[file_format]


text = st.text(max_size=8) | st.text('",\r\n\\ \u2028', max_size=4)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.decimals(-9, 9, places=25)
cells = st.none() | st.booleans() | numbers | text | st.lists(st.integers() | text, max_size=2)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.fixed_dictionaries({}, optional={"a": cells, " b": cells, "createdAt": text}), min_size=1, max_size=4)
)
def test_no_value_is_lost_in_a_table(contacts: list[dict[str, object]]) -> None:
    def raw(value: object) -> str:
        return format(value, "f") if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)

    rows = [
        "{" + ", ".join(f'"{key}": {raw(value)}' for key, value in {"_id": f"cc-{number}", **contact}.items()) + "}"
        for number, contact in enumerate(contacts)
    ]
    typed, flat = parquet(rows).to_pylist(), csv_rows(rows)
    for contact, typed_row, flat_row in zip(contacts, typed, flat, strict=True):
        for key, value in contact.items():
            expected = None if value is None else value if isinstance(value, str) else raw(value)
            assert flat_row[key] == (expected or "")
            found = typed_row[key]
            if isinstance(found, str) or found is None:
                assert found == expected
            elif isinstance(found, bool):
                assert found is value
            else:
                assert Decimal(repr(found)) == Decimal(raw(value))
