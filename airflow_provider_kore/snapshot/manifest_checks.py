"""What a manifest must be to be believed: its members, of what kind they are, and that they add up.

Whatever lies in a bucket may have been put there by others, so everything that the package reads of a manifest is
checked here, once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.formats import FORMATS, MAX_COLUMNS, MAX_NAMES, TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA_VERSION: Final = 1

MOST_REPLACED: Final = 50
"""Digests of manifests that stood in the partition before."""

_LONGEST: Final = 1024
"""Characters of a key, which S3 allows, and of any id."""

_MOST_ROWS: Final = 2**53
COUNTS: Final = ("contacts", "campaigns", "contact_lists", "changes")
"""What a manifest calls its rows, each after the kind of its snapshot."""


_Check = Callable[[object], bool]
_Checks = dict[str, tuple[bool, _Check]]
"""By name of a member, whether it must be there, and what it must be."""


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable()


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_ROWS


def _is_instant(value: object) -> bool:
    if not isinstance(value, str) or len(value) > len("2026-01-02T03:04:05.123456+00:00"):
        return False
    try:
        found = datetime.fromisoformat(value)
        return found.utcoffset() is not None and found.astimezone(UTC) is not None
    except (ValueError, OverflowError):
        return False


def _is_date(value: object) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _is_type(value: object) -> bool:
    return value is None or (isinstance(value, str) and value in TYPES)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is(kind: type) -> _Check:
    return lambda value: isinstance(value, kind)


def _or_none(is_right: _Check) -> _Check:
    return lambda value: value is None or is_right(value)


def _list_of(is_right: _Check, most: float = float("inf")) -> _Check:
    return lambda value: isinstance(value, list) and len(value) <= most and all(map(is_right, value))


def _object(checks: _Checks) -> _Check:
    return lambda value: _wrong(value, checks, "") is None


_is_column: Final = _object({"name": (True, _is(str)), "type": (False, _is_type), "field": (False, _is(str))})


def _are_schema_columns(value: object) -> bool:
    """Say whether these may be a table's columns: names and fields once each, and no more than a table may have."""
    if not isinstance(value, list) or not value or not _list_of(_is_column, MAX_COLUMNS)(value):
        return False
    fields = [column.get("field", column["name"]) for column in value]
    names = {column["name"] for column in value}
    return len(set(fields)) == len(names) == len(value) and sum(map(len, fields)) <= MAX_NAMES


_OF: Final[_Checks] = {"snapshot_date": (True, _is_date), "snapshot_id": (True, _is_text)}
_SIDE: Final[_Checks] = {**_OF, "keys": (False, _list_of(_is_text))}
_CHANGE: Final[_Checks] = {
    "column": (True, _is(str)),
    "change": (True, _is_text),
    "from": (False, _is_type),
    "to": (False, _is_type),
}
_SCHEMA: Final[_Checks] = {
    "columns": (True, _are_schema_columns),
    "changes": (True, _list_of(_object(_CHANGE), MAX_COLUMNS)),
    "from": (True, _or_none(_object(_OF))),
}
_PREVIOUS: Final[_Checks] = {**_OF, "manifest": (True, _is_text), "manifest_sha256": (True, _is_digest)}
_TEXT_OR_NONE: Final = (False, _or_none(_is(str)))
_IDENTITY: Final = ("account_id", "stream_id", "contact_list_id", "campaign_id")
_NAMES: Final = ("contact_list_name", "campaign_name", "campaign_type", "list_updated_at")
_CHECKS: Final[_Checks] = {
    "content_sha256": (False, _is_digest),
    "snapshot_id": (True, _is_text),
    "snapshot_date": (False, _is_date),
    "consistent": (True, _is(bool)),
    "run": (True, _is(dict)),
    "walk": (True, _is(dict)),
    "previous": (False, _or_none(_is(dict))),
    "replaces": (False, _list_of(_is_digest, MOST_REPLACED)),
    **dict.fromkeys(("fields", "older", "newer", "schema"), (False, _is(dict))),
    **dict.fromkeys((*_IDENTITY, *_NAMES), _TEXT_OR_NONE),
    **dict.fromkeys((*COUNTS, "added", "changed", "gone", "unchanged"), (False, _is_count)),
}
_RUN: Final[_Checks] = {
    "digest": (True, _is_text),
    "try_number": (False, _is_count),
    "generation": _TEXT_OR_NONE,
    "recipe": _TEXT_OR_NONE,
}
_WALK: Final[_Checks] = {"started_at": (True, _is_instant), "ended_at": _TEXT_OR_NONE}
_FILE: Final[_Checks] = {
    "key": (True, _is_text),
    "rows": (True, _is_count),
    "bytes": (False, _is_count),
    "etag": (False, _is_text),
    "checksum": _TEXT_OR_NONE,
    "sha256": (False, _is_digest),
    "columns": (False, _list_of(_is_column)),
}


_MEMBERS: Final = {
    "run": _RUN,
    "walk": _WALK,
    "older": _SIDE,
    "newer": _SIDE,
    "schema": _SCHEMA,
    "previous": _PREVIOUS,
}


def problem_of(content: object) -> str | None:
    """Return what is wrong with a manifest, in words that complete "it …"; None if nothing is."""
    if not isinstance(content, dict):
        return "is no JSON object"
    version = content.get("schema_version")
    if isinstance(version, bool) or version != SCHEMA_VERSION:
        return f"has another schema_version than {SCHEMA_VERSION}"
    found = _wrong(content, _CHECKS, "")
    for name, checks in _MEMBERS.items():
        if found is None and content.get(name) is not None:
            found = _wrong(content[name], checks, f"{name}.")
    return found or _wrong_format(content) or _wrong_files(content)


def _wrong(value: object, checks: _Checks, where: str) -> str | None:
    if not isinstance(value, dict):
        return f"has an impossible {where}"
    for name, (required, is_right) in checks.items():
        if name not in value:
            if required:
                return f"has no {where}{name}"
        elif not is_right(value[name]):
            return f"has an impossible {where}{name}"
    return None


def _wrong_format(content: Mapping[str, object]) -> str | None:
    name, compression = content.get("file_format"), content.get("compression")
    if name is None and compression is None:
        return None
    if not isinstance(name, str) or name not in FORMATS or compression not in FORMATS[name].compressions:
        return "has another file_format or compression than there are"
    return None


def _wrong_files(content: Mapping[str, object]) -> str | None:
    files = content.get("files")
    if not isinstance(files, list) or not files:
        return "names no files"
    for number, file in enumerate(files):
        if not isinstance(file, dict):
            return f"has an impossible files[{number}]"
        if found := _wrong(file, _FILE, f"files[{number}]."):
            return found
    if len({file["key"] for file in files}) != len(files):
        return "names a file twice"
    rows = sum(file["rows"] for file in files)
    if any(content[name] != rows for name in COUNTS if name in content):
        return "counts other rows than its files hold"
    return None
