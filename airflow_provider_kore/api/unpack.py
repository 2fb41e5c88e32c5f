"""Bodies unpacked within a limit, whatever the version of urllib3 would make of them."""

from __future__ import annotations

import zlib
from typing import Any, Final

_GZIP: Final = 31
_ZLIB: Final = 15
_RAW: Final = -15
_ZLIB_METHOD: Final = 8


class TooLargeError(Exception):
    """More comes out than is allowed."""


class CutError(Exception):
    """What was packed is damaged, or does not end where it should."""


class Unpacker:
    """Takes a body's pieces as they arrive, and keeps what they stand for.

    :param encoding: ``Content-Encoding``: one of gzip, x-gzip, deflate, identity or nothing.
    :param most: bytes of the body at the most, packed or not.

    Raises KeyError for any other encoding, two that are nested among them.
    """

    def __init__(self, encoding: str, most: int) -> None:
        name = encoding.strip().lower()
        self._bits = {"": 0, "identity": 0, "gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}[name]
        self._most = most
        self._came = 0
        self._size = 0
        self._pieces: list[bytes] = []
        self._held = b""
        self._decoder: Any = None

    def feed(self, piece: bytes) -> None:
        """Take the next piece. Raises TooLargeError, CutError."""
        self._came += len(piece)
        if self._came > self._most:
            raise TooLargeError
        if not self._bits:
            self._keep(piece)
            return
        if self._decoder is None:
            self._held += piece
            if len(self._held) < 2:  # noqa: PLR2004 - deflate is told from its first two bytes
                return
            piece, self._held = self._held, b""
            self._decoder = zlib.decompressobj(self._bits if self._bits == _GZIP else _deflate_bits(piece))
        try:
            self._keep(self._decoder.decompress(piece, self._most - self._size + 1))
        except zlib.error:
            raise CutError from None
        if self._decoder.unused_data:
            raise CutError

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._most:
            raise TooLargeError
        if piece:
            self._pieces.append(piece)

    def end(self) -> bytes:
        """Return the whole body. Raises CutError."""
        if self._bits and self._came and (self._decoder is None or not self._decoder.eof):
            raise CutError
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


def _deflate_bits(start: bytes) -> int:
    """Some servers send deflate with zlib's head, as the standard says, others without."""
    return _ZLIB if start[0] & 15 == _ZLIB_METHOD and (start[0] << 8 | start[1]) % 31 == 0 else _RAW
