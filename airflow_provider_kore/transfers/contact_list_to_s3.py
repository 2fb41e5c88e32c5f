"""One contact list of Kore.ai as one verified snapshot in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_kore.links.snapshot import ContactListLink
from airflow_provider_kore.parameters import Parameter
from airflow_provider_kore.transfers.snapshot_to_s3 import SnapshotToS3Operator, bounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import BaseOperatorLink

    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.walk.source import Source


class ContactListToS3Operator(SnapshotToS3Operator):
    """Land a snapshot of one contact list in S3: complete, atomic, and continued where an earlier try stopped.

    Writes ``{s3_prefix}/contact_list_id={id}/snapshot_date={date}/contacts.…`` and a ``_manifest.json`` beside it.
    Returns a summary as XCom: ``contacts``, ``manifest_key``, ``keys``, ``snapshot_id``, ``snapshot_date``,
    ``consistent``, ``contact_list_id`` and ``bucket``.
    """

    declared: ClassVar[Mapping[str, Parameter]] = {
        "contact_list_id": Parameter(templated=True, doc="id of the list, ``cl-…``"),
        **bounds("contacts"),
    }
    operator_extra_links = (*SnapshotToS3Operator.operator_extra_links, ContactListLink())
    asset_alias = "kore_contact_lists"
    partition = ("contact_list_id",)

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
        super().__init__(s3_bucket=s3_bucket, s3_prefix=s3_prefix, **kwargs)
        self._keep(locals())

    def _source(self, hook: KoreCampaignHook) -> Source:  # noqa: ARG002  # others need the connection
        from airflow_provider_kore.api.sources.contacts import ContactListSource

        return ContactListSource(contact_list_id=self._checked("contact_list_id"))

    def _source_links(self, config: ApiConfig) -> dict[type[BaseOperatorLink], str]:
        address = config.contact_list_url or ""
        return {ContactListLink: address.replace("{contact_list_id}", self._checked("contact_list_id"))}
