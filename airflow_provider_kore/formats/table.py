"""One table over days: its columns keep their order and their types, whatever fields a day's rows happen to have.

Readers take a folder of files for one table, and most take its schema from one file: by position in csv, by name and
type in parquet. ``docs/formats.md`` says which change each of them reads right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.exceptions import ParameterError, SchemaChangedError
from airflow_provider_kore.formats.columns import (
    ID,
    MAX_COLUMNS,
    MAX_NAMES,
    TIMESTAMP_TYPE,
    TIMESTAMPS,
    ColumnSet,
    fits,
)
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

ON_SCHEMA_CHANGE: Final = ("widen", "fail", "text")
"""What to do about a value that does not fit its column's type."""

_SHOWN: Final = 5

_WIDER: Final = {"json": "string"}
"""By a type, one that holds more and is stored alike, so that files of both are read as one table.

An integer and a double are not: DuckDB takes the type of a table's first file, and rounds the fractions of the others
without a word; Arrow, Spark and Athena refuse the table. Measured in ``tests/formats/test_schema_readers.py``.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The columns that a table has already, and those that its author wants.

    :param columns: of the last snapshot in their order: by the rows' own name of a field, the type; None: it has none.
    :param fixed: the author's, likewise; they come first, in this order.
    :param typed: whether its format has types.
    :param on_change: one of :data:`ON_SCHEMA_CHANGE`.
    """

    columns: Mapping[str, str | None] = field(default_factory=dict)
    fixed: Mapping[str, str | None] = field(default_factory=dict)
    typed: bool = False
    on_change: str = "widen"

    @property
    def types(self) -> dict[str, str]:
        """The types that are settled before a row is seen, by field."""
        if not self.typed:
            return {}
        known = dict(self.columns)
        for name, type_ in self.fixed.items():
            if type_ is not None and not (self.on_change == "text" and known.get(name) == "string"):
                known[name] = type_
        return {name: type_ for name, type_ in known.items() if type_ is not None and name != ID}

    @property
    def times(self) -> frozenset[str]:
        """The fields of which a text may be a point in time."""
        return TIMESTAMPS | {name for name, type_ in self.types.items() if type_ == TIMESTAMP_TYPE}

    def check(self, seen: ColumnSet) -> None:
        """Raise SchemaChangedError if a value that was seen has no place in its column; ParameterError as settle does.

        To be asked whenever there is more to know: what will not land need not be read to its end.
        """
        self._check_number(seen)
        self._settled_types(seen)

    def settle(self, seen: ColumnSet) -> ColumnSet:
        """Return the columns of a snapshot: the author's, those that the table has had, then what is new.

        :param seen: the fields of all its rows.

        Raises SchemaChangedError, which names the columns and their types; ParameterError if they are too many.
        """
        self._check_number(seen)
        return seen.settled([*self.fixed, *self.columns], self._settled_types(seen))

    def _settled_types(self, seen: ColumnSet) -> dict[str, str]:
        types = self.types
        unfit = {name: type_ for name, type_ in types.items() if not fits(type_, seen.kinds_of(name))}
        wider = {
            name: "string" if self.on_change == "text" else _WIDER.get(type_)
            for name, type_ in unfit.items()
            if self.on_change != "fail"
        }
        refused = {name: type_ for name, type_ in unfit.items() if wider.get(name) is None}
        if refused:
            raise _changed(refused, seen)
        return types | {name: type_ for name, type_ in wider.items() if type_ is not None}

    def _check_number(self, seen: ColumnSet) -> None:
        if not seen.typed or not (self.columns or self.fixed):
            return
        all_names = {*seen.keys(), *self.columns, *self.fixed}
        if len(all_names) <= MAX_COLUMNS and sum(map(len, all_names)) <= MAX_NAMES:
            return
        raise ParameterError(
            "file_format",
            f"the columns that this table has had ({len(self.columns):,}) and the fields of today's rows "
            f"({len(seen):,}) are together more than {MAX_COLUMNS:,}, or their names longer than {MAX_NAMES:,} "
            "characters",
            'name the fields you need (fields=["phoneNumber", …]), or begin a new table (another s3_prefix)',
        )


def _changed(refused: Mapping[str, str], seen: ColumnSet) -> SchemaChangedError:
    told = [f"'{quoted(name)}' is {type_} and has {seen.type_of(name)} now" for name, type_ in refused.items()]
    more = [f"{len(told) - _SHOWN:,} more"] if len(told) > _SHOWN else []
    return SchemaChangedError(
        f"Values do not fit the types of their columns: {'; '.join(told[:_SHOWN] + more)}. Readers of the "
        "table would fail, or read them wrongly. Nothing was published. Correct the values in Kore.ai, or pass "
        'on_schema_change="text", which makes text of these columns from now on, or land in another s3_prefix.'
    )
