"""Waiting for a campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kore.sensors.poll import PollSensor, check_statuses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kore.triggers.poll import PollTrigger


class CampaignStatusSensor(PollSensor):
    """Wait until a campaign has a status, ``Completed`` by default. One request per look.

    Fails at once if there is no such campaign, if it is deleted meanwhile, or if it has one of ``failed_statuses``.
    Returns ``campaign_id`` and ``campaign_status`` as XCom.

    :param campaign_id: id of the campaign, ``cd-…``. (templated)
    :param status: the status to wait for, or a list of which any will do. (templated)
    :param failed_statuses: statuses that fail the task at once, unless they are in ``status``. (templated)

    All others are those of :class:`~airflow_provider_kore.sensors.poll.PollSensor`.
    """

    template_fields: Sequence[str] = ("campaign_id", "status", "failed_statuses", "kore_conn_id")

    def __init__(
        self,
        *,
        campaign_id: str,
        status: str | Sequence[str] = "Completed",
        failed_statuses: Sequence[str] = ("Stopped",),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.campaign_id = campaign_id
        self.status = status
        self.failed_statuses = failed_statuses

    def _trigger(self, **common: Any) -> PollTrigger:
        from airflow_provider_kore.api.campaigns import STATUSES
        from airflow_provider_kore.triggers.campaign import CampaignStatusTrigger

        return CampaignStatusTrigger(
            campaign_id=self.campaign_id,
            statuses=check_statuses("status", self.status, STATUSES),
            failed_statuses=check_statuses("failed_statuses", self.failed_statuses, STATUSES, least=0),
            **common,
        )
