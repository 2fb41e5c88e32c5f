"""Waiting for a campaign's status, in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kore.triggers.poll import PollTrigger, Sight, told_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kore.triggers.poll import Hooks


class CampaignStatusTrigger(PollTrigger):
    """Wait until a campaign has one of some statuses.

    :param campaign_id: its id.
    :param statuses: what is waited for.
    :param failed_statuses: what ends the waiting as a failure.

    All others are those of :class:`~airflow_provider_kore.triggers.poll.PollTrigger`.
    """

    arguments = ("campaign_id", "statuses", "failed_statuses", *PollTrigger.arguments)

    def __init__(
        self, *, campaign_id: str, statuses: Sequence[str], failed_statuses: Sequence[str], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.campaign_id = campaign_id
        self.statuses = list(statuses)
        self.failed_statuses = list(failed_statuses)

    def look(self, hooks: Hooks) -> Sight:
        """Ask for the status; one request.

        Raises NotFoundError, WrongStatusError, ContractError for an answer without a status or about another
        campaign, and every other KoreError of the client.
        """
        from airflow_provider_kore.exceptions import WrongStatusError

        with hooks.kore.connect_to_look() as client:
            told = client.get_campaign_status(self.campaign_id)
        status = told_status(told, self.campaign_id, f"campaign {self.campaign_id}")
        wanted = " or ".join(self.statuses)
        if status in self.failed_statuses and status not in self.statuses:
            raise WrongStatusError(
                f"Campaign {self.campaign_id} is {status}, and {wanted} was waited for. Look at the campaign in "
                f"Kore.ai; if {status} is as good, add it to 'status'."
            )
        done = status in self.statuses
        return Sight(
            sentence=f"Campaign {self.campaign_id} is {status}{'' if done else f', not {wanted} yet'}.",
            found=done,
            summary={"campaign_id": self.campaign_id, "campaign_status": status},
        )
