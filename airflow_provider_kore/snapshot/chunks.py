"""Where chunks are kept between tries: in S3; or, for a walk that need not survive its process, in a nameless file."""

from __future__ import annotations

import errno
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from airflow_provider_kore.exceptions import (
    BucketNotFoundError,
    CheckpointLostError,
    StorePermissionError,
    StoreUnavailableError,
    TempSpaceError,
)
from airflow_provider_kore.store.store import read_at_most

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_kore.store.store import ObjectStore

LARGEST_CHUNK: Final = 64 << 20
"""Bytes of the largest chunk that is read, packed and unpacked: far more than is ever written."""

STORE_FAILS: Final = (StoreUnavailableError, StorePermissionError, BucketNotFoundError, TempSpaceError)
"""What says that a further write would fail as well."""

_NO_SPACE: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.ENOENT, errno.ENOTDIR}


class StoredChunks:
    """Chunks as objects below a prefix: they survive whatever happens to this worker."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def names(self) -> list[str]:
        """Return the names of all chunks, sorted."""
        return [found.key.removeprefix(self._prefix) for found in self._store.list(self._prefix)]

    def read(self, name: str) -> bytes:
        """Return a chunk, of one that is too large a little more than :data:`LARGEST_CHUNK` bytes.

        Raises CheckpointLostError if it is gone.
        """
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
        """Write a chunk whole; the same name again replaces it."""
        self._store.put(self._prefix + name, body, content_type="application/gzip")

    def delete(self, names: Sequence[str]) -> None:
        """Delete chunks; those that don't exist are no error."""
        if names:
            self._store.delete([self._prefix + name for name in names])

    def close(self) -> None:
        """Give up what only this process needs."""


class LocalChunks:
    """The same in one temporary file without a name: when this process ends, in whatever way, it cannot be read.

    Raises TempSpaceError, here and when a chunk is written.
    """

    def __init__(self) -> None:
        with temp_space():
            self._file = cast("BinaryIO", tempfile.TemporaryFile(prefix="kore-"))  # noqa: SIM115  # close() does
        self._places: dict[str, tuple[int, int]] = {}

    def names(self) -> list[str]:
        """See :class:`StoredChunks`."""
        return sorted(self._places)

    def read(self, name: str) -> bytes:
        """See :class:`StoredChunks`."""
        if name not in self._places:
            raise CheckpointLostError(f"The checkpoint {name} of this process is gone. The next try walks anew.")
        start, length = self._places[name]
        self._file.seek(start)
        return self._file.read(length)

    def write(self, name: str, body: bytes) -> None:
        """See :class:`StoredChunks`."""
        with temp_space():
            start = self._file.seek(0, 2)
            self._file.write(body)
            self._file.flush()
        self._places[name] = (start, len(body))

    def delete(self, names: Sequence[str]) -> None:
        """See :class:`StoredChunks`."""
        for name in names:
            self._places.pop(name, None)
        if not self._places:
            self._file.truncate(0)

    def close(self) -> None:
        """See :class:`StoredChunks`."""
        with suppress(OSError):  # of what did not fit any more, and is not needed any more
            self._file.close()


ChunkStore = StoredChunks | LocalChunks


def check_temp_space() -> None:
    """Make a temporary file and drop it, to find out before the walk whether it can be done. Raises TempSpaceError."""
    with temp_space(), tempfile.TemporaryFile(prefix="kore-") as file:
        file.write(b"x")
        file.flush()


@contextmanager
def temporary_file(in_memory: int) -> Iterator[BinaryIO]:
    """Lend a nameless file.

    :param in_memory: bytes up to which it never touches the disk.
    """
    file = tempfile.SpooledTemporaryFile(max_size=in_memory, prefix="kore-")  # noqa: SIM115 - closed below
    try:
        yield cast("BinaryIO", file)
    finally:
        with suppress(OSError):  # closing it tries once more to write what did not fit
            file.close()


@contextmanager
def temp_space() -> Iterator[None]:
    """Turn a full or unwritable folder for temporary files into TempSpaceError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise TempSpaceError(
            f"The folder for temporary files{_temporary_folder()} is full, missing or cannot be written "
            f"({error.strerror}). Free some space, or point TMPDIR at a larger disk. What was read is kept."
        ) from None


def _temporary_folder() -> str:
    try:
        return f", {tempfile.gettempdir()},"
    except OSError:  # there is none
        return ""
