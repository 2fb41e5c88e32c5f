"""What an erasure notes for its next try, what it says beforehand, and its receipt: counts and keys, and no person."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore import __version__
from airflow_provider_kore.erasure.look import MOST_NOTED
from airflow_provider_kore.erasure.names import SALT, Pseudonyms
from airflow_provider_kore.erasure.work import Known
from airflow_provider_kore.exceptions import ContentionError, CorruptSnapshotError
from airflow_provider_kore.quoting import count
from airflow_provider_kore.snapshot.rivals import instant
from airflow_provider_kore.store.capabilities import left_probes
from airflow_provider_kore.store.store import ABSENT, Condition, ConditionFailed, read_at_most

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_kore.erasure.spec import ErasureSpec
    from airflow_provider_kore.erasure.survey import Survey
    from airflow_provider_kore.erasure.work import Work
    from airflow_provider_kore.store.store import ObjectStore

log = logging.getLogger(__name__)

VERSION: Final = 1
MOST_SHOWN: Final = 1_000
"""Objects that are named in an XCom; the receipt names all."""
DELETED: Final = ("checkpoints", "versions", "markers", "uploads")


class Notes:
    """A JSON object of an erasure. Every write replaces just what was read, so that of two processes one goes on.

    Reading it raises CorruptSnapshotError where something else lies there, which is nothing to be replaced.
    """

    def __init__(self, store: ObjectStore, key: str) -> None:
        self.key = key
        self.content: dict[str, Any] = {}
        """Empty where there is none; what another version has noted counts as none."""
        self.salt = b""
        """Of the pseudonyms in it."""
        self.body = b""
        """What was read, or written last."""
        self._store = store
        self._condition = ABSENT
        found = store.head(key)
        body = self._stored() if found is not None else None
        if found is None or body is None:
            return
        self._condition, self.body = Condition(etag=found.etag), body
        try:
            content = json.loads(body)
            if content["schema_version"] == VERSION:
                _ = content["erasure"], content.get("stage") != "done" or content["searched"]["mentions"]
                self.salt, self.content = bytes.fromhex(content.get("salt", "")), content
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise CorruptSnapshotError(
                f"{store.uri(key)} is not what an erasure has noted. Find out what else writes there, and move it "
                "away; then erase."
            ) from None

    def write(self, content: Mapping[str, Any], *, indent: int | None = None) -> None:
        """Replace what was noted. Raises ContentionError if another process did so meanwhile."""
        body = (json.dumps({"schema_version": VERSION, **content}, indent=indent) + "\n").encode()
        try:
            stored = self._store.put(self.key, body, content_type="application/json", condition=self._condition)
        except ConditionFailed as failed:
            found = self._store.head(self.key) if failed.in_doubt else None
            if found is None or self._stored() != body:
                raise ContentionError(
                    f"{self._store.uri(self.key)} was written by another process of this task meanwhile. Let one "
                    "erase alone; the next try continues where they are."
                ) from None
            stored = found
        self._condition = Condition(etag=stored.etag)
        self.content = json.loads(body)
        self.body = body

    def _stored(self) -> bytes | None:
        opened = self._store.get(self.key)
        if opened is None:
            return None
        with opened as stream:
            return read_at_most(stream, MOST_NOTED)


class Progress:
    """What all tries of an erasure have come to so far, and what of it the next one is told.

    The next one is its retry, or a run that takes it over.
    """

    def __init__(self, work: Work) -> None:
        """Read what this run has noted. Raises CorruptSnapshotError."""
        self._work = work
        self._notes = Notes(work.store, work.spec.notes)
        self._continued: list[str] = []
        """Keys of what runs before this one have noted, and left to this one."""
        self._learned: dict[str, str] = {}
        """Pseudonyms of ids that only a phone number told, by the salt that they were made with; both in hex."""
        self.started = instant(work.clock.time())
        self.counted: dict[str, Known] = {}
        """What is known of each published file."""
        self.erased: Counter[str] = Counter()
        """Rows by the key of each file."""
        self.deleted: Counter[str] = Counter()
        """How much was deleted, by its kind."""
        self.missing = 0
        """How many entries were nowhere."""

    def resume(self) -> bool:
        """Take up what earlier tries have noted that were told the same, and say whether there were any.

        A run's own, and those of runs that were cut off and given up: a Clear and a new run continue them, all of
        them, for each may have learned what no other knows.
        """
        persons, given = self._work.persons, self._work.persons.fingerprint
        noted = [each for each in (self._notes, *self._unfinished()) if each.content]
        same = [each for each in noted if Pseudonyms(given, each.salt).check == each.content.get("check")]
        for each in same:  # whoever names no one does not know what to write as the check
            told = each.content
            self.started = min(self.started, told["started_at"])
            self._learned |= told["learned"]
            self.counted |= {key: Known(*known) for key, known in told["counted"].items()}
            self.erased |= Counter(told["erased"])  # of each the most
            self.deleted |= Counter(told["deleted"])
            self.missing = max(self.missing, told["not_found"])
        self._continued = [each.key for each in same if each is not self._notes]
        self._own = persons.pseudonyms = Pseudonyms(given, secrets.token_bytes(SALT))
        learned = ((bytes.fromhex(salt), bytes.fromhex(kept)) for salt, kept in self._learned.items())
        persons.earlier = [Pseudonyms(given, salt, kept) for salt, kept in learned]
        if same:
            log.info("An earlier try has begun to erase the same; it is continued.")
        return bool(same)

    def _unfinished(self) -> Iterator[Notes]:
        """Yield what other runs have noted that looked through the same places."""
        for found in self._work.store.list(self._work.spec.unfinished):
            with suppress(CorruptSnapshotError):
                other = Notes(self._work.store, found.key)
                if other.key != self._notes.key and other.content.get("scope") == self._work.spec.scope:
                    yield other

    def take_down(self, found: Survey) -> None:
        """Note what the next try needs, before an object is changed."""
        for key, each in found.rewritten.items():
            if key not in self.counted or self.counted[key].etag != each.etag:
                self.erased[key] += each.erased
        self.counted = found.files
        self.save()

    def settle(self, planned: Mapping[str, Known], went: Mapping[str, int]) -> None:
        """Count what went from a partition, where that is not what was noted beforehand."""
        for key, known in planned.items():
            if went.get(key, 0) != known.erased:
                self.erased[key] += went.get(key, 0) - known.erased
                self.counted.pop(key, None)  # so that it counts when it is found again

    def save(self) -> None:
        """Note it, in the place of what it continues. Raises ContentionError."""
        salt = self._own.salt.hex()
        self._notes.write(
            {
                "erasure": self._work.spec.name,
                "scope": self._work.spec.scope,
                "salt": salt,
                "check": self._own.check,
                "started_at": self.started,
                "learned": self._learned | {salt: self._own.kept.hex()},
                "counted": self.counted,
                "erased": self.erased,
                "deleted": self.deleted,
                "not_found": self.missing,
            }
        )
        self._delete(self._continued)  # all that they say is said here now
        self._continued = []

    def forget(self) -> None:
        """Delete what was noted."""
        self._delete([self._notes.key] if self._notes.content else [])

    def _delete(self, noted: list[str]) -> None:
        """Delete notes, and what a killed try has left of trying the store."""
        store = self._work.store
        probes = [key for each in noted for key in left_probes(store, f"{each.removesuffix('.json')}/")]
        if noted:
            store.delete([*probes, *noted])


def told_beforehand(work: Work, plan: Survey, missing: int) -> dict[str, Any]:
    """Say what an erasure would do and cost.

    :param missing: how many entries are nowhere.
    """
    log.info("Nothing was changed (plan_only): %s would go. %s", count(plan.rows, "row"), json.dumps(plan.cost))
    if missing:
        log.warning("%s of what was given can be found nowhere.", f"{missing:,}")
    for each in plan.hidden[:5]:
        log.warning("Phone numbers cannot be found in %s.", each)
    objects = [{"key": key, "rows": each.erased, "bytes": each.size} for key, each in plan.rewritten.items()]
    return {
        "plan_only": True,
        "erasure": work.spec.name,
        "given": _given(work),
        "not_found": missing,
        "hidden": len(plan.hidden),
        "rows": plan.rows,
        "objects": objects[:MOST_SHOWN],
        "checkpoints": len(plan.checkpoints),
        "old_versions": len(plan.old.doomed),
        "strangers": plan.others[:MOST_SHOWN],
        "strangers_with_traces": plan.strangers[:MOST_SHOWN],
        "cost": plan.cost,
    }


def receipt_of(work: Work, progress: Progress, searched: Survey) -> dict[str, Any]:
    """Return the receipt.

    :param searched: the last survey.
    """
    run = work.spec.run
    rows = {key: each for key, each in sorted(progress.erased.items()) if each}
    digests = {key: each.sha256 for key, each in searched.files.items()}
    strangers = list(dict.fromkeys([*searched.strangers, *searched.old.strangers]))
    mentions = list(dict.fromkeys([*searched.mentions, *searched.old.mentions]))
    return {
        "stage": "incomplete" if strangers else "done",
        "complete": not strangers,
        "erasure": work.spec.name,
        "provider_version": __version__,
        "run": {"dag_id": run.dag_id, "run_id": run.run_id, "task_id": run.task_id, "map_index": run.map_index},
        "given": _given(work),
        "rows_erased": sum(rows.values()),
        "objects": [{"key": key, "rows_erased": each, "sha256": digests.get(key)} for key, each in rows.items()],
        "started_at": progress.started,
        "ended_at": instant(work.clock.time()),
        "not_found": progress.missing,
        "deleted": {kind: progress.deleted[kind] for kind in DELETED},
        "old_versions_searched": searched.old.searched,
        "searched": {
            "objects": searched.objects,
            "bytes": searched.size,
            "prefixes": list(work.spec.prefixes),
            "rows_left": searched.rows,
            "mentions": mentions,
            "strangers_with_traces": strangers,
        },
    }


def summary_of(spec: ErasureSpec, store: ObjectStore, receipt: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    """Return the XCom: the receipt, with no more objects than are worth looking at, and where all of it is.

    :param body: the receipt as it is stored.
    """
    searched = dict(receipt["searched"])
    for name in ("mentions", "strangers_with_traces"):
        searched[name] = searched[name][:MOST_SHOWN]
    return {
        **{name: value for name, value in receipt.items() if name not in {"schema_version", "stage"}},
        "objects": list(receipt["objects"])[:MOST_SHOWN],
        "searched": searched,
        "plan_only": False,
        "bucket": store.bucket,
        "receipt_key": spec.receipt,
        "receipt_sha256": hashlib.sha256(body).hexdigest(),
    }


def _given(work: Work) -> dict[str, int]:
    return {"ids": len(work.persons.ids), "phone_numbers": len(work.persons.phones)}
