"""The files of a snapshot, fetched one by one, and compared with all that their manifest says of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from airflow_provider_kore.audit.findings import Finding
from airflow_provider_kore.exceptions import (
    CorruptSnapshotError,
    KoreError,
    ParameterError,
    RequestRefusedError,
    RetryableError,
    StorePermissionError,
    StoreUnavailableError,
)
from airflow_provider_kore.formats import parse_format
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.chunks import temp_space, temporary_file
from airflow_provider_kore.snapshot.reading import MEMORY, copied
from airflow_provider_kore.snapshot.rivals import Writer
from airflow_provider_kore.store.store import ChecksumMismatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.audit.progress import Progress
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.store.store import ObjectStore, StoredObject
    from airflow_provider_kore.walk.ids import IdSet

MOST_IDS: Final = 20_000_000
"""Of one snapshot that are compared with each other: some 500 MB. A bomb may claim any number of rows."""

_TRIES: Final = 3
"""How often a file is fetched whose transfer breaks off."""

_ROWS_AT_ONCE: Final = 10_000

UNSEEN = (StorePermissionError, StoreUnavailableError, RequestRefusedError)
"""What a store raises about one object, while others can still be looked at."""


def not_looked_at(where: str, err: KoreError) -> Finding:
    """Say why something could not be looked at."""
    return Finding("not_looked_at", where, str(err), isinstance(err, RetryableError))


@dataclass(frozen=True, slots=True)
class Files:
    """Looks at files."""

    store: ObjectStore
    progress: Progress

    def check(self, manifest: Manifest, file: dict[str, Any], seen: IdSet) -> Iterator[Finding]:
        """Yield what is wrong with one file.

        :param seen: the ids of those before; those of this one are added.

        Raises StoppedError, TempSpaceError, and what the store raises that is about all of the bucket.
        """
        where = self.store.uri(quoted(file["key"], 300))
        try:
            stored = self.store.head(file["key"])
            if stored is None:
                yield _missing(where)
                return
            if Writer.of_object(stored).snapshot not in {"", manifest.snapshot_id}:  # empty: the store keeps none
                said = "Its metadata names another snapshot than its manifest."
                yield Finding("file_of_another_snapshot", where, said)
            with temp_space(), temporary_file(MEMORY) as local:
                found = self._fetch(file, local)
                if found is None:
                    yield _missing(where)
                    return
                sha256, size = found
                if sha256 != file.get("sha256"):
                    yield Finding("file_changed", where, _differs(size, file.get("bytes")))
                    return
                if differing := _told_otherwise(stored, file):
                    said = f"Another {differing} than its manifest says, and the same bytes"
                    yield Finding("file_rewritten", where, f"{said}: it was copied, or encrypted anew.")
                local.seek(0)
                yield from self._rows(manifest, file, local, seen, where)
        except ChecksumMismatch:
            yield Finding(
                "file_changed", where, f"Its bytes are others than the store's own checksum says, {_TRIES} times."
            )
        except UNSEEN as err:
            yield not_looked_at(where, err)

    def _fetch(self, file: dict[str, Any], local: BinaryIO) -> tuple[str, int] | None:
        """Fetch a file, and begin again if its transfer breaks off; see :func:`copied`."""
        left = _TRIES
        while True:
            local.seek(0)
            local.truncate()
            try:
                return copied(self.store, file, local, lambda: self.progress.at(file["key"]))
            except StoreUnavailableError:
                left -= 1
                if not left:
                    raise

    def _rows(
        self, manifest: Manifest, file: dict[str, Any], local: BinaryIO, seen: IdSet, where: str
    ) -> Iterator[Finding]:
        """Read a file back, and count; ids are compared with those of the snapshot's other files."""
        rows, repeated, told = 0, 0, file["rows"]
        try:
            seen.expect(len(seen) + told)
            for some in self.identifiers(manifest, file, local):
                rows += len(some)
                if len(seen) + len(some) <= MOST_IDS:
                    repeated += len(seen.add_all(some))
        except CorruptSnapshotError as err:
            said = str(err).partition(": ")[2].removesuffix(" Don't use it; take the snapshot again.")
            yield Finding("file_unreadable", where, f"It cannot be read back: {said}")
            return
        except ParameterError as err:  # without pyarrow
            yield Finding("not_looked_at", where, f"Its rows were not read back. {err}")
            return
        if rows != told:
            more = " or more" if rows > told else ""
            yield Finding("rows_differ", where, f"It holds {rows:,} rows{more}, and its manifest says {told:,}.")
        if repeated:
            yield Finding("id_repeated", where, f"{repeated:,} of its rows have an _id that came before.")
        if len(seen) + _ROWS_AT_ONCE > MOST_IDS:
            yield Finding("too_many_ids", where, f"No more than {MOST_IDS:,} ids are compared with each other.")

    def identifiers(self, manifest: Manifest, file: dict[str, Any], local: BinaryIO) -> Iterator[list[str]]:
        """Read the ids of a file that was fetched, some at once; of a bomb not many more than it should have.

        Raises CorruptSnapshotError, ParameterError (without pyarrow), StoppedError.
        """
        chosen = parse_format(manifest.content.get("file_format"), manifest.content.get("compression"))
        chosen.format.require(chosen.compression)
        identifiers = chosen.format.read_ids(local, compression=chosen.compression)
        rows = 0
        while rows <= file["rows"] and (some := list(islice(identifiers, _ROWS_AT_ONCE))):
            rows += len(some)
            self.progress.at(file["key"], len(some))
            yield some


def _told_otherwise(stored: StoredObject, file: dict[str, Any]) -> str:
    """Return what the store tells of a file otherwise than its manifest, although the bytes are the same."""
    told = {"size": (stored.size, file.get("bytes")), "ETag": (stored.etag, file.get("etag"))}
    checksums = stored.checksum or "", file.get("checksum") or ""
    if len({checksum.partition(":")[0] for checksum in checksums}) == 1:  # the store keeps several, and tells one
        told["checksum"] = checksums
    return " and ".join(name for name, both in told.items() if all(both) and both[0] != both[1])


def _missing(where: str) -> Finding:
    return Finding("file_missing", where, "Its manifest names it, and it is not there.")


def _differs(size: int, told: int | None) -> str:
    if told is not None and size != told:
        return f"It has {f'{size:,}' if size < told else f'more than {told:,}'} bytes, and its manifest says {told:,}."
    return "Its bytes are others than its manifest says (SHA-256)."
