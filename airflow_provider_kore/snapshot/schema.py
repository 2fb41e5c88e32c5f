"""The table over days: the columns of a snapshot beside those of the last one, and what its manifest says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.formats import FORMATS, MAX_COLUMNS, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_provider_kore.formats import ColumnSet
    from airflow_provider_kore.snapshot.manifest import Manifest, Published
    from airflow_provider_kore.snapshot.past import Past
    from airflow_provider_kore.snapshot.spec import SnapshotSpec


@dataclass(frozen=True, slots=True)
class Settled:
    """Rows with the columns that they are written with; see :class:`~airflow_provider_kore.snapshot.commit.Rows`."""

    columns: ColumnSet
    rows: Callable[[], Iterator[str]]


def table_of(spec: SnapshotSpec, past: Past | None) -> Table:
    """Return the columns that the table has already, by its last snapshot, and those that its author wants."""
    last = past.last if past is not None else None
    columns = columns_of(last.manifest) if last is not None else {}
    if last is not None and not _has_columns(last.manifest):  # it only names fields: those that are left out need none
        columns = {name: None for name in columns if not spec.policies.leaves_out(name)}
    return Table(
        columns=columns,
        fixed=dict(spec.columns),
        typed=spec.file_format.has_types,
        on_change=spec.on_schema_change,
    )


def columns_of(manifest: Manifest) -> dict[str, str | None]:
    """Return the columns of a published table in their order: by the rows' own name of a field, the type.

    The type is None where its format has none. Empty if the manifest does not say the columns, or more than there can
    be.
    """
    schema = manifest.content.get("schema")
    columns = schema["columns"] if schema else manifest.files[0].get("columns") or []
    name = manifest.content.get("file_format")
    typed = name is not None and FORMATS[name].has_types
    found = {str(each.get("field", each["name"])): each.get("type") if typed else None for each in columns}
    return found if len(found) == len(columns) <= MAX_COLUMNS else {}


def _has_columns(manifest: Manifest) -> bool:
    name = manifest.content.get("file_format")
    return name is not None and FORMATS[name].needs_columns


def describe_schema(
    fields: Sequence[str], columns: Sequence[Mapping[str, Any]], before: Published | None
) -> dict[str, Any]:
    """Return what a manifest says of its table.

    :param fields: as the rows spell them, in the order of the columns.
    :param columns: ``name`` and ``type`` of each, as they are in the file.
    :param before: the last snapshot of the same that another partition holds.
    """
    known = columns_of(before.manifest) if before is not None else {}
    changes = []
    for field, column in zip(fields, columns, strict=True):
        was, now = known.get(field), column.get("type")
        if before is not None and field not in known:
            changes.append({"column": column["name"], "change": "added", "from": None, "to": now})
        elif was is not None and now is not None and was != now:
            changes.append({"column": column["name"], "change": _change(was, now), "from": was, "to": now})
    return {
        "columns": [
            {
                "name": column["name"],
                "type": column.get("type"),
                **({} if field == column["name"] else {"field": field}),
            }
            for field, column in zip(fields, columns, strict=True)
        ],
        "changes": changes,
        "from": None if before is None else _name_of(before.manifest),
    }


def describe_previous(before: Published | None) -> dict[str, Any] | None:
    """Return what a manifest says of the snapshot that came before it: the link of a chain."""
    if before is None:
        return None
    return {**_name_of(before.manifest), "manifest": before.key, "manifest_sha256": before.sha256}


def _name_of(manifest: Manifest) -> dict[str, str]:
    return {"snapshot_date": manifest.snapshot_date, "snapshot_id": manifest.snapshot_id}


def _change(was: str, now: str) -> str:
    if (was, now) == ("json", "string"):
        return "widened"
    return "text" if now == "string" else "retyped"
