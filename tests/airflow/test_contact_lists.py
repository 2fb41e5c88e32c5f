"""Many lists by one task, as Airflow runs it: real HTTP to the simulator, a real S3 server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.transfers.contact_lists_to_s3 import ContactListsToS3Operator

if TYPE_CHECKING:
    from bench import Bench

LISTS = {"cl-1": 120, "cl-a": 30, "cl-b": 75, "cl-c": 0, "cl-d": 260}


@pytest.fixture(autouse=True)
def _lists(bench: Bench) -> None:
    for name, contacts in LISTS.items():
        bench.kore.add_list(name, contacts=contacts, source="apiIntegration" if name < "cl-b" else "localDrive")
    bench.kore.configure(max_limit=50)


def run(bench: Bench, context: Any = None, **parameters: Any) -> dict[str, Any]:
    given = {"task_id": "snapshot", "s3_bucket": bench.bucket, **parameters}
    return ContactListsToS3Operator(**given).execute(context or bench.context())


def key(name: str, file: str = "contacts.jsonl.gz") -> str:
    return f"kore/contact_lists/contact_list_id={name}/snapshot_date=2025-03-09/{file}"


def test_each_list_lands_as_the_single_operator_lands_it(bench: Bench) -> None:
    result = run(bench)
    together = {name: (bench.body(key(name)), bench.body(key(name, "_manifest.json"))) for name in LISTS}
    assert [each for each in bench.objects() if "_staging" in each] == []
    assert (result["contact_lists"], result["contacts"]) == (len(LISTS), sum(LISTS.values()))
    for name, (body, manifest) in together.items():
        alone = bench.run(bench.context(run_id="alone"), contact_list_id=name)
        assert bench.body(alone["keys"][0]) == body
        ours, theirs = json.loads(manifest), bench.manifest(alone)
        assert ours["witnesses"] == theirs["witnesses"]
        assert ours["run"].pop("item") == name
        for each in (ours, theirs):
            for changing in ("snapshot_id", "run", "walk"):
                del each[changing]
            each["files"][0].pop("etag")
        assert ours == theirs
