"""Waiting for a campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kore.api.campaigns import STATUSES
from airflow_provider_kore.parameters import operator_parameter
from airflow_provider_kore.sensors.poll import PollSensor, fatal_statuses, wanted_statuses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kore.triggers.poll import PollTrigger


class CampaignStatusSensor(PollSensor):
    """Wait until a campaign has a status, ``Completed`` by default. One request per look.

    Fails at once if there is no such campaign, if it is deleted meanwhile, or if it has one of ``failed_statuses``.
    Returns ``campaign_id`` and ``campaign_status`` as XCom.

    :param campaign_id: id of the campaign, ``cd-…``. (str, required, templated)
    :param status: the status to wait for, or a list of which any will do. (str | Sequence[str], default 'Completed',
        templated)
    :param failed_statuses: statuses that fail the task at once, unless they are in ``status``. (Sequence[str], default
        ('Stopped',), templated)
    :param kore_conn_id: connection to Kore.ai, read again for each look. (str, default 'kore_default', templated)
    :param poke_interval: seconds, or a timedelta, between two looks. Each is a request of the account's allowance.
        (timedelta | float, default 300.0)
    :param max_failures: failed looks in a row that fail the task. With ``mode="reschedule"`` each is the first. (int,
        default 10)
    :param deferrable: wait in the triggerer, which takes no worker slot; None: ``[operators] default_deferrable``.
        (bool | None, default None)
    :param timeout: seconds, or a timedelta, that one try may wait, however often it is deferred or rescheduled.
        (timedelta | float | None, default None)
    """

    campaign_id: str = operator_parameter(templated=True, doc="id of the campaign, ``cd-…``")
    status: str | Sequence[str] = wanted_statuses(STATUSES)
    failed_statuses: Sequence[str] = fatal_statuses(STATUSES)

    def __init__(
        self,
        *,
        campaign_id: str,
        status: str | Sequence[str] = "Completed",
        failed_statuses: Sequence[str] = ("Stopped",),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def _trigger(self) -> type[PollTrigger]:
        from airflow_provider_kore.triggers.campaign import CampaignStatusTrigger

        return CampaignStatusTrigger
