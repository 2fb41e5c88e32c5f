"""When a fault happens: to which requests, from which on, how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from airflow_provider_kore.simulator.checks import check_types
from airflow_provider_kore.simulator.endpoints import ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from airflow_provider_kore.simulator.calls import Call
    from airflow_provider_kore.simulator.faults import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Which requests a fault happens to. All conditions must hold.

    :param endpoint: one endpoint's name; none: every one the fault can happen to.
    :param list_id: requests for this list only; also the list that changes.
    :param after_requests: so many of these requests pass unharmed first.
    :param times: how often it happens; none: always, list changes once.
    :param probability: of each matching request.
    :param seed: of that draw; by default the setting ``seed``.
    :param at_offset: only when the item at this offset is asked for.
    """

    endpoint: str | None = None
    list_id: str | None = None
    after_requests: int = 0
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    at_offset: int | None = None

    def __post_init__(self) -> None:
        """Refuse conditions that can never hold."""
        check_types(self)
        if self.endpoint is not None and self.endpoint not in ENDPOINTS:
            raise ValueError(f"endpoint={self.endpoint!r}: use one of {', '.join(ENDPOINTS)}")
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability={self.probability!r}: use a number from 0 to 1")


@dataclass(slots=True, eq=False)
class ArmedFault:
    """A fault that was added; as a context manager it takes the fault away at the end.

    :param number: what the control API calls it.
    :param disarm: takes it away.
    :param fired: how often it has happened.
    """

    number: int
    fault: Fault
    trigger: Trigger
    disarm: Callable[[ArmedFault], None]
    seen: int = 0
    fired: int = 0
    _random: Random = field(init=False)

    def __post_init__(self) -> None:
        """Seed the draw."""
        self._random = Random(self.trigger.seed)  # noqa: S311  # must be repeatable, not secret

    @property
    def name(self) -> str:
        """The fault's name in ``FAULTS``."""
        return self.fault.name

    def remove(self) -> None:
        """Take it away; doing so twice does no harm."""
        self.disarm(self)

    def __enter__(self) -> Self:
        """Leave the fault in place until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the fault away."""
        self.remove()

    def strikes(self, call: Call, skip: int, limit: int) -> bool:
        """Tell whether it happens to this request, and count the request.

        :param skip: offset that the request asks for.
        :param limit: number of items it asks for.
        """
        if not self._concerns(call):
            return False
        self.seen += 1
        at_offset = self.trigger.at_offset
        if self.seen <= self.trigger.after_requests or (at_offset is not None and not skip <= at_offset < skip + limit):
            return False
        times = self.fault.times if self.trigger.times is None else self.trigger.times
        if times is not None and self.fired >= times:
            return False
        if self.trigger.probability < 1.0 and self._random.random() >= self.trigger.probability:
            return False
        self.fired += 1
        return True

    def _concerns(self, call: Call) -> bool:
        trigger = self.trigger
        wanted = self.fault.endpoints if trigger.endpoint is None else {trigger.endpoint}
        if wanted is not None and call.endpoint not in wanted:
            return False
        return trigger.list_id is None or call.list_id in {"", trigger.list_id}
