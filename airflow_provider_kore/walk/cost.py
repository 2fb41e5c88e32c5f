"""What a walk has cost so far: requests, waiting, and which of an allowance they took."""

from __future__ import annotations

import operator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What requests have cost, for logs and manifests."""

    requests: int = 0
    retries: int = 0
    rate_limited: int = 0
    """Refusals for the rate."""
    waited: float = 0.0
    """Seconds waited for the allowance."""
    bytes: int = 0
    """Of answers' bodies, unpacked."""
    pages: int = 0
    """Those that were believed."""
    rows: int = 0
    """On those pages."""

    def __add__(self, other: Spent) -> Spent:
        return self._with(operator.add, other)

    def __sub__(self, other: Spent) -> Spent:
        return self._with(operator.sub, other)

    def _with(self, operation: Callable[[Any, Any], Any], other: Spent) -> Spent:
        mine, theirs = asdict(self), asdict(other)
        return Spent(**{name: operation(mine[name], theirs[name]) for name in mine})


class Usage(NamedTuple):
    """Requests that were answered around one instant: how a checkpoint remembers a window."""

    answered: float
    """Seconds since the epoch; none of them later."""
    requests: int
