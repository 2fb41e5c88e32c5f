"""Run recipes in the environment of the engines: ``engine.py TASKS.json FOLDER``.

TASKS.json is a list of :class:`recipes.Task`. The rows that each recipe's ``contacts`` has, or why there are none, go
into ``FOLDER/NAME.jsonl``: one row a line, times as ISO 8601. Nothing here knows what the rows should be.
"""

from __future__ import annotations

import json
import sys
import sysconfig
import traceback
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def main(tasks: Path, folder: Path) -> None:
    """Run all of them in one process: what takes long is that the engine starts."""
    for engine, name, setup, code in json.loads(tasks.read_text(encoding="utf-8")):
        try:
            lines = [json.dumps(row, default=plain) for row in rows_of(engine, setup, code)]
        except Exception:  # noqa: BLE001 - whatever an engine says is the answer
            lines = [json.dumps({"error": traceback.format_exc()[-3000:]})]
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def rows_of(engine: str, setup: str, code: str) -> Iterable[dict[str, Any]]:
    """Return the rows that a recipe reads."""
    if engine in STATEMENTS:
        return STATEMENTS[engine](setup, code)
    space: dict[str, Any] = {}
    exec(setup, space)  # noqa: S102 - what the page prints
    exec(code, space)  # noqa: S102
    return FRAMES[engine](space["contacts"])


def duckdb_rows(setup: str, code: str) -> Iterable[dict[str, Any]]:
    """Return what a query finds; the extensions are those of the environment's packages, not downloaded ones."""
    import duckdb

    database = duckdb.connect()
    database.sql("SET TimeZone = 'UTC'")
    for path in Path(sysconfig.get_paths()["purelib"]).glob("duckdb_extension_*/extensions/*/*.duckdb_extension"):
        database.sql(f"INSTALL '{path}'")
    database.sql(setup)
    return database.sql(code).to_arrow_table().to_pylist()  # type: ignore[no-any-return]


def hive_rows(statement: str, dates: str) -> Iterable[dict[str, Any]]:
    """Create the table in Spark's own Hive, which projects no partitions, and return what it reads."""
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    # Hive's reader finds columns by their place where it is told to, and knows no times in milliseconds.
    by_place = "parquet.column.index.access" in statement
    spark.conf.set("spark.sql.hive.convertMetastoreParquet", str(not by_place))
    table = statement.partition("`")[2].partition("`")[0]
    spark.sql(statement)
    for each in json.loads(dates):
        spark.sql(f"ALTER TABLE `{table}` ADD PARTITION (`snapshot_date` = '{each}')")
    found = spark.sql(f"SELECT * FROM `{table}`")  # noqa: S608
    return [row.asDict() for row in found.collect()]


def statement_rows(statement: str, _: str) -> Iterable[dict[str, Any]]:
    """Return the columns that sqlglot reads in a statement for Athena."""
    import sqlglot
    from sqlglot import exp

    found = sqlglot.parse_one(statement, dialect="athena")
    assert isinstance(found, exp.Create)
    return [{"name": each.name, "type": each.args["kind"].sql()} for each in found.find_all(exp.ColumnDef)]


def plain(value: Any) -> object:
    """Return what JSON cannot hold as text."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value))


STATEMENTS: dict[str, Callable[[str, str], Iterable[dict[str, Any]]]] = {
    "duckdb": duckdb_rows,
    "hive": hive_rows,
    "sqlglot": statement_rows,
}
FRAMES: dict[str, Callable[[Any], Iterable[dict[str, Any]]]] = {
    "pandas": lambda contacts: contacts.astype(object).where(contacts.notna(), None).to_dict("records"),
    "polars": lambda contacts: contacts.lazy().collect().to_dicts(),
    "pyarrow": lambda contacts: contacts.to_pylist(),
    "spark": lambda contacts: (row.asDict() for row in contacts.collect()),
}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
