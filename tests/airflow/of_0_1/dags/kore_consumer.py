"""Run whenever a contact list of Kore.ai has landed, and say what did: the event carries it, nothing is asked of S3."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, Asset, task

log = logging.getLogger(__name__)

# The location of the list's table, which kore_contact_list_daily and kore_all_contact_lists update.
CONTACT_LIST = Asset("s3://kore-demo/kore/contact_lists/contact_list_id=cl-demo")


@task
def landed(*, triggering_asset_events: Any = None) -> list[str]:
    """Return the keys of the manifests that are new and proven consistent; none if this run was triggered by hand."""
    manifests = []
    for event in triggering_asset_events.get(CONTACT_LIST, []):
        snapshot = event.extra
        log.info("%(contacts)d contacts of %(contact_list_id)s on %(snapshot_date)s.", snapshot)
        if snapshot["consistent"]:
            manifests.append(snapshot["manifest_key"])
    return manifests


with DAG(
    dag_id="kore_consumer",
    schedule=[CONTACT_LIST],
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["kore"],
    doc_md=__doc__,
):
    landed()
