"""Whenever a contact list of Kore.ai has landed, say who was added, changed and is gone since the snapshot before."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, AssetAlias, Param, task

from airflow_provider_kore.operators.contact_list_changes import ContactListChangesOperator

log = logging.getLogger(__name__)

CONTACT_LISTS = AssetAlias("kore_contact_lists")


@task
def landed(*, params: dict[str, Any] | None = None, triggering_asset_events: Any = None) -> list[dict[str, str]]:
    """Return which snapshots are new and proven consistent; of a run by hand, the one that its parameters name."""
    events = triggering_asset_events.get(CONTACT_LISTS, []) if triggering_asset_events else []
    snapshots = [event.extra for event in events]
    if not snapshots and params:
        return [{name: params[name] for name in ("contact_list_id", "s3_bucket", "snapshot_date") if params[name]}]
    found = {(one["bucket"], one["contact_list_id"], one["snapshot_date"]) for one in snapshots if one["consistent"]}
    return [dict(zip(("s3_bucket", "contact_list_id", "snapshot_date"), one, strict=True)) for one in sorted(found)]


@task
def gone(summary: dict[str, Any]) -> int:
    """Where a system of your own would be told: the file in ``keys`` names everybody who is to be erased there, too."""
    log.info("%(contact_list_id)s: %(added)d added, %(changed)d changed, %(gone)d gone since %(since)s.", summary)
    return int(summary["gone"])


with DAG(
    dag_id="kore_contact_list_changes",
    schedule=[CONTACT_LISTS],
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params={
        "contact_list_id": Param("cl-demo", type="string", description="By hand: id of the contact list."),
        "s3_bucket": Param("kore-demo", type="string", description="By hand: bucket that holds its snapshots."),
        "snapshot_date": Param(None, type=["null", "string"], format="date", description="By hand; empty: today."),
    },
    tags=["kore"],
    doc_md=__doc__,
):
    changes = ContactListChangesOperator.partial(
        task_id="changes",
        s3_prefix="kore/contact_lists",
        aws_conn_id="aws_default",
        outlets=[AssetAlias("kore_contact_list_changes")],
        map_index_template="{{ task.contact_list_id }}",
    ).expand_kwargs(landed())
    gone.expand(summary=changes.output)
