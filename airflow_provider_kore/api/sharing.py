"""The allowance of an account, shared by all who keep the same ledger: each uses the places that it holds.

The walk never waits for the ledger's store: a thread of its own looks at the ledger every few seconds, and a request
takes a place that is in this client's hand already. What a client tells the ledger counts there before it counts here
(places it gets), or here before it counts there (places it gives away), so that each place is in one hand at most,
whatever is lost in between.

Without the ledger (no permission, no conditional writes, damaged, no answer) the client goes on alone, as it would
without one, and says so once.
"""

from __future__ import annotations

import logging
import math
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow_provider_kore.api.allowance import JITTER, Allowance
from airflow_provider_kore.api.ledger import LONGEST_PAUSE, Holder, Ledger, LedgerError, Terms, local, parse
from airflow_provider_kore.exceptions import KoreError, RetryableError, StoreUnavailableError
from airflow_provider_kore.store.store import ConditionFailed, ConditionUnsupported
from airflow_provider_kore.unexpected import guarded, start_thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_kore.api.ledger import Places
    from airflow_provider_kore.api.rolling_window import RollingWindow
    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.store.shared import ServerTime, Version
    from airflow_provider_kore.walk.cost import Usage

log = logging.getLogger(__name__)

_TRIES: Final = 8
"""How often one look is repeated because another one wrote in between."""

_JITTER: Final = 0.1
"""Seconds before such a repetition, at the most; each further one waits longer."""

_SOON: Final = 0.05
"""Seconds until asking again while the thread talks to the store."""

_LEAST_PAUSE: Final = 0.5
"""Seconds between two looks at the least, however much a client wants places."""

_warned: set[str] = set()
"""The ledgers that this process has warned of."""


class SharedObject(Protocol):
    """Where the ledger is kept: :class:`~airflow_provider_kore.store.shared.SharedObject`."""

    @property
    def uri(self) -> str:
        """For messages."""

    @property
    def time(self) -> ServerTime:
        """The clock of the store."""

    def read(self) -> Version | None:
        """Return what is there. Raises KoreError."""

    def write(self, body: bytes, etag: str | None) -> None:
        """Replace the version of this ETag; None: create it. Raises ConditionFailed, KoreError."""


class _State(Enum):
    NEW = "has not looked at the ledger, or has left it"
    JOINING = "looks for the first time"
    SHARING = "holds places"
    ALONE = "goes on without the ledger"


@dataclass(slots=True)
class _Draft:
    """What this client has written, or tried to; which of the two, the next look at the ledger tells."""

    ledger: Ledger
    turn: int
    until: float
    gained: dict[str, Places] = field(default_factory=dict)
    ceded: dict[str, list[float]] = field(default_factory=dict)
    """From when on each is free, on this machine's clock."""


class SharedAllowance(Allowance):
    """An allowance whose places a ledger hands out.

    :param ledger: where it is kept.
    :param most: places that this client wants at the most; None: as many as there are.
    :param longest_wait: seconds that a request waits for its place at the most, where somebody waits for it.
    :param threaded: False: :meth:`beat` is called by a test, which is the clock as well.
    """

    def __init__(
        self,
        windows: Sequence[RollingWindow],
        clock: Clock,
        *,
        ledger: SharedObject,
        most: int | None = None,
        longest_wait: float = math.inf,
        terms: Terms | None = None,
        threaded: bool = True,
        **more: Any,
    ) -> None:
        super().__init__(windows, clock, **more)
        self._object = ledger
        self._most = most
        self.longest_wait = longest_wait
        self._terms = terms or Terms()
        self._threaded = threaded
        self._state = _State.NEW
        self._name = uuid.uuid4().hex[:16]
        self._turn = 0
        self._until = -math.inf
        self._draft: _Draft | None = None
        self._known: Ledger | None = None
        self._ceded: list[tuple[int, tuple[str, int], str, float]] = []
        """What was given away in which turn, to which ledger, and until when it is used."""
        self._hungry = False
        self._wanted = True
        """Whether a request had to wait since the last look."""
        self._waits_until = -math.inf
        self._asked = -math.inf
        self._joined = -math.inf
        self._looked = -math.inf
        self._failing_since: float | None = None
        self._pause = 0.0
        self._memory: list[Usage] = []
        self._wish: float | None = None
        self._settles_at = -math.inf
        self._for_good = False
        self._problem = (f"The ledger {ledger.uri} does not answer in time.", "Check the store and its endpoint.")
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    # --- for the client -------------------------------------------------------------------------------------------

    def book(self) -> float:
        """Take a place and return 0.0; or take none, and return the seconds after which to ask again."""
        with self._lock:
            now = self._clock.monotonic()
            self._asked = now
            if self._state is _State.NEW and self._windows:
                self._begin(now)
            if self._state is _State.SHARING and self._object.time.latest(now) >= self._until:
                self._go_alone(now)
            if self._state is _State.JOINING:
                if now - self._joined <= self._terms.patience:
                    return _SOON
                self._go_alone(now)
        wait = super().book()
        with self._lock:
            self._waits_until = now + wait if wait else -math.inf
            if wait and not self._wanted:
                self._wanted = True
                self._wake.set()
            elif wait and any(self._is_long(each) and each.used(now) >= each.places for each in self._windows):
                self._wake.set()
            if wait and self._state is _State.SHARING and self._hungry:
                # until all others have had the time to give some of theirs back, nobody knows how long it takes
                is_early = now - self._joined <= self._terms.beat + self._terms.hungry
                return min(wait, self._terms.hungry) if is_early else wait
            return wait

    @property
    def patience(self) -> float:
        """Seconds after which a wait is worth another look: places may come from others meanwhile."""
        return self._terms.hungry if self._state is _State.SHARING else math.inf

    def refused(self, *, started: float, hourly: bool, retry_after: float | None) -> None:
        """Learn from a refusal for the rate, and let all others know."""
        super().refused(started=started, hourly=hourly, retry_after=retry_after)
        with self._lock:
            self._pause = self._not_before
            self._wake.set()

    def remember(self, usage: Iterable[Usage]) -> None:
        """Take in what another process has spent, which the ledger knows: it counts only without the ledger."""
        self._memory = list(usage)
        if self._state is _State.ALONE:
            super().remember(self._memory)

    def give_up(self, seconds: float) -> None:
        """Note that a request will not wait for its place now, but may come back after so many seconds."""
        with self._lock:
            self._wish = self._clock.monotonic() + seconds

    def close(self) -> None:
        """Give the places back; waits for that a moment, no longer."""
        with self._lock:
            thread = self._thread
        self._closed.set()
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._terms.leave)

    # --- the thread -----------------------------------------------------------------------------------------------

    def _begin(self, now: float) -> None:
        """Begin to look at the ledger; until then there are no places."""
        self._state, self._joined, self._failing_since = _State.JOINING, now, None
        self._wanted = True
        self._closed.clear()
        for window in self._windows:
            window.places = 0
        if self._threaded:
            try:
                self._thread = start_thread("kore-ledger", self._run)
            except KoreError as err:
                self._problem = (f"The ledger {self._object.uri} can't be used: {err}", "")
                self._go_alone(now, for_good=True)

    def _run(self) -> None:
        try:
            while not self._closed.is_set():
                self._wake.wait(guarded("Looking at the ledger", self.beat))
                self._wake.clear()
                self._closed.wait(self._looked + _LEAST_PAUSE - self._clock.monotonic())
                if self._is_over():
                    break
        except Exception as err:  # noqa: BLE001 - a walk must not stand still because of this thread
            with self._lock:
                self._problem = (f"The ledger {self._object.uri} can't be used: {err}", "")
                self._go_alone(self._clock.monotonic(), for_good=True)
        with suppress(Exception):
            self.leave()

    def _is_over(self) -> bool:
        """Say whether nothing is asked for any more, or nothing can be hoped for."""
        with self._lock:
            since = max(self._asked, self._waits_until)
            idle = self._clock.monotonic() - since > self._terms.idle
            busy = any(window.in_flight for window in self._windows)
            return (idle and not busy) or (self._state is _State.ALONE and self._for_good)

    def beat(self) -> float:
        """Look at the ledger, and write what has to be written; return the seconds until the next look."""
        try:
            self._exchange(leaving=False)
        except (LedgerError, KoreError, ConditionUnsupported) as err:
            with self._lock:
                self._fail(err)
        with self._lock:
            now = self._looked = self._clock.monotonic()
            delay = self._delay(now)
            return self._object.time.best_moment(now, delay) if self._object.time.is_known else delay

    def leave(self) -> None:
        """Give all places back, if there are any."""
        if self._state is _State.SHARING or (self._state is _State.JOINING and self._draft is not None):
            with suppress(LedgerError, KoreError, ConditionUnsupported):
                self._exchange(leaving=True)
        with self._lock:
            if not (self._state is _State.ALONE and self._for_good):
                self._state = _State.NEW

    def _exchange(self, *, leaving: bool) -> None:
        """Read, decide, and write on the condition that nobody else has. Raises KoreError, LedgerError."""
        for number in range(1, _TRIES + 1):
            version = self._object.read()
            with self._lock:
                draft = self._decide(version, leaving=leaving)
                self._draft = draft
            if draft is not None:
                try:
                    self._object.write(draft.ledger.dump(), None if version is None else version.etag)
                except ConditionFailed:
                    if self._threaded:
                        self._closed.wait(self._uniform(0.0, _JITTER * number))
                    continue
            with self._lock:
                self._failing_since = None
                if draft is not None:
                    self._draft = None
                    self._apply(draft)
            return
        raise StoreUnavailableError(f"{self._object.uri}: others changed it {_TRIES} times in a row.")

    # --- with the lock --------------------------------------------------------------------------------------------

    def _decide(self, version: Version | None, *, leaving: bool) -> _Draft | None:
        """Return what to write; None: nothing. What is given away is no longer used from here on."""
        now, time, terms = self._clock.monotonic(), self._object.time, self._terms
        ledger, is_restored = self._ledger_in(version, time.latest(now))
        self._resolve(ledger, now)
        for window in self._windows:
            ledger.know(window.name, window.seconds)
        changed = ledger.sweep(time.earliest(now), terms.grace)
        is_other = self._known is not None and self._known.name != ledger.name
        if self._known is not None and is_other and self._state is _State.SHARING:
            ledger.adopt(self._known)
            is_restored = True
        if is_restored and self._known is not None:
            ledger.settled = time.latest(now) + terms.resettle
            for window in self._windows:  # whatever nobody holds may have been used by those who are gone
                ledger.doubt(window.name, window.limit, time.latest(now))
        changed = changed or is_restored
        mine = ledger.holders.get(self._name)
        self._come_in(ledger, mine, now)
        changed = self._heed_pause(ledger, now) or changed
        draft = _Draft(ledger=ledger, turn=self._turn + 1, until=time.earliest(now) + terms.lease)
        if leaving:
            self._let_go(draft, now)
            return draft
        self._settles_at = time.surely_after(ledger.settled)
        wants = {window.name: self._wants(window, now) for window in self._windows}
        held = {window.name: window.places for window in self._windows}
        ledger.holders[self._name] = Holder(until=draft.until, turn=draft.turn, wants=wants, held=held)
        self._hungry = False
        for window in self._windows:
            changed = self._share(window, draft, now) or changed
        self._wanted = now <= self._waits_until
        if mine is not None and not changed and self._state is _State.SHARING:
            is_fresh = mine.until - draft.until > -terms.renewed
            if is_fresh and (mine.wants == wants or len(ledger.holders) == 1):
                self._known = ledger
                ledger.holders[self._name] = mine
                return None
        return draft

    def _ledger_in(self, version: Version | None, now: float) -> tuple[Ledger, bool]:
        """Return the ledger; a new one, or what is known of it, if it is not there. Raises LedgerError.

        One that was damaged while this client used it is restored; what it has never read is not its to replace.
        """
        if version is not None:
            try:
                return parse(version.body, now, self._terms), False
            except LedgerError:
                if self._known is None:
                    raise
        ledger = Ledger(name=uuid.uuid4().hex[:16], settled=0.0) if self._known is None else self._known.copy()
        ledger.epoch += 1
        ledger.settled = now + self._terms.settle
        return ledger, True

    def _resolve(self, ledger: Ledger, now: float) -> None:
        """Find out whether the last write arrived whose answer is missing."""
        draft, self._draft = self._draft, None
        if draft is None:
            return
        mine, written = ledger.holders.get(self._name), draft.ledger.holders.get(self._name)
        if mine is None and written is None:  # it had left
            self._keep_in_mind(draft)
        elif mine is not None and mine.turn == draft.turn:
            self._apply(draft)
        elif (ledger.name, ledger.epoch) == (draft.ledger.name, draft.ledger.epoch):
            for window in self._windows:
                window.grant(draft.ceded.get(window.name, ()), now)
        else:  # nobody knows any more, so they are nobody's until they have been used for the last time
            self._keep_in_mind(draft)

    def _keep_in_mind(self, draft: _Draft) -> None:
        key, time = (draft.ledger.name, draft.ledger.epoch), self._object.time
        for name, ceded in draft.ceded.items():
            self._ceded += [(draft.turn, key, name, time.latest(at)) for at in ceded if at > -math.inf]

    def _apply(self, draft: _Draft) -> None:
        """Believe what was written."""
        now, time = self._clock.monotonic(), self._object.time
        if self._state is not _State.SHARING:
            self._say(draft.ledger)
        self._state, self._turn, self._until, self._known = _State.SHARING, draft.turn, draft.until, draft.ledger
        for window in self._windows:
            window.grant(local(draft.gained.get(window.name, []), time.surely_after), now)
        self._keep_in_mind(draft)
        self._ceded = [each for each in self._ceded if each[-1] > time.earliest(now)]

    def _come_in(self, ledger: Ledger, mine: Holder | None, now: float) -> None:
        """Bring what this client has in its hand together with what the ledger knows of it."""
        if mine is None:
            ledger.fulfil(self._object.time.latest(now) + self._terms.beat)
        is_out = mine is None and self._object.time.latest(now) >= self._until
        for window in self._windows:
            if self._state is not _State.SHARING:
                window.places = window.used(now)  # what it has sent without the ledger
            elif is_out:
                window.abandon(now)
        if mine is None or mine.turn < self._turn:
            told = -1 if mine is None else mine.turn
            for turn, key, name, at in self._ceded:
                if turn > told and key != (ledger.name, ledger.epoch):
                    ledger.give(name, [(at, 1)])

    def _heed_pause(self, ledger: Ledger, now: float) -> bool:
        """Wait where others were refused, and let them wait; return whether there is something to tell."""
        time = self._object.time
        told = time.latest(self._pause) if self._pause > now else 0.0
        is_news = told > ledger.pause + JITTER
        ledger.pause = max(ledger.pause, told) if is_news else ledger.pause
        self._not_before = max(self._not_before, min(time.surely_after(ledger.pause), now + LONGEST_PAUSE))
        return is_news

    def _wants(self, window: RollingWindow, now: float) -> int:
        """Return how many places are of use: all that there are, or not many more than are used."""
        most = min(self._cap(window), window.wanted(now), self._most or window.limit)
        if self._wanted or now <= self._waits_until:
            return most
        used = window.used(now)
        return min(most, 1 << (used + used // 4 + 2).bit_length())

    def _is_long(self, window: RollingWindow) -> bool:
        return window.seconds > self._terms.horizon

    def _cap(self, window: RollingWindow) -> int:
        """Return how many places one client may hold: of a long window what it may use before the next look."""
        if not self._is_long(window):
            return window.limit
        return max(1, math.ceil(window.limit * self._terms.horizon / 2 / window.seconds))

    def _share(self, window: RollingWindow, draft: _Draft, now: float) -> bool:
        """Take what is this client's share of the places, or give some of them to those who have less."""
        ledger, name, time = draft.ledger, window.name, self._object.time
        mine = ledger.holders[self._name]
        horizon = time.earliest(now) + self._terms.horizon
        ceded = [*window.cede_late(now + self._terms.horizon), *window.cede_to_others(now)]

        def give(places: list[float]) -> None:
            ledger.give(name, [(time.latest(at), 1) for at in places if at > -math.inf])
            mine.held[name] = window.places

        give(ceded)
        targets = ledger.targets(name, window.limit, self._cap(window), time.earliest(now), horizon)
        target = targets[self._name]
        gained: Places = []
        if window.places < target and now >= self._settles_at:
            gained = ledger.take(name, target - window.places, window.limit, horizon)
            mine.held[name] += sum(number for _, number in gained)
        elif window.places > target:
            free = sum(number for _, number in ledger.available(name, window.limit, horizon))
            lacking = sum(max(0, number - _held(ledger, other, name)) for other, number in targets.items())
            asked = max(lacking - free, ledger.held(name) - window.limit)
            more = window.cede(min(window.places - target, max(0, asked)), now)
            give(more)
            ceded += more
        draft.gained[name], draft.ceded[name] = gained, ceded
        self._hungry = self._hungry or mine.held[name] < target
        following = ledger.available(name, window.limit)
        window.elsewhere = time.surely_after(following[0][0]) if following else now + self._terms.hungry
        return bool(gained or ceded)

    def _let_go(self, draft: _Draft, now: float) -> None:
        """Give everything back; a place that a request under way has, too, as if that took long."""
        ledger, time, terms = draft.ledger, self._object.time, self._terms
        mine = ledger.holders.pop(self._name, None)
        for window in self._windows:
            ceded = window.cede(window.places, now)
            ceded += [now + terms.grace + window.seconds] * window.abandon(now)
            ledger.give(window.name, [(time.latest(at), 1) for at in ceded if at > -math.inf])
            draft.ceded[window.name] = ceded
        if self._wish is not None and mine is not None:
            since, until = time.earliest(self._wish) - terms.beat, time.latest(max(now, self._wish)) + terms.wish
            ledger.wish(self._name, Holder(until=until, since=since, wants=mine.wants))

    def _fail(self, err: Exception) -> None:
        """Note that the ledger could not be used this time."""
        now = self._clock.monotonic()
        if isinstance(err, ConditionUnsupported):
            err = LedgerError("is in a store without conditional writes", "use a store that has them")
        passes = isinstance(err, RetryableError | LedgerError)
        self._problem = (
            (f"The ledger {self._object.uri} {err.problem}.", f"{err.advice[:1].upper()}{err.advice[1:]}.")
            if isinstance(err, LedgerError)
            else (f"The ledger {self._object.uri} can't be used: {err}", "")
        )
        self._failing_since = now if self._failing_since is None else self._failing_since
        waited = now - self._failing_since
        if self._state is _State.ALONE:
            for window in self._windows:
                window.places = window.limit
        elif self._state is _State.SHARING:
            if self._object.time.latest(now) >= self._until:
                self._go_alone(now)
        elif not passes or waited > (self._terms.settle if isinstance(err, LedgerError) else self._terms.patience):
            self._go_alone(now, for_good=not passes)

    def _go_alone(self, now: float, *, for_good: bool = False) -> None:
        """Go on as without a ledger, with this client's share if others were there; say so once."""
        known = self._known
        number = 1 if known is None else len(known.holders.keys() | {self._name})
        has_places = self._state is _State.SHARING and number > 1
        self._state, self._for_good, self._hungry = _State.ALONE, for_good, False
        if known is None:  # else those are among what it knows
            self._remember(self._memory)
        for window in self._windows:
            if has_places and not self._is_long(window):
                window.share_with_others(window.places, now)
                continue
            # The places of a long window are in a hand only while they are used; and one that had left has none.
            spent = [] if known is None else sorted(known.spent.get(window.name, {}).items())
            window.remember(local(spent, self._object.time.surely_after)[::number], now)
            window.share_with_others(window.limit // number, now)
        problem, advice = self._problem
        if self._object.uri not in _warned:
            _warned.add(self._object.uri)
            log.warning(
                "%s This task keeps to the limit by itself and learns of others on the account by being refused.%s",
                problem,
                f" {advice}" if advice else "",
            )

    def _say(self, ledger: Ledger) -> None:
        others = len(ledger.holders) - 1
        log.info("The account's allowance is shared by the ledger %s; %d others keep it now.", self._object.uri, others)

    def _delay(self, now: float) -> float:
        """Return the seconds until the next look."""
        terms = self._terms
        if self._state is _State.ALONE:
            return terms.rejoin
        if self._failing_since is not None:
            return _LEAST_PAUSE
        if now < self._settles_at:
            return min(terms.beat, self._settles_at - now + _SOON)
        return terms.hungry if self._hungry else terms.beat


def _held(ledger: Ledger, holder: str, window: str) -> int:
    return ledger.holders[holder].held.get(window, 0)
