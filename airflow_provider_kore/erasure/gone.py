"""Contacts that a table of changes says are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_kore.erasure.look import look_at, partitions
from airflow_provider_kore.exceptions import CorruptSnapshotError, ParameterError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.json_text import cells
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.erasure.spec import ErasureSpec
    from airflow_provider_kore.erasure.worker import Worker
    from airflow_provider_kore.store.store import ObjectStore


def gone_ids(spec: ErasureSpec, store: ObjectStore, worker: Worker) -> Iterator[str]:
    """Yield their ids. Raises ParameterError where a list has no changes of that day, CorruptSnapshotError."""
    table = spec.tables[-1]
    told: set[str] = set()
    for partition, objects in partitions(store, table):
        if partition is None or partition.date != spec.gone_on:
            continue
        contents = look_at(store, partition, objects)
        if contents.manifest is None:
            continue
        told.add(partition.value)
        for file in contents.files:
            if file.entry is None:
                continue
            with worker.fetched(file) as (local, digest):
                if file.status != "behind" and file.entry.get("sha256") != digest:
                    raise CorruptSnapshotError(
                        f"{store.uri(file.key)} is not the file that its manifest describes, so it cannot tell who is "
                        "gone. Nothing was changed; find the changes again, or give the ids."
                    )
                for identifier, row in FORMATS[file.format].read_rows(local, compression=file.compression):
                    if cells(row).get("change") == "gone":
                        yield identifier
    lacking = [each for each in table.values or () if each not in told]
    if lacking or not told:
        which = f"list {quoted(lacking[0])}" if lacking else "any list"
        raise ParameterError(
            "gone_on",
            f"is {spec.gone_on}, and there are no changes of {which} on that day",
            "pass the snapshot_date of changes that have landed, or name the lists that have them",
        )
