"""What exists in the simulated account: apps, contact lists, campaigns. No HTTP, no paging."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import methodcaller
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_kore.simulator.contacts import FIRST_CREATED_MS, Contact, ContactList, now_ms, timestamp
from airflow_provider_kore.simulator.tokens import App, make_key_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_kore.simulator.campaigns import Campaign
    from airflow_provider_kore.simulator.settings import Settings

T = TypeVar("T")
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
class _Pushed:
    """Contacts on their way through ``addContacts``."""

    list_id: str
    contacts: tuple[Mapping[str, Any], ...]
    due_time: float
    due_request: int


@dataclass(slots=True)
class State:
    """Everything the endpoints read. Hold the service's lock to call it."""

    settings: Settings
    apps: dict[str, App] = field(default_factory=dict)
    lists: dict[str, ListRecord] = field(default_factory=dict)
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    _pushed: list[_Pushed] = field(default_factory=list)
    _key_pair: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        """Create the app that the settings describe."""
        self.configure(self.settings)

    def configure(self, settings: Settings) -> App:
        """Take over new settings and return the app they describe; apps that were added stay as they are."""
        self.apps.pop(self.settings.client_id, None)
        self.settings = settings
        return self.add_app(settings)

    def add_app(self, settings: Settings) -> App:
        """Register the app that ``settings`` describe, on the account they name."""
        signing_key = checking_key = settings.client_secret
        if settings.jwt_algorithm.startswith("RS"):
            if settings.public_key:
                checking_key = settings.public_key
            else:
                self._key_pair = self._key_pair or make_key_pair()
                signing_key, checking_key = self._key_pair
        app = App(settings, signing_key, checking_key)
        self.apps[settings.client_id] = app
        return app

    def add_list(
        self,
        list_id: str,
        contacts: int | Iterable[Contact],
        *,
        name: str | None,
        columns: Mapping[str, object] | None,
        details: Mapping[str, object],
    ) -> ListRecord:
        """Add a list, or put a new one in the place of the old."""
        held = ContactList(list_id, ids=self.settings.ids, seed=self.settings.seed, columns=columns)
        if isinstance(contacts, int):
            held.grow(contacts, born_ms=FIRST_CREATED_MS)
        else:
            held.add(contacts, born_ms=FIRST_CREATED_MS)
        record = ListRecord(list_id, name or f"List {list_id}", held, dict(details))
        if columns and "columns" not in details:
            record.details["columns"] = [*record.fields(self.settings)["columns"], *columns]
        self.lists[list_id] = record
        return record

    def list_record(self, list_id: str) -> ListRecord:
        """Return the list. Raises KeyError with a sentence if there is none."""
        try:
            return self.lists[list_id]
        except KeyError:
            msg = f"the simulator has no contact list {list_id!r}; add it with add_list"
            raise KeyError(msg) from None

    def change(self, list_id: str, act: Callable[[ContactList], T]) -> T:
        """Change a list's contacts; its ``updatedAt`` moves with that."""
        record = self.list_record(list_id)
        result = act(record.contacts)
        record.touch(self.settings)
        return result

    def push(self, list_id: str, contacts: Iterable[Mapping[str, Any]], now: float, request: int) -> None:
        """Accept contacts that appear later, as ``addContacts`` does.

        :param now: seconds, monotonic.
        :param request: number of the request that brought them.
        """
        due_time = now + self.settings.add_contacts_delay
        due_request = request + self.settings.add_contacts_requests
        self._pushed.append(_Pushed(list_id, tuple(contacts), due_time, due_request))

    def settle(self, now: float, request: int) -> None:
        """Let the contacts appear that were pushed long enough ago."""
        if not self._pushed:
            return
        due = [pushed for pushed in self._pushed if pushed.due_time <= now and pushed.due_request < request]
        for pushed in due:
            self._pushed.remove(pushed)
            if pushed.list_id in self.lists:
                self.change(pushed.list_id, methodcaller("add", pushed.contacts))
