"""The table that lies at a place in a bucket: its columns, its partitions, and the days that one definition can read.

Whatever lies there may have been put there by others: manifests are checked as everywhere, and names of folders are
text that others chose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from airflow_provider_kore.exceptions import CorruptSnapshotError, ParameterError
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.layout import MANIFEST_NAME
from airflow_provider_kore.snapshot.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_provider_kore.store.store import ObjectStore

DATE: Final = "snapshot_date"
"""The innermost partition key of every table."""

MOST_MANIFESTS: Final = 5_000
"""Read for one table: a list's snapshots of 13 years. Older ones are left out, and the answer says so."""

MOST_PARTITIONS: Final = 200_000

_MOST_NAMED: Final = 5
_published = re.compile(
    rf"(?P<above>.*?)(?P<keys>(?:[a-z_]+=[^/]+/)*){DATE}=(?P<date>\d{{4}}-\d\d-\d\d)/{re.escape(MANIFEST_NAME)}",
    re.ASCII | re.DOTALL,
).fullmatch

_unparsed = re.compile(r"[ ;{}()\n\t]").search
"""What ends a name for Hive's reader of Parquet. Source: parquet-java, ``MessageTypeParser``."""
_format_in = re.compile(r"[^_.].*?\.(jsonl|csv|parquet)(?:\.|$)").match
_plain = re.compile(r"\w{1,255}", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What is landed below one prefix."""

    location: str
    """Its address, ``s3://bucket/prefix/``."""
    keys: tuple[str, ...]
    """The partition keys above ``snapshot_date``; none where the place is one list's."""
    file_format: str
    columns: Mapping[str, str | None]
    """By name, as files spell it (in jsonl, as the contacts do), one of the types that
    :class:`~airflow_provider_kore.formats.Column` has but ``json``; None: all is text."""
    by_position: bool
    """Whether a column is found by its place in a file: always in csv, and where names cannot be those of a table."""
    first: str
    """YYYY-MM-DD, the oldest snapshot from which on all have these columns."""
    notes: tuple[str, ...] = ()
    """What this definition cannot show, as sentences."""


class _Partition(NamedTuple):
    date: str
    folder: str
    """Between the table and the date: ``contact_list_id=cl-81/``."""
    key: str
    file_format: str
    """By the names of its files; empty if there are none."""


@dataclass(slots=True)
class _Columns:
    """The columns of a table, as its manifests tell of them one by one, the newest first."""

    file_format: str
    by_position: bool
    known: dict[str, str | None] = field(default_factory=dict)

    def take(self, manifest: Manifest) -> str | None:
        """Take in a manifest's columns, or say why a reader of the others cannot read its files."""
        if _format_of(manifest) != self.file_format:
            return f"the format is {_format_of(manifest)}"
        found = _columns_of(manifest)
        if self.file_format != "parquet":
            found = dict.fromkeys(found)
        problem = (self._misplaced(found) if self.by_position else self._mistyped(found)) if self.known else None
        if problem is None:
            self.known.update(found)
        return problem

    def _misplaced(self, found: Mapping[str, str | None]) -> str | None:
        expected = list(self.known.items())
        for number, column in enumerate(found.items()):
            if number >= len(expected) or column != expected[number]:
                return f"column {number + 1} is {quoted(column[0])!r}, and another one later"
        return None

    def _mistyped(self, found: Mapping[str, str | None]) -> str | None:
        for name, kind in found.items():
            if self.known.get(name, kind) != kind:
                return f"column {quoted(name)!r} is {kind}, not {self.known[name]}"
        new = [name for name in found if name not in self.known]
        if new and self.file_format == "parquet" and not are_plain([*self.known, *new]):
            return f"column {quoted(new[0])!r}, or one after it, cannot be found by its name"
        return None


def find_table(store: ObjectStore, prefix: str, *, today: date | None = None) -> Table:
    """Read what the manifests below a prefix say: of each list the newest, and the older ones while their columns fit.

    csv is read by position: a table of several lists has no one definition. In parquet a column must have one type in
    all files. In jsonl all columns are text; where the newest manifest says the table's columns, no older one is read.

    :param prefix: of a table, or of one list in it; empty, or ends with a slash.
    :param today: to say in a note if a snapshot is of a day after tomorrow; None: don't look.

    Raises ParameterError if no table lies there, or several; CorruptSnapshotError for a newest manifest that cannot be
    read; what the store raises.
    """
    lists: dict[str, list[_Partition]] = {}
    for each in _partitions(store, prefix):
        lists.setdefault(each.folder, []).append(each)
    advice = f"name one list, such as {quoted(store.uri(prefix + next(iter(lists))), 300)}"
    if len(lists) > MOST_MANIFESTS:
        raise ParameterError("address", f"holds {len(lists):,} lists", advice)
    newest = {folder: _read(store, days[-1]) for folder, days in lists.items()}
    file_format = _format_of(next(iter(newest.values())))
    keys = _keys_of(next(iter(lists)))
    names = {name for manifest in newest.values() for name in _columns_of(manifest)}
    by_position = file_format == "csv" or (file_format == "parquet" and not are_plain([*keys, DATE, *names]))
    if by_position and len(lists) > 1:
        raise ParameterError(
            "address",
            f"holds {len(lists):,} lists, each with columns of its own, which can only be told by their position",
            advice,
        )
    columns = _Columns(file_format=file_format, by_position=by_position)
    for folder, manifest in newest.items():
        if problem := columns.take(manifest):
            where = quoted(store.uri(prefix + folder), 300)
            raise ParameterError("address", f"holds lists that are no one table: in {where}, {problem}", advice)
    whole = file_format == "jsonl" and all("schema" in manifest.content for manifest in newest.values())
    unfit = _unfit(store, lists.values(), columns, read=not whole)
    dates = sorted(each.date for days in lists.values() for each in days)
    since = max((date for date, _ in unfit), default="")
    return Table(
        location=store.uri(prefix),
        keys=keys,
        file_format=file_format,
        columns=columns.known,
        by_position=by_position,
        first=next(date for date in dates if date > since),
        notes=tuple(_notes(unfit, newest.values(), columns, dates[-1], today)),
    )


def are_plain(names: Sequence[str]) -> bool:
    """Say whether these can be names in a table that knows no upper case, and letters, digits and underscores only."""
    return len({name.lower() for name in names}) == len(names) and all(map(_plain, names))


def _unfit(
    store: ObjectStore, lists: Iterable[Sequence[_Partition]], columns: _Columns, *, read: bool
) -> list[tuple[str, str]]:
    """Return of each list the youngest day that the columns do not fit, with the reason.

    :param read: whether the manifests are needed; else the files' names tell.
    """
    found = []
    left = MOST_MANIFESTS
    for days in lists:
        for each in reversed(days[:-1]):
            problem = None
            if each.file_format not in {"", columns.file_format}:
                problem = f"the format is {each.file_format}"
            elif read and left == 0:
                problem = f"the manifest was not read, after {MOST_MANIFESTS:,} others"
            elif read:
                left -= 1
                try:
                    problem = columns.take(_read(store, each))
                except CorruptSnapshotError:
                    problem = "the manifest cannot be read"
            if problem is not None:
                found.append((each.date, problem))
                break
    return found


def _notes(
    unfit: Iterable[tuple[str, str]], newest: Iterable[Manifest], columns: _Columns, last: str, today: date | None
) -> Iterable[str]:
    worst = max(unfit, default=None)
    if worst is not None:
        yield f"Snapshots up to {worst[0]} are left out: of that day, {worst[1]}."
    if any(manifest.content.get("columns_truncated") is True for manifest in newest):
        yield "Contacts have more fields than the manifest names: those have no column."
    unparsed = [name for name in columns.known if not name or _unparsed(name)]
    if unparsed and columns.file_format == "parquet":
        named = ", ".join(f"{quoted(name)!r}" for name in unparsed[:_MOST_NAMED])
        yield (
            f"Hive's reader of Parquet cannot read a file with a column called {named}: leave the field out, or land "
            "jsonl or csv. Athena was not tried."
        )
    if today is not None and last > (today + timedelta(days=1)).isoformat():
        yield f"The snapshot of {last} is later than tomorrow, and seen only when that day has come."


def _partitions(store: ObjectStore, prefix: str) -> list[_Partition]:
    """Return the partitions of the table, by date. Raises ParameterError."""
    found, formats, elsewhere = _listed(store, prefix)
    if elsewhere:
        named = ", ".join(quoted(store.uri(prefix + above), 300) for above in elsewhere)
        raise ParameterError("address", "is above the table", f"name the table: {named}")
    if not found:
        advice = "name the folder that holds snapshot_date=…, or contact_list_id=…, and end it with a slash"
        raise ParameterError("address", f"holds no snapshot: {quoted(store.uri(prefix), 300)}", advice)
    if len({_keys_of(each.folder) for each in found}) > 1:
        raise ParameterError("address", "holds tables with different partitions", "name one of them")
    return [each._replace(file_format=formats.get(each.key.rpartition("/")[0], "")) for each in sorted(found)]


def _listed(store: ObjectStore, prefix: str) -> tuple[list[_Partition], dict[str, str], list[str]]:
    """Return the partitions, the formats of files by folder, and what is above tables that lie deeper."""
    found: list[_Partition] = []
    formats: dict[str, str] = {}
    elsewhere: dict[str, None] = {}
    for each in store.list(prefix):
        folder, _, name = each.key.rpartition("/")
        told = _published(each.key.removeprefix(prefix)) if name == MANIFEST_NAME else None
        if told is None:
            if kind := _format_in(name):
                formats[folder] = kind[1]
        elif told["above"]:
            elsewhere.setdefault(told["above"])
            if len(elsewhere) == _MOST_NAMED:
                break
        elif _is_date(told["date"]):
            keys = _keys_of(told["keys"])
            if len({DATE, *keys}) <= len(keys):
                continue  # a key stands there twice: no table can have it
            found.append(_Partition(told["date"], told["keys"], each.key, ""))
            if len(found) > MOST_PARTITIONS:
                raise ParameterError("address", f"holds more than {MOST_PARTITIONS:,} snapshots", "name one list")
    return found, formats, list(elsewhere)


def _keys_of(folder: str) -> tuple[str, ...]:
    return tuple(part.partition("=")[0] for part in folder.split("/")[:-1])


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text) is not None
    except ValueError:
        return False


def _read(store: ObjectStore, partition: _Partition) -> Manifest:
    found = read_manifest(store, partition.key)
    where = quoted(store.uri(partition.key), 300)
    if found is None:
        raise CorruptSnapshotError(f"{where} has vanished meanwhile. Try again.")
    if not _columns_of(found.manifest):
        raise CorruptSnapshotError(f"{where} does not say which columns its files have. Take the snapshot again.")
    return found.manifest


def _format_of(manifest: Manifest) -> str:
    return str(manifest.content.get("file_format") or "jsonl")


def _columns_of(manifest: Manifest) -> dict[str, str | None]:
    """Return the columns by name; empty where the manifest does not say them, or a name twice."""
    schema = manifest.content.get("schema")
    columns = schema["columns"] if schema else manifest.files[0].get("columns") or []
    spelt = "field" if _format_of(manifest) == "jsonl" else "name"
    as_read = {"json": "string"}  # nested values are their JSON text
    found = {str(each.get(spelt, each["name"])): as_read.get(each.get("type"), each.get("type")) for each in columns}
    return found if len(found) == len(columns) else {}
