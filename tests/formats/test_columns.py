"""Columns: found once, merged by chunk, typed only where nothing is lost."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.formats import ColumnSet
from airflow_provider_kore.formats.columns import MAX_COLUMNS, milliseconds

TYPES = {
    "only null": (["null", "null"], "string"),
    "strings": (['"a"', "null", '""'], "string"),
    "booleans": (["true", "null", "false"], "boolean"),
    "integers": (["1", "-9223372036854775808", "9223372036854775807", "null"], "int64"),
    "an integer too long": (["1", "9223372036854775808"], "string"),
    "an integer far too long": (["1", "1" * 5_000], "string"),
    "fractions": (["1.5", "-0.1", "1e300", "2E-5", "0.0"], "double"),
    "fractions and small integers": (["1.5", "9007199254740992"], "double"),
    "fractions and integers a double rounds": (["1.5", "9007199254740993"], "string"),
    "a fraction a double rounds": (["1.5", "0.1000000000000000055511151231257827"], "string"),
    "a fraction beyond a double": (["1e999"], "string"),
    "a fraction below a double": (["1e-999"], "string"),
    "an exponent beyond everything": (["1e-99999999999999999999"], "string"),
    "nested": (['{"a": 1}', "[1]", "null"], "json"),
    "nested and strings": (['{"a": 1}', '"x"'], "string"),
    "numbers and strings": (["1", '"1"'], "string"),
    "booleans and numbers": (["true", "1"], "string"),
    "what looks like a time": (['"2025-12-09T04:28:44.832Z"'], "string"),
}
TIMES = {
    "2025-12-09T04:28:44.832Z": 1765254524832,
    "2025-12-09T04:28:44Z": 1765254524000,
    "2025-12-09T04:28:44.8Z": 1765254524800,
    "2025-12-09T04:28:44.832000Z": 1765254524832,
    "2025-12-09T09:58:44.832+05:30": 1765254524832,
    "1969-12-31T23:59:59.999Z": -1,
    "2025-12-09T04:28:44.8321Z": None,
    "2025-12-09T04:28:44.832": None,
    "2025-12-09": None,
    "2025-13-09T04:28:44Z": None,
    "2025-12-09 04:28:44Z": None,
    "٢٠٢٥-12-09T04:28:44Z": None,
    "": None,
    "1765254524832": None,
}


def type_of(name: str, values: list[str]) -> str:
    found = ColumnSet.of(f'{{"_id": "cc-1", "{name}": {value}}}' for value in values)
    return dict(found.columns())[name]


@pytest.mark.parametrize("case", TYPES)
def test_a_column_is_typed_if_all_its_values_fit_exactly(case: str) -> None:
    values, expected = TYPES[case]
    assert type_of("custom", values) == expected
    assert type_of("custom", values[::-1]) == expected


@pytest.mark.parametrize("text", TIMES)
@pytest.mark.parametrize("name", ["createdAt", "updatedAt"])
def test_documented_times_are_typed_if_every_value_is_one(name: str, text: str) -> None:
    assert milliseconds(text) == TIMES[text]
    quoted = json.dumps(text)
    assert type_of(name, [quoted, "null"]) == ("string" if TIMES[text] is None else "timestamp[ms, UTC]")
    assert type_of(name, [quoted, '"yesterday"']) == "string"
    assert type_of(name, [quoted, "1765254524832"]) == "string"


def test_the_id_is_the_first_column_and_a_string_whatever_it_holds() -> None:
    assert ColumnSet.of(['{"b": 1, "_id": 17, "a": "x"}']).columns() == (
        ("_id", "string"),
        ("b", "int64"),
        ("a", "string"),
    )
    assert ColumnSet().columns() == (("_id", "string"),)


def test_names_stay_as_they_are_unless_they_cannot_be_written() -> None:
    names = [" Priority", "", "a\n", 'q"', "A", "a", "\\ud800", "\ud800"]
    found = [column.name for column in ColumnSet.of([json.dumps(dict.fromkeys(names, 1))]).columns()]
    assert found == ["_id", *names[:-1], "\\ud800_"]


rows = st.lists(
    st.dictionaries(
        st.sampled_from(["_id", "a", "b", " c", "\ud800", "createdAt"]),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.just([1]),
    ).map(lambda row: json.dumps(row).replace("Infinity", "1e999")),
    max_size=6,
)


@settings(deadline=None, max_examples=50)
@given(rows, st.integers(0, 6))
def test_chunks_merge_to_what_one_pass_finds(found: list[str], cut: int) -> None:
    merged = ColumnSet()
    for chunk in (found[:cut], found[cut:]):
        merged.merge(ColumnSet.from_json(json.loads(json.dumps(ColumnSet.of(chunk).to_json()))))
    assert merged == ColumnSet.of(found)
    assert merged.columns() == ColumnSet.of(found).columns()


def test_too_many_columns_are_an_error_that_says_what_to_do() -> None:
    columns = ColumnSet.of(f'{{"f{number}": 1}}' for number in range(MAX_COLUMNS))
    said = r'more than 2,000 different fields.*use "jsonl"'
    with pytest.raises(ParameterError, match=said):
        columns.add('{"one more": 1}')
    with pytest.raises(ParameterError, match=said):
        columns.merge(ColumnSet.of(['{"yet one": 1}']))


def test_a_refused_contact_leaves_a_set_that_can_be_written_and_read_again() -> None:
    columns = ColumnSet()
    with pytest.raises(ParameterError, match="fields="):
        columns.add(json.dumps({f"f{number}": 1 for number in range(MAX_COLUMNS + 1)}))
    assert ColumnSet.from_json(json.loads(json.dumps(columns.to_json()))) == columns
    with pytest.raises(ParameterError, match=r"names of the contacts' fields have more than 262,144 characters"):
        ColumnSet.of([json.dumps({"x" * 1_000_000: 1})])


def test_columns_of_a_checkpoint_of_before_are_read_and_those_of_a_fixed_time_are_kept() -> None:
    row = '{"_id": "1", "at": "2026-01-02T03:04:05Z"}'
    old = ColumnSet.of([row]).to_json()
    del old["times"]
    assert ColumnSet.from_json(old) == ColumnSet.of([row])
    timed = ColumnSet(times=frozenset({"at"}))
    timed.add(row)
    again = ColumnSet.from_json(json.loads(json.dumps(timed.to_json())))
    again.add(row)
    assert again.columns() == timed.columns() == (("_id", "string"), ("at", "timestamp[ms, UTC]"))


def test_a_copy_is_added_to_apart() -> None:
    columns = ColumnSet.of(['{"_id": "1", "a": 1}'])
    copy = columns.copy()
    copy.add('{"_id": "2", "a": "x", "b": 1}')
    assert columns == ColumnSet.of(['{"_id": "1", "a": 1}'])
    assert copy == ColumnSet.of(['{"_id": "1", "a": 1}', '{"_id": "2", "a": "x", "b": 1}'])


def test_without_a_table_any_number_of_names_takes_bounded_memory() -> None:
    columns = ColumnSet(typed=False)
    tracemalloc.start()
    for number in range(100_000):
        columns.add(f'{{"name {number}": 1}}')
    columns.add(json.dumps({"x" * 1_000_000: 1}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert columns.truncated
    assert columns.covers(["never seen"])
    assert len(columns) == MAX_COLUMNS + 1
    assert peak < 5_000_000
    again = ColumnSet.from_json(json.loads(json.dumps(columns.to_json())))
    assert (again, again.truncated, again.typed) == (columns, True, False)
    assert not ColumnSet(typed=False).covers(["a"])


@pytest.mark.parametrize(
    "digits", ["6e1234567890123456789012", "1e999999999", "-1e-999999999", "9" * 5_000, "0." + "1" * 100_000, "-0"]
)
def test_no_number_is_too_large_to_have_a_type(digits: str) -> None:
    found = dict(ColumnSet.of([f'{{"_id": "cc-1", "n": {digits}}}']).columns())
    assert found["n"] == ("int64" if digits == "-0" else "string")


def test_a_repr_shows_no_names() -> None:
    assert repr(ColumnSet.of(['{"Anna Nass": 1}'])) == "<ColumnSet of 2 columns>"
