"""Waiting for a contact list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.parameters import operator_parameter
from airflow_provider_kore.sensors.poll import PollSensor, fatal_statuses, wanted_statuses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kore.triggers.poll import PollTrigger

STATUSES: Final = ("Validating", "Validated", "Invalid", "Ready")
"""What the vendor documents as a contact list's ``status`` (docs.kore.ai, get contact list details)."""


class ContactListSensor(PollSensor):
    """Wait until a contact list is ready; with ``s3_bucket``, until it has changed since its last snapshot, too.

    Whether it has changed is told by its ``updatedAt`` and the ``list_updated_at`` of the newest consistent snapshot
    that ``ContactListToS3Operator`` has landed in this place, of any date. A list without one has changed.
    One request per look, and where it is ready a listing and a read in S3.

    Fails at once if there is no such list, if it is deleted meanwhile, or if it has one of ``failed_statuses``.
    Returns ``contact_list_id`` and ``list_status`` as XCom, with ``s3_bucket`` also ``list_updated_at``,
    ``snapshot_id`` and ``snapshot_updated_at``, the last two null if there was no snapshot.

    :param contact_list_id: id of the list, ``cl-…``. (str, required, templated)
    :param status: the status to wait for, or a list of which any will do. (str | Sequence[str], default 'Ready',
        templated)
    :param failed_statuses: statuses that fail the task at once, unless they are in ``status``. (Sequence[str], default
        ('Invalid',), templated)
    :param s3_bucket: bucket with the list's snapshots: wait until the list has changed as well; None: only until it is
        ready. (str | None, default None, templated)
    :param s3_prefix: location of the table of snapshots in the bucket. (str, default 'kore/contact_lists', templated)
    :param aws_conn_id: connection of the amazon provider. (str | None, default 'aws_default')
    :param kore_conn_id: connection to Kore.ai, read again for each look. (str, default 'kore_default', templated)
    :param poke_interval: seconds, or a timedelta, between two looks. Each is a request of the account's allowance.
        (timedelta | float, default 300.0)
    :param max_failures: failed looks in a row that fail the task. With ``mode="reschedule"`` each is the first. (int,
        default 10)
    :param deferrable: wait in the triggerer, which takes no worker slot; None: ``[operators] default_deferrable``.
        (bool | None, default None)
    :param timeout: seconds, or a timedelta, that one try may wait, however often it is deferred or rescheduled.
        (timedelta | float | None, default None)
    """

    contact_list_id: str = operator_parameter(templated=True, doc="id of the list, ``cl-…``")
    status: str | Sequence[str] = wanted_statuses(STATUSES)
    failed_statuses: Sequence[str] = fatal_statuses(STATUSES)
    s3_bucket: str | None = operator_parameter(
        templated=True,
        doc="bucket with the list's snapshots: wait until the list has changed as well; None: only until it is ready",
    )
    s3_prefix: str = operator_parameter(templated=True, doc="location of the table of snapshots in the bucket")
    aws_conn_id: str | None = operator_parameter(doc="connection of the amazon provider")

    def __init__(
        self,
        *,
        contact_list_id: str,
        status: str | Sequence[str] = "Ready",
        failed_statuses: Sequence[str] = ("Invalid",),
        s3_bucket: str | None = None,
        s3_prefix: str = "kore/contact_lists",
        aws_conn_id: str | None = "aws_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def _trigger(self) -> type[PollTrigger]:
        from airflow_provider_kore.triggers.contact_list import ContactListTrigger

        return ContactListTrigger
