"""Ids and phone numbers of people who are to be forgotten: many of them in little memory, and never shown."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_FEW: Final = 50_000
"""So many are kept as they are; of more, digests: a million then take some 30 MB."""

_SIZE: Final = 16
"""Bytes of a digest, and of a pseudonym: two of a billion names share one with a probability of 1 in 10^20."""

SALT: Final = 16
"""Bytes of it."""

COST: Final = 1 << 14
"""Of a guess at who is meant: 50 ms and 16 MiB, as scrypt counts."""

FINGERPRINT: Final = 32
"""Bytes of what stands for all names together."""


def encoded(name: str) -> bytes:
    r"""Return a name as bytes; a lone surrogate as the six characters of ``\ud800``, as every format lands it."""
    return name.encode("utf-8", "backslashreplace")


class Names:
    """A set of names, as UTF-8."""

    __slots__ = ("_buckets", "_count", "_few", "_lengths", "_sum")

    def __init__(self, names: Iterable[bytes] = ()) -> None:
        self._few: set[bytes] | None = set()
        self._buckets: dict[bytes, bytearray] = {}
        self._count = 0
        self._sum = 0
        self._lengths: set[int] = set()
        for name in names:
            self.add(name)

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<{self._count} names>"

    def add(self, name: bytes) -> bool:
        """Add a name; return False if it was there already."""
        if name in self:
            return False
        self._count += 1
        self._lengths.add(len(name))
        self._sum += int.from_bytes(hashlib.sha256(name).digest(), "big")
        if self._few is None:
            self._put(name)
        else:
            self._few.add(name)
            if len(self._few) > _FEW:
                few, self._few = self._few, None
                for each in few:
                    self._put(each)
        return True

    def __contains__(self, name: bytes) -> bool:
        if self._few is not None:
            return name in self._few
        if len(name) not in self._lengths:
            return False
        digest = _digest(name)
        bucket = self._buckets.get(digest[:2], b"")
        at = bucket.find(digest)
        while at > 0 and at % _SIZE:
            at = bucket.find(digest, at + 1)
        return at >= 0

    def has_any(self, names: list[bytes]) -> bool:
        """Say whether any of these is in the set."""
        return not self._few.isdisjoint(names) if self._few is not None else any(name in self for name in names)

    @property
    def fingerprint(self) -> bytes:
        """What stands for all of them, in whatever order they came. As guessable as they are: not to be kept."""
        return (self._sum % (1 << (8 * FINGERPRINT))).to_bytes(FINGERPRINT, "big")

    def _put(self, name: bytes) -> None:
        digest = _digest(name)
        self._buckets.setdefault(digest[:2], bytearray()).extend(digest)


def _digest(name: bytes) -> bytes:
    return hashlib.blake2b(name, digest_size=_SIZE).digest()


class Pseudonyms:
    """Names as only those recognise them who know all the names that were given, and the salt.

    What an earlier try has learned of a person is kept so: neither the bucket nor who reads it learns who that is, and
    trying names out costs 50 ms and 16 MiB for each guess.
    """

    def __init__(self, given: bytes, salt: bytes, kept: bytes = b"") -> None:
        """Derive the key.

        :param given: the fingerprint of all names that were given.
        :param kept: pseudonyms that an earlier try has kept, one after the other.
        """
        self.salt = salt
        self.kept = bytearray(kept)
        self._key = hashlib.scrypt(given, salt=salt, n=COST, r=8, p=1, dklen=32)
        self._names = Names(kept[at : at + _SIZE] for at in range(0, len(kept), _SIZE))

    def of(self, name: bytes) -> bytes:
        """Return the pseudonym of a name: 16 bytes."""
        return hmac.digest(self._key, name, "sha256")[:_SIZE]

    def add(self, name: bytes) -> None:
        """Keep the pseudonym of a name, for a later try."""
        self.kept += self.of(name)

    def __contains__(self, name: bytes) -> bool:
        """Say whether an earlier try has kept the pseudonym of a name."""
        return self.of(name) in self._names

    @property
    def check(self) -> str:
        """What tells whether two were made of the same names and salt."""
        return self.of(b"airflow-provider-kore check of names").hex()
