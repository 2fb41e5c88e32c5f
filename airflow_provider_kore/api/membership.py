"""What one client holds of an account's allowance, by the ledger: decisions, no I/O, no thread, no clock.

What a client tells the ledger counts there before it counts here (places it gets), or here before it counts there
(places it gives away), so that each place is in one hand at most, whatever is lost in between.
"""

from __future__ import annotations

import logging
import math
import uuid
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from airflow_provider_kore.api.allowance import JITTER
from airflow_provider_kore.api.ledger import Holder, Ledger, LedgerError, Terms, Window, local, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kore.api.ledger import Places
    from airflow_provider_kore.api.rolling_window import RollingWindow
    from airflow_provider_kore.store.shared import SharedObject, Version

log = logging.getLogger(__name__)


class State(Enum):
    """Where a client stands with the ledger."""

    NEW = "has not looked at the ledger, or has left it"
    JOINING = "looks for the first time"
    SHARING = "holds places"
    ALONE = "goes on without the ledger"


@dataclass(slots=True)
class Draft:
    """What this client has written, or tried to; which of the two, the next look at the ledger tells."""

    ledger: Ledger
    turn: int
    until: float
    gained: dict[str, Places] = field(default_factory=dict)
    ceded: dict[str, list[float]] = field(default_factory=dict)
    """From when on each is free, on this machine's clock."""


class Membership:
    """The places of one client. Not safe to share between threads.

    :param most: places that it wants at the most; None: as many as there are.
    """

    def __init__(self, windows: Sequence[RollingWindow], ledger: SharedObject, terms: Terms, most: int | None) -> None:
        self._windows = windows
        self._object = ledger
        self._terms = terms
        self._most = most
        self.state = State.NEW
        self.name = new_name()
        self.until = -math.inf
        """When its lease ends, on the store's clock."""
        self.settles_at = -math.inf
        """From when on the ledger gives places away, on this machine's clock."""
        self.hungry = False
        """Whether it has less than its share."""
        self.wanted = True
        """Whether a request had to wait since the last look."""
        self.waits_until = -math.inf
        self.wish: float | None = None
        """When it wants to come back."""
        self.known: Ledger | None = None
        """As it was last seen."""
        self.draft: Draft | None = None
        """A write whose answer is missing."""
        self._turn = 0

    def begin(self) -> None:
        """Begin to look at the ledger; until then there are no places.

        Under a new name: whatever became of what was last written under the old one, its lease ends by itself.
        """
        self.state, self.wanted = State.JOINING, True
        self.name, self.draft = new_name(), None
        for window in self._windows:
            window.places = 0

    def has_lapsed(self, now: float) -> bool:
        """Say whether the lease has ended before it was renewed."""
        return self.state is State.SHARING and self._object.time.latest(now) >= self.until

    def go_alone(self, now: float) -> None:
        """Go on as without a ledger, with this client's share if others were there."""
        number = 1 if self.known is None else len(self.known.holders.keys() | {self.name})
        has_places = self.state is State.SHARING and number > 1
        self.state, self.hungry = State.ALONE, False
        for window in self._windows:
            # The places of a long window are in a hand only while they are used; and one that had left has none.
            of_its_own = has_places and not self.is_long(window)
            window.share_with_others(window.places if of_its_own else window.limit // number, now)

    def stay_alone(self) -> None:
        """Go on so after a try to come back that has failed."""
        for window in self._windows:
            window.places = window.limit

    def decide(self, version: Version | None, now: float, *, pause: float, leaving: bool) -> Draft | None:
        """Return what to write; None: nothing. What is given away is no longer used from here on.

        :param version: of the ledger, as it was just read.
        :param pause: until when this client was asked to send nothing, on the store's clock; 0.0: it was not.

        Raises LedgerError.
        """
        time, terms = self._object.time, self._terms
        ledger = self._ledger_in(version, time.latest(now))
        self._resolve(ledger, now)
        for window in self._windows:
            ledger.know(window.name, window.seconds)
        changed = ledger.sweep(time.earliest(now), terms.grace)
        mine = ledger.holders.get(self.name)
        known = self.known
        if known is not None and (known.name != ledger.name or (mine is not None and mine.turn < self._turn)):
            # deleted, damaged or put back: whatever nobody holds may have been used by those who are gone
            changed, ledger.pause = True, max(ledger.pause, known.pause)
            ledger.settled = time.latest(now) + terms.resettle
            for window in self._windows:
                ledger.doubt(window.name, window.limit, time.latest(now))
        self._come_in(ledger, mine, now)
        if pause > ledger.pause + JITTER:
            ledger.pause, changed = pause, True
        draft = Draft(ledger=ledger, turn=self._turn + 1, until=time.earliest(now) + terms.lease)
        if leaving:
            self._let_go(draft, now)
            self.draft = draft
            return draft
        self.settles_at = time.surely_after(ledger.settled)
        wants = {window.name: self._wants(window, now) for window in self._windows}
        held = {window.name: window.places for window in self._windows}
        ledger.holders[self.name] = Holder(until=draft.until, turn=draft.turn, wants=wants, held=held, since=0.0)
        self.hungry = self.state is State.ALONE  # it comes in with what it has used, and has its share at the next look
        for window in self._windows if self.state is not State.ALONE else ():
            changed = self._share(window, draft, now) or changed
        self.wanted = now <= self.waits_until
        if mine is not None and not changed and self.state is State.SHARING:
            is_fresh = mine.until - draft.until > -terms.renewed
            if is_fresh and (mine.wants == wants or len(ledger.holders) == 1):
                self.known = ledger
                ledger.holders[self.name] = mine
                return None
        self.draft = draft
        return draft

    def _ledger_in(self, version: Version | None, now: float) -> Ledger:
        """Return the ledger; a new one, with what is known to be spent, if it is not there. Raises LedgerError.

        One that was damaged while this client used it is replaced; what it has never read is not its to replace.
        """
        if version is not None:
            try:
                return parse(version.body, now, self._terms)
            except LedgerError:
                if self.known is None:
                    raise
        ledger = Ledger(name=new_name(), settled=now + self._terms.settle)
        if self.known is not None:
            ledger.windows = {name: Window(each.seconds, each.spent) for name, each in self.known.windows.items()}
        return ledger

    def _resolve(self, ledger: Ledger, now: float) -> None:
        """Find out whether a write arrived whose answer is missing."""
        draft, self.draft = self.draft, None
        if draft is None:
            return
        mine = ledger.holders.get(self.name)
        if mine is not None and mine.turn == draft.turn and self.state is not State.ALONE:
            self.apply(draft, now)
            return
        for window in self._windows:
            window.grant(draft.ceded.get(window.name, ()), now)

    def apply(self, draft: Draft, now: float) -> None:
        """Believe what was written."""
        self.draft, time = None, self._object.time
        if self.state is not State.SHARING:
            others = len(draft.ledger.holders) - 1
            log.info(
                "The account's allowance is shared by the ledger %s; %d others keep it now.", self._object.uri, others
            )
        self.state, self._turn, self.until, self.known = State.SHARING, draft.turn, draft.until, draft.ledger
        for window in self._windows:
            window.grant(local(draft.gained.get(window.name, []), time.surely_after), now)

    def _come_in(self, ledger: Ledger, mine: Holder | None, now: float) -> None:
        """Bring what this client has in its hand together with what the ledger knows of it."""
        if mine is None:
            ledger.fulfil(self._object.time.latest(now) + self._terms.beat)
        is_out = mine is None and self._object.time.latest(now) >= self.until
        for window in self._windows:
            if self.state is not State.SHARING:
                window.places = window.used(now)  # what it has sent without the ledger
            elif is_out:
                window.abandon(now)

    def _wants(self, window: RollingWindow, now: float) -> int:
        """Return how many places are of use: all that there are, or not many more than are used."""
        most = min(self._cap(window), window.wanted(now), self._most or window.limit)
        if self.wanted or now <= self.waits_until:
            return most
        used = window.used(now)
        return min(most, 1 << (used + used // 4 + 2).bit_length())

    def is_long(self, window: RollingWindow) -> bool:
        """Say whether the places of a window are in a hand only while they are used."""
        return window.seconds > self._terms.horizon

    def _cap(self, window: RollingWindow) -> int:
        """Return how many places one client may hold: of a long window what it may use before the next look."""
        if not self.is_long(window):
            return window.limit
        return max(1, math.ceil(window.limit * self._terms.horizon / 2 / window.seconds))

    def _share(self, window: RollingWindow, draft: Draft, now: float) -> bool:
        """Take what is this client's share of the places, or give some of them to those who have less."""
        ledger, name, time = draft.ledger, window.name, self._object.time
        mine = ledger.holders[self.name]
        horizon = time.earliest(now) + self._terms.horizon
        ceded = [*window.cede_late(now + self._terms.horizon), *window.cede_to_others(now)]

        def give(places: list[float]) -> None:
            ledger.give(name, [(time.latest(at), 1) for at in places if at > -math.inf])
            mine.held[name] = window.places

        give(ceded)
        targets = ledger.targets(name, window.limit, self._cap(window), time.earliest(now), horizon)
        target = targets[self.name]
        gained: Places = []
        if window.places < target and now >= self.settles_at:
            gained = ledger.take(name, target - window.places, window.limit, horizon)
            mine.held[name] += sum(number for _, number in gained)
        elif window.places > target:
            free = sum(number for _, number in ledger.available(name, window.limit, horizon))
            lacking = sum(max(0, number - ledger.holders[other].held.get(name, 0)) for other, number in targets.items())
            asked = max(lacking - free, ledger.held(name) - window.limit)
            more = window.cede(min(window.places - target, max(0, asked)), now)
            give(more)
            ceded += more
        draft.gained[name], draft.ceded[name] = gained, ceded
        self.hungry = self.hungry or mine.held[name] < target
        following = ledger.available(name, window.limit)
        window.elsewhere = time.surely_after(following[0][0]) if following else now + self._terms.hungry
        return bool(gained or ceded)

    def _let_go(self, draft: Draft, now: float) -> None:
        """Give everything back; a place that a request under way has, too, as if that took long."""
        ledger, time, terms = draft.ledger, self._object.time, self._terms
        mine = ledger.holders.pop(self.name, None)
        for window in self._windows:
            ceded = window.cede(window.places, now)
            ceded += [now + terms.grace + window.seconds] * window.abandon(now)
            ledger.give(window.name, [(time.latest(at), 1) for at in ceded if at > -math.inf])
            draft.ceded[window.name] = ceded
        if self.wish is not None and mine is not None:
            since, until = time.earliest(self.wish) - terms.beat, time.latest(max(now, self.wish)) + terms.wish
            ledger.wish(self.name, Holder(until=until, turn=0, wants=mine.wants, held={}, since=since))


def new_name() -> str:
    """Return a name that nobody else has."""
    return uuid.uuid4().hex[:16]
