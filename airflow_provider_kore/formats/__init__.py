"""Formats: rows in, bytes out, and the ids of what was stored back from the bytes.

A new format is one class here, listed in :data:`FORMATS`; operators, file names and tests find it there.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.formats.columns import MAX_COLUMNS, MAX_NAMES, TYPES, Column, ColumnSet, id_of, parts
from airflow_provider_kore.formats.csv import Csv
from airflow_provider_kore.formats.jsonl import Jsonl
from airflow_provider_kore.formats.layout import FileInfo, Format
from airflow_provider_kore.formats.parquet import Parquet
from airflow_provider_kore.formats.table import ON_SCHEMA_CHANGE, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FORMATS",
    "MAX_COLUMNS",
    "MAX_NAMES",
    "ON_SCHEMA_CHANGE",
    "TYPES",
    "Column",
    "ColumnSet",
    "FileInfo",
    "Format",
    "FormatChoice",
    "Table",
    "id_of",
    "parse_format",
    "parts",
]

_ALL: tuple[Format, ...] = (Jsonl(), Csv(), Parquet())

FORMATS: Mapping[str, Format] = MappingProxyType({each.name: each for each in _ALL})
"""By the name that ``file_format`` takes."""


class FormatChoice(NamedTuple):
    """A format together with a compression that it has."""

    format: Format
    compression: str

    @property
    def suffix(self) -> str:
        """How the file's name ends, with its leading dot."""
        return self.format.suffix(self.compression)


def parse_format(file_format: object = "jsonl", compression: object = None) -> FormatChoice:
    """Check the operator's parameters of these names; imports nothing.

    :param compression: None takes the format's default.

    Raises ParameterError with the allowed values.
    """
    chosen = FORMATS.get(file_format) if isinstance(file_format, str) else None
    if chosen is None:
        raise ParameterError("file_format", f"there is no format {file_format!r}", f"use {_either(FORMATS)}")
    if compression is None:
        return FormatChoice(chosen, chosen.compressions[0])
    if not isinstance(compression, str) or compression not in chosen.compressions:
        raise ParameterError(
            "compression",
            f"{chosen.name} has no compression {compression!r}",
            f"use {_either(chosen.compressions)}, or leave it out for {chosen.compressions[0]!r}",
        )
    return FormatChoice(chosen, compression)


def _either(names: Mapping[str, object] | tuple[str, ...]) -> str:
    *others, last = (repr(name) for name in names)
    return ", ".join(others) + f" or {last}"
