"""The history of a list: who came and went, by ids, and what it cost."""

from __future__ import annotations

import json
import tempfile
import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from audited import CONTACTS, LIST, change, lake, manifest, manifest_key, overwrite, partition
from hypothesis import given, settings
from hypothesis import strategies as st
from test_commands import fill, verify  # noqa: F401 - a fixture
from test_incremental import Days

from airflow_provider_kore.audit.history import histories
from airflow_provider_kore.audit.plot import svg
from airflow_provider_kore.audit.progress import Progress
from airflow_provider_kore.audit.report import history_as_json, history_as_text
from airflow_provider_kore.exceptions import TempSpaceError
from airflow_provider_kore.snapshot import reading

if TYPE_CHECKING:
    from pathlib import Path

    from model_store import MemoryStore
    from s3_servers import S3Server

    from airflow_provider_kore.audit.history import History


def history(store: MemoryStore, prefix: str = LIST, **given_: Any) -> History:
    (found,) = histories(store, prefix, progress=Progress(str), **given_)
    return found


moves = st.lists(st.sampled_from(["append", "remove", "edit", "insert", "swap", "reimport", "nothing"]), max_size=4)


@pytest.mark.slow
@settings(max_examples=15)
@given(days=st.lists(moves, min_size=1, max_size=4), form=st.sampled_from(["jsonl", "csv", "parquet"]))
def test_added_and_gone_are_those_of_the_list(days: list[list[str]], form: str) -> None:
    landed = Days(contacts=CONTACTS, file_format=form, rows_per_file=5)
    lists = []
    for moved in days:
        for move in moved:
            {
                "append": landed.vendor.append,
                "remove": lambda: landed.vendor.remove(0),
                "edit": lambda: landed.vendor.edit(0),
                "insert": lambda: landed.vendor.insert(1),
                "swap": lambda: landed.vendor.swap(0),
                "reimport": landed.vendor.reimport,
                "nothing": lambda: None,
            }[move]()
        landed.land()
        lists.append(set(landed.vendor.ids))
    found = history(landed.world.bucket).days
    assert [day.rows for day in found] == [len(ids) for ids in lists]
    assert [(day.added, day.gone) for day in found] == [
        (None, None),
        *((len(now - before), len(before - now)) for before, now in pairwise(lists)),
    ]
    assert all(day.consistent and not day.problem for day in found)


def test_a_table_says_what_each_snapshot_cost() -> None:
    store = lake(contacts=60)
    change(store, 3, consistent=False)
    said = history_as_text([history(store)])
    assert said.splitlines()[0] == f"s3://memory/{LIST}"
    assert said.splitlines()[1].split() == [
        "date", "contacts", "added", "gone", "consistent", "read", "requests", "time"
    ]  # fmt: skip
    assert "2026-01-01        60      -     -  yes         whole" in said
    assert "2026-01-02        61      1     0  yes         what is new" in said
    assert "2026-01-03        62      1     0  no          what is new" in said
    cheap = history(store, ids=False)
    assert [(day.rows, day.added) for day in cheap.days] == [(60, None), (61, None), (62, None)]
    told = json.loads(history_as_json([history(store)]))
    assert told["version"] == 1
    assert told["lists"][0]["days"][1]["added"] == 1
    assert told["lists"][0]["days"][1]["requests"] == manifest(store, 2)["walk"]["requests"]


def test_a_damaged_snapshot_is_said_and_the_others_are_counted() -> None:
    store = lake(days=4)
    key = manifest(store, 2)["files"][0]["key"]
    overwrite(store, key, store.bodies()[key][:-1])
    overwrite(store, manifest_key(4), b"{}")
    found = history(store)
    assert found.status == "wrong"
    assert [(day.rows, day.added, day.level) for day in found.days] == [
        (12, None, ""),
        (13, None, "wrong"),
        (14, None, ""),
        (None, None, "wrong"),
    ]
    assert "WRONG: 2026-01-02: " in history_as_text([found])


def test_a_full_disk_is_called_that(monkeypatch: pytest.MonkeyPatch) -> None:
    store = lake()
    monkeypatch.setattr(reading, "MEMORY", 10)
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(TempSpaceError, match="TMPDIR"):
        history(store)


@pytest.mark.parametrize("days", [0, 1, 2, 400])
def test_the_picture_is_well_formed_whatever_there_is_to_show(days: int) -> None:
    store = lake(days=2)
    found = history(store)
    first, second = found.days
    found.days = [first, *([second] * (days - 1))][:days]
    found.address = "s3://memory/<&\"'>]]></svg><script>"
    root = ET.fromstring(svg(found))  # noqa: S314 - our own
    assert root.tag.endswith("svg")
    texts = [each.text for each in root.iter() if each.tag.endswith("}text")]
    assert found.address in texts


@pytest.mark.slow
def test_the_command_prints_and_draws(moto_server: S3Server, moto_bucket: str, verify: Any, tmp_path: Path) -> None:  # noqa: F811
    fill(moto_server, moto_bucket)
    place = f"s3://{moto_bucket}/kore"
    status, said, aside = verify(moto_server, place, command="history")
    assert (status, aside) == (0, "")
    assert "2026-01-03        14      1     0  yes" in said
    picture = tmp_path / "history.svg"
    assert verify(moto_server, place, "--plot", str(picture), command="history") == (0, "", "")
    assert "Contacts by day" in picture.read_text()
    status, _, aside = verify(moto_server, place, "--plot", str(tmp_path / "no" / "x.svg"), command="history")
    assert (status, "cannot be written" in aside) == (2, True)
    status, _, aside = verify(moto_server, f"{place}x", command="history")
    assert (status, "check the address" in aside) == (2, True)
    key = manifest(lake(), 2)["files"][0]["key"]
    moto_server.client().put_object(Bucket=moto_bucket, Key=key, Body=b"x")
    assert verify(moto_server, place, command="history")[0] == 1
    assert verify(moto_server, place, "--manifests-only", command="history")[0] == 0
    assert partition(2)
