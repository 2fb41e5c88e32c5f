"""Where chunks are kept between tries: in S3; or, for a walk that need not survive its process, in a nameless file."""

from __future__ import annotations

import errno
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol, cast

from airflow_provider_kore.exceptions import (
    BucketNotFoundError,
    CheckpointLostError,
    StorePermissionError,
    StoreUnavailableError,
    TempSpaceError,
)
from airflow_provider_kore.store.store import read_at_most

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kore.store.store import ObjectStore

LARGEST_CHUNK: Final = 64 << 20
"""Bytes of the largest chunk that is read, packed and unpacked: far more than is ever written."""


STORE_FAILS: Final = (StoreUnavailableError, StorePermissionError, BucketNotFoundError, TempSpaceError)
"""What says that a further write would fail as well."""


class ChunkStore(Protocol):
    """Small immutable files by name."""

    def names(self) -> list[str]:
        """Return the names of all chunks, sorted."""
        ...

    def read(self, name: str) -> bytes:
        """Return a chunk, of one that is too large a little more than :data:`LARGEST_CHUNK` bytes.

        Raises CheckpointLostError if it is gone.
        """
        ...

    def write(self, name: str, body: bytes) -> None:
        """Write a chunk whole; the same name again replaces it."""
        ...

    def delete(self, names: Sequence[str]) -> None:
        """Delete chunks; those that don't exist are no error."""
        ...

    def close(self) -> None:
        """Give up what only this process needs."""
        ...


class StoredChunks:
    """Chunks as objects below a prefix: they survive whatever happens to this worker."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def names(self) -> list[str]:
        """See :class:`ChunkStore`."""
        return [found.key.removeprefix(self._prefix) for found in self._store.list(self._prefix)]

    def read(self, name: str) -> bytes:
        """See :class:`ChunkStore`."""
        opened = self._store.get(self._prefix + name)
        if opened is None:
            raise CheckpointLostError(
                f"The checkpoint {self._store.uri(self._prefix + name)} vanished while it was needed. The next "
                "try walks anew, or finds what another process of this run has published meanwhile. If there was none, "
                "look for a lifecycle rule or a task that deletes below the staging prefix."
            )
        with opened as stream:
            return read_at_most(stream, LARGEST_CHUNK)

    def write(self, name: str, body: bytes) -> None:
        """See :class:`ChunkStore`."""
        self._store.put(self._prefix + name, body, content_type="application/gzip")

    def delete(self, names: Sequence[str]) -> None:
        """See :class:`ChunkStore`."""
        if names:
            self._store.delete([self._prefix + name for name in names])

    def close(self) -> None:
        """See :class:`ChunkStore`."""


class LocalChunks:
    """Chunks in one temporary file without a name: when this process ends, in whatever way, it cannot be read."""

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        self._places: dict[str, tuple[int, int]] = {}

    def names(self) -> list[str]:
        """See :class:`ChunkStore`."""
        return sorted(self._places)

    def read(self, name: str) -> bytes:
        """See :class:`ChunkStore`."""
        start, length = self._places.get(name, (0, 0))
        if self._file is None or not length:
            raise CheckpointLostError(f"The checkpoint {name} of this process is gone. The next try walks anew.")
        self._file.seek(start)
        return self._file.read(length)

    def write(self, name: str, body: bytes) -> None:
        """See :class:`ChunkStore`. Raises TempSpaceError."""
        with temp_space():
            if self._file is None:
                self._file = cast("BinaryIO", tempfile.TemporaryFile(prefix="kore-"))  # noqa: SIM115  # close() does
            start = self._file.seek(0, 2)
            self._file.write(body)
            self._file.flush()
        self._places[name] = (start, len(body))

    def delete(self, names: Sequence[str]) -> None:
        """See :class:`ChunkStore`."""
        for name in names:
            self._places.pop(name, None)
        if not self._places and self._file is not None:
            self._file.truncate(0)

    def close(self) -> None:
        """See :class:`ChunkStore`."""
        if self._file is not None:
            with suppress(OSError):  # of what did not fit any more, and is not needed any more
                self._file.close()
            self._file = None
        self._places = {}


def check_temp_space() -> None:
    """Make a temporary file and drop it, to find out before the walk whether it can be done. Raises TempSpaceError."""
    with temp_space(), tempfile.TemporaryFile(prefix="kore-") as file:
        file.write(b"x")
        file.flush()


def _temporary_folder() -> str:
    try:
        return f", {tempfile.gettempdir()},"
    except OSError:  # there is none
        return ""


class temp_space:  # noqa: N801  # used as a statement, as contextlib.suppress is
    """Turn a full or unwritable folder for temporary files into TempSpaceError."""

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Translate the error."""
        if isinstance(error, OSError) and error.errno in {
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EFBIG,
            errno.EROFS,
            errno.EACCES,
            errno.ENOENT,
            errno.ENOTDIR,
        }:
            raise TempSpaceError(
                f"The folder for temporary files{_temporary_folder()} is full, missing or cannot be written "
                f"({error.strerror}). Free some space, or point TMPDIR at a larger disk. What was read is kept."
            ) from None
