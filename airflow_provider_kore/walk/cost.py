"""What a walk has cost so far: requests, waiting, and which of an allowance they took."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple


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
        theirs = asdict(other)
        return Spent(**{name: mine + theirs[name] for name, mine in asdict(self).items()})

    def __sub__(self, other: Spent) -> Spent:
        theirs = asdict(other)
        return Spent(**{name: mine - theirs[name] for name, mine in asdict(self).items()})


class Usage(NamedTuple):
    """Requests that were answered around one instant: how a checkpoint remembers a window."""

    answered: float
    """Seconds since the epoch; none of them later."""
    requests: int
