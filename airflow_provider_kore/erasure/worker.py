"""One partition at a time: its files counted, or rewritten, and a manifest that says what lies there afterwards.

The files come first, then the manifest. A file that was rewritten names, in its metadata, the digest of the file that
the manifest described: so a reader can tell an erasure that is under way from damage, and whichever try comes next
finishes the manifest.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

from airflow_provider_kore.erasure.look import Contents, File, Partition, is_ours, look_at
from airflow_provider_kore.erasure.work import Moved, temporary
from airflow_provider_kore.exceptions import ContentionError, CorruptSnapshotError, RequestRefusedError
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.manifest import Manifest
from airflow_provider_kore.snapshot.manifest_checks import COUNTS, MOST_REPLACED
from airflow_provider_kore.snapshot.reading import ERASED_FROM
from airflow_provider_kore.snapshot.rivals import instant
from airflow_provider_kore.store.capabilities import LAGS
from airflow_provider_kore.store.store import Condition, ConditionFailed, ConditionUnsupported, check_metadata
from airflow_provider_kore.store.upload import upload_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_kore.erasure.persons import Sifted
    from airflow_provider_kore.erasure.work import Work
    from airflow_provider_kore.snapshot.manifest import Published
    from airflow_provider_kore.store.store import StoredObject

T = TypeVar("T")

log = logging.getLogger(__name__)

TURNS: Final = 8
"""How often a partition is looked at anew, because something else writes there, before it is given up."""

MOST_ERASURES: Final = 1_000
"""That a manifest tells of: the newest."""

_KINDS: Final = ("added", "changed", "gone")
_ATTEMPT: Final = "kore-attempt"
_LONGEST_CHAIN: Final = 8
"""Digests of files that a manifest may still describe, because that many erasures went on at once, or were cut off."""


@dataclass(slots=True)
class Known:
    """What was counted of an object that had this ETag."""

    etag: str
    erased: int
    size: int = 0


@dataclass(slots=True, kw_only=True)
class Counted:
    """What a look at a partition has come to."""

    contents: Contents
    files: dict[str, Known] = field(default_factory=dict)
    """Rows of persons, by key."""

    @property
    def is_work(self) -> bool:
        """Whether something is to be done: a person erased, or a manifest that an earlier try has left untrue."""
        return any(each.erased for each in self.files.values()) or any(
            each.status == "behind" for each in self.contents.files
        )


class Worker:
    """Counts and rewrites."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._store = work.store

    def settled(self, partition: Partition, do: Callable[[Contents], T], listed: list[StoredObject] | None = None) -> T:
        """Do something about what lies in a partition, from the beginning where something else writes there meanwhile.

        :param listed: what lies there, if that is known.

        Raises ContentionError, CorruptSnapshotError, and what is raised by what is done.
        """
        for turn in range(TURNS):
            try:
                return do(look_at(self._store, partition, listed or list(self._store.list(partition.prefix))))
            except (Moved, ConditionFailed):
                listed = None
                self._work.stop.check()
                self._work.clock.sleep(LAGS[min(turn, len(LAGS) - 1)])
            except ConditionUnsupported:
                raise RequestRefusedError(
                    f"{self._store.uri(partition.prefix)}: the store refuses conditional writes, without which an "
                    "erasure could overwrite a snapshot that lands meanwhile. Erase while nothing lands, with other "
                    "tools, or on a store that has them: docs/s3.md."
                ) from None
        raise ContentionError(
            f"A snapshot is landing in {self._store.uri(partition.prefix)}, or one was left there unfinished: its "
            "files are not what a manifest names. The next try looks again; if no task lands there, run the one that "
            "did, or wait until staging_expiry is over."
        )

    def count(self, partition: Partition, listed: list[StoredObject], known: dict[str, Known]) -> Counted:
        """Count the persons' rows; read nothing that is known. Raises CorruptSnapshotError, ContentionError."""

        def look(contents: Contents) -> Counted:
            found = Counted(contents=contents)
            for file in contents.files:
                there = known.get(file.key)
                if there is None or there.etag != file.etag:
                    with self._work.fetched(file.key) as (local, digest):
                        sifted = self._sifted(contents, file, digest, local, None)
                    there = Known(file.etag, sifted.erased, file.size)
                found.files[file.key] = there
            return found

        return self.settled(partition, look, listed)

    def erase(self, partition: Partition, known: dict[str, Known]) -> dict[str, int]:
        """Rewrite the files that hold a person's row, then the manifest; return how many rows went, by key.

        Raises ContentionError, CorruptSnapshotError.
        """
        erased: Counter[str] = Counter()
        known = dict(known)
        self.settled(partition, lambda contents: self._erase(contents, known, erased))
        return erased

    def _erase(self, contents: Contents, known: dict[str, Known], erased: Counter[str]) -> None:
        entries: dict[str, dict[str, Any]] = {}
        kinds: Counter[str] = Counter()
        for file in contents.files:
            self._work.stop.check()
            there = known.get(file.key)
            idle = there is not None and (there.etag, there.erased) == (file.etag, 0)
            if idle and file.status == "described" and contents.partition.table.file_name != "changes":
                continue
            entry, sifted = self._rewrite(contents, file)
            erased[file.key] += sifted.erased
            kinds += sifted.changes
            if entry is not None and sifted.erased:
                known[file.key] = Known(entry["etag"], 0, entry["bytes"])
            if entry is not None and file.entry is not None:
                entries[file.key] = entry
        if entries and contents.published is not None:
            self._write_manifest(contents.published, entries, kinds)

    def _rewrite(self, contents: Contents, file: File) -> tuple[dict[str, Any] | None, Sifted]:
        """Return what the manifest has to say of a file from now on, None if it says so, and what is in it."""
        traits = self._store.traits(file.key)
        if traits is None or traits.stored.etag != file.etag:
            raise Moved
        stored = traits.stored
        with self._work.fetched(file.key) as (local, digest), temporary() as other:
            sifted = self._sifted(contents, file, digest, local, other)
            if not sifted.erased:
                behind = file.status == "behind"  # what an earlier try has written
                return _entry(file, stored, sifted.rows, digest, "read back") if behind else None, sifted
            self._verify(file, other, sifted)
            before = stored.metadata.get(ERASED_FROM, "").split(",") if file.status == "behind" else []
            chain = ",".join([digest, *before][:_LONGEST_CHAIN])
            metadata = dict(stored.metadata) | {_ATTEMPT: secrets.token_hex(4), ERASED_FROM: chain}
            name = f"kore-{contents.partition.table.file_name}"
            if len(contents.files) == 1 and name in metadata:
                metadata[name] = str(sifted.rows)
            self._check_metadata(file.key, metadata)
            uploaded = upload_file(
                self._store.like(traits),
                file.key,
                other,
                content_type=traits.content_type,
                metadata=metadata,
                condition=Condition(etag=stored.etag),
                stop=self._work.stop,
            )
        return _entry(file, uploaded.stored, sifted.rows, uploaded.sha256, uploaded.evidence), sifted

    def _check_metadata(self, key: str, metadata: Mapping[str, str]) -> None:
        try:
            check_metadata(metadata)
        except ValueError as err:
            raise RequestRefusedError(
                f"{self._store.uri(key)} has metadata that cannot be written again: {err} Remove what others have "
                "added to it, and clear the task; this object was not changed."
            ) from None

    def _write_manifest(self, there: Published, entries: dict[str, dict[str, Any]], kinds: Counter[str]) -> None:
        traits = self._store.traits(there.key)
        if traits is None or traits.stored.etag != there.etag:
            raise Moved
        content = erased_content(there, entries, kinds, instant(self._work.clock.time()))
        self._store.like(traits).put(
            there.key,
            Manifest(content).to_bytes(),
            content_type=traits.content_type,
            metadata=dict(traits.stored.metadata),
            condition=Condition(etag=traits.stored.etag),
        )

    def _sifted(self, contents: Contents, file: File, digest: str, local: BinaryIO, other: BinaryIO | None) -> Sifted:
        """Sift a file that is what its manifest describes, or explained otherwise.

        Raises CorruptSnapshotError; Moved where something else writes there.
        """
        self.check_digest(contents, file, digest)
        sifted = self._work.persons.sift(local, other, (file.format, file.compression), self._work.stop)
        rows = sifted.rows + sifted.erased
        if file.status in {"described", "unknown"} and file.entry is not None and rows != file.entry["rows"]:
            raise self._damaged(file, f"holds {rows:,} rows, and its manifest says {file.entry['rows']:,}")
        return sifted

    def _verify(self, file: File, other: BinaryIO, sifted: Sifted) -> None:
        other.seek(0)
        again = self._work.persons.sift(other, None, (file.format, file.compression), self._work.stop)
        if again.erased or again.rows != sifted.rows:
            raise CorruptSnapshotError(
                f"What was to be stored as {self._store.uri(file.key)} holds {again.rows:,} rows instead of "
                f"{sifted.rows:,}, or a row that was to be erased. It was not stored; report it at the project's issue "
                "tracker."
            )

    def check_digest(self, contents: Contents, file: File, digest: str) -> None:
        """Check that a file is what its manifest describes; what none describes any more becomes ``unclaimed``.

        Raises as above.
        """
        told = file.entry.get("sha256") if file.entry is not None else None
        if file.status == "unclaimed":
            self._check_dead(file, contents)
        if file.status in {"unclaimed", "behind"} or told == digest:
            return
        now = self._store.head(file.key)
        if now is None or now.etag != file.etag:
            raise Moved
        if told is None and not is_ours(now):
            raise self._damaged(file, "may be anybody's: its manifest says no digest of it, nor does its metadata")
        if told is not None and (file.status != "unknown" or not is_ours(now)):
            raise self._damaged(file, "is not the file that its manifest describes")
        if told is not None:
            self._check_dead(file, contents)
            file.status, file.entry = "unclaimed", None

    def _check_dead(self, file: File, contents: Contents) -> None:
        """Raise Moved where no manifest names a file because a snapshot is just landing, for all that is known."""
        found = file.found or self._store.head(file.key)
        if found is not None and ERASED_FROM in found.metadata:
            return  # no landing writes that: an earlier erasure has taken it for dead
        now = self._work.clock.time()
        modified = found.modified.timestamp() if found is not None and found.modified is not None else now
        if now - modified < self._work.spec.staging_expiry:
            log.info("A snapshot is landing in %s.", self._store.uri(contents.partition.prefix))
            raise Moved

    def _damaged(self, file: File, problem: str) -> CorruptSnapshotError:
        return CorruptSnapshotError(
            f"{self._store.uri(quoted(file.key, 200))} {problem}. Find out what else writes there, and take the "
            "snapshot again; then erase."
        )


def _entry(file: File, stored: StoredObject, rows: int, sha256: str, evidence: str) -> dict[str, Any]:
    """Return what a manifest says of a file that was rewritten."""
    return {
        **(file.entry or {"key": file.key}),
        "bytes": stored.size,
        "rows": rows,
        "etag": stored.etag,
        "checksum": stored.checksum,
        "sha256": sha256,
        "evidence": evidence,
    }


def erased_content(
    there: Published, entries: dict[str, dict[str, Any]], kinds: Counter[str], now: str
) -> dict[str, Any]:
    """Return a manifest that says what lies there after an erasure; without a seal, which only a landing can set.

    :param there: the one that stood there.
    :param entries: of the files that are other ones now, by key.
    :param kinds: of a table of changes, how many rows of each kind are left.
    :param now: ISO 8601.
    """
    manifest, digest = there.manifest, there.sha256
    content = {name: value for name, value in manifest.content.items() if name != "seal"}
    content["files"] = [entries.get(file["key"], file) for file in manifest.files]
    rows = sum(int(file["rows"]) for file in content["files"])
    erased = manifest.rows - rows
    content |= {name: rows for name in COUNTS if name in content}
    if "changes" in content:
        content |= {name: kinds[name] for name in _KINDS if name in content}
    before, told, replaces = (content.get(name) for name in ("erased", "erasures", "replaces"))
    # a later run of this day keeps what the manifest replaces, and not what it says of erasures
    content["replaces"] = [digest, *(replaces if isinstance(replaces, list) else [])][:MOST_REPLACED]
    content["erased"] = (before if isinstance(before, int) else 0) + erased
    content["erasures"] = [
        *(told if isinstance(told, list) else []),
        {"erased_at": now, "rows": erased, "manifest_sha256": digest},
    ][-MOST_ERASURES:]
    return content
