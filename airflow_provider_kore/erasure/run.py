"""Forget people: plan, erase, search again, and say so in a receipt.

Nothing is asked of Kore.ai, which has to forget them first: a walk that is under way, and any later one, lands whom it
is shown.
"""

from __future__ import annotations

import base64
import json
import logging
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.erasure.final import LastSearch, Searched
from airflow_provider_kore.erasure.gone import gone_ids
from airflow_provider_kore.erasure.look import partitions
from airflow_provider_kore.erasure.names import Pseudonyms, encoded
from airflow_provider_kore.erasure.others import Others, form_in_any
from airflow_provider_kore.erasure.persons import Persons, hashed
from airflow_provider_kore.erasure.plan import Plan, Planner, check_found, check_hidden
from airflow_provider_kore.erasure.possible import abort_uploads, check_possible, try_to_write
from airflow_provider_kore.erasure.progress import Progress
from airflow_provider_kore.erasure.receipt import receipt_of, summary_of, told_beforehand, warn_of_mentions
from airflow_provider_kore.erasure.search import Searcher
from airflow_provider_kore.erasure.worker import Worker
from airflow_provider_kore.exceptions import (
    ContentionError,
    ErasureIncompleteError,
    ParameterError,
)
from airflow_provider_kore.quoting import count
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.snapshot.rivals import instant
from airflow_provider_kore.stop import Stop, StoppableClock
from airflow_provider_kore.store.versions import PatientVersionedStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.erasure.given import Given
    from airflow_provider_kore.erasure.look import Partition
    from airflow_provider_kore.erasure.spec import ErasureSpec
    from airflow_provider_kore.erasure.worker import Known
    from airflow_provider_kore.snapshot.fields import FieldPolicies
    from airflow_provider_kore.store.store import ObjectStore
    from airflow_provider_kore.store.versions import VersionedStore

log = logging.getLogger(__name__)

MOST_NOTES: Final = 100
"""Of erasures that were cut off, that are looked at."""

ROUNDS: Final = 3
"""How often what the last search has found is erased, too, because snapshots keep landing."""


def erase(
    spec: ErasureSpec,
    store: VersionedStore,
    given: Iterable[Given],
    *,
    policies: FieldPolicies | None = None,
    stop: Stop | None = None,
    teller: Teller | None = None,
    clock: Clock | None = None,
) -> dict[str, Any]:
    """Erase, or count what would be erased; return the receipt.

    :param given: ids and phone numbers; read more than once.
    :param policies: with the key that phone numbers were hashed with; None: they were not.

    Raises ParameterError for what can't be looked for, or is nowhere; CorruptSnapshotError where a manifest or a file
    is not what it should be; ErasureIncompleteError where something that holds a person can't be erased;
    ContentionError where snapshots keep landing; and what the store raises.
    """
    stop = stop or Stop()
    waiting = StoppableClock(clock or SystemClock(), stop)
    patient = cast("VersionedStore", PatientVersionedStore(store, waiting, stop))
    erasure = _Erasure(spec, patient, given, policies=policies, stop=stop, teller=teller or Teller(), clock=waiting)
    return erasure.run()


class _Erasure:
    def __init__(
        self,
        spec: ErasureSpec,
        store: VersionedStore,
        given: Iterable[Given],
        *,
        policies: FieldPolicies | None,
        stop: Stop,
        teller: Teller,
        clock: Clock,
    ) -> None:
        self._spec, self._store, self._given, self._policies = spec, store, given, policies
        self._stop, self._teller, self._clock = stop, teller, clock
        self._plain = cast("ObjectStore", store)
        self._persons = Persons(fields=frozenset(spec.phone_fields))
        self._searcher = Searcher(self._persons, stop)
        self._others = Others(spec, store, self._searcher, stop)
        self._worker = Worker(
            spec=spec, store=store, persons=self._persons, policies=policies, stop=stop, clock=clock, teller=teller
        )
        self._last = LastSearch(spec, self._plain, self._searcher, self._others, stop=stop, teller=teller)
        self._progress = Progress(self._plain, spec.notes)
        self._receipt = Progress(self._plain, spec.receipt)
        self._continued: list[str] = []
        """Keys of what runs before this one have noted, and left to this one."""
        self._erased: dict[str, int] = {}
        """Rows, by key, in all tries."""
        self._started = instant(clock.time())
        self._deleted = {"checkpoints": 0, "versions": 0, "markers": 0, "uploads": 0}
        self._versions: str = "none"
        self._old_strangers: list[str] = []
        self._old_searched = 0
        self._missing = 0

    def run(self) -> dict[str, Any]:
        spec, progress = self._spec, self._progress
        progress.read()
        self._receipt.read()
        if self._receipt.stage == "done" and spec.generation is not None and not spec.plan_only:
            log.info("This run has erased already: %s.", self._store.uri(spec.receipt))
            if progress.stage:
                self._delete_notes()
            return summary_of(spec, self._plain, self._receipt.content, self._receipt.body)
        self._take_given()
        resumed = self._resume()
        self._versions = self._of_versions()
        if progress.stage == "changes" and not spec.plan_only:
            return self._end(Plan(counted=progress.counted), resumed=True)
        with self._teller.phase("looking for what is to be erased"):
            plan = self._plan(progress.counted if resumed else {})
        missing = [] if resumed else self._not_found()
        self._missing = int(progress.content.get("not_found") or 0) if resumed else len(missing)
        if spec.plan_only:
            return self._tell(plan, missing)
        if not resumed and spec.on_missing == "fail":
            check_hidden(plan)
            check_found(missing, len(self._persons))
        check_possible(spec, self._plain, self._others, plan)
        self._note(plan, "erasing")
        own = list(self._erased) if resumed else []
        self._deleted["uploads"] = abort_uploads(spec, self._plain, own, self._clock.time())
        try_to_write(self._plain, plan)
        self._log_plan(plan)
        self._erase(plan)
        return self._end(plan, resumed=resumed)

    # --- Whom ---------------------------------------------------------------------------------------------------------

    def _take_given(self) -> None:
        key = self._policies.key if self._policies is not None else None
        for each in self._given:
            if each.kind == "id":
                self._persons.add_id(each.value)
            else:
                self._persons.add_phone(each.value, key)
        if self._spec.gone_on is not None:
            for identifier in gone_ids(self._spec, self._plain, self._worker):
                self._persons.add_id(identifier)
        if not len(self._persons) and self._progress.stage != "changes" and self._spec.gone_on is None:
            raise ParameterError(
                "erasure_list",
                "names no one, and neither do contact_ids, phone_numbers and gone_on",
                "say who is to be forgotten",
            )

    def _resume(self) -> bool:
        """Take up what an earlier try has noted, if it was told the same; say whether it was."""
        progress = self._progress
        if not progress.stage:
            self._take_over()
        pseudonyms = Pseudonyms(self._persons.fingerprint, progress.fresh_salt())
        self._persons.pseudonyms = pseudonyms
        told = progress.content
        same = progress.stage in {"erasing", "changes"} and told.get("check") == pseudonyms.check
        if same or progress.stage == "changes":
            self._started = str(told.get("started_at") or self._started)
            erased = told.get("erased")
            self._erased = {str(key): int(rows) for key, rows in erased.items()} if isinstance(erased, dict) else {}
        if same:
            self._persons.earlier = pseudonyms.all_of(str(told.get("learned") or ""))
            log.info("An earlier try of this run has begun to erase; it is continued.")
        return same

    def _take_over(self) -> None:
        """Look for an erasure of the same persons that was cut off, and given up: a Clear and a new run continue it."""
        for found in islice(self._plain.list(self._spec.unfinished), MOST_NOTES):
            other = Progress(self._plain, found.key)
            other.read()
            if other.stage != "erasing" or other.content.get("scope") != self._spec.scope or not other.salt:
                continue
            if Pseudonyms(self._persons.fingerprint, other.salt).check == other.content.get("check"):
                self._continued.append(found.key)
                self._progress.take_over(other)

    def _delete_notes(self) -> None:
        self._store.delete([self._progress.key, *self._continued])

    def _not_found(self) -> list[int]:
        """Return the numbers of the entries that are nowhere."""
        found, key = self._persons.found, self._policies.key if self._policies is not None else None

        def is_there(each: Given) -> bool:
            return encoded(each.value) in found or (
                each.kind == "phone" and key is not None and hashed(each.value, key) in found
            )

        return [each.number for each in self._given if not is_there(each)]

    # --- Before anything is changed -----------------------------------------------------------------------------------

    def _of_versions(self) -> str:
        kept = self._store.keeps_versions()
        if self._spec.versions:
            return "none" if kept is False else "searched"
        if kept:
            log.warning(
                "Bucket %s keeps older versions of objects, and versions is False: what is erased stays in them.",
                self._store.bucket,
            )
        return {True: "kept, not searched", False: "none", None: "not known"}[kept]

    def _plan(self, known: dict[str, Known]) -> Plan:
        planner = Planner(self._spec, self._plain, self._worker, self._others, versions=self._versions == "searched")
        return planner.plan(known)

    def _tell(self, plan: Plan, missing: list[int]) -> dict[str, Any]:
        """Say what would be done."""
        log.info("Nothing was changed (plan_only): %s would go. %s", count(plan.rows, "row"), json.dumps(plan.cost))
        if missing:
            log.warning("%s of what was given can be found nowhere.", f"{len(missing):,}")
        for each in plan.hidden[:5]:
            log.warning("Phone numbers cannot be found in %s.", each)
        holding = [key for key in plan.strangers if self._has_traces(key)]
        return told_beforehand(
            self._spec, self._persons, plan, versions=self._versions, missing=len(missing), holding=holding
        )

    def _has_traces(self, key: str) -> bool:
        opened = self._store.get(key)
        return opened is not None and self._searcher.look(opened, None).traces > 0

    def _log_plan(self, plan: Plan) -> None:
        log.info(
            "Erasing %s from %s, %s and %s. %s",
            count(plan.rows, "row"),
            count(len(plan.rewritten), "file"),
            count(len(plan.checkpoints), "checkpoint"),
            count(len(plan.old.doomed), "old version"),
            json.dumps(plan.cost),
        )

    # --- Erasing ------------------------------------------------------------------------------------------------------

    def _note(self, plan: Plan, stage: str) -> None:
        """Keep what the next try needs, before the first object is changed."""
        prior = self._progress.counted if self._erased else {}
        for key, each in plan.rewritten.items():
            if key not in prior or prior[key].etag != each.etag:
                self._erased[key] = self._erased.get(key, 0) + each.erased
        pseudonyms = cast("Pseudonyms", self._persons.pseudonyms)
        learned = self._progress.content.get("learned") if len(self._persons.earlier) else ""
        self._progress.write(
            {
                "stage": stage,
                "erasure": self._spec.name,
                "scope": self._spec.scope,
                "started_at": self._started,
                "salt": pseudonyms.salt.hex(),
                "check": pseudonyms.check,
                "learned": base64.b64encode(base64.b64decode(str(learned or "")) + bytes(self._persons.noted)).decode(),
                "counted": {key: [each.etag, each.erased, each.size] for key, each in plan.counted.items()},
                "erased": self._erased,
                "not_found": self._missing,
            }
        )

    def _erase(self, plan: Plan) -> None:
        if self._versions == "searched":
            self._delete_versions(plan)
        with self._teller.phase("erasing", "partitions", len(plan.work)) as phase:
            for number, partition in enumerate(self._not_sources(plan)):
                phase.reached(number)
                self._erase_in(partition, plan.counted)
        self._delete_checkpoints(list(plan.checkpoints))

    def _not_sources(self, plan: Plan) -> list[Partition]:
        return [each for each in plan.work.values() if not self._is_source(each)]

    def _is_source(self, partition: Partition) -> bool:
        """Say whether a partition tells who is to be erased, and so comes last."""
        return partition.table.file_name == "changes" and partition.date == self._spec.gone_on

    def _erase_in(self, partition: Partition, known: Mapping[str, Known]) -> None:
        outcome = self._worker.erase(partition, dict(known))
        for key, told in outcome.written.items():
            planned = known[key].erased if key in known else 0
            self._erased[key] = self._erased.get(key, 0) + max(0, told["erased"] - planned)

    def _delete_versions(self, plan: Plan | None = None) -> None:
        found = plan.old if plan is not None else self._others.versions()
        if plan is None:
            self._others.check_locks([(each.key, each.version_id) for each in found.doomed])
        self._others.delete_versions(found)
        self._old_strangers += [each for each in found.strangers if each not in self._old_strangers]
        self._old_searched = found.searched
        self._deleted["versions"] += len(found.doomed)
        self._deleted["markers"] += len(found.markers)

    def _delete_checkpoints(self, keys: list[str]) -> None:
        self._others.delete(keys)
        self._deleted["checkpoints"] += len(keys)

    # --- The end ------------------------------------------------------------------------------------------------------

    def _end(self, plan: Plan, *, resumed: bool) -> dict[str, Any]:
        """Search everything again, erase what comes first in time last, and write the receipt."""
        spec = self._spec
        searched = self._search_until_clean(sources=spec.gone_on is None)
        if spec.gone_on is not None:
            sources = [
                partition
                for partition, _ in partitions(self._plain, spec.tables[-1])
                if partition is not None and self._is_source(partition)
            ]
            if self._progress.stage != "changes":
                self._progress.write({**self._progress.content, "stage": "changes", "erased": self._erased})
            for partition in sources:
                self._erase_in(partition, plan.counted)
            searched = self._search_until_clean(sources=True)
        if self._versions == "searched":
            self._delete_versions()
            searched.strangers += [each for each in self._old_strangers if each not in searched.strangers]
        warn_of_mentions(searched, self._plain)
        receipt = receipt_of(
            spec,
            self._persons,
            self._erased,
            searched,
            started_at=self._started,
            ended_at=instant(self._clock.time()),
            continued=resumed,
            not_found=self._missing,
            deleted=dict(self._deleted),  # without the notes of this erasure, which go last
            versions=self._versions,
            old_versions_searched=self._old_searched,
        )
        if searched.strangers:
            self._receipt.write({**receipt, "stage": "incomplete"}, indent=2)
            raise ErasureIncompleteError(
                f"{count(len(searched.strangers), 'object')} that this package did not write still "
                f"{'holds' if len(searched.strangers) == 1 else 'hold'} a trace of someone who was to be forgotten, "
                f"such as {self._store.uri(searched.strangers[0])}. Nothing of others is touched: delete what "
                "is there, and clear the task. All else is erased."
            )
        self._receipt.write(receipt, indent=2)
        self._delete_notes()
        if self._versions == "searched":
            self._delete_versions()
        log.info("Erased %s; the receipt: %s.", count(receipt["rows_erased"], "row"), self._store.uri(spec.receipt))
        return summary_of(spec, self._plain, receipt, self._receipt.body)

    def _search_until_clean(self, *, sources: bool) -> Searched:
        """Look through every byte; erase what has landed meanwhile. Raises ContentionError."""
        for _ in range(ROUNDS):
            searched = self._last.search(self._erased, sources=sources)
            if searched.is_clean:
                return searched
            dirty = {key.rpartition("/")[0] + "/" for key in (*searched.rows, *searched.untrue)}
            for table in self._spec.tables:
                for partition, _objects in partitions(self._plain, table):
                    if partition is not None and partition.prefix in dirty:
                        self._erase_in(partition, {})
            self._delete_checkpoints([key for key in searched.rows if form_in_any(self._spec, key) is None])
        raise ContentionError(
            f"Contacts that were to be erased keep landing below {self._store.uri(self._spec.prefix)}. Erase them in "
            "Kore.ai first, let the tasks that read these lists end, and clear this task."
        )
