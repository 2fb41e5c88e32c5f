"""What both ways of committing a snapshot share: a file is built, uploaded and described; what is there is read.

A file is written, then decoded again and counted, before anybody else can see it.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from airflow_provider_kore.exceptions import ContentionError, CorruptSnapshotError, KoreError, StoreUnavailableError
from airflow_provider_kore.quoting import count
from airflow_provider_kore.snapshot.chunks import temp_space, temporary_file
from airflow_provider_kore.snapshot.manifest import Published, read_manifest
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.snapshot.work import Work
from airflow_provider_kore.store.capabilities import LAGS
from airflow_provider_kore.store.store import ABSENT, AccessRefused, Condition, StoredObject, find
from airflow_provider_kore.store.upload import Uploaded, upload_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from airflow_provider_kore.formats import Column, ColumnSet, Format
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.snapshot.rivals import Rivals
    from airflow_provider_kore.snapshot.target import Target
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.capabilities import Capabilities
    from airflow_provider_kore.walk.ids import IdSet

log = logging.getLogger(__name__)

TURNS: Final = 8
"""How often a writer yields to others who publish the same partition before it gives up."""

IN_MEMORY = 1 << 20
"""Bytes up to which a file never touches the disk."""

ROWS_AT_ONCE = 10_000
"""Rows that are read again between two looks whether to stop: some tens of milliseconds."""

_NAMES_IN_A_LINE: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltFile:
    """A file whose content is proven."""

    file: BinaryIO
    rows: int
    columns: tuple[Column, ...]


@contextmanager
def build(
    rows: Iterator[str],
    file_format: Format,
    compression: str,
    columns: ColumnSet,
    *,
    seen: IdSet,
    stop: Stop,
    teller: Teller | None = None,
) -> Iterator[BuiltFile]:
    """Write rows into a temporary file, and read that file again: what counts is what will be stored.

    :param seen: the ids of the files of this snapshot that were built before; those of this one are added.
    :param stop: is looked at now and then while the file is read again.
    :param teller: says how far it is where that takes long.

    Raises TempSpaceError, CorruptSnapshotError.
    """
    teller = teller or Teller()
    with temporary_file(IN_MEMORY) as file:
        with temp_space(), _unwritable(file_format), teller.phase("building the file", "rows") as phase:
            written = file_format.write(phase.counted(rows), file, compression=compression, columns=columns)
            file.flush()
        with teller.phase("verifying the file", "rows", written.rows) as phase:
            file.seek(0)
            seen.expect(len(seen) + written.rows)
            identifiers = file_format.read_ids(file, compression=compression)
            read = 0
            while some := list(islice(identifiers, ROWS_AT_ONCE)):
                stop.check()
                phase.reached(read)
                repeated = seen.add_all(some)
                if repeated:
                    raise CorruptSnapshotError(
                        f"Row {read + repeated[0] + 1:,} of the file that was to be stored repeats an _id. "
                        "Nothing was published; report it at the project's issue tracker."
                    )
                read += len(some)
        if read != written.rows:
            raise CorruptSnapshotError(
                f"The file that was to be stored holds {read:,} rows instead of {written.rows:,}. Nothing was "
                "published; report it at the project's issue tracker."
            )
        file.seek(0)
        yield BuiltFile(file=file, rows=read, columns=written.columns)


@contextmanager
def _unwritable(file_format: Format) -> Iterator[None]:
    """Turn what an encoder says about a row into CorruptSnapshotError, without the row."""
    try:
        yield
    except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError, NotImplementedError) as err:
        # Only our own messages are free of the value: pyarrow quotes it.
        problem = str(err) if type(err) is ValueError else type(err).__name__
    else:
        return
    raise CorruptSnapshotError(
        f"A row cannot be written as {file_format.name} ({problem}). Nothing was published. Clear the task, "
        "which walks anew; if it fails alike, report it at the project's issue tracker."
    )


@dataclass(slots=True, kw_only=True)
class Commit(Work):
    """One snapshot on its way into the bucket, and what it is written with."""

    target: Target
    """What was there when the run began."""
    capabilities: Capabilities
    conditional: bool
    """Whether the store takes conditions of writes, as far as is known."""
    rivals: Rivals

    def withdraw(self) -> None:
        """Take back what no manifest will ever name. One file stands once it was committed, or was replaced."""

    def tidy(self, manifest: Manifest) -> None:
        """Delete what a manifest has replaced. One file is replaced in its place."""

    def condition(self, found: StoredObject | None) -> Condition | None:
        """Return the condition of a write that must replace just this; None where the store takes no conditions."""
        if not self.conditional:
            return None
        return ABSENT if found is None else Condition(etag=found.etag)

    def no_conditions(self) -> None:
        """Send none from now on."""
        self.conditional = False
        log.warning(
            "The store has no conditional writes (it answers that it does not know them): two runs that publish "
            "the same partition at the same moment are told apart only by who was last."
        )

    def built(self, rows: Iterator[str], columns: ColumnSet, seen: IdSet) -> AbstractContextManager[BuiltFile]:
        """Build one file, verified."""
        how = self.spec.file_format, self.spec.compression
        return build(rows, *how, columns, seen=seen, stop=self.stop, teller=self.teller)

    def upload(
        self, key: str, file: BinaryIO, metadata: Mapping[str, str], condition: Condition | None = None
    ) -> Uploaded:
        """Upload one file, verified; whole, where the store takes no parts."""
        size = file.seek(0, os.SEEK_END)
        with self.teller.phase("uploading the file", "bytes", size, file):
            return upload_file(
                self.store,
                key,
                file,
                content_type=self.spec.file_format.media_type(self.spec.compression),
                metadata=metadata,
                condition=condition,
                stop=self.stop,
                whole=not self.capabilities.uploads,
            )

    def describe(self, uploaded: Uploaded, built: BuiltFile) -> dict[str, Any]:
        """Describe one file: what the store says it holds, and the rows that were decoded from those very bytes."""
        stored = uploaded.stored
        typed = self.spec.file_format.needs_columns
        return {
            "key": stored.key,
            "bytes": stored.size,
            "rows": built.rows,
            "etag": stored.etag,
            "checksum": stored.checksum,
            "sha256": uploaded.sha256,
            "evidence": uploaded.evidence,
            "columns": [
                {"name": column.name, "type": column.type} if typed else {"name": column.name}
                for column in built.columns
            ],
        }

    def check_count(self, stored: int, read: int) -> None:
        """Raise CorruptSnapshotError if not all rows that were read are about to be stored."""
        if stored != read:
            raise CorruptSnapshotError(
                f"{read:,} {self.spec.dataset.rows} were read, but {stored:,} rows were to be stored. Nothing was "
                "published; report it at the project's issue tracker."
            )

    def look_at(self, key: str) -> StoredObject | None:
        """Describe an object, by a listing where a HEAD is refused."""
        try:
            return find(self.store, key)
        except AccessRefused:
            return next((found for found in self.store.list(key) if found.key == key), None)

    def published(self) -> Published | None:
        """Return the manifest that stands there by now; None if there is none, or what was put there is none.

        A run that finds that before its first request refuses it. After hours of reading it is replaced: nothing that
        was read is lost for it.
        """
        try:
            return read_manifest(self.store, self.layout.manifest)
        except CorruptSnapshotError as err:
            log.warning("%s It counts as none.", err)
            return None

    def wait(self, turn: int) -> None:
        """Wait for a store that does not show yet what stands in the way."""
        self.clock.sleep(LAGS[min(turn, len(LAGS) - 1)])

    def gave_up(self, key: str, *, moved: bool) -> KoreError:
        """Return why nothing could be written under a key.

        :param moved: whether what is there changed meanwhile.
        """
        where = self.store.uri(key)
        if not moved:
            return StoreUnavailableError(
                f"{where}: the store refuses each conditional write, and shows nothing that could be the reason. Try "
                "again; the next try looks anew at what is there."
            )
        return ContentionError(f"Other writers keep publishing {where}. Look for tasks that write the same partition.")

    def delete(self, keys: list[str]) -> None:
        """Delete files that no manifest names, or say in the log that they stay."""
        for start in range(0, len(keys), _NAMES_IN_A_LINE):
            some = keys[start : start + _NAMES_IN_A_LINE]
            names = ", ".join(key.removeprefix(self.layout.partition) for key in some)
            try:
                self.store.delete(some)
            except KoreError as err:
                left = len(keys) - start
                named = count(left, "file that no manifest names stays", "files that no manifest names stay")
                log.warning("%s in %s: %s", named, self.layout.partition, err)
                return
            log.info("Deleted from %s, replaced: %s.", self.store.uri(self.layout.partition), names)


def etag(found: StoredObject | None) -> str:
    """Return an object's ETag, empty if there is none."""
    return found.etag if found is not None else ""
