"""What every part of an erasure works with."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from airflow_provider_kore.snapshot.chunks import temp_space, temporary_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.erasure.persons import Persons
    from airflow_provider_kore.erasure.spec import ErasureSpec
    from airflow_provider_kore.snapshot.fields import FieldPolicies
    from airflow_provider_kore.snapshot.phases import Teller
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.versions import VersionedStore

BLOCK: Final = 1 << 20
"""Bytes that are read at once, and of a temporary file that are held in memory."""


class Moved(Exception):  # noqa: N818  # an outcome: something else wrote here, so look again
    """What lies in a partition changed while it was looked at."""


class Known(NamedTuple):
    """What is known of a published file that had this ETag."""

    etag: str
    size: int
    """Bytes."""
    sha256: str
    erased: int
    """Rows of persons."""


class Local(NamedTuple):
    """An object in a temporary file."""

    file: BinaryIO
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One erasure's."""

    spec: ErasureSpec
    store: VersionedStore
    persons: Persons
    policies: FieldPolicies | None
    """With the key that phone numbers were hashed with; None: they were not."""
    stop: Stop
    clock: Clock
    teller: Teller

    @contextmanager
    def fetched(self, opened: AbstractContextManager[BinaryIO] | None) -> Iterator[Local]:
        """Copy what was opened into a temporary file. Raises Moved if there is nothing any more."""
        if opened is None:
            raise Moved
        with temporary() as file:
            sha, size = hashlib.sha256(), 0
            with opened as stream:
                for block in self.blocks(stream.read):
                    sha.update(block)
                    size += file.write(block)
            file.seek(0)
            yield Local(file, size, sha.hexdigest())

    def blocks(self, read: Callable[[int], bytes]) -> Iterator[bytes]:
        """Yield all that can be read."""
        while block := read(BLOCK):
            self.stop.check()
            yield block


@contextmanager
def temporary() -> Iterator[BinaryIO]:
    """Lend a temporary file. Raises TempSpaceError."""
    with temp_space(), temporary_file(BLOCK) as file:
        yield file
