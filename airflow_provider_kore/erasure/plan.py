"""What an erasure will do, counted before anything is changed, and what it will cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.erasure.look import partitions
from airflow_provider_kore.erasure.others import OldVersions
from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.parameters import shown
from airflow_provider_kore.quoting import count, quoted

if TYPE_CHECKING:
    from airflow_provider_kore.erasure.look import Partition
    from airflow_provider_kore.erasure.others import Others
    from airflow_provider_kore.erasure.spec import ErasureSpec
    from airflow_provider_kore.erasure.worker import Known, Worker
    from airflow_provider_kore.store.store import ObjectStore

_SHOWN = 5
_PASSES = 3
_OF_A_FILE = 6
"""Requests that rewriting one takes: HEAD, tags, GET, PUT, HEAD, and a share of a listing."""
_OF_A_PARTITION = 5
"""Those of its manifest: listing, GET, HEAD, tags, PUT."""


@dataclass(slots=True, kw_only=True)
class Plan:
    """What was found."""

    counted: dict[str, Known] = field(default_factory=dict)
    """By the key of each file."""
    work: dict[str, Partition] = field(default_factory=dict)
    """Partitions in which something is to be done, by prefix."""
    strangers: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    """Why phone numbers cannot be found in which snapshots, in words."""
    checkpoints: dict[str, int] = field(default_factory=dict)
    """Bytes of those that hold a person, by key."""
    old: OldVersions = field(default_factory=OldVersions)
    listed: int = 0
    """Objects."""
    size: int = 0
    """Bytes of all objects."""
    values: set[str] = field(default_factory=set)
    """Ids of the lists and campaigns of which something was found."""

    @property
    def rows(self) -> int:
        """Rows to be erased."""
        return sum(each.erased for each in self.counted.values())

    @property
    def rewritten(self) -> dict[str, Known]:
        """The files that are to be rewritten, by key."""
        return {key: each for key, each in self.counted.items() if each.erased}

    @property
    def cost(self) -> dict[str, int]:
        """What erasing will read, write and delete; all that lies there is searched again at the end."""
        files = self.rewritten
        written = sum(each.size for each in files.values())
        deleted = len(self.checkpoints) + len(self.old.doomed) + len(self.old.markers)
        partitions = len(self.work)
        return {
            "objects_to_rewrite": len(files) + partitions,
            "bytes_to_read": written + self.size + self.old.size,
            "bytes_to_write": written,
            "objects_to_delete": deleted,
            "requests": _OF_A_FILE * len(files)
            + _OF_A_PARTITION * partitions
            + 2 * deleted
            + self.listed
            + self.old.searched
            + self.listed // 1_000,
        }


class Planner:
    """Counts."""

    def __init__(
        self, spec: ErasureSpec, store: ObjectStore, worker: Worker, others: Others, *, versions: bool
    ) -> None:
        self._spec = spec
        self._store = store
        self._worker = worker
        self._others = others
        self._versions = versions

    def plan(self, known: dict[str, Known]) -> Plan:
        """Look through everything; where a phone number tells an id, once more for that.

        :param known: what an earlier try has counted, of objects that may have changed since.
        """
        persons = self._worker.persons
        plan = Plan()
        for _ in range(_PASSES):
            learned = len(persons.learned)
            plan = self._pass(known)
            if len(persons.learned) == learned:
                break
            known = {}
        self._check_there(plan)
        plan.checkpoints = dict(self._others.checkpoints())
        return plan

    def _check_there(self, plan: Plan) -> None:
        """Raise ParameterError where nothing lies: what is misspelt would pass for erased."""
        lacking = [each for each in self._spec.contact_list_ids or () if each not in plan.values]
        if lacking:
            raise ParameterError(
                "contact_list_ids",
                f"has {quoted(repr(lacking[0]))}, of which nothing lies below {self._store.uri(self._spec.prefix)}/",
                "check its spelling and s3_prefix, or leave it out",
            )
        if not plan.listed:
            raise ParameterError(
                "s3_prefix", f"is {shown(self._spec.prefix)}, below which nothing lies", "check its spelling"
            )

    def _pass(self, known: dict[str, Known]) -> Plan:
        plan = Plan()
        for table in self._spec.tables:
            for partition, objects in partitions(self._store, table):
                self._worker.stop.check()
                plan.listed += len(objects)
                plan.size += sum(each.size for each in objects)
                if partition is None:
                    plan.strangers += [each.key for each in objects]
                    continue
                plan.values.add(partition.value)
                self._look(partition, objects, known, plan)
        if self._versions:
            plan.old = self._others.versions(plan.rewritten)
        return plan

    def _look(self, partition: Partition, objects: list[Any], known: dict[str, Known], plan: Plan) -> None:
        outcome = self._worker.count(partition, objects, known)
        plan.counted |= outcome.counted
        plan.strangers += outcome.strangers
        if outcome.hidden is not None:
            plan.hidden.append(f"the snapshot of {partition.date} in {quoted(partition.value)} {outcome.hidden}")
        if outcome.behind or any(each.erased for each in outcome.counted.values()):
            plan.work[partition.prefix] = partition


def check_hidden(plan: Plan) -> None:
    """Raise ParameterError where phone numbers were given, and snapshots hide them."""
    if plan.hidden:
        shown = "; ".join(plan.hidden[:_SHOWN])
        more = f"; and {len(plan.hidden) - _SHOWN:,} more" if len(plan.hidden) > _SHOWN else ""
        raise ParameterError(
            "phone_numbers",
            f"cannot be found everywhere, because a field policy hides them: {shown}{more}. Nothing was changed",
            "pass ids as well, and on_missing='skip' for the rest",
        )


def check_found(missing: list[int], given: int) -> None:
    """Raise ParameterError where what was given is nowhere; names places in the list, and no person."""
    if missing:
        shown = ", ".join(f"{number:,}" for number in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
        raise ParameterError(
            "on_missing",
            f"is 'fail', and {count(len(missing), 'entry', 'entries')} of {given:,} are nowhere in these lists: "
            f"number {shown}{more}. Nothing was changed",
            "correct the list, or pass on_missing='skip' if they may be absent",
        )


def whole(store: ObjectStore, spec: ErasureSpec) -> list[tuple[str, int]]:
    """List every object that is searched at the end, with its bytes."""
    prefixes = [prefix for table in spec.tables for prefix in table.prefixes]
    prefixes += [*spec.staging_prefixes, f"{spec.receipt_prefix}/"]
    return [(found.key, found.size) for prefix in prefixes for found in store.list(prefix)]
