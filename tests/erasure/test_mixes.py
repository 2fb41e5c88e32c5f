"""Whatever lies there, in whatever mix: who was named is nowhere, others are as they were, and nothing else goes."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_versions import VersionedMemoryStore
from tables import (
    DAYS,
    checkpoint,
    forget,
    hold_true,
    ids,
    land,
    manifest_of,
    partition,
    phones,
    rows_in,
)

from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.json_text import cells
from airflow_provider_kore.snapshot.fields import FieldPolicies

KEY = b"sixteen bytes or more of a key"
HASHING = FieldPolicies.parse(None, {"phoneNumber": "hash"}).with_key(KEY, "k1")
FORMS = [(each.name, how) for each in FORMATS.values() for how in each.compressions]
IDS = [
    "cc-aaaaaa",
    "cc-aaaaaaa",
    "cc-aaaaa",
    "cc-é",
    'cc-"q"',
    "cc-a\\b",
    "cc,a",
    "cc\nb",
    "cc-\ud800",
    "1234567890123456",
    "x",
]
NUMBERS: list[Any] = ["+4915112345678", "+491511234567", "0151 1234567", 4915112345678, '(030) "1"', "", None, "112"]


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Mix:
    """What lies in a bucket."""

    store: VersionedMemoryStore
    rows: list[tuple[str, str]] = field(default_factory=list)
    """Id and number of each row of each snapshot, as landed."""
    partitions: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    checkpoints: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


contacts = st.lists(
    st.fixed_dictionaries(
        {"_id": st.sampled_from(IDS)},
        optional={
            "phoneNumber": st.sampled_from(NUMBERS),
            "note": st.sampled_from(["a", "é\n", 'q"', "x,y", "cc-aaaaaa"]),
        },
    ),
    max_size=6,
    unique_by=lambda row: row["_id"],
)


def spelt(number: Any) -> str:
    return "" if number is None else str(number)


@st.composite
def mixes(draw: st.DrawFn) -> Mix:
    mix = Mix(VersionedMemoryStore(versioned=draw(st.booleans())))
    places = draw(
        st.lists(st.tuples(st.sampled_from(["cl-1", "cl-10"]), st.sampled_from(DAYS)), min_size=1, max_size=4)
    )
    for list_id, day in places:
        rows = draw(contacts)
        form, compression = draw(st.sampled_from(FORMS))
        hashes = draw(st.booleans())
        texts = [json.dumps(row, ensure_ascii=draw(st.booleans()) or "\ud800" in row["_id"]) for row in rows]
        more: dict[str, Any] = {}
        if hashes:
            texts = [HASHING.apply(text) for text in texts]
            more["fields"] = {**HASHING.describe(), "missing": {}}
        split = draw(st.sampled_from([None, None, 2]))
        if (list_id, day) in mix.partitions and not mix.store.versioned:
            continue
        if split or any("contacts-" in key for key in mix.store.bodies(partition(list_id, day))):
            mix.store.delete(list(mix.store.bodies(partition(list_id, day))))
        for key in mix.store.bodies(partition(list_id, day)):
            if "contacts" in key:
                mix.store.delete([key])
        land(
            mix.store,
            day,
            texts,
            list_id=list_id,
            file_format=form,
            compression=compression,
            rows_per_file=split,
            **more,
        )
        mix.rows += [(row["_id"], spelt(row.get("phoneNumber"))) for row in rows]
        mix.partitions[list_id, day] = rows_in(mix.store, manifest_of(mix.store, day, list_id=list_id))
    for number, rows in enumerate(draw(st.lists(contacts, max_size=2))):
        key = checkpoint(mix.store, rows, start=number * 100)
        mix.checkpoints[key] = rows
        mix.rows += [(row["_id"], spelt(row.get("phoneNumber"))) for row in rows]
    return mix


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    mix=mixes(),
    who=st.lists(st.sampled_from(IDS), max_size=3),
    numbers=st.lists(st.sampled_from([str(each) for each in NUMBERS if each]), max_size=2),
    foreign=st.booleans(),
    kills=st.lists(st.integers(1, 90), max_size=3),
)
def test_who_was_named_is_nowhere_and_everything_else_is_as_it_was(
    mix: Mix, who: list[str], numbers: list[str], foreign: bool, kills: list[int]
) -> None:
    if not who and not numbers:
        return
    store = mix.store
    strange = {
        f"{partition('cl-1', DAYS[0])}contacts.jsonl.zst": b"mine",
        "kore/lists/contact_list_id=cl-1/_manifest.json": b"mine",
        f"kore/_staging/lists/a/b/{'1' * 16}-{'2' * 16}/{'3' * 12}/notes.jsonl.gz": b"mine",
    }
    for key, body in strange.items() if foreign else ():
        if key not in store.bodies():
            store.put(key, body, content_type="x/y")
    strange = {key: body for key, body in strange.items() if store.bodies().get(key) == body}
    told = [*ids(*who, *who), *phones(*numbers)]
    doomed = {*who, *(identifier for identifier, number in mix.rows if number and number in numbers)}
    doomed |= {each.encode("utf-8", "backslashreplace").decode() for each in doomed}
    how: dict[str, Any] = {"policies": HASHING, "on_missing": "skip", "versions": store.versioned}
    for number, at in enumerate(kills):
        store.crash_at(at, "after", Killed())  # type: ignore[arg-type]
        with suppress(Killed):
            forget(store, told, generation=str(number % 2), **how)
        store = store.reopen()
    receipt = forget(store, told, generation="0", **how)
    for (list_id, day), before in mix.partitions.items():
        content = manifest_of(store, day, list_id=list_id)
        hold_true(store, content)
        expected = [row for row in before if cells(row)["_id"] not in doomed]
        assert rows_in(store, content) == expected
        assert content.get("erased", 0) == len(before) - len(expected)
    for key, rows in mix.checkpoints.items():
        assert (key in store.bodies()) == all(row["_id"] not in doomed for row in rows)
    assert {key: store.bodies()[key] for key in strange} == strange
    assert receipt["complete"]
    again = forget(store, told, generation="again", **how)
    if not again["continued"]:  # else it tells of all tries
        assert again["rows_erased"] == 0
        assert set(again["deleted"].values()) == {0}
