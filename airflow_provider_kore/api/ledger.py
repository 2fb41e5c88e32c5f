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
from dataclasses import dataclass
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

    def __init__(self, problem: str, advice: str = "Delete it, and the next task makes a new one.") -> None:
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


class Window(msgspec.Struct):
    """A window, and the places in it that nobody holds."""

    seconds: Annotated[float, msgspec.Meta(gt=0.0, le=1e12)]
    """How long it is."""
    spent: list[tuple[Time, Count]]
    """From when on how many of those are free again, in this order."""


class Ledger(msgspec.Struct, kw_only=True):
    """The places of an account, and who holds them."""

    format: str = FORMAT
    name: str
    """Of this object, until it is deleted."""
    settled: Time
    """From when on places are given away."""
    pause: Time = 0.0
    """Until when nobody sends anything, because the server has asked for it."""
    windows: dict[str, Window] = msgspec.field(default_factory=dict)
    holders: dict[str, Holder] = msgspec.field(default_factory=dict)

    def know(self, window: str, seconds: float) -> None:
        """Note a window's length."""
        known = self.windows.setdefault(window, Window(seconds, []))
        known.seconds = max(seconds, known.seconds)

    def sweep(self, now: float, grace: float) -> bool:
        """Forget what is over at ``now``, which is not later than it is; return whether a holder's lease had ended.

        Its places may have been used at the last moment of the lease.
        """
        for each in self.windows.values():
            each.spent = [(at, number) for at, number in each.spent if at > now]
        ended = [name for name, holder in self.holders.items() if holder.until <= now]
        for name in ended:
            holder = self.holders.pop(name)
            for window, number in holder.held.items():
                self.give(window, [(holder.until + grace + self.windows[window].seconds, number)])
        return bool(ended)

    def give(self, window: str, places: Places) -> None:
        """Take places back, which are free from an instant on, or a little later: instants are rounded up."""
        known = self.windows[window]
        spent, width = dict(known.spent), known.seconds / _BUCKETS
        for at, number in places:
            if number:
                bucket = round(math.ceil(at / width) * width, 3)
                spent[bucket] = spent.get(bucket, 0) + number
        known.spent = sorted(spent.items())

    def held(self, window: str) -> int:
        """Return how many places are in somebody's hand."""
        return sum(holder.held.get(window, 0) for holder in self.holders.values())

    def available(self, window: str, limit: int, horizon: float = math.inf) -> Places:
        """Return the places that nobody holds and that are free until ``horizon``, the first ones first.

        Where more places are out than there are, those that come free first only make up for that.
        """
        spent = self.windows[window].spent
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
        left = dict(self.windows[window].spent)
        for at, there in self.available(window, limit, horizon):
            amount = min(there, number)
            if amount <= 0:
                break
            number -= amount
            taken.append((at, amount))
            if at:
                left[at] -= amount
        self.windows[window].spent = [(at, rest) for at, rest in left.items() if rest]
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
        turn = int(now // (2 * self.windows[window].seconds)) if left < len(wanted) else 0
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
        self.give(window, [(now + self.windows[window].seconds, free)])

    def dump(self) -> bytes:
        """Return it as it is kept."""
        return msgspec.json.encode(self)


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
            f"is not of the format {FORMAT}", "Install one version of this provider everywhere, or name another place."
        )
    try:
        found = msgspec.convert(content, Ledger)
    except msgspec.ValidationError:
        raise LedgerError("is damaged") from None
    if not all({*holder.wants, *holder.held} <= found.windows.keys() for holder in found.holders.values()):
        raise LedgerError("is damaged")
    longest = max((window.seconds for window in found.windows.values()), default=0.0)
    latest = now + _FUTURE + max(LONGEST_PAUSE, 3 * longest) + terms.wish
    leases = [holder.until for holder in found.holders.values() if any(holder.held.values())]
    times = [found.pause, *(at for window in found.windows.values() for at, _ in window.spent)]
    wishes = [holder.until for holder in found.holders.values()]
    if max([*times, *wishes]) > latest or max([found.settled, *leases]) > now + _FUTURE:
        raise LedgerError("lies in the future")
    return found


def _mixed(name: str, turn: int) -> str:
    return hashlib.blake2b(f"{turn} {name}".encode(), digest_size=8).hexdigest() if turn else name


def local(places: Places, as_local: Callable[[float], float]) -> list[float]:
    """Return an instant for each place, on another clock."""
    return [as_local(at) if at else -math.inf for at, number in places for _ in range(number)]
