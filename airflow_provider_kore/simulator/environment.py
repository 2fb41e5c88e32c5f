"""What a simulated environment holds, how it behaves, and what it served; without the server in front of it."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_kore.simulator.campaigns import Campaign
from airflow_provider_kore.simulator.faults import make_fault
from airflow_provider_kore.simulator.service import Service
from airflow_provider_kore.simulator.settings import Settings, with_changes
from airflow_provider_kore.simulator.triggers import ArmedFault, Trigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_provider_kore.simulator.contacts import Contact
    from airflow_provider_kore.simulator.journal import ServedRequest
    from airflow_provider_kore.simulator.tokens import App

_CHUNK = 1000
_TRIGGER_FIELDS = frozenset(field.name for field in fields(Trigger))


class Environment:
    """A Kore.ai environment. All methods may be called from any thread.

    :param settings: those that it begins with.
    """

    def __init__(self, settings: Settings) -> None:
        self._service = Service(settings)

    # --- How it behaves --------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._service.state.settings

    def configure(self, **changes: Any) -> None:
        """Change settings while it runs. Raises ValueError, and changes nothing, if one is wrong."""
        self._service.configure(changes)

    def add_app(self, **changes: Any) -> App:
        """Register another app: settings of the first one with changes, such as ``client_id`` or ``account_id``."""
        with self._service.lock:
            return self._service.state.add_app(with_changes(self.settings, changes))

    def add_fault(self, name: str, **conditions: Any) -> ArmedFault:
        """Let something go wrong until it is removed.

        :param name: one of ``FAULTS``.
        :param conditions: fields of :class:`Trigger` say when; all others are the fault's own parameters.

        Raises ValueError with a sentence for a name or parameter that does not exist.
        """
        when = {key: value for key, value in conditions.items() if key in _TRIGGER_FIELDS}
        own = {key: value for key, value in conditions.items() if key not in _TRIGGER_FIELDS}
        when.setdefault("seed", self.settings.seed)
        return self._service.arm(make_fault(name, own), Trigger(**when))

    def fault(self, name: str, **conditions: Any) -> ArmedFault:
        """Do the same for a ``with`` block: ``with kore.fault("server_error", after_requests=70): …``."""
        return self.add_fault(name, **conditions)

    @property
    def faults(self) -> list[ArmedFault]:
        """The faults that are there, in the order in which they were added."""
        with self._service.lock:
            return list(self._service.armed)

    def clear_faults(self) -> None:
        """Take all faults away."""
        for fault in self.faults:
            fault.remove()

    # --- What it holds ---------------------------------------------------------------------------------------------

    def add_list(
        self,
        list_id: str,
        contacts: int | Iterable[Contact] = 0,
        *,
        name: str | None = None,
        columns: Mapping[str, object] | None = None,
        **details: object,
    ) -> None:
        """Add a contact list, or put a new one in the place of the old.

        :param contacts: a number of generated contacts, of which nothing is held in memory; or the contacts
            themselves: fields (``_id`` and timestamps are filled in), or JSON texts that are served as they are.
        :param columns: further fields of every generated contact; ``{index}`` in a text becomes a number.
        :param details: fields of its catalogue entry in the vendor's spelling, such as ``source``.
        """
        with self._service.lock:
            self._service.state.add_list(list_id, contacts, name=name, columns=columns, details=details)

    def remove_list(self, list_id: str) -> None:
        """Delete a contact list."""
        with self._service.lock:
            self._service.state.list_record(list_id)
            del self._service.state.lists[list_id]

    def append(self, list_id: str, n: int = 1) -> None:
        """Add ``n`` generated contacts, created now, at the end."""
        with self._service.lock:
            self._service.state.change(list_id, lambda held: held.grow(n))

    def insert(self, list_id: str, n: int = 1) -> None:
        """Add ``n`` generated contacts, created now, at the beginning, so that every offset moves up."""
        with self._service.lock:
            self._service.state.change(list_id, lambda held: held.grow(n, at_start=True))

    def remove(self, list_id: str, index: int = 0, n: int = 1) -> int:
        """Remove ``n`` contacts from position ``index`` on and return how many there were to remove."""
        with self._service.lock:
            return self._service.state.change(list_id, lambda held: held.remove(index, n))

    def update(self, list_id: str, index: int = 0, **changes: object) -> None:
        """Set fields of the contact at position ``index``; its ``updatedAt`` and the list's become now."""
        with self._service.lock:
            self._service.state.change(list_id, lambda held: held.update(index, changes))

    def contact_ids(self, list_id: str) -> Iterator[str]:
        """Ids in the order in which pages serve them now. Holds no more than a thousand at a time."""
        yield from self._chunks(list_id, "contact_ids")

    def contacts(self, list_id: str) -> Iterator[dict[str, Any]]:
        """Contacts in the order in which pages serve them now, parsed from the JSON that pages hold."""
        for text in self._chunks(list_id, "texts"):
            yield json.loads(text)

    def _chunks(self, list_id: str, read: Literal["contact_ids", "texts"]) -> Iterator[str]:
        self._service.settle()
        start = 0
        while True:
            with self._service.lock:
                held = self._service.state.list_record(list_id).contacts
                chunk = getattr(held, read)(start, start + _CHUNK, self.settings.sort)
            if not chunk:
                return
            yield from chunk
            start += _CHUNK

    def add_campaign(
        self,
        campaign_id: str,
        *,
        type: Literal["voice", "sms"] = "voice",  # noqa: A002  # the vendor's word
        status: str = "Active",
        results: int | Iterable[Mapping[str, Any]] = 0,
        name: str | None = None,
        **details: object,
    ) -> None:
        """Add a campaign, or put a new one in the place of the old.

        :param results: a number of generated call results, or the results themselves.
        :param details: fields of its catalogue entry in the vendor's spelling, such as ``priority``.
        """
        held = results if isinstance(results, int) else tuple(results)
        campaign = Campaign(
            campaign_id=campaign_id,
            name=name or f"Campaign {campaign_id}",
            type=type,
            status=status,
            results=held,
            details=details,
        )
        with self._service.lock:
            self._service.state.campaigns[campaign_id] = campaign

    def remove_campaign(self, campaign_id: str) -> None:
        """Delete a campaign. Raises KeyError if there is none."""
        with self._service.lock:
            del self._service.state.campaigns[campaign_id]

    def set_campaign_status(self, campaign_id: str, status: str) -> None:
        """Move a campaign on. Raises KeyError if there is none."""
        with self._service.lock:
            moves = self.settings.campaign_instance_moves == "status"
            self._service.state.campaigns[campaign_id].set_status(status, moves_instance=moves)

    def restart_campaign(
        self, campaign_id: str, *, results: int | Iterable[Mapping[str, Any]] = 0, status: str = "Active"
    ) -> None:
        """Start a campaign again, after it was stopped or because it recurs: its results are those of a new instance.

        :param results: a number of generated call results, or the results themselves.

        Raises KeyError if there is none.
        """
        with self._service.lock:
            self._service.state.campaigns[campaign_id].restart(results, status)

    def add_campaign_results(self, campaign_id: str, results: int | Iterable[Mapping[str, Any]]) -> None:
        """Add call results at the end: a number of generated ones, or the results themselves.

        Raises KeyError if there is no such campaign, ValueError if it holds the other kind.
        """
        with self._service.lock:
            self._service.state.campaigns[campaign_id].add_results(results)

    def campaign_results(self, campaign_id: str) -> list[dict[str, Any]]:
        """Return what pages of call results serve now, in their order. Raises KeyError if there is no such campaign."""
        with self._service.lock:
            campaign = self._service.state.campaigns[campaign_id]
            return [json.loads(text) for text in campaign.result_texts(0, campaign.result_count())]

    # --- What it served --------------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[ServedRequest]:
        """The requests it served, oldest first; at most ``keep_requests``. Calls to the control API don't count."""
        with self._service.lock:
            return list(self._service.journal.served)

    @property
    def page_requests(self) -> list[ServedRequest]:
        """Those of them that asked for a page of contacts."""
        return [record for record in self.requests if record.endpoint == "contacts"]

    def forget_requests(self) -> None:
        """Start ``requests`` and ``report()`` afresh. Allowances and faults remember."""
        with self._service.lock:
            self._service.journal.forget()

    def report(self) -> dict[str, Any]:
        """Sum up what was served: per endpoint, status, fault and reason, rate limit refusals, peak, bytes."""
        with self._service.lock:
            return self._service.journal.report()
