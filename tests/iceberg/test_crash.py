"""Whatever fails, and wherever a task is killed: the table shows a day whole, and the next try commits it once."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from failing import FailingIO, Script, failing
from lake import DAY, TABLE, LocalLake, contacts

from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import (
    CatalogUnavailableError,
    ContentionError,
    RetryableError,
    TableMismatchError,
)
from airflow_provider_kore.iceberg import marks, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyiceberg.catalog import Catalog


pytestmark = pytest.mark.slow


class Quick(SystemClock):
    """Sleeps nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def monotonic(self) -> float:
        return super().monotonic() + sum(self.slept)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[LocalLake]:
    """A table in a folder."""
    yield LocalLake(tmp_path)
    FailingIO.script = Script()


def broken(lake: LocalLake, script: Script) -> Catalog:
    """Return a catalog of another process, which the script breaks."""
    from pyiceberg.catalog import load_catalog

    return failing(load_catalog("iceberg_default", **lake.properties, **{"py-io-impl": "failing.FailingIO"}), script)


def data_files(lake: LocalLake) -> set[str]:
    return {each for each in lake.objects() if each.endswith(".parquet")}


def commits(lake: LocalLake, table: str = TABLE) -> list[str]:
    """Return the digests of the commits that led to what the table shows."""
    found = lake.reader.load_table(table)
    return [
        each.summary.additional_properties[marks.COMMIT]
        for each in found.metadata.snapshots
        if each.summary and marks.COMMIT in each.summary.additional_properties
    ]


WAYS = [
    pytest.param({"after": False}, id="fails before"),
    pytest.param({"after": True}, id="fails after"),
    pytest.param({"for_good": True}, id="killed"),  # before each call, and so after the one before it
]


READS = {"open", "load_table", "create_table_transaction"}
"""Calls of which it makes no difference whether they fail before or after they took effect."""


def fail_at_each_call(
    lake: LocalLake, way: dict[str, bool], begin: Callable[[str], object], others: list[tuple[str, str, str]]
) -> set[str]:
    """Commit to one table after the other, each time with a failure one call later; return the calls' names.

    :param begin: makes a table.
    :param others: what it holds of other lists.
    """
    calls: list[str] = []
    address = ""
    for number in count():
        if way.get("after") and number < len(calls) and calls[number] in READS:
            continue
        name = f"crm.table_{number}"
        begin(name)
        address = lake.land(contacts(2, 3))
        old, files = lake.ids(table=name) if others else None, data_files(lake)
        script = Script(at=number, **way)
        failure: Exception | None = None
        try:
            lake.commit(address, catalog=broken(lake, script), table=name)
        except Exception as err:  # noqa: BLE001
            failure = err
        FailingIO.script = Script()
        new = [("cl-1", DAY, "ct-2"), ("cl-1", DAY, "ct-3"), *others]
        seen = lake.ids(table=name) if others or lake.reader.table_exists(name) else None
        assert seen in (old, new)
        if failure is None:
            assert seen == new
        else:
            assert isinstance(failure, RetryableError), failure
        if failure and not way.get("for_good") and "not known" not in str(failure) and seen == old:
            assert data_files(lake) == files  # what it had begun, it took away again
        outcome = lake.commit(address, table=name)
        table = lake.table(name)
        assert len(commits(lake, name)) == (2 if others else 1)
        assert (outcome.snapshot_id is None) == (seen == new)
        assert table.metadata.refs[f"kore-{DAY}"].snapshot_id == table.metadata.current_snapshot_id
        if seen != new:
            assert lake.ids(table=name) == new
        if number >= len(script.calls):
            return set(script.calls)
        calls = script.calls if len(script.calls) > len(calls) else calls
    raise AssertionError


@pytest.mark.parametrize("way", WAYS)
def test_a_table_is_old_or_new_whatever_call_fails_and_the_next_try_commits_once(
    lake: LocalLake, way: dict[str, bool]
) -> None:
    two = lake.land(contacts(7), contact_list_id="cl-2")
    calls = fail_at_each_call(
        lake, way, lambda name: lake.commit(lake.land(contacts(1)), two, table=name), [("cl-2", DAY, "ct-7")]
    )
    assert {"load_table", "commit_table", "create", "close", "open"} <= calls


def test_a_table_is_created_with_its_first_commit_or_not_at_all(lake: LocalLake) -> None:
    assert lake.reader
    assert "create_table_transaction" in fail_at_each_call(lake, {"for_good": True}, lambda _: None, [])


# --- Other writers ----------------------------------------------------------------------------------------------------


def between(*others: Callable[[], object]) -> Script:
    """Return a script by which others write just before the commit, one each time."""
    left = list(others)

    def on_call(name: str) -> None:
        if name == "commit_table" and left:
            left.pop(0)()

    return Script(on_call=on_call)


def test_an_orphan_that_commits_the_same_in_between_is_found_and_nothing_is_committed_twice(lake: LocalLake) -> None:
    lake.commit(lake.land(contacts(1)))
    address = lake.land(contacts(2))
    script = between(lambda: lake.commit(address))
    outcome = lake.commit(address, catalog=broken(lake, script), clock=Quick())
    assert outcome.snapshot_id is None
    assert len(commits(lake)) == 2
    assert len(data_files(lake)) == 2  # its own are gone again


def test_two_that_create_the_table_at_once_both_end_with_what_they_committed(lake: LocalLake) -> None:
    one, two = lake.land(contacts(1)), lake.land(contacts(2), contact_list_id="cl-2")
    assert lake.reader
    script = between(lambda: lake.commit(two))
    lake.commit(one, catalog=broken(lake, script), clock=Quick())
    assert lake.ids() == [("cl-1", DAY, "ct-1"), ("cl-2", DAY, "ct-2")]


def test_another_writer_in_between_loses_nothing_and_neither_do_we(lake: LocalLake) -> None:
    two = lake.land(contacts(7, 8), contact_list_id="cl-2")
    lake.commit(lake.land(contacts(1)), two)
    address = lake.land(contacts(2, extra="x"))
    clock = Quick()
    script = between(
        lambda: lake.table().delete("_id = 'ct-7'"),
        lambda: lake.commit(lake.land(contacts(9), contact_list_id="cl-3")),
        lambda: lake.table().update_schema().add_column("theirs", _string()).commit(),  # ours has its number now
    )
    outcome = lake.commit(address, catalog=broken(lake, script), clock=clock)
    assert lake.ids() == [("cl-1", DAY, "ct-2"), ("cl-2", DAY, "ct-8"), ("cl-3", DAY, "ct-9")]
    assert [(row["extra"], row["theirs"]) for row in lake.rows()] == [("x", None), (None, None), (None, None)]
    assert lake.table().metadata.refs[f"kore-{DAY}"].snapshot_id == outcome.snapshot_id  # not lost with the retry
    assert len(clock.slept) >= 3
    referenced = {row["file_path"].rpartition("/")[2] for row in lake.table().inspect.all_files().to_pylist()}
    assert {each.rpartition("/")[2] for each in data_files(lake)} == referenced


def test_who_never_wins_gives_up_by_name_and_leaves_nothing(lake: LocalLake) -> None:
    lake.commit(lake.land(contacts(1)))
    address = lake.land(contacts(2))
    others = [
        partial(lake.commit, lake.land(contacts(number), contact_list_id=f"cl-{number}"))
        for number in range(10, 10 + run.ATTEMPTS)
    ]
    with pytest.raises(ContentionError, match="6 commits in a row came too late"):
        lake.commit(address, catalog=broken(lake, between(*others)), clock=Quick())
    assert [row[2] for row in lake.ids()] == ["ct-1", *(f"ct-{number}" for number in range(10, 10 + run.ATTEMPTS))]
    assert len(data_files(lake)) == 1 + run.ATTEMPTS


def test_a_table_that_is_dropped_in_between_is_created_anew(lake: LocalLake) -> None:
    lake.commit(lake.land(contacts(1)))
    script = between(lambda: lake.reader.drop_table(TABLE))
    lake.commit(lake.land(contacts(2)), catalog=broken(lake, script), clock=Quick())
    assert lake.ids() == [("cl-1", DAY, "ct-2")]


def test_a_commit_whose_answer_was_lost_is_found_at_once(lake: LocalLake) -> None:
    address = lake.land(contacts(1))
    lake.commit(lake.land(contacts(7), contact_list_id="cl-2"))
    script = Script(after=True, error=lambda: ConnectionError("reset"))
    script.on_call = lambda name: setattr(script, "at", script.last(name)) if name == "commit_table" else None
    outcome = lake.commit(address, catalog=broken(lake, script))
    assert outcome.snapshot_id is not None
    assert len(commits(lake)) == 2


def test_a_commit_that_arrives_late_is_not_made_twice(lake: LocalLake) -> None:
    lake.commit(lake.land(contacts(7), contact_list_id="cl-2"))
    address = lake.land(contacts(1))
    late: list[Any] = []
    catalog = lake.catalog()
    real = catalog.commit_table

    def slow(*args: Any) -> Any:
        late.append(lambda: real(*args))
        raise ConnectionError("timed out")

    catalog.commit_table = slow  # type: ignore[method-assign]
    with pytest.raises(CatalogUnavailableError, match="it is not known whether it will be in"):
        lake.commit(address, catalog=catalog)
    script = between(late.pop())
    assert lake.commit(address, catalog=broken(lake, script), clock=Quick()).snapshot_id is None
    assert lake.ids() == [("cl-1", DAY, "ct-1"), ("cl-2", DAY, "ct-7")]
    assert len(commits(lake)) == 2


def test_files_of_a_commit_in_doubt_are_left_and_told_of(lake: LocalLake, caplog: pytest.LogCaptureFixture) -> None:
    lake.commit(lake.land(contacts(7), contact_list_id="cl-2"))
    script = Script(for_good=True)
    script.on_call = lambda name: setattr(script, "at", script.last(name)) if name == "commit_table" else None
    with pytest.raises(CatalogUnavailableError):
        lake.commit(lake.land(contacts(1)), catalog=broken(lake, script))
    assert "3 files that this task wrote" in caplog.text
    assert len(data_files(lake)) == 2


def test_a_branch_of_a_days_name_is_refused(lake: LocalLake) -> None:
    first = lake.commit(lake.land(contacts(1)), tags=False)
    assert first.snapshot_id
    lake.table().manage_snapshots().create_branch(first.snapshot_id, f"kore-{DAY}").commit()
    address = lake.land(contacts(2))
    with pytest.raises(TableMismatchError, match="has a branch kore-2026-11-25"):
        lake.commit(address)
    assert lake.commit(address, tags=False).tags == []


def _string() -> Any:
    from pyiceberg.types import StringType

    return StringType()
