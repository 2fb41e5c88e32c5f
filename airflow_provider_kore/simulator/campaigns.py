"""Campaigns and their call results."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_kore.simulator.contacts import FIRST_CREATED_MS, now_ms, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OUTCOMES = ("Answered", "NoAnswer", "Busy", "VoiceMail", "Failed")
_RESULT = (
    '{"phoneNumber":"+1555%07d","uniqueId":"u-%d","dialerOutcome":"%s","numberOfAttemptsSoFar":%d,'
    '"botSessionId":"s-%d","agentDispositionCodes":[],"botOutboundStatus":"completed","botOutboundStatusDetail":""}'
)


@dataclass(slots=True, kw_only=True)
class Campaign:
    """One campaign.

    :param results: call results, as JSON texts.
    :param details: further fields as the vendor spells them, such as ``priority`` or ``dialingMode``.
    """

    campaign_id: str
    name: str
    type: Literal["voice", "sms"] = "voice"
    status: str = "Active"
    results: list[str] = field(default_factory=list)
    details: dict[str, object] = field(default_factory=dict)
    created_ms: int = FIRST_CREATED_MS
    updated_ms: int = FIRST_CREATED_MS
    instance_ms: int = FIRST_CREATED_MS

    def fields(self) -> dict[str, Any]:
        """Return its item of ``getAllCampaignDetails``. Voice items carry ``_id``, SMS items ``id``."""
        return {
            ("_id" if self.type == "voice" else "id"): self.campaign_id,
            "name": self.name,
            "priority": "1",
            "dialingMode": "Preview" if self.type == "voice" else "",
            "status": self.status,
            "createdAt": timestamp(self.created_ms),
            "updatedAt": timestamp(self.updated_ms),
            "campaignInstanceUpdatedAt": timestamp(self.instance_ms),
            "schedule": {"isSchedulingEnabled": False},
            "contactLists": [],
            **self.details,
        }

    def detail_fields(self) -> dict[str, Any]:
        """Return ``data`` of one campaign, as ``GET …/campaign/{campaignId}`` answers."""
        return {
            "_id": self.campaign_id,
            "lname": self.name.lower(),
            "dncLists": {"id": "cl-dnc", "name": "Do not call"},
            "dialingStrategy": {},
            **{name: value for name, value in self.fields().items() if name != "id"},
        }

    def set_status(self, status: str, *, moves_instance: bool = False) -> None:
        """Move the campaign on; its ``updatedAt`` moves with it.

        :param moves_instance: ``campaignInstanceUpdatedAt`` does, too.
        """
        self.status = status
        self.details.pop("updatedAt", None)
        self.updated_ms = max(now_ms(), self.updated_ms + 1)
        if moves_instance:
            self.details.pop("campaignInstanceUpdatedAt", None)
            self.instance_ms = self.updated_ms

    def restart(self, results: int | Iterable[Mapping[str, Any]], status: str) -> None:
        """Start it again, or let it recur: a new instance, without the results of the one before."""
        self.set_status(status, moves_instance=True)
        self.results = []
        self.add_results(results)

    def add_results(self, results: int | Iterable[Mapping[str, Any]]) -> None:
        """Add call results at the end: so many generated ones, or these."""
        if isinstance(results, int):
            first = len(self.results)
            self.results += [
                _RESULT % (index, index, _OUTCOMES[index % len(_OUTCOMES)], 1 + index % 3, index)
                for index in range(first, first + results)
            ]
        else:
            self.results += [json.dumps(result) for result in results]


def interaction(campaign: Campaign, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of ``interactionDetails`` that tells of a call result."""
    outcome, attempt = str(result.get("dialerOutcome", "")), result.get("numberOfAttemptsSoFar", 1)
    session = str(result.get("botSessionId", ""))
    ended = timestamp(campaign.updated_ms)
    return {
        "conversationId": f"c-{session}",
        "sessionId": session,
        "channel": "Voice",
        "Direction": "Outbound",
        "sessionStartTime": ended[:19],
        "sessionEndTime": ended[:19],
        "finalStatus": "CLOSED",
        "dispositions": [],
        "metaInfo": {
            "campaignName": campaign.name,
            "dialedNumber": str(result.get("phoneNumber", "")),
            "endUserNumber": str(result.get("phoneNumber", "")),
            "attempt": attempt,
        },
        "campaigninfo": {
            "campaignName": campaign.name,
            "campaignId": campaign.campaign_id,
            "campaignInstanceId": f"cid-{campaign.instance_ms:x}",
            "campaignDialingListId": "cdl-1",
            "attempt": attempt,
            "contactStatus": outcome,
            "campaignRunDate": timestamp(campaign.instance_ms),
            "contactListName": [],
        },
    }
