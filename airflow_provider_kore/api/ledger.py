"""What those who share an account's allowance tell each other: who holds how many of its places. No I/O, no clock.

A window of an allowance is so many *places*. Each is always in one hand: a holder's, which may use it again and again,
once per window, for as long as its lease lasts; or nobody's, from an instant on. So no window can ever hold more
requests than it has places, whoever sends them. A holder writes only to renew its lease and to pass places on.

All instants are those of the store's clock, in seconds since the epoch.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT: Final = "kore-allowance-ledger/1"

LARGEST: Final = 256 * 1024
"""Bytes of a ledger at the most; one of a hundred tasks has some ten thousand."""

LONGEST_PAUSE: Final = 21_600.0
"""Seconds (six hours) that a server may ask to wait."""

_FUTURE: Final = 300.0
"""Seconds beyond what any writer of ours can mean."""

_BUCKETS: Final = 240
"""Into how many parts a window is cut to be remembered."""

_MOST_HEIRS: Final = 8
_WISH: Final = "-wish"

Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Time = Annotated[float, msgspec.Meta(ge=0.0, le=1e12)]
Places = list[tuple[float, int]]
"""From when on, and how many; 0.0: already."""


class LedgerError(Exception):
    """What is there is no ledger of ours, or can't be used. Never leaves this package.

    :param problem: goes on after "the ledger s3://…": ``is no JSON``.
    :param advice: what a person can do.
    """

    def __init__(self, problem: str, advice: str = "delete it, and the next task makes a new one") -> None:
        super().__init__(problem, advice)
        self.problem = problem
        self.advice = advice


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How often the ledger is looked at, and for how long it is believed. All in seconds."""

    beat: float = 3.0
    """Between two looks of a holder that has its share."""
    hungry: float = 1.0
    """Between two looks of one that has not."""
    lease: float = 30.0
    """How long places are held without being renewed: those of a task that died come back after it."""
    renewed: float = 10.0
    """After so much of a lease it is renewed."""
    grace: float = 5.0
    """How long after the end of its lease a holder's last request may still arrive."""
    settle: float = 5.0
    """How long a new ledger gives no place away, so that all who held some of a deleted one can say so."""
    resettle: float = 15.0
    """The same of one that is known to have been deleted or damaged."""
    horizon: float = 120.0
    """Places that come free later than this from now are kept by nobody."""
    wish: float = 60.0
    """How long a place is kept for one who could not wait for it."""
    rejoin: float = 30.0
    """Between two tries of one that had to go on alone."""
    patience: float = 10.0
    """How long a task waits for the store before it begins alone."""
    leave: float = 1.5
    """How long the end of a task waits for its places to be given back."""
    idle: float = 20.0
    """After so long without a request a client gives its places back."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """One client."""

    until: Time
    """When its lease ends."""
    turn: Count
    """Number of its last write."""
    wants: dict[str, Count]
    """How many places of each window it could use."""
    held: dict[str, Count]
    since: Time
    """What it wants counts from then on: it may be a wish of a client that is coming back."""


class _Window(msgspec.Struct):
    """A window, as it is kept."""

    seconds: Annotated[float, msgspec.Meta(gt=0.0, le=1e12)]
    spent: list[tuple[Time, Count]]


class _Kept(msgspec.Struct, kw_only=True):
    """A ledger, as it is kept."""

    format: str
    name: str
    epoch: Count
    settled: Time
    pause: Time
    windows: dict[str, _Window]
    holders: dict[str, Holder]
    heirs: list[str]


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The places of an account, and who holds them."""

    name: str
    """Of this object, until it is deleted."""
    settled: float
    """From when on places are given away."""
    epoch: int = 0
    """How often it was restored after it had been deleted or damaged."""
    pause: float = 0.0
    """Until when nobody sends anything, because the server has asked for it."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each window is."""
    spent: dict[str, dict[float, int]] = field(default_factory=dict)
    """Of each window: from when on how many places that nobody holds are free again."""
    holders: dict[str, Holder] = field(default_factory=dict)
    heirs: list[str] = field(default_factory=list)
    """Names of the deleted ones whose places are in here."""

    def know(self, window: str, seconds: float) -> None:
        """Note a window's length."""
        self.seconds[window] = max(seconds, self.seconds.get(window, 0.0))
        self.spent.setdefault(window, {})

    def sweep(self, now: float, grace: float) -> bool:
        """Forget what is over at ``now``, which is not later than it is; return whether a holder's lease had ended.

        Its places may have been used at the last moment of the lease.
        """
        for window, spent in self.spent.items():
            self.spent[window] = {at: number for at, number in spent.items() if at > now}
        ended = [name for name, holder in self.holders.items() if holder.until <= now]
        for name in ended:
            holder = self.holders.pop(name)
            for window, number in holder.held.items():
                self.give(window, [(holder.until + grace + self.seconds[window], number)])
        return bool(ended)

    def give(self, window: str, places: Places) -> None:
        """Take places back, which are free from an instant on, or a little later: instants are rounded up."""
        spent, width = self.spent[window], self.seconds[window] / _BUCKETS
        for at, number in places:
            if number:
                bucket = round(math.ceil(at / width) * width, 3)
                spent[bucket] = spent.get(bucket, 0) + number

    def held(self, window: str) -> int:
        """Return how many places are in somebody's hand."""
        return sum(holder.held.get(window, 0) for holder in self.holders.values())

    def available(self, window: str, limit: int, horizon: float = math.inf) -> Places:
        """Return the places that nobody holds and that are free until ``horizon``, the first ones first.

        Where more places are out than there are, those that come free first only make up for that.
        """
        spent = sorted(self.spent.get(window, {}).items())
        free = limit - self.held(window) - sum(number for _, number in spent)
        found, missing = ([(0.0, free)] if free > 0 else []), max(0, -free)
        for at, number in spent:
            masked = min(missing, number)
            missing -= masked
            if number > masked and at <= horizon:
                found.append((at, number - masked))
        return found

    def take(self, window: str, number: int, limit: int, horizon: float) -> Places:
        """Hand out so many places that nobody holds, or as many as there are."""
        taken: Places = []
        for at, there in self.available(window, limit, horizon):
            amount = min(there, number)
            if amount <= 0:
                break
            number -= amount
            taken.append((at, amount))
            if at:
                self.spent[window][at] -= amount
        self.spent[window] = {at: left for at, left in self.spent[window].items() if left}
        return taken

    def targets(self, window: str, limit: int, cap: int, now: float, horizon: float) -> dict[str, int]:
        """Return how many places each holder should have: as equal as what they want allows, and all of them together.

        Everyone who reads the same ledger finds the same.

        :param cap: places that one holder may want at the most.
        """
        wanted = {
            name: min(holder.wants.get(window, 0), cap) for name, holder in self.holders.items() if holder.since <= now
        }
        free = sum(number for _, number in self.available(window, limit, horizon))
        left = min(limit, self.held(window) + free)
        # where there are fewer places than holders, they take turns
        turn = int(now // (2 * self.seconds[window])) if left < len(wanted) else 0
        found: dict[str, int] = {}
        for after, name in enumerate(sorted(wanted, key=lambda each: (wanted[each], _mixed(each, turn)))):
            found[name] = min(wanted[name], left // (len(wanted) - after))
            left -= found[name]
        return found

    def wish(self, name: str, wish: Holder) -> None:
        """Keep places for one who leaves now and comes back."""
        self.holders[f"{name}{_WISH}"] = wish

    def fulfil(self, now: float) -> None:
        """Let a newcomer have what the wish that ends first is for: it made it, or comes in its maker's stead."""
        wishes = [name for name, holder in self.holders.items() if name.endswith(_WISH) and holder.since <= now]
        if wishes:
            del self.holders[min(wishes, key=lambda name: self.holders[name].until)]

    def doubt(self, window: str, limit: int, now: float) -> None:
        """Take the places that seem to be free for used at ``now``, the latest that it may be."""
        free = sum(number for at, number in self.available(window, limit) if not at)
        self.give(window, [(now + self.seconds[window], free)])

    def adopt(self, other: Ledger) -> None:
        """Take over what is known of a ledger that was deleted, once."""
        if other.name == self.name or other.name in self.heirs:
            return
        self.heirs = [*self.heirs, other.name][-_MOST_HEIRS:]
        self.pause = max(self.pause, other.pause)
        for name, holder in other.holders.items():
            self.holders.setdefault(name, holder)
        for window, spent in other.spent.items():
            self.know(window, other.seconds[window])
            self.give(window, list(spent.items()))

    def dump(self) -> bytes:
        """Return it as it is kept, instants in milliseconds."""
        kept = _Kept(
            format=FORMAT,
            name=self.name,
            epoch=self.epoch,
            settled=round(self.settled, 3),
            pause=round(self.pause, 3),
            windows={
                window: _Window(seconds, sorted(self.spent[window].items())) for window, seconds in self.seconds.items()
            },
            holders={
                name: msgspec.structs.replace(holder, until=round(holder.until, 3), since=round(holder.since, 3))
                for name, holder in self.holders.items()
            },
            heirs=self.heirs,
        )
        return msgspec.json.encode(kept)


def parse(body: bytes, now: float, terms: Terms) -> Ledger:
    """Return what is kept. Raises LedgerError.

    :param now: the latest that it may be.
    """
    if len(body) > LARGEST:
        raise LedgerError(f"has more than {LARGEST // 1024} KiB")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise LedgerError("is no JSON") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise LedgerError(
            f"is not of the format {FORMAT}", "install one version of this provider everywhere, or name another place"
        )
    try:
        kept = msgspec.convert(content, _Kept)
    except msgspec.ValidationError:
        raise LedgerError("is damaged") from None
    if not all({*holder.wants, *holder.held} <= kept.windows.keys() for holder in kept.holders.values()):
        raise LedgerError("is damaged")
    found = Ledger(
        name=kept.name,
        epoch=kept.epoch,
        settled=kept.settled,
        pause=kept.pause,
        seconds={name: window.seconds for name, window in kept.windows.items()},
        spent={name: dict(window.spent) for name, window in kept.windows.items()},
        holders=kept.holders,
        heirs=kept.heirs,
    )
    longest = max(found.seconds.values(), default=0.0)
    latest = now + _FUTURE + max(LONGEST_PAUSE, 3 * longest) + terms.wish
    leases = [holder.until for holder in found.holders.values() if any(holder.held.values())]
    times = [found.pause, *(at for spent in found.spent.values() for at in spent)]
    wishes = [holder.until for holder in found.holders.values()]
    if max([*times, *wishes], default=0.0) > latest or max([found.settled, *leases], default=0.0) > now + _FUTURE:
        raise LedgerError("lies in the future")
    return found


def _mixed(name: str, turn: int) -> str:
    return hashlib.blake2b(f"{turn} {name}".encode(), digest_size=8).hexdigest() if turn else name


def local(places: Places, as_local: Callable[[float], float]) -> list[float]:
    """Return an instant for each place, on another clock."""
    return [as_local(at) if at else -math.inf for at, number in places for _ in range(number)]
