"""Rows become one verified local file: written, then decoded again and counted, before anybody else can see it."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, cast

from airflow_provider_kore.exceptions import CorruptSnapshotError
from airflow_provider_kore.snapshot.chunks import temp_space
from airflow_provider_kore.snapshot.phases import Teller

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.formats import Column, ColumnSet, Format
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.walk.ids import IdSet

IN_MEMORY = 1 << 20
"""Bytes up to which a file never touches the disk."""

ROWS_AT_ONCE = 10_000
"""Rows that are read again between two looks whether to stop: some tens of milliseconds."""


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
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, prefix="kore-") as spool:
        file = cast("BinaryIO", spool)
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
