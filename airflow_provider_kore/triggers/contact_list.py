"""Waiting for a contact list, in the triggerer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.triggers.poll import PollTrigger, Sight, is_short_text, told_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.triggers.poll import Hooks


@dataclass(kw_only=True, eq=False, repr=False)
class ContactListTrigger(PollTrigger):
    """Wait until a contact list is ready and, where a table is named, has changed since its last snapshot there."""

    contact_list_id: str
    s3_bucket: str | None
    """Of the snapshots; None: whether it has changed doesn't matter."""
    s3_prefix: str
    """Location of their table in the bucket."""
    aws_conn_id: str | None

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
        from airflow_provider_kore.hooks.s3 import look_up

        return replace(hooks, s3=look_up(self.aws_conn_id))

    def look(self, hooks: Hooks) -> Sight:
        """Ask for the list, one request, and if it is ready for its last manifest in S3.

        Raises NotFoundError, WrongStatusError, ContractError for an answer without a status or about another list, and
        every other KoreError of client and store.
        """
        with hooks.kore.connect_to_look() as client:
            told = client.get_contact_list(self.contact_list_id)
        sight = self.sight_of(
            told,
            {"contact_list_id": self.contact_list_id},
            "list_status",
            what="contact list",
            advice="Look at the list in Kore.ai; fix or import it again.",
        )
        return self._compare(told, sight, hooks.s3) if sight.found and hooks.s3 is not None else sight

    def _compare(self, told: Mapping[str, object], ready: Sight, s3: S3Hook) -> Sight:
        advice = "Whether it has changed cannot be known; leave s3_bucket out to wait only until it is ready."
        updated = told_text(told, "updatedAt", f"contact list {self.contact_list_id}", advice)
        last = self._last_snapshot(s3)
        content = {} if last is None else _checked(last.content)
        landed = content.get("list_updated_at")
        told_of = {
            "list_updated_at": updated,
            "snapshot_id": content.get("snapshot_id"),
            "snapshot_updated_at": landed,
        }
        of = f"its snapshot of {quoted(content.get('snapshot_date'))}"
        if last is None:
            sentence = "has no snapshot yet"
        elif landed is None:
            sentence = f"may have changed: {of} knows no updatedAt"
        elif updated == landed:
            sentence = f"is as it was at {quoted(landed)}, in {of}"
        else:
            sentence = f"has changed since {of}: its updatedAt went from {quoted(landed)} to {quoted(updated)}"
        return Sight(
            sentence=f"Contact list {self.contact_list_id} {sentence}.",
            found=updated != landed,
            summary={**ready.summary, **told_of},
        )

    def _last_snapshot(self, s3: S3Hook) -> Manifest | None:
        from airflow_provider_kore.api.sources.contacts import ContactListSource
        from airflow_provider_kore.hooks.s3 import open_bucket
        from airflow_provider_kore.parameters import check_prefix
        from airflow_provider_kore.snapshot.layout import list_prefix
        from airflow_provider_kore.snapshot.past import Past

        source = ContactListSource(contact_list_id=self.contact_list_id)
        prefix = list_prefix(check_prefix("s3_prefix", self.s3_prefix), source)
        return Past(open_bucket(self.s3_bucket, s3).store, prefix, source).good()


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
