"""``incremental=True`` as a task runs it: the simulator over HTTP, a real S3 server, day after day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.operators.contact_list_changes import ContactListChangesOperator

if TYPE_CHECKING:
    from bench import Bench

CONTACTS = 1_000
FORMS = [
    {"file_format": "jsonl"},
    {"file_format": "csv", "rows_per_file": 300},
    {"file_format": "parquet", "field_policies": {"phoneNumber": "mask"}, "fields": ["phoneNumber", "createdAt"]},
]


class Table:
    """One list that is landed day after day."""

    def __init__(self, bench: Bench, **parameters: Any) -> None:
        self.bench = bench
        self.parameters = {"contact_list_id": "cl-days", "incremental": True, "max_shrink": 1, **parameters}
        self.day = 0
        bench.kore.add_list("cl-days", contacts=CONTACTS)

    def land(self, **changes: Any) -> tuple[int, dict[str, Any]]:
        """Land the next day; return how many requests it took, and the manifest."""
        self.day += 1
        self.bench.kore.forget_requests()
        context = self.bench.context(f"scheduled__{self.day}")
        given = {**self.parameters, **changes, "snapshot_date": f"2025-03-{self.day:02d}"}
        manifest = self.bench.manifest(self.bench.run(context, **given))
        asked = [each for each in self.bench.kore.requests if "authorize" not in each.path and "token" not in each.path]
        assert manifest["contacts"] == len(list(self.bench.kore.contact_ids("cl-days")))
        return len(asked), manifest


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_day_after_day(bench: Bench, form: dict[str, Any]) -> None:
    table = Table(bench, **form)
    requests, first = table.land()
    assert requests == CONTACTS // 50 + 2
    requests, second = table.land()
    assert requests == 3 + 2
    assert second["incremental"]["based_on"]["snapshot_id"] == first["snapshot_id"]
    bench.kore.append("cl-days", 120)
    requests, third = table.land()
    assert requests <= 3 + 2 + 3 + 1
    assert third["incremental"]["based_on"]["snapshot_id"] == second["snapshot_id"]
    bench.kore.remove("cl-days", index=10, n=5)
    requests, fourth = table.land()
    assert requests > CONTACTS // 50
    assert "since the last snapshot" in fourth["incremental"]["whole_because"]


@pytest.mark.parametrize("given", [{"incremental": "True", "probes": "3"}, {"incremental": True, "probes": 3}], ids=str)
def test_what_a_template_renders_means_the_same(bench: Bench, given: dict[str, Any]) -> None:
    table = Table(bench)
    table.land()
    assert table.land(**given)[0] == 3 + 3


def test_changes_between_snapshots_that_build_on_each_other_are_right(bench: Bench) -> None:
    table = Table(bench)
    table.land()
    before = set(bench.kore.contact_ids("cl-days"))
    bench.kore.append("cl-days", 7)
    _, manifest = table.land()
    assert manifest["incremental"]["based_on"] is not None
    found = ContactListChangesOperator(
        task_id="changes", contact_list_id="cl-days", s3_bucket=bench.bucket, snapshot_date="2025-03-02"
    ).execute(bench.context("scheduled__2"))  # type: ignore[arg-type]
    assert (found["added"], found["changed"], found["gone"], found["unchanged"]) == (7, 0, 0, CONTACTS)
    added = {row["_id"] for key in found["keys"] for row in bench.rows(key)}
    assert added == set(bench.kore.contact_ids("cl-days")) - before


def test_it_builds_on_a_snapshot_whose_pages_were_larger(bench: Bench) -> None:
    bench.kore.configure(max_limit=500)
    table = Table(bench, probes=0)
    table.land()
    bench.kore.append("cl-days", 300)
    requests, manifest = table.land()
    assert manifest["incremental"]["based_on"] is not None
    assert requests <= 3 + 4
