"""An account that several clients share by a ledger, in a world of given time: skewed clocks, deaths, lost answers."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_kore.api import membership
from airflow_provider_kore.api.ledger import Terms
from airflow_provider_kore.api.sharing import SharedAllowance
from airflow_provider_kore.exceptions import StoreUnavailableError
from airflow_provider_kore.store.shared import SharedObject
from airflow_provider_kore.store.store import Condition, ConditionFailed, StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH = 1_800_000_000.0
FOREVER = 2_000_000
MINUTE, HOUR = 60.0, 3600.0


@dataclass
class Clock:
    """A clock of one process, which began at some time of its own."""

    world: World
    offset: float
    behind: float = 0.0
    """Seconds by which the next look is in the past: a request has been under way so long."""

    def monotonic(self) -> float:
        return self.world.now + self.offset - self.behind

    def time(self) -> float:
        return EPOCH + self.world.now + self.offset

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody waits {seconds} s here")


@dataclass
class Bucket:
    """What is in the store, and what goes wrong on the way to it."""

    world: World
    body: bytes | None = None
    version: int = 0
    requests: int = 0
    trouble: float = 0.0
    """How likely each request fails, before or after it was carried out."""
    between: Callable[[Clock], None] | None = None
    """Called now and then just before a write, with the clock of the one that writes."""
    down: bool = False
    lost: Literal["", "request", "answer"] = ""
    """What of a write never arrives."""

    def at(self, moment: float) -> float:
        return math.floor(EPOCH + moment)


class Store:
    """One process's way to the bucket."""

    bucket = "lake"
    endpoint = "https://s3.eu-central-1.amazonaws.com"
    honours_conditions = True

    def __init__(self, bucket: Bucket, clock: Clock) -> None:
        self._bucket = bucket
        self._clock = clock
        self._random = bucket.world.random
        self.answered: float | None = None

    def read(self, key: str, most: int) -> tuple[bytes, str] | None:
        del key, most
        self._under_way()
        if self._bucket.body is None:
            return None
        return self._bucket.body, f'"{self._bucket.version}"'

    def put(self, key: str, body: bytes, *, content_type: str, condition: Condition) -> StoredObject:
        assert content_type == "application/json"
        bucket = self._bucket
        if bucket.between is not None and self._random.random() < 0.1:
            between, bucket.between = bucket.between, None
            between(self._clock)
            bucket.between = between
        self._under_way()
        there = None if bucket.body is None else f'"{bucket.version}"'
        if condition.etag != there:
            raise ConditionFailed(key)
        if bucket.lost == "request":
            raise StoreUnavailableError("the request was lost")
        bucket.body, bucket.version = body, bucket.version + 1
        if bucket.lost or self._random.random() < bucket.trouble:
            raise StoreUnavailableError("the answer was lost")
        return StoredObject(key=key, size=len(body), etag=f'"{bucket.version}"')

    def _under_way(self) -> None:
        self._bucket.requests += 1
        if self._bucket.down or self._random.random() < self._bucket.trouble:
            raise StoreUnavailableError("no answer")
        self.answered = self._bucket.at(self._bucket.world.now - self._clock.behind * self._random.random())
        self._clock.behind = 0.0


class Object(SharedObject):
    """The real one, whose requests have been under way for a while when they are answered."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(lambda: store, "kore/ledger.json", "s3://lake/kore/ledger.json", clock, 1 << 18)  # type: ignore[arg-type,return-value]
        self._mine = clock

    def read(self) -> Any:
        return self._timed(super().read)

    def write(self, body: bytes, etag: str | None) -> None:
        self._timed(lambda: super(Object, self).write(body, etag))

    def _timed(self, call: Callable[[], Any]) -> Any:
        self._mine.behind = self._mine.world.random.uniform(0.0, 0.05)
        try:
            return call()
        finally:
            self._mine.behind = 0.0


@dataclass(eq=False)
class Client:
    """One task."""

    allowance: SharedAllowance
    left: int
    latency: float
    flying: int = 0
    ended: float = 0.0
    refused: int = 0
    dead: bool = False
    started: bool = False


@dataclass
class World:
    """The account, its server and its clients."""

    per_minute: int = 60
    per_hour: int = 0
    seed: int = 0
    latency: float = 0.05
    terms: Terms = field(default_factory=Terms)
    now: float = 0.0
    counted: list[float] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    events: list[tuple[float, int, str, Any, float, float | None]] = field(default_factory=list)
    number: int = 0
    until: float = math.inf

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311
        self.bucket = Bucket(self)
        membership.new_name = lambda: f"{self.random.getrandbits(64):016x}"

    def client(self, requests: int, *, start: float = 0.0, **more: Any) -> Client:
        clock = Clock(self, self.random.uniform(0.0, 100_000.0))
        allowance = SharedAllowance.per_minute_and_hour(
            self.per_minute, self.per_hour, clock,
            ledger=Object(Store(self.bucket, clock), clock), terms=self.terms, threaded=False, **more,
        )  # fmt: skip
        allowance._uniform = self.random.uniform
        client = Client(allowance, requests, self.latency * self.random.uniform(0.5, 1.5))
        self.clients.append(client)
        at = start + self.random.random() * 0.2
        self.push(at, "try", client)
        self.push(at + 0.001, "beat", client)
        return client

    def kill(self, client: Client) -> None:
        """Let it die without a word."""
        client.dead = True

    def at(self, moment: float, what: Callable[[], None]) -> None:
        self.push(moment, "do", what)

    def push(self, at: float, what: str, client: Any, started: float = 0.0, wait: float | None = None) -> None:
        self.number += 1
        heapq.heappush(self.events, (at, self.number, what, client, started, wait))

    def run(self) -> None:
        while self.events:
            if self.events[0][0] > self.until:
                return
            at, _, what, client, started, wait = heapq.heappop(self.events)
            self.now = at
            assert self.number < FOREVER, "somebody hammers"
            if what == "do":
                client()
            elif what == "arrive":
                self.push(at + client.latency / 2, "answer", client, started, self.admit(at))
            elif not client.dead:
                getattr(self, f"_{what}")(client, started, wait)

    def _try(self, client: Client, *_: Any) -> None:
        if client.left <= client.flying:
            return
        delay = client.allowance.book()
        if delay:
            self.push(self.now + min(delay, client.allowance.patience), "try", client)
            return
        client.flying += 1
        self.push(self.now + client.latency / 2, "arrive", client, self.now)

    def _beat(self, client: Client, *_: Any) -> None:
        if client.ended and not client.left:
            return
        self.push(self.now + client.allowance.beat(), "beat", client)

    def _answer(self, client: Client, started: float, wait: float | None) -> None:
        client.flying -= 1
        if wait is None:
            if not client.started:
                client.started = True
                for _ in range(self.at_once - 1):
                    self.push(self.now, "try", client)
            client.left -= 1
            client.ended = self.now
            client.allowance.settle()
        else:
            client.refused += 1
            local = client.allowance._clock.monotonic() - self.now  # type: ignore[attr-defined]
            client.allowance.refused(started=started + local, hourly=wait > MINUTE, retry_after=None)
            self.push(self.now + 0.01, "beat", client)
        if client.left:
            self.push(self.now, "try", client)
        else:
            client.allowance.leave()

    @property
    def at_once(self) -> int:
        return min(32, max(1, (self.per_minute or self.per_hour) // 15))

    def admit(self, now: float) -> float | None:
        """Count a request as the vendor's server does; return the seconds to wait if it is refused."""
        counted = self.counted
        wait = max(
            (
                counted[-limit] + seconds - now
                for limit, seconds in ((self.per_minute, MINUTE), (self.per_hour, HOUR))
                if limit and len(counted) >= limit
            ),
            default=-math.inf,
        )
        if wait <= 0:
            self.counted.append(now)
        return wait if wait > 0 else None

    @property
    def refused(self) -> int:
        return sum(client.refused for client in self.clients)

    @property
    def ended(self) -> float:
        return max(client.ended for client in self.clients)
