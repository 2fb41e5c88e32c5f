"""The call results of one campaign of Kore.ai as one verified snapshot in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_kore.parameters import Parameter, check_boolean
from airflow_provider_kore.transfers.snapshot_to_s3 import SnapshotToS3Operator, bounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.walk.source import Source


class CampaignContactsToS3Operator(SnapshotToS3Operator):
    """Land a snapshot of a campaign's call results in S3, one row per contact.

    Writes ``{s3_prefix}/campaign_id={id}/snapshot_date={date}/contacts.…`` and a ``_manifest.json`` beside it.
    Returns a summary as XCom: ``contacts``, ``campaign_status``, ``manifest_key``, ``keys``, ``snapshot_id``,
    ``snapshot_date``, ``consistent``, ``campaign_id`` and ``bucket``.

    While a campaign is ``Active`` its results change, and the API does not tell which: look at ``campaign_status``.
    Rows have no id of the vendor's; ``_id`` is made of ``uniqueId`` and ``phoneNumber`` and tells neither.
    """

    declared: ClassVar[Mapping[str, Parameter]] = {
        "campaign_id": Parameter(templated=True, doc="id of the campaign, ``cd-…``"),
        "replace_instance": Parameter(
            default=False,
            check=check_boolean,
            templated=True,
            doc="a campaign that was stopped and started again, or recurs, has lost its earlier results at Kore.ai. If "
            "the partition holds those, the task fails; True: replace them",
        ),
        **bounds("contacts"),
    }
    asset_alias = "kore_campaign_contacts"
    partition = ("campaign_id",)

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
        super().__init__(s3_bucket=s3_bucket, s3_prefix=s3_prefix, **kwargs)
        self._keep(locals())

    def _source(self, hook: KoreCampaignHook) -> Source:  # noqa: ARG002  # others need the connection
        from airflow_provider_kore.api.sources.call_results import CampaignContactsSource

        return CampaignContactsSource(
            campaign_id=self._checked("campaign_id"), replace_instance=self._checked("replace_instance")
        )
