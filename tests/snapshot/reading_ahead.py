"""Pages that are read ahead, in an order that a test chooses: what threads and a network may do, without any."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Literal
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Order = Literal["at once", "backward"] | int
"""When calls happen that were started: at once, the last one first when one is needed, or as a seed has it."""


class OrderedPrefetcher:
    """Stands in for :class:`airflow_provider_kore.walk.prefetch.Prefetcher`, on one thread."""

    def __init__(self, order: Order, depth: int) -> None:
        self.depth = depth
        self.ending: Exception | None = None
        self._order = order
        self._chance = random.Random(order if isinstance(order, int) else 0)  # noqa: S311
        self._pending: dict[Any, Callable[[], Any]] = {}
        self._done: dict[Any, Any] = {}

    def __enter__(self) -> OrderedPrefetcher:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to give up."""

    def close(self) -> None:
        """Nothing to give up."""

    def is_done(self, key: object) -> bool:
        return key not in self._pending

    def __len__(self) -> int:
        return len(self._pending) + len(self._done)

    def __contains__(self, key: object) -> bool:
        return key in self._pending or key in self._done

    def end(self, reason: Exception | None) -> None:
        self.ending = self.ending or reason

    def keep(self, keys: Collection[Any]) -> None:
        for known in (self._pending, self._done):
            for key in [key for key in known if key not in keys]:
                del known[key]

    def start(self, key: object, call: Callable[[], Any]) -> None:
        self._pending[key] = call
        if self._order == "at once":
            self._make(key)
        elif self._order != "backward":
            self._make_some()

    def take(self, key: object) -> Any:
        if self._order == "backward":
            for pending in reversed(list(self._pending)):
                self._make(pending)
        elif self._order != "at once":
            self._make_some()
        if key in self._pending:
            self._make(key)
        outcome = self._done.pop(key)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _make_some(self) -> None:
        for key in self._chance.sample(list(self._pending), self._chance.randint(0, len(self._pending))):
            self._make(key)

    def _make(self, key: object) -> None:
        try:
            self._done[key] = self._pending.pop(key)()
        except BaseException as err:  # noqa: BLE001  # raised where it is taken
            self._done[key] = err


def reading_ahead(order: Order, depth: int = 4) -> Any:
    """Return a context in which clients that may read ahead do so in this order, so many pages far."""

    class Ordered:
        def __class_getitem__(cls, _: object) -> Callable[..., OrderedPrefetcher]:
            return lambda most, clock: OrderedPrefetcher(order, min(depth, most))  # noqa: ARG005

    return mock.patch("airflow_provider_kore.api.reader.Prefetcher", Ordered)
