"""The table over days: the columns of a snapshot beside those of the last one, and what its manifest says of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Literal

from airflow_provider_kore.formats import FORMATS, MAX_COLUMNS, Table
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_kore.snapshot.manifest import Manifest, Published
    from airflow_provider_kore.snapshot.past import Past
    from airflow_provider_kore.snapshot.spec import SnapshotSpec


log = logging.getLogger(__name__)

_SHOWN: Final = 10


def table_of(spec: SnapshotSpec, past: Past | None) -> Table:
    """Return the columns that the table has already, by its last snapshot, and those that its author wants."""
    stand = (each.manifest for each in past or ())
    last = next(stand, None)
    columns = columns_of(last) if last is not None else {}
    if last is not None and not _has(last, "columns"):  # it only names fields: those that are left out need none
        columns = {name: None for name in columns if not spec.policies.leaves_out(name)}
    if last is not None and spec.file_format.has_types and not _has(last, "types"):  # one before may have had some
        types = next((columns_of(each) for each in stand if _has(each, "types")), {})
        columns = {name: types.get(name) for name in columns}
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
    typed = _has(manifest, "types")
    found = {str(each.get("field", each["name"])): each.get("type") if typed else None for each in columns}
    return found if len(found) == len(columns) <= MAX_COLUMNS else {}


def _has(manifest: Manifest, what: Literal["columns", "types"]) -> bool:
    name = manifest.content.get("file_format")
    if name is None:
        return False
    return FORMATS[name].has_types if what == "types" else FORMATS[name].needs_columns


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


def tell_changes(schema: Mapping[str, Any], where: str) -> None:
    """Log what changed of a table. Names few columns: there may be two thousand."""
    told = [
        f"'{quoted(each['column'])}' is new"
        if each["from"] is None
        else f"'{quoted(each['column'])}' is {each['to']} now"
        for each in schema["changes"]
    ]
    if told:
        more = [f"and {len(told) - _SHOWN:,} more"] if len(told) > _SHOWN else []
        log.info("The columns of %s have changed: %s.", where, ", ".join(told[:_SHOWN] + more))


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
