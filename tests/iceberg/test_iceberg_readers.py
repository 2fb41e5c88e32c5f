"""What readers of the table see, while it is committed to and afterwards: pyiceberg's own, and DuckDB."""

from __future__ import annotations

import json
import subprocess
import textwrap
import threading
from datetime import datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from environment import make_environment, newest_python
from lake import DAY, NEXT, PREFIX, TABLE, LocalLake, contacts
from test_table import same

from airflow_provider_kore.exceptions import TableMismatchError
from airflow_provider_kore.formats import FORMATS

if TYPE_CHECKING:
    import duckdb
    from lake import Lake
    from pyiceberg.table import Table

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TAGS = (f"kore-{DAY}", f"kore-{NEXT}")
LISTS = ("cl-1", "cl-2", "cl-3")
ORDER = ("contact_list_id", "snapshot_date", "_id")


def test_readers_beside_commits_see_each_day_whole_and_never_a_moment_without_it(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    lake.commit([lake.land(contacts(1, 2), contact_list_id=name) for name in LISTS])
    ended = threading.Event()
    seen: list[list[tuple[str, int]]] = []

    def read() -> None:
        catalog = lake.catalog()
        while not ended.is_set():
            found = catalog.load_table(TABLE).scan(selected_fields=("contact_list_id", "score")).to_arrow()
            seen.append(sorted((row["contact_list_id"], row["score"]) for row in found.to_pylist()))

    readers = [threading.Thread(target=read, daemon=True) for _ in range(2)]
    for reader in readers:
        reader.start()
    versions = [[1, 2]]
    for version in range(1, 6):
        versions.append([10 * version, 10 * version + 1, 10 * version + 2])
        lake.commit([lake.land(contacts(*versions[-1]), contact_list_id=name) for name in LISTS])
    ended.set()
    for reader in readers:
        reader.join(timeout=60)
    whole = [[(name, score) for name in LISTS for score in version] for version in versions]
    assert seen
    assert all(each in whole for each in seen)


def test_every_version_of_the_table_holds_each_list_and_a_tag_is_the_table_as_that_day_left_it(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    lake.commit(lake.land(contacts(1, 2)))
    lake.commit(lake.land(contacts(1, 3), day=NEXT))
    lake.commit(lake.land(contacts(4)))  # the first day again
    next_day = [("cl-1", NEXT, "ct-1"), ("cl-1", NEXT, "ct-3")]
    assert lake.ids(f"kore-{NEXT}") == [("cl-1", DAY, "ct-1"), ("cl-1", DAY, "ct-2"), *next_day]
    assert lake.ids(f"kore-{DAY}") == [("cl-1", DAY, "ct-4"), *next_day]
    for snapshot in lake.table().metadata.snapshots:
        assert DAY in {row[1] for row in lake.ids(snapshot.snapshot_id)}


@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
def test_duckdb_reads_what_was_committed(lake: Lake, file_format: str) -> None:
    lake.commit(lake.land(contacts(1, 2, 3, name="Zoë")))
    lake.commit(lake.land(contacts(2, 3, 4, name="Zoë", vip=True), day=NEXT, file_format=file_format))
    connection: duckdb.DuckDBPyConnection = lake.table().scan().to_duckdb("contacts")
    told = connection.sql(
        """
        select snapshot_date::varchar, count(*), sum(score), min(createdAt)::date::varchar, any_value(vip::varchar)
        from contacts group by 1 order by 1
        """
    ).fetchall()
    assert told == [(DAY, 3, 6, "2026-11-01", None), (NEXT, 3, 9, "2026-11-01", "true")]


READ = """
import json, sys
import duckdb
from duckdb_extensions import import_extension

connection = duckdb.connect()
connection.execute("set TimeZone = 'UTC'")
for name in ("avro", "iceberg"):
    import_extension(name)
    connection.execute(f"load {name}")
questions = json.load(sys.stdin)
print(json.dumps([connection.sql(each).fetchall() for each in questions]))
"""


def duckdb_reads(questions: list[str]) -> Any:
    """Return the rows of each query, by DuckDB's own reader of Iceberg in a process of its own."""
    python = make_environment(ROOT / ".cache" / "duckdb", ["duckdb"], newest_python(), project=False)
    told = subprocess.run(
        [python, "-c", READ], input=json.dumps(questions), check=True, capture_output=True, text=True, timeout=120
    )
    return json.loads(told.stdout)


def test_duckdbs_own_reader_of_iceberg_sees_the_same_table_and_the_same_tags(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    lake.commit(lake.land(contacts(1, 2, **{"a b": 1, "a_x20b": 2})), lake.land(contacts(7), contact_list_id="cl-2"))
    lake.commit(lake.land(contacts(1, 3, vip=True), day=NEXT, file_format="jsonl"))
    lake.commit(lake.land(contacts(4)))
    table = lake.table()
    tags = {name: ref.snapshot_id for name, ref in table.refs().items()}
    source = f"'{table.metadata_location.removeprefix('file://')}'"
    columns = "contact_list_id, snapshot_date::varchar, _id"
    at = [f"{source}, snapshot_from_id={tags[name]}" for name in TAGS]
    questions = [
        *(f"select {columns} from iceberg_scan({each}) order by all" for each in (source, *at)),  # noqa: S608
        f"""select "a b", "a_x20b", score, createdAt::varchar from iceberg_scan({at[1]}) where _id = 'ct-2'""",  # noqa: S608
    ]
    now, *of_tags, [values] = duckdb_reads(questions)
    assert [tuple(row) for row in now] == lake.ids()
    assert [[tuple(row) for row in each] for each in of_tags] == [lake.ids(name) for name in TAGS]
    assert values == [1, 2, 2, "2026-11-01 08:00:00+00"]


VALUES: dict[str, list[Any]] = {
    "score": [1, -7, 2**60, 1.5, "12", None],
    "vip": [True, False, None, "yes"],
    "ratio": [0.5, 3, 2**53 + 1, None],
    "createdAt": ["2026-11-01T08:00:00.000Z", "2026-11-01T10:00:00+02:00", "yesterday"],
    "tags": [["a", 1], {"b": None}, "none"],
    "a.b": [1, 2],
    "a": ["x"],
    "B": ["y", 4],
    "Ünïcødé 🙂": ["z"],
}


def random_days(lake: LocalLake, table: str, random: Random) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Commit random days of two lists, in which fields come, go and change; return what the table should hold."""
    held: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(6):
        landed = {}
        for name, day in random.sample([(name, day) for name in LISTS[:2] for day in (DAY, NEXT)], 2):
            fields = random.sample(sorted(VALUES), 5)
            rows = [
                {"_id": f"ct-{number}", **{field: random.choice(VALUES[field]) for field in fields}}
                for number in range(random.randrange(4))
            ]
            landed[name, day] = rows
            lake.land(rows, contact_list_id=name, day=day, file_format=random.choice(sorted(FORMATS)))
        addresses = [
            f"s3://lake/{PREFIX}/contact_list_id={name}/snapshot_date={day}/"
            for name, day in random.sample(sorted(landed), 2)
        ]
        before = lake.table(table).metadata if held else None
        try:
            lake.commit(addresses, table=table)
        except TableMismatchError:
            assert held or not lake.reader.table_exists(table)
            assert before is None or lake.table(table).metadata == before
        else:
            held |= landed
    return held


def test_over_random_days_duckdb_reads_what_the_contacts_said_or_nothing_was_committed(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    held = {f"crm.t{seed}": random_days(lake, f"crm.t{seed}", Random(seed)) for seed in range(6)}  # noqa: S311
    assert sum(len(rows) for partitions in held.values() for rows in partitions.values()) > 20
    questions = [
        f"select to_json(t)::varchar from iceberg_scan('{lake.table(name).metadata_location[7:]}') t"  # noqa: S608
        for name in held
    ]
    for (name, partitions), found in zip(held.items(), duckdb_reads(questions), strict=True):
        rows = sorted((json.loads(row) for [row] in found), key=lambda row: (*map(row.get, ORDER),))
        mine = [json.loads(json.dumps(row, default=_as_duckdb_writes)) for row in lake.rows(table=name)]
        assert rows == mine
        expected = {(*partition, row["_id"]): row for partition, rows_ in partitions.items() for row in rows_}
        assert [tuple(map(row.get, ORDER)) for row in rows] == sorted(expected)
        for row in lake.rows(table=name):
            said = expected[row["contact_list_id"], row["snapshot_date"].isoformat(), row["_id"]]
            assert all(_told(row, field, value) for field, value in said.items()), (name, row, said)


def _told(row: dict[str, Any], field: str, value: Any) -> bool:
    """Say whether a row holds what a contact said; a snapshot in Parquet says of an instant only which one it is."""
    if field == "createdAt" and isinstance(row[field], str) and row[field] != value:
        return datetime.fromisoformat(row[field]) == datetime.fromisoformat(value)
    return same(row[field], value)


def _as_duckdb_writes(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S+00}" if isinstance(value, datetime) else str(value)


def test_what_was_replaced_is_out_of_reach_once_tags_are_moved_and_snapshots_expired(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    address = lake.land(contacts(1, 2))
    lake.commit(address)
    lake.commit(lake.land(contacts(1), day=NEXT))
    lake.commit(lake.land(contacts(1)))  # the second contact was erased from the first day
    assert ("cl-1", DAY, "ct-2") in lake.ids(f"kore-{NEXT}")  # a tag holds all days as they were then
    forget(lake.table())
    table = lake.table()
    assert {ref.snapshot_id for ref in table.refs().values()} == {table.metadata.current_snapshot_id}
    assert len(table.metadata.snapshots) == 1
    assert len({row["file_path"] for row in table.inspect.all_files().to_pylist()}) == 2
    assert len([each for each in lake.objects() if each.endswith(".parquet")]) == 3  # until an engine removes it
    assert lake.commit(address).snapshot_id is None


def forget(table: Table) -> None:
    """Do what docs/iceberg.md prints."""
    page = (ROOT / "docs" / "iceberg.md").read_text(encoding="utf-8")
    blocks = [each.partition("```")[0] for each in page.split("```python\n")[1:]]
    [code] = [each for each in blocks if "expire_snapshots" in each]
    exec(compile(textwrap.dedent(code), "iceberg.md", "exec"), {"table": table})  # noqa: S102
