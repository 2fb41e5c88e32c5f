"""What exists in the simulated account: settings, apps, contact lists, campaigns. No HTTP, no paging."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from airflow_provider_kore.simulator.campaigns import Campaign
from airflow_provider_kore.simulator.contacts import FIRST_CREATED_MS, ContactList, now_ms, timestamp
from airflow_provider_kore.simulator.settings import Settings, with_changes
from airflow_provider_kore.simulator.tokens import App, make_key_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_provider_kore.simulator.contacts import Contact, Sort

T = TypeVar("T")
_CHUNK = 1000
_API_SOURCES = {"apiIntegration", "passiveApi", "passiveApiIntegration"}
_ONLY_IN_ONE_LIST = ("isActive", "createdBy", "updatedBy", "createdAt", "allowDuplicates", "isGlobalDNC", "isDefault")


@dataclass(slots=True)
class ListRecord:
    """A contact list with its catalogue entry; ``details`` override or extend the entry, in the vendor's spelling."""

    list_id: str
    name: str
    contacts: ContactList
    details: dict[str, object]
    updated_ms: int = FIRST_CREATED_MS

    def touch(self, settings: Settings) -> None:
        """Move ``updatedAt`` after a change, always to a later millisecond."""
        if settings.updated_at_moves:
            self.updated_ms = max(now_ms(), self.updated_ms + 1)

    def fields(self, settings: Settings) -> dict[str, Any]:
        """``data`` of one contact list, as ``GET …/contactList/{contactListId}`` answers."""
        source = self.details.get("source", "localDrive")
        # The vendor's sample shows 0 for lists that are fed over an API.
        unknown = settings.record_count == "zero" or (settings.record_count == "by_source" and source in _API_SOURCES)
        found = {
            "_id": self.list_id,
            "name": self.name,
            "description": "",
            "totalRecordCount": 0 if unknown else len(self.contacts),
            "status": "Ready",
            "mapping": {"firstName": "firstName", "phoneNumber": "phoneNumber"},
            "isListInUse": False,
            "listType": "call",
            "campaignInUse": [],
            "source": source,
            "apiConfigurations": {"dataSyncMode": "append"},
            "columns": ["phoneNumber", "firstName", "lastName", "timeZone", "uniqueId", "contactPriority"],
            "files": [],
            "isActive": True,
            "createdBy": "u-simulated-user",
            "updatedBy": "u-simulated-user",
            "createdAt": timestamp(FIRST_CREATED_MS),
            "updatedAt": timestamp(self.updated_ms),
            "allowDuplicates": False,
            "isGlobalDNC": False,
            "isDefault": False,
            **self.details,
        }
        if settings.record_count == "missing":
            del found["totalRecordCount"]
        return found

    def catalogue_fields(self, settings: Settings) -> dict[str, Any]:
        """One item of ``getAllListDetails``, which shows less than the list's own page."""
        found = self.fields(settings)
        if settings.catalogue_updated_at == "stale":
            found["updatedAt"] = found["createdAt"]
        elif settings.catalogue_updated_at == "missing":
            del found["updatedAt"]
        return {name: value for name, value in found.items() if name not in _ONLY_IN_ONE_LIST}


@dataclass(frozen=True, slots=True)
class Pushed:
    """Contacts on their way through ``addContacts``.

    :param due_time: when they may appear, in seconds, monotonic.
    :param due_request: number of the last request before they appear.
    """

    list_id: str
    contacts: list[Mapping[str, Any]]
    due_time: float
    due_request: int


class State:
    """What an environment holds. All methods may be called from any thread; hold ``lock`` to touch its attributes.

    :param settings: those that it begins with.
    """

    def __init__(self, settings: Settings) -> None:
        self.lock = threading.RLock()
        self.settings = settings
        """The settings in force."""
        self.apps: dict[str, App] = {}
        self.lists: dict[str, ListRecord] = {}
        self.campaigns: dict[str, Campaign] = {}
        self.pushed: list[Pushed] = []
        self._number = 0
        self._key_pair: tuple[str, str] | None = None
        self._register(settings)

    def configure(self, **changes: Any) -> None:
        """Change settings while it runs. Raises ValueError, and changes nothing, if one is wrong."""
        settings = with_changes(self.settings, changes)
        with self.lock:
            self.apps.pop(self.settings.client_id, None)
            self.settings = settings
            self._register(settings)

    def add_app(self, **changes: Any) -> App:
        """Register another app: settings of the first one with changes, such as ``client_id`` or ``account_id``."""
        with self.lock:
            return self._register(with_changes(self.settings, changes))

    def _register(self, settings: Settings) -> App:
        """Add the app that ``settings`` describe, on the account they name."""
        signing_key = checking_key = settings.client_secret
        if settings.jwt_algorithm.startswith("RS"):
            if settings.public_key:
                checking_key = settings.public_key
            else:
                self._key_pair = self._key_pair or make_key_pair()
                signing_key, checking_key = self._key_pair
        app = self.apps[settings.client_id] = App(settings, signing_key, checking_key)
        return app

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

        :param contacts: a number of generated contacts, of which a few bytes each are held in memory; or the contacts
            themselves: fields (``_id`` and timestamps are filled in), or JSON texts that are served as they are.
        :param columns: further fields of every generated contact; ``{index}`` in a text becomes a number.
        :param details: fields of its catalogue entry in the vendor's spelling, such as ``source``.
        """
        with self.lock:
            held = ContactList(list_id, ids=self.settings.ids, seed=self.settings.seed, columns=columns)
            if isinstance(contacts, int):
                held.grow(contacts, born_ms=FIRST_CREATED_MS)
            else:
                held.add(contacts, born_ms=FIRST_CREATED_MS)
            record = ListRecord(list_id, name or f"List {list_id}", held, details)
            if columns and "columns" not in details:
                details["columns"] = [*record.fields(self.settings)["columns"], *columns]
            self.lists[list_id] = record

    def remove_list(self, list_id: str) -> None:
        """Delete a contact list."""
        with self.lock:
            self._record(list_id)
            del self.lists[list_id]

    def append(self, list_id: str, n: int = 1) -> None:
        """Add ``n`` generated contacts, created now, at the end."""
        self._change(list_id, lambda held: held.grow(n))

    def insert(self, list_id: str, n: int = 1) -> None:
        """Add ``n`` generated contacts, created now, at the beginning, so that every offset moves up."""
        self._change(list_id, lambda held: held.grow(n, at_start=True))

    def remove(self, list_id: str, index: int = 0, n: int = 1) -> int:
        """Remove ``n`` contacts from position ``index`` on and return how many there were to remove."""
        return self._change(list_id, lambda held: held.remove(index, n))

    def update(self, list_id: str, index: int = 0, **changes: object) -> None:
        """Set fields of the contact at position ``index``; its ``updatedAt`` and the list's become now."""
        self._change(list_id, lambda held: held.update(index, changes))

    def contact_ids(self, list_id: str) -> Iterator[str]:
        """Ids in the order in which pages serve them now. Holds no more than a thousand at a time."""
        yield from self._chunks(list_id, ContactList.contact_ids)

    def contacts(self, list_id: str) -> Iterator[dict[str, Any]]:
        """Contacts in the order in which pages serve them now, parsed from the JSON that pages hold."""
        for text in self._chunks(list_id, ContactList.texts):
            yield json.loads(text)

    def _chunks(self, list_id: str, read: Callable[[ContactList, int, int, Sort], list[str]]) -> Iterator[str]:
        start = 0
        while True:
            with self.lock:
                self._settle()
                chunk = read(self._record(list_id).contacts, start, start + _CHUNK, self.settings.sort)
            if not chunk:
                return
            yield from chunk
            start += _CHUNK

    def _change(self, list_id: str, act: Callable[[ContactList], T]) -> T:
        """Change a list's contacts; its ``updatedAt`` moves with that."""
        with self.lock:
            record = self._record(list_id)
            result = act(record.contacts)
            record.touch(self.settings)
            return result

    def _record(self, list_id: str) -> ListRecord:
        """Return the list. Raises KeyError with a sentence if there is none."""
        if list_id not in self.lists:
            raise KeyError(f"the simulator has no contact list {list_id!r}; add it with add_list")
        return self.lists[list_id]

    def _settle(self) -> None:
        """Let the contacts appear that were pushed long enough ago."""
        now = time.monotonic()
        for pushed in list(self.pushed):
            if pushed.due_time <= now and pushed.due_request <= self._number:
                self.pushed.remove(pushed)
                if pushed.list_id in self.lists:
                    self._change(pushed.list_id, methodcaller("add", pushed.contacts))

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
        campaign = Campaign(
            campaign_id=campaign_id,
            name=name or f"Campaign {campaign_id}",
            type=type,
            status=status,
            details=details,
        )
        campaign.add_results(results)
        with self.lock:
            self.campaigns[campaign_id] = campaign

    def remove_campaign(self, campaign_id: str) -> None:
        """Delete a campaign. Raises KeyError if there is none."""
        with self.lock:
            del self.campaigns[campaign_id]

    def set_campaign_status(self, campaign_id: str, status: str) -> None:
        """Move a campaign on. Raises KeyError if there is none."""
        with self.lock:
            moves = self.settings.campaign_instance_moves == "status"
            self.campaigns[campaign_id].set_status(status, moves_instance=moves)

    def restart_campaign(
        self, campaign_id: str, *, results: int | Iterable[Mapping[str, Any]] = 0, status: str = "Active"
    ) -> None:
        """Start a campaign again, after it was stopped or because it recurs: its results are those of a new instance.

        :param results: a number of generated call results, or the results themselves.

        Raises KeyError if there is none.
        """
        with self.lock:
            self.campaigns[campaign_id].restart(results, status)

    def add_campaign_results(self, campaign_id: str, results: int | Iterable[Mapping[str, Any]]) -> None:
        """Add call results at the end: a number of generated ones, or the results themselves.

        Raises KeyError if there is no such campaign.
        """
        with self.lock:
            self.campaigns[campaign_id].add_results(results)

    def campaign_results(self, campaign_id: str) -> list[dict[str, Any]]:
        """Return what pages of call results serve now, in their order. Raises KeyError if there is no such campaign."""
        with self.lock:
            return [json.loads(text) for text in self.campaigns[campaign_id].results]
