"""The campaigns of an application as one verified snapshot in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_kore.parameters import Parameter
from airflow_provider_kore.transfers.snapshot_to_s3 import SnapshotToS3Operator, bounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.walk.source import Source


class CampaignsToS3Operator(SnapshotToS3Operator):
    """Land a snapshot of the voice or the SMS campaigns in S3, one row per campaign, without their call results.

    Writes ``{s3_prefix}/stream_id={id}/campaign_type={type}/snapshot_date={date}/campaigns.…`` and a
    ``_manifest.json`` beside it. Returns a summary as XCom: ``campaigns``, ``manifest_key``, ``keys``,
    ``snapshot_id``, ``snapshot_date``, ``consistent``, ``stream_id``, ``campaign_type`` and ``bucket``.
    """

    declared: ClassVar[Mapping[str, Parameter]] = {
        "campaign_type": Parameter(default="voice", templated=True, doc="``voice`` or ``sms``"),
        "filters": Parameter(
            default=None,
            templated=True,
            doc='which campaigns: ``{"status": ["Active", …], "priority": […], "dialing_mode": […], "start_date": '
            '"2026-01-01", "end_date": "2026-01-31"}``, all of them optional. Each set of filters wants an '
            "``s3_prefix`` of its own",
        ),
        **bounds("campaigns"),
    }
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
        super().__init__(s3_bucket=s3_bucket, s3_prefix=s3_prefix, **kwargs)
        self._keep(locals())

    def _source(self, hook: KoreCampaignHook) -> Source:
        from airflow_provider_kore.api.campaigns import CampaignQuery
        from airflow_provider_kore.api.sources.campaigns import CampaignsSource

        query = CampaignQuery.parse(*self._given("campaign_type", "filters").values())
        return CampaignsSource(stream_id=hook.config.stream_id, query=query)
