"""Lists that change while they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kore.simulator.faults.fault import Fault

if TYPE_CHECKING:
    from airflow_provider_kore.simulator.state import State


class _ListChange(Fault):
    """A change just before the matching page is served; once, unless the test says otherwise."""

    endpoints = frozenset({"contacts"})
    times = 1


class ListAppend(_ListChange, name="list_append"):
    """``n`` contacts are added at the end."""

    n: int = 1

    def change(self, state: State, list_id: str) -> None:
        state.append(list_id, self.n)


class ListInsert(_ListChange, name="list_insert"):
    """``n`` contacts are added at the beginning, so that every offset moves up."""

    n: int = 1

    def change(self, state: State, list_id: str) -> None:
        state.insert(list_id, self.n)


class ListRemove(_ListChange, name="list_remove"):
    """``n`` contacts from position ``index`` on are removed, so that later offsets move down."""

    n: int = 1
    index: int = 0

    def change(self, state: State, list_id: str) -> None:
        state.remove(list_id, self.index, self.n)


class ListSwap(_ListChange, name="list_swap"):
    """``n`` contacts are removed from position ``index`` on and as many are added at the end: the total stays."""

    n: int = 1
    index: int = 0

    def change(self, state: State, list_id: str) -> None:
        state.append(list_id, state.remove(list_id, self.index, self.n))


class ListUpdate(_ListChange, name="list_update"):
    """The contact at position ``index`` changes in place: ``field`` becomes ``value``, ``updatedAt`` becomes now."""

    index: int = 0
    field: str = "firstName"
    value: Any = "Changed"

    def change(self, state: State, list_id: str) -> None:
        if self.index < len(state.lists[list_id].contacts):
            state.update(list_id, self.index, **{self.field: self.value})


class ListReplace(_ListChange, name="list_replace"):
    """As many new contacts take the place of all the old ones."""

    def change(self, state: State, list_id: str) -> None:
        state.append(list_id, state.remove(list_id, 0, len(state.lists[list_id].contacts)))


class ListDelete(_ListChange, name="list_delete"):
    """The list is deleted."""

    def change(self, state: State, list_id: str) -> None:
        state.remove_list(list_id)
