"""A bucket's listing as tables, and their partitions: whatever else lies there is passed over and counted."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING

from airflow_provider_kore.snapshot.layout import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.store.store import ObjectStore, StoredObject

_dated = re.compile(r"((?:.*?/)?)snapshot_date=([^/]*)/", re.DOTALL).match
_date = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch


@dataclass(frozen=True, slots=True)
class Partition:
    """A source on one date."""

    table: str
    """All snapshots of this source; ends with a slash, or is empty."""
    date: str

    @property
    def prefix(self) -> str:
        """What its keys begin with; ends with a slash."""
        return f"{self.table}snapshot_date={self.date}/"

    @property
    def manifest(self) -> str:
        """The key of its manifest."""
        return f"{self.prefix}{MANIFEST_NAME}"


def partition_of(key: str) -> Partition | None:
    """Return the partition that a key lies in: the outermost one, as readers of Hive tables see it.

    What lies in a folder ``snapshot_date=`` of no date is in none, so that a table's keys are one run of a listing.
    """
    found = _dated(key)
    with suppress(ValueError):
        if found and _date(found[2]) and date.fromisoformat(found[2]):
            return Partition(*found.groups())
    return None


Found = tuple[Partition, "StoredObject"]


class Listing:
    """What lies below a prefix, read as it is needed: never more than one page of it is held.

    :param prefix: empty, or ends with a slash.
    """

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self.elsewhere = 0
        """Objects so far that lie in no partition."""

    def tables(self) -> Iterator[tuple[str, Iterator[tuple[Partition, Iterator[Found]]]]]:
        """Yield each table, with its partitions by date, and these with their objects. To be read in this order."""
        for table, found in groupby(self._dated(), key=lambda one: one[0].table):
            yield table, groupby(found, key=lambda one: one[0])

    def _dated(self) -> Iterator[Found]:
        for each in self._store.list(self._prefix):
            partition = partition_of(each.key)
            if partition is None:
                self.elsewhere += 1
            else:
                yield partition, each
