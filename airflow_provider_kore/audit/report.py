"""What was verified, as text for a person and as JSON for a program."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.audit.findings import NOTE, UNSEEN, WRONG
from airflow_provider_kore.quoting import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.audit.history import Day, History
    from airflow_provider_kore.audit.verify import Report, Table

VERSION: Final = 1
"""Of the JSON; members may be added under the same one."""

_HEADS: Final = {WRONG: "WRONG", UNSEEN: "NOT SEEN", NOTE: "note"}

_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")


def as_text(report: Report) -> str:
    """Return lines for a person: the tables, then what was found, the worst first, then one sentence."""
    return "\n".join([*_lines(report), summary(report)]) + "\n"


def _lines(report: Report) -> Iterator[str]:
    for table in report.tables:
        yield from _table(table)
    order = {level: number for number, level in enumerate(_HEADS)}
    for one in sorted(report.findings.kept, key=lambda found: order[found.level]):
        yield f"{_HEADS[one.level]}: {one.where}"
        yield f"  {one.what} {one.todo}".rstrip()
    if report.findings.left_out:
        yield f"… and {report.findings.left_out:,} more findings, which are not shown."
    if report.elsewhere:
        yield f"{count(report.elsewhere, 'object')} there belong to no snapshot, and were passed over."


def _table(table: Table) -> Iterator[str]:
    yield table.address
    snapshots = table.snapshots
    if not snapshots:
        return
    first, last = snapshots[0].date, snapshots[-1].date
    span = first if first == last else f"{first} to {last}"
    rows, files = sum(one.rows for one in snapshots), sum(one.files for one in snapshots)
    yield (
        f"  {count(len(snapshots), 'snapshot')}, {span}: {rows:,} {table.kind.replace('_', ' ')} in "
        f"{count(files, 'file')}, {_size(sum(one.bytes for one in snapshots))}"
    )
    locked = [one for one in snapshots if one.locked is not None]
    for one in (*locked[:1], *locked[1:][-1:]):
        yield f"  {one.date}: {one.locked}"
    if len(locked) < len(snapshots) and locked:
        yield f"  {count(len(snapshots) - len(locked), 'snapshot')} without a lock"


def summary(report: Report) -> str:
    """Return one sentence."""
    wrong, unseen = report.findings.numbers[WRONG], report.findings.numbers[UNSEEN]
    number, said = len(report.snapshots), "every byte is what its manifest says"
    if wrong:
        said = f"{count(wrong, 'thing is', 'things are')} wrong"
    elif unseen and not number:
        return "Nothing was verified."
    elif unseen:
        said = f"nothing is wrong with what was seen; {count(unseen, 'thing')} could not be looked at"
    return f"Verified {count(number, 'snapshot')}: {said}."


def as_json(report: Report) -> str:
    """Return the same as one JSON object, which docs/verify.md describes."""
    found = {
        "version": VERSION,
        "address": report.address,
        "status": report.findings.status,
        "tables": [asdict(table) for table in report.tables],
        "findings": [
            {"level": one.level, "kind": one.kind, "where": one.where, "what": one.what, "todo": one.todo}
            for one in report.findings.kept
        ],
        "numbers": report.findings.numbers,
        "objects_elsewhere": report.elsewhere,
    }
    return json.dumps(found, indent=2) + "\n"


def _size(number: int) -> str:
    power = min((len(str(number)) - 1) // 3, len(_UNITS) - 1)
    return f"{number / 1000**power:,.{min(power, 1)}f} {_UNITS[power]}"


# --- History --------------------------------------------------------------------------------------------------------

_COLUMNS: Final = ("date", "rows", "added", "gone", "consistent", "read", "requests", "time")


def history_as_json(histories: list[History]) -> str:
    """Return one JSON object, which docs/verify.md describes."""
    return json.dumps({"version": VERSION, "lists": [asdict(history) for history in histories]}, indent=2) + "\n"


def history_as_text(histories: list[History]) -> str:
    """Return a table for each list, and below it what could not be read."""
    return "\n".join("\n".join(_history(history)) + "\n" for history in histories)


def _history(history: History) -> Iterator[str]:
    heads = [history.kind.replace("_", " ") if name == "rows" else name for name in _COLUMNS]
    rows = [heads, *map(_day, history.days)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield history.address
    for row in rows:
        cells = [
            cell.ljust(width) if name in {"date", "consistent", "read"} else cell.rjust(width)
            for name, cell, width in zip(_COLUMNS, row, widths, strict=True)
        ]
        yield "  " + "  ".join(cells).rstrip()
    for day in history.days:
        if day.problem:
            yield f"  {_HEADS[day.level]}: {day.date}: {day.problem}"


def _day(day: Day) -> list[str]:
    rows, added, gone, requests = (
        "-" if number is None else f"{number:,}" for number in (day.rows, day.added, day.gone, day.requests)
    )
    consistent = {None: "-", True: "yes", False: "no"}[day.consistent]
    read = {None: "-", True: "whole", False: "what is new"}[day.whole]
    return [day.date, rows, added, gone, consistent, read, requests, _duration(day.seconds)]


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    whole = round(seconds)
    hours, minutes = whole // 3_600, whole // 60 % 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
