"""What a fault is, and the list of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from airflow_provider_kore.simulator.checks import check_types

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.simulator.answers import Answer
    from airflow_provider_kore.simulator.paging import Page
    from airflow_provider_kore.simulator.settings import Settings
    from airflow_provider_kore.simulator.state import State

FAULTS: dict[str, type[Fault]] = {}
"""Every fault by its name."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
@dataclass(frozen=True, kw_only=True)
class Fault:
    """One misbehaviour, a dataclass of its parameters. Override the step it spoils; the others leave all as it is.

    ``endpoints`` are the ones it can happen to, None for all; ``times`` is how often it happens unless the test says.
    """

    name: ClassVar[str] = ""
    endpoints: ClassVar[frozenset[str] | None] = None
    times: ClassVar[int | None] = None

    def __init_subclass__(cls, *, name: str = "") -> None:
        """Make it a dataclass, and list it under its name; a class without one is only a parent."""
        dataclass(frozen=True, kw_only=True)(cls)
        if name:
            cls.name = name
            FAULTS[name] = cls

    def __post_init__(self) -> None:
        """Refuse parameters of the wrong type now, and not in the middle of a request."""
        check_types(self)

    def change(self, state: State, list_id: str) -> None:
        """Change the state before the request is answered."""

    def answer(self, settings: Settings) -> Answer | None:  # the default step
        """Answer in the place of the endpoint; None lets the endpoint answer."""
        return None

    def shape(self, page: Page) -> Page:
        """Change a page before it is printed."""
        return page

    def deliver(self, answer: Answer) -> Answer:
        """Change the printed answer, or how it travels."""
        return answer


def answering(name: str, seen: str, answer: Callable[[Settings], Answer]) -> None:
    """Add a fault that has no parameters and answers so in the place of the endpoint.

    :param seen: what the client sees, as a docstring says it.
    """
    steps = {"answer": lambda _, settings: answer(settings), "__doc__": seen, "__module__": __name__}
    type(name, (Fault,), steps, name=name)


def make_fault(name: str, parameters: dict[str, Any]) -> Fault:
    """Build a fault from its name, as the command line and the control API spell it.

    Raises ValueError with a sentence for an unknown name or parameter.
    """
    kind = FAULTS.get(name)
    if kind is None:
        raise ValueError(f"there is no fault {name!r}; the faults are {', '.join(sorted(FAULTS))}")
    try:
        return kind(**parameters)
    except TypeError as err:
        raise ValueError(f"fault {name!r}: {err}") from err
