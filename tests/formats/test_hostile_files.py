"""Rows that no list should have, and files that are not what was written: right, or one error, in bounded memory."""

from __future__ import annotations

import io
import json
import random
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from airflow_provider_kore.exceptions import CorruptSnapshotError, KoreError, ParameterError
from airflow_provider_kore.formats import FORMATS, ColumnSet, Format, parse_format
from airflow_provider_kore.formats import compression as compressions
from airflow_provider_kore.formats import csv as csv_format
from airflow_provider_kore.json_text import cells, comparable, members, parse, scan_value, spans
from airflow_provider_kore.snapshot.commit import build
from airflow_provider_kore.stop import Stop
from airflow_provider_kore.walk.ids import IdSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

every_format = pytest.mark.parametrize("file_format", FORMATS.values(), ids=FORMATS)

# Numbers as JSON may spell them, far beyond what Python, a double or Decimal take.
digits = st.text("0123456789", min_size=1, max_size=25)
numbers = st.one_of(
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "-"]),
        digits.map(lambda text: text.lstrip("0") or "0"),
        st.sampled_from(["", ".0", ".10", ".1234567890123456789"]),
        st.one_of(
            st.just(""), st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), digits)
        ),
    ),
    st.sampled_from(
        ["9" * 5_000, "-" + "9" * 5_000, "0." + "1" * 5_000, "1e999999999", "-0", "0e999999999999999999999"]
    ),
)
INSTANTS = [
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999Z",
    "0001-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:00:00+99:99",
    "0000-00-00T00:00:00Z",
]
texts = st.one_of(st.text(max_size=8), st.sampled_from(INSTANTS), st.just("\ud800"), st.just('a"\r\n,b'))
raw_values = st.recursive(
    st.one_of(st.sampled_from(["null", "true", "false"]), numbers, texts.map(json.dumps)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda found: "[" + ",".join(found) + "]"),
        st.lists(st.tuples(texts.map(json.dumps), inner), max_size=2).map(
            lambda found: "{" + ",".join(f"{name}:{value}" for name, value in found) + "}"
        ),
    ),
    max_leaves=5,
)
names = st.one_of(st.sampled_from(["a", "b", "createdAt", "updatedAt", "", "_id "]), st.text(max_size=3))


@st.composite
def hostile_rows(draw: st.DrawFn) -> list[str]:
    """Return rows with ids that are theirs alone, and anything else."""
    rows = []
    for number in range(draw(st.integers(0, 4))):
        found = draw(st.lists(st.tuples(names.filter(lambda name: name != "_id"), raw_values), max_size=4))
        pairs = [("_id", f'"cc-{number}"'), *found]
        rows.append("{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in pairs) + "}")
    return rows


def built(file_format: Format, rows: list[str]) -> bytes:
    compression = file_format.compressions[0]
    with build(iter(rows), file_format, compression, ColumnSet.of(rows), seen=IdSet(), stop=Stop()) as found:
        assert found.rows == len(rows)
        return found.file.read()


@pytest.mark.slow
@every_format
@settings(deadline=None, max_examples=80)
@given(rows=hostile_rows())
def test_whatever_a_contact_says_it_lands_and_is_read_again(file_format: Format, rows: list[str]) -> None:
    body = built(file_format, rows)
    read = list(file_format.read_rows(io.BytesIO(body), compression=file_format.compressions[0]))
    assert [identifier for identifier, _ in read] == [f"cc-{number}" for number in range(len(rows))]
    for _, row in read:
        comparable(row)  # raises ValueError if it is no JSON


@pytest.mark.parametrize("read", [cells, spans, members, comparable, parse, lambda text: scan_value(text, 0)])
@settings(deadline=None)
@given(text=st.one_of(st.text(max_size=30), raw_values, st.sampled_from(["[" * 99_999, '{"a":' * 99_999])))
def test_json_is_read_or_refused_with_a_value_error(read: Callable[[str], object], text: str) -> None:
    try:
        read(text)
    except ValueError as err:
        assert not isinstance(err, json.JSONDecodeError), "it holds the whole text"  # noqa: PT017


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"])
def test_a_time_that_other_readers_cannot_name_stays_text(text: str) -> None:
    row = json.dumps({"_id": "cc-1", "createdAt": text})
    assert dict(ColumnSet.of([row]).columns())["createdAt"] == "string"
    body = built(FORMATS["parquet"], [row])
    ((_, read),) = FORMATS["parquet"].read_rows(io.BytesIO(body), compression="snappy")
    assert json.loads(read)["createdAt"] == text


def foreign(**columns: pa.Array) -> io.BytesIO:
    body = io.BytesIO()
    parquet.write_table(pa.table({"_id": pa.array(["cc-1"]), **columns}), body)
    body.seek(0)
    return body


@pytest.mark.parametrize("shift", [-1, 1])
def test_times_beyond_the_years_that_have_names_are_read_as_they_were_meant(shift: int) -> None:
    last = {1: datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), -1: datetime(1, 1, 1, tzinfo=UTC)}[shift]
    instant = int((last - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1000 + shift * 3_600_000
    column = pa.array([instant], pa.timestamp("ms", "UTC"))
    ((_, row),) = FORMATS["parquet"].read_rows(foreign(createdAt=column), compression="snappy")
    read = datetime.fromisoformat(json.loads(row)["createdAt"])
    assert (read - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000 == instant


FOREIGN = {
    "a time beyond all offsets": pa.array([2**62], pa.timestamp("ms", "UTC")),
    "a time before all offsets": pa.array([-(2**62)], pa.timestamp("ms", "UTC")),
    "nanoseconds": pa.array([1], pa.timestamp("ns", "UTC")),
    "local time": pa.array([1], pa.timestamp("ms")),
    "a date": pa.array([1], pa.date32()),
    "a duration": pa.array([1], pa.duration("s")),
    "a decimal": pa.array([Decimal("1.10")], pa.decimal128(38, 2)),
    "bytes": pa.array([b"\xff"], pa.binary()),
    "a list": pa.array([[1, 2]], pa.list_(pa.int64())),
    "an object": pa.array([{"a": 1}], pa.struct([("a", pa.int64())])),
    "a map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    "not a number": pa.array([float("nan")], pa.float64()),
    "infinity": pa.array([float("inf")], pa.float64()),
    "a half": pa.array([1.5], pa.float32()),
    "unsigned": pa.array([2**64 - 1], pa.uint64()),
}


@pytest.mark.parametrize("column", FOREIGN.values(), ids=FOREIGN)
def test_a_parquet_file_of_another_writer_is_damage_and_nothing_else(column: pa.Array) -> None:
    with pytest.raises(CorruptSnapshotError, match="take the snapshot again"):
        list(FORMATS["parquet"].read_rows(foreign(x=column), compression="snappy"))


@pytest.mark.parametrize("identifier", [pa.array([None], pa.string()), pa.array([""]), pa.array([[1]])])
def test_a_parquet_file_without_ids_is_damage(identifier: pa.Array) -> None:
    body = io.BytesIO()
    parquet.write_table(pa.table({"_id": identifier}), body)
    for read in (FORMATS["parquet"].read_rows, FORMATS["parquet"].read_ids):
        with pytest.raises(CorruptSnapshotError):
            list(read(io.BytesIO(body.getvalue()), compression="snappy"))


@every_format
def test_no_flipped_byte_ends_in_anything_but_one_error(file_format: Format) -> None:
    rows = [
        json.dumps(
            {"_id": f"cc-{n}", "n": n, "f": n / 3, "b": n % 2 == 0, "createdAt": "2026-01-01T00:00:00Z", "x": [n]}
        )
        for n in range(50)
    ]
    chance = random.Random(7)  # noqa: S311
    for compression in file_format.compressions:
        body = io.BytesIO()
        file_format.write(rows, body, compression=compression, columns=ColumnSet.of(rows))
        for _ in range(40):
            damaged = bytearray(body.getvalue())
            for _ in range(chance.choice([1, 1, 3, 20])):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            cut = chance.choice([len(damaged), chance.randrange(len(damaged))])
            for read in (file_format.read_rows, file_format.read_ids):
                with suppress(CorruptSnapshotError):
                    deque(read(io.BytesIO(bytes(damaged[:cut])), compression=compression), maxlen=0)


def test_what_a_file_itself_says_passes() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:  # noqa: ARG002
            raise ParameterError("s3_bucket", "is gone", "look")

    for file_format in FORMATS.values():
        with pytest.raises(ParameterError):
            list(file_format.read_rows(Broken(b"x" * 100), compression=file_format.compressions[0]))


@pytest.mark.parametrize(
    ("name", "start", "piece"),
    [
        ("jsonl", b"", b"x" * 1_000),
        ("csv", b"", b"x" * 1_000),
        ("csv", b'"_id","a"\r\n"cc-1","', b"x" * 1_000),
        ("csv", b'"_id","a"\r\n"cc-1","', b"x" * 1_000 + b"\n"),
        ("csv", b'"_id","a"\r\n"cc-1","', b'\n","' * 200),
    ],
)
def test_a_bomb_is_damage_before_it_fills_the_memory(
    name: str, start: bytes, piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (compressions, csv_format):
        monkeypatch.setattr(module, "LONGEST_LINE", 100_000)
    read = 0

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            nonlocal read
            found = super().read(size)
            read += len(found)
            return found

    body = start + piece * 5_000
    for reader in (FORMATS[name].read_rows, FORMATS[name].read_ids):
        read = 0
        with pytest.raises(CorruptSnapshotError, match=r"longer than 100,000 bytes|header|quoting"):
            list(reader(Counted(body), compression="none"))
        assert read < len(body) / 2


@every_format
def test_a_row_that_cannot_be_written_is_one_error_without_the_row(file_format: Format) -> None:
    def rows() -> Iterable[Any]:
        yield '{"_id": "cc-1", "a": 1}'
        yield '{"_id": "cc-2", "secret of Anna": [' if file_format.name != "jsonl" else '{"secret of Anna":\n 1}'

    columns = ColumnSet.of(['{"_id": "cc-1", "a": 1}'])
    with (
        pytest.raises(CorruptSnapshotError, match="Nothing was published") as caught,
        build(
            iter(rows()), file_format, parse_format(file_format.name).compression, columns, seen=IdSet(), stop=Stop()
        ),
    ):
        pass
    assert "Anna" not in str(caught.value)
    assert isinstance(caught.value, KoreError)
