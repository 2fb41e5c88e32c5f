"""What the server served: one record per request, and sums over all of them. Never a token, a header or a contact."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.simulator.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRequest:
    """One request and how it was answered.

    :param number: order of arrival, from 1.
    :param time: arrival in seconds since 1970 on the machine's clock.
    :param endpoint: name of the endpoint, ``unknown`` for none of the vendor's.
    :param skip: offset that the request asked for, None if it named none.
    :param limit: page size that the request asked for, None if it named none.
    :param status: HTTP status that was answered, 0 if the connection was reset instead.
    :param bytes: size of the body.
    :param fault: names of the faults that struck, joined by ``+``; empty for none.
    :param refused: why it was no success, in a word or two; empty if it was one.
    """

    number: int
    time: float
    method: str
    path: str
    query: Mapping[str, str]
    endpoint: str
    skip: int | None
    limit: int | None
    status: int
    bytes: int
    fault: str
    refused: str


class Journal:
    """The last requests, and the sums of all."""

    def __init__(self) -> None:
        """Start empty."""
        self.served: deque[ServedRequest] = deque()
        self.forget()

    def forget(self) -> None:
        """Start afresh; request numbers go on."""
        self.served.clear()
        self._endpoints: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._faults: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._bytes = 0
        self._window: deque[float] = deque()
        self._peak = 0

    def add(self, record: ServedRequest, settings: Settings) -> None:
        """Record a request; the settings say how many to keep, and in what window the report's peak is counted."""
        self.served.append(record)
        while len(self.served) > settings.keep_requests:
            self.served.popleft()
        self._endpoints[record.endpoint] += 1
        self._statuses[record.status] += 1
        self._bytes += record.bytes
        if record.fault:
            self._faults.update(record.fault.split("+"))
        if record.refused:
            self._refused[record.refused] += 1
        self._window.append(record.time)
        while self._window[0] <= record.time - settings.minute_seconds:
            self._window.popleft()
        self._peak = max(self._peak, len(self._window))

    def report(self) -> dict[str, Any]:
        """Return sums over all requests since the start, or since they were last forgotten."""
        return {
            "requests": self._endpoints.total(),
            "endpoints": dict(self._endpoints),
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
            "faults": dict(self._faults),
            "refused": dict(self._refused),
            "rate_limited": sum(count for why, count in self._refused.items() if why.startswith("rate limit")),
            "peak_requests_per_minute": self._peak,
            "bytes": self._bytes,
        }
