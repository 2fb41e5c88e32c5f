"""Proof of origin of checkpoints: others who may write to staging can't make a walk continue from what it never read.

Each chunk is sealed with an HMAC over its bytes, its place and the seal of the chunk that it continues, so no chunk can
be altered, moved, exchanged or taken from another run. Its key is derived from the connection's secret by scrypt: the
seals lie in the bucket, and must not help anybody to guess a weak secret.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from airflow_provider_kore.walk.reader import Connection

LENGTH: Final = 32
"""Hexadecimal digits of a seal: 128 bits."""

FIRST: Final = "0" * LENGTH
"""What the first chunk of a walk continues."""


class Seal:
    """Seals the chunks of one run.

    :param config: the connection; another secret, account or application makes other seals.
    :param place: what tells the run's staging from all others.
    """

    def __init__(self, config: Connection, place: str) -> None:
        salt = "\n".join((*config.source, config.client_id))
        self._key = _derived(config.client_secret, salt)
        self._place = place

    def of(self, about: str, body: bytes) -> str:
        """Return the seal of a chunk.

        :param about: its name so far: which walk, which offsets, and the seal of the chunk that it continues.
        """
        message = hmac.new(self._key, f"{self._place}\n{about}\n".encode(), hashlib.sha256)
        message.update(body)
        return message.hexdigest()[:LENGTH]

    def holds(self, about: str, body: bytes, seal: str) -> bool:
        """Say whether this run has sealed a chunk."""
        return hmac.compare_digest(self.of(about, body), seal)


@lru_cache(maxsize=4)
def _derived(secret: str, salt: str) -> bytes:
    """Return the key: some 50 ms and 16 MiB, once in a process."""
    return hashlib.scrypt(secret.encode("utf-8", "surrogatepass"), salt=salt.encode(), n=1 << 14, r=8, p=1, dklen=32)
