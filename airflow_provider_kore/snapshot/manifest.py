"""The manifest: enough to audit a snapshot without opening it.

It is written last, beside the object, and holds no contact data. Whatever lies in a bucket may have been put there by
others: :meth:`Manifest.from_bytes` checks everything that the package reads of one, so that nothing is checked twice.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_provider_kore.exceptions import CorruptSnapshotError, ParameterError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.store.store import read_at_most

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_kore.snapshot.seal import Seal
    from airflow_provider_kore.store.store import ObjectStore

SCHEMA_VERSION: Final = 1

MOST_BYTES: Final = 16 * 1024 * 1024
"""Of a manifest, written or read: some 50,000 files, and far more columns than a table may have."""

MOST_VALUES: Final = 2_000_000
"""Commas, colons and brackets in it: what is small as text may be large when it is read."""

_LONGEST: Final = 1024
"""Characters of a key, which S3 allows, and of any id."""

_MOST_ROWS: Final = 2**53
_COUNTS: Final = ("contacts", "campaigns", "contact_lists", "changes")
"""What a manifest calls its rows, each after the kind of its snapshot."""

CONTENT_SHA256: Final = "content_sha256"
"""The first member: the SHA-256 of the manifest's bytes without the line that says it. A flipped byte shows; a proof
against a person who writes manifests it is not."""

_TOO_LARGE: Final = f"is larger than {MOST_BYTES:,} bytes"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as it is stored. ``docs/manifest.md`` describes its fields."""

    content: dict[str, Any]

    @property
    def snapshot_id(self) -> str:
        """What the object's metadata calls it, too."""
        return str(self.content["snapshot_id"])

    @property
    def snapshot_date(self) -> str:
        """YYYY-MM-DD, the partition; empty if it does not say."""
        return str(self.content.get("snapshot_date") or "")

    @property
    def files(self) -> list[dict[str, Any]]:
        """What it says of each file; ``key`` and ``rows`` are never missing."""
        return list(self.content["files"])

    @property
    def rows(self) -> int:
        """How many rows landed."""
        return sum(int(file["rows"]) for file in self.content["files"])

    @property
    def consistent(self) -> bool:
        """Whether the list is proven to have held still while it was read."""
        return bool(self.content["consistent"])

    @property
    def run_digest(self) -> str:
        """Which run of which task published it."""
        return str(self.content["run"]["digest"])

    @property
    def generation(self) -> str | None:
        """Which of a person's requests for this run it answered; None if that is not known."""
        found = self.content["run"].get("generation")
        return found if isinstance(found, str) else None

    @property
    def recipe(self) -> str | None:
        """A digest of the parameters that it was made with; None if it does not say."""
        found = self.content["run"].get("recipe")
        return found if isinstance(found, str) else None

    @property
    def try_number(self) -> int:
        """Which try of the run published it; 0 if it does not say."""
        found = self.content["run"].get("try_number")
        return found if isinstance(found, int) else 0

    @property
    def started_at(self) -> str:
        """When its walk began, ISO 8601, as it was written: two of ours compare as text."""
        return str(self.content["walk"]["started_at"])

    @property
    def keys(self) -> list[str]:
        """The keys of the snapshot's files."""
        return [str(file["key"]) for file in self.content["files"]]

    def problem(self, partition: str, file_name: str) -> str | None:
        """Say why this is not the manifest of a partition, in words that complete "it …"; None if it may be.

        :param partition: the key prefix of the partition, ending with a slash.
        :param file_name: what the names of its files begin with: ``contacts``.
        """
        for name, value in _values_of(partition).items():
            told = self.content.get(name)
            if told is not None and told != value:
                return f"says {name} {quoted(told)!r}, and lies in {quoted(name)}={quoted(value)}"
        own = _own_name(self.content, file_name)
        for key in self.keys:
            if not key.startswith(partition):
                return f"names {quoted(key)!r}, which lies outside of its folder"
            if not own(key.removeprefix(partition)):
                return f"names {quoted(key)!r}, which is no file of a snapshot of {file_name.replace('_', ' ')}"
        return None

    def sealed(self, seal: Seal) -> Manifest:
        """Return the same with a proof that this connection's secret has written it."""
        return Manifest({**self.content, "seal": seal.of(self.snapshot_id, self._sealed_part())})

    def is_sealed(self, seal: Seal) -> bool:
        """Say whether it is as :meth:`sealed` returned it."""
        told = self.content.get("seal")
        return isinstance(told, str) and told.isascii() and seal.holds(self.snapshot_id, self._sealed_part(), told)

    def _sealed_part(self) -> bytes:
        """Return all but the seal, and what :meth:`to_bytes` may leave out."""
        first, *others = self.files
        files = [first, *({name: value for name, value in each.items() if name != "columns"} for each in others)]
        content = {name: value for name, value in self.content.items() if name != "seal"}
        return json.dumps({**content, "files": files}, sort_keys=True).encode()

    def to_bytes(self) -> bytes:
        """Return what is stored: the content, after a line that holds the digest of all the others.

        All files of a snapshot have the same columns; where they would make the manifest too large to be read again,
        only the first file says them.

        Raises ParameterError if there are more files than a manifest can name.
        """
        body = _digested(self.content)
        if _too_large(body):
            first, *others = self.content["files"]
            without = [{name: value for name, value in file.items() if name != "columns"} for file in others]
            body = _digested({**self.content, "files": [first, *without]})
        if _too_large(body):
            raise ParameterError(
                "rows_per_file",
                f"makes {len(self.content['files']):,} files, more than a manifest of {MOST_BYTES:,} bytes can name",
                "pass a larger number",
            )
        return body

    @classmethod
    def from_bytes(cls, body: bytes, where: str) -> Self:
        """Read what :meth:`to_bytes` returned, by whatever program it was written since: its digest is not compared.

        :param where: its address, for the message.

        Raises CorruptSnapshotError if it is no manifest, or of a version this package doesn't know.
        """
        if _too_large(body):
            raise _unreadable(where, _TOO_LARGE)
        problem: str | None = "is no JSON"
        content: Any = None
        with suppress(ValueError, RecursionError):  # ValueError: no JSON, no UTF-8, integers of more than 4,300 digits
            content = json.loads(body)
            problem = _problem(content)
        if problem is not None:
            raise _unreadable(where, problem)
        content.pop(CONTENT_SHA256, None)
        return cls(content)

    def is_written_as(self, body: bytes) -> bool | None:
        """Say whether it was read of just these bytes, each of which is as :meth:`to_bytes` wrote it.

        None: an earlier version wrote them, without a digest, so that a changed value would not show.
        """
        with suppress(RecursionError):  # what is nested so deep was not written here
            if body == _digested(self.content):
                return True
            earlier = next(iter(self.content)) == "schema_version"  # else it is the digest's name that was changed
            return None if earlier and body == _encoded(self.content) else False
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a partition holds: its manifest, with the ETag to fence on."""

    manifest: Manifest
    etag: str


def read_manifest(store: ObjectStore, key: str) -> Published | None:
    """Return the manifest of a partition, None if it has none.

    Reads no more than :data:`MOST_BYTES`. Raises CorruptSnapshotError.
    """
    found = store.head(key)
    if found is None:
        return None
    where = store.uri(key)
    if found.size > MOST_BYTES:
        raise _unreadable(where, _TOO_LARGE)
    opened = store.get(key)
    if opened is None:
        return None
    with opened as stream:
        return Published(manifest=Manifest.from_bytes(read_at_most(stream, MOST_BYTES), where), etag=found.etag)


def _unreadable(where: str, problem: str) -> CorruptSnapshotError:
    return CorruptSnapshotError(
        f"{where} is no manifest that this version of the provider can read: it {problem}. Move it away if it is not "
        "needed, and find out what else writes there."
    )


def _digested(content: dict[str, Any]) -> bytes:
    body = _encoded({name: value for name, value in content.items() if name != CONTENT_SHA256})
    return b'{\n  "%s": "%s",' % (CONTENT_SHA256.encode(), hashlib.sha256(body).hexdigest().encode()) + body[1:]


def _encoded(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _too_large(body: bytes) -> bool:
    return len(body) > MOST_BYTES or sum(map(body.count, (b",", b":", b"[", b"{"))) > MOST_VALUES


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable()


def _is_text_or_none(value: object) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= MOST_BYTES)


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


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is(kind: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kind)


def _are_columns(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(column, dict)
        and isinstance(column.get("name"), str)
        and (column.get("type") is None or isinstance(column["type"], str))
        for column in value
    )


def _are_keys(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


_Checks = dict[str, "tuple[bool, Callable[[object], bool]]"]
"""By name of a member, whether it must be there, and what it must be."""

_SIDE: Final[_Checks] = {"snapshot_date": (True, _is_date), "snapshot_id": (True, _is_text), "keys": (False, _are_keys)}
_CHECKS: Final[_Checks] = {
    CONTENT_SHA256: (False, _is_sha256),
    "snapshot_id": (True, _is_text),
    "snapshot_date": (False, _is_date),
    "consistent": (True, _is(bool)),
    "run": (True, _is(dict)),
    "walk": (True, _is(dict)),
    "fields": (False, _is(dict)),
    "list_updated_at": (False, _is_text_or_none),
    "older": (False, _is(dict)),
    "newer": (False, _is(dict)),
    **dict.fromkeys(("account_id", "stream_id", "contact_list_id", "campaign_id"), (False, _is_text_or_none)),
    **dict.fromkeys(("contact_list_name", "campaign_name", "campaign_type"), (False, _is_text_or_none)),
    **dict.fromkeys((*_COUNTS, "added", "changed", "gone", "unchanged"), (False, _is_count)),
}
_RUN: Final[_Checks] = {
    "digest": (True, _is_text),
    "try_number": (False, _is_count),
    "generation": (False, _is_text_or_none),
    "recipe": (False, _is_text_or_none),
}
_WALK: Final[_Checks] = {"started_at": (True, _is_instant), "ended_at": (False, _is_text_or_none)}
_FILE: Final[_Checks] = {
    "key": (True, _is_text),
    "rows": (True, _is_count),
    "bytes": (False, _is_count),
    "etag": (False, _is_text),
    "checksum": (False, _is_text_or_none),
    "sha256": (False, _is_sha256),
    "columns": (False, _are_columns),
}


def _problem(content: object) -> str | None:
    """Return what is wrong with a manifest, in words that complete "it …"; None if nothing is."""
    if not isinstance(content, dict):
        return "is no JSON object"
    version = content.get("schema_version")
    if isinstance(version, bool) or version != SCHEMA_VERSION:
        return f"has another schema_version than {SCHEMA_VERSION}"
    found = _wrong(content, _CHECKS, "")
    for name, checks in {"run": _RUN, "walk": _WALK, "older": _SIDE, "newer": _SIDE}.items():
        if found is None and name in content:
            found = _wrong(content[name], checks, f"{name}.")
    return found or _wrong_format(content) or _wrong_files(content)


def _wrong(value: Mapping[str, object], checks: _Checks, where: str) -> str | None:
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
    if any(content[name] != rows for name in _COUNTS if name in content):
        return "counts other rows than its files hold"
    return None


def _values_of(partition: str) -> dict[str, str]:
    """Return the partition keys with their values, those of the innermost folders if a name comes twice."""
    return {name: value for name, is_key, value in (part.partition("=") for part in partition.split("/")) if is_key}


def _own_name(content: Mapping[str, Any], file_name: str) -> Callable[[str], object]:
    """Return what matches the names of a snapshot's files: ``contacts.csv.gz``, or ``contacts-…-00000.csv.gz``."""
    name, compression = content.get("file_format"), content.get("compression")
    suffix = ".*" if name is None else re.escape(FORMATS[name].suffix(str(compression)))
    return re.compile(rf"{re.escape(file_name)}(-[0-9A-Za-z-]+)?{suffix}", re.ASCII).fullmatch
