"""Run recipes of one engine in its own environment: ``engine.py ENGINE RECIPES.json FOLDER``.

RECIPES.json is a list of ``[name, setup, code]``. The rows that each recipe's ``contacts`` has, or why there are none,
go into ``FOLDER/NAME.jsonl``: one row a line, times as ISO 8601. Nothing here knows what the rows should be.
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
    from collections.abc import Iterable


def main(engine: str, recipes: Path, folder: Path) -> None:
    """Run all of them in one process: what takes long is that the engine starts."""
    for name, setup, code in json.loads(recipes.read_text(encoding="utf-8")):
        try:
            lines = [json.dumps(row, default=plain) for row in rows_of(engine, setup, code)]
        except Exception:  # noqa: BLE001 - whatever an engine says is the answer
            lines = [json.dumps({"error": traceback.format_exc()[-3000:]})]
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def rows_of(engine: str, setup: str, code: str) -> Iterable[dict[str, Any]]:
    """Return the rows that a recipe reads."""
    if engine == "duckdb":
        return duckdb_rows(setup, code)
    space: dict[str, Any] = {}
    exec(setup, space)  # noqa: S102 - what the page prints
    exec(code, space)  # noqa: S102
    contacts = space["contacts"]
    if engine == "polars":
        return contacts.lazy().collect().to_dicts()  # type: ignore[no-any-return]
    if engine == "pyarrow":
        return contacts.to_pylist()  # type: ignore[no-any-return]
    if engine == "pandas":
        return contacts.astype(object).where(contacts.notna(), None).to_dict("records")  # type: ignore[no-any-return]
    return (row.asDict() for row in contacts.collect())


def duckdb_rows(setup: str, code: str) -> Iterable[dict[str, Any]]:
    """Return what a query finds; the extensions are those of the environment's packages, not downloaded ones."""
    import duckdb

    database = duckdb.connect()
    database.sql("SET TimeZone = 'UTC'")
    for path in Path(sysconfig.get_paths()["purelib"]).glob("duckdb_extension_*/extensions/*/*.duckdb_extension"):
        database.sql(f"INSTALL '{path}'")
    database.sql(setup)
    return database.sql(code).to_arrow_table().to_pylist()  # type: ignore[no-any-return]


def plain(value: Any) -> object:
    """Return what JSON cannot hold as text."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
