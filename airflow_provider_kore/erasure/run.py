"""Forget people: plan, erase, search again, and say so in a receipt.

Nothing is asked of Kore.ai, which has to forget them first: a walk that is under way, and any later one, lands whom it
is shown.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.erasure.look import partition_of, partitions
from airflow_provider_kore.erasure.names import encoded
from airflow_provider_kore.erasure.notes import (
    Notes,
    Progress,
    receipt_of,
    summary_of,
    told_beforehand,
    warn_of_mentions,
)
from airflow_provider_kore.erasure.others import (
    OldVersions,
    Versions,
    abort_uploads,
    check_conditions,
    check_locks,
    delete_checkpoints,
    try_to_write,
)
from airflow_provider_kore.erasure.persons import Persons, hashed
from airflow_provider_kore.erasure.plan import Plan, check_found, check_hidden, gone_ids, plan_of
from airflow_provider_kore.erasure.search import Searched, look, search
from airflow_provider_kore.erasure.work import Work
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
    from collections.abc import Iterable

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.erasure.given import Given
    from airflow_provider_kore.erasure.look import Partition
    from airflow_provider_kore.erasure.spec import ErasureSpec
    from airflow_provider_kore.erasure.worker import Known
    from airflow_provider_kore.snapshot.fields import FieldPolicies
    from airflow_provider_kore.store.versions import VersionedStore

log = logging.getLogger(__name__)

DELETED: Final = ("checkpoints", "versions", "markers", "uploads")

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
    work = Work(
        spec=spec,
        store=PatientVersionedStore(store, waiting, stop),
        persons=Persons(fields=frozenset(spec.phone_fields)),
        policies=policies,
        stop=stop,
        clock=waiting,
        teller=teller or Teller(),
    )
    return _Erasure(work, given).run()


class _Erasure:
    def __init__(self, work: Work, given: Iterable[Given]) -> None:
        self._work, self._given = work, given
        self._spec, self._store, self._persons = work.spec, work.store, work.persons
        self._worker = Worker(work)
        self._versions = Versions(work) if work.spec.versions else None
        self._old = OldVersions()
        """What was found of older versions last."""
        self._progress = Progress(work)
        self._receipt = Notes(work.store, work.spec.receipt)

    def run(self) -> dict[str, Any]:
        spec = self._spec
        self._progress.read()
        self._receipt.read()
        if self._receipt.stage == "done" and spec.generation is not None and not spec.plan_only:
            log.info("This run has erased already: %s.", self._store.uri(spec.receipt))
            self._progress.forget()
            return summary_of(spec, self._store, self._receipt.content, self._receipt.body)
        self._take_given()
        resumed = self._progress.resume()
        if spec.gone_on is not None:
            for identifier in gone_ids(self._work, self._worker):
                self._persons.add_id(identifier)
        versions = self._of_versions()
        if self._progress.stage == "changes" and not spec.plan_only:
            return self._end(versions, resumed=True)
        with self._work.teller.phase("looking for what is to be erased"):
            plan = plan_of(self._work, self._worker, self._versions, self._progress.counted)
        missing = [] if resumed else self._not_found()
        if spec.plan_only:
            return self._tell(plan, versions, missing)
        if not resumed:
            self._progress.missing = len(missing)
            if spec.on_missing == "fail":
                check_hidden(plan)
                check_found(missing, len(self._persons))
        check_conditions(self._work)
        check_locks(self._work, plan.old, "Nothing was changed.")
        own = list(self._progress.erased)
        self._progress.take_down(plan)
        self._progress.deleted["uploads"] += abort_uploads(self._work, own)
        try_to_write(self._work, plan.rewritten)
        self._log_plan(plan)
        self._erase(plan)
        return self._end(versions, resumed=resumed)

    # --- Whom ---------------------------------------------------------------------------------------------------------

    def _take_given(self) -> None:
        key = self._work.key
        for each in self._given:
            if each.kind == "id":
                self._persons.add_id(each.value)
            else:
                self._persons.add_phone(each.value, key)
        if not len(self._persons) and self._spec.gone_on is None:
            raise ParameterError(
                "erasure_list",
                "names no one, and neither do contact_ids, phone_numbers and gone_on",
                "say who is to be forgotten",
            )

    def _not_found(self) -> list[int]:
        """Return the numbers of the entries that are nowhere."""
        found, key = self._persons.found, self._work.key

        def is_there(each: Given) -> bool:
            return encoded(each.value) in found or (
                each.kind == "phone" and key is not None and hashed(each.value, key) in found
            )

        return [each.number for each in self._given if not is_there(each)]

    # --- Before anything is changed -----------------------------------------------------------------------------------

    def _of_versions(self) -> str:
        """Return what is done about older versions, in words."""
        kept = self._store.keeps_versions()
        if self._versions is not None and kept is not False:
            return "searched"
        self._versions = None
        if kept:
            log.warning(
                "Bucket %s keeps older versions of objects, and versions is False: what is erased stays in them.",
                self._store.bucket,
            )
        return {True: "kept, not searched", False: "none", None: "not known"}[kept]

    def _tell(self, plan: Plan, versions: str, missing: list[int]) -> dict[str, Any]:
        """Say what would be done."""
        log.info("Nothing was changed (plan_only): %s would go. %s", count(plan.rows, "row"), json.dumps(plan.cost))
        if missing:
            log.warning("%s of what was given can be found nowhere.", f"{len(missing):,}")
        for each in plan.hidden[:5]:
            log.warning("Phone numbers cannot be found in %s.", each)
        holding = [key for key in plan.strangers if self._has_traces(key)]
        return told_beforehand(
            self._spec, self._persons, plan, versions=versions, missing=len(missing), holding=holding
        )

    def _has_traces(self, key: str) -> bool:
        opened = self._store.get(key)
        return opened is not None and look(self._work, opened, None).traces > 0

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

    def _erase(self, plan: Plan) -> None:
        if self._versions is not None:
            self._delete_versions(plan.old)
            if plan.old.doomed:
                self._progress.save()
        with self._work.teller.phase("erasing", "partitions", len(plan.work)) as phase:
            for number, partition in enumerate(plan.work.values()):
                phase.reached(number)
                if not self._spec.tells(partition.manifest):
                    self._erase_in(partition, self._progress.counted)
        self._delete_checkpoints(list(plan.checkpoints))

    def _erase_in(self, partition: Partition, known: dict[str, Known]) -> None:
        for key, rows in self._worker.erase(partition, known).items():
            planned = known[key].erased if key in known else 0
            if rows > planned:
                self._progress.erased[key] += rows - planned

    def _delete_versions(self, found: OldVersions) -> None:
        check_locks(self._work, found, "They are of what has landed meanwhile; all else is erased.")
        cast("Versions", self._versions).delete(found)
        self._old = found
        for kind, versions in (("versions", found.doomed), ("markers", found.markers)):
            told = [each for each in versions if not each.key.startswith(self._spec.unfinished)]
            self._progress.deleted[kind] += len(told)  # its notes hold no one

    def _delete_checkpoints(self, keys: list[str]) -> None:
        delete_checkpoints(self._work, keys)
        self._progress.deleted["checkpoints"] += len(keys)
        if keys:
            self._progress.save()

    # --- The end ------------------------------------------------------------------------------------------------------

    def _end(self, versions: str, *, resumed: bool) -> dict[str, Any]:
        """Search everything again, erase what comes first in time last, and write the receipt."""
        spec = self._spec
        searched = self._search_until_clean(sources=spec.gone_on is None)
        if spec.gone_on is not None:
            self._progress.stage = "changes"
            self._progress.save()
            for partition, _ in partitions(self._store, spec.tables[-1]):
                if partition is not None and spec.tells(partition.manifest):
                    self._erase_in(partition, self._progress.counted)
            searched = self._search_until_clean(sources=True)
        searched.strangers = list(dict.fromkeys([*searched.strangers, *self._old.strangers]))
        searched.mentions = list(dict.fromkeys([*searched.mentions, *self._old.mentions]))
        warn_of_mentions(searched, self._store)
        receipt = receipt_of(
            spec,
            self._persons,
            self._progress.erased,
            searched,
            started_at=self._progress.started,
            ended_at=instant(self._work.clock.time()),
            continued=resumed,
            not_found=self._progress.missing,
            deleted={kind: self._progress.deleted[kind] for kind in DELETED},
            versions=versions,
            old_versions_searched=self._old.searched,
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
        self._progress.forget()
        if self._versions is not None:
            self._delete_versions(self._versions.find())
        log.info("Erased %s; the receipt: %s.", count(receipt["rows_erased"], "row"), self._store.uri(spec.receipt))
        return summary_of(spec, self._store, receipt, self._receipt.body)

    def _search_until_clean(self, *, sources: bool) -> Searched:
        """Look through every byte; erase what has landed meanwhile. Raises ContentionError."""
        for _ in range(ROUNDS):
            learned = len(self._persons.learned)
            if self._versions is not None:
                self._delete_versions(self._versions.find())
            searched = search(self._work, self._progress.erased, sources=sources)
            if searched.is_clean and learned == len(self._persons.learned):
                return searched
            tables = self._spec.tables
            found = (partition_of(table, key) for key in (*searched.rows, *searched.untrue) for table in tables)
            dirty = dict.fromkeys(each for each in found if each is not None)
            for partition in dirty:
                self._worker.count(partition, [], {})  # learns from it
            self._progress.save()
            for partition in dirty:
                self._erase_in(partition, {})
            self._delete_checkpoints(searched.checkpoints)
        raise ContentionError(
            f"Contacts that were to be erased keep landing below {self._store.uri(self._spec.prefix)}. Erase them in "
            "Kore.ai first, let the tasks that read these lists end, and clear this task."
        )
