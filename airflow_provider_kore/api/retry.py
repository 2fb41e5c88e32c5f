"""When to send a request again: how often, how soon, and how long to wait for an allowance."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.exceptions import RateLimitedError, RetryableError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with full jitter; waiting for an allowance is counted in time, not in tries."""

    attempts: int = 6
    """How often one request is sent at the most, refusals for the rate not counted."""
    first_delay: float = 1.0
    """Seconds before the first retry, at the most; each further one doubles."""
    longest_delay: float = 30.0
    """Seconds between two tries at the most, unless the server names more."""
    longest_rate_wait: float = 900.0
    """Seconds that one request waits for an allowance that others spent; a spent hour may take an hour."""
    uniform: Callable[[float, float], float] = field(default=random.uniform, repr=False)

    def delay(self, failures: int, error: RetryableError) -> float | None:
        """Return the seconds before the next try after ``failures`` of them; None: give up."""
        if failures >= self.attempts:
            return None
        backoff = self.uniform(0.0, min(self.longest_delay, self.first_delay * 2.0 ** (failures - 1)))
        delay = max(backoff, error.retry_after or 0.0)
        return delay if delay <= self.longest_rate_wait else None

    def rate_delay(self, refusals: int, waited: float, error: RateLimitedError) -> float | None:
        """Return the seconds before asking again after a refusal for the rate; None: give up.

        :param refusals: of this request, in a row.
        :param waited: seconds it has waited for the allowance so far.

        A ``Retry-After`` is honoured with a floor of one second: 0 is not leave to hammer.
        """
        grown = min(60.0, 5.0 * 2.0 ** (refusals - 1))
        wanted = grown if error.retry_after is None else max(1.0, error.retry_after)
        delay = wanted + self.uniform(0.0, 0.1 * wanted)
        budget = max(self.longest_rate_wait, 4200.0 if "hourly" in str(error) else 0.0)
        return delay if waited + delay <= budget else None


NO_RETRIES = RetryPolicy(attempts=1, longest_rate_wait=0.0)
"""One try, for whoever is waiting at a screen."""
