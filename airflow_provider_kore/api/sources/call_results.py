"""The call results of a campaign as a source."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from airflow_provider_kore.api import calls
from airflow_provider_kore.api.endpoints import check_id
from airflow_provider_kore.api.sources.texts import mark_of, name_of
from airflow_provider_kore.exceptions import ContractError, RequestRefusedError, SnapshotExistsError
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.walk.source import Source, SourceState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.api.calls import PagedCall
    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.walk.page import Evidence
    from airflow_provider_kore.walk.source import Policies

log = logging.getLogger(__name__)

SETTLED: Final = ("Completed", "Stopped")
"""Statuses after which a campaign calls nobody any more."""

_INSTANCE: Final = "campaignInstanceUpdatedAt"

_OF_INSTANCE: Final = {
    "updated_at": _INSTANCE,
    "campaign_created_at": "createdAt",
    "campaign_updated_at": "updatedAt",
    "schedule": "schedule",
}
"""What the manifest tells of a campaign's instance, and where the API tells it."""

_LONGEST_FACT: Final = 2_000
"""Characters of JSON: a manifest is no copy of the campaign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignContactsSource(Source):
    """The call results of one campaign, one per contact. Raises ParameterError for an impossible id.

    While a campaign calls people its results change, and nothing tells which. What can be noticed: that the campaign's
    status moves, that the total does, that a contact comes twice, and that the campaign was started again: then it has
    lost its results, and those that follow are another instance's.

    :param replace_instance: whether they may replace the earlier ones in the same partition.
    """

    row: ClassVar[str] = "call result"
    rows: ClassVar[str] = "call results"
    file_name: ClassVar[str] = "contacts"
    mark_name: ClassVar[str] = "the campaign's status"
    witness: ClassVar[str] = "campaign_status"
    adds_id: ClassVar[bool] = True
    forgets: ClassVar[bool] = True
    summary: ClassVar[tuple[str, ...]] = ("campaign_status",)

    campaign_id: str
    replace_instance: bool = False

    def __post_init__(self) -> None:
        check_id("campaign_id", self.campaign_id)

    @property
    def name(self) -> str:
        """The campaign's id."""
        return self.campaign_id

    @property
    def title(self) -> str:
        """The campaign in words."""
        return f"campaign {self.campaign_id}"

    @property
    def partition(self) -> tuple[tuple[str, str], ...]:
        """Each campaign has its own."""
        return (("campaign_id", self.campaign_id),)

    @property
    def identity(self) -> object:
        """The campaign's id, and what of it."""
        return ["campaign_contacts", self.campaign_id]

    def call(self, client: CampaignClient) -> PagedCall:
        """Return the call that serves its results."""
        return calls.campaign_contacts(self.campaign_id, client.config)

    def look(self, client: CampaignClient) -> SourceState:
        """Ask for its name and status, and which run of it this is.

        An environment that does not answer this call, but serves pages, costs a witness and not the snapshot.
        Raises NotFoundError if there is no such campaign.
        """
        try:
            told = client.look_at_campaign(self.campaign_id)
        except (ContractError, RequestRefusedError) as err:
            log.warning("The campaign's status cannot be had, so it cannot bear witness: %s", err)
            return SourceState()
        status, instance = mark_of(told.get("status")), mark_of(told.get(_INSTANCE))
        return SourceState(
            name=name_of(told.get("name")),
            mark=f"{status} (instance of {instance})" if status and instance else status,
            told={"status": status, "instance": {key: _fact(told.get(name)) for key, name in _OF_INSTANCE.items()}},
        )

    def identify(self, state: SourceState) -> dict[str, object]:
        """Return its id and name."""
        return {"campaign_id": self.campaign_id, "campaign_name": state.name}

    def describe(self, state: SourceState) -> dict[str, object]:
        """Return its status when the last page had been read, and what is told of its instance."""
        return {"campaign_status": state.told.get("status"), "campaign_instance": _instance_of(state)}

    def warnings(self, state: SourceState, evidence: Evidence) -> list[str]:  # noqa: ARG002
        """Say whether these results are its last, and whether it is known which run's they are."""
        warnings: list[str] = []
        status = state.told.get("status")
        if status not in SETTLED:
            warnings.append(
                f"The campaign's status is {status or 'not told'}: its call results may change, and may have changed "
                "while they were read. Land them again when it is Completed."
            )
        if not _instance_of(state)["updated_at"]:
            warnings.append(
                f"The API tells no {_INSTANCE}: which run of the campaign these results are of is known by its status "
                "and dates only."
            )
        return warnings

    def exposures(self, policies: Policies, config: ApiConfig) -> list[str]:
        """Say that ``_id`` can be linked to a guessed number, where a policy hides the numbers."""
        if config.id_key or not policies.hides("phoneNumber"):
            return []
        return [
            "A field policy hides phoneNumber, but _id is made of it without a key: who guesses a number can find its "
            "row. Set id_key in the Kore connection."
        ]

    def is_comparable(self, manifest: Mapping[str, object], state: SourceState) -> bool:
        """A run that has just begun has fewer results than the one before."""
        return self._another(manifest, state, certain=True) is None

    def check_replaced(self, manifest: Mapping[str, object], state: SourceState) -> None:
        """Raise SnapshotExistsError if the partition holds another run's results: the vendor has them no more."""
        why = self._another(manifest, state)
        if why is None:
            return
        found = (
            f"The partition holds call results of another run of campaign {self.campaign_id}, as far as the API tells: "
            f"{why}."
        )
        if not self.replace_instance:
            raise SnapshotExistsError(
                f"{found} Kore.ai has dropped those, so they are not replaced. Pass another snapshot_date or s3_prefix "
                "to keep both, or replace_instance=True to replace them."
            )
        log.warning("%s replace_instance is True: they are replaced.", found)

    def _another(self, manifest: Mapping[str, object], state: SourceState, *, certain: bool = False) -> str | None:
        """Say by what a manifest is known to be of another run than the source's; None if it is not.

        Results that were final stay final as long as the campaign does not run again; of those that were not, only
        the instance can tell.

        :param certain: leave out what may have another reason: that the campaign's dates moved.
        """
        held = manifest.get("campaign_instance")
        before: Mapping[str, object] = held if isinstance(held, dict) else {}
        now, status, was = _instance_of(state), state.told.get("status"), manifest.get("campaign_status")
        told = [key for key in _OF_INSTANCE if before.get(key) and now[key]]
        moved = {
            key: f"{_OF_INSTANCE[key]} was {quoted(str(before[key]))} and is {now[key]}"
            for key in told
            if before[key] != now[key]
        }
        instance_told = "updated_at" in told
        if "updated_at" in moved:
            return moved["updated_at"]
        if "campaign_created_at" in moved and not (instance_told or certain):
            return moved["campaign_created_at"]
        if was not in SETTLED:
            return None
        if status and status != was:
            return f"it was {was} and is {status}"
        if "campaign_updated_at" in moved and not (instance_told or certain):
            return f"it was {was}, and since then {moved['campaign_updated_at']}"
        return None


def _instance_of(state: SourceState) -> Mapping[str, object]:
    instance = state.told.get("instance")
    return instance if isinstance(instance, dict) else dict.fromkeys(_OF_INSTANCE)


def _fact(value: object) -> object:
    """Return what a manifest may hold of what the API tells: a text or an object, and not a long one."""
    return value if isinstance(value, (str, dict)) and value and len(json.dumps(value)) <= _LONGEST_FACT else None
