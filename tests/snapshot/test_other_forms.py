"""An author edits format, compression or rows_per_file: no reader is left with two kinds of files, or is told so."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from model_world import OTHER_RUN, RUN, World
from searches import places

from airflow_provider_kore.exceptions import ParameterError, SnapshotExistsError

ONE: dict[str, dict[str, Any]] = {
    "jsonl.gz": {},
    "jsonl": {"compression": "none"},
    "csv.gz": {"file_format": "csv"},
    "parquet": {"file_format": "parquet"},
}
FORMS = {**ONE, **{f"split {name}": {**form, "rows_per_file": 5} for name, form in ONE.items()}}
CHANGES = [(FORMS[before], FORMS[after]) for before, after in permutations(FORMS, 2)]
NAMES = [f"{before} to {after}" for before, after in permutations(FORMS, 2)]


def world_of(form: dict[str, Any], **parameters: Any) -> World:
    """A world whose reader follows the manifest, and finds all that it names at any instant."""
    world = World(contacts=12, parameters={**form, **parameters})

    def look() -> None:
        manifest = world.stored_manifest()
        assert manifest is None or set(manifest.keys) <= world.bucket.bodies(world.layout.partition).keys()

    world.look = look  # type: ignore[method-assign]
    return world


def turn_to(world: World, form: dict[str, Any], **parameters: Any) -> None:
    world.parameters = {**form, **parameters}
    world.clock.now += 60


def hold_refused(world: World, name: str, **changes: Any) -> None:
    """A process is refused before its first request, by a message that says what to do, and changes nothing."""
    before, requests = world.bucket.bodies(), world.vendor.requests
    with pytest.raises(ParameterError, match=r"delete it, or keep .*, or use another s3_prefix") as caught:
        world.process(**changes).run()
    assert name in str(caught.value)
    assert (world.bucket.bodies(), world.vendor.requests) == (before, requests)


@pytest.mark.parametrize("run", [RUN, OTHER_RUN], ids=["a Clear", "another run"])
@pytest.mark.parametrize(("before", "after"), CHANGES, ids=NAMES)
def test_after_a_change_of_form_there_is_one_form_or_a_refusal(
    before: dict[str, Any], after: dict[str, Any], run: Any
) -> None:
    world = world_of(before)
    first = world.finish(generation=1)
    assert first.manifest is not None
    turn_to(world, after)
    if "rows_per_file" in after:
        world.hold(world.finish(run=run, generation=2))
    else:  # whoever lists the partition would see both for a moment
        hold_refused(world, first.manifest.keys[0].rpartition("/")[2], run=run, generation=2)


@pytest.mark.parametrize(("before", "after"), CHANGES, ids=NAMES)
def test_without_replace_only_the_own_run_may_change_the_form(before: dict[str, Any], after: dict[str, Any]) -> None:
    world = world_of(before, replace=False)
    world.finish(generation=1)
    turn_to(world, after, replace=False)
    there, requests = world.bucket.bodies(), world.vendor.requests
    with pytest.raises(SnapshotExistsError):
        world.process(run=OTHER_RUN, generation=2).run()
    assert (world.bucket.bodies(), world.vendor.requests) == (there, requests)
    if "rows_per_file" in after:
        world.hold(world.finish(generation=2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [(ONE["csv.gz"], FORMS["split jsonl.gz"]), (FORMS["split parquet"], FORMS["split csv.gz"])],
    ids=["one file to several", "several to several"],
)
@pytest.mark.parametrize("again", [2, 3], ids=["a retry", "a Clear"])
def test_a_death_at_any_effect_of_a_change_leaves_one_form_after_the_next_success(
    before: dict[str, Any], after: dict[str, Any], again: int
) -> None:
    for at in places(one_in=3, start=1, name=(before, after, again)):
        for when in ("before", "after"):
            world = world_of(before)
            world.finish(generation=1)
            turn_to(world, after)
            died = world.dies(at, when, generation=2)  # type: ignore[arg-type]
            world.clock.now += 60
            world.hold(world.finish(generation=again))
        if not died:
            break
    assert at > 20, "hardly an effect was tried"


@pytest.mark.parametrize("form", ONE.values(), ids=ONE)
@pytest.mark.parametrize(
    "metadata", [{}, {"kore-run": "x", "kore-snapshot-id": "ffffffffffff"}], ids=["none", "forged"]
)
@pytest.mark.parametrize("part", ["", "-0123456789ab-01234567-00000"], ids=["one file", "a part"])
def test_what_is_not_proven_to_be_ours_is_refused_by_name(
    form: dict[str, Any], metadata: dict[str, str], part: str
) -> None:
    world = world_of({**form, "rows_per_file": 5})
    world.finish()
    for each in ONE:
        key = f"{world.layout.files}{part}.{each}"
        world.bucket.put(key, b"theirs", content_type="x", metadata=metadata)
        world.clock.now += 200_000  # what is ours and as old is no attempt that is under way
        if part and key.endswith(world.layout.object.removeprefix(world.layout.files)):
            world.hold(world.finish(generation=each), leftovers=True)  # of this form: the manifest names none of these
            assert world.bucket.bodies()[key] == b"theirs"
        else:
            hold_refused(world, key.rpartition("/")[2], generation=each)
        world.bucket.delete([key])


@pytest.mark.parametrize("lost", ["never written", "of an older one"])
def test_one_file_whose_manifest_was_never_written_goes_with_the_first_of_several(lost: str) -> None:
    world = world_of(ONE["csv.gz"])
    if lost == "of an older one":
        world.finish(generation=1)
        world.clock.now += 60
        world.vendor.append(1)
    at = 1
    while True:  # until it dies between the object and its manifest
        before = world.bucket.bodies().get(world.layout.object)
        assert world.dies(at, "after", generation=2)
        if world.bucket.bodies().get(world.layout.object) != before:
            break
        at += 1
    turn_to(world, FORMS["split jsonl.gz"])
    with pytest.raises(SnapshotExistsError):
        world.process(run=OTHER_RUN, replace=False).run()
    world.hold(world.finish(run=OTHER_RUN, generation=3))
