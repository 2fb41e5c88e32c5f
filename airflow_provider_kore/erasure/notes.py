"""What an erasure notes for its next try, what it says beforehand, and its receipt: counts and keys, and no person."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_provider_kore import __version__
from airflow_provider_kore.erasure.search import MOST_NOTED
from airflow_provider_kore.erasure.worker import Known
from airflow_provider_kore.exceptions import ContentionError, CorruptSnapshotError
from airflow_provider_kore.quoting import count
from airflow_provider_kore.store.store import ABSENT, Condition, ConditionFailed, read_at_most

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.erasure.persons import Persons
    from airflow_provider_kore.erasure.plan import Plan
    from airflow_provider_kore.erasure.search import Searched
    from airflow_provider_kore.erasure.spec import ErasureSpec
    from airflow_provider_kore.store.store import ObjectStore

log = logging.getLogger(__name__)

VERSION: Final = 1
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
