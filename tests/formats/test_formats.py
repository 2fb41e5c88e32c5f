"""What every format promises. Parametrised over FORMATS: a new one is tested by being listed."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import pyarrow as pa
import pytest

from airflow_provider_kore.exceptions import CorruptSnapshotError, ParameterError
from airflow_provider_kore.formats import FORMATS, ColumnSet, Format, FormatChoice, parse_format, parts
from airflow_provider_kore.formats import compression as compression_module
from airflow_provider_kore.formats.columns import printable
from airflow_provider_kore.json_text import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHOICES = [FormatChoice(each, compression) for each in FORMATS.values() for compression in each.compressions]
NAMES = [f"{each.format.name}-{each.compression}" for each in CHOICES]
every_choice = pytest.mark.parametrize("choice", CHOICES, ids=NAMES)
every_format = pytest.mark.parametrize("each", FORMATS.values(), ids=FORMATS)

ROWS = [
    '{"_id":"cc-1","createdAt":"2025-12-09T04:28:44.832Z"," Priority":1,"x":{"a":[1, 2]},"empty":"","nil":null}',
    '{"_id": "cc-2", "updatedAt":"never","quo\\"te\\n":"a\\r\\nb,\\"c\\"","s":"\\ud800é","big":1234567890123456789012}',
    '{"phoneNumber":"+4915112345678", "_id": "cc-3", "x":"plain", "":1e999, "é": true, "long":0.1000000000000000001}',
]
SECRET = "4915112345678"


class WriteOnly(io.RawIOBase):
    """As little of a file as a format may ask for."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        self.taken.append(bytes(cast("bytes", data)))
        return len(self.taken[-1])


def stored(choice: FormatChoice, rows: Iterable[str], columns: ColumnSet | None = None) -> bytes:
    file = io.BytesIO()
    choice.format.write(rows, file, compression=choice.compression, columns=columns or ColumnSet.of(rows))
    assert not file.closed
    return file.getvalue()


def ids(choice: FormatChoice, body: bytes) -> list[str]:
    file = io.BytesIO(body)
    found = list(choice.format.read_ids(file, compression=choice.compression))
    assert not file.closed
    return found


@every_choice
def test_the_ids_come_back_from_the_stored_bytes_in_order(choice: FormatChoice) -> None:
    assert ids(choice, stored(choice, ROWS)) == ["cc-1", "cc-2", "cc-3"]
    assert ids(choice, stored(choice, [])) == []
    many = [f'{{"_id": "cc-{number}", "n{number % 7}": {number}}}' for number in range(11_000)]
    assert ids(choice, stored(choice, many)) == [f"cc-{number}" for number in range(11_000)]


def rows(choice: FormatChoice, body: bytes) -> list[tuple[str, str]]:
    return list(choice.format.read_rows(io.BytesIO(body), compression=choice.compression))


@every_choice
def test_the_rows_come_back_from_the_stored_bytes_in_order(choice: FormatChoice) -> None:
    found = rows(choice, stored(choice, ROWS))
    assert [identifier for identifier, _ in found] == ["cc-1", "cc-2", "cc-3"]
    assert rows(choice, stored(choice, [])) == []
    if choice.format.name == "jsonl":
        assert [row for _, row in found] == [line.encode("utf-8", "backslashreplace").decode() for line in ROWS]
        return
    first, second, third = (json.loads(row) for _, row in found)
    priority = first.pop(" Priority")
    assert first == {
        "_id": "cc-1",
        "createdAt": "2025-12-09T04:28:44.832Z",
        "x": '{"a":[1, 2]}',
        "empty": "",
    }
    assert priority == 1  # a null is left out, an empty string is not
    assert [second["updatedAt"], second["s"]] == ["never", "\\ud800é"]
    assert 'a\r\nb,"c"' in second.values()
    assert (third["phoneNumber"], third["é"]) == ("+4915112345678", True)
    digits = third["long"] if choice.format.name == "parquet" else found[2][1]
    assert "0.1000000000000000001" in digits


@every_choice
def test_damage_is_noticed_and_not_quoted_by_who_reads_rows(choice: FormatChoice) -> None:
    body = stored(choice, ROWS * 50)
    for bad in (body[:-1], body[: len(body) // 2 - 7], body[:30], b"\x00" * 100, b"{" + body, SECRET.encode()):
        with pytest.raises(CorruptSnapshotError, match=f"stored {choice.format.name} file is not what") as caught:
            rows(choice, bad)
        assert SECRET not in str(caught.value)


@every_choice
def test_the_same_rows_give_the_same_bytes(choice: FormatChoice) -> None:
    assert stored(choice, ROWS) == stored(choice, iter(ROWS), ColumnSet.of(ROWS))


@every_choice
def test_a_file_needs_nothing_but_write(choice: FormatChoice) -> None:
    file = WriteOnly()
    info = choice.format.write(ROWS, cast("BinaryIO", file), compression=choice.compression, columns=ColumnSet.of(ROWS))
    assert info.rows == 3
    assert b"".join(file.taken) == stored(choice, ROWS)
    assert not file.closed


@every_choice
def test_columns_are_reported_with_the_id_first(choice: FormatChoice) -> None:
    info = choice.format.write(ROWS, io.BytesIO(), compression=choice.compression, columns=ColumnSet.of(ROWS[::-1]))
    assert [column.name for column in info.columns][:2] == ["_id", "phoneNumber"]
    assert len(info.columns) == 14


@every_choice
def test_damage_is_noticed_and_not_quoted(choice: FormatChoice) -> None:
    body = stored(choice, ROWS * 50)
    damaged = [body[:-1], body[: len(body) // 2 - 7], body[:30], b"\x00" * 100, b"{" + body, SECRET.encode()]
    for bad in damaged:
        with pytest.raises(CorruptSnapshotError, match=f"stored {choice.format.name} file is not what") as caught:
            ids(choice, bad)
        assert SECRET not in str(caught.value)
        assert caught.value.__context__ is None


@every_choice
@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), TimeoutError("slow"), RuntimeError("other")])
def test_errors_of_the_file_itself_are_not_taken_for_damage(choice: FormatChoice, error: Exception) -> None:
    class Broken(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise error

    file = Broken(stored(choice, ROWS))
    with pytest.raises(type(error)):
        list(choice.format.read_ids(file, compression=choice.compression))


@every_choice
@pytest.mark.parametrize("raw", ['{"_id": null}', '{"_id": ""}', "{}", '{"a": "cc-1"}'])
def test_a_row_without_an_id_is_damage(choice: FormatChoice, raw: str) -> None:
    with pytest.raises(CorruptSnapshotError, match=r"row.*, after row 1"):
        ids(choice, stored(choice, ['{"_id": "cc-1"}', raw]))


@every_choice
def test_ids_that_are_no_strings_come_as_their_json_text(choice: FormatChoice) -> None:
    rows = ['{"_id": 17}', '{"_id": 1.50}', '{"_id": {"$oid": "6"}}', '{"_id": true}', '{"_id": "\\ud800é"}']
    assert ids(choice, stored(choice, rows)) == ["17", "1.50", '{"$oid": "6"}', "true", "\\ud800é"]


@every_format
def test_files_of_one_snapshot_have_the_same_columns(each: Format) -> None:
    columns = ColumnSet.of(ROWS)
    written_columns = set()
    found: list[str] = []
    for run in parts(ROWS, 2):
        file = io.BytesIO()
        info = each.write(run, file, compression=each.compressions[0], columns=columns)
        written_columns.add(info.columns)
        file.seek(0)
        found += each.read_ids(file, compression=each.compressions[0])
    assert found == ["cc-1", "cc-2", "cc-3"]
    assert len(written_columns) == 1


@pytest.mark.parametrize("count", range(8))
def test_parts_split_without_an_empty_last_file(count: int) -> None:
    found = [list(run) for run in parts([str(number) for number in range(count)], 3)]
    assert list(itertools.chain(*found)) == [str(number) for number in range(count)]
    assert [len(run) for run in found] == {0: [0]}.get(count, [3] * (count // 3) + [count % 3] * (count % 3 > 0))


@every_format
def test_a_row_that_the_columns_do_not_know_is_not_lost_silently(each: Format) -> None:
    if each.needs_columns:
        known = ColumnSet.of(['{"_id": "cc-1"}'])
        with pytest.raises(ValueError, match="a field that the columns don't know"):
            each.write([f'{{"_id": "cc-1", "a": "{SECRET}"}}'], io.BytesIO(), compression="none", columns=known)


@pytest.mark.parametrize(
    ("value", "other"),
    [
        ("1", '"x"'),
        ("1", "1.5"),
        ("1", "9223372036854775808"),
        ("1.5", "0.1000000000000000000001"),
        ("true", "1"),
        ('{"a": 1}', '"x"'),
        ('"2025-01-01T00:00:00Z"', f'"{SECRET}"'),
        ('"2025-01-01T00:00:00Z"', "1"),
    ],
)
def test_parquet_refuses_what_does_not_fit_the_columns_it_is_given(value: str, other: str) -> None:
    known = ColumnSet.of([f'{{"createdAt": {value}}}'])
    with pytest.raises(ValueError, match="a value doesn't fit its column") as caught:
        FORMATS["parquet"].write([f'{{"createdAt": {other}}}'], io.BytesIO(), compression="none", columns=known)
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None


def test_jsonl_keeps_every_character() -> None:
    body = stored(parse_format("jsonl", "none"), ROWS)
    assert body == "".join(row + "\n" for row in ROWS).encode()
    raw_surrogate = '{"_id": "\ud800"}'
    assert stored(parse_format("jsonl", "none"), [raw_surrogate]) == encode(raw_surrogate) + b"\n"
    assert json.loads(encode(raw_surrogate)) == {"_id": "\ud800"}
    with pytest.raises(ValueError, match="not on one line"):
        stored(parse_format("jsonl", "none"), ['{"_id":\n"cc-1"}'])


@every_choice
def test_names_say_what_is_inside(choice: FormatChoice) -> None:
    endings = {"gzip": ".gz", "zstd": ".zst", "none": ""}
    expected = "" if choice.format.name == "parquet" else endings[choice.compression]
    assert choice.suffix == f".{choice.format.name}{expected}"
    assert choice.format.media_type(choice.compression).count("/") == 1


@every_choice
def test_parse_format_gives_the_pair(choice: FormatChoice) -> None:
    assert parse_format(choice.format.name, choice.compression) == choice
    assert parse_format(choice.format.name).compression == choice.format.compressions[0]


@pytest.mark.parametrize(
    ("file_format", "compression", "said"),
    [
        ("xml", None, "Parameter 'file_format': there is no format 'xml'; use 'jsonl', 'csv' or 'parquet'."),
        (["csv"], None, "there is no format"),
        (None, None, "there is no format None"),
        ("jsonl", "snappy", "Parameter 'compression': jsonl has no compression 'snappy'; use 'gzip', 'zstd' or 'none'"),
        ("parquet", "lz4", "use 'snappy', 'zstd', 'gzip' or 'none', or leave it out for 'snappy'"),
        ("csv", 1, "csv has no compression 1"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(file_format: object, compression: object, said: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_format(file_format, compression)
    assert said in str(caught.value)


@every_choice
def test_a_missing_pyarrow_is_said_before_it_is_needed(choice: FormatChoice, monkeypatch: pytest.MonkeyPatch) -> None:
    choice.format.require(choice.compression)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    if choice.format.name == "parquet" or choice.compression == "zstd":
        with pytest.raises(ParameterError, match=r"needs pyarrow.*airflow-provider-kore\[parquet\]"):
            choice.format.require(choice.compression)
    else:
        choice.format.require(choice.compression)
        assert ids(choice, stored(choice, ROWS)) == ["cc-1", "cc-2", "cc-3"]


def test_importing_the_formats_loads_no_pyarrow() -> None:
    code = "import sys; from airflow_provider_kore import formats; formats.parse_format('parquet'); "
    code += "print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


class Generated:
    """So many rows, none of them kept; on the way the largest amount that pyarrow holds is noted."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.arrow_bytes = 0

    def __iter__(self) -> Iterator[str]:
        for number in range(self.rows):
            if number % 1_000 == 0:
                self.arrow_bytes = max(self.arrow_bytes, pa.total_allocated_bytes())
            yield f'{{"_id":"cc-{number}","phoneNumber":"+{number * 7919}","note":"{"x" * 80}"}}'


class Nowhere(WriteOnly):
    def write(self, data: object, /) -> int:
        return len(cast("bytes", data))


def peak(each: Format, rows: int) -> int:
    source = Generated(rows)
    columns = ColumnSet.of(itertools.islice(source, 10))
    tracemalloc.start()
    try:
        info = each.write(source, cast("BinaryIO", Nowhere()), compression=each.compressions[0], columns=columns)
        assert info.rows == rows
        return tracemalloc.get_traced_memory()[1] + source.arrow_bytes
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@every_format
def test_memory_does_not_grow_with_the_rows(each: Format) -> None:
    small, large = peak(each, 20_000), peak(each, 60_000)
    assert large < small + 1_000_000  # bytes; 40,000 rows more hold 5 MB


def test_long_lines_and_many_blocks_are_read_whole() -> None:
    rows = [f'{{"_id": "cc-{number}", "note": "{"ab," * 200_000}"}}' for number in range(3)]
    for choice in CHOICES:
        assert ids(choice, stored(choice, rows)) == ["cc-0", "cc-1", "cc-2"]


def test_printable_leaves_text_alone() -> None:
    assert printable("é \U0001f600") == "é \U0001f600"
    assert printable("\ud800é") == "\\ud800é"


@pytest.mark.parametrize("word", [*FORMATS, *compression_module.SUFFIXES, "snappy", "file_format", "compression"])
def test_each_format_and_compression_is_documented(word: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "formats.md"
    assert f"`{word}`" in page.read_text(encoding="utf-8")
