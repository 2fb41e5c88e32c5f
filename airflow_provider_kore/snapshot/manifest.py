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
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_provider_kore.exceptions import CorruptSnapshotError, ParameterError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.manifest_checks import problem_of
from airflow_provider_kore.store.store import read_at_most

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_kore.snapshot.seal import Seal
    from airflow_provider_kore.store.store import ObjectStore

MOST_BYTES: Final = 16 * 1024 * 1024
"""Of a manifest, written or read: some 50,000 files, and far more columns than a table may have."""

MOST_VALUES: Final = 2_000_000
"""Commas, colons and brackets in it: what is small as text may be large when it is read."""

CONTENT_SHA256: Final = "content_sha256"
"""The first member: the SHA-256 of the manifest's bytes without the line that says it. A flipped byte shows; a proof
against a person who writes manifests it is not."""

_FIRST_KEYS: Final = ("contact_list_id", "campaign_id", "stream_id")
"""The partition keys of which each table has one right below its prefix."""

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
    def started(self) -> float:
        """The same in seconds since the epoch."""
        return datetime.fromisoformat(self.started_at).timestamp()

    @property
    def erased(self) -> bool:
        """Whether contacts were erased from the snapshot since it landed."""
        return bool(self.content.get("erasures"))

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
            if isinstance(told, str) and told != value:
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
            content = json.loads(body, parse_constant=int)  # int refuses NaN and Infinity, as JSON does
            problem = problem_of(content)
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
    key: str
    etag: str
    sha256: str
    """Of the bytes that are stored, in hex: what a later manifest calls this one by."""


def read_manifest(store: ObjectStore, key: str) -> Published | None:
    """Return the manifest of a partition, None if it has none.

    Reads no more than :data:`MOST_BYTES`. Raises CorruptSnapshotError.
    """
    found = store.head(key)
    if found is None:
        return None
    where = store.uri(quoted(key, 300))
    if found.size > MOST_BYTES:
        raise _unreadable(where, _TOO_LARGE)
    opened = store.get(key)
    if opened is None:
        return None
    with opened as stream:
        body = read_at_most(stream, MOST_BYTES)
    digest = hashlib.sha256(body).hexdigest()
    return Published(manifest=Manifest.from_bytes(body, where), key=key, etag=found.etag, sha256=digest)


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


def _values_of(partition: str) -> dict[str, str]:
    """Return the partition keys with their values, and none of what its author's prefix has of that form."""
    found: dict[str, str] = {}
    for folder in reversed(partition.split("/")):
        name, is_key, value = folder.partition("=")
        if is_key:
            found.setdefault(name, value)
        if name in _FIRST_KEYS:
            break
    return found


def _own_name(content: Mapping[str, Any], file_name: str) -> Callable[[str], object]:
    """Return what matches the names of a snapshot's files: ``contacts.csv.gz``, or ``contacts-…-00000.csv.gz``."""
    name, compression = content.get("file_format"), content.get("compression")
    suffix = ".*" if name is None else re.escape(FORMATS[name].suffix(str(compression)))
    return re.compile(rf"{re.escape(file_name)}(-[0-9A-Za-z-]+)?{suffix}", re.ASCII).fullmatch
