"""What an erasure notes for its next try, what it says beforehand, and its receipt: counts and keys, and no person."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import secrets
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self, cast

from airflow_provider_kore import __version__
from airflow_provider_kore.erasure.names import SALT, Pseudonyms
from airflow_provider_kore.erasure.search import MOST_NOTED
from airflow_provider_kore.erasure.worker import Known
from airflow_provider_kore.exceptions import ContentionError, CorruptSnapshotError
from airflow_provider_kore.quoting import count
from airflow_provider_kore.snapshot.rivals import instant
from airflow_provider_kore.store.capabilities import left_probes
from airflow_provider_kore.store.store import ABSENT, Condition, ConditionFailed, read_at_most

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_kore.erasure.persons import Persons
    from airflow_provider_kore.erasure.plan import Plan
    from airflow_provider_kore.erasure.search import Searched
    from airflow_provider_kore.erasure.spec import ErasureSpec
    from airflow_provider_kore.erasure.work import Work
    from airflow_provider_kore.store.store import ObjectStore

log = logging.getLogger(__name__)

VERSION: Final = 1
MOST_NOTES: Final = 100
"""Of erasures that were cut off, that are looked at."""
MOST_SHOWN: Final = 1_000
"""Objects that are named in an XCom; the receipt names all."""


class Notes:
    """One of them. Every write replaces just what was read, so that of two processes one goes on."""

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store = store
        self._key = key
        self._condition = ABSENT
        self._body = b""
        self.content: dict[str, Any] = {}

    def read(self) -> Self:
        """Read what an earlier try has noted; what another version has counts as nothing.

        Raises CorruptSnapshotError where something else lies there, which is nothing to be replaced.
        """
        found = self._store.head(self._key)
        opened = self._store.get(self._key) if found is not None else None
        if found is None or opened is None:
            return self
        with opened as stream:
            body = read_at_most(stream, MOST_NOTED)
        self._condition, self._body = Condition(etag=found.etag), body
        try:
            content = json.loads(body)
            if content["schema_version"] == VERSION:
                self.content = content
                _ = self.stage != "done" or content["searched"]["mentions"]
                _ = content["erasure"], self.salt, self.learned, self.erased, self.counted, self.deleted, self.missing
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise CorruptSnapshotError(
                f"{self._store.uri(self._key)} is not what an erasure has noted. Find out what else writes there, and "
                "move it away; then erase."
            ) from None
        return self

    @property
    def key(self) -> str:
        """Where it is."""
        return self._key

    @property
    def stage(self) -> str:
        """``""``, ``erasing``, ``changes`` (they come last, and all else is done), ``incomplete`` or ``done``."""
        return str(self.content.get("stage") or "")

    @property
    def salt(self) -> bytes:
        """Of the pseudonyms."""
        return bytes.fromhex(self.content.get("salt", ""))

    @property
    def learned(self) -> dict[bytes, bytes]:
        """Pseudonyms of ids that only a phone number told, by the salt that they were made with."""
        told = self.content.get("learned", {})
        return {bytes.fromhex(salt): base64.b64decode(kept) for salt, kept in told.items()}

    @property
    def erased(self) -> Counter[str]:
        """Rows by the key of each object, in all tries."""
        return Counter({str(key): int(rows) for key, rows in self.content.get("erased", {}).items()})

    @property
    def counted(self) -> dict[str, Known]:
        """What was counted of each object."""
        told = self.content.get("counted", {})
        return {str(key): Known(str(etag), int(erased), int(size)) for key, (etag, erased, size) in told.items()}

    @property
    def deleted(self) -> Counter[str]:
        """How much was deleted, by its kind, in all tries."""
        return Counter({str(kind): int(number) for kind, number in self.content.get("deleted", {}).items()})

    @property
    def missing(self) -> int:
        """How many entries were nowhere."""
        return int(self.content.get("not_found", 0))

    def write(self, content: Mapping[str, Any], *, indent: int | None = None) -> None:
        """Replace what was noted. Raises ContentionError if another process did so meanwhile."""
        body = (json.dumps({"schema_version": VERSION, **content}, indent=indent) + "\n").encode()
        try:
            stored = self._store.put(self._key, body, content_type="application/json", condition=self._condition)
        except ConditionFailed as failed:
            found = self._store.head(self._key) if failed.in_doubt else None
            if found is None or not self._holds(body):
                raise ContentionError(
                    f"{self._store.uri(self._key)} was written by another process of this task meanwhile. Let one "
                    "erase alone; the next try continues where they are."
                ) from None
            stored = found
        self._condition = Condition(etag=stored.etag)
        self.content = json.loads(body)
        self._body = body

    @property
    def body(self) -> bytes:
        """What was read, or written last."""
        return self._body

    def _holds(self, body: bytes) -> bool:
        opened = self._store.get(self._key)
        if opened is None:
            return False
        with opened as stream:
            return read_at_most(stream, MOST_NOTED) == body


class Progress:
    """What all tries of an erasure have come to so far, and what of it the next one is told."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._notes = Notes(work.store, work.spec.notes)
        self._continued: list[str] = []
        """Keys of what runs before this one have noted, and left to this one."""
        self._learned: dict[bytes, bytes] = {}
        self.stage = "erasing"
        self.started = instant(work.clock.time())
        self.counted: dict[str, Known] = {}
        self.erased: Counter[str] = Counter()
        self.deleted: Counter[str] = Counter()
        self.missing = 0

    def read(self) -> None:
        """Read what this run has noted. Raises CorruptSnapshotError."""
        self._notes.read()

    def resume(self) -> bool:
        """Take up what earlier tries have noted that were told the same, and say whether there were any.

        A run's own, and those of runs that were cut off and given up: a Clear and a new run continue them, all of
        them, for each may have learned what no other knows.
        """
        given = self._work.persons.fingerprint
        noted = [self._notes, *self._unfinished()] if self._notes.stage else self._unfinished()
        same = [each for each in noted if Pseudonyms(given, each.salt).check == each.content.get("check")]
        for each in same:
            self._continued += [each.key] if each is not self._notes else []
            self.stage = "changes" if "changes" in (self.stage, each.stage) else "erasing"
            self.started = min(self.started, str(each.content.get("started_at") or self.started))
            self.counted |= each.counted
            self.erased |= each.erased  # of each the most
            self.deleted |= each.deleted
            self.missing = max(self.missing, each.missing)
            for salt, kept in each.learned.items():
                self._learned[salt] = self._learned.get(salt, b"") + kept
        salt = next(iter(self._learned), same[0].salt if same else secrets.token_bytes(SALT))
        self._work.persons.pseudonyms = Pseudonyms(given, salt)
        self._work.persons.earlier = [
            (Pseudonyms(given, salt), Pseudonyms.all_of(kept)) for salt, kept in self._learned.items()
        ]
        if same:
            log.info("An earlier try has begun to erase the same; it is continued.")
        return bool(same)

    def _unfinished(self) -> Iterator[Notes]:
        """Yield what other runs have noted that looked through the same places."""
        for found in islice(self._work.store.list(self._work.spec.unfinished), MOST_NOTES):
            try:
                other = Notes(self._work.store, found.key).read()
            except CorruptSnapshotError:
                continue
            if other.stage and other.key != self._notes.key and other.content.get("scope") == self._work.spec.scope:
                yield other

    def forget(self) -> None:
        """Delete what was noted."""
        if self._notes.stage:
            self._delete([self._notes.key])

    def _delete(self, noted: list[str]) -> None:
        """Delete notes, and what a killed try has left of trying the store."""
        store = self._work.store
        places = [f"{key.removesuffix('.json')}/" for key in noted]
        probes = [key for place in places for key in left_probes(store, place)]
        store.delete([*probes, *noted])

    def take_down(self, plan: Plan) -> None:
        """Note what the next try needs, before the first object is changed."""
        for key, each in plan.rewritten.items():
            if key not in self.counted or self.counted[key].etag != each.etag:
                self.erased[key] += each.erased
        self.counted = plan.counted
        self.save()

    def save(self) -> None:
        """Note it, in the place of what it continues. Raises ContentionError."""
        pseudonyms = cast("Pseudonyms", self._work.persons.pseudonyms)
        own = self._learned.get(pseudonyms.salt, b"") + self._work.persons.noted
        self._notes.write(
            {
                "stage": self.stage,
                "erasure": self._work.spec.name,
                "scope": self._work.spec.scope,
                "started_at": self.started,
                "salt": pseudonyms.salt.hex(),
                "check": pseudonyms.check,
                "learned": {
                    salt.hex(): base64.b64encode(kept).decode()
                    for salt, kept in (self._learned | {pseudonyms.salt: own}).items()
                },
                "counted": {key: [each.etag, each.erased, each.size] for key, each in self.counted.items()},
                "erased": self.erased,
                "deleted": self.deleted,
                "not_found": self.missing,
            }
        )
        if self._continued:  # all that they say is said here now
            self._delete(self._continued)
            self._continued = []


def told_beforehand(
    spec: ErasureSpec, persons: Persons, plan: Plan, *, versions: str, missing: int, holding: list[str]
) -> dict[str, Any]:
    """Return what an erasure would do and cost.

    :param versions: what is done about older versions, in words.
    :param missing: how many entries are nowhere.
    :param holding: keys of objects of others that hold a trace of someone.
    """
    objects = [{"key": key, "rows": each.erased, "bytes": each.size} for key, each in plan.rewritten.items()]
    return {
        "plan_only": True,
        "erasure": spec.name,
        "given": _of(persons),
        "not_found": missing,
        "hidden": len(plan.hidden),
        "rows": plan.rows,
        "objects": objects[:MOST_SHOWN],
        "checkpoints": len(plan.checkpoints),
        "old_versions": len(plan.old.doomed),
        "versions": versions,
        "strangers": plan.strangers[:MOST_SHOWN],
        "strangers_with_traces": holding[:MOST_SHOWN],
        "cost": plan.cost,
    }


def receipt_of(
    spec: ErasureSpec, persons: Persons, erased: Mapping[str, int], searched: Searched, **said: Any
) -> dict[str, Any]:
    """Return the receipt.

    :param erased: rows by the key of each object that was rewritten.
    :param said: what only the run knows.
    """
    run = spec.run
    rows = {key: each for key, each in sorted(erased.items()) if each}
    return {
        "stage": "done",
        "complete": not searched.strangers,
        "erasure": spec.name,
        "provider_version": __version__,
        "run": {"dag_id": run.dag_id, "run_id": run.run_id, "task_id": run.task_id, "map_index": run.map_index},
        "given": _of(persons),
        "rows_erased": sum(rows.values()),
        "objects": [
            {"key": key, "rows_erased": each, "sha256": searched.digests.get(key)} for key, each in rows.items()
        ],
        **said,
        "searched": {
            "objects": searched.objects,
            "bytes": searched.size,
            "prefixes": list(spec.prefixes),
            "rows_left": sum(searched.rows.values()),
            "mentions": searched.mentions,
            "strangers_with_traces": searched.strangers,
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


def warn_of_mentions(searched: Searched, store: ObjectStore) -> None:
    """Say where somebody else's row still names someone."""
    if searched.mentions:
        log.warning(
            "%s still %s an id or a number of someone who was forgotten, in a row of another contact or under a name "
            "that phone_fields does not have; such as %s.",
            count(len(searched.mentions), "file"),
            "names" if len(searched.mentions) == 1 else "name",
            store.uri(searched.mentions[0]),
        )


def _of(persons: Persons) -> dict[str, int]:
    return {"ids": len(persons.ids), "phone_numbers": len(persons.phones)}
