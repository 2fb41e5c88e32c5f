"""Where chunks are kept between tries: in S3, or for a walk that need not survive its process, in a local folder."""

from __future__ import annotations

import errno
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from airflow_provider_kore.exceptions import CheckpointLostError, TempSpaceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kore.snapshot.store import ObjectStore


class ChunkStore(Protocol):
    """Small immutable files by name."""

    def names(self) -> list[str]:
        """Return the names of all chunks, sorted."""
        ...

    def read(self, name: str) -> bytes:
        """Return a chunk. Raises CheckpointLostError if it is gone."""
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
                f"The checkpoint s3://{self._store.bucket}/{self._prefix}{name} vanished while it was needed. The next "
                "try walks anew, or finds what another process of this run has published meanwhile. If there was none, "
                "look for a lifecycle rule or a task that deletes below the staging prefix."
            )
        with opened as stream:
            return stream.read()

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
    """Chunks as files in a temporary folder that goes with this object."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def names(self) -> list[str]:
        """See :class:`ChunkStore`."""
        return sorted(path.name.replace("%", "/") for path in self._folder.iterdir()) if self._folder else []

    def read(self, name: str) -> bytes:
        """See :class:`ChunkStore`."""
        return self._path(name).read_bytes()

    def write(self, name: str, body: bytes) -> None:
        """See :class:`ChunkStore`. Raises TempSpaceError."""
        with temp_space():
            self._path(name).write_bytes(body)

    def delete(self, names: Sequence[str]) -> None:
        """See :class:`ChunkStore`."""
        for name in names:
            self._path(name).unlink(missing_ok=True)

    def close(self) -> None:
        """See :class:`ChunkStore`."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _path(self, name: str) -> Path:
        if self._folder is None:
            with temp_space():
                self._folder = Path(tempfile.mkdtemp(prefix="kore-"))
        return self._folder / name.replace("/", "%")


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
        }:
            raise TempSpaceError(
                f"The folder for temporary files, {tempfile.gettempdir()}, is full or cannot be written "
                f"({error.strerror}). Free some space, or point TMPDIR at a larger disk. What was read is kept."
            ) from None


def delete_expired(store: ObjectStore, prefix: str, *, keep: str, before: datetime) -> int:
    """Delete what runs that never came back have left below a prefix; return how many objects.

    :param keep: a prefix that is spared, whatever its age.
    :param before: objects modified later may belong to a run that is still going.
    """
    expired = [
        found.key
        for found in store.list(prefix)
        if not found.key.startswith(keep) and found.modified is not None and found.modified.astimezone(UTC) < before
    ]
    if expired:
        store.delete(expired)
    return len(expired)
