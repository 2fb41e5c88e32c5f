"""Bodies unpacked within a limit, whatever the version of urllib3 would make of them."""

from __future__ import annotations

import zlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from urllib3.exceptions import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_GZIP: Final = 31
_ZLIB: Final = 15
_RAW: Final = -15
_ZLIB_METHOD: Final = 8

PACKINGS: Final[Mapping[str, int]] = MappingProxyType(
    {"": 0, "identity": 0, "gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
)
"""By ``Content-Encoding``: what zlib calls it, 0 for nothing. No other is unpacked, nor two that are nested."""


class TooLargeError(Exception):
    """More comes out than is allowed."""


def unpacked(pieces: Iterable[bytes], packing: int, most: int) -> bytes:
    """Return the body whose pieces arrive one after the other.

    :param packing: one of :data:`PACKINGS`.
    :param most: bytes of the body at the most, packed or not.

    Raises TooLargeError; DecodeError if it is damaged, or does not end where it should.
    """
    decoder: Any = None
    came, size, held = 0, 0, b""
    body: list[bytes] = []
    for piece in pieces:
        came += len(piece)
        if came > most:
            raise TooLargeError
        held += piece
        if packing and decoder is None:
            if len(held) < 2:  # noqa: PLR2004 - deflate is told from its first two bytes
                continue
            decoder = zlib.decompressobj(packing if packing == _GZIP else _deflate(held))
        body.append(_next(decoder, held, most - size + 1) if decoder else held)
        size, held = size + len(body[-1]), b""
        if size > most:
            raise TooLargeError
    if packing and came and (decoder is None or not decoder.eof):
        raise DecodeError
    return body[0] if len(body) == 1 else b"".join(body)


def _next(decoder: Any, piece: bytes, most: int) -> bytes:
    try:
        found: bytes = decoder.decompress(piece, most)
    except zlib.error:
        raise DecodeError from None
    if decoder.unused_data:
        raise DecodeError
    return found


def _deflate(start: bytes) -> int:
    """Some servers send deflate with zlib's head, as the standard says, others without."""
    return _ZLIB if start[0] & 15 == _ZLIB_METHOD and (start[0] << 8 | start[1]) % 31 == 0 else _RAW
