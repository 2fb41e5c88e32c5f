"""``ddl`` prints a definition that reads every day rightly, or leaves the day out and says so."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_store import MemoryStore

from airflow_provider_kore.exceptions import CorruptSnapshotError, KoreError, ParameterError
from airflow_provider_kore.readers.athena import column_names, create_table, literal
from airflow_provider_kore.readers.table import find_table

LIST = "kore/contact_lists/contact_list_id=cl-81/"
TABLE = "kore/contact_lists/"
KINDS = ("string", "json", "int64", "double", "boolean", "timestamp[ms, UTC]", None)
hostile = st.text(max_size=20) | st.text("aA_ `'\"\\\n\r\0\u202e😀.,;{}$", max_size=12)


def manifest(
    *columns: str | tuple[str, str], file_format: str = "csv", table: bool = False, **members: Any
) -> dict[str, Any]:
    """Return the least that a manifest says, with the columns of its file (``name`` or ``(name, type)``)."""
    told = [
        {"name": each, "type": "string"} if isinstance(each, str) else {"name": each[0], "type": each[1]}
        for each in columns
    ]
    schema = {"schema": {"columns": [{**each, "type": None} for each in told], "changes": [], "from": None}}
    return {
        "schema_version": 1,
        "snapshot_id": "one",
        "consistent": True,
        "run": {"digest": "d"},
        "walk": {"started_at": "2026-01-01T00:00:00+00:00"},
        "file_format": file_format,
        "compression": {"parquet": "snappy"}.get(file_format, "gzip"),
        "files": [{"key": "a", "rows": 1, "columns": told}],
        **(schema if table else {}),
        **members,
    }


def store_of(manifests: dict[str, dict[str, Any] | bytes]) -> MemoryStore:
    """Return a bucket with these manifests, by folder."""
    store = MemoryStore()
    for folder, content in manifests.items():
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        store.put(f"{folder}_manifest.json", body, content_type="application/json")
    return store


def days(**manifests: dict[str, Any] | bytes) -> dict[str, dict[str, Any] | bytes]:
    """Return manifests of one list by folder: ``d1`` is 2026-01-01."""
    return {f"{LIST}snapshot_date=2026-01-{int(day[1:]):02d}/": content for day, content in manifests.items()}


def lists(**manifests: dict[str, Any] | bytes) -> dict[str, dict[str, Any] | bytes]:
    """Return manifests of one day by folder, of a list each."""
    return {
        f"kore/contact_lists/contact_list_id={name}/snapshot_date=2026-01-01/": content
        for name, content in manifests.items()
    }


def columns_in(statement: str) -> dict[str, str]:
    return dict(re.findall(r"^  `([^`]+)` (\w+)", statement.partition("PARTITIONED BY")[0], re.MULTILINE))


def range_in(statement: str) -> str:
    return re.findall(r"'projection.snapshot_date.range' = '([^']+)'", statement)[0]


def test_a_csv_of_another_order_is_left_out_with_all_before_it_and_named() -> None:
    store = store_of(
        days(d1=manifest("_id", "a"), d2=manifest("_id", "b", "a"), d3=manifest("_id"), d4=manifest("_id", "a", "b"))
    )
    table = find_table(store, LIST)
    assert table.notes == (
        "Snapshots up to 2026-01-02 are left out: of that day, column 2 is 'b', and another one later.",
    )
    statement = create_table(table)
    assert range_in(statement) == "2026-01-03,NOW+1DAYS"
    assert list(columns_in(statement)) == ["_id", "a", "b"]


def test_days_that_lack_the_last_columns_are_read_by_position() -> None:
    store = store_of(days(d1=manifest("_id"), d2=manifest("_id", "a"), d3=manifest("_id", "a", "b")))
    table = find_table(store, LIST)
    assert (table.first, table.notes) == ("2026-01-01", ())


def test_a_parquet_column_of_another_type_is_left_out_and_one_that_is_gone_is_kept() -> None:
    number, text = ("n", "int64"), ("n", "string")
    typed = {"file_format": "parquet"}
    store = store_of(
        days(
            d1=manifest("_id", text, **typed),
            d2=manifest("_id", ("old", "json"), ("wide", "json"), number, **typed),
            d3=manifest(
                "_id", "wide", number, ("at", "timestamp[ms, UTC]"), ("yes", "boolean"), ("x", "double"), **typed
            ),
        )
    )
    table = find_table(store, LIST)
    assert table.notes == ("Snapshots up to 2026-01-01 are left out: of that day, column 'n' is string, not int64.",)
    assert columns_in(create_table(table)) == {
        "_id": "string", "wide": "string", "n": "bigint",
        "at": "timestamp", "yes": "boolean", "x": "double", "old": "string",
    }  # fmt: skip


def test_a_name_that_hive_cannot_find_in_parquet_is_told() -> None:
    table = find_table(store_of(days(d1=manifest("_id", "a b", "c", "d\u202e;", file_format="parquet"))), LIST)
    (note,) = table.notes
    assert "a column called 'a b', 'd\\\\u202e;':" in note
    assert table.by_position
    assert "'parquet.column.index.access' = 'true'" in create_table(table)


def test_a_left_out_day_adds_no_column_nor_does_one_that_has_no_name_of_its_own() -> None:
    typed = {"file_format": "parquet"}
    store = store_of(
        days(
            d1=manifest("_id", "old", ("n", "double"), **typed),
            d2=manifest("_id", ("n", "int64"), **typed),
        )
    )
    assert list(columns_in(create_table(find_table(store, LIST)))) == ["_id", "n"]
    store = store_of(days(d1=manifest("_id", "Region", **typed), d2=manifest("_id", "region", **typed)))
    (note,) = find_table(store, LIST).notes
    assert "2026-01-01 are left out: of that day, column 'Region', or one after it, cannot be found by its name" in note


def test_a_folder_of_no_day_is_passed_over_and_a_day_of_other_files_is_left_out_unread() -> None:
    newest = manifest("_id", table=True, file_format="jsonl")
    store = MemoryStore()
    for day, suffix in (("2026-01-01", "csv.gz"), ("2026-01-02", "jsonl.gz"), ("2026-13-45", "jsonl.gz")):
        folder = f"{LIST}snapshot_date={day}/"
        body = json.dumps(newest).encode() if day == "2026-01-02" else b"unread"
        store.put(f"{folder}_manifest.json", body, content_type="application/json")
        store.put(f"{folder}contacts.{suffix}", b"", content_type="text/plain")
    for twice in ("snapshot_date=x/", "part=1/part=2/"):  # no table has a key twice
        store.put(f"{LIST}{twice}snapshot_date=2026-01-03/_manifest.json", b"unread", content_type="application/json")
    found = find_table(store, LIST)
    assert found.first == "2026-01-02"
    assert found.notes == ("Snapshots up to 2026-01-01 are left out: of that day, the format is csv.",)


@pytest.mark.parametrize("older", [manifest("_id", file_format="jsonl"), b"no manifest", b"{}"], ids=repr)
def test_a_day_of_another_format_or_that_cannot_be_read_is_left_out(older: dict[str, Any] | bytes) -> None:
    table = find_table(store_of(days(d1=older, d2=manifest("_id"))), LIST)
    assert table.first == "2026-01-02"
    assert len(table.notes) == 1


def test_jsonl_is_read_by_name_and_only_the_newest_manifest_is_needed_where_it_says_the_table() -> None:
    text = {"file_format": "jsonl"}
    newest = manifest("_id", "phoneNumber", "Region", "region", "a.b", table=True, **text)
    store = store_of(days(d1=b"no manifest", d2=newest))
    statement = create_table(find_table(store, LIST))
    assert range_in(statement) == "2026-01-01,NOW+1DAYS"
    assert list(columns_in(statement)) == ["_id", "phonenumber", "region", "region_2", "a_b"]
    assert dict(re.findall(r"'mapping\.(\w+)' = '([^']+)'", statement)) == {
        "phonenumber": "phoneNumber", "region": "Region", "region_2": "region", "a_b": "a.b",
    }  # fmt: skip
    assert "'case.insensitive' = 'false'" in statement
    before = store_of(days(d1=manifest("_id", "gone", **text), d2=manifest("_id", **text)))
    assert list(columns_in(create_table(find_table(before, LIST)))) == ["_id", "gone"]


def test_a_table_of_many_lists_asks_for_the_list_in_each_query() -> None:
    manifests = {name: manifest("_id", name, file_format="parquet") for name in ("a", "b")}
    statement = create_table(find_table(store_of(lists(**manifests)), TABLE))
    assert columns_in(statement) == {"_id": "string", "a": "string", "b": "string"}
    assert "'projection.contact_list_id.type' = 'injected'" in statement
    assert range_in(statement) == "2026-01-01,NOW+1DAYS"
    template = "s3://memory/kore/contact_lists/contact_list_id=${contact_list_id}/snapshot_date=${snapshot_date}/"
    assert f"'storage.location.template' = '{template}'" in statement


ONE_DAY = days(d1=manifest("_id"))
TYPES = {kind: manifest("_id", ("n", kind), file_format="parquet") for kind in ("int64", "double")}
SPACED = {name[0]: manifest("_id", name, file_format="parquet") for name in ("a b", "b")}


def test_every_partition_key_above_the_date_is_asked_for() -> None:
    folder = "kore/campaigns/stream_id=st-1/campaign_type=voice/snapshot_date=2026-01-01/"
    statement = create_table(find_table(store_of({folder: manifest("_id", "name")}), "kore/campaigns/"))
    assert re.findall(r"'projection\.(\w+)\.type' = '(\w+)'", statement) == [
        ("stream_id", "injected"), ("campaign_type", "injected"), ("snapshot_date", "date"),
    ]  # fmt: skip
    assert "  `stream_id` string,\n  `campaign_type` string,\n  `snapshot_date` string\n)" in statement


@pytest.mark.parametrize(
    ("prefix", "manifests", "said"),
    [
        ("kore/", {}, "holds no snapshot"),
        ("", ONE_DAY, f"name the table: s3://memory/{TABLE}"),
        (
            TABLE,
            {**ONE_DAY, **lists(b=manifest("_id"))},
            f"name one list, such as s3://memory/{TABLE}contact_list_id=b/",
        ),
        (TABLE, {**ONE_DAY, f"{TABLE}snapshot_date=2026-01-01/": manifest("_id")}, "different partitions"),
        (f"{LIST}snapshot_date=2026-01-01/", ONE_DAY, "name the folder that holds snapshot_date="),
        (TABLE, lists(**TYPES), "contact_list_id=int64/, column 'n' is int64, not double"),
        (TABLE, lists(**SPACED), "which can only be told by their position; name one list"),
    ],
    ids=["nothing", "above", "csv of two", "mixed", "below", "types", "names"],
)
def test_what_is_no_one_table_is_refused_and_the_table_is_named(
    prefix: str, manifests: dict[str, dict[str, Any] | bytes], said: str
) -> None:
    with pytest.raises(ParameterError, match=re.escape(said)):
        find_table(store_of(manifests), prefix)


@pytest.mark.parametrize(
    "newest",
    [b"no manifest", b"[" * 100_000, manifest(), manifest("_id", "_id"), manifest("_id", schema={"columns": 7})],
    ids=["no JSON", "nested", "no columns", "a column twice", "an impossible schema"],
)
def test_a_newest_manifest_that_says_no_columns_is_an_error(newest: dict[str, Any] | bytes) -> None:
    with pytest.raises(CorruptSnapshotError):
        find_table(store_of(days(d1=manifest("_id"), d2=newest)), LIST)


def test_a_day_that_is_not_yet_in_the_range_is_told() -> None:
    store = store_of(days(d1=manifest("_id"), d3=manifest("_id")))
    assert find_table(store, LIST, today=date(2026, 1, 2)).notes == ()
    assert find_table(store, LIST, today=date(2026, 1, 1)).notes == (
        "The snapshot of 2026-01-03 is later than tomorrow, and seen only when that day has come.",
    )


def test_no_more_manifests_are_read_than_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_kore.readers.table.MOST_MANIFESTS", 2)
    found = find_table(store_of(days(**{f"d{day}": manifest("_id") for day in range(1, 6)})), LIST)
    assert (found.first, len(found.notes)) == ("2026-01-03", 1)
    with pytest.raises(ParameterError, match="holds 3 lists"):
        find_table(store_of(lists(a=manifest("_id"), b=manifest("_id"), c=manifest("_id"))), TABLE)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from([*manifest("_id"), "schema", "columns_truncated"]), json_values, max_size=3),
    st.lists(json_values | st.fixed_dictionaries({"name": hostile, "type": st.sampled_from(KINDS)}), max_size=3),
    st.booleans(),
)
def test_whatever_stands_in_a_manifest_is_a_definition_or_our_own_error(
    members: dict[str, Any], columns: list[Any], older: bool
) -> None:
    hostile_one = {**manifest("_id", file_format="parquet"), **members}
    hostile_one["files"] = [{"key": "a", "rows": 0, "columns": [{"name": "_id", "type": "string"}, *columns]}]
    both = (hostile_one, manifest("_id", file_format="parquet"))
    store = store_of(days(d1=both[not older], d2=both[older]))
    try:
        said = create_table(find_table(store, LIST)).replace("\n", "")
    except KoreError as err:
        said = str(err)
    assert said.isprintable()


def test_more_columns_than_a_statement_holds_are_refused() -> None:
    store = store_of(days(d1=manifest("_id", *(f"{number:0200d}" for number in range(1_300)))))
    with pytest.raises(ParameterError, match="and Athena takes 262,144"):
        create_table(find_table(store, LIST))


@pytest.mark.parametrize("name", ["", "a b", "x`; DROP TABLE y", "Ä", "a" * 256])
def test_a_name_that_athena_does_not_take_is_refused(name: str) -> None:
    table = find_table(store_of(days(d1=manifest("_id"))), LIST)
    for names in ({"name": name}, {"database": name}):
        with pytest.raises(ParameterError, match="is no name that Athena takes"):
            create_table(table, **names)
    assert create_table(table, name="t", database="d").startswith("CREATE EXTERNAL TABLE `d`.`t` (\n")
    assert create_table(table).startswith("CREATE EXTERNAL TABLE `contact_lists_cl_81` (\n")


def unescaped(text: str) -> str:
    r"""Read a literal as Hive does: ``\uXXXX`` is a unit of UTF-16."""
    units = re.sub(r"\\u(....)", lambda found: chr(int(found[1], 16)), text[1:-1])
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


@given(hostile)
def test_a_literal_holds_any_text_and_nothing_but_ascii(text: str) -> None:
    found = literal(text)
    assert found.isascii()
    assert found.isprintable()
    assert "'" not in found[1:-1]
    assert unescaped(found) == text


@given(st.lists(hostile, unique=True, max_size=12), st.sampled_from(["csv", "jsonl", "parquet"]))
def test_whatever_fields_are_called_the_columns_are_names_that_athena_takes_once_each(
    fields: list[str], file_format: str
) -> None:
    taken = ("contact_list_id", "snapshot_date")
    names = column_names([*fields, "snapshot_date", "A", "a", "a_2"], taken)
    assert all(re.fullmatch(r"[a-z0-9_]{1,255}", name) for name in names)
    assert len({*names, *taken}) == len(names) + 2
    others = [name for name in fields if name != "_id" and not any("\ud800" <= each <= "\udfff" for each in name)]
    statement = create_table(find_table(store_of(days(d1=manifest("_id", *others, file_format=file_format))), LIST))
    assert statement.replace("\n", "").isprintable()
    assert statement.isascii()
    assert len(columns_in(statement)) == len(others) + 1
