"""One commit, before it is one: what it changes of a table that is as it was read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final, cast

from airflow_provider_kore.exceptions import TableMismatchError
from airflow_provider_kore.iceberg.table import PARTITION, creation, evolve

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.metadata import TableMetadata

_EPOCH: Final = date(1970, 1, 1)


@dataclass(slots=True)
class Proposal:
    """A transaction that is committed once or not at all.

    pyiceberg's own ``commit_transaction`` is not used for a table that exists: where another writer won, it repeats the
    commit without its tags (0.12), and nothing of ours would look again what the table holds.
    """

    transaction: Transaction
    table: Table
    """As it was read, or staged to be created."""
    is_new: bool
    snapshot_id: int = 0
    tags: Sequence[str] = ()
    paths: list[str] = field(default_factory=list)
    """Of all objects that belong to it."""

    @classmethod
    def of(cls, catalog: Catalog, name: str, table: Table | None, columns: Mapping[str, str]) -> Proposal:
        """Begin to change a table so that it has these columns; None: begin to create it. Raises TableMismatchError."""
        from pyiceberg.table import Transaction

        if table is None:
            new = creation(catalog, name, columns)
            return cls(new, new._table, is_new=True)  # noqa: SLF001  # it is to be had nowhere else
        transaction = Transaction(table)
        evolve(transaction, table.schema(), columns)
        return cls(transaction, table, is_new=False)

    @property
    def metadata(self) -> TableMetadata:
        """What the table would be."""
        return self.transaction.table_metadata

    def files_of(self, partitions: Collection[tuple[str, str]], name: str) -> list[DataFile]:
        """Return the data files of these partitions (list, date). Raises TableMismatchError."""
        from pyiceberg.expressions import And, GreaterThanOrEqual, In, LessThanOrEqual

        if self.is_new or self.table.current_snapshot() is None:
            return []
        ids, days = ({*each} for each in zip(*partitions, strict=True))
        among, least, most = cast("Any", (In, GreaterThanOrEqual, LessThanOrEqual))  # as mypy cannot see them called
        # A term for each day would be looked at for each file; so this takes in more, and what is more is left below.
        chosen = And(among("contact_list_id", ids), least("snapshot_date", min(days)), most("snapshot_date", max(days)))
        schema, specs = self.table.schema(), self.table.specs()
        found = []
        for task in self.table.scan(row_filter=chosen, selected_fields=("contact_list_id",)).plan_files():
            fields = enumerate(specs[task.file.spec_id].fields)
            values: dict[Any, Any] = {
                schema.find_column_name(each.source_id): task.file.partition[at]
                for at, each in fields
                if str(each.transform) == "identity"
            }
            if not values.keys() >= PARTITION.keys():
                raise TableMismatchError(
                    f"The Iceberg table {name} has data files of an earlier partitioning, which may hold more than one "
                    "list and day, so a snapshot cannot replace its own alone. The table is as it was; rewrite its "
                    "data files first (rewrite_data_files in Spark)."
                )
            if (values["contact_list_id"], _day(values["snapshot_date"])) in partitions:
                found.append(task.file)
        return found

    def fill(
        self, replaced: Sequence[DataFile], new: Sequence[DataFile], marks: Mapping[str, str], tags: Sequence[str]
    ) -> None:
        """Take old data files out and new ones in, as one snapshot of the table, and set the tags on it."""
        from pyiceberg.table.update.snapshot import ManageSnapshots

        overwrite = self.transaction.update_snapshot(snapshot_properties=dict(marks)).overwrite()
        self.snapshot_id, self.tags = overwrite.snapshot_id, tags
        for file in replaced:
            overwrite.delete_data_file(file)
        for file in new:
            overwrite.append_data_file(file)
        try:
            overwrite.commit()  # to the transaction: it writes what the table's metadata will refer to
        finally:
            for names in ("_written_manifests", "_written_manifest_lists"):
                self.paths += getattr(overwrite, names, ())
        self.paths += [file.file_path for file in new]
        manage = ManageSnapshots(self.transaction)
        for tag in tags:
            manage.create_tag(self.snapshot_id, tag)
        manage.commit()

    def commit(self) -> None:
        """Ask the catalog to commit, if the table is as it was read. Raises what the catalog raises."""
        from pyiceberg.table.update import AssertTableUUID

        if self.is_new:
            self.transaction.commit_transaction()
            return
        given = self.transaction
        requirements = (*given._requirements, AssertTableUUID(uuid=self.metadata.table_uuid))  # noqa: SLF001
        self.table.catalog.commit_table(self.table, requirements, given._updates)  # noqa: SLF001

    def is_conflict(self, error: Exception) -> bool:
        """Say whether an error means that the table was changed, created or deleted by another writer meanwhile."""
        from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError

        return isinstance(error, (CommitFailedException, TableAlreadyExistsError, NoSuchTableError))


def _day(value: object) -> str:
    """Return a date as snapshots name it; a partition holds the days since 1970."""
    return date.fromordinal(_EPOCH.toordinal() + value).isoformat() if isinstance(value, int) else str(value)
