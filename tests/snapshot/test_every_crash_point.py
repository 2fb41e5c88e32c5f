"""The world ends before and after every single effect of a walk, in each of its variants; then the promises must hold.

All points of one death of a plain walk, not a sample; of its variants and of what happens at pairs of points, a share
(``searches.py``). The effects are those of one process, requests to the vendor and to the store alike; a retry follows
on what is left, and a reader looks at the table after each of them.
"""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest
from model_vendor import DOCUMENTED, Quirks, append, edit, exchange, remove
from model_world import OTHER_RUN, Died, Plan, World
from searches import WHOLE, places

from airflow_provider_kore.exceptions import (
    KoreError,
    RetryableError,
    SnapshotExistsError,
    StoreUnavailableError,
    SupersededError,
    UnreachableError,
)
from airflow_provider_kore.snapshot import staging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from model_world import Process, When

pytestmark = [pytest.mark.exhaustive, pytest.mark.usefixtures("small_chunks")]

PAGE = 4
CHUNK = 8
LOOKED = 3  # steps after which a process has looked at an empty partition
QUIRKS = {
    "documented": DOCUMENTED,
    "total missing": Quirks(total="missing"),
    "total counts the page": Quirks(total="page"),
    "total on the first page only": Quirks(total="first_page"),
    "total after the first page only": Quirks(total="later"),
    "hasMore missing": Quirks(has_more="missing"),
    "hasMore always true": Quirks(has_more="always_true"),
    "limit clamped": Quirks(most=3),
    "limit refused": Quirks(limit="refuse"),
    "echo missing": Quirks(echo=False),
    "fields at the top": Quirks(nested=False),
    "updatedAt missing": Quirks(updated_at="missing"),
    "details refused": Quirks(updated_at="refused"),
    "newest first": Quirks(newest_first=True),
    "createdAt missing": Quirks(created_at=False),
}


def every_point(
    make: Callable[[], World], *, one_in: int = 1, name: object = "", **changes: Any
) -> Iterator[tuple[World, int, When]]:
    """Yield a world for each effect of a try, dead before or after it, until the try ends before that effect.

    :param one_in: die at about one in so many effects only.
    :param name: draws another share than other names do.
    """
    for at in places(one_in=one_in, start=1, name=name):
        for when in ("before", "after"):
            world = make()
            with world.listening():
                if not world.dies(at, when, **changes):
                    assert at > 10, "hardly an effect was tried"
                    return
                yield world, at, when


def test_a_walk_that_dies_anywhere_is_continued_and_refetches_little() -> None:
    for world, at, when in every_point(lambda: World(contacts=30)):
        dead = world.processes[-1]
        fetched = max((skip + PAGE for skip in dead.asked), default=0)
        kept = world.checkpoint()
        committed = bool(world.seen)
        # What was fetched is in a chunk, but for the pages since the last one.
        assert committed or min(fetched, 30) - kept <= CHUNK + PAGE, (at, when)
        retry = world.finish()
        world.hold(retry)
        behind = [skip for skip in retry.asked if skip < kept]
        assert len(behind) <= 1, f"{at} {when}: only the page before the checkpoint is looked at again"
        assert len(set(retry.asked)) >= len(retry.asked) - 1
        assert len(retry.asked) <= -(-(30 - kept) // PAGE) + 2


@pytest.mark.parametrize("name", QUIRKS)
def test_every_vendor_is_landed_whole_after_a_death_anywhere(name: str) -> None:
    for world, _, _ in every_point(lambda: World(contacts=18, quirks=QUIRKS[name]), one_in=3, name=name):
        world.hold(world.finish())
        assert len(world.seen) == 1


VARIANTS: dict[str, dict[str, Any]] = {
    "not durable": {"durable": False},
    "split": {"rows_per_file": 5},
    "csv": {"file_format": "csv"},
    "parquet": {"file_format": "parquet"},
    "replace=False": {"replace": False},
    "accept": {"on_drift": "accept"},
    "a retry known as one": {"generation": 3},
    "a retry known as one, split": {"generation": 3, "rows_per_file": 5},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_survives_a_death_anywhere(name: str) -> None:
    for world, _, _ in every_point(lambda: World(contacts=18, parameters=VARIANTS[name]), one_in=2, name=name):
        world.hold(world.finish())


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("parameters", [{}, {"rows_per_file": 7}], ids=["one file", "split"])
def test_an_upload_in_parts_survives_a_death_anywhere(parameters: dict[str, Any]) -> None:
    parts = 0
    for world, _, _ in every_point(lambda: World(contacts=18, parameters=parameters)):
        world.hold(world.finish())
        parts = max(parts, sum("upload_part" in effect for effect in world.processes[-1].effects))
    assert parts > 2


def test_two_deaths_in_a_row_at_every_pair_of_points() -> None:
    pairs = 0
    for first in places(one_in=3, start=1):
        world = World(contacts=10)
        if not world.dies(first, "after"):
            break
        for second in places(one_in=3, start=1, name=first):
            again = _same_past(world, first)
            if not again.dies(second, "after"):
                break
            pairs += 1
            again.hold(again.finish())
    assert pairs > (500 if WHOLE else 30)


def _same_past(world: World, at: int) -> World:
    again = World(contacts=world.contacts, parameters=world.parameters, events=world.events)
    assert again.dies(at, "after")
    return again


@pytest.mark.parametrize("kind", ["http", "store"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_error_at_any_effect_harms_nothing(kind: str, when: When) -> None:
    """Not the process dies, but one request fails, before it took effect or with its answer lost."""
    error: KoreError = UnreachableError("no answer") if kind == "http" else StoreUnavailableError("no answer")
    tried = 0
    for at in itertools.count(1):
        world = World(contacts=18)
        process = world.process(plan=Plan(at, when, error))
        with world.listening():
            try:
                process.run()
            except RetryableError:
                world.hold(world.finish())
            else:
                world.hold(process, leftovers=True)
                if len(process.effects) < at:
                    break
                process = world.process()  # a person's Clear
                process.run()
                world.hold(process)
        tried += process.effects[-1] != ""
    assert tried > 25


EVENTS = {
    "append": append(2),
    "remove first": remove(0),
    "remove later": remove(13),
    "edit": edit(5),
    "exchange": exchange(2),
}


@pytest.mark.parametrize("at", range(2, 9))
@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("on_drift", ["retry", "accept"])
def test_a_list_that_changes_anywhere_in_a_walk_that_dies_anywhere(event: str, on_drift: str, at: int) -> None:
    events = {at: [EVENTS[event]]}
    parameters = {"on_drift": on_drift}
    make = lambda: World(contacts=14, events=events, parameters=parameters)  # noqa: E731
    for world, _, _ in every_point(make, one_in=9, name=(event, on_drift, at)):
        world.hold(world.finish())


@pytest.mark.parametrize("parameters", [{}, {"rows_per_file": 5}, {"replace": False}], ids=["", "split", "keep"])
def test_another_runs_snapshot_stays_whole_until_it_is_replaced(parameters: dict[str, Any]) -> None:
    def make() -> World:
        world = World(contacts=13, parameters=parameters)
        world.finish(run=OTHER_RUN)
        world.clock.now += 60
        world.vendor.append(5)
        return world

    if parameters.get("replace") is False:
        world = make()
        before = world.vendor.requests
        with pytest.raises(SnapshotExistsError):
            world.process().run()
        assert world.vendor.requests == before, "a refusal costs no request"
        world.hold(world.processes[0])
        return
    for world, at, when in every_point(make):
        assert len(world.snapshots()) == 1, f"{at} {when}: nothing to read"
        world.hold(world.finish())
        assert [len(ids) for ids in world.seen] == [13, 18]


@pytest.mark.parametrize("generation", [None, 1])
def test_a_clear_after_success_is_as_safe_as_the_first_time(generation: int | None) -> None:
    def make() -> World:
        world = World(contacts=13)
        world.finish(generation=generation)
        world.clock.now += 60
        world.vendor.append(1)
        return world

    cleared = None if generation is None else 2
    for world, _, _ in every_point(make, generation=cleared):
        retry = world.finish(generation=cleared)
        world.hold(retry)
        assert retry.manifest is not None
        assert retry.manifest.rows == 14


def test_a_retry_after_the_commit_spends_no_request_and_cleans_up() -> None:
    found = 0
    for world, _, _ in every_point(lambda: World(contacts=13, parameters={"generation": 1})):
        if world.stored_manifest() is None:
            continue
        before = world.vendor.requests
        retry = world.finish()
        assert world.vendor.requests == before
        assert world.staged() == {}
        assert retry.manifest is not None
        assert retry.manifest.snapshot_id == world.stored_manifest().snapshot_id  # type: ignore[union-attr]
        found += 1
    assert found > 3


# --- two processes at once ---


class Coroutine:
    """A process in a thread of its own that runs one effect at a time, when it is told to."""

    def __init__(self, world: World, **changes: Any) -> None:
        self._go, self._stopped = threading.Lock(), threading.Lock()  # each held until the other side lets go
        self._go.acquire()
        self._stopped.acquire()
        self.process = world.process(on_effect=self._pause, **changes)
        self.result: BaseException | None = None
        self.ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._stopped.acquire()

    def _run(self) -> None:
        try:
            self._pause(self.process, 0)
            self.process.run()
        except BaseException as err:  # noqa: BLE001 - it is looked at in the other thread
            self.result = err
        self.ended = True
        self._stopped.release()

    def _pause(self, process: Process, number: int) -> None:  # noqa: ARG002
        self._stopped.release()
        self._go.acquire()

    def step(self) -> None:
        """Run up to just before its next effect."""
        if not self.ended:
            self._go.release()
            self._stopped.acquire()

    def finish(self) -> BaseException | None:
        """Run to its end; return what it raised."""
        while not self.ended:
            self.step()
        self._thread.join()
        return self.result


TWO: dict[str, dict[str, Any]] = {
    "one file": {"generation": 1},
    "split": {"generation": 1, "rows_per_file": 3},
    "accept": {"generation": 1, "on_drift": "accept"},
}


def two_at_once(
    make: Callable[[], World], orphan: dict[str, Any], retry: dict[str, Any], *, begun: int = 0
) -> Iterator[tuple[World, Any]]:
    """Run an orphan up to each of its effects, and a retry up to each of its own; end the orphan, then the retry.

    :param begun: steps that the orphan has made at the least.
    """
    for first in places(one_in=3, start=begun):
        for second in places(one_in=5, name=first):
            world = make()
            one = Coroutine(world, **orphan)
            for _ in range(first):
                one.step()
            done = one.ended
            if done:
                one.finish()
            two = Coroutine(world, **retry)
            for _ in range(second):
                two.step()
            ended = two.ended
            one.finish()
            two.finish()
            yield world, (first, second, one, two)
            if ended:
                break
        if done:
            return


def check_outcome(world: World, one: Coroutine, two: Coroutine) -> None:
    """One whole snapshot, and a clear winner or a clear error."""
    for each in (one, two):
        assert each.result is None or isinstance(each.result, (RetryableError, SupersededError)), repr(each.result)
    winner = two if two.result is None else one
    if winner.result is None:
        stored = world.stored_manifest()
        assert stored is not None
        assert stored.content == winner.process.manifest.content  # type: ignore[union-attr]
    world.clock.now += 60
    world.hold(world.finish(try_number=9), leftovers=True)
    world.hold(world.finish(try_number=10, generation=2))  # a person's Clear


@pytest.mark.parametrize(
    ("name", "growing"), [("one file", False), ("one file", True), ("split", True), ("accept", True)]
)
def test_an_orphan_and_its_retry_end_with_one_snapshot_however_they_meet(
    name: str, growing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = {3: [append(1)], 7: [append(2)]} if growing else {}
    monkeypatch.setattr(staging, "CHUNK_ROWS", 4)
    pairs = 0
    for world, (_, _, one, two) in two_at_once(
        lambda: World(contacts=5, events=events, parameters=TWO[name]),
        {"try_number": 1},
        {"try_number": 2},
        begun=LOOKED,
    ):
        pairs += 1
        assert two.result is None or isinstance(two.result, RetryableError), repr(two.result)
        check_outcome(world, one, two)
    assert pairs > (500 if WHOLE else 30)


@pytest.mark.usefixtures("small_parts")
def test_an_orphan_and_its_retry_that_upload_in_parts() -> None:
    parameters = {"generation": 1}
    for world, (_, _, one, two) in two_at_once(
        lambda: World(contacts=3, parameters=parameters), {"try_number": 1}, {"try_number": 2}, begun=LOOKED
    ):
        check_outcome(world, one, two)


@pytest.mark.parametrize("parameters", [{}, {"rows_per_file": 2}, {"replace": False}], ids=["", "split", "keep"])
def test_two_runs_that_race_end_with_one_snapshot_and_a_clear_winner(parameters: dict[str, Any]) -> None:
    for world, (first, second, one, two) in two_at_once(
        lambda: World(contacts=3, parameters=parameters), {"run": OTHER_RUN}, {}
    ):
        stored = world.stored_manifest()
        assert stored is not None
        winners = [
            each
            for each in (one, two)
            if each.process.manifest is not None and each.process.manifest.content == stored.content
        ]
        assert len(winners) == 1, (first, second, one.result, two.result)
        winner = winners[0]
        loser = two if winner is one else one
        assert winner.result is None
        if loser.result is not None:
            assert isinstance(loser.result, (SupersededError, SnapshotExistsError)), repr(loser.result)
        if parameters.get("replace") is False:
            assert isinstance(loser.result, SnapshotExistsError)
        world.hold(winner.process, leftovers=True)


def test_an_orphan_that_wakes_up_at_any_effect_after_its_retry_succeeded_changes_nothing() -> None:
    for parameters in ({"generation": 1}, {"generation": 1, "rows_per_file": 4}):
        for at in itertools.count(LOOKED):
            world = World(contacts=13, parameters=parameters)
            orphan = Coroutine(world, try_number=1)
            for _ in range(at):
                orphan.step()
            if orphan.ended:
                break
            retry = world.finish(try_number=2)
            kept = world.bucket.bodies(world.layout.partition)
            result = orphan.finish()
            if world.bucket.bodies(world.layout.partition) != kept:
                raise AssertionError(f"{at}: the orphan changed the table ({result!r})")
            world.hold(retry, leftovers=True)


def test_the_model_of_a_death_is_one() -> None:
    """Sabotage: what runs in ``finally`` blocks after a death must change nothing."""
    world = World(contacts=18)
    assert world.dies(12, "before")
    before = world.bucket.bodies()
    dead = world.processes[-1]
    with pytest.raises(Died):
        dead.store.head("x")
    assert world.bucket.bodies() == before
