"""An erasure is killed after every single write, and continued by its retry: it ends as if it never was.

All points, not a sample; between any two of them a reader sees whole files, and all rows of everybody else.
"""

from __future__ import annotations

import io
import itertools
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from model_versions import VersionedMemoryStore, old_bodies
from tables import (
    DAYS,
    GONE,
    RUN,
    FakeClock,
    checkpoint,
    contact,
    forget,
    hold_true,
    ids,
    land,
    land_changes,
    manifest_of,
    nowhere,
    partition,
    phones,
    spec,
    unpacked,
)

from airflow_provider_kore.erasure.run import erase
from airflow_provider_kore.exceptions import ContentionError
from airflow_provider_kore.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_kore.erasure.given import Given

WHO = "cc-000000000003"
"""The contact that is forgotten, and the number of it, in all variants."""
OTHERS = [contact(n) for n in range(6) if n != 3]


class Killed(BaseException):
    """The process is gone."""


def who(**fields: Any) -> dict[str, Any]:
    return contact(3, **{"phoneNumber": GONE, **fields})


def all_of(day: str, **fields: Any) -> list[dict[str, Any]]:
    return [*OTHERS[:3], who(**fields), *OTHERS[3:]]


def plain(store: VersionedMemoryStore) -> list[Given]:
    for day in DAYS:
        land(store, day, all_of(day))
    return ids(WHO)


def split(store: VersionedMemoryStore) -> list[Given]:
    land(store, DAYS[0], [*all_of(DAYS[0]), who(_id="cc-000000000099", firstName="Twin")], rows_per_file=2)
    return phones(GONE)


def by_number(store: VersionedMemoryStore) -> list[Given]:
    """The number is in one snapshot alone: in the others the contact has another, a masked one, or is but an id."""
    land(store, DAYS[0], all_of(DAYS[0]), file_format="csv")
    masked = {"fields": {"keep": None, "policies": {"phoneNumber": "mask"}, "hash": None}}
    land(store, DAYS[1], all_of(DAYS[1], phoneNumber="****78"), file_format="parquet", **masked)
    land(store, DAYS[1], all_of(DAYS[1], phoneNumber="+1"), list_id="cl-2", file_format="csv", compression="none")
    land_changes(store, DAYS[1], [{"_id": WHO, "change": "gone", "contact": None, "before": None}])
    checkpoint(store, all_of(DAYS[1], phoneNumber="+1"))
    return phones(GONE)


def gone(store: VersionedMemoryStore) -> list[Given]:
    """Who is gone is told by a table of changes, which is rewritten, too."""
    land(store, DAYS[0], all_of(DAYS[0]))
    land(store, DAYS[1], OTHERS)
    rows = [
        {"_id": OTHERS[0]["_id"], "change": "added", "contact": OTHERS[0], "before": None},
        {"_id": WHO, "change": "gone", "contact": None, "before": who()},
    ]
    land_changes(store, DAYS[1], rows)
    return []


VARIANTS: dict[str, tuple[Callable[[VersionedMemoryStore], Sequence[Given]], dict[str, Any]]] = {
    "plain": (plain, {}),
    "split": (split, {}),
    "by number": (by_number, {"on_missing": "skip"}),
    "gone": (gone, {"gone_on": DAYS[1]}),
    "versions": (plain, {"versions": True}),
}


def world(variant: str) -> tuple[VersionedMemoryStore, Sequence[Given], dict[str, Any]]:
    build, parameters = VARIANTS[variant]
    store = VersionedMemoryStore(versioned=variant == "versions")
    given = build(store)
    if variant == "versions":  # older versions, one of a key that was deleted since
        build(store)
        land(store, "2025-03-07", all_of("2025-03-07"))
        store.delete([key for key in store.bodies() if "2025-03-07" in key])
    return store, given, parameters


def text_of_rows(store: VersionedMemoryStore) -> list[str]:
    """Return the rows of all files, decoded one by one as a reader who lists the folder sees them."""
    found = []
    for key, body in store.bodies("kore/lists").items():
        name, _, compression = key.rpartition("/")[2].partition(".")
        if name.startswith("_manifest"):
            continue
        kind, _, suffix = compression.partition(".")
        rows = FORMATS[kind].read_rows(io.BytesIO(body), compression={"gz": "gzip", "": "none"}.get(suffix, suffix))
        found += [row for _, row in rows]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_erasure_that_is_killed_anywhere_is_finished_by_its_retry(variant: str) -> None:
    first, given, parameters = world(variant)
    others = [row for row in text_of_rows(first) if WHO not in row and "000099" not in row]
    untouched = first.clone()
    receipt = forget(untouched, given, **parameters)
    assert receipt["complete"]
    writes = [number for number, effect in enumerate(untouched.effects, start=1) if effect.writes]
    assert len(writes) > 5
    # a kill anywhere between two writes leaves the same bucket as one right after the first of them
    points = [(writes[0], "before"), *((at, "after") for at in writes)]
    # a retry, or a Clear after it; changes that tell who is gone are no list to recognise it by in the end
    generations = ("g",) if variant == "gone" else ("g", "cleared")
    for (at, when), generation in itertools.product(points, generations):
        store = first.clone()
        store.crash_at(at, when, Killed())  # type: ignore[arg-type]
        with suppress(Killed):
            forget(store, given, **parameters)
        seen = text_of_rows(store)
        assert [row for row in seen if WHO not in row and "000099" not in row] == others
        nowhere_in_notes(store)
        is_done = b'"stage": "done"' in b"".join(store.bodies("kore/_erasures").values())
        retried = store.reopen()
        again = forget(retried, given, **{"on_missing": "skip"} | parameters, generation=generation)
        hold(retried, others, f"{variant}, killed {when} effect {at}")
        if is_done and generation == "cleared":
            continue  # there was nothing left to do
        assert again["rows_erased"] == receipt["rows_erased"], (at, when)
        assert [each["key"] for each in again["objects"]] == [each["key"] for each in receipt["objects"]]
    hold(untouched, others, variant)


def nowhere_in_notes(store: VersionedMemoryStore) -> None:
    for key, body in store.bodies("kore/_erasures").items():
        assert WHO.encode() not in body, key
        assert GONE.encode() not in body, key


def hold(store: VersionedMemoryStore, others: list[str], where: str) -> None:
    """The promises, when it is done."""
    assert text_of_rows(store) == others, where
    nowhere(store, WHO, GONE, "000000000099")
    for key in [key for key in store.bodies() if key.endswith("_manifest.json")]:
        place = dict(each.split("=") for each in key.split("/") if "=" in each)
        table = "kore/lists_changes" if "_changes/" in key else "kore/lists"
        content = manifest_of(store, place["snapshot_date"], list_id=place["contact_list_id"], table=table)
        hold_true(store, content)
        if content.get("erased"):
            assert "seal" not in content
            assert sum(each["rows"] for each in content["erasures"]) == content["erased"]
    if store.versioned:
        assert not any(WHO.encode() in unpacked(body) for body in old_bodies(store)), where
    assert not store.uploads()
    assert not store.bodies("kore/_erasures/lists/unfinished"), where


@pytest.mark.parametrize("variant", ["plain", "by number"])
def test_a_retry_reads_no_file_again_that_holds_no_one(variant: str) -> None:
    store, given, parameters = world(variant)
    for number in range(5):
        land(store, f"2025-02-0{number + 1}", OTHERS)
    probe = store.clone()
    forget(probe, given, **parameters)
    puts = [
        n for n, effect in enumerate(probe.effects, start=1) if effect.name == "put" and "_erasures" not in effect.key
    ]
    store.crash_at(puts[0], "after", Killed())
    with pytest.raises(Killed):
        forget(store, given, **parameters)
    retried = store.reopen()
    forget(retried, given, **parameters)
    reads = [effect.key for effect in retried.effects if effect.name == "get" and "2025-02" in effect.key]
    files = [key for key in reads if "contacts." in key]
    assert len(files) == 5, "once, by the last search"


def test_a_receipt_of_which_airflow_never_heard_is_found_by_the_retry() -> None:
    store, given, parameters = world("plain")
    receipt = forget(store, given, **parameters)
    again = store.reopen()
    assert forget(again, given, **parameters) == receipt
    assert not [effect for effect in again.effects if effect.writes]
    cleared = spec(generation="another", on_missing="skip")
    assert erase(cleared, store, given, clock=FakeClock())["not_found"] == 1
    assert RUN.digest not in str(store.bodies().keys())
    assert partition("cl-1", DAYS[0]) in str(store.bodies().keys())


def test_an_erasure_that_was_cut_off_is_explained_by_the_next_one_of_anybody() -> None:
    store, given, parameters = world("split")
    probe = store.clone()
    forget(probe, given, **parameters)
    puts = [n for n, effect in enumerate(probe.effects, start=1) if effect.name == "put" and "/contacts-" in effect.key]
    assert len(puts) == 2
    store.crash_at(puts[0], "after", Killed())
    with pytest.raises(Killed):
        forget(store, given, **parameters)
    other = spec(generation="of another task")
    receipt = erase(other, store.reopen(), ids(OTHERS[0]["_id"]), clock=FakeClock())
    assert receipt["rows_erased"] == 1
    content = manifest_of(store, DAYS[0])
    hold_true(store, content)
    assert content["erased"] == 2
    assert GONE.encode() in b"".join(unpacked(body) for body in store.bodies().values()), "theirs is not done yet"
    forget(store.reopen(), given, **parameters)
    hold_true(store, manifest_of(store, DAYS[0]))
    nowhere(store, GONE, OTHERS[0]["_id"])


class Interrupted(VersionedMemoryStore):
    """A bucket in which something else happens before one of its effects."""

    at = number = 0
    meanwhile: Callable[[], object]

    @contextmanager
    def _effect(self, name: str, key: str, *, writes: bool = False) -> Iterator[None]:
        self.number += 1
        if self.number == self.at:
            self.meanwhile()
        with super()._effect(name, key, writes=writes):
            yield


@pytest.mark.slow
@pytest.mark.parametrize("generation", ["g", "of another run"])
def test_of_two_erasures_at_once_that_are_told_the_same_one_is_done_and_the_other_ends_alike_or_is_refused(
    generation: str,
) -> None:
    first, given, parameters = world("by number")
    others = [row for row in text_of_rows(first) if WHO not in row]
    done = refused = 0
    for at in itertools.count(1, 3):
        store = Interrupted()
        store._share(first.clone())
        store.at = at
        store.meanwhile = lambda store=store: forget(store.reopen(), given, **parameters, generation=generation)
        try:
            forget(store, given, **parameters)
            done += 1
        except ContentionError:
            refused += 1
            forget(store.reopen(), given, **parameters)
        hold(store, others, str(at))
        if store.number < at:
            break
    assert done
    assert refused
