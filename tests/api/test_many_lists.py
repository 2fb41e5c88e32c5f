"""Many lists in one task: what it asks for, what it proves by the catalogue, and what it does when that can't be."""

from __future__ import annotations

import gc
import gzip
import json
import logging
import tracemalloc
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from clocks import ImpatientClock
from landing import client_of
from model_store import MemoryStore

from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.api.sources.lists import Choice, ChosenLists
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.exceptions import (
    CredentialsError,
    KoreError,
    ListsFailedError,
    ListsRefusedError,
    ParameterError,
    ShrunkError,
    StoreUnavailableError,
    SupersededError,
)
from airflow_provider_kore.snapshot import many
from airflow_provider_kore.snapshot.many import Outcome, take_snapshots
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.snapshot.run import take_snapshot
from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec
from airflow_provider_kore.stop import Stop
from airflow_provider_kore.store.patient import LONGEST_DELAY, LONGEST_OUTAGE
from airflow_provider_kore.walk import ids

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_kore.simulator import Simulator

PAGE = 50
DAY = f"{datetime.now(UTC):%Y-%m-%d}"
TABLE = "lake/contacts/"


class Died(BaseException):
    """The process is gone, from this moment on."""


@dataclass
class Task:
    """One task's tries into a bucket in memory."""

    kore: Simulator
    store: MemoryStore = field(default_factory=lambda: MemoryStore(clock=SystemClock()))
    clock: ImpatientClock = field(default_factory=ImpatientClock)
    happenings: Mapping[int, Callable[[], object]] = field(default_factory=dict)
    """What happens before the request of this number of the next try."""
    landed: list[str] = field(default_factory=list)

    def spec(self, **parameters: Any) -> SnapshotSpec:
        given: dict[str, Any] = {
            "snapshot_date": DAY, "durable": True, "run_id": "run", "generation": "g", **parameters,
        }  # fmt: skip
        return SnapshotSpec.parse(
            source=ContactListSource(contact_list_id="each"),
            s3_prefix=TABLE.rstrip("/"),
            run=RunKey(dag_id="dag", run_id=given.pop("run_id"), task_id="task"),
            **given,
        )

    def take(self, *, least: int = 1, later: tuple[str, ...] = (), choice: Any = None, **parameters: Any) -> Outcome:
        """Take one try to its end; raise what its task would fail with."""
        spec, outcome, self.landed = self.spec(**parameters), Outcome(), []
        lists = ChosenLists(Choice.parse(**(choice or {})), together=spec.durable)
        with client_of(self.kore, self.clock, self.happenings) as client:
            take_snapshots(
                spec, lists, client, self.store, clock=self.clock, stop=Stop(), staging_store=self.store,
                teller=Teller(self.clock), outcome=outcome, least=least, later=later,
                on_landed=lambda spec, _: self.landed.append(spec.dataset.name),
            )  # fmt: skip
        if (problem := outcome.problem(lists.unusable)) is not None:
            raise problem
        return outcome

    def alone(self, list_id: str, **parameters: Any) -> None:
        """Land one list as the operator for one does."""
        spec = self.spec(**parameters).of(ContactListSource(contact_list_id=list_id))
        with client_of(self.kore, self.clock) as client:
            take_snapshot(spec, client, self.store, self.clock)

    def ids(self, list_id: str) -> list[str]:
        """Return the ids that have landed."""
        (body,) = self.store.bodies(f"{TABLE}contact_list_id={list_id}/snapshot_date={DAY}/contacts").values()
        return [json.loads(line)["_id"] for line in gzip.decompress(body).decode().splitlines()]

    def manifest(self, list_id: str) -> dict[str, Any]:
        (body,) = self.store.bodies(f"{TABLE}contact_list_id={list_id}/snapshot_date={DAY}/_manifest").values()
        found: dict[str, Any] = json.loads(body)
        return found

    @property
    def stands(self) -> set[str]:
        """Names of the lists that have a manifest."""
        return {key.split("=")[1].split("/")[0] for key in self.store.bodies(TABLE) if key.endswith("_manifest.json")}

    @property
    def asked(self) -> Counter[str]:
        """Requests by endpoint, since they were forgotten."""
        return Counter(request.endpoint for request in self.kore.requests)

    def hold(self, *lists: str) -> None:
        """Check that each of these lists has landed as it is, and that nothing else is left."""
        assert self.stands == set(lists)
        for name in lists:
            assert self.ids(name) == list(self.kore.contact_ids(name))
            assert self.manifest(name)["consistent"] is True
        assert [key for key in self.store.bodies("") if not key.startswith(TABLE)] == []


@pytest.fixture
def task(kore: Simulator) -> Task:
    kore.configure(max_limit=PAGE, keep_requests=100_000)
    return Task(kore)


def add(task: Task, number: int, contacts: int = 20, **details: Any) -> list[str]:
    """Add lists, and return their names."""
    names = [f"cl-{index:04d}" for index in range(number)]
    for name in names:
        task.kore.add_list(name, contacts=contacts, **details)
    return names


# --- Only what is new ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_lists_that_did_not_change_cost_one_request_each_and_those_that_grew_their_new_pages(task: Task) -> None:
    names = add(task, 15, contacts=4 * PAGE - 10)
    task.take(incremental=True, probes=0)
    based_on = {name: task.manifest(name)["snapshot_id"] for name in names}
    for changed in ([], names[:5]):
        for name in changed:
            task.kore.append(name, PAGE + 1)
        task.kore.forget_requests()
        task.take(incremental=True, probes=0, run_id=f"run {len(changed)}")
        # Of a list that grew: the page at its old end, two new ones, and that end once more.
        assert task.asked["contacts"] <= len(names) + 3 * len(changed)
        assert task.asked["lists"] + task.asked["list"] <= 3
        task.hold(*names)
        for name in names:
            assert task.manifest(name)["incremental"]["based_on"]["snapshot_id"] == based_on[name]
        based_on = {name: task.manifest(name)["snapshot_id"] for name in names}


def test_a_list_that_lost_contacts_is_walked_and_the_others_are_not(task: Task) -> None:
    names = add(task, 6, contacts=4 * PAGE)
    task.take(incremental=True, probes=1)
    task.kore.remove(names[2], index=3, n=2)
    task.kore.forget_requests()
    task.take(incremental=True, probes=1, run_id="another")
    assert task.asked["contacts"] <= 5 * 2 + 1 + 4
    assert task.manifest(names[2])["incremental"]["based_on"] is None
    assert task.manifest(names[3])["incremental"]["based_on"] is not None
    task.hold(*names)


@pytest.mark.parametrize("at", [1, 2, 4, 7, 9, 10, 12, 15, 18, 21, 25])
def test_a_list_that_changes_while_others_are_carried_forward_lands_as_it_is(task: Task, at: int) -> None:
    names = add(task, 4, contacts=4 * PAGE)
    task.take(incremental=True, probes=1)
    change = (task.kore.append, task.kore.remove)[at % 2]
    task.happenings = {at: lambda: change(names[at % 4], 1)}
    task.kore.forget_requests()
    task.take(incremental=True, probes=1, run_id="another")
    task.hold(*names)
    if at % 2 == 0:  # it grew, which is no reason to walk it
        assert all(task.manifest(name)["incremental"]["based_on"] for name in names)


@pytest.mark.parametrize("at", range(1, 20, 3))
def test_a_try_that_dies_while_it_carries_lists_forward_is_continued(task: Task, at: int) -> None:
    names = add(task, 4, contacts=4 * PAGE)
    task.take(incremental=True, probes=1)
    for name in names[:2]:
        task.kore.append(name, 60)

    def die() -> None:
        raise Died

    task.happenings = {at: die}
    with suppress(Died):
        task.take(incremental=True, probes=1, run_id="another")
    task.happenings = {}
    task.kore.forget_requests()
    task.take(incremental=True, probes=1, run_id="another")
    assert task.asked["contacts"] <= 4 * 2 + 2 * 4
    task.hold(*names)


@pytest.mark.slow
def test_a_list_that_is_carried_forward_takes_next_to_no_memory_while_it_waits(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ids alone would take some 32,000 bytes, here where they can be measured."""
    monkeypatch.setattr(ids, "_free_slots", lambda number: memoryview(bytearray(8 * number)).cast("q"))
    add(task, 20, contacts=30 * PAGE)
    task.take(incremental=True, probes=0)
    held: list[int] = []

    def measure() -> None:
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0] - sum(map(len, task.store.bodies("").values())))

    task.happenings = {5: measure, 17: measure}
    tracemalloc.start()
    try:
        task.take(incremental=True, probes=0, run_id="another")
    finally:
        tracemalloc.stop()
    assert (held[1] - held[0]) / 12 < 70_000


# --- What it costs ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_hundred_lists_cost_their_pages_and_two_looks_at_the_catalogue(task: Task) -> None:
    names = add(task, 200, contacts=60)
    outcome = task.take()
    # One look at a list itself vouches for the catalogue.
    assert task.asked == {"lists": 2, "contacts": 400, "list": 1}
    assert outcome.landed == dict.fromkeys(names, 60)
    task.hold(*names)
    # Each is told what it has cost itself, the first one with that look.
    assert Counter(task.manifest(name)["walk"]["requests"] for name in names) == {2: 199, 3: 1}


@pytest.mark.slow
def test_however_many_lists_there_are_they_are_looked_at_once_in_so_many_requests(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "TOGETHER", 20)
    names = add(task, 100, contacts=1)
    assert len(task.take().landed) == 100
    assert task.asked == {"lists": 1 + 6, "contacts": 100, "list": 1}
    task.hold(*names)


@pytest.mark.slow
def test_a_list_that_waits_for_its_look_takes_next_to_no_memory(task: Task) -> None:
    """Its 250 contacts would take some 250,000 bytes."""
    add(task, 60, contacts=5 * PAGE)
    held: list[int] = []

    def measure() -> None:
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0] - sum(map(len, task.store.bodies("").values())))

    task.happenings = {2 + 5 * 10: measure, 2 + 5 * 55: measure}
    tracemalloc.start()
    try:
        task.take()
    finally:
        tracemalloc.stop()
    assert (held[1] - held[0]) / 45 < 50_000


def test_the_shortest_lists_come_first_and_those_of_unknown_length_last(task: Task) -> None:
    for name, contacts in {"cl-long": 300, "cl-short": 10, "cl-middle": 60}.items():
        task.kore.add_list(name, contacts=contacts)
    task.kore.add_list("cl-unknown", contacts=20, totalRecordCount=0)
    task.take()
    assert task.landed == ["cl-short", "cl-middle", "cl-long", "cl-unknown"]


def test_a_long_walk_lets_the_lists_that_wait_land_first(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "TOGETHER", 10)
    names = add(task, 3)
    task.kore.add_list("cl-long", contacts=40 * PAGE)
    seen: list[set[str]] = []
    task.happenings = {30: lambda: seen.append(task.stands)}
    task.take()
    assert seen == [set(names)]
    task.hold(*names, "cl-long")
    assert 40 <= task.manifest("cl-long")["walk"]["requests"] <= 44


def test_a_list_that_is_read_without_checkpoints_is_looked_at_by_itself(task: Task) -> None:
    names = add(task, 3)
    task.take(durable=False)
    assert task.asked == {"lists": 1, "contacts": 3, "list": 3}
    task.hold(*names)


# --- What the catalogue proves, and what it can't -----------------------------------------------------------------


def test_a_list_that_changes_before_its_look_is_walked_again_and_never_lands_as_it_was(task: Task) -> None:
    names = add(task, 5, contacts=120)

    def swap() -> None:
        """Exchange a contact for another: no page and no total tells."""
        task.kore.remove("cl-0001", 0)
        task.kore.append("cl-0001")

    task.happenings = {14: swap}  # when all that the list has was read
    task.take()
    task.hold(*names)
    assert task.manifest("cl-0001")["walk"]["walks"] == 2


def test_a_list_that_grew_before_its_look_is_read_on(task: Task) -> None:
    names = add(task, 5, contacts=120)
    task.kore.append("cl-0001")  # or else its contacts are newer than the list says that it is
    task.happenings = {18: lambda: task.kore.append("cl-0001", 3)}  # all was read, and waits for the look
    task.take()
    task.hold(*names)
    manifest = task.manifest("cl-0001")
    assert (manifest["walk"]["walks"], manifest["appended_while_reading"]) == (1, 3)


@pytest.mark.parametrize("shown", ["stale", "missing"])
def test_a_catalogue_that_does_not_tell_of_changes_is_not_believed(
    task: Task, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = add(task, 4, contacts=120)
    for name in names:
        task.kore.append(name, 1)
    task.kore.configure(catalogue_updated_at=shown)
    task.take()
    task.hold(*names)
    assert task.asked["list"] >= 2 * len(names)
    assert shown == "missing" or "looked at by itself" in caplog.text


@pytest.mark.slow
def test_a_stale_catalogue_hides_no_change(task: Task) -> None:
    names = add(task, 4, contacts=120)
    task.kore.append("cl-0000", 1)
    task.kore.configure(catalogue_updated_at="stale")

    for moment in range(4, 24, 2):
        truths = [list(task.kore.contact_ids("cl-0002"))]

        def swap(truths: list[list[str]] = truths) -> None:
            task.kore.remove("cl-0002", 0)
            task.kore.append("cl-0002")
            truths.append(list(task.kore.contact_ids("cl-0002")))

        task.happenings = {moment: swap}
        task.take(run_id=f"run {moment}")
        assert task.ids("cl-0002") in truths
        assert task.stands == set(names)


class Tampered:
    """Lets one look at the catalogue, or several, show something else than there is."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, looks: set[int], change: Callable[[list[Any]], list[Any]]
    ) -> None:
        from airflow_provider_kore.api.client import CampaignClient

        honest, self.number = CampaignClient.get_contact_lists, 0

        def get(client: CampaignClient) -> list[Any]:
            self.number += 1
            found = honest(client)
            return change(found) if self.number in looks else found

        monkeypatch.setattr(CampaignClient, "get_contact_lists", get)


def without(name: str) -> Callable[[list[Any]], list[Any]]:
    return lambda found: [each for each in found if each["_id"] != name]


@pytest.mark.parametrize("looks", [{1}, {2}, {1, 2}], ids=["before", "after", "both"])
def test_a_list_that_the_catalogue_leaves_out_is_landed_right(
    task: Task, monkeypatch: pytest.MonkeyPatch, looks: set[int]
) -> None:
    names = add(task, 4, contacts=70)
    Tampered(monkeypatch, looks, without("cl-0002"))
    task.take(choice={"contact_list_ids": names} if looks == {1, 2} else None)
    task.hold(*names)


@pytest.mark.parametrize("looks", [{1}, {2}, {1, 2}], ids=["before", "after", "both"])
@pytest.mark.parametrize("moved", [True, False], ids=["two words", "one word"])
def test_a_list_that_the_catalogue_names_twice_is_landed_once_and_right(
    task: Task, monkeypatch: pytest.MonkeyPatch, looks: set[int], moved: bool, caplog: pytest.LogCaptureFixture
) -> None:
    names = add(task, 4, contacts=70)
    other = {"updatedAt": "2026-01-01T00:00:00.000Z"} if moved else {}
    Tampered(monkeypatch, looks, lambda found: [*found, {**found[1], **other}])
    task.take()
    task.hold(*names)
    assert task.landed.count("cl-0001") == 1
    assert caplog.text.count("cl-0001 more than once") == 1


def test_a_list_that_is_deleted_meanwhile_is_not_missed_unless_it_was_asked_for(task: Task) -> None:
    names = add(task, 4, contacts=70)
    task.happenings = {9: lambda: task.kore.remove_list("cl-0001")}
    outcome = task.take()
    assert outcome.gone == ["cl-0001"]
    assert task.stands == {*names} - {"cl-0001"}
    task.kore.add_list("cl-0001", contacts=70)
    with pytest.raises(ListsRefusedError, match=r"^1 of 4 contact lists did not land, 3 did\. cl-0001: .*"):
        task.take(choice={"contact_list_ids": names}, run_id="another")


def test_a_list_that_turns_up_meanwhile_lands_too(task: Task) -> None:
    names = add(task, 4, contacts=70)
    task.happenings = {5: lambda: task.kore.add_list("cl-new", contacts=60)}
    task.take()
    task.hold(*names, "cl-new")


def test_an_entry_without_a_usable_id_fails_the_task_after_the_others_have_landed(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = add(task, 3)
    Tampered(monkeypatch, {1, 2}, lambda found: [*found, {"name": "?"}, {"_id": "../up"}])
    with pytest.raises(
        ListsRefusedError, match=r"^2 of 5 contact lists did not land.*None: .*\.\./up: .*impossible id"
    ):
        task.take()
    task.hold(*names)


@pytest.mark.slow
def test_random_changes_between_any_two_requests_never_land_anything_that_never_was(task: Task) -> None:
    """Swap, append, remove: before whichever request, of whichever list."""
    acts: list[Callable[[str], object]] = [
        lambda name: (task.kore.remove(name, 0), task.kore.append(name)),
        lambda name: task.kore.append(name, 2),
        lambda name: task.kore.remove(name, 1),
        lambda name: task.kore.insert(name, 1),
    ]
    names = add(task, 3, contacts=70)
    for number in range(44):
        act, name, moment = acts[number % 4], names[number % 3], 1 + number // 4
        truths = {each: [list(task.kore.contact_ids(each))] for each in names}

        def happen(act: Any = act, name: str = name, truths: Any = truths) -> None:
            act(name)
            truths[name].append(list(task.kore.contact_ids(name)))

        task.happenings = {moment: happen}
        try:
            task.take(run_id=f"run {number}")
        except KoreError:
            continue
        for each in names:
            assert task.ids(each) in truths[each], (number, each)


# --- When something fails -----------------------------------------------------------------------------------------


def test_a_list_that_fails_does_not_stop_the_others_and_the_retry_reads_it_alone(task: Task) -> None:
    names = add(task, 6)
    with (
        task.kore.fault("server_error", endpoint="contacts", list_id="cl-0003"),
        pytest.raises(ListsFailedError) as caught,
    ):
        task.take()
    assert str(caught.value).startswith("1 of 6 contact lists did not land, 5 did. cl-0003: ")
    assert task.stands == {*names} - {"cl-0003"}
    task.kore.forget_requests()
    task.take()
    assert task.asked == {"lists": 2, "contacts": 1, "list": 1}
    task.hold(*names)


def test_a_clear_takes_all_anew(task: Task) -> None:
    names = add(task, 3)
    task.take()
    before = {name: task.manifest(name)["snapshot_id"] for name in names}
    task.kore.forget_requests()
    task.take(generation="another")
    assert task.asked["contacts"] == 3
    assert all(task.manifest(name)["snapshot_id"] != before[name] for name in names)


def test_only_reasons_that_no_retry_helps_end_the_task_for_good(task: Task) -> None:
    add(task, 3)
    with pytest.raises(ListsRefusedError, match="cl-nowhere"):
        task.take(choice={"contact_list_ids": ["cl-nowhere", "cl-0001"]})
    with (
        task.kore.fault("server_error", endpoint="contacts", list_id="cl-0002"),
        pytest.raises(ListsFailedError, match="cl-nowhere"),
    ):
        task.take(choice={"contact_list_ids": ["cl-nowhere", "cl-0002"]}, run_id="another")


@pytest.mark.slow
def test_the_report_is_bounded_however_many_fail(task: Task) -> None:
    task.kore.add_list("cl-good", contacts=100)
    add(task, 100)
    with pytest.raises(ListsRefusedError, match=r"more: see this task's log") as caught:
        task.take(min_rows=50)
    assert len(str(caught.value)) < 2_500
    assert task.stands == {"cl-good"}


def test_what_every_list_would_fail_of_ends_the_task_at_once(task: Task) -> None:
    add(task, 50)
    with task.kore.fault("unauthorized", endpoint="contacts"), pytest.raises(CredentialsError):
        task.take()
    assert task.asked["contacts"] < 10


def test_an_outage_of_the_store_is_waited_for_as_long_as_where_there_is_one_list(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(task, 3)
    put = task.store.put

    def fail(key: str, *args: Any, **kwargs: Any) -> Any:
        if key.startswith(f"{TABLE}contact_list_id=cl-0001") and "contacts" in key:
            raise StoreUnavailableError("down")
        return put(key, *args, **kwargs)

    monkeypatch.setattr(task.store, "put", fail)
    with pytest.raises(StoreUnavailableError):
        task.take()
    assert task.stands == {"cl-0000"}
    assert LONGEST_OUTAGE - LONGEST_DELAY <= sum(task.clock.slept) <= LONGEST_OUTAGE + 60


def test_a_server_that_fails_whichever_list_it_is_asked_for_is_not_asked_for_all(task: Task) -> None:
    add(task, 50)
    with (
        task.kore.fault("server_error", endpoint="contacts"),
        pytest.raises(ListsFailedError, match="45 were not tried"),
    ):
        task.take()


def test_fewer_lists_than_there_should_be_are_an_error_before_the_first_page(task: Task) -> None:
    with pytest.raises(ShrunkError, match=r"0 contact lists .* min_contact_lists is 1"):
        task.take()
    add(task, 3)
    with pytest.raises(ShrunkError, match=r"3 contact lists .* min_contact_lists is 4"):
        task.take(least=4)
    assert task.asked["contacts"] == 0


# --- Deaths, pauses, rivals ---------------------------------------------------------------------------------------


def die() -> None:
    raise Died


@pytest.mark.slow
def test_a_try_that_dies_anywhere_is_continued_and_reads_little_again(task: Task) -> None:
    names = add(task, 5, contacts=70)
    for moment in range(1, 14):
        task.store, task.happenings = MemoryStore(clock=SystemClock()), {moment: die}
        with pytest.raises(Died):
            task.take()
        task.happenings = {}
        task.kore.forget_requests()
        task.take(try_number=2)
        read = max(0, moment - 3) // 2  # lists whose pages had all been read
        assert task.asked["contacts"] <= 10 - 2 * read + 2, moment
        task.hold(*names)


def test_lists_that_waited_for_their_look_when_a_try_died_cost_the_next_one_nothing_but_that_look(task: Task) -> None:
    names = [*add(task, 6, contacts=70), "cl-empty"]
    task.kore.add_list("cl-empty", contacts=0)
    task.happenings = {16: die}  # the look at the end: all lists have been read
    with pytest.raises(Died):
        task.take()
    assert task.stands == set()
    task.kore.forget_requests()
    task.happenings = {}
    task.take(try_number=2)
    assert task.asked == {"lists": 1, "list": 1}
    task.hold(*names)


class Cut(BaseException):
    """As Airflow's execution_timeout: it comes out of any line."""


def cut() -> None:
    raise Cut


def test_a_long_walk_that_is_cut_off_while_others_land_keeps_what_it_has_read(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "TOGETHER", 10)
    names = add(task, 3)
    task.kore.add_list("cl-long", contacts=40 * PAGE)
    task.take(run_id="before")
    looks = [number for number, each in enumerate(task.kore.requests, start=1) if each.endpoint == "lists"]
    task.kore.forget_requests()
    task.happenings = {looks[1]: cut}
    with pytest.raises(Cut):
        task.take()
    read = task.asked["contacts"] - len(names)
    assert read >= 5
    task.kore.forget_requests()
    task.happenings = {}
    task.take(try_number=2)
    assert task.asked["contacts"] <= 40 - read + 2
    task.hold(*names, "cl-long")


def test_a_change_while_nobody_looked_is_found_by_the_next_try(task: Task) -> None:
    names = add(task, 4, contacts=70)
    task.happenings = {11: die}
    with pytest.raises(Died):
        task.take()
    task.kore.remove("cl-0001", 0)
    task.kore.append("cl-0001")
    task.kore.append("cl-0002", 4)
    task.happenings = {}
    task.take(try_number=2)
    task.hold(*names)


def test_of_two_runs_the_later_wins_and_the_earlier_is_told(task: Task) -> None:
    names = add(task, 4, contacts=70)

    def other() -> None:
        task.clock.sleep(5)
        Task(task.kore, task.store, task.clock).take(run_id="later")

    task.happenings = {11: other}
    with pytest.raises(SupersededError, match="newer snapshots of 4 contact lists"):
        task.take()
    task.hold(*names)
    assert {task.manifest(name)["run"]["run_id"] for name in names} == {"later"}


def test_where_another_run_has_one_list_only_the_others_land(task: Task) -> None:
    names = add(task, 4, contacts=70)

    def other() -> None:
        task.clock.sleep(5)
        Task(task.kore, task.store, task.clock).take(run_id="later", choice={"contact_list_ids": ["cl-0001"]})

    task.happenings = {11: other}
    outcome = task.take()
    assert (outcome.superseded, sorted(outcome.landed)) == (["cl-0001"], sorted({*names} - {"cl-0001"}))
    task.hold(*names)


def test_two_tries_of_one_run_side_by_side_leave_whole_snapshots(task: Task) -> None:
    names = add(task, 4, contacts=70)
    task.happenings = {7: lambda: Task(task.kore, task.store, task.clock).take(try_number=2)}
    with suppress(SupersededError, ListsFailedError):
        task.take()
    assert task.stands == set(names)
    for name in names:
        assert task.ids(name) == list(task.kore.contact_ids(name))


# --- Which lists --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"contact_list_ids": ["cl-2", "cl-1", "cl-2"]}, ["cl-1", "cl-2"]),
        ({"contact_list_ids": "['cl-1']"}, ["cl-1"]),
        ({"contact_list_ids": '["cl-1", "cl-3"]'}, ["cl-1", "cl-3"]),
        ({"contact_list_ids": "cl-1"}, ["cl-1"]),
        ({"contact_list_ids": "None"}, ["cl-1", "cl-2", "cl-3", "cl-4"]),
        ({"name_pattern": "Spring *"}, ["cl-1", "cl-2"]),
        ({"name_pattern": "spring *"}, []),
        ({"statuses": ["Ready"]}, ["cl-1", "cl-3", "cl-4"]),
        ({"statuses": "Invalid"}, ["cl-2"]),
        ({"sources": ["passiveApi", "apiIntegration"]}, ["cl-3", "cl-4"]),
        ({"name_pattern": "Spring *", "statuses": ["Ready"]}, ["cl-1"]),
        ({"contact_list_ids": ["cl-1", "cl-3"], "sources": ["passiveApi"]}, ["cl-3"]),
    ],
)
def test_lists_are_chosen_by_all_that_is_given(task: Task, choice: dict[str, Any], names: list[str]) -> None:
    for number, (name, status, source) in enumerate(
        [
            ("Spring one", "Ready", "localDrive"),
            ("Spring two", "Invalid", "localDrive"),
            ("Autumn", "Ready", "passiveApi"),
            ("Winter", "Ready", "apiIntegration"),
        ],
        start=1,
    ):
        task.kore.add_list(f"cl-{number}", contacts=3, name=name, status=status, source=source)
    task.take(choice=choice, least=0)
    assert sorted(task.landed) == names


@pytest.mark.parametrize(
    ("choice", "parameter"),
    [
        ({"contact_list_ids": []}, "contact_list_ids"),
        ({"contact_list_ids": [7]}, "contact_list_ids"),
        ({"contact_list_ids": ["cl 1/2"]}, "contact_list_ids"),
        ({"contact_list_ids": {"cl-1": 1}}, "contact_list_ids"),
        ({"contact_list_ids": 81}, "contact_list_ids"),
        ({"contact_list_ids": "[cl-1"}, "contact_list_ids"),
        ({"name_pattern": 5}, "name_pattern"),
        ({"statuses": [None]}, "statuses"),
        ({"sources": [""]}, "sources"),
    ],
)
def test_an_impossible_choice_is_refused_by_name(choice: dict[str, Any], parameter: str) -> None:
    with pytest.raises(ParameterError) as caught:
        Choice.parse(**choice)
    assert caught.value.parameter == parameter


# --- What a person reads ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_log_has_a_line_for_each_list_that_lands_and_some_about_all_of_them(
    task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    add(task, 30, contacts=10 * PAGE)
    task.happenings = {number: lambda: task.clock.sleep(1.0) for number in range(1, 400)}
    task.take()
    lines = [record.getMessage() for record in caplog.records]
    assert "30 contact lists: 15,000 contacts, as the catalogue says, " in caplog.text
    assert len([line for line in lines if line.startswith("Landed 500 contacts of cl-")]) == 30
    about = [line for line in lines if "wait for the look" in line]
    assert 8 <= len(about) <= 30
    assert any(line.endswith(" left.") and " of 30 contact lists landed" in line for line in about)
    assert len(lines) < 90
