"""The definition of a landed table for Athena and Glue: a ``CREATE EXTERNAL TABLE`` with partition projection.

Sources: Athena user guide, "CREATE TABLE", "Supported types for partition projection", "Open CSV SerDe for processing
CSV", "OpenX JSON SerDe", "Names for tables, databases, and columns", "Update tables when the schema changes".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.readers.table import DATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_provider_kore.readers.table import Table

MOST_BYTES: Final = 262_144
"""Of a statement. Source: Athena user guide, "Service Quotas", query string length."""

LONGEST_NAME: Final = 255
"""Characters of a name of a database, table or column. Source: Athena user guide, "Names for tables, …"."""

TYPES: Final = {"int64": "bigint", "double": "double", "boolean": "boolean", "timestamp[ms, UTC]": "timestamp"}
"""Athena's types by ours; all others are ``string``."""

_TEXT: Final = (
    "STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat'\n"
    "OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'"
)
_PARQUET: Final = (
    "STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'\n"
    "OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'"
)
_SERDES: Final = {
    "jsonl": "org.openx.data.jsonserde.JsonSerDe",
    "csv": "org.apache.hadoop.hive.serde2.OpenCSVSerde",
    "parquet": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
}
_name = re.compile(r"[a-z0-9_]{1,255}").fullmatch
_odd = re.compile(r'[^"\w \-.,:/=$+{}\[\]]', re.ASCII)


def create_table(table: Table, *, name: str | None = None, database: str | None = None) -> str:
    """Return the statement, in ASCII, without a semicolon at its end.

    A column's name is in lower case, and has an underscore for whatever else Athena does not allow; names that become
    alike get a number.

    :param name: of the table; None: after its folder.
    :param database: None: the one that the query runs in.

    Raises ParameterError for a name that Athena does not take, and for a table with too many columns for a statement.
    """
    names = column_names(table.columns, (*table.keys, DATE))
    columns = [
        f"  `{own}` {TYPES.get(kind or '', 'string')}{_comment(own, name)}"
        for own, (name, kind) in zip(names, table.columns.items(), strict=True)
    ]
    full_name = f"`{_checked('--table', name if name is not None else default_name(table))}`"
    if database is not None:
        full_name = f"`{_checked('--database', database)}`.{full_name}"
    serde = _serde_properties(table, names)
    statement = "\n".join(
        [
            f"CREATE EXTERNAL TABLE {full_name} (",
            ",\n".join(columns),
            ")",
            "PARTITIONED BY (",
            ",\n".join(f"  `{key}` string" for key in (*table.keys, DATE)),
            ")",
            f"ROW FORMAT SERDE {literal(_SERDES[table.file_format])}",
            *(["WITH SERDEPROPERTIES (", _pairs(serde), ")"] if serde else []),
            _PARQUET if table.file_format == "parquet" else _TEXT,
            f"LOCATION {literal(table.location)}",
            "TBLPROPERTIES (",
            _pairs(_table_properties(table)),
            ")",
        ]
    )
    if len(statement) > MOST_BYTES:
        raise ParameterError(
            "address",
            f"holds a table whose definition has {len(statement):,} bytes, and Athena takes {MOST_BYTES:,}",
            "land fewer fields (fields=[…])",
        )
    return statement


def column_names(names: Iterable[str], taken: Iterable[str]) -> list[str]:
    """Return a name that Athena takes for each of these, each once.

    :param taken: names of partition keys, which columns must not have.
    """
    used = set(taken)
    found = []
    for name in names:
        plain = re.sub(r"[^a-z0-9_]", "_", name.lower())[: LONGEST_NAME - 8] or "_"
        own, number = plain, 1
        while own in used:
            number += 1
            own = f"{plain}_{number}"
        used.add(own)
        found.append(own)
    return found


def default_name(table: Table) -> str:
    """Return a name after the folder: ``contact_lists``, or of one list ``contact_lists_cl_81``."""
    folders = [part.partition("=")[2] or part for part in table.location.split("/")[3:] if part]
    named = folders[-2:] if "=" in table.location.rstrip("/").rpartition("/")[2] else folders[-1:]
    return re.sub(r"[^a-z0-9_]", "_", "_".join(named).lower())[:LONGEST_NAME] or "snapshots"


def literal(text: str) -> str:
    r"""Return a string literal of Hive's grammar, in ASCII: whatever is not plain as ``\u0027``."""
    return f"'{_odd.sub(_escaped, text)}'"


def _escaped(character: re.Match[str]) -> str:
    units = character[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _comment(own: str, name: str) -> str:
    return "" if own == name.lower() else f" COMMENT {literal(quoted(name))}"


def _checked(option: str, name: str) -> str:
    if _name(name) is None:
        raise ParameterError(
            option,
            f"{quoted(name)!r} is no name that Athena takes",
            f"use lower-case letters, digits and underscores, {LONGEST_NAME} at most",
        )
    return name


def _serde_properties(table: Table, names: Sequence[str]) -> dict[str, str]:
    if table.file_format == "csv":
        # without an escapeChar of its own, the SerDe takes the backslash for one, and eats it
        return {"separatorChar": ",", "quoteChar": '"', "escapeChar": "\x01"}
    if table.file_format == "parquet":
        return {"parquet.column.index.access": "true"} if table.by_position else {}
    spelt = zip(names, table.columns, strict=True)
    return {"case.insensitive": "false", **{f"mapping.{own}": name for own, name in spelt if own != name}}


def _table_properties(table: Table) -> dict[str, str]:
    location = table.location
    properties = {
        "classification": {"jsonl": "json"}.get(table.file_format, table.file_format),
        **({"skip.header.line.count": "1"} if table.file_format == "csv" else {}),
        "projection.enabled": "true",
        **{f"projection.{key}.type": "injected" for key in table.keys},
        f"projection.{DATE}.type": "date",
        f"projection.{DATE}.format": "yyyy-MM-dd",
        f"projection.{DATE}.range": f"{table.first},NOW+1DAYS",  # a day's name may be ahead of UTC
        f"projection.{DATE}.interval": "1",
        f"projection.{DATE}.interval.unit": "DAYS",
    }
    if "${" not in location:  # else Athena's own way to name folders, which is the same
        folders = "".join(f"{key}=${{{key}}}/" for key in (*table.keys, DATE))
        properties["storage.location.template"] = location + folders
    return properties


def _pairs(properties: Mapping[str, str]) -> str:
    return ",\n".join(f"  {literal(name)} = {literal(value)}" for name, value in properties.items())
