"""One small object that several processes change, each by a conditional write, and the clock of its store."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from airflow_provider_kore.exceptions import RequestRefusedError
from airflow_provider_kore.store.capabilities import honoured_by
from airflow_provider_kore.store.store import AccessRefused, Condition, ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.clock import Clock

_DRIFT: Final = 1e-4
"""Seconds per second by which two clocks may drift apart: ten times what computers do."""

_RESOLUTION: Final = 1.0
"""Seconds between two values of HTTP's header ``Date``, which is cut off, not rounded."""

_NARROW: Final = 0.1
"""Seconds within which the store's clock is known well enough."""


class SwapStore(ObjectStore, Protocol):
    """A store that can do what a conditional change of a small object takes."""

    @property
    def answered(self) -> float | None:
        """When the store gave its last answer, by its own clock, in seconds since the epoch, cut off to whole ones."""

    def read(self, key: str, most: int) -> tuple[bytes, str] | None:
        """Return a small object, or its beginning of more than ``most`` bytes, and its ETag; None if there is none."""


@dataclass(frozen=True, slots=True)
class Version:
    """What the object held, or will hold if nobody else writes."""

    body: bytes
    etag: str


class ServerTime:
    """What is known of the store's clock: the time between sending and answer contains the answer's ``Date``.

    Each answer narrows it, whatever the clock of this machine says.
    """

    def __init__(self) -> None:
        self._least = 0.0
        self._most = 0.0
        self._at: float | None = None

    def observe(self, sent: float, received: float, date: float) -> None:
        """Learn from an answer; all but the date on this machine's monotonic clock."""
        least, most = date - received, date + _RESOLUTION - sent
        if self._at is not None:
            drift = _DRIFT * max(0.0, received - self._at)
            known = self._least - drift, self._most + drift
            both = max(least, known[0]), min(most, known[1])
            # servers of one store whose clocks differ: believe all of them
            least, most = both if both[0] <= both[1] else (min(least, known[0]), max(most, known[1]))
        self._least, self._most, self._at = least, most, received

    @property
    def is_known(self) -> bool:
        """Whether there was an answer."""
        return self._at is not None

    def earliest(self, now: float) -> float:
        """Return what the store's clock shows at least."""
        return now + self._least

    def latest(self, now: float) -> float:
        """Return what it shows at the most."""
        return now + self._most

    def surely_after(self, instant: float) -> float:
        """Return when, on this machine's clock, an instant of the store's has passed for certain."""
        return instant - self._least

    def best_moment(self, now: float, delay: float) -> float:
        """Return a delay like this one after which an answer tells more: half of what is possible will be ruled out."""
        width = self._most - self._least
        if width <= _NARROW or delay < _RESOLUTION:
            return delay
        at = now + delay + (self._least + self._most) / 2
        return delay - (at - round(at))


class SharedObject:
    """Reads and replaces the object. One thread at a time.

    :param connect: makes the store, which may take a while; called once, at first use.
    """

    def __init__(self, connect: Callable[[], SwapStore], key: str, uri: str, clock: Clock, most: int) -> None:
        self._connect = connect
        self._key = key
        self._clock = clock
        self._most = most
        self._store: SwapStore | None = None
        self.uri = uri
        self.time = ServerTime()

    def read(self) -> Version | None:
        """Return what is there. Raises KoreError."""
        store = self._open()
        sent = self._clock.monotonic()
        try:
            found = store.read(self._key, self._most)
        except AccessRefused:
            # where listing is granted for a prefix only, S3 answers so for an absent key as well
            if any(there.key == self._key for there in islice(store.list(self._key), 1)):
                raise
            found = None
        self._observe(store, sent)
        if found is None:
            return None
        body, etag = found
        if not etag:
            raise RequestRefusedError(f"{self.uri}: the store tells no ETag, so a change of it can't be conditional.")
        return Version(body, etag)

    def write(self, body: bytes, etag: str | None) -> None:
        """Replace the version of this ETag; None: create it. Raises ConditionFailed, KoreError.

        A store that ignores conditions is found out before the object is first created.
        """
        store = self._open()
        if etag is None:
            honoured = honoured_by(store, f"{self._key.rpartition('/')[0]}/".lstrip("/"))
            if honoured.ignored or not honoured.usable:
                raise RequestRefusedError(f"{self.uri}: the store does not honour conditional writes.")
        sent = self._clock.monotonic()
        store.put(self._key, body, content_type="application/json", condition=Condition(etag=etag))
        self._observe(store, sent)

    def _open(self) -> SwapStore:
        if self._store is None:
            self._store = self._connect()
        return self._store

    def _observe(self, store: SwapStore, sent: float) -> None:
        if store.answered is None:
            raise RequestRefusedError(f"{self.uri}: the store's answers have no header Date to tell its time.")
        self.time.observe(sent, self._clock.monotonic(), store.answered)
