"""Waiting for a campaign's status, in the triggerer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kore.triggers.poll import PollTrigger, Sight

if TYPE_CHECKING:
    from airflow_provider_kore.triggers.poll import Hooks


@dataclass(kw_only=True, eq=False, repr=False)
class CampaignStatusTrigger(PollTrigger):
    """Wait until a campaign has one of some statuses."""

    campaign_id: str

    def look(self, hooks: Hooks) -> Sight:
        """Ask for the status; one request.

        Raises NotFoundError, WrongStatusError, ContractError for an answer without a status or about another
        campaign, and every other KoreError of the client.
        """
        with hooks.kore.connect_to_look() as client:
            told = client.get_campaign_status(self.campaign_id)
        return self.sight_of(
            told,
            {"campaign_id": self.campaign_id},
            "campaign_status",
            what="campaign",
            advice="Look at the campaign in Kore.ai; if this status is as good, add it to 'status'.",
        )
