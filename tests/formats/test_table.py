"""A table over days: columns keep order and type, no value is lost, and an engine reads all days as they were written.

Days are random: fields come late, stay away, are null for a day, and change their kinds of values.
"""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import dataset, parquet

from airflow_provider_kore.exceptions import ParameterError, SchemaChangedError
from airflow_provider_kore.formats import FORMATS, MAX_COLUMNS, ColumnSet, Table
from airflow_provider_kore.formats.columns import id_of, text_of
from airflow_provider_kore.formats.sameness import loosely
from airflow_provider_kore.json_text import cells
from airflow_provider_kore.json_text import members as json_members

if TYPE_CHECKING:
    from collections.abc import Sequence

LINES = ("d e", "d\ne", "d\r\ne_")
FIELDS = ("a", "A", "_ID", "select", *LINES, '"', "\u00e9", "e\u0301", "x" * 200, "", "a.b", "createdAt")
"""Odd ones among them: alike but for capitals, accents or line breaks, words of SQL, and no name at all."""
VALUES = {
    "null": ["null"],
    "boolean": ["true", "false"],
    "small": ["0", "17", "-3", "-0", str(2**53)],
    "large": [str(2**53 + 1), str(-(2**63)), str(2**63 - 1)],
    "fraction": ["1.5", "-0.25", "-0.0", "1e22", "5e-324", "9007199254740993.0"],
    "long": [str(2**70), str(2**63), "1e400", "1e-400", "0.1000000000000000000001"],
    "text": ['"n/a"', '"NaN"', '""', '"x, \\"y\\""', '"two\\nlines"', '"1"', '"\\\\n"', '"\\u0000"'],
    "time": ['"2026-01-02T03:04:05.678Z"', '"2026-01-02T03:04:05+05:30"'],
    "nested": ['{"k": [1, 2.50]}', "[]", "[null]"],
}

kinds = st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=2)


@st.composite
def days(draw: st.DrawFn) -> list[list[str]]:
    """Return the rows of some days."""
    found, number = [], 0
    for _ in range(draw(st.integers(2, 4))):
        fields = draw(st.lists(st.sampled_from(FIELDS), unique=True, max_size=4))
        kinds_of_day = {name: draw(kinds) for name in fields}
        rows = []
        for _ in range(draw(st.integers(0, 3))):
            members = [f'"_id": "{number:04d}"']
            for name in fields:
                if draw(st.booleans()):
                    value = draw(st.sampled_from(VALUES[draw(st.sampled_from(kinds_of_day[name]))]))
                    members.append(f"{json.dumps(name)}: {value}")
            rows.append("{" + ", ".join(members) + "}")
            number += 1
        found.append(rows)
    return found


def seen_in(rows: Sequence[str], table: Table) -> ColumnSet:
    found = ColumnSet(times=table.times)
    for row in rows:
        found.add(row)
    return found


def landed(name: str, on_change: str, given: Sequence[Sequence[str]], folder: Path) -> list[tuple[Path, Any, Any]]:
    """Land each day on the table of the days before, as a snapshot does; return the files with rows and columns."""
    known: dict[str, str | None] = {}
    found = []
    for number, rows in enumerate(given):
        table = Table(columns=known, typed=FORMATS[name].has_types, on_change=on_change)
        try:
            columns = table.settle(seen_in(rows, table))
        except SchemaChangedError:
            assert on_change != "text"
            continue
        path = folder / f"{number}.{name}"
        with path.open("wb") as file:
            written = FORMATS[name].write(rows, file, compression="none", columns=columns)
        now = dict(zip(columns.keys(), (each.type for each in written.columns), strict=True))
        assert list(now)[: len(known)] == list(known), "a column has moved"
        for field, type_ in known.items():
            if FORMATS[name].has_types and now[field] != type_:
                assert now[field] == "string", "a column was narrowed"
                assert on_change == "text" or type_ == "json"
        known = dict(now) if FORMATS[name].has_types else dict.fromkeys(now)
        found.append((path, rows, now))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("on_change", ["widen", "fail", "text"])
@settings(max_examples=60, deadline=None)
@given(given_days=days())
def test_parquet_keeps_order_types_and_values_over_days(on_change: str, given_days: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = landed("parquet", on_change, given_days, Path(folder))
        for path, rows, types in files:
            with path.open("rb") as file:
                back = [row for _, row in FORMATS["parquet"].read_rows(file, compression="none")]
            for row, again in zip(rows, back, strict=True):
                was, now = cells(row), cells(again)
                assert {name for name, cell in was.items() if cell is not None} == set(now)
                for field, cell in now.items():
                    assert loosely(str(text_of(cell))) == loosely(str(text_of(was[field]))), types[field]
            check_arrow_reads_what_was_sent(path, rows, types)
        if on_change != "text":
            check_duckdb_reads_as_one_table([path for path, *_ in files])


def check_arrow_reads_what_was_sent(path: Path, rows: Sequence[str], types: dict[str, str]) -> None:
    columns = [column.to_pylist() for column in parquet.read_table(path).columns]
    for row, read in zip(rows, zip(*columns, strict=True), strict=True):
        sent = json.loads(row, parse_int=str, parse_float=str)
        raw = dict(json_members(row))
        for (field, type_), value in zip(types.items(), read, strict=True):
            if sent.get(field) is None:
                assert value is None
            elif type_ in {"int64", "double"}:
                assert repr(value) == repr(int(raw[field]) if type_ == "int64" else float(raw[field]))
            elif type_ == "boolean":
                assert value is sent[field]
            elif type_ in {"string", "json"}:
                assert value == (sent[field] if raw[field].startswith('"') else raw[field])


def check_duckdb_reads_as_one_table(paths: Sequence[Path]) -> None:
    """Without union_by_name, and without a change of any value by a cast to the first file's types."""
    if not paths:
        return
    first = duckdb.read_parquet(str(paths[0]))
    names = ", ".join(f"#{number + 1}" for number in range(len(first.columns)))
    apart = []
    for path in paths:
        one = duckdb.read_parquet(str(path)).project(names)
        assert one.types == first.types
        apart += one.fetchall()
    together = duckdb.read_parquet([str(path) for path in paths])
    assert sorted(map(repr, together.fetchall())) == sorted(map(repr, apart))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(given_days=days())
def test_csv_is_read_right_by_position_over_days(given_days: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = landed("csv", "widen", given_days, Path(folder))
        assert len(files) == len(given_days), "csv has no types that could change"
        names = list(files[-1][2])
        columns = ", ".join(f"'{number}': 'VARCHAR'" for number in range(len(names)))
        options = "header = true, auto_detect = false, null_padding = true, allow_quoted_nulls = false"
        dialect = "delim = ',', quote = '\"', escape = '\"', new_line = '\\r\\n'"
        paths = [str(path) for path, *_ in files]
        read = duckdb.sql(  # by position, so by names of its own
            f"SELECT * FROM read_csv({paths}, columns = {{{columns}}}, {options}, {dialect}, parallel = false)"  # noqa: S608
        )
        wanted = []
        for _, rows, _ in files:
            for row in rows:
                found = cells(row)
                wanted.append(tuple(None if found.get(name) is None else text_of(found[name]) for name in names))
        assert sorted(map(repr, read.fetchall())) == sorted(repr(tuple(map(_plain, row))) for row in wanted)


def _plain(value: object) -> object:
    return None if value is None else str.__str__(str(value))


def test_the_examples_of_the_documentation() -> None:
    table = Table(columns={"_id": "string", "score": "int64", "tags": "json", "seen": "boolean"}, typed=True)
    rows = ['{"_id": "1", "new": 1.5, "tags": "none", "score": null}']
    settled = table.settle(seen_in(rows, table))
    assert settled.columns() == (
        ("_id", "string"),
        ("score", "int64"),
        ("tags", "string"),
        ("seen", "boolean"),
        ("new", "double"),
    )
    assert table.settle(seen_in([], table)).columns()[1:3] == (("score", "int64"), ("tags", "json"))


@pytest.mark.parametrize(
    ("type_", "value", "now"),
    [
        ("int64", "1.5", "double"),
        ("int64", '"n/a"', "string"),
        ("double", str(2**53 + 1), "int64"),
        ("double", "true", "boolean"),
        ("boolean", "1", "int64"),
        ("json", "17", "int64"),
        ("timestamp[ms, UTC]", '"yesterday"', "string"),
        ("int64", "[1]", "json"),
    ],
)
def test_what_does_not_fit_fails_by_name_or_becomes_text(type_: str, value: str, now: str) -> None:
    rows = [f'{{"_id": "1", "score": {value}}}']
    refusing = Table(columns={"_id": "string", "score": type_}, typed=True, on_change="fail")
    with pytest.raises(
        SchemaChangedError, match=rf"'score' is .*{type_[:4]}.* and has {now} now.*on_schema_change"
    ) as found:
        refusing.check(seen_in(rows, refusing))
    assert (
        value.strip('"') not in str(found.value).replace("'score'", "").replace(type_, "").replace(now, "")
        or len(value) < 3
    )
    text = Table(columns={"_id": "string", "score": type_}, typed=True, on_change="text")
    settled = text.settle(seen_in(rows, text))
    assert dict(settled.columns())["score"] == "string"
    stream = io.BytesIO()
    FORMATS["parquet"].write(rows, stream, compression="none", columns=settled)
    after = Table(columns=dict(settled.columns()), typed=True, on_change="fail")
    assert dict(after.settle(seen_in(['{"_id": "2", "score": 5}'], after)).columns())["score"] == "string"


@pytest.mark.parametrize(
    ("was", "now"), [(pa.int64(), pa.float64()), (pa.int64(), pa.string()), (pa.bool_(), pa.string())]
)
def test_what_widen_does_not_do_is_what_engines_read_wrongly_or_not_at_all(
    was: pa.DataType, now: pa.DataType, tmp_path: Path
) -> None:
    """The reason for what ``widen`` is; if this fails, an engine has learnt something, and ``widen`` may, too."""
    values = {pa.int64(): [17], pa.bool_(): [True], pa.float64(): [1.5], pa.string(): ["n/a"]}
    for number, type_ in enumerate((was, now)):
        parquet.write_table(pa.table({"x": pa.array(values[type_], type_)}), tmp_path / f"{number}.parquet")
    with pytest.raises(pa.ArrowInvalid):
        dataset.dataset(tmp_path).to_table()
    if now == pa.float64():
        read = duckdb.read_parquet(f"{tmp_path}/*.parquet").fetchall()
        assert read == [(17,), (2,)], "1.5 is read as 2, without a word"
    else:
        with pytest.raises(duckdb.Error):
            duckdb.read_parquet(f"{tmp_path}/*.parquet").fetchall()


def test_only_json_widens_by_itself() -> None:
    """To text, as which it is stored already; what else looks wider is read wrongly, or not at all, with older days."""
    for type_, value in [("int64", "1.5"), ("double", '"x"'), ("boolean", '"x"'), ("int64", '"x"')]:
        table = Table(columns={"x": type_}, typed=True)
        with pytest.raises(SchemaChangedError):
            table.check(seen_in([f'{{"_id": "1", "x": {value}}}'], table))
    table = Table(columns={"x": "json"}, typed=True)
    table.check(seen_in(['{"_id": "1", "x": "text"}'], table))


def test_a_message_names_few_columns_and_counts_the_others() -> None:
    names = [f"x{number}\n" for number in range(200)]
    table = Table(columns=dict.fromkeys(names, "int64"), typed=True)
    row = json.dumps({"_id": "1", **dict.fromkeys(names, "secret")})
    with pytest.raises(SchemaChangedError, match=r"195 more") as found:
        table.check(seen_in([row], table))
    assert "secret" not in str(found.value)
    assert "\n" not in str(found.value)


def test_the_authors_columns_come_first_then_the_tables_then_what_is_new() -> None:
    table = Table(
        columns={"_id": "string", "a": "int64", "b": "string"},
        fixed={"z": "double", "b": None, "at": "timestamp[ms, UTC]"},
        typed=True,
    )
    rows = ['{"_id": "1", "new": true, "a": 1, "at": "2026-01-02T03:04:05Z"}']
    assert table.settle(seen_in(rows, table)).columns() == (
        ("_id", "string"),
        ("z", "double"),
        ("b", "string"),
        ("at", "timestamp[ms, UTC]"),
        ("a", "int64"),
        ("new", "boolean"),
    )


def test_a_timestamp_that_the_author_wanted_stays_one() -> None:
    table = Table(columns={"_id": "string", "at": "timestamp[ms, UTC]"}, typed=True)
    table.check(seen_in(['{"_id": "1", "at": "2026-01-02T03:04:05Z"}'], table))
    assert dict(ColumnSet.of(['{"_id": "1", "at": "2026-01-02T03:04:05Z"}']).columns())["at"] == "string"


def test_too_many_columns_of_two_days_are_refused_with_what_to_do() -> None:
    row = json.dumps({"_id": "1", **{f"new {number}": 1 for number in range(1_000)}})
    for file_format in ("csv", "parquet"):
        table = Table(
            columns={f"old {number}": "int64" for number in range(1_000)}, typed=FORMATS[file_format].has_types
        )
        with pytest.raises(ParameterError, match=r"had \(1,000\).*\(1,001\).*fields=.*another s3_prefix"):
            table.check(seen_in([row], table))
    most = Table(columns={f"old {number}": None for number in range(MAX_COLUMNS - 1)})
    assert len(most.settle(ColumnSet.of(['{"_id": "1"}']))) == MAX_COLUMNS


def test_columns_without_a_table_are_what_the_rows_have() -> None:
    rows = ['{"a": 1, "_id": "1"}', '{"_id": "2", "b": "x"}']
    assert Table(typed=True).settle(ColumnSet.of(rows)).columns() == ColumnSet.of(rows).columns()
    assert id_of(cells(rows[0])) == "1"
