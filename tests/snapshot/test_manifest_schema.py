"""The JSON Schema that ships: it refuses whatever the package would, and each manifest of a test is held against it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from manifest_schema import hold_against_schema, wrong
from test_manifest import GONE, PARTITION, content, json_values

from airflow_provider_kore.exceptions import CorruptSnapshotError
from airflow_provider_kore.snapshot.manifest import Manifest

LATER = {
    "schema": {
        "columns": [{"name": "_id", "type": "string"}, {"name": "n", "type": None}],
        "changes": [{"column": "n", "change": "widened", "from": "int64", "to": "double"}],
        "from": {"snapshot_date": "2026-01-01", "snapshot_id": "one"},
    },
    "previous": {
        "snapshot_date": "2026-01-01",
        "snapshot_id": "one",
        "manifest": PARTITION.replace("-02/", "-01/") + "_manifest.json",
        "manifest_sha256": "a" * 64,
    },
    "replaces": ["b" * 64],
    "erased": 2,
    "erasures": [{"erased_at": "2026-01-03T00:00:00.000Z", "rows": 2, "manifest_sha256": "c" * 64}],
}


def whole() -> dict[str, Any]:
    """Return a manifest with all that the schema requires."""
    found = content(files__0__checksum=None, files__0__evidence="etag")
    walked = {"drift": [], "witnesses": {"agreed": [], "disagreed": []}, "total_results": 3, "duplicates_removed": 0}
    return found | walked | {"provider_version": "0.1.0", "account_id": "a", "stream_id": "s", "warnings": []}


def changed(found: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Change one member of a copy, or take it out."""
    found = json.loads(json.dumps(found))
    *outer, name = path.split("__")
    inner = found
    for step in outer:
        inner = inner[int(step)] if step.isdigit() else inner[step]
    if value is GONE:
        inner.pop(name, None)
    else:
        inner[name] = value
    return found


def is_read(found: object) -> str | None:
    """Say why the package does not read it."""
    try:
        Manifest.from_bytes(json.dumps(found).encode(), "m")
    except CorruptSnapshotError as err:
        return str(err)
    return None


def test_the_schema_takes_whole_manifests_with_and_without_what_later_versions_write() -> None:
    for found in (whole(), whole() | LATER, json.loads(Manifest(whole()).to_bytes()), whole() | {"new": [1]}):
        assert wrong(found) is None
        assert is_read(found) is None


SAID_BY_NO_SCHEMA = (
    "counts other rows",  # a sum
    "names a file twice",
)
PATHS = [
    *whole(),
    *(f"run__{name}" for name in whole()["run"]),
    *(f"walk__{name}" for name in whole()["walk"]),
    *(f"files__0__{name}" for name in whole()["files"][0]),
    *("older", "newer", "changes", "campaigns", "added", "content_sha256", "campaign_id", "campaign_type"),
]
near = st.sampled_from(
    ["", "x" * 1_025, "a\nb", "2026-02-31", "2026-13-01", "2026-01-02\n", "jsonl", "csv", "parquet", "none", "snappy"]
) | st.sampled_from([-1, 2**53 + 1, 2, "2026-01-02T03:04:05", "0001-01-01T00:00:00+23:00", "a" * 64 + "\n", {}, []])


@pytest.mark.slow
@settings(max_examples=400)
@given(st.sampled_from(PATHS), json_values | near | st.just(GONE))
@example("compression", "snappy")
@example("walk__started_at", "2026-01-02T04:00:00")
@example("files__0__sha256", "0" * 64 + "\n")
@example("snapshot_date", "2026-02-30")
def test_what_the_package_refuses_the_schema_refuses_too(path: str, value: object) -> None:
    found = changed(whole(), path, value)
    refused = is_read(found)
    if refused is None or any(each in refused for each in SAID_BY_NO_SCHEMA):
        return
    spelt = value if isinstance(value, str) else None
    if isinstance(value, float) and value.is_integer():  # to JSON Schema an integer
        return
    if spelt is not None and spelt and not spelt.isprintable() and len(spelt) <= 1_024:  # Unicode's categories
        return
    if path == "walk__started_at" and spelt is not None and "-02-" in spelt:  # how long February is
        return
    assert wrong(found) is not None, refused


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((path, GONE) for path in ("provider_version", "fields", "warnings", "drift", "files__0__evidence")),
        *((f"previous__{name}", GONE) for name in LATER["previous"]),  # type: ignore[attr-defined]
        ("previous__manifest_sha256", "A" * 64),
        ("replaces", ["b" * 64] * 51),
        ("replaces", "b" * 64),
        ("erased", -1),
        ("erasures__0__rows", "2"),
        ("erasures__0__erased_at", "yesterday"),
        ("schema__columns__0__name", GONE),
        ("schema__changes__0__change", GONE),
        ("contacts", GONE),
        ("walk__requests", -1),
        ("fields__policies", {"phoneNumber": "rot13"}),
        ("incremental", {"based_on": {}}),
        ("seal", "short"),
    ],
)
def test_it_knows_more_than_the_package_reads(path: str, value: object) -> None:
    assert wrong(changed(whole() | LATER, path, value)) is not None


def test_a_test_that_writes_another_manifest_than_the_schema_says_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    hold_against_schema(monkeypatch)
    Manifest(whole()).to_bytes()
    with pytest.raises(AssertionError, match=r"schema refuses: \$\.walk"):
        Manifest(changed(whole(), "walk__pages", "7")).to_bytes()
