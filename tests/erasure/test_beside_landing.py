"""An erasure and a landing of the same partition, one of them whole at each single effect of the other.

Either is done or refused, never half: in the end the manifest says what lies there, and who was forgotten is nowhere.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from model_versions import VersionedMemoryStore
from model_world import OTHER_RUN, FakeClock, World
from tables import hold_true, ids, spec, unpacked

from airflow_provider_kore.changes.run import find_changes
from airflow_provider_kore.changes.spec import ChangesSpec
from airflow_provider_kore.erasure.run import erase
from airflow_provider_kore.exceptions import (
    ContentionError,
    DriftError,
    RetryableError,
    SupersededError,
)
from airflow_provider_kore.snapshot import staging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from model_world import Process

    from airflow_provider_kore.snapshot.manifest import Manifest

FORMS: dict[str, dict[str, Any]] = {
    "one file": {},
    "split": {"rows_per_file": 3},
    "incremental": {"incremental": True},
}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write checkpoints often."""
    monkeypatch.setattr(staging, "CHUNK_ROWS", 4)
    monkeypatch.setattr(staging, "SMALLEST_CHUNK_ROWS", 4)


class Interrupted(VersionedMemoryStore):
    """The bucket of a world; at one effect something else happens first.

    :param at: counted from 1; 0: never.
    """

    def __init__(self, world: World, at: int = 0, meanwhile: Callable[[], object] = lambda: None) -> None:
        super().__init__(world.bucket.bucket, clock=world.clock, honours_conditions=True)
        self._state = world.bucket._state
        self._at, self._meanwhile = at, meanwhile
        self.number = 0

    @contextmanager
    def _effect(self, name: str, key: str, *, writes: bool = False) -> Iterator[None]:
        self.number += 1
        if self.number == self._at:
            self._meanwhile()
        with super()._effect(name, key, writes=writes):
            yield


class Landed:
    """A list that has landed, and someone in it."""

    def __init__(self, **parameters: Any) -> None:
        self.world = World(contacts=6, parameters=parameters)
        self.world.look = lambda: None  # type: ignore[method-assign]  # what a reader sees is held elsewhere
        self.world.finish()
        self.who = self.world.vendor.ids[3]

    def leave(self, seconds: float = 3_600.0) -> None:
        """Let them leave the list, and time pass."""
        self.world.vendor.remove(3)
        self.world.clock.now += seconds

    @classmethod
    def and_left(cls, form: str) -> Landed:
        found = cls(**FORMS[form])
        found.leave()
        return found

    def again(self, on_effect: Callable[[Process, int], None] | None = None) -> Process:
        """Return the next day's run, as if it were of the same day: it replaces the snapshot."""
        return self.world.process(run=OTHER_RUN, on_effect=on_effect)

    def forget(self, at: int = 0, meanwhile: Callable[[], object] = lambda: None) -> int:
        """Erase; return how many effects that took."""
        store = Interrupted(self.world, at, meanwhile)
        number = next(_numbers)
        erase(
            spec(generation=str(number), on_missing="skip", staging_expiry=1_000.0),
            store,
            ids(self.who),
            clock=FakeClockLike(self.world),
        )
        return store.number

    def hold(self, manifest: Manifest | None) -> None:
        stored = self.world.stored_manifest()
        assert stored is not None
        hold_true(Interrupted(self.world), stored.content)
        if manifest is not None:
            assert stored.snapshot_id == manifest.snapshot_id
        for key, body in self.world.bucket.bodies().items():
            assert self.who.encode() not in unpacked(body), key
        named = {*stored.keys, self.world.layout.manifest}
        assert set(self.world.bucket.bodies(self.world.layout.partition)) == named


_numbers = itertools.count()


class FakeClockLike(FakeClock):
    """The world's clock, on which waiting takes no time."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def now(self) -> float:  # type: ignore[override]
        return self._world.clock.now

    @now.setter
    def now(self, value: float) -> None:
        self._world.clock.now = value


@pytest.mark.exhaustive
@pytest.mark.parametrize("form", ["one file", "split"])
def test_an_erasure_at_any_moment_of_a_landing_leaves_one_true_snapshot(form: str) -> None:
    tried = 0
    for at in itertools.count(1):
        landed = Landed.and_left(form)

        def meanwhile(_: Process, number: int, at: int = at, landed: Landed = landed) -> None:
            if number == at:
                with suppress(ContentionError):
                    landed.forget()

        process = landed.again(meanwhile)
        try:
            process.run()
        except SupersededError:
            pass
        except RetryableError:
            landed.world.finish(run=OTHER_RUN)
        tried = len(process.effects)
        landed.forget()
        landed.hold(process.manifest)
        if at > tried:
            break
    assert tried > 20


@pytest.mark.exhaustive
@pytest.mark.parametrize("form", FORMS)
def test_a_landing_at_any_moment_of_an_erasure_leaves_one_true_snapshot(form: str) -> None:
    tried = Landed.and_left(form).forget()
    assert tried > 20
    for at in range(1, tried + 1):
        landed = Landed.and_left(form)
        process = landed.again()

        def land(process: Process = process, landed: Landed = landed) -> None:
            try:
                process.run()
            except RetryableError:
                landed.world.finish(run=OTHER_RUN)

        with suppress(ContentionError):
            landed.forget(at, land)
        landed.forget()
        landed.hold(process.manifest)


@pytest.mark.exhaustive
def test_another_erasure_at_any_moment_of_an_erasure_leaves_one_true_snapshot() -> None:
    tried = Landed.and_left("split").forget()
    for at in range(1, tried + 1):
        landed = Landed.and_left("split")
        other = Landed.__new__(Landed)
        other.world, other.who = landed.world, landed.world.vendor.ids[4]
        with suppress(ContentionError):
            landed.forget(at, other.forget)
        landed.forget()
        landed.hold(None)
        other.hold(None)


def test_the_run_that_landed_finds_its_own_again_after_an_erasure_and_another_run_replaces_it() -> None:
    for form in FORMS.values():
        landed = Landed(**form, generation=3)
        world = landed.world
        landed.forget()
        landed.hold(None)
        retry = world.finish()
        assert retry.asked == [], "it had landed, and asks for nothing"
        assert retry.manifest is not None
        assert retry.manifest.content["erased"] == 1
        landed.leave()
        other = world.finish(run=OTHER_RUN)
        landed.hold(other.manifest)
        stored = world.stored_manifest()
        assert stored is not None
        assert stored.rows == 5
        assert "erased" not in stored.content


NEXT_DAY: dict[str, Any] = {"snapshot_date": "2026-01-02", "run": OTHER_RUN}


def changes(world: World) -> dict[str, Any]:
    """Compare the snapshot of the next day with the first."""
    wanted = ChangesSpec.parse(contact_list_id=world.spec().dataset.name, s3_prefix="kore/lists", **NEXT_DAY)
    return find_changes(wanted, Interrupted(world)).content


def test_changes_are_found_between_snapshots_of_which_one_was_erased() -> None:
    landed = Landed()
    landed.leave(86_400)
    landed.world.finish(**NEXT_DAY)
    landed.forget()
    found = changes(landed.world)
    assert (found["gone"], found["unchanged"]) == (0, 5)


def test_a_reader_that_compares_digests_is_told_to_come_again_while_an_erasure_is_under_way() -> None:
    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    landed = Landed()
    with pytest.raises(Killed):
        landed.forget(effect_between_file_and_manifest(landed), kill)
    landed.leave(86_400)
    landed.world.finish(**NEXT_DAY)
    with pytest.raises(DriftError, match="are being erased"):
        changes(landed.world)
    landed.forget()
    assert changes(landed.world)["unchanged"] == 5


def effect_between_file_and_manifest(landed: Landed) -> int:
    """Return the effect of an erasure at which a file is rewritten, and its manifest is not."""
    store = Interrupted(landed.world)
    store._state = landed.world.bucket.clone()._state
    erase(spec(generation="a copy"), store, ids(landed.who), clock=FakeClockLike(landed.world))
    puts = [n for n, effect in enumerate(store.effects, start=1) if effect.name == "put" and "/contacts" in effect.key]
    return puts[0] + 3
