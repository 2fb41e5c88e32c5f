"""Waiting for a contact list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.sensors.poll import PollSensor, check_statuses

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

    :param contact_list_id: id of the list, ``cl-…``. (templated)
    :param status: the status to wait for, or a list of which any will do. (templated)
    :param failed_statuses: statuses that fail the task at once, unless they are in ``status``. (templated)
    :param s3_bucket: bucket with the list's snapshots: wait until the list has changed as well; None: only until it is
        ready. (templated)
    :param s3_prefix: location of the table of snapshots in the bucket. (templated)
    :param aws_conn_id: connection of the amazon provider.

    All others are those of :class:`~airflow_provider_kore.sensors.poll.PollSensor`.
    """

    template_fields: Sequence[str] = (
        "contact_list_id",
        "status",
        "failed_statuses",
        "s3_bucket",
        "s3_prefix",
        "kore_conn_id",
    )

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
        self.contact_list_id = contact_list_id
        self.status = status
        self.failed_statuses = failed_statuses
        self.s3_bucket = s3_bucket
        self.s3_prefix = s3_prefix
        self.aws_conn_id = aws_conn_id

    def _trigger(self, **common: Any) -> PollTrigger:
        from airflow_provider_kore.triggers.contact_list import ContactListTrigger

        return ContactListTrigger(
            contact_list_id=self.contact_list_id,
            statuses=check_statuses("status", self.status, STATUSES),
            failed_statuses=check_statuses("failed_statuses", self.failed_statuses, STATUSES, least=0),
            s3_bucket=self.s3_bucket,
            s3_prefix=self.s3_prefix,
            aws_conn_id=self.aws_conn_id,
            **common,
        )
