"""A table of several days, landed as tasks land it, and what a reader of it has to find."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from landing import client_of

from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.readers.table import Table, find_table
from airflow_provider_kore.snapshot.run import take_snapshot
from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec
from airflow_provider_kore.store.s3 import S3Store
from airflow_provider_kore.store.s3.settings import S3Settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from s3_servers import S3Server

    from airflow_provider_kore.simulator import Simulator

BUCKET = "my-data-lake"
ROWS = 25_500
"""Of the first day."""
LATE = 21_000
"""The first row of the first day that has a region: after those that any reader looks at to find columns."""

NOTES = (
    "007", "2026-01-02", "2026-01-02T03:04:05Z", "1e5", "true", "NULL", "null", r"\N", "NaN", "None", "-", "", " lead",
    "trail ", "a,b", 'say "hello"', '"', "a\\", '\\"', r"C:\new", "line\nbreak", "line\r\nbreak", "tab\there", "über",
    "😀", "\u2028", "it's", "{}", "[1]", "# no comment", ";|", "0x1F", "1_000", "12:30", "Infinity", "9" * 40,
    "\u202eright to left", "old\rbreak", "\ufeff",
)  # fmt: skip
"""Text that looks like something else, or that a format has to quote."""

STAMP = "2026-01-01T04:28:44.832Z"


def _first_day() -> Iterator[dict[str, Any]]:
    """Yield more contacts than a reader looks at, the last of them with a field that no other has."""
    for number in range(ROWS):
        yield {
            "_id": f"cc-{number:06d}",
            "createdAt": STAMP,
            "phoneNumber": f"{number:010d}" if number % 5 else None,
            "note": NOTES[number % len(NOTES)],
            "score": number - 7,
            "optIn": number % 3 == 0,
            "tags": ["a", {"b": 'c "d"'}] if number % 2 else [],
            **({"region": "05"} if number >= LATE else {}),
        }


def _second_day() -> Iterator[dict[str, Any]]:
    """Yield contacts with a new field, and their fields in another order; what is typed is null all day."""
    for number, note in enumerate(NOTES):
        yield {
            "extra": number,
            "region": NOTES[-1 - number],
            "note": note,
            "_id": f"cc-{number:06d}",
            "nickname": None,
            "createdAt": None,
            "score": None,
            "phoneNumber": "0151",
        }


def _fourth_day() -> Iterator[dict[str, Any]]:
    """Yield contacts with fractions where there were whole numbers, and a text where all was null."""
    for number, note in enumerate(NOTES):
        yield {
            "nickname": note,
            "_id": f"cc-{number:06d}",
            "createdAt": STAMP,
            "extra": 2**53 + number,
            "score": number + 0.25,
            "optIn": True,
        }


DAYS: dict[str, list[str]] = {
    date: [json.dumps(contact, ensure_ascii=number % 2 == 0) for number, contact in enumerate(contacts)]
    for date, contacts in {
        "2026-01-01": _first_day(),
        "2026-01-02": _second_day(),
        "2026-01-03": iter(()),
        "2026-01-04": _fourth_day(),
        "2026-01-05": iter(()),
    }.items()
}
"""The contacts of ``cl-81``, as the server sends them."""

ODD_NAMES = (
    "Region",
    "region",
    "a b",
    "über",
    "snapshot_date",
    "select",
    "",
    "it's",
    "`",
    "a\\b",
    "\t",
    "${x}",
    "😀",
    "a_b",
)
"""Of fields: those that a table cannot have, or that become alike in lower case."""
HIVE_CANNOT = ("a b", "", "\t", "${x}")
"""Those of them that Hive's own reader of Parquet cannot parse, wherever they stand in a file."""
_PARSED = [name for name in ODD_NAMES if name not in HIVE_CANNOT]


def _odd(day: int, names: Iterable[str]) -> Iterator[str]:
    """Yield contacts with such fields; a text of one line in each, for readers of lines."""
    notes = [note for note in NOTES if not {"\r", "\n"} & set(note)]
    for number, note in enumerate(notes):
        others = {name: notes[(number + place) % len(notes)] for place, name in enumerate(names)}
        new = {"new": None if number else note} if day else {}
        yield json.dumps({"_id": f"cc-{number:06d}", **others, "n": number, **new}, ensure_ascii=False)


LISTS = {
    "cl-81": DAYS,
    "cl-82": {date: rows[::9] for date, rows in DAYS.items()},
    "cl-83": {date: list(_odd(day, ODD_NAMES)) for day, date in enumerate(("2026-01-01", "2026-01-02"))},
    "cl-84": {date: list(_odd(day, _PARSED)) for day, date in enumerate(("2026-01-01", "2026-01-02"))},
}

SCORE = [{"name": "score", "type": "double"}]
"""What an author says beforehand where whole numbers may become fractions."""

FORMS: dict[str, dict[str, Any]] = {
    "jsonl": {"s3_prefix": "kore/contact_lists", "file_format": "jsonl"},
    "csv": {"s3_prefix": "kore/csv", "file_format": "csv"},
    "parquet": {"s3_prefix": "kore/parquet", "file_format": "parquet", "columns": SCORE},
}
"""How list ``cl-81`` lands, by the format that a recipe reads."""

OTHERS: dict[str, dict[str, Any]] = {
    "jsonl": {"compression": ("zstd", "none"), "rows_per_file": 1_000},
    "csv": {"compression": ("zstd", "none")},
    "parquet": {"compression": ("zstd", "gzip", "none"), "rows_per_file": 1_000},
}
"""How list ``cl-82`` lands besides: compressed in another way each day."""


@dataclass(frozen=True, slots=True)
class Lake:
    """The bucket, and a copy of it in a folder."""

    server: S3Server
    copy: Path


def land(
    kore: Simulator, server: S3Server, list_id: str, *, compression: Sequence[str | None] = (None,), **parameters: Any
) -> None:
    """Land all days of a list, each with the next way to compress."""
    store = S3Store(server.client(), BUCKET, S3Settings())
    for number, (date, rows) in enumerate(LISTS[list_id].items()):
        kore.add_list(list_id, rows)
        spec = SnapshotSpec.parse(
            source=ContactListSource(contact_list_id=list_id),
            run=RunKey(dag_id="dag", run_id=f"run-{number}", task_id="task"),
            compression=compression[number % len(compression)],
            **{"durable": False, "snapshot_date": date, "page_size": 5_000, "max_shrink": 1, **parameters},
        )
        with client_of(kore) as client:
            take_snapshot(spec, client, store, SystemClock())


def copy(server: S3Server, folder: Path) -> None:
    """Copy the bucket into a folder, as a person would for an engine that has no S3."""
    s3 = server.client()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for found in page.get("Contents", []):
            path = folder / BUCKET / found["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(BUCKET, found["Key"], str(path))


DEFINED = ("csv cl-83", "parquet cl-84", "parquet cl-81", "jsonl cl-81", "csv cl-81")
"""What ``ddl`` defines, by format and list."""
NOT_IN_HIVE = ("jsonl cl-81", "csv cl-81")
"""Those that cannot be read here: Spark lacks the OpenX SerDe, and Hive ends a row where a value breaks the line."""


def table_of(server: S3Server, file_format: str, list_id: str) -> Table:
    """Return what the manifests of a list say of its table."""
    store = S3Store(server.client(), BUCKET, S3Settings())
    return find_table(store, f"{FORMS[file_format]['s3_prefix']}/contact_list_id={list_id}/")


class Digits(str):
    """A number, as it was spelt."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Told:
    """How an engine tells a value that the server sent; each flag is said in docs/readers.md."""

    null_is_empty: bool = False
    """It cannot tell null from the empty text."""

    def same(self, sent: object, found: object) -> bool:
        """Say whether a reader found what was sent, if not in the same type."""
        if sent is None:
            return found is None or (self.null_is_empty and found == "")
        if isinstance(sent, Digits):
            return found == str(sent) if isinstance(found, str) else _number(found) == Decimal(sent)
        if isinstance(sent, bool):
            return found is sent or found == json.dumps(sent)
        if isinstance(sent, str):
            return isinstance(found, str) and found == sent
        value = json.loads(found, parse_int=Digits, parse_float=Digits) if isinstance(found, str) else found
        return bool(value == sent)


def _number(found: object) -> Decimal | None:
    return Decimal(repr(found)) if isinstance(found, int | float) and not isinstance(found, bool) else None


@cache
def sent(list_id: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what the server sent, by date and id."""
    days = LISTS[list_id]
    rows = ((date, json.loads(row, parse_int=Digits, parse_float=Digits)) for date in days for row in days[date])
    return {(date, contact["_id"]): contact for date, contact in rows}


@cache
def columns_of(list_id: str) -> frozenset[str]:
    """Return all fields that its contacts have."""
    return frozenset(name for contact in sent(list_id).values() for name in contact)


def differences(
    found: list[dict[str, Any]], list_id: str, told: Told | None = None, *, without: Collection[str] = ()
) -> list[str]:
    """Return in which rows and columns a reader found anything else than what was sent; the first of each kind.

    :param without: columns that are not looked at.
    """
    told = told or Told()
    expected, columns = dict(sent(list_id)), columns_of(list_id).difference(without)
    problems: dict[str, str] = {}
    if len(found) != len(expected):
        problems["rows"] = f"{len(found)} rows, not {len(expected)}"
    for row in found:
        key = (str(row["snapshot_date"]), row["_id"])
        contact = expected.pop(key, None)
        if contact is None:
            problems.setdefault("strange", f"a row {key} that is not there, or comes twice")
            continue
        if missing := columns - set(row):
            problems.setdefault("columns", f"no columns {sorted(missing)}")
        for name in columns & set(row):
            if not told.same(contact.get(name), row[name]):
                problems.setdefault(name, f"{key} {name}: {row[name]!r}, not {contact.get(name)!r}")
    if expected:
        problems["gone"] = f"{len(expected)} rows are missing, such as {next(iter(expected))}"
    return list(problems.values())
