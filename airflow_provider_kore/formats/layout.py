"""What every format offers, and how each of them reports damage."""

from __future__ import annotations

import csv
import gzip
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, ClassVar, TypeAlias, TypeVar

from airflow_provider_kore.exceptions import CorruptSnapshotError, KoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from airflow_provider_kore.formats.columns import Column, ColumnSet

T = TypeVar("T")

Keep: TypeAlias = "Callable[[str, Mapping[str, object], str], bool]"
"""Says of a row whether it stays: by its id, its fields, and its JSON text, which is empty where a file holds none."""

_UNREADABLE = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    NotImplementedError,
    RecursionError,
    MemoryError,
)
"""What decoders raise about bytes that were damaged or made up: JSON, UTF-8, ``csv``, ``datetime``, and pyarrow, whose
errors are kinds of ValueError, TypeError, KeyError, IndexError, NotImplementedError and MemoryError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """What was written into one file."""

    rows: int
    columns: tuple[Column, ...]
    """Name and type of each, in order."""


class Format(ABC):
    """Rows in, bytes out; and the ids of the rows back from the bytes.

    A row is the raw text of one JSON object on one line (:func:`airflow_provider_kore.json_text.one_line`).
    """

    name: ClassVar[str]
    """What an operator's ``file_format`` calls it."""
    compressions: ClassVar[tuple[str, ...]]
    """The compressions it has; the first one is the default."""
    needs_columns: ClassVar[bool]
    """Whether ``write`` has to know all columns before the first row."""
    has_types: ClassVar[bool]
    """Whether each column of its files has a type."""

    @abstractmethod
    def suffix(self, compression: str) -> str:
        """Return how the file's name ends, with its leading dot."""

    @abstractmethod
    def media_type(self, compression: str) -> str:
        """Return the ``Content-Type`` of the file. There is no ``Content-Encoding``: some clients would unpack it."""

    @abstractmethod
    def require(self, compression: str) -> None:
        """Raise ParameterError if a library is missing here. To be asked before the first request is spent."""

    @abstractmethod
    def write(self, rows: Iterable[str], file: BinaryIO, *, compression: str, columns: ColumnSet) -> FileInfo:
        """Write all rows into ``file``, which needs nothing but ``write`` and stays open.

        :param rows: read once.
        :param columns: the columns of the whole snapshot: all its files need the same.

        The same rows and columns give the same bytes (with the same versions of Python, zlib and pyarrow).
        After an exception the content of the file is worthless.

        Raises ValueError if a row is no JSON object or has a value that ``columns`` doesn't know.
        """

    def read_ids(self, file: BinaryIO, *, compression: str) -> Iterator[str]:
        """Decode a whole file again and return the ``_id`` of each row, in order, as :func:`columns.id_of` gives it.

        :param file: needs ``read``; for parquet ``seek`` and ``tell``, too.

        Raises CorruptSnapshotError if the bytes are not such a file. Errors of ``file`` itself pass unchanged.
        """
        return naming_damage(self.name, self._ids(file, compression))

    def read_rows(self, file: BinaryIO, *, compression: str) -> Iterator[tuple[str, str]]:
        """Decode a whole file again and return each row, in order: its ``_id`` as above, and a raw JSON object.

        jsonl gives the very text that was written. In csv and parquet a nested value is a string that holds its JSON
        text, a field that is null is left out, and a number or a time is spelt as its column's type spells it.

        :param file: as above.

        Raises as :meth:`read_ids` does.
        """
        return naming_damage(self.name, self._rows(file, compression))

    @abstractmethod
    def sift(
        self, file: BinaryIO, into: BinaryIO | None, *, compression: str, fields: Collection[str], keep: Keep
    ) -> None:
        """Copy a file without some of its rows. All others stay as they are: in jsonl and csv byte for byte.

        :param file: as above.
        :param into: None: copy nothing, only ask about each row.
        :param fields: names of the columns that are shown of a row; jsonl shows all of it.
        :param keep: asked in the order of the rows.

        Raises as :meth:`read_ids` does; and what ``keep`` raises, if that is of this package.
        """

    @abstractmethod
    def _ids(self, file: BinaryIO, compression: str) -> Iterator[str]:
        """Yield what :meth:`read_ids` returns, and raise what the decoder does."""

    @abstractmethod
    def _rows(self, file: BinaryIO, compression: str) -> Iterator[tuple[str, str]]:
        """Yield what :meth:`read_rows` returns, and raise what the decoder does."""


def naming_damage(format_name: str, read: Iterator[T]) -> Iterator[T]:
    """Pass rows on; turn what a decoder says about damaged bytes into CorruptSnapshotError.

    The message names the row and the kind of damage, and nothing of what the bytes hold.
    """
    rows = 0
    try:
        for found in read:
            yield found
            rows += 1
    except KoreError:
        raise  # the file's own: a store
    except EOFError:
        problem = "it is cut short"
    except (zlib.error, gzip.BadGzipFile):
        problem = "its compression is damaged"
    except csv.Error:
        problem = "its quoting is damaged"
    except _UNREADABLE as err:
        problem = str(err) if type(err) is ValueError else f"it cannot be decoded ({type(err).__name__})"
    except OSError as err:
        if type(err) is not OSError or err.errno is not None:
            raise  # the file's own: a disk, a network
        problem = "its compression is damaged"  # pyarrow's
    else:
        return
    raise CorruptSnapshotError(
        f"The stored {format_name} file is not what was written: {problem}, after row {rows:,}. Don't use it; "
        "take the snapshot again."
    )
