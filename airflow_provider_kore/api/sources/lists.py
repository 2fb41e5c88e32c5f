"""Many contact lists, looked at together: one request for the catalogue tells the ``updatedAt`` of each.

A walk over a list is proven by two looks at it, before its first page and after its last. The catalogue may be both,
for any number of lists: a mark that did not move between two looks at the catalogue did not move during the walk
either, for that lies in between. What the catalogue can't tell costs a list a look of its own, as if it were alone:

- it has no entry of the list, or several that differ, or one without ``updatedAt``;
- the list was walked again after a look had told of a change, or read on because it had grown.

Some environments show something else than ``updatedAt`` in their catalogue, such as the list's creation, which never
moves and would prove nothing. So the first list that relies on it costs one more request: the details of the list that
changed last have to say the same as its entry. A list whose contacts are newer than its entry gives that away, too.
"""

from __future__ import annotations

import fnmatch
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from airflow_provider_kore.api.endpoints import check_id
from airflow_provider_kore.api.sources.contacts import ContactListSource, state_of
from airflow_provider_kore.exceptions import ContractError, NotFoundError, ParameterError, RequestRefusedError
from airflow_provider_kore.parameters import is_missing, shown, structure
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.walk.proof import EXPLAINED_WITHIN, seconds_between
from airflow_provider_kore.walk.source import LookLater, Source, Sources

if TYPE_CHECKING:
    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.walk.source import SourceState
    from airflow_provider_kore.walk.state import WalkState

log = logging.getLogger(__name__)

_TELLS: Final = {"statuses": "status", "sources": "source"}
"""By parameter: the field of an entry that it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which lists are meant: those that everything given lets pass; nothing given: all."""

    ids: tuple[str, ...] | None = None
    name_pattern: str | None = None
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By field of an entry: the values that pass."""

    @classmethod
    def parse(
        cls,
        *,
        contact_list_ids: object = None,
        name_pattern: object = None,
        statuses: object = None,
        sources: object = None,
    ) -> Self:
        """Check what a DAG's author gave, or what a template rendered. Raises ParameterError."""
        chosen = _texts("contact_list_ids", contact_list_ids)
        for each in chosen or ():
            check_id("contact_list_ids", each)
        if not is_missing(name_pattern) and not isinstance(name_pattern, str):
            raise ParameterError("name_pattern", f"is {shown(name_pattern)}", 'pass a text such as "Spring *"')
        given = {"statuses": _texts("statuses", statuses), "sources": _texts("sources", sources)}
        return cls(
            ids=None if chosen is None else tuple(dict.fromkeys(chosen)),
            name_pattern=None if is_missing(name_pattern) else str(name_pattern),
            fields={_TELLS[name]: values for name, values in given.items() if values is not None},
        )

    def takes(self, entry: Mapping[str, object]) -> bool:
        """Say whether an entry of the catalogue is of a list that is meant."""
        if self.ids is not None and entry.get("_id") not in self.ids:
            return False
        if self.name_pattern is not None and not fnmatch.fnmatchcase(str(entry.get("name") or ""), self.name_pattern):
            return False
        return all(entry.get(name) in values for name, values in self.fields.items())


class ChosenLists(Sources):
    """The lists that are meant, each with what the catalogue said of it when it was last looked at.

    :param together: whether a list may wait for the look after its walk, until others need one; False: it is looked at
        alone.
    """

    def __init__(self, choice: Choice, *, together: bool = True) -> None:
        self._choice = choice
        self._together = together
        self._looks = 0
        self._states: dict[str, SourceState | None] = {}
        """None: the catalogue has several entries of it, which differ."""
        self._here: set[str] = set()
        """Ids of all lists that the catalogue has now, whether they are meant or not."""
        self._known: set[str] = set()
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        """By id: which look at the catalogue was the one before the walk, and after it."""
        self._trusted: bool | None = None
        """Whether its marks are those of the lists; None: not known yet."""
        self._confirmed = False
        """Whether a list whose contacts are newer than its mark has said so as well."""
        self._said: set[str] = set()
        self.unusable: dict[str, str] = {}
        """Entries that name no list that can be asked for: what they have for an id, and what is wrong with it."""

    def look(self, client: CampaignClient) -> Sequence[Source]:
        """See :class:`Sources`. One request."""
        self._ask(client)
        meant = [*self._states, *(each for each in self._choice.ids or () if each not in self._here)]
        new = [each for each in meant if each not in self._known]
        self._known.update(new)
        # Of API-fed lists the catalogue may say 0: those may be of any length, and come last.
        new.sort(key=lambda each: (self._count(each) == 0, self._count(each)))
        return [ListOfCatalogue(contact_list_id=each, lists=self) for each in new]

    def expected(self, source: Source) -> int:
        """See :class:`Sources`."""
        return self._count(source.dataset.name)

    def is_gone(self, source: Source) -> bool:
        """See :class:`Sources`. A list that was asked for by its id is missed."""
        return self._choice.ids is None and source.dataset.name not in self._here

    def before(self, contact_list_id: str) -> SourceState | None:
        """Return what the catalogue said of a list that is about to be walked; None: it has to be looked at alone."""
        if self._trusted is False or self._first.get(contact_list_id, 0) == self._looks:
            return None
        self._first[contact_list_id] = self._looks
        return self._told(contact_list_id)

    def after(self, contact_list_id: str, state: WalkState, client: CampaignClient) -> SourceState | None:
        """Return what the catalogue says of a list that has been walked; None: it has to be looked at alone.

        Raises LookLater if the catalogue has not been looked at since the walk began.
        """
        told = self._told(contact_list_id)
        if not self._together or told is None or not self._trusts(told, state, client):
            return None
        if self._last.get(contact_list_id, 0) == self._looks:  # what was read since then it can't have seen
            return None
        if self._first.get(contact_list_id, 0) == self._looks:
            raise LookLater
        self._last[contact_list_id] = self._looks
        return self._told(contact_list_id)

    def _told(self, contact_list_id: str) -> SourceState | None:
        told = self._states.get(contact_list_id)
        return told if told is not None and told.mark is not None else None

    def _count(self, contact_list_id: str) -> int:
        told = self._states.get(contact_list_id)
        return max(0, (told.record_count or 0) if told else 0)

    def _ask(self, client: CampaignClient) -> None:
        found: dict[str, SourceState | None] = {}
        here: set[str] = set()
        for entry in client.get_contact_lists():
            identifier = entry.get("_id")
            try:
                name = check_id("_id", identifier)
            except ParameterError as err:
                self.unusable[quoted(identifier)] = f"its entry in the catalogue has an impossible id. {err}"
                continue
            if name in here:
                self._note(f"The catalogue names contact list {name} more than once; it is landed once.")
            here.add(name)
            if self._choice.takes(entry):
                told = state_of(name, entry)
                found[name] = told if found.get(name, told) == told else None
        self._looks += 1
        self._states, self._here = found, here

    def _trusts(self, told: SourceState, state: WalkState, client: CampaignClient) -> bool:
        """Say whether the catalogue's marks are those that the lists tell themselves."""
        name, newest = str(told.identity["contact_list_id"]), state.progress.last_created
        if self._trusted is None:
            marks = {each: known.mark for each in self._states if (known := self._told(each)) is not None}
            self._trusted = self._agrees(max(marks, key=lambda each: marks[each] or ""), client)
        late = seconds_between(told.mark or "", newest) if state.progress.ascending and newest else 0.0
        if self._trusted and not self._confirmed and EXPLAINED_WITHIN < late < math.inf:
            self._trusted = self._confirmed = self._agrees(name, client)
        if not self._trusted:
            self._note(
                "The catalogue's updatedAt is not that of the lists, so each of them is looked at by itself, before "
                "and after it is read: two more requests for each."
            )
        return self._trusted

    def _agrees(self, name: str, client: CampaignClient) -> bool:
        """Ask a list for its own mark, and compare."""
        told = self._states[name]
        try:
            details = client.get_contact_list(name)
        except (ContractError, NotFoundError, RequestRefusedError) as err:
            log.info("Contact list %s does not tell its updatedAt itself: %s", name, err)
            return True  # the catalogue is all there is
        own = state_of(name, details).mark
        if own is None or (told is not None and own == told.mark):
            return True
        if told is not None and told.mark == details.get("createdAt"):
            return False
        self._ask(client)  # it may have changed in between
        again = self._told(name)
        return again is not None and (again.mark or "") >= own

    def _note(self, sentence: str) -> None:
        """Warn once."""
        if sentence not in self._said:
            self._said.add(sentence)
            log.warning(sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOfCatalogue(ContactListSource):
    """The contacts of a list that is looked at together with others."""

    lists: ChosenLists = field(compare=False, repr=False)

    def first_look(self, client: CampaignClient) -> SourceState:
        """See :class:`~airflow_provider_kore.walk.source.Source`."""
        told = self.lists.before(self.contact_list_id)
        return self.look(client) if told is None else told

    def last_look(self, client: CampaignClient, state: WalkState) -> SourceState:
        """See :class:`~airflow_provider_kore.walk.source.Source`."""
        told = self.lists.after(self.contact_list_id, state, client)
        return self.look(client) if told is None else told


def _texts(name: str, value: object) -> tuple[str, ...] | None:
    """Return the texts of a list, or a text alone; None for what is missing."""
    if is_missing(value):
        return None
    found = structure(name, value)
    texts = [found] if isinstance(found, str) else found
    if (
        isinstance(texts, (Sequence, set, frozenset))
        and texts
        and all(isinstance(each, str) and each for each in texts)
    ):
        return tuple(texts)
    raise ParameterError(name, f"is {shown(value)}", "pass a list of texts that is not empty, or None for all")
