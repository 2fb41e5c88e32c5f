"""Snapshots are committed in one commit, whole, and exactly once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from lake import DAY, NEXT, TABLE, contacts
from pyiceberg.table.snapshots import Operation

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.iceberg import marks
from airflow_provider_kore.iceberg.spec import parse_snapshots

if TYPE_CHECKING:
    from lake import Lake

    from airflow_provider_kore.iceberg.landed import Landed


pytestmark = pytest.mark.slow


def summary(lake: Lake) -> dict[str, str]:
    found = lake.table().current_snapshot()
    assert found is not None
    assert found.summary is not None
    return found.summary.additional_properties


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_value_of_a_snapshot_is_in_the_table(lake: Lake, file_format: str) -> None:
    rows = contacts(1, 2, 3, name="Zoë", vip=True, ratio=0.5, nothing=None, tags={"a": [1, None]})
    typed = lake.land(rows, contact_list_id="cl-typed")
    lake.commit(typed)  # so that csv, too, goes into columns of types
    lake.commit(lake.land(rows, file_format=file_format, rows_per_file=2))
    found = [row for row in lake.rows() if row["contact_list_id"] == "cl-1"]
    for row, contact in zip(found, rows, strict=True):
        assert (row["contact_list_id"], row["snapshot_date"].isoformat()) == ("cl-1", DAY)
        assert row["createdAt"].isoformat() == "2026-11-01T08:00:00+00:00"
        same = {name: row[name] for name in ("_id", "phoneNumber", "score", "name", "vip", "ratio", "nothing")}
        assert same == {name: contact[name] for name in same}
        assert json.loads(row["tags"]) == contact["tags"]


def test_many_lists_and_days_are_one_commit_with_a_tag_for_each_day(lake: Lake) -> None:
    given = [
        lake.land(contacts(number), contact_list_id=f"cl-{number}", day=day) for number in (1, 2) for day in (DAY, NEXT)
    ]
    outcome = lake.commit(given)
    metadata = lake.table().metadata
    assert [each.snapshot_id for each in metadata.snapshots] == [outcome.snapshot_id]
    assert {name: ref.snapshot_id for name, ref in metadata.refs.items()} == dict.fromkeys(
        ("main", f"kore-{DAY}", f"kore-{NEXT}"), outcome.snapshot_id
    )
    assert len(lake.ids()) == 4
    one = lake.land(contacts(9), contact_list_id="cl-1", day=DAY)
    later = lake.commit(one)
    refs = lake.table().metadata.refs
    assert refs[f"kore-{DAY}"].snapshot_id == later.snapshot_id  # moved
    assert refs[f"kore-{NEXT}"].snapshot_id == outcome.snapshot_id
    assert lake.ids(f"kore-{NEXT}") == [
        ("cl-1", DAY, "ct-1"),
        ("cl-1", NEXT, "ct-1"),
        *[("cl-2", day, "ct-2") for day in (DAY, NEXT)],
    ]


def test_a_partition_is_replaced_whole_in_one_snapshot_so_that_no_version_of_the_table_lacks_it(lake: Lake) -> None:
    lake.commit(lake.land(contacts(1, 2, 3)), lake.land(contacts(7), contact_list_id="cl-2"))
    lake.commit(lake.land(contacts(2, 4)))
    assert lake.ids() == [("cl-1", DAY, "ct-2"), ("cl-1", DAY, "ct-4"), ("cl-2", DAY, "ct-7")]
    snapshots = lake.table().metadata.snapshots
    assert [each.summary.operation for each in snapshots if each.summary] == [Operation.APPEND, Operation.OVERWRITE]
    for snapshot in snapshots:
        assert {row[0] for row in lake.ids(snapshot.snapshot_id)} == {"cl-1", "cl-2"}


def test_the_same_again_changes_nothing(lake: Lake) -> None:
    given = [lake.land(contacts(1)), lake.land([], contact_list_id="cl-2")]  # an empty one has no data file
    first = lake.commit(given)
    assert len(first.new) == 2
    before = lake.objects(), lake.table().metadata
    again = lake.commit(given)
    assert (again.snapshot_id, again.new, again.tags) == (None, (), ())
    assert (lake.objects(), lake.table().metadata) == before


def test_the_summary_names_snapshots_and_manifests(lake: Lake) -> None:
    outcome = lake.commit(lake.land(contacts(1)))
    [landed] = outcome.landed
    said = json.loads(summary(lake)[marks.SNAPSHOTS])
    assert said == {DAY: {"cl-1": f"{landed.snapshot_id} {landed.manifest_sha256}"}}


def test_what_was_landed_again_is_committed_again_and_the_rest_is_left(lake: Lake) -> None:
    one, two = lake.land(contacts(1)), lake.land(contacts(7), contact_list_id="cl-2")
    lake.commit(one, two)
    lake.land(contacts(2))
    outcome = lake.commit(one, two)
    assert [each.contact_list_id for each in outcome.new] == ["cl-1"]
    assert lake.ids() == [("cl-1", DAY, "ct-2"), ("cl-2", DAY, "ct-7")]


def test_a_snapshot_that_was_replaced_and_came_back_is_committed_again(lake: Lake) -> None:
    address = lake.land(contacts(1))
    key = address.removeprefix(f"s3://{lake.bucket}/")
    names = ("_manifest.json", "contacts.parquet")
    kept = {name: lake.client.get_object(Bucket=lake.bucket, Key=key + name)["Body"].read() for name in names}
    lake.commit(address)
    lake.land(contacts(2))
    lake.commit(address)
    for name, body in kept.items():
        lake.client.put_object(Bucket=lake.bucket, Key=key + name, Body=body)
    assert lake.commit(address).snapshot_id is not None
    assert lake.ids() == [("cl-1", DAY, "ct-1")]


def test_a_manifest_that_changed_is_another_snapshot_although_its_id_is_the_same(lake: Lake) -> None:
    address = lake.land(contacts(1, 2))
    [landed] = lake.commit(address).landed
    lake.land(contacts(1), snapshot_id=landed.snapshot_id)  # as after an erasure
    assert len(lake.commit(address).new) == 1
    assert lake.ids() == [("cl-1", DAY, "ct-1")]


def test_a_table_that_was_rolled_back_gets_the_snapshot_again(lake: Lake) -> None:
    first = lake.commit(lake.land(contacts(1)))
    address = lake.land(contacts(2))
    lake.commit(address)
    assert first.snapshot_id
    lake.table().manage_snapshots().rollback_to_snapshot(first.snapshot_id).commit()
    lake.commit(address)
    assert lake.ids() == [("cl-1", DAY, "ct-2")]


def test_what_another_engine_deletes_of_a_committed_snapshot_stays_deleted(lake: Lake) -> None:
    address = lake.land(contacts(1, 2))
    lake.commit(address)
    lake.table().delete("_id = 'ct-1'")
    assert lake.commit(address).snapshot_id is None
    assert lake.ids() == [("cl-1", DAY, "ct-2")]


class TestMarks:
    """What a commit says of itself, up to thousands of lists."""

    @pytest.fixture
    def landed(self, lake: Lake) -> Landed:
        [found] = lake.commit(lake.land(contacts(1))).landed
        return found

    @pytest.mark.parametrize(
        ("number", "most", "kind"),
        [(40, 4_096, marks.SNAPSHOTS), (200, 5_100, marks.DIGESTS), (2_000, 200, marks.DATES)],
    )
    def test_many_lists_are_found_again_and_a_changed_one_is_not(
        self, landed: Landed, number: int, most: int, kind: str
    ) -> None:
        all_of_them = [replace(landed, contact_list_id=f"cl-{each}") for each in range(number)]
        said = marks.marks_of(all_of_them)
        assert kind in said
        assert sum(map(len, said.values())) <= most
        partitions = {each.partition for each in all_of_them}
        assert marks.committed([said], all_of_them) == partitions
        changed = [replace(all_of_them[0], manifest_sha256="0" * 64), *all_of_them[1:]]
        others = partitions - {changed[0].partition}
        assert marks.committed([said], changed) == (set() if kind == marks.DATES else others)
        assert marks.committed([marks.marks_of(changed[:1]), said], all_of_them) == others
        other_day = marks.marks_of([replace(each, snapshot_date=NEXT) for each in all_of_them])
        assert marks.committed([other_day, said], all_of_them) == partitions
        assert marks.committed([{}, {"operation": "replace"}, said], all_of_them) == partitions

    def test_what_others_wrote_under_its_names_counts_for_nothing(self, landed: Landed) -> None:
        for said in ("", "[]", "null", "{", '{"2026-11-25": 1}', '{"2026-11-25": {"cl-1": null}}'):
            assert marks.committed([{marks.COMMIT: "x", marks.SNAPSHOTS: said}], [landed]) == set()


# --- What is wanted ---------------------------------------------------------------------------------------------------


def test_stars_stand_for_all_lists_of_a_day_and_for_all_days_of_a_list(lake: Lake) -> None:
    for number in (1, 2):
        for day in (DAY, NEXT):
            lake.land(contacts(number), contact_list_id=f"cl-{number}", day=day)
    where = f"s3://{lake.bucket}/kore/contact_lists"
    lake.commit(f"{where}/contact_list_id=*/snapshot_date={DAY}/")
    assert lake.ids() == [("cl-1", DAY, "ct-1"), ("cl-2", DAY, "ct-2")]
    lake.commit(f"{where}/contact_list_id=cl-1/snapshot_date=*")
    assert [row[:2] for row in lake.ids()] == [("cl-1", DAY), ("cl-1", NEXT), ("cl-2", DAY)]
    lake.commit(f"{where}/contact_list_id=*/snapshot_date=*/")
    assert len(lake.ids()) == 4


def test_what_many_lists_returned_names_some_of_them_and_stands_for_all(lake: Lake) -> None:
    for number in range(3):
        lake.land(contacts(number), contact_list_id=f"cl-{number}")
    returned = {
        "bucket": lake.bucket,
        "manifest_keys": f"kore/contact_lists/contact_list_id={{contact_list_id}}/snapshot_date={DAY}/_manifest.json",
        "contact_list_ids": ["cl-0", "cl-1"],
        "contact_lists": 2,
    }
    assert [each.contact_list_id for each in lake.commit(returned).landed] == ["cl-0", "cl-1"]
    assert len(lake.commit(returned | {"contact_lists": 3}).landed) == 3
    with pytest.raises(ParameterError, match="3 of at least 4 snapshots lie"):
        lake.commit(returned | {"contact_lists": 4})


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        [None],
        7,
        "lake/kore",
        "s3://lake/kore/contact_list_id=cl-1/",
        "s3://lake/kore/contact_list_id=cl-1/snapshot_date=today/",
        "s3://lake/kore/contact_list_id=cl-*/snapshot_date=2026-11-26/",
        "s3://*/kore/contact_list_id=cl-1/snapshot_date=2026-11-26/",
        "s3://lake/*/contact_list_id=cl-1/snapshot_date=2026-11-26/",
        {"bucket": "lake"},
        {"bucket": "lake", "manifest_key": "campaign_id=1/snapshot_date=2026-11-26/_manifest.json"},
        '["s3://lake/x"]',
    ],
)
def test_what_names_no_snapshot_is_refused_by_the_name_of_the_parameter(given: Any) -> None:
    with pytest.raises(ParameterError, match="'snapshots'") as caught:
        parse_snapshots("snapshots", given)
    assert "land.output" in str(caught.value) or "date" in str(caught.value) or "*" in str(caught.value)


def test_a_snapshot_that_has_not_landed_is_named_and_no_table_is_made(lake: Lake) -> None:
    catalog = lake.catalog()
    missing = f"s3://{lake.bucket}/kore/contact_lists/contact_list_id=cl-9/snapshot_date={DAY}/"
    with pytest.raises(ParameterError, match=r"cl-9/snapshot_date=2026-11-25/_manifest\.json, which does not exist"):
        lake.commit(lake.land(contacts(1)), missing)
    with pytest.raises(ParameterError, match="where no snapshot lies"):
        lake.commit(missing.replace("cl-9", "*").replace("contact_lists", "elsewhere"))
    assert not catalog.table_exists(TABLE)
    assert lake.objects() == set()


def test_the_same_list_and_day_from_two_places_is_refused(lake: Lake) -> None:
    one = lake.land(contacts(1))
    other = "s3://" + one.removeprefix("s3://").replace("/kore/", "/other/")
    for key in lake.objects("kore/"):
        body = lake.client.get_object(Bucket=lake.bucket, Key=key)["Body"].read().replace(b"kore/", b"other/")
        lake.client.put_object(Bucket=lake.bucket, Key=key.replace("kore/", "other/"), Body=body)
    with pytest.raises(ParameterError, match="names two snapshots of 'cl-1'"):
        lake.commit(one, other)
