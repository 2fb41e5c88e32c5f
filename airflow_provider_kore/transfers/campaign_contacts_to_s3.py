"""The call results of one campaign of Kore.ai as one verified snapshot in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kore.transfers.snapshot_to_s3 import SnapshotToS3Operator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.walk.source import Source


class CampaignContactsToS3Operator(SnapshotToS3Operator):
    """Land a snapshot of a campaign's call results in S3, one row per contact.

    Writes ``{s3_prefix}/campaign_id={id}/snapshot_date={date}/contacts.…`` and a ``_manifest.json`` beside it.
    Returns a summary as XCom: ``contacts``, ``campaign_status``, ``manifest_key``, ``keys``, ``snapshot_id``,
    ``snapshot_date``, ``consistent``, ``campaign_id`` and ``bucket``.

    While a campaign is ``Active`` its results change, and the API does not tell which: look at ``campaign_status``.
    Rows have no id of the vendor's; ``_id`` is made of ``uniqueId`` and ``phoneNumber`` and tells neither.

    :param campaign_id: id of the campaign, ``cd-…``. (templated)
    :param s3_bucket: bare name of the bucket, or the ARN of an access point. (templated)
    :param s3_prefix: location of the table in the bucket. (templated)
    :param min_contacts: fail rather than land fewer. (templated)
    :param max_contacts: fail rather than read more; an account holds at most 5,000,000 contacts. (templated)
    :param replace_instance: replace the results of an earlier run of the campaign, which Kore.ai no longer has; False:
        fail. (templated)

    All others are those of :class:`~airflow_provider_kore.transfers.snapshot_to_s3.SnapshotToS3Operator`.
    """

    template_fields: Sequence[str] = (
        "campaign_id",
        "replace_instance",
        "min_contacts",
        "max_contacts",
        *SnapshotToS3Operator.template_fields,
    )
    asset_alias = "kore_campaign_contacts"

    def __init__(
        self,
        *,
        campaign_id: str,
        s3_bucket: str,
        s3_prefix: str = "kore/campaign_contacts",
        min_contacts: int = 0,
        max_contacts: int = 5_000_000,
        replace_instance: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            s3_bucket=s3_bucket,
            s3_prefix=s3_prefix,
            min_rows=min_contacts,
            max_rows=max_contacts,
            partition={"campaign_id": campaign_id},
            **kwargs,
        )
        self.campaign_id = campaign_id
        self.min_contacts = min_contacts
        self.max_contacts = max_contacts
        self.replace_instance = replace_instance

    def _source(self, hook: KoreCampaignHook) -> Source:  # noqa: ARG002  # others need the connection
        from airflow_provider_kore.api.sources.call_results import CampaignContactsSource
        from airflow_provider_kore.parameters import check_boolean

        replace_instance = check_boolean("replace_instance", self.replace_instance)
        return CampaignContactsSource(campaign_id=self.campaign_id, replace_instance=replace_instance)
