"""One file without some of its rows: all others as they were, jsonl and csv byte for byte."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from airflow_provider_kore.formats.columns import id_of
from airflow_provider_kore.formats.compression import (
    GZIP,
    GZIP_LEVEL,
    LONGEST_LINE,
    Borrowed,
    compressed,
    decompressed,
    lines,
)
from airflow_provider_kore.formats.csv import records
from airflow_provider_kore.formats.layout import naming_damage
from airflow_provider_kore.json_text import cells, scan_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_kore.erasure.persons import Persons
    from airflow_provider_kore.stop import Stop

ID: Final = "_id"
_ROWS_AT_ONCE: Final = 10_000
_BLOCK: Final = 1 << 20
"""Bytes of text that are held, however long its rows are."""


@dataclass(slots=True)
class Sifted:
    """What a file holds."""

    rows: int = 0
    """That stay."""
    erased: int = 0
    """That are of a person."""
    changes: Counter[str] = field(default_factory=Counter)
    """Of a table of changes, how many of the rows that stay are added, changed and gone."""


def sift(
    source: BinaryIO, sink: BinaryIO | None, *, name: str, compression: str, persons: Persons, stop: Stop
) -> Sifted:
    """Read a file, and write all rows but those of the persons into another one.

    :param source: seekable, at its beginning.
    :param sink: None: only count.
    :param name: of the format.

    Raises CorruptSnapshotError if the file is not of this format.
    """
    found = Sifted()
    reader, writer = _WAYS[name]
    if sink is None:
        for _ in naming_damage(name, reader(source, compression, persons, found, whole=False)):
            stop.check()
        return found
    writer(
        naming_damage(name, reader(source, compression, persons, found, whole=True)), source, sink, compression, stop
    )
    return found


def _jsonl(
    source: BinaryIO, compression: str, persons: Persons, found: Sifted, *, whole: bool
) -> Iterator[list[bytes]]:
    kept: list[bytes] = []
    size = 0
    for line in lines(decompressed(source, compression)):
        text = line.decode("utf-8")
        row, end = scan_value(text, 0)
        if not isinstance(row, dict) or end != len(text):
            raise ValueError("a row is no JSON object")
        identifier = row.get(ID)
        if not isinstance(identifier, str):
            identifier = id_of(cells(text))
        if persons.is_row(identifier, persons.phones_of(row, text)):
            found.erased += 1
        else:
            found.rows += 1
            if "change" in row:
                found.changes[str(row["change"])] += 1
            if whole:
                kept.append(line)
        size += len(line)
        if size >= _BLOCK:
            yield kept
            kept, size = [], 0
    yield kept


def _csv(source: BinaryIO, compression: str, persons: Persons, found: Sifted, *, whole: bool) -> Iterator[list[bytes]]:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    found_records = records(decompressed(source, compression))
    header = next(found_records, b"")
    names = _csv_fields(header)
    if names[:1] != [ID]:
        raise ValueError(f"its header doesn't begin with {ID}")
    phones = [number for number, name in enumerate(names) if name in persons.fields]
    kept, size = [header], 0
    for record in found_records:
        row = _csv_fields(record)
        if len(row) != len(names):
            raise ValueError("a row has more or fewer fields than the header")
        if persons.is_row(row[0], [row[each] for each in phones if row[each]]):
            found.erased += 1
        else:
            found.rows += 1
            if whole:
                kept.append(record)
        size += len(record)
        if size >= _BLOCK:
            yield kept if whole else []
            kept, size = [], 0
    yield kept if whole else []


def _csv_fields(record: bytes) -> list[str]:
    rows = list(csv.reader([record.decode("utf-8").removesuffix("\r") + "\n"], strict=True))
    return rows[0] if rows else []


def _write_lines(blocks: Iterator[list[bytes]], _: BinaryIO, sink: BinaryIO, compression: str, stop: Stop) -> None:
    with compressed(sink, compression) as out:
        for block in blocks:
            stop.check()
            if block:
                out.write(b"\n".join(block) + b"\n")


def _parquet(source: BinaryIO, _: str, persons: Persons, found: Sifted, *, whole: bool) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(Borrowed(source), page_checksum_verification=True) as table:
        names = table.schema_arrow.names
        if names[:1] != [ID]:
            raise ValueError(f"its first column isn't {ID}")
        phones = [name for name in names if name in persons.fields] if persons.phones else []
        columns = None if whole else [ID, *phones]
        for group in range(table.num_row_groups):
            # One group after the other: over all of them, Arrow keeps what it has read of each until the end.
            for batch in table.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=columns, use_threads=False):
                keep = _kept(batch, phones, persons)
                stays = sum(keep)
                found.rows += stays
                found.erased += len(keep) - stays
                yield batch if stays == len(keep) else batch.filter(pa.array(keep, pa.bool_()))
            pa.default_memory_pool().release_unused()


def _kept(batch: Any, phones: list[str], persons: Persons) -> list[bool]:
    ids = batch.column(ID).to_pylist()
    numbers = [batch.column(name).to_pylist() for name in phones]
    keep = []
    for at, identifier in enumerate(ids):
        texts = [_spelt(column[at]) for column in numbers if column[at] is not None]
        keep.append(not persons.is_row(str(identifier), texts))
    return keep


def _spelt(value: object) -> str:
    """Return a value of a column as a number without a fraction was written, or a text."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _write_parquet(batches: Iterator[Any], source: BinaryIO, sink: BinaryIO, compression: str, stop: Stop) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(Borrowed(source)) as table:
        schema = table.schema_arrow
    with parquet.ParquetWriter(
        Borrowed(sink),
        schema,
        version="2.6",
        compression=compression,
        compression_level=GZIP_LEVEL if compression == GZIP else None,
        write_page_checksum=True,
    ) as writer:
        for batch in batches:
            stop.check()
            if batch.num_rows:
                writer.write_batch(batch)
            del batch  # or the next one is read beside it
            pa.default_memory_pool().release_unused()


_WAYS: Final[dict[str, tuple[Callable[..., Iterator[Any]], Callable[..., None]]]] = {
    "jsonl": (_jsonl, _write_lines),
    "csv": (_csv, _write_lines),
    "parquet": (_parquet, _write_parquet),
}
"""By format: how its rows are read, and how those that stay are written."""
