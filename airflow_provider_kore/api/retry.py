"""When to send a request again: how often, how soon, and how long to wait for an allowance."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.exceptions import KoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with full jitter; waiting for an allowance is counted in time, not in tries."""

    attempts: int = 6
    """How often one request is sent at the most, refusals for the rate not counted."""
    first_delay: float = 1.0
    """Seconds before the first retry, at the most; each further one doubles."""
    longest_delay: float = 30.0
    """Seconds between two tries at the most, unless the server names more."""
    longest_named_delay: float = 900.0
    """Seconds that a server which is in trouble may ask for; beyond that the error is for the caller."""
    longest_rate_wait: float = 7200.0
    """Seconds that one request waits for an allowance that others spend; a spent hour may take an hour."""
    uniform: Callable[[float, float], float] = field(default=random.uniform, repr=False)

    def delay(self, failures: int, error: KoreError) -> float | None:
        """Return the seconds before the next try after ``failures`` of them; None: give up."""
        if failures >= self.attempts:
            return None
        backoff = self.uniform(0.0, min(self.longest_delay, self.first_delay * 2.0 ** (failures - 1)))
        delay = max(backoff, getattr(error, "retry_after", None) or 0.0)
        return delay if delay <= self.longest_named_delay else None


NO_RETRIES = RetryPolicy(attempts=1, longest_rate_wait=0.0)
"""One try, for a person who is waiting at a screen."""
