"""What a walk has cost so far: requests, waiting, and which of an allowance they took."""

from __future__ import annotations

from dataclasses import dataclass
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
        return Spent(
            requests=self.requests + other.requests,
            retries=self.retries + other.retries,
            rate_limited=self.rate_limited + other.rate_limited,
            waited=self.waited + other.waited,
            bytes=self.bytes + other.bytes,
            pages=self.pages + other.pages,
            rows=self.rows + other.rows,
        )

    def __sub__(self, other: Spent) -> Spent:
        return Spent(
            requests=self.requests - other.requests,
            retries=self.retries - other.retries,
            rate_limited=self.rate_limited - other.rate_limited,
            waited=self.waited - other.waited,
            bytes=self.bytes - other.bytes,
            pages=self.pages - other.pages,
            rows=self.rows - other.rows,
        )


class Usage(NamedTuple):
    """Requests that were answered around one instant: how a checkpoint remembers a window."""

    answered: float
    """Seconds since the epoch; none of them later."""
    requests: int
