"""The Iceberg table: whether it is one that snapshots may go to, and which columns it gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.exceptions import TableMismatchError
from airflow_provider_kore.formats.columns import ID
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.schema import Schema
    from pyiceberg.table import CreateTableTransaction, Table, Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.types import IcebergType

PARTITION: Final = {"contact_list_id": "string", "snapshot_date": "date"}
"""The columns that the table is partitioned by, each by its value."""

OURS: Final = "kore.contacts"
"""The table's property that says that whole partitions of it may be replaced by snapshots."""

PROPERTIES: Final = {
    OURS: "1",
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    # Else the least and the greatest phone number, e-mail address and name of each file stand in the table's metadata.
    "write.metadata.metrics.default": "counts",
}
"""Of a table that is created."""

_TYPES: Final = {
    "string": "string",
    "int64": "long",
    "double": "double",
    "boolean": "boolean",
    "timestamp[ms, UTC]": "timestamptz",
}
"""Iceberg's types by those of snapshots; all others are text."""

FILLED_BY: Final = {iceberg: type_ for type_, iceberg in _TYPES.items()}
"""And those of snapshots by the types of Iceberg that they can fill."""

WIDER: Final = {"int": "long", "float": "double"}
"""What Iceberg can turn a column into, of what a snapshot's values need."""


def find_table(catalog: Catalog, name: str) -> Table | None:
    """Return the table, None if there is none. Raises what the catalog raises."""
    from pyiceberg.exceptions import NoSuchTableError

    try:
        return catalog.load_table(name)
    except NoSuchTableError:
        return None


def check_table(table: Table, name: str) -> None:
    """Refuse a table that snapshots may not go to. Raises TableMismatchError."""
    schema = table.schema()
    spec = [(schema.find_column_name(field.source_id), str(field.transform)) for field in table.spec().fields]
    wanted = [(column, "identity") for column in PARTITION]
    types = {field.name: str(field.field_type) for field in schema.fields}
    if sorted(spec, key=str) != sorted(wanted, key=str):
        raise TableMismatchError(
            f"The Iceberg table {name} is not partitioned by contact_list_id and snapshot_date, each by its value: a "
            "snapshot could not replace the one of its list and day alone. It was not touched; pass another table, "
            "which is created if it does not exist."
        )
    for column, type_ in {**PARTITION, ID: "string"}.items():
        if types.get(column) != type_:
            raise TableMismatchError(
                f"The Iceberg table {name} has no column {column} of type {type_}, which each snapshot fills. It was "
                "not touched; pass another table, which is created if it does not exist."
            )
    if table.properties.get(OURS) != PROPERTIES[OURS]:
        raise TableMismatchError(
            f"The Iceberg table {name} does not say that snapshots may replace its partitions, and was not touched. "
            f"Pass another table, which is created if it does not exist, or give this one the property {OURS}="
            f"{PROPERTIES[OURS]}."
        )


def check_columns(columns: Mapping[str, str]) -> None:
    """Refuse snapshots whose contacts have fields that the table uses otherwise. Raises TableMismatchError."""
    if "" in columns:
        raise TableMismatchError(
            "The contacts have a field without a name, and a column of an Iceberg table needs one. Leave it out where "
            'the list is landed: field_policies={"": "drop"}. The table is as it was.'
        )
    for name in PARTITION:
        if name in columns:
            raise TableMismatchError(
                f"The contacts have a field {name}, which is a partition column of the Iceberg table. Leave it out "
                f'where the list is landed: field_policies={{"{name}": "drop"}}. The table is as it was.'
            )


def creation(catalog: Catalog, name: str, columns: Mapping[str, str]) -> CreateTableTransaction:
    """Return a transaction that creates the table with these columns, after those of the partition and the id.

    Raises TableMismatchError if the namespace does not exist.
    """
    from pyiceberg.exceptions import NoSuchNamespaceError
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.transforms import IdentityTransform
    from pyiceberg.types import NestedField

    first = {**PARTITION, ID: "string"}
    types = {
        **first,
        **{column: _TYPES.get(type_, "string") for column, type_ in columns.items() if column not in first},
    }
    fields = [
        NestedField(number, column, _named(type_), required=column in first)
        for number, (column, type_) in enumerate(types.items(), start=1)
    ]
    spec = [
        PartitionField(number, 999 + number, IdentityTransform(), column)
        for number, column in enumerate(PARTITION, start=1)
    ]
    try:
        return catalog.create_table_transaction(
            name, Schema(*fields), partition_spec=PartitionSpec(*spec), properties=PROPERTIES
        )
    except NoSuchNamespaceError:
        pass
    raise TableMismatchError(
        f"The catalog has no namespace for the Iceberg table {name} (in Glue: no database). Create it, or correct the "
        "table's name."
    )


def evolve(transaction: Transaction, schema: Schema, columns: Mapping[str, str]) -> None:
    """Give the table what these columns need: new ones, which old files do not have, and wider numbers."""
    types = {field.name: str(field.field_type) for field in schema.fields}
    new = {name: _TYPES.get(type_, "string") for name, type_ in columns.items() if name not in types}
    wider = {name: WIDER[types[name]] for name in columns if types.get(name) in WIDER}
    if not new and not wider:
        return
    with transaction.update_schema() as update:
        for name, type_ in new.items():
            update.add_column((name,), _named(type_))
        for name, type_ in wider.items():
            update.update_column((name,), _named(type_))


def check_tags(metadata: TableMetadata, tags: Iterable[str], name: str) -> None:
    """Refuse a tag of which a branch has the name. Raises TableMismatchError."""
    from pyiceberg.table.refs import SnapshotRefType

    for tag in tags:
        ref = metadata.refs.get(tag)
        if ref is not None and ref.snapshot_ref_type != SnapshotRefType.TAG:
            raise TableMismatchError(
                f"The Iceberg table {name} has a branch {tag}, which is the name of a day's tag. The table is as it "
                "was; rename the branch, or pass tags=False."
            )


def ancestors(table: Table) -> Iterator[Mapping[str, Any]]:
    """Yield the summaries of the commits that led to what the table shows, newest first, as far as they are kept."""
    snapshots = {each.snapshot_id: each for each in table.metadata.snapshots}
    current = table.current_snapshot()
    while current is not None:
        yield current.summary.additional_properties if current.summary else {}
        current = snapshots.pop(current.parent_snapshot_id, None) if current.parent_snapshot_id else None


def not_writable(name: str, column: str, type_: str) -> TableMismatchError:
    """Return what is raised for a column of the table that no snapshot can fill."""
    return TableMismatchError(
        f"The Iceberg table {name} has the column {quoted(column)!r} of type {quoted(type_)}, which snapshots don't "
        "have. The table is as it was; change the column's type, or pass another table."
    )


def _named(type_: str) -> IcebergType:
    from pyiceberg.types import IcebergType

    return IcebergType.model_validate(type_)
