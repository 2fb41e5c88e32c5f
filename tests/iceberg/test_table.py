"""Which tables snapshots may go to, which columns these get, and which values fit."""

from __future__ import annotations

import json
import tracemalloc
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyiceberg.table
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lake import DAY, NEXT, PREFIX, TABLE, LocalLake, contacts
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import (
    DateType,
    FloatType,
    IntegerType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
)

from airflow_provider_kore.exceptions import TableMismatchError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.iceberg.landed import find_landed
from airflow_provider_kore.iceberg.rows import FileColumns, batches
from airflow_provider_kore.iceberg.spec import parse_snapshots
from airflow_provider_kore.iceberg.table import OURS
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyiceberg.table import Table


pytestmark = pytest.mark.slow


@pytest.fixture
def lake(tmp_path: Path) -> LocalLake:
    """A table in a folder."""
    return LocalLake(tmp_path)


def types(lake: LocalLake) -> dict[str, str]:
    return {field.name: str(field.field_type) for field in lake.table().schema().fields}


ADDRESS = f"s3://lake/{PREFIX}/contact_list_id=cl-1/snapshot_date={DAY}/"
FIRST = (
    NestedField(1, "contact_list_id", StringType(), required=True),
    NestedField(2, "snapshot_date", DateType(), required=True),
    NestedField(3, "_id", StringType(), required=True),
)
SPEC = PartitionSpec(
    PartitionField(1, 1000, IdentityTransform(), "contact_list_id"),
    PartitionField(2, 1001, IdentityTransform(), "snapshot_date"),
)


def by_others(lake: LocalLake, *fields: NestedField, spec: PartitionSpec = SPEC, ours: bool = True) -> Table:
    """Create a table as another program does."""
    properties = {OURS: "1"} if ours else {}
    schema = Schema(*(fields if len(fields) > 2 else (*FIRST, *fields)))
    return lake.reader.create_table(TABLE, schema, partition_spec=spec, properties=properties)


# --- Refused, and not touched -----------------------------------------------------------------------------------------

DAYS = PartitionSpec(SPEC.fields[0], PartitionField(2, 1001, DayTransform(), "snapshot_day"))
OTHERS: dict[str, tuple[Callable[[LocalLake], object], str]] = {
    "not ours": (lambda lake: by_others(lake, ours=False), "give this one the property kore.contacts=1"),
    "unpartitioned": (lambda lake: by_others(lake, spec=PartitionSpec()), "is not partitioned by contact_list_id"),
    "partitioned by list": (lambda lake: by_others(lake, spec=PartitionSpec(SPEC.fields[0])), "is not partitioned by"),
    "partitioned by day()": (lambda lake: by_others(lake, spec=DAYS), "is not partitioned by"),
    "text for a date": (
        lambda lake: by_others(lake, FIRST[0], NestedField(2, "snapshot_date", StringType()), FIRST[2]),
        "has no column snapshot_date of type date",
    ),
    "no id": (
        lambda lake: by_others(lake, *FIRST[:2], NestedField(3, "id", StringType())),
        "has no column _id of type string",
    ),
    "a struct": (
        lambda lake: by_others(lake, NestedField(4, "score", StructType(NestedField(5, "n", IntegerType())))),
        "column 'score' of type struct",
    ),
    "another time": (
        lambda lake: by_others(lake, NestedField(4, "createdAt", TimestampType())),
        "column 'createdAt' of type timestamp",
    ),
    "a required column": (
        lambda lake: by_others(lake, NestedField(4, "region", StringType(), required=True)),
        "requires the column 'region'",
    ),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_table_that_is_not_for_snapshots_is_refused_by_name_and_not_touched(lake: LocalLake, other: str) -> None:
    make, match = OTHERS[other]
    make(lake)
    before = lake.table().metadata, lake.objects()
    with pytest.raises(TableMismatchError, match=match) as caught:
        lake.commit(lake.land(contacts(1)))
    assert TABLE in str(caught.value)
    assert (lake.table().metadata, lake.objects()) == before


def test_a_namespace_that_does_not_exist_is_named(lake: LocalLake) -> None:
    with pytest.raises(TableMismatchError, match=r"no namespace for the Iceberg table nowhere\.contacts"):
        lake.commit(lake.land(contacts(1)), table="nowhere.contacts")


def partitioned_anew(lake: LocalLake, column: str) -> None:
    """Take a column out of the partitioning and put it back, at its end."""
    with lake.table().update_spec() as update:
        update.remove_field(column)
    with lake.table().update_spec() as update:
        update.add_identity(column)


def test_files_of_an_earlier_partitioning_are_replaced_if_each_is_of_one_list_and_day(lake: LocalLake) -> None:
    lake.commit(lake.land(contacts(1)), lake.land(contacts(7), contact_list_id="cl-2"))
    partitioned_anew(lake, "contact_list_id")
    assert lake.table().spec().spec_id
    lake.commit(lake.land(contacts(2)))
    assert lake.ids() == [("cl-1", DAY, "ct-2"), ("cl-2", DAY, "ct-7")]


def test_files_of_an_earlier_partitioning_are_refused_if_they_may_hold_other_days(lake: LocalLake) -> None:
    by_others(lake, spec=PartitionSpec(SPEC.fields[0]))
    rows = pa.Table.from_pylist(
        [{"contact_list_id": "cl-1", "snapshot_date": date.fromisoformat(day), "_id": "ct-1"} for day in (DAY, NEXT)],
        schema=lake.table().schema().as_arrow(),
    )
    lake.table().append(rows)
    with lake.table().update_spec() as update:
        update.add_identity("snapshot_date")
    address, before = lake.land(contacts(2)), lake.table().metadata
    with pytest.raises(TableMismatchError, match="data files of an earlier partitioning"):
        lake.commit(address)
    assert lake.table().metadata == before
    lake.commit(lake.land(contacts(2), contact_list_id="cl-2"))
    assert len(lake.ids()) == 3


def test_many_days_are_looked_for_by_few_terms_and_only_these_are_replaced(
    lake: LocalLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [f"2026-10-{number:02d}" for number in range(1, 10)]
    lake.commit([lake.land(contacts(1), contact_list_id=name, day=day) for day in days for name in ("cl-1", "cl-2")])
    terms: list[str] = []
    scan = pyiceberg.table.Table.scan
    monkeypatch.setattr(
        pyiceberg.table.Table, "scan", lambda self, **given: (terms.append(repr(given)), scan(self, **given))[1]
    )
    changed = [("cl-1", days[0]), ("cl-2", days[4]), ("cl-1", days[8])]
    lake.commit([lake.land(contacts(2), contact_list_id=name, day=day) for name, day in changed])
    assert terms[0].count("snapshot_date") == 2  # a term for each would be looked at for each file
    monkeypatch.undo()
    assert [row[:2] for row in lake.ids() if row[2] == "ct-2"] == sorted(changed)
    assert len(lake.ids()) == 18


def test_of_many_manifests_little_is_held(lake: LocalLake) -> None:
    fields = {f"field {number}": number for number in range(100)}
    for number in range(30):
        lake.land(contacts(number, **fields), contact_list_id=f"cl-{number}", file_format="jsonl")
    wanted = parse_snapshots("snapshots", f"s3://lake/{PREFIX}/contact_list_id=*/snapshot_date={DAY}/")
    tracemalloc.start()
    landed = find_landed(wanted, lake.store, Stop(), Teller())
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(landed) == 30
    assert held < 30 * 3_000 + 100_000


def test_a_batch_holds_what_its_rows_have_however_many_columns_there_are(lake: LocalLake) -> None:
    names = ["_id", *(f"f{number}" for number in range(1_900))]
    everything = json.dumps(dict.fromkeys(names, "y"))
    rows = [
        *(json.dumps({"_id": f"ct-{number}", names[1 + number % 1_900]: "x"}) for number in range(8_000)),
        everything,
    ]
    schema = pa.schema(
        [("contact_list_id", pa.string()), ("snapshot_date", pa.date32()), *((name, pa.string()) for name in names)]
    )
    columns = FileColumns(schema, {name: name for name in schema.names}, dict.fromkeys(names, "string"), TABLE)
    lake.land(contacts(1))
    [landed] = find_landed(parse_snapshots("snapshots", ADDRESS), lake.store, Stop(), Teller())
    tracemalloc.start()
    assert sum(batch.num_rows for batch in batches(rows, columns, landed)) == len(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000, peak


def test_fields_that_no_column_can_be_named_after_are_refused(lake: LocalLake) -> None:
    with pytest.raises(TableMismatchError, match="have a field without a name"):
        lake.commit(lake.land([{"_id": "ct-1", "": 1}]))
    with pytest.raises(TableMismatchError, match="have a field snapshot_date"):
        lake.commit(lake.land(contacts(1, snapshot_date="yesterday")))


# --- Columns over days ------------------------------------------------------------------------------------------------


def test_new_columns_come_last_and_are_null_before(lake: LocalLake) -> None:
    lake.commit(lake.land(contacts(1)))
    lake.commit(lake.land(contacts(1, vip=True, plan="gold"), day=NEXT))
    assert list(types(lake).items())[-2:] == [("vip", "boolean"), ("plan", "string")]
    assert [(row["vip"], row["plan"]) for row in lake.rows()] == [(None, None), (True, "gold")]
    lake.commit(lake.land([{"_id": "ct-9"}], day="2026-11-27"))  # without any of them
    assert lake.rows()[-1]["createdAt"] is None


def test_a_table_has_the_same_types_whichever_formats_fed_it(lake: LocalLake) -> None:
    lake.commit(lake.land(contacts(1, ratio=0.25, vip=True)))
    before = types(lake)
    assert {before[name] for name in ("score", "ratio", "vip", "createdAt")} == {
        "long",
        "double",
        "boolean",
        "timestamptz",
    }
    for number, file_format in enumerate(FORMATS, start=26):
        lake.commit(lake.land(contacts(1, ratio=3, vip=False), day=f"2026-11-{number}", file_format=file_format))
    assert types(lake) == before
    one, *others = [{**row, "snapshot_date": None} for row in lake.rows() if row["snapshot_date"].day > 25]
    assert (one["ratio"], one["vip"], one["score"]) == (3.0, False, 1)
    assert others == [one, one]


def test_a_table_that_began_with_csv_takes_every_value_as_text(lake: LocalLake) -> None:
    lake.commit(lake.land(contacts(1, vip=True), file_format="csv"))
    assert set(types(lake).values()) == {"string", "date"}
    lake.commit(lake.land(contacts(1, vip=True), day=NEXT))
    one, other = lake.rows()
    assert {**one, "snapshot_date": None} == {**other, "snapshot_date": None}
    assert (other["score"], other["vip"], other["createdAt"]) == ("1", "true", "2026-11-01T08:00:00.000Z")


def test_narrow_numbers_of_a_table_by_others_become_wide(lake: LocalLake) -> None:
    by_others(lake, NestedField(4, "score", IntegerType()), NestedField(5, "ratio", FloatType()))
    lake.commit(lake.land(contacts(2**40, ratio=0.1)))
    assert (types(lake)["score"], types(lake)["ratio"]) == ("long", "double")
    assert [(row["score"], row["ratio"]) for row in lake.rows()] == [(2**40, 0.1)]


CONFLICTS: dict[str, dict[str, Any]] = {
    "a fraction where the table has integers": {"score": 1.5},
    "an integer of more than 64 bits": {"score": 2**64},
    "text where the table has numbers": {"score": "12"},
    "a number where the table has booleans": {"vip": 1},
    "an integer that a double would not hold": {"ratio": 2**53 + 1},
    "a time that is none": {"createdAt": "yesterday"},
    "a time finer than a millisecond": {"createdAt": "2026-11-01T08:00:00.000001Z"},
}


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_a_value_that_does_not_fit_its_column_is_refused_by_name_and_not_quoted(lake: LocalLake, conflict: str) -> None:
    lake.commit(lake.land(contacts(1, vip=True, ratio=0.5)))
    before = lake.table().metadata, lake.objects()
    [column] = CONFLICTS[conflict]
    for file_format in FORMATS:
        rows = [*contacts(1, 2), {**contacts(3)[0], **CONFLICTS[conflict]}]
        with pytest.raises(TableMismatchError, match=f"column '{column}' in the snapshot of s3://lake/") as caught:
            lake.commit(lake.land(rows, file_format=file_format))
        value = str(CONFLICTS[conflict][column])
        assert len(value) < 2 or value not in str(caught.value)
        assert (lake.table().metadata, lake.objects()) == before


HOSTILE = {
    " ": "blank", "a b": 1, "a_x20b": 2, "a.b": 3, "b": 4, "Ünïcødé ": "x", "🙂": "y", "1st": True,
    "contact list id": "z", "new\nline": "l", '"quoted"': "q", "select": "s", "A B": 5, "x" * 300: "long",
}  # fmt: skip


def test_names_and_values_of_every_kind_come_back_as_they_were(lake: LocalLake) -> None:
    rows = [{"_id": "ct-1", **HOSTILE}, {"_id": "ct-2", "a b": None, "emoji": "\ud83d", "nul": "a\x00b", "empty": ""}]
    for file_format, day in zip(FORMATS, (DAY, NEXT, "2026-11-27"), strict=True):
        lake.commit(lake.land(rows, day=day, file_format=file_format), table="crm.all")
    read = lake.rows(table="crm.all")
    read.sort(key=lambda row: (row["_id"], row["snapshot_date"]))
    for one in read[:3]:
        for name, value in HOSTILE.items():
            spelt = name.replace("\n", " ") if name == "new\nline" and "new line" in one and one[name] is None else name
            assert one[spelt] == value, name
    for two in read[3:]:
        assert (two["emoji"], two["nul"], two["empty"], two["a b"]) == ("\\ud83d", "a\x00b", "", None)


def test_no_contact_stands_in_the_tables_metadata(lake: LocalLake) -> None:
    lake.commit(lake.land(contacts(4711, name="Zaphodina")))
    for each in lake.warehouse.rglob("metadata/*"):
        body = each.read_bytes()
        assert not any(word in body for word in (b"+1555", b"Zaphodina", b"ct-4711"))


VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES |= st.text(max_size=5) | st.just("2026-11-01T08:00:00.000Z") | st.lists(st.integers(), max_size=2)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(("score", "vip", "ratio", "createdAt", "name")), VALUES), max_size=6),
    file_format=st.sampled_from(("jsonl", "parquet")),
)
def test_what_is_in_the_table_is_what_the_contact_said_or_nothing_is_committed(
    lake: LocalLake, rows: list[dict[str, Any]], file_format: str
) -> None:
    if not lake.reader.table_exists(TABLE):
        lake.commit(lake.land(contacts(1, vip=True, ratio=0.5, name="n")))
    given_rows = [{"_id": f"ct-{number}", **row} for number, row in enumerate(rows)]
    address = lake.land(given_rows, contact_list_id="cl-2", file_format=file_format)
    before = lake.table().metadata
    try:
        lake.commit(address)
    except TableMismatchError:
        assert lake.table().metadata == before
        return
    found = [row for row in lake.rows() if row["contact_list_id"] == "cl-2"]
    for row, contact in zip(found, given_rows, strict=True):
        for name, value in contact.items():
            assert same(row[name], value), (name, value)


def same(found: Any, value: Any) -> bool:
    """Say whether a column holds what a contact said."""
    if isinstance(found, datetime):
        return found == datetime.fromisoformat(value)
    if isinstance(found, str) and not isinstance(value, str):
        return bool(json.loads(found) == value)
    return bool(found == value) and (isinstance(found, bool) == isinstance(value, bool))
