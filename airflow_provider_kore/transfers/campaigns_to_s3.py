"""The campaigns of an application as one verified snapshot in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kore.transfers.snapshot_to_s3 import SnapshotToS3Operator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.walk.source import Source


class CampaignsToS3Operator(SnapshotToS3Operator):
    """Land a snapshot of the voice or the SMS campaigns in S3, one row per campaign, without their call results.

    Writes ``{s3_prefix}/stream_id={id}/campaign_type={type}/snapshot_date={date}/campaigns.…`` and a
    ``_manifest.json`` beside it. Returns a summary as XCom: ``campaigns``, ``manifest_key``, ``keys``,
    ``snapshot_id``, ``snapshot_date``, ``consistent``, ``stream_id``, ``campaign_type`` and ``bucket``.

    :param campaign_type: ``voice`` or ``sms``; the API serves one of them at a time. (templated)
    :param filters: which campaigns, by ``status``, ``priority``, ``dialing_mode``, ``start_date`` and ``end_date``;
        None: all. Each set of filters needs its own ``s3_prefix``. (templated)
    :param s3_bucket: bare name of the bucket, or the ARN of an access point. (templated)
    :param s3_prefix: location of the table in the bucket. (templated)
    :param min_campaigns: fail rather than land fewer. (templated)
    :param max_campaigns: fail rather than read more. (templated)

    All others are those of :class:`~airflow_provider_kore.transfers.snapshot_to_s3.SnapshotToS3Operator`.
    """

    template_fields: Sequence[str] = (
        "campaign_type",
        "filters",
        "min_campaigns",
        "max_campaigns",
        *SnapshotToS3Operator.template_fields,
    )
    asset_alias = "kore_campaigns"

    def __init__(
        self,
        *,
        campaign_type: str = "voice",
        filters: Mapping[str, Any] | None = None,
        s3_bucket: str,
        s3_prefix: str = "kore/campaigns",
        min_campaigns: int = 0,
        max_campaigns: int = 5_000_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            s3_bucket=s3_bucket, s3_prefix=s3_prefix, min_rows=min_campaigns, max_rows=max_campaigns, **kwargs
        )
        self.campaign_type = campaign_type
        self.filters = filters
        self.min_campaigns = min_campaigns
        self.max_campaigns = max_campaigns

    def _source(self, hook: KoreCampaignHook) -> Source:
        from airflow_provider_kore.api.campaigns import CampaignQuery
        from airflow_provider_kore.api.sources.campaigns import CampaignsSource

        query = CampaignQuery.parse(self.campaign_type, self.filters)
        return CampaignsSource(stream_id=hook.config.stream_id, query=query)
