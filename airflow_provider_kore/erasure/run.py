"""Forget people: plan, erase, search again, and say so in a receipt.

Nothing is asked of Kore.ai, which has to forget them first: a walk that is under way, and any later one, lands whom it
is shown.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from airflow_provider_kore import __version__
from airflow_provider_kore.clock import SystemClock
from airflow_provider_kore.erasure.gone import gone_ids
from airflow_provider_kore.erasure.look import partitions
from airflow_provider_kore.erasure.names import Pseudonyms, encoded
from airflow_provider_kore.erasure.others import Others, form_in
from airflow_provider_kore.erasure.persons import Persons, hashed
from airflow_provider_kore.erasure.plan import Plan, Planner, check_found, check_hidden, whole
from airflow_provider_kore.erasure.progress import Progress
from airflow_provider_kore.erasure.search import Searcher
from airflow_provider_kore.erasure.worker import Worker
from airflow_provider_kore.exceptions import (
    ContentionError,
    ErasureIncompleteError,
    ParameterError,
    RequestRefusedError,
)
from airflow_provider_kore.quoting import count
from airflow_provider_kore.snapshot.layout import MANIFEST_NAME
from airflow_provider_kore.snapshot.manifest import MOST_BYTES, Manifest
from airflow_provider_kore.snapshot.phases import Teller
from airflow_provider_kore.snapshot.reading import is_erased_from
from airflow_provider_kore.snapshot.rivals import instant
from airflow_provider_kore.stop import Stop, StoppableClock
from airflow_provider_kore.store.capabilities import SWAP, honoured_by
from airflow_provider_kore.store.store import AccessRefused, CallUnsupported, read_at_most
from airflow_provider_kore.store.upload import abort_leftovers
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

ROUNDS: Final = 3
"""How often what the last search has found is erased, too, because snapshots keep landing."""

MOST_SHOWN: Final = 1_000
"""Objects that are named in an XCom; the receipt names all."""


@dataclass(slots=True, kw_only=True)
class _Searched:
    """What the last search has come to."""

    objects: int = 0
    size: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of persons that are still there, by key."""
    untrue: list[str] = field(default_factory=list)
    """Keys of files that are others than their manifest describes: another erasure was cut off, or goes on."""
    mentions: list[str] = field(default_factory=list)
    """Keys of published files in which one of them stands outside of a row of theirs."""
    strangers: list[str] = field(default_factory=list)
    """Keys of objects of others that hold a trace of one."""
    digests: dict[str, str] = field(default_factory=dict)
    """By the key of each object that was rewritten."""


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
        self._progress = Progress(self._plain, spec.receipt)
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
        if progress.stage == "done" and spec.generation is not None and not spec.plan_only:
            log.info("This run has erased already: %s.", self._store.uri(spec.receipt))
            return self._summary(progress.content)
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
            return self._told_beforehand(plan, missing)
        if not resumed and spec.on_missing == "fail":
            check_hidden(plan)
            check_found(missing, len(self._persons))
        self._check_possible(plan)
        self._note(plan, "erasing")
        self._abort_uploads(resumed=resumed)
        self._try_to_write(plan)
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

    def _check_possible(self, plan: Plan) -> None:
        """Refuse what would end half done. Raises ErasureIncompleteError, RequestRefusedError, StorePermissionError."""
        honoured = honoured_by(self._plain, f"{self._spec.receipt_prefix}/")
        if SWAP in honoured.ignored or not honoured.usable:
            raise RequestRefusedError(
                f"{self._store.uri(self._spec.prefix)}: the store does not honour conditional writes, so an erasure "
                "could overwrite a snapshot that lands meanwhile. Nothing was changed; docs/s3.md says "
                "which stores do."
            )
        if self._versions == "searched":
            old = plan.old
            self._others.check_locks([*((each.key, each.version_id) for each in old.doomed), *old.current.items()])

    def _try_to_write(self, plan: Plan) -> None:
        """Begin an upload to each list, and abort it: a refusal comes before anything is changed."""
        places = {key.rpartition("/snapshot_date=")[0]: key for key in plan.rewritten}
        for key in places.values():
            try:
                upload = self._store.create_upload(key, content_type="application/octet-stream")
            except CallUnsupported:
                return
            self._store.abort_upload(upload)

    def _abort_uploads(self, *, resumed: bool) -> None:
        """Abort uploads that dead tasks have left, for their parts may hold a contact, and those of an earlier try."""
        before = datetime.fromtimestamp(self._clock.time() - self._spec.staging_expiry, UTC)
        aborted = []
        try:
            for prefix in (prefix for table in self._spec.tables for prefix in table.prefixes):
                aborted += abort_leftovers(self._plain, prefix, self._is_published, started_before=before)
            for key in self._erased if resumed else ():
                aborted += abort_leftovers(self._plain, key, key.__eq__)
        except (AccessRefused, RequestRefusedError) as err:
            log.warning("Unfinished uploads of dead tasks are not looked for, and may hold contacts: %s", err)
        self._deleted["uploads"] += len(aborted)

    def _is_published(self, key: str) -> bool:
        return form_in_any(self._spec, key) is not None

    def _told_beforehand(self, plan: Plan, missing: list[int]) -> dict[str, Any]:
        holding = [key for key in plan.strangers if self._has_traces(key)]
        found = {
            "plan_only": True,
            "erasure": self._spec.name,
            "given": self._of_given(),
            "not_found": len(missing),
            "hidden": len(plan.hidden),
            "rows": plan.rows,
            "objects": [{"key": key, "rows": each.erased, "bytes": each.size} for key, each in plan.rewritten.items()][
                :MOST_SHOWN
            ],
            "checkpoints": len(plan.checkpoints),
            "old_versions": len(plan.old.doomed),
            "versions": self._versions,
            "strangers": plan.strangers[:MOST_SHOWN],
            "strangers_with_traces": holding[:MOST_SHOWN],
            "cost": plan.cost,
        }
        log.info("Nothing was changed (plan_only): %s would go. %s", count(plan.rows, "row"), json.dumps(plan.cost))
        if missing:
            log.warning("%s of what was given can be found nowhere.", f"{len(missing):,}")
        for each in plan.hidden[:5]:
            log.warning("Phone numbers cannot be found in %s.", each)
        return found

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
        receipt = self._receipt(searched, resumed=resumed)
        if searched.strangers:
            self._progress.write({**self._progress.content, "receipt": {**receipt, "complete": False}})
            raise ErasureIncompleteError(
                f"{count(len(searched.strangers), 'object')} that this package did not write still "
                f"{'holds' if len(searched.strangers) == 1 else 'hold'} a trace of someone who was to be forgotten, "
                f"such as {self._store.uri(searched.strangers[0])}. Nothing of others is touched: delete what "
                "is there, and clear the task. All else is erased."
            )
        self._progress.write(receipt, indent=2)
        if self._versions == "searched":
            self._delete_versions()
        log.info("Erased %s; the receipt: %s.", count(receipt["rows_erased"], "row"), self._store.uri(spec.receipt))
        return self._summary(receipt)

    def _search_until_clean(self, *, sources: bool) -> _Searched:
        """Look through every byte; erase what has landed meanwhile. Raises ContentionError."""
        for _ in range(ROUNDS):
            with self._teller.phase("searching everything again", "objects") as phase:
                searched = self._search(phase, sources=sources)
            if not searched.rows and not searched.untrue:
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

    def _search(self, phase: Any, *, sources: bool) -> _Searched:
        found = _Searched()
        doomed = dict(self._others.checkpoints())
        found.rows |= dict.fromkeys(doomed, 1)
        told: dict[str, str] = {}  # of one partition, whose manifest comes first
        for number, (key, _) in enumerate(whole(self._plain, self._spec)):
            self._stop.check()
            phase.reached(number)
            form = form_in_any(self._spec, key)
            if key == self._spec.receipt or (not sources and self._tells(key)):
                continue
            opened = self._store.get(key)
            if opened is None:
                continue
            if key.endswith(f"/{MANIFEST_NAME}"):
                told = self._told_by(key)
            what = self._searcher.look(opened, form)
            if told.get(key, what.sha256) != what.sha256:
                there = self._store.head(key)
                if there is not None and is_erased_from(there, told[key]):
                    found.untrue.append(key)
            found.objects += 1
            found.size += what.size
            if key in self._erased:
                found.digests[key] = what.sha256
            if what.rows:
                found.rows[key] = what.rows
            elif what.traces and key not in doomed:
                (found.mentions if form is not None or key.endswith(f"/{MANIFEST_NAME}") else found.strangers).append(
                    key
                )
        return found

    def _told_by(self, key: str) -> dict[str, str]:
        """Return the digests that a manifest says, by the keys of its files."""
        opened = self._store.get(key)
        if opened is None:
            return {}
        with opened as stream:
            manifest = Manifest.from_bytes(read_at_most(stream, MOST_BYTES), self._store.uri(key))
        return {file["key"]: file["sha256"] for file in manifest.files if file.get("sha256")}

    def _tells(self, key: str) -> bool:
        """Say whether a key lies in a partition that tells who is to be erased."""
        table = self._spec.tables[-1]
        start = f"{table.prefix}/" if table.prefix else ""
        return key.startswith(start) and f"/snapshot_date={self._spec.gone_on}/" in key

    def _of_given(self) -> dict[str, int]:
        return {"ids": len(self._persons.ids), "phone_numbers": len(self._persons.phones)}

    def _receipt(self, searched: _Searched, *, resumed: bool) -> dict[str, Any]:
        run = self._spec.run
        erased = {key: rows for key, rows in sorted(self._erased.items()) if rows}
        if searched.mentions:
            log.warning(
                "%s still %s an id or a number of someone who was forgotten, in a row of another contact or under a "
                "name that phone_fields does not have; such as %s.",
                count(len(searched.mentions), "file"),
                "names" if len(searched.mentions) == 1 else "name",
                self._store.uri(searched.mentions[0]),
            )
        return {
            "stage": "done",
            "complete": True,
            "erasure": self._spec.name,
            "provider_version": __version__,
            "run": {"dag_id": run.dag_id, "run_id": run.run_id, "task_id": run.task_id, "map_index": run.map_index},
            "started_at": self._started,
            "ended_at": instant(self._clock.time()),
            "continued": resumed,
            "given": self._of_given(),
            "not_found": self._missing,
            "rows_erased": sum(erased.values()),
            "objects": [
                {"key": key, "rows_erased": rows, "sha256": searched.digests.get(key)} for key, rows in erased.items()
            ],
            "deleted": dict(self._deleted),
            "versions": self._versions,
            "searched": {
                "objects": searched.objects,
                "bytes": searched.size,
                "old_versions": self._old_searched,
                "prefixes": [
                    *(prefix for table in self._spec.tables for prefix in table.prefixes),
                    *self._spec.staging_prefixes,
                    f"{self._spec.receipt_prefix}/",
                ],
                "rows_left": 0,
                "mentions": searched.mentions,
                "strangers_with_traces": searched.strangers,
            },
        }

    def _summary(self, receipt: Mapping[str, Any]) -> dict[str, Any]:
        """Return the XCom: the receipt, with no more objects than are worth looking at, and where all of it is."""
        body = self._progress.body
        searched = dict(receipt["searched"])
        for name in ("mentions", "strangers_with_traces"):
            searched[name] = searched[name][:MOST_SHOWN]
        return {
            **{name: value for name, value in receipt.items() if name not in {"schema_version", "stage"}},
            "objects": list(receipt["objects"])[:MOST_SHOWN],
            "searched": searched,
            "plan_only": False,
            "bucket": self._store.bucket,
            "receipt_key": self._spec.receipt,
            "receipt_sha256": hashlib.sha256(body).hexdigest(),
        }


def form_in_any(spec: ErasureSpec, key: str) -> tuple[str, str] | None:
    """Return format and compression of a published file of any of the tables; None of any other key."""
    return next((form for table in spec.tables if (form := form_in(table, key)) is not None), None)
