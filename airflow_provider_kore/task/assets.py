"""Snapshots as assets of Airflow: which asset a task updates, and what its event says.

The asset is the table's location of one list, ``s3://{bucket}/{prefix}/contact_list_id={id}``; its partitions are the
snapshot dates. Where all of it is written in the DAG, Airflow knows the asset before the task ever runs. Where some of
it is a template, it only knows an alias, and the task adds the asset to that when it has run.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import Asset, AssetAlias

from airflow_provider_kore.hooks.airflow_versions import is_partitioned_at_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import BaseOperator, Context

log = logging.getLogger(__name__)


def snapshot_uri(bucket: str, prefix: str, partition: Mapping[str, str]) -> str:
    """Return the URI of a table's location.

    :param partition: the partition keys above ``snapshot_date``, with their values.
    """
    parts = [prefix.strip("/"), *(f"{key}={value}" for key, value in partition.items())]
    return f"s3://{bucket}/{quote('/'.join(part for part in parts if part), safe='/=')}"


def default_outlets(
    bucket: object, prefix: object, partition: Mapping[str, object] | None, *, alias: str
) -> Sequence[Asset | AssetAlias]:
    """Return the outlets of an operator whose author has not said which.

    :param partition: the partition keys above ``snapshot_date``; None: the DAG file doesn't tell.
    :param alias: name of the alias where the asset is not known yet.
    """
    told = (bucket, prefix, *(partition or {}).values())
    if partition is None or not all(isinstance(value, str) and "{" not in value for value in told):
        return (AssetAlias(alias),)
    try:
        return (Asset(snapshot_uri(str(bucket), str(prefix), {key: str(partition[key]) for key in partition})),)
    except ValueError:
        return ()  # an impossible bucket or prefix, which the task will refuse by its name


def emit_events(
    operator: BaseOperator, context: Context, events: Mapping[str, Mapping[str, Any]], extra: Mapping[str, Any]
) -> None:
    """Say in this task's asset events what has landed.

    To every alias among the outlets the assets of the tables are added; every asset among them gets the extra of its
    own table, or else that of the task. The snapshots stand by now, so nothing here fails the task.

    :param events: by the URI of a table: what is said of it.
    :param extra: what is said of all of them together.
    """
    outlet_events = context.get("outlet_events")
    if outlet_events is None:
        return
    at_runtime = is_partitioned_at_runtime(context)
    for outlet in operator.outlets:
        if isinstance(outlet, AssetAlias):
            _add(outlet_events[outlet], events)
        elif isinstance(outlet, Asset):
            outlet_events[outlet].extra = dict(events.get(outlet.uri, extra))
            if at_runtime:
                outlet_events[outlet].add_partitions(str(extra["snapshot_date"]))


def _add(alias: Any, events: Mapping[str, Mapping[str, Any]]) -> None:
    for uri, extra in events.items():
        try:
            alias.add(Asset(uri), extra=dict(extra))
        except ValueError as err:
            log.warning("A snapshot is published, but cannot be told as an asset of Airflow: %s", err)
