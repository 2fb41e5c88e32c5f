"""What an erasure will do, counted before anything is changed, and what it will cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_kore.erasure.look import partitions
from airflow_provider_kore.erasure.others import OldVersions, checkpoints
from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.json_text import cells
from airflow_provider_kore.parameters import shown
from airflow_provider_kore.quoting import count, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.erasure.look import Contents, Partition
    from airflow_provider_kore.erasure.others import Versions
    from airflow_provider_kore.erasure.work import Work
    from airflow_provider_kore.erasure.worker import Known, Worker
    from airflow_provider_kore.snapshot.fields import FieldPolicies

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


def plan_of(work: Work, worker: Worker, versions: Versions | None, known: dict[str, Known]) -> Plan:
    """Look through everything; where a phone number tells an id, once more for that.

    :param versions: None: they are not looked through.
    :param known: what an earlier try has counted, of objects that may have changed since.

    Raises ParameterError, CorruptSnapshotError, ContentionError.
    """
    plan = Plan()
    for _ in range(_PASSES):
        learned = len(work.persons.learned)
        plan = _counted(work, worker, known)
        plan.checkpoints = dict(checkpoints(work))
        if versions is not None:
            plan.old = versions.find({*plan.rewritten, *plan.checkpoints})
        if len(work.persons.learned) == learned:
            break
        known = {}
    _check_there(work, plan)
    return plan


def _counted(work: Work, worker: Worker, known: dict[str, Known]) -> Plan:
    plan = Plan()
    for partition, objects in (found for table in work.spec.tables for found in partitions(work.store, table)):
        work.stop.check()
        plan.listed += len(objects)
        plan.size += sum(each.size for each in objects)
        if partition is None:
            plan.strangers += [each.key for each in objects]
            continue
        found = worker.count(partition, objects, known)
        plan.values.add(partition.value)
        plan.counted |= found.files
        plan.strangers += [each.key for each in found.contents.strangers]
        if work.persons.phones and (hidden := _hidden(work, found.contents)):
            plan.hidden.append(f"the snapshot of {partition.date} in {quoted(partition.value)} {hidden}")
        if found.is_work:
            plan.work[partition.prefix] = partition
    return plan


def _check_there(work: Work, plan: Plan) -> None:
    """Raise ParameterError where nothing lies: what is misspelt would pass for erased."""
    lacking = [each for each in work.spec.contact_list_ids or () if each not in plan.values]
    if lacking:
        where = work.store.uri(work.spec.prefix)
        raise ParameterError(
            "contact_list_ids",
            f"has {quoted(repr(lacking[0]))}, of which nothing lies below {where}/",
            "check its spelling and s3_prefix, or leave it out",
        )
    if not plan.listed:
        raise ParameterError(
            "s3_prefix", f"is {shown(work.spec.prefix)}, below which nothing lies", "check its spelling"
        )


def gone_ids(work: Work, worker: Worker) -> Iterator[str]:
    """Yield the ids of contacts that the changes of a day say are gone.

    Raises ParameterError where a list has no changes of that day, CorruptSnapshotError.
    """
    table = work.spec.tables[-1]
    told: set[str] = set()

    def gone(contents: Contents) -> list[str] | None:
        found: list[str] | None = None if contents.published is None else []
        for file in contents.files:
            with work.fetched(file.key) as (local, digest):
                worker.check_digest(contents, file, digest)
                if found is not None and file.entry is not None:
                    rows = FORMATS[file.format].read_rows(local, compression=file.compression)
                    found += [identifier for identifier, row in rows if cells(row).get("change") == "gone"]
        return found

    for partition, objects in partitions(work.store, table):
        if partition is not None and partition.date == work.spec.gone_on:
            found = worker.settled(partition, gone, objects)
            if found is not None:
                told.add(partition.value)
                yield from found
    lacking = [each for each in table.values or () if each not in told]
    if lacking or not told:
        which = f"list {quoted(lacking[0])}" if lacking else "any list"
        raise ParameterError(
            "gone_on",
            f"is {work.spec.gone_on}, and there are no changes of {which} on that day",
            "pass the snapshot_date of changes that have landed, or name the lists that have them",
        )


def check_hidden(plan: Plan) -> None:
    """Raise ParameterError where phone numbers were given, and snapshots hide them."""
    if plan.hidden:
        raise ParameterError(
            "phone_numbers",
            f"cannot be found everywhere, because a field policy hides them: {_some(plan.hidden, '; ')}. Nothing was "
            "changed",
            "pass ids as well, and on_missing='skip' for the rest",
        )


def check_found(missing: list[int], given: int) -> None:
    """Raise ParameterError where what was given is nowhere; names places in the list, and no person."""
    if missing:
        raise ParameterError(
            "on_missing",
            f"is 'fail', and {count(len(missing), 'entry', 'entries')} of {given:,} are nowhere in these lists: "
            f"number {_some([f'{number:,}' for number in missing], ', ')}. Nothing was changed",
            "correct the list, or pass on_missing='skip' if they may be absent",
        )


def _some(all_of_them: list[str], between: str) -> str:
    more = len(all_of_them) - _SHOWN
    return between.join(all_of_them[:_SHOWN]) + (f"{between.strip()} and {more:,} more" if more > 0 else "")


def _hidden(work: Work, contents: Contents) -> str | None:
    """Say why a phone number cannot be found in a partition, in words that complete "it …"; None if it can.

    Raises ParameterError if numbers are hashed there, the key is missing or another one, and nothing may be missing.
    """
    told = contents.published.manifest.content.get("fields") if contents.published is not None else None
    if not isinstance(told, dict):
        return None
    rules, keep = told.get("policies") or {}, told.get("keep")
    for name in sorted(work.persons.fields):
        policy = rules.get(name) if isinstance(rules, dict) else None
        if policy == "hash" and not _has_key(told.get("hash"), work.policies):
            if work.spec.on_missing == "fail":
                raise _without_key(contents, name, work.policies)
            return f"has {quoted(name)} hashed with another key"
        if policy in {"mask", "drop"}:
            return f"has the policy {policy!r} for {quoted(name)}"
        if isinstance(keep, list) and name not in keep:
            return f"keeps no {quoted(name)}"
    return None


def _has_key(told: object, policies: FieldPolicies | None) -> bool:
    """Say whether hashes were made with this key."""
    ours = policies.describe()["hash"] if policies is not None else None
    check = told.get("key_check") if isinstance(told, dict) else None
    return isinstance(ours, dict) and check == ours.get("key_check")


def _without_key(contents: Contents, name: str, policies: FieldPolicies | None) -> ParameterError:
    where = f"the snapshot of {contents.partition.date} in {quoted(contents.partition.value)}"
    if policies is None:
        return ParameterError(
            "hash_conn_id",
            f"is missing, and {where} has {quoted(name)} hashed, so that no phone number can be found there",
            "pass the connection with the key that it was hashed with, or ids instead of phone numbers",
        )
    return ParameterError(
        "hash_conn_id",
        f"names another key than the one that {quoted(name)} in {where} is hashed with",
        "erase the snapshots of each key in a task of its own, by contact_list_ids, or pass ids",
    )
