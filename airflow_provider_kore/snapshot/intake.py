"""A page on its way into staging: what the field policies leave of it, and what it adds to the table's columns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from airflow_provider_kore.formats import ColumnSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_kore.formats import Table
    from airflow_provider_kore.snapshot.fields import FieldCounts, FieldPolicies
    from airflow_provider_kore.walk.page import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Takes in pages.

    :param typed: whether the file's format has to know each column's type.
    :param table: the columns that the table has already.
    """

    policies: FieldPolicies
    typed: bool
    table: Table

    def no_columns(self) -> ColumnSet:
        """Return the columns of no row."""
        return ColumnSet(typed=self.typed, times=self.table.times)

    def take(self, page: Page, fields: FieldCounts, columns: ColumnSet) -> tuple[Sequence[str], FieldCounts, ColumnSet]:
        """Return the rows of a page, and what is known with them; what was known before is left as it is.

        :param fields: how many rows before have each field that the author named.
        :param columns: of all rows before.

        Raises ParameterError, SchemaChangedError as :meth:`Staging.add` says.
        """
        rows: Sequence[str] = page.records.texts
        if not self.policies.unchanged:
            fields = fields.copy()
            rows = [self.policies.apply(text, fields) for text in rows]
            fields.contacts += len(rows)
            self.policies.check_missing(fields)
        if self.typed or not self.policies.unchanged:
            columns = columns.copy()
            for text in rows:
                columns.add(text)
            self.table.check(columns)
        elif not columns.covers(chain.from_iterable(page.records.values)):
            columns = columns.copy()
            for record in page.records:
                if not columns.covers(record.value):
                    columns.add(record.text)
        return rows, fields, columns

    def columns_again(self, known: ColumnSet, rows: Iterable[str]) -> ColumnSet:
        """Return the columns of rows that an earlier try has taken in.

        :param known: what that one knew of them: enough, unless it looked for less, of another table.
        :param rows: read only then.
        """
        found = self.no_columns()
        if not self.typed:
            found.merge(known)
        elif (known.typed, known.times) == (found.typed, found.times):
            return known
        else:
            for row in rows:
                found.add(row)
        return found
