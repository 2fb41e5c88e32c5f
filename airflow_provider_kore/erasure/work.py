"""What every part of an erasure works with."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from airflow_provider_kore.snapshot.chunks import temp_space

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    @property
    def key(self) -> bytes | None:
        """That key."""
        return self.policies.key if self.policies is not None else None

    @contextmanager
    def fetched(self, key: str) -> Iterator[tuple[BinaryIO, str]]:
        """Fetch a file into a temporary one; its SHA-256 comes with it. Raises Moved if it is gone."""
        opened = self.store.get(key)
        if opened is None:
            raise Moved
        with temporary() as local:
            sha = hashlib.sha256()
            with opened as stream:
                while block := stream.read(BLOCK):
                    self.stop.check()
                    sha.update(block)
                    local.write(block)
            local.seek(0)
            yield local, sha.hexdigest()


@contextmanager
def temporary() -> Iterator[BinaryIO]:
    """Lend a temporary file. Raises TempSpaceError."""
    with temp_space(), tempfile.SpooledTemporaryFile(max_size=BLOCK, prefix="kore-") as spool:
        yield cast("BinaryIO", spool)
