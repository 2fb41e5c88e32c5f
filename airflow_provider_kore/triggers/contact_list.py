"""Waiting for a contact list, in the triggerer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.triggers.poll import LONGEST_TEXT, PollTrigger, Sight, is_short_text, told_status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.triggers.poll import Hooks


class ContactListTrigger(PollTrigger):
    """Wait until a contact list is ready and, where a table is named, has changed since its last snapshot there.

    :param contact_list_id: its id.
    :param statuses: which of its statuses are ready.
    :param failed_statuses: what ends the waiting as a failure.
    :param s3_bucket: bucket of the snapshots; None: whether it has changed doesn't matter.
    :param s3_prefix: location of their table in the bucket.
    :param aws_conn_id: connection to S3.

    All others are those of :class:`~airflow_provider_kore.triggers.poll.PollTrigger`.
    """

    arguments = (
        "contact_list_id",
        "statuses",
        "failed_statuses",
        "s3_bucket",
        "s3_prefix",
        "aws_conn_id",
        *PollTrigger.arguments,
    )

    def __init__(
        self,
        *,
        contact_list_id: str,
        statuses: Sequence[str],
        failed_statuses: Sequence[str],
        s3_bucket: str | None,
        s3_prefix: str,
        aws_conn_id: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contact_list_id = contact_list_id
        self.statuses = list(statuses)
        self.failed_statuses = list(failed_statuses)
        self.s3_bucket = s3_bucket
        self.s3_prefix = s3_prefix
        self.aws_conn_id = aws_conn_id

    def patience(self, hooks: Hooks) -> float:
        """As for other looks, and where S3 is asked for a listing and a read, as long as its client may take."""
        return super().patience(hooks) + (0.0 if hooks.s3 is None else 150.0)

    @property
    def _lane(self) -> tuple[str, ...]:
        return (*super()._lane, *(() if self.s3_bucket is None else (str(self.aws_conn_id),)))

    def connect(self) -> Hooks:
        """Look up the connections, that to S3 only where snapshots are asked for."""
        hooks = super().connect()
        if self.s3_bucket is None:
            return hooks
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        s3 = S3Hook(aws_conn_id=self.aws_conn_id)
        _ = s3.conn_config
        return replace(hooks, s3=s3)

    def look(self, hooks: Hooks) -> Sight:
        """Ask for the list, one request, and if it is ready for its last manifest in S3.

        Raises NotFoundError, WrongStatusError, ContractError for an answer without a status or about another list, and
        every other KoreError of client and store.
        """
        from airflow_provider_kore.exceptions import WrongStatusError

        with hooks.kore.connect_to_look() as client:
            told = client.get_contact_list(self.contact_list_id)
        what = f"Contact list {self.contact_list_id}"
        status = told_status(told, self.contact_list_id, f"contact list {self.contact_list_id}")
        wanted = " or ".join(self.statuses)
        if status in self.failed_statuses and status not in self.statuses:
            raise WrongStatusError(
                f"{what} is {status}, and {wanted} was waited for. Look at the list in Kore.ai; mend or import it "
                "again."
            )
        summary = {"contact_list_id": self.contact_list_id, "list_status": status}
        if status not in self.statuses:
            return Sight(sentence=f"{what} is {status}, not {wanted} yet.", found=False)
        if hooks.s3 is None:
            return Sight(sentence=f"{what} is {status}.", found=True, summary=summary)
        return self._compare(told, summary, hooks.s3)

    def _compare(self, told: Mapping[str, object], summary: Mapping[str, object], s3: S3Hook) -> Sight:
        from airflow_provider_kore.exceptions import ContractError

        updated = told.get("updatedAt")
        if not isinstance(updated, str) or not updated:
            raise ContractError(
                f"The answer for contact list {self.contact_list_id} has no updatedAt, so whether it has "
                "changed cannot be known. Leave s3_bucket out to wait only until it is ready."
            )
        if not is_short_text(updated):
            raise ContractError(
                f"The answer for contact list {self.contact_list_id} tells an updatedAt that is longer than "
                f"{LONGEST_TEXT} characters or not printable. Check the connection's host and api_version."
            )
        last = self._last_snapshot(s3)
        content = {} if last is None else _checked(last.content)
        landed = content.get("list_updated_at")
        summary = {
            **summary,
            "list_updated_at": updated,
            "snapshot_id": content.get("snapshot_id"),
            "snapshot_updated_at": landed,
        }
        what = f"Contact list {self.contact_list_id}"
        if last is None:
            return Sight(sentence=f"{what} has no snapshot yet.", found=True, summary=summary)
        of = f"its snapshot of {quoted(content['snapshot_date'])}"
        if landed is None:
            return Sight(sentence=f"{what} may have changed: {of} knows no updatedAt.", found=True, summary=summary)
        if updated == landed:
            return Sight(sentence=f"{what} is as it was at {quoted(landed)}, in {of}.", found=False)
        return Sight(
            sentence=f"{what} has changed since {of}: its updatedAt went from {quoted(landed)} to {quoted(updated)}.",
            found=True,
            summary=summary,
        )

    def _last_snapshot(self, s3: S3Hook) -> Manifest | None:
        from airflow_provider_kore.api.sources.contacts import ContactListSource
        from airflow_provider_kore.parameters import check_bucket, check_prefix
        from airflow_provider_kore.snapshot.guards import last_good
        from airflow_provider_kore.snapshot.layout import list_prefix
        from airflow_provider_kore.store.s3 import S3Store

        source = ContactListSource(contact_list_id=self.contact_list_id)
        prefix = list_prefix(check_prefix("s3_prefix", self.s3_prefix), source)
        bucket = check_bucket(self.s3_bucket)
        return last_good(S3Store(s3.get_conn(), bucket), prefix, source)


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest whose texts may be shown. Raises CorruptSnapshotError."""
    from airflow_provider_kore.exceptions import CorruptSnapshotError

    told = content.get("list_updated_at")
    texts = [content.get("snapshot_id"), content.get("snapshot_date"), *([] if told is None else [told])]
    if not all(is_short_text(text) for text in texts):
        raise CorruptSnapshotError(
            "The manifest of the list's newest snapshot has no usable snapshot_id, snapshot_date or list_updated_at. "
            "Look at it in S3, and move it away if this provider did not write it."
        )
    return content
