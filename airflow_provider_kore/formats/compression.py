"""Compressed streams over a file that stays the caller's: nothing here closes it."""

from __future__ import annotations

import gzip
import zlib
from abc import abstractmethod
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Protocol, cast

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.formats.layout import Format, naming_damage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from airflow_provider_kore.formats.layout import Keep

NONE, GZIP, ZSTD, SNAPPY = "none", "gzip", "zstd", "snappy"

SUFFIXES = {NONE: "", GZIP: ".gz", ZSTD: ".zst"}
"""What a file's name ends with: the spellings that Athena, Spark, Trino and DuckDB unpack by themselves."""

GZIP_LEVEL = 6
"""Of a million contacts (258 MB of JSON): level 1 takes 1.1 s for 47 MB, 6 takes 2.4 s for 39 MB, 9 takes 11 s for
37 MB. They come in at a few thousand a minute and are read many times, so the second that 6 costs is well spent."""

_BLOCK = 256 * 1024

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes. No answer of the API is as long; what claims to be is a bomb, and would fill the memory."""


class Source(Protocol):
    """Gives bytes."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many, none at the end."""
        ...


class CompressedText(Format):
    """What formats have in common whose file is one text, compressed as a whole."""

    text_type: ClassVar[str]
    """The ``Content-Type`` of the text."""
    compressions = (GZIP, ZSTD, NONE)
    has_types = False

    def suffix(self, compression: str) -> str:
        """Return ``.csv``, ``.csv.gz`` or ``.csv.zst``."""
        return f".{self.name}{SUFFIXES[compression]}"

    def media_type(self, compression: str) -> str:
        """Return the type of what the object's bytes are: compressed data, or the text."""
        return self.text_type if compression == NONE else f"application/{compression}"

    def require(self, compression: str) -> None:
        """Raise ParameterError if zstd is asked for without pyarrow."""
        if compression == ZSTD:
            require_pyarrow("compression", ZSTD, f'"{GZIP}"')

    def sift(
        self, file: BinaryIO, into: BinaryIO | None, *, compression: str, fields: Collection[str], keep: Keep
    ) -> None:
        """Copy line by line; see :class:`~airflow_provider_kore.formats.Format`."""
        with nullcontext() if into is None else compressed(into, compression) as write:
            for line in naming_damage(self.name, self._kept(decompressed(file, compression), fields, keep)):
                if write is not None:
                    write(line + b"\n")

    @abstractmethod
    def _kept(self, source: Source, fields: Collection[str], keep: Keep) -> Iterator[bytes]:
        """Yield the header, if there is one, and each row that stays, as it stands, without its last line feed."""


class Borrowed:
    """A file lent to pyarrow, which closes what it is given: closing this leaves the file open."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        """Borrow this file."""
        self._file = file

    def __getattr__(self, name: str) -> object:
        """Be that file."""
        return getattr(self._file, name)

    def close(self) -> None:
        """Do nothing."""


@contextmanager
def compressed(file: BinaryIO, compression: str) -> Iterator[Callable[[bytes], object]]:
    """Lend what takes bytes, which arrive in ``file`` compressed with gzip, zstd or none.

    A gzip member has no name and no time, so that the same rows give the same bytes.
    """
    if compression == GZIP:
        member = zlib.compressobj(GZIP_LEVEL, wbits=31)
        yield lambda data: file.write(member.compress(data))
        file.write(member.flush())  # not after an exception: half a file then doesn't look like a whole one
    elif compression == ZSTD:
        import pyarrow as pa

        with pa.CompressedOutputStream(pa.PythonFile(Borrowed(file), mode="w"), ZSTD) as stream:
            yield stream.write
    else:
        yield file.write


def decompressed(file: BinaryIO, compression: str) -> Source:
    """Return the bytes that were given to :func:`compressed`. Needs nothing of ``file`` but ``read``."""
    if compression == GZIP:
        return gzip.GzipFile(fileobj=file, mode="rb")
    if compression == ZSTD:
        import pyarrow as pa

        return cast("Source", pa.CompressedInputStream(pa.PythonFile(Borrowed(file), mode="r"), ZSTD))
    return file


def lines(source: Source) -> Iterator[bytes]:
    r"""Return the lines of a text that ends with ``\n``, each without it.

    Raises EOFError if the last one is not ended, ValueError beyond :data:`LONGEST_LINE`.
    """
    pending: list[bytes] = []
    length = 0
    while block := source.read(_BLOCK):
        first, *others = block.split(b"\n")
        pending.append(first)
        length += len(first)
        if length > LONGEST_LINE:
            raise too_long()
        if others:
            yield b"".join(pending)
            pending = [others.pop()]
            length = len(pending[0])
            yield from others
    if any(pending):
        raise EOFError


def too_long() -> ValueError:
    """Return the error for a row that goes beyond :data:`LONGEST_LINE`."""
    return ValueError(f"a row is longer than {LONGEST_LINE:,} bytes")


def require_pyarrow(parameter: str, wanted: str, instead: str) -> None:
    """Raise ParameterError if pyarrow is missing, with the name of the extra that brings it."""
    try:
        import pyarrow as pa  # noqa: F401 - loads on workers only
    except ImportError:
        problem = f'"{wanted}" needs pyarrow, which is not installed here'
    else:
        return
    raise ParameterError(parameter, problem, f"install airflow-provider-kore[parquet], or use {instead}")
