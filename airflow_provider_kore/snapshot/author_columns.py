"""The columns that a table's author wants: names in order, with types where the format has some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.formats import MAX_COLUMNS, MAX_NAMES, TYPES
from airflow_provider_kore.parameters import shown, structure

if TYPE_CHECKING:
    from airflow_provider_kore.formats import Format
    from airflow_provider_kore.snapshot.fields import FieldPolicies

Columns = tuple[tuple[str, str | None], ...]
"""Names with their types; None: the type is not said."""

_ALIASES = {"timestamp": "timestamp[ms, UTC]"}


def check_columns(parameter: str, value: object) -> Columns:
    """Return columns as a DAG's author wrote them, or as a template rendered them: a list.

    Each is a name, or a dictionary of ``name`` and ``type``, as the manifest's ``schema.columns`` has them. A mapping
    would not do: its order is lost where XCom keeps it in PostgreSQL.
    """
    given = structure(parameter, value)
    if given is None:
        return ()
    if isinstance(given, (str, Mapping)) or not isinstance(given, Sequence):
        raise _unfit(parameter, f"is {shown(given)}")
    found = tuple(_column(parameter, each) for each in given)
    names = [name for name, _ in found]
    repeated = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if repeated is not None:
        raise _unfit(parameter, f"names {shown(repeated)} twice")
    if len(names) > MAX_COLUMNS or sum(map(len, names)) > MAX_NAMES:
        raise _unfit(parameter, f"has more than {MAX_COLUMNS:,} columns, or {MAX_NAMES:,} characters of names")
    if "_id" in names[1:] or dict(found).get("_id") not in {None, "string"}:
        raise _unfit(parameter, "has '_id' elsewhere than first, or as another type than string, which it always is")
    return found


def check_columns_fit(columns: Columns, file_format: Format, policies: FieldPolicies) -> None:
    """Refuse columns that a format does not have, or that a field policy leaves out. Raises ParameterError."""
    if columns and not file_format.needs_columns:
        raise ParameterError(
            "columns",
            f"{file_format.name} has no columns: each row lands as the server sent it",
            'leave it out, or pass file_format="csv" or "parquet"',
        )
    typed = next((name for name, type_ in columns if type_ is not None), None)
    if typed is not None and not file_format.has_types:
        raise ParameterError(
            "columns",
            f"gives {shown(typed)} a type, and {file_format.name} has none",
            'pass names only, or file_format="parquet"',
        )
    dropped = next((name for name, _ in columns if policies.leaves_out(name)), None)
    if dropped is not None:
        problem = f"names {shown(dropped)}, which fields or field_policies leave out"
        raise ParameterError("columns", problem, "say one thing about each field")


def _column(parameter: str, given: object) -> tuple[str, str | None]:
    if isinstance(given, str):
        return given, None
    problem = f"holds {shown(given)}"
    match dict(given) if isinstance(given, Mapping) else None:
        case {"name": str(name), **rest} if set(rest) <= {"type", "field"}:
            field, type_ = rest.get("field", name), rest.get("type")
            type_ = _ALIASES.get(type_, type_) if isinstance(type_, str) else type_
            if isinstance(field, str) and (type_ is None or type_ in TYPES):
                return field, type_
            problem = f"gives {shown(name)} the type {shown(type_)}"
    raise _unfit(parameter, problem)


def _unfit(parameter: str, problem: str) -> ParameterError:
    return ParameterError(
        parameter,
        problem,
        'pass a list of names, or in parquet of {"name": "score", "type": "double"}; types are '
        + ", ".join(sorted({*TYPES, *_ALIASES})),
    )
