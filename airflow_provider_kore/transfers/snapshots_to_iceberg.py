"""Landed snapshots of contact lists to an Iceberg table: in one commit, exactly once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.iceberg.spec import parse_snapshots, parse_table
from airflow_provider_kore.parameters import check_boolean, check_text, operator_parameter
from airflow_provider_kore.task.stoppable import StoppableOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.store import ObjectStore


class SnapshotsToIcebergOperator(StoppableOperator):
    """Commit snapshots of contact lists that have landed in S3 to an Iceberg table. Asks nothing of Kore.ai.

    One commit replaces the partition of each list and day as a whole, adds new columns, and sets a tag for each day.
    Its summary names the snapshots and their manifests: a retry finds them, and commits nothing twice. A table that
    does not exist is created. Needs ``airflow-provider-kore[iceberg]``.

    Returns a summary as XCom: ``table``, ``iceberg_snapshot_id`` (None if the table held everything already),
    ``contact_lists``, ``contacts``, ``snapshot_dates``, ``new_snapshots`` and ``tags``.

    :param snapshots: what a task that landed snapshots returned (``land.output``), also a mapped one, or addresses:
        ``s3://lake/kore/contact_lists/contact_list_id=cl-1/snapshot_date=2026-11-26/``, with ``*`` in place of the id
        or the date for all that have landed; or a list of them. (str | Mapping[str, Any] | Sequence[Any], required,
        templated)
    :param table: the Iceberg table, with its namespace: ``crm.contacts``. (str, required, templated)
    :param tags: set a tag for each day, ``kore-2026-11-26``; a tag keeps its commit from expiring. (bool, default True,
        templated)
    :param iceberg_conn_id: connection to the catalog. (str, default 'iceberg_default', templated)
    :param aws_conn_id: connection to S3, where the snapshots are. (str | None, default 'aws_default', templated)
    """

    snapshots: str | Mapping[str, Any] | Sequence[Any] = operator_parameter(
        parse_snapshots,
        templated=True,
        is_json=True,
        doc="what a task that landed snapshots returned (``land.output``), also a mapped one, or addresses: "
        "``s3://lake/kore/contact_lists/contact_list_id=cl-1/snapshot_date=2026-11-26/``, with ``*`` in place of the "
        "id or the date for all that have landed; or a list of them",
    )
    table: str = operator_parameter(
        parse_table, templated=True, doc="the Iceberg table, with its namespace: ``crm.contacts``"
    )
    tags: bool = operator_parameter(
        check_boolean,
        templated=True,
        doc="set a tag for each day, ``kore-2026-11-26``; a tag keeps its commit from expiring",
    )
    iceberg_conn_id: str = operator_parameter(
        partial(check_text, example="iceberg_default"), templated=True, doc="connection to the catalog"
    )
    aws_conn_id: str | None = operator_parameter(templated=True, doc="connection to S3, where the snapshots are")
    doing = "Committing snapshots to Iceberg"

    def __init__(
        self,
        *,
        snapshots: str | Mapping[str, Any] | Sequence[Any],
        table: str,
        tags: bool = True,
        iceberg_conn_id: str = "iceberg_default",
        aws_conn_id: str | None = "aws_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def _work(self, context: Context, stop: Stop) -> dict[str, Any]:  # noqa: ARG002
        """Commit what the table does not hold yet."""
        from airflow_provider_kore.hooks.iceberg import open_catalog
        from airflow_provider_kore.hooks.s3 import look_up, open_bucket
        from airflow_provider_kore.iceberg.run import commit_snapshots
        from airflow_provider_kore.snapshot.phases import Teller

        wanted, table, tags = (self._checked(name) for name in ("snapshots", "table", "tags"))
        catalog = open_catalog(self._checked("iceberg_conn_id"), table)
        connection = look_up(self.aws_conn_id)

        def open_store(bucket: str) -> ObjectStore:
            return open_bucket(bucket, connection).store

        teller = Teller()
        with teller.watching():
            outcome = commit_snapshots(wanted, open_store, catalog, table, tags=tags, stop=stop, teller=teller)
        return {
            "table": table,
            "iceberg_snapshot_id": None if outcome.snapshot_id is None else str(outcome.snapshot_id),
            "contact_lists": len({each.contact_list_id for each in outcome.landed}),
            "contacts": sum(each.rows for each in outcome.landed),
            "snapshot_dates": sorted({each.snapshot_date for each in outcome.landed}),
            "new_snapshots": len(outcome.new),
            "tags": list(outcome.tags),
        }
