"""One partition at a time: its files counted, or rewritten, and a manifest that says what lies there afterwards.

The files come first, then the manifest. A file that was rewritten names, in its metadata, the digest of the file that
the manifest described: so a reader can tell an erasure that is under way from damage, and whichever try comes next
finishes the manifest.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from airflow_provider_kore.erasure.look import Contents, File, Moved, Partition, hidden_phones, look_at
from airflow_provider_kore.erasure.manifests import erased_content
from airflow_provider_kore.erasure.sift import Sifted, sift
from airflow_provider_kore.exceptions import ContentionError, CorruptSnapshotError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.chunks import temp_space
from airflow_provider_kore.snapshot.manifest import Manifest
from airflow_provider_kore.snapshot.reading import ERASED_FROM
from airflow_provider_kore.snapshot.rivals import Writer, instant
from airflow_provider_kore.store.capabilities import LAGS
from airflow_provider_kore.store.store import Condition, ConditionFailed, ConditionUnsupported
from airflow_provider_kore.store.upload import upload_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.erasure.persons import Persons
    from airflow_provider_kore.erasure.spec import ErasureSpec
    from airflow_provider_kore.snapshot.fields import FieldPolicies
    from airflow_provider_kore.snapshot.phases import Teller
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.store import ObjectStore
    from airflow_provider_kore.store.versions import VersionedStore

log = logging.getLogger(__name__)

TURNS: Final = 8
"""How often a partition is looked at anew, because something else writes there, before it is given up."""

_MEMORY: Final = 1 << 20
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
class Outcome:
    """What a look at a partition, or its rewriting, has come to."""

    counted: dict[str, Known] = field(default_factory=dict)
    """Rows of persons by key: that are there, or were."""
    behind: bool = False
    """Whether a manifest does not say yet what an earlier try has erased."""
    strangers: list[str] = field(default_factory=list)
    hidden: str | None = None
    """Why phone numbers cannot be found here."""
    written: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By key, what the receipt says of an object that was rewritten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Counts and rewrites."""

    spec: ErasureSpec
    store: VersionedStore
    persons: Persons
    policies: FieldPolicies | None
    stop: Stop
    clock: Clock
    teller: Teller

    def count(self, partition: Partition, objects: list[Any], known: dict[str, Known]) -> Outcome:
        """Count the persons' rows; read nothing that is known. Raises CorruptSnapshotError, ParameterError."""
        for turn in range(TURNS):
            try:
                return self._count(partition, objects, known)
            except Moved:
                self._wait(turn)
                objects = list(self.store.list(partition.prefix))
        raise self._contended(partition)

    def _count(self, partition: Partition, objects: list[Any], known: dict[str, Known]) -> Outcome:
        contents = look_at(cast("ObjectStore", self.store), partition, objects)
        outcome = self._outcome(contents)
        for file in contents.files:
            there = known.get(file.key)
            if there is not None and there.etag == file.etag:
                outcome.counted[file.key] = there
                outcome.behind |= file.status == "behind"
                continue
            with self.fetched(file) as (local, digest):
                sifted = self._sifted(file, local, None)
            self._check(contents, file, digest, sifted)
            outcome.counted[file.key] = Known(file.etag, sifted.erased, file.size)
            outcome.behind |= file.status == "behind"
        return outcome

    def erase(self, partition: Partition, known: dict[str, Known]) -> Outcome:
        """Rewrite the files that hold a person's row, then the manifest. Raises ContentionError."""
        done = Outcome()
        for turn in range(TURNS):
            try:
                return self._erase(partition, known, done)
            except (Moved, ConditionFailed):
                self._wait(turn)
            except ConditionUnsupported:
                raise _unconditional(self.store.uri(partition.prefix)) from None
        raise self._contended(partition)

    def _erase(self, partition: Partition, known: dict[str, Known], done: Outcome) -> Outcome:
        contents = look_at(cast("ObjectStore", self.store), partition, list(self.store.list(partition.prefix)))
        done.strangers = [each.key for each in contents.strangers]
        entries: dict[str, dict[str, Any]] = {}
        kinds: Counter[str] = Counter()
        for file in contents.files:
            self.stop.check()
            there = known.get(file.key)
            idle = there is not None and (there.etag, there.erased) == (file.etag, 0)
            if idle and file.status == "described" and partition.table.file_name != "changes":
                continue
            entry, sifted = self._rewrite(contents, file, done)
            kinds += sifted.changes
            if entry is not None and file.entry is not None:
                entries[file.key] = entry
        if entries and contents.manifest is not None:
            self._write_manifest(contents, entries, kinds)
        return done

    def _rewrite(self, contents: Contents, file: File, done: Outcome) -> tuple[dict[str, Any] | None, Sifted]:
        """Return what the manifest has to say of a file from now on, None if it says so, and what is in it."""
        traits = self.store.traits(file.key)
        if traits is None or traits.stored.etag != file.etag:
            raise Moved
        stored = traits.stored
        with self.fetched(file) as (local, digest), self._temporary() as other:
            sifted = self._sifted(file, local, other)
            self._check(contents, file, digest, sifted)
            if not sifted.erased:
                entry = self._described(file, stored, digest, sifted.rows) if file.status == "behind" else None
                return entry, sifted
            self._verify(file, other, sifted)
            before = stored.metadata.get(ERASED_FROM, "").split(",") if file.status == "behind" else []
            chain = ",".join([digest, *before][:_LONGEST_CHAIN])
            metadata = dict(stored.metadata) | {_ATTEMPT: secrets.token_hex(4), ERASED_FROM: chain}
            name = f"kore-{contents.partition.table.file_name}"
            if len(contents.files) == 1 and name in metadata:
                metadata[name] = str(sifted.rows)
            other.seek(0)
            uploaded = upload_file(
                self.store.like(traits),
                file.key,
                other,
                content_type=traits.content_type,
                metadata=metadata,
                condition=Condition(etag=stored.etag),
                stop=self.stop,
            )
        entry = {
            **(file.entry or {"key": file.key}),
            "bytes": uploaded.stored.size,
            "rows": sifted.rows,
            "etag": uploaded.stored.etag,
            "checksum": uploaded.stored.checksum,
            "sha256": uploaded.sha256,
            "evidence": uploaded.evidence,
        }
        erased = done.written.get(file.key, {}).get("erased", 0)
        done.written[file.key] = {"erased": erased + sifted.erased, "rows": sifted.rows, "sha256": uploaded.sha256}
        done.counted[file.key] = Known(uploaded.stored.etag, 0, uploaded.stored.size)
        return entry, sifted

    def _described(self, file: File, stored: Any, digest: str, rows: int) -> dict[str, Any]:
        """Describe what an earlier try has written."""
        return {
            **(file.entry or {}),
            "bytes": stored.size,
            "rows": rows,
            "etag": stored.etag,
            "checksum": stored.checksum,
            "sha256": digest,
            "evidence": "read back",
        }

    def _write_manifest(self, contents: Contents, entries: dict[str, dict[str, Any]], kinds: Counter[str]) -> None:
        key, manifest = contents.partition.manifest, cast("Manifest", contents.manifest)
        traits = self.store.traits(key)
        if traits is None or traits.stored.etag != contents.manifest_etag:
            raise Moved
        content = erased_content(manifest, entries, kinds, contents.manifest_digest, instant(self.clock.time()))
        self.store.like(traits).put(
            key,
            Manifest(content).to_bytes(),
            content_type=traits.content_type,
            metadata=dict(traits.stored.metadata),
            condition=Condition(etag=traits.stored.etag),
        )

    def _outcome(self, contents: Contents) -> Outcome:
        hidden = None
        if self.persons.phones and contents.files:
            strict = self.spec.on_missing == "fail"
            hidden = hidden_phones(contents, self.persons.fields, self.policies, strict=strict)
        return Outcome(strangers=[each.key for each in contents.strangers], hidden=hidden)

    @contextmanager
    def fetched(self, file: File) -> Iterator[tuple[BinaryIO, str]]:
        """Fetch a file into a temporary one; its digest comes with it. Raises Moved if it is gone."""
        opened = self.store.get(file.key)
        if opened is None:
            raise Moved
        with self._temporary() as local:
            sha = hashlib.sha256()
            with opened as stream:
                while block := stream.read(_MEMORY):
                    self.stop.check()
                    sha.update(block)
                    local.write(block)
            local.seek(0)
            yield local, sha.hexdigest()

    @contextmanager
    def _temporary(self) -> Iterator[BinaryIO]:
        with temp_space(), tempfile.SpooledTemporaryFile(max_size=_MEMORY, prefix="kore-") as spool:
            yield cast("BinaryIO", spool)

    def _sifted(self, file: File, local: BinaryIO, other: BinaryIO | None) -> Sifted:
        FORMATS[file.format].require(file.compression)
        local.seek(0)
        return sift(local, other, name=file.format, compression=file.compression, persons=self.persons, stop=self.stop)

    def _verify(self, file: File, other: BinaryIO, sifted: Sifted) -> None:
        again = self._sifted(file, other, None)
        if again.erased or again.rows != sifted.rows:
            raise CorruptSnapshotError(
                f"What was to be stored as {self.store.uri(file.key)} holds {again.rows:,} rows instead of "
                f"{sifted.rows:,}, or a row that was to be erased. It was not stored; report it at the project's issue "
                "tracker."
            )

    def _check(self, contents: Contents, file: File, digest: str, sifted: Sifted) -> None:
        """Check that a file is what its manifest describes, or explained otherwise.

        Raises CorruptSnapshotError; Moved and ContentionError where something else writes there.
        """
        entry = file.entry or {}
        told = entry.get("sha256")
        if file.status == "unclaimed":
            self._check_dead(file, contents)
            return
        if file.status == "behind":
            return
        if told is not None and told != digest:
            now = self.store.head(file.key)
            if now is None or now.etag != file.etag:
                raise Moved
            if file.status == "unknown" and Writer.of_object(now).run and _attempts_differ(contents, now):
                self._check_dead(file, contents)
                file.status = "unclaimed"
                file.entry = None
                return
            raise self._damaged(file, "is not the file that its manifest describes")
        rows = sifted.rows + sifted.erased
        if rows != entry.get("rows"):
            raise self._damaged(file, f"holds {rows:,} rows, and its manifest says {entry.get('rows'):,}")

    def _check_dead(self, file: File, contents: Contents) -> None:
        """Raise Moved where no manifest names a file because a snapshot is just landing, for all that is known."""
        found = file.found or self.store.head(file.key)
        if found is not None and ERASED_FROM in found.metadata:
            return  # no landing writes that: an earlier erasure has taken it for dead
        modified = found.modified if found is not None else None
        age = self.clock.time() - (modified.timestamp() if isinstance(modified, datetime) else self.clock.time())
        if age < self.spec.staging_expiry:
            log.info("A snapshot is landing in %s.", self.store.uri(contents.partition.prefix))
            raise Moved

    def _damaged(self, file: File, problem: str) -> CorruptSnapshotError:
        return CorruptSnapshotError(
            f"{self.store.uri(quoted(file.key, 200))} {problem}. Find out what else writes there, and take the "
            "snapshot again; then erase."
        )

    def _wait(self, turn: int) -> None:
        self.stop.check()
        self.clock.sleep(LAGS[min(turn, len(LAGS) - 1)])

    def _contended(self, partition: Partition) -> ContentionError:
        return ContentionError(
            f"A snapshot is landing in {self.store.uri(partition.prefix)}, or one was left there unfinished: its files "
            "are not what a manifest names. The next try looks again; if no task lands there, run the one that did, or "
            "wait until staging_expiry is over."
        )


def _attempts_differ(contents: Contents, now: Any) -> bool:
    """Say whether an object tells of another writer than the manifest: it was published, and its manifest was not."""
    manifest = contents.manifest
    return manifest is not None and bool(Writer.of_object(now).snapshot)


def _unconditional(where: str) -> Exception:
    from airflow_provider_kore.exceptions import RequestRefusedError

    return RequestRefusedError(
        f"{where}: the store refuses conditional writes, without which an erasure could overwrite a snapshot that "
        "lands meanwhile. Erase while nothing lands, with other tools, or on a store that has them: docs/s3.md."
    )
