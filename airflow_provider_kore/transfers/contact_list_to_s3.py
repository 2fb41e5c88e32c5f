"""One contact list of Kore.ai as one verified snapshot in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kore.links.snapshot import ContactListLink
from airflow_provider_kore.transfers.snapshot_to_s3 import SnapshotToS3Operator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import BaseOperatorLink

    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.walk.source import Source


class ContactListToS3Operator(SnapshotToS3Operator):
    """Land a snapshot of one contact list in S3: complete, atomic, and continued where an earlier try stopped.

    Writes ``{s3_prefix}/contact_list_id={id}/snapshot_date={date}/contacts.…`` and a ``_manifest.json`` beside it.
    Returns a summary as XCom: ``contacts``, ``manifest_key``, ``keys``, ``snapshot_id``, ``snapshot_date``,
    ``consistent``, ``contact_list_id`` and ``bucket``.

    :param contact_list_id: id of the list, ``cl-…``. (templated)
    :param s3_bucket: bare name of the bucket, or the ARN of an access point. (templated)
    :param s3_prefix: location of the table in the bucket. (templated)
    :param min_contacts: fail rather than land fewer. (templated)
    :param max_contacts: fail rather than read more; an account holds at most 5,000,000 contacts. (templated)

    All others are those of :class:`~airflow_provider_kore.transfers.snapshot_to_s3.SnapshotToS3Operator`.
    """

    template_fields: Sequence[str] = (
        "contact_list_id",
        "min_contacts",
        "max_contacts",
        *SnapshotToS3Operator.template_fields,
    )
    operator_extra_links = (*SnapshotToS3Operator.operator_extra_links, ContactListLink())
    asset_alias = "kore_contact_lists"

    def __init__(
        self,
        *,
        contact_list_id: str,
        s3_bucket: str,
        s3_prefix: str = "kore/contact_lists",
        min_contacts: int = 0,
        max_contacts: int = 5_000_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            s3_bucket=s3_bucket,
            s3_prefix=s3_prefix,
            min_rows=min_contacts,
            max_rows=max_contacts,
            partition={"contact_list_id": contact_list_id},
            **kwargs,
        )
        self.contact_list_id = contact_list_id
        self.min_contacts = min_contacts
        self.max_contacts = max_contacts

    def _source(self, hook: KoreCampaignHook) -> Source:  # noqa: ARG002  # others need the connection
        from airflow_provider_kore.api.sources.contacts import ContactListSource

        return ContactListSource(contact_list_id=self.contact_list_id)

    def _source_links(self, config: ApiConfig) -> dict[type[BaseOperatorLink], str]:
        return {ContactListLink: (config.contact_list_url or "").replace("{contact_list_id}", self.contact_list_id)}
