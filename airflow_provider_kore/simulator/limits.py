"""The account's allowance: two rolling windows that every application on the account shares."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from airflow_provider_kore.simulator.settings import Settings


@dataclass(frozen=True, slots=True)
class Spent:
    """A window has nothing left; ``wait`` is in seconds until it has."""

    window: Literal["minute", "hour"]
    wait: float


class Allowance:
    """When the requests of one account arrived, as far back as its windows reach.

    Source: docs.kore.ai, contact center limits: 60 requests per rolling minute, per account; platform limits: a rolling
    hour beside the minute, and once the hour is spent, requests fail even when the minute is not.
    """

    def __init__(self) -> None:
        """Start with nothing used."""
        self._counted: deque[float] = deque()

    def admit(self, now: float, settings: Settings) -> Spent | None:
        """Count the request that arrives at ``now`` (seconds, monotonic); None lets it pass.

        The hour is looked at first, because it makes the client wait longer.
        """
        windows: list[tuple[Literal["minute", "hour"], int, float]] = [
            ("hour", settings.requests_per_hour, settings.hour_seconds),
            ("minute", settings.requests_per_minute, settings.minute_seconds),
        ]
        limited = [window for window in windows if window[1]]
        if not limited:
            self._counted.clear()
            return None
        longest = max(seconds for _, _, seconds in limited)
        while self._counted and self._counted[0] <= now - longest:
            self._counted.popleft()
        for name, allowed, seconds in limited:
            # The window is full exactly if the request `allowed` places back is still inside.
            wait = self._counted[-allowed] + seconds - now if len(self._counted) >= allowed else 0.0
            if wait > 0:
                if settings.count_refused:
                    self._counted.append(now)
                return Spent(name, wait)
        self._counted.append(now)
        return None

    def left(self, now: float, settings: Settings) -> int:
        """Count the requests that the short window has room for."""
        since = now - settings.minute_seconds
        return max(0, settings.requests_per_minute - sum(each > since for each in self._counted))
