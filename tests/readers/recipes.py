"""The recipes of docs/readers.md: taken out of the page, and run as they are printed.

Three things are changed, and nothing else: how DuckDB and pyarrow reach a server that is not AWS's, as the page says it
in its last table; ``s3a://`` becomes the folder of a copy for Spark; and ``cl-81`` another list.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import s3_servers

if TYPE_CHECKING:
    from s3_servers import S3Server

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "readers.md"
ENGINES = ("duckdb", "spark", "pyarrow", "polars", "pandas")
FORMATS = ("jsonl", "csv", "parquet")
Rows = dict[str, list[dict[str, Any]]]
_SPARK = (
    "--conf spark.ui.enabled=false --conf spark.sql.catalogImplementation=hive "
    "--conf spark.hadoop.javax.jdo.option.ConnectionURL=jdbc:derby:memory:hive;create=true"
)
"""Hive's catalogue stays in memory: made in files, it takes longer than all that is read."""
_BLOCK = re.compile(r"<!-- recipe: ([^>]+?) -->\n```(?:python|text)\n(.*?)```", re.DOTALL)


@cache
def blocks() -> dict[str, str]:
    """Return the page's blocks by their names, such as ``polars csv``."""
    return dict(_BLOCK.findall(PAGE.read_text(encoding="utf-8")))


def python() -> Path:
    """Return the Python of the environment that has the engines."""
    return s3_servers.environment_of("readers") / "python"


class Task(NamedTuple):
    """Something that an engine is to read."""

    engine: str
    name: str
    setup: str
    """What goes before it; for ``hive`` and ``sqlglot`` the statement."""
    code: str = ""
    """What reads; for ``hive`` the days, as JSON."""


def tasks_of(engine: str, server: S3Server, copy: Path) -> list[Task]:
    """Return an engine's recipes, for both lists: ``FORMAT LIST``. DuckDB has one for all lists, too: ``all``."""
    more = []
    if engine == "duckdb":
        setup, code = (_adapted(each, server, copy, "*") for each in _code(engine, "jsonl"))
        more = [Task(engine, "all", setup, code)]
    return more + [
        Task(
            engine,
            f"{file_format} {contact_list}",
            *(_adapted(each, server, copy, contact_list) for each in _code(engine, file_format)),
        )
        for file_format, contact_list in product(FORMATS, ("cl-81", "cl-82"))
    ]


def run(tasks: list[Task], folder: Path, server: S3Server) -> Rows:
    """Do all of this in one process, in the environment of the engines; return the rows, or ``[{"error": …}]``."""
    given = folder / "tasks.json"
    given.write_text(json.dumps(tasks), encoding="utf-8")
    done = subprocess.run(
        [python(), ROOT / "tests" / "readers" / "engine.py", given, folder],
        env=_environ(server, folder),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {
        task.name: [
            json.loads(line) for line in (folder / f"{task.name}.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        ]
        for task in tasks
    }


def query(file_format: str, contact_list: str, copy: Path) -> str:
    """Return DuckDB's query, for a copy in a folder."""
    return blocks()[f"duckdb {file_format}"].replace("s3://", f"{copy}/").replace("cl-81", contact_list)


def _code(engine: str, file_format: str) -> tuple[str, str]:
    found = blocks()
    setup = found.get(f"{engine} setup", "")
    return (setup if engine == "duckdb" else found["columns"] + setup), found[f"{engine} {file_format}"]


def _adapted(code: str, server: S3Server, copy: Path, contact_list: str) -> str:
    address = server.url.removeprefix("http://")
    for told, ours in (
        (
            "PROVIDER credential_chain",
            f"PROVIDER credential_chain, ENDPOINT '{address}', URL_STYLE 'path', USE_SSL false",
        ),
        ("fs.S3FileSystem()", f'fs.S3FileSystem(endpoint_override="{server.url}")'),
        ("s3a://", f"{copy}/"),
        ("cl-81", contact_list),
    ):
        code = code.replace(told, ours)
    return code


def credentials(server: S3Server) -> dict[str, str]:
    """Return what AWS's own tools find a server by."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_REGION": s3_servers.REGION,
        "AWS_DEFAULT_REGION": s3_servers.REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _environ(server: S3Server, folder: Path) -> dict[str, str]:
    return {
        **credentials(server),
        "PATH": os.environ["PATH"],
        "HOME": str(folder),  # DuckDB keeps extensions there
        "TZ": "UTC",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_SUBMIT_ARGS": f"--master local[2] {_SPARK} pyspark-shell",
        "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # what runs for seconds is not worth compiling
    }
