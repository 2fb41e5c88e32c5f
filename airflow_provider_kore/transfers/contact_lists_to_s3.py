"""The catalogue of an application's contact lists as one verified snapshot in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_kore.transfers.snapshot_to_s3 import SnapshotToS3Operator, bounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.parameters import Parameter
    from airflow_provider_kore.walk.source import Source


class ContactListsToS3Operator(SnapshotToS3Operator):
    """Land a snapshot of the catalogue of contact lists in S3, one row per list, without their contacts.

    Writes ``{s3_prefix}/stream_id={id}/snapshot_date={date}/contact_lists.…`` and a ``_manifest.json`` beside it.
    Returns a summary as XCom: ``contact_lists``, ``manifest_key``, ``keys``, ``snapshot_id``, ``snapshot_date``,
    ``consistent``, ``stream_id`` and ``bucket``.

    The catalogue is one answer of the API, so there is nothing that could change while it is read.
    """

    declared: ClassVar[Mapping[str, Parameter]] = bounds("contact_lists")
    asset_alias = "kore_contact_list_catalogue"

    def __init__(
        self,
        *,
        s3_bucket: str,
        s3_prefix: str = "kore/contact_list_catalogue",
        min_contact_lists: int = 0,
        max_contact_lists: int = 5_000_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(s3_bucket=s3_bucket, s3_prefix=s3_prefix, **kwargs)
        self._keep(locals())

    def _source(self, hook: KoreCampaignHook) -> Source:
        from airflow_provider_kore.api.sources.catalog import ContactListsSource

        return ContactListsSource(stream_id=hook.config.stream_id)
