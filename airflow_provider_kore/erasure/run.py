"""Forget people: survey, erase, survey again until nothing is left, and say so in a receipt.

Nothing is asked of Kore.ai, which has to forget them first: a walk that is under way, and any later one, lands whom it
is shown.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.erasure.notes import Notes, Progress, receipt_of, summary_of, told_beforehand
from airflow_provider_kore.erasure.others import Versions, abort_uploads
from airflow_provider_kore.erasure.persons import Persons
from airflow_provider_kore.erasure.refusals import (
    check_anyone,
    check_conditions,
    check_places,
    check_whom,
    check_writing,
)
from airflow_provider_kore.erasure.rewrite import rewrite
from airflow_provider_kore.erasure.survey import Survey, survey
from airflow_provider_kore.erasure.work import Work
from airflow_provider_kore.exceptions import ContentionError, ErasureIncompleteError
from airflow_provider_kore.quoting import count
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.stop import Stop, StoppableClock
from airflow_provider_kore.store.versions import PatientVersionedStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.erasure.given import Given
    from airflow_provider_kore.erasure.others import OldVersions
    from airflow_provider_kore.erasure.spec import ErasureSpec
    from airflow_provider_kore.snapshot.fields import FieldPolicies
    from airflow_provider_kore.store.versions import VersionedStore

log = logging.getLogger(__name__)

ROUNDS: Final = 5
"""How often what was found is erased, and everything is searched again, because snapshots keep landing."""


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
        persons=Persons(fields=frozenset(spec.phone_fields), key=policies.key if policies is not None else None),
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
        self._progress = Progress(work)
        self._receipt = Notes(work.store, work.spec.receipt)

    def run(self) -> dict[str, Any]:
        work, spec = self._work, self._spec
        if self._receipt.content.get("stage") == "done" and spec.generation is not None and not spec.plan_only:
            log.info("This run has erased already: %s.", self._store.uri(spec.receipt))
            self._progress.forget()
            return summary_of(spec, self._store, self._receipt.content, self._receipt.body)
        # whom
        for each in self._given:
            self._persons.add(each)
        check_anyone(work)
        is_resumed = self._progress.resume()
        self._versions = Versions(work)
        for identifier in Survey(work).gone() if spec.gone_on is not None else ():
            self._persons.add_id(identifier)

        # what, and what forbids it
        found = survey(work, self._versions, self._progress.counted)
        missing = [] if is_resumed else [each.number for each in self._given if not self._persons.is_found(each)]
        check_places(work, found)
        if spec.plan_only:
            return told_beforehand(work, found, len(missing)) | {"versions": self._versions.said}
        if spec.on_missing == "fail":
            check_whom(work, found, missing)
        check_conditions(work)
        self._versions.check(found.old, "Nothing was changed.")

        # from here on the next try continues
        own = set(self._progress.erased)
        if not is_resumed:
            self._progress.missing = len(missing)
        self._progress.take_down(found)
        self._progress.deleted["uploads"] += abort_uploads(work, own)
        check_writing(work, found)
        for _ in range(ROUNDS):
            self._erase(found)
            found = survey(work, self._versions)
            if found.is_clean:
                return self._end(found, is_resumed=is_resumed)
            self._progress.take_down(found)
        raise ContentionError(
            f"Contacts that were to be erased keep landing below {self._store.uri(spec.prefix)}. Erase them in "
            "Kore.ai first, let the tasks that read these lists end, and clear this task."
        )

    def _erase(self, found: Survey) -> None:
        log.info(
            "Erasing %s from %s, %s and %s. %s",
            count(found.rows, "row"),
            count(len(found.rewritten), "file"),
            count(len(found.checkpoints), "checkpoint"),
            count(len(found.old.doomed), "old version"),
            json.dumps(found.cost),
        )
        self._delete_versions(found.old)  # first, for it may be refused
        if found.old.doomed:
            self._progress.save()
        todo = [each for each in found.work if not each.tells(self._spec)]
        if not (todo or found.checkpoints or found.old.doomed):
            todo = list(found.work)  # until nothing else is left, a retry has to be told who is gone
        with self._work.teller.phase("erasing", "partitions", len(todo)) as phase:
            for number, partition in enumerate(todo):
                phase.reached(number)
                planned = found.work[partition]
                self._progress.settle(planned, rewrite(self._work, partition, planned))
        self._store.delete(found.checkpoints)
        self._progress.deleted["checkpoints"] += len(found.checkpoints)
        self._delete_versions(self._versions.find())
        self._progress.save()

    def _delete_versions(self, found: OldVersions) -> None:
        self._versions.check(found, "They are of what has landed meanwhile; all else is erased.")
        self._progress.deleted["versions"] += self._versions.delete(found.doomed)
        self._progress.deleted["markers"] += self._versions.delete(found.markers)

    def _end(self, found: Survey, *, is_resumed: bool) -> dict[str, Any]:
        """Write the receipt. Raises ErasureIncompleteError."""
        if found.mentions:
            log.warning(
                "%s still %s an id or a number of someone who was forgotten, in a row of another contact or under a "
                "name that phone_fields does not have; such as %s.",
                count(len(found.mentions), "file"),
                "names" if len(found.mentions) == 1 else "name",
                self._store.uri(found.mentions[0]),
            )
        receipt = receipt_of(self._work, self._progress, found)
        receipt |= {"continued": is_resumed, "versions": self._versions.said}
        self._receipt.write(receipt, indent=2)
        if strangers := receipt["searched"]["strangers_with_traces"]:
            raise ErasureIncompleteError(
                f"{count(len(strangers), 'object')} that this package did not write still "
                f"{'holds' if len(strangers) == 1 else 'hold'} a trace of someone who was to be forgotten, "
                f"such as {self._store.uri(strangers[0])}. Nothing of others is touched: delete what "
                "is there, and clear the task. All else is erased."
            )
        self._progress.forget()
        self._versions.delete(self._versions.find().notes)
        log.info(
            "Erased %s; the receipt: %s.", count(receipt["rows_erased"], "row"), self._store.uri(self._spec.receipt)
        )
        return summary_of(self._spec, self._store, receipt, self._receipt.body)
