"""The call results of a campaign as a source."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.api import calls
from airflow_provider_kore.api.endpoints import check_id
from airflow_provider_kore.api.sources.contacts import mark_of, name_of
from airflow_provider_kore.exceptions import ContractError, RequestRefusedError, SnapshotExistsError
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.walk.source import Dataset, Source, SourceState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.api.calls import PagedCall
    from airflow_provider_kore.api.client import CampaignClient

log = logging.getLogger(__name__)

SETTLED: Final = ("Completed", "Stopped")
"""Statuses after which a campaign makes no more calls."""

_INSTANCE: Final = "campaignInstanceUpdatedAt"

_OF_INSTANCE: Final = {
    "updated_at": _INSTANCE,
    "campaign_created_at": "createdAt",
    "campaign_updated_at": "updatedAt",
    "schedule": "schedule",
}
"""What the manifest tells of a campaign's instance, and where the API tells it."""

_GUESSABLE: Final = (
    "A field policy hides phoneNumber, but _id is made of it without a key: who guesses a number can find its row. Set "
    "id_key in the Kore connection."
)

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

    campaign_id: str
    replace_instance: bool = False

    def __post_init__(self) -> None:
        check_id("campaign_id", self.campaign_id)

    @property
    def dataset(self) -> Dataset:
        """Call results; each campaign has its own partition."""
        return Dataset(
            name=self.campaign_id,
            title=f"campaign {self.campaign_id}",
            row="call result",
            rows="call results",
            file_name="contacts",
            partition=(("campaign_id", self.campaign_id),),
            mark_name="the campaign's status",
            witness="campaign_status",
            adds_id=True,
            forgets=True,
            summary=("campaign_status",),
        )

    @property
    def call(self) -> PagedCall:
        """The call that serves its results."""
        return calls.campaign_contacts(self.campaign_id)

    def look(self, client: CampaignClient) -> SourceState:
        """Ask for its name and status, and which run of it this is.

        An environment that does not answer this call, but serves pages, costs evidence and not the snapshot.
        Raises NotFoundError if there is no such campaign.
        """
        told: Mapping[str, object] = {}
        try:
            told = client.look_at_campaign(self.campaign_id)
        except (ContractError, RequestRefusedError) as err:
            log.warning("The campaign's status cannot be had, so it cannot bear witness: %s", err)
        status, instance = mark_of(told.get("status")), mark_of(told.get(_INSTANCE))
        facts = {key: _fact(told.get(name)) for key, name in _OF_INSTANCE.items()}
        return SourceState(
            mark=f"{status} (instance of {instance})" if status and instance else status,
            identity={"campaign_id": self.campaign_id, "campaign_name": name_of(told.get("name"))},
            facts={"campaign_status": status, "campaign_instance": facts},
            warnings=_warnings(status, instance_told=facts["updated_at"] is not None),
            exposed={} if client.config.id_key else {"phoneNumber": _GUESSABLE},
        )

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
        before, now = (_instance_of(told) for told in (manifest, state.facts))
        status, was = state.facts.get("campaign_status"), manifest.get("campaign_status")
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


def _warnings(status: str | None, *, instance_told: bool) -> tuple[str, ...]:
    """Say whether these results are the campaign's last, and whether it is known which run's they are."""
    warnings: list[str] = []
    if status not in SETTLED:
        warnings.append(
            f"The campaign's status is {status or 'not told'}: its call results may change, and may have changed "
            "while they were read. Land them again when it is Completed."
        )
    if not instance_told:
        warnings.append(
            f"The API tells no {_INSTANCE}: which run of the campaign these results are of is known by its status "
            "and dates only."
        )
    return tuple(warnings)


def _instance_of(told: Mapping[str, object]) -> Mapping[str, object]:
    instance = told.get("campaign_instance")
    return instance if isinstance(instance, dict) else {}


def _fact(value: object) -> object:
    """Return what a manifest may hold of what the API tells: a text or an object, and not a long one."""
    return value if isinstance(value, (str, dict)) and value and len(json.dumps(value)) <= _LONGEST_FACT else None
