"""The allowance of an account, shared by all who keep the same ledger: each uses the places that it holds.

The walk never waits for the ledger's store: a thread of its own looks at the ledger every few seconds, and a request
takes a place that is in this client's hand already.

Without the ledger (no permission, no conditional writes, damaged, no answer) the client goes on alone, as it would
without one, and says so once.
"""

from __future__ import annotations

import logging
import math
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.api.allowance import Allowance
from airflow_provider_kore.api.ledger import LONGEST_PAUSE, LedgerError, Terms
from airflow_provider_kore.api.membership import Membership, State
from airflow_provider_kore.exceptions import KoreError, RetryableError, StoreUnavailableError
from airflow_provider_kore.store.store import ConditionFailed, ConditionUnsupported
from airflow_provider_kore.unexpected import guarded, start_thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_kore.api.membership import Draft
    from airflow_provider_kore.api.rolling_window import RollingWindow
    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.store.shared import SharedObject, Version
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
        self.longest_wait = longest_wait
        self._terms = terms or Terms()
        self._member = Membership(self._windows, ledger, self._terms, most)
        self._threaded = threaded
        self._asked = -math.inf
        self._joined = -math.inf
        self._looked = -math.inf
        self._failing_since: float | None = None
        self._pause = 0.0
        self._memory: list[Usage] = []
        self._for_good = False
        self._problem: Exception = LedgerError("does not answer in time", "Check the store and its endpoint.")
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    # --- for the client -------------------------------------------------------------------------------------------

    def book(self) -> float:
        """Take a place and return 0.0; or take none, and return the seconds after which to ask again."""
        with self._lock:
            now = self._clock.monotonic()
            self._asked = now
            if self._state is State.NEW and self._windows:
                self._begin(now)
            if self._member.has_lapsed(now):
                self._go_alone(now)
            if self._state is State.JOINING:
                if now - self._joined <= self._terms.patience:
                    return _SOON
                self._go_alone(now)
        wait = super().book()
        with self._lock:
            self._member.waits_until = now + wait if wait else -math.inf
            if wait and not self._member.wanted:
                self._member.wanted = True
                self._wake.set()
            elif wait and any(self._member.is_long(each) and each.used(now) >= each.places for each in self._windows):
                self._wake.set()
            if wait and self._state is State.SHARING and self._member.hungry:
                # until all others have had the time to give some of theirs back, nobody knows how long it takes
                is_early = now - self._joined <= self._terms.beat + self._terms.hungry
                return min(wait, self._terms.hungry) if is_early else wait
            return wait

    @property
    def patience(self) -> float:
        """Seconds after which a wait is worth another look: places may come from others meanwhile."""
        return self._terms.hungry if self._state is State.SHARING else math.inf

    def refused(self, *, started: float, hourly: bool, retry_after: float | None) -> None:
        """Learn from a refusal for the rate, and let all others know."""
        super().refused(started=started, hourly=hourly, retry_after=retry_after)
        with self._lock:
            self._pause = self._not_before
            self._wake.set()

    def remember(self, usage: Iterable[Usage]) -> None:
        """Take in what another process has spent, which the ledger knows: it counts only without the ledger."""
        self._memory = list(usage)
        if self._state is State.ALONE:
            super().remember(self._memory)

    def give_up(self, seconds: float) -> None:
        """Note that a request will not wait for its place now, but may come back after so many seconds."""
        with self._lock:
            self._member.wish = self._clock.monotonic() + seconds

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
        self._member.begin()
        self._joined, self._failing_since = now, None
        self._closed.clear()
        if self._threaded:
            try:
                self._thread = start_thread("kore-ledger", self._run)
            except KoreError as err:
                self._problem = err
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
                self._problem = err
                self._go_alone(self._clock.monotonic(), for_good=True)
        with suppress(Exception):
            self.leave()

    def _is_over(self) -> bool:
        """Say whether nothing is asked for any more, or nothing can be hoped for."""
        with self._lock:
            since = max(self._asked, self._member.waits_until)
            idle = self._clock.monotonic() - since > self._terms.idle
            busy = any(window.in_flight for window in self._windows)
            return (idle and not busy) or (self._state is State.ALONE and self._for_good)

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
        if self._state is State.SHARING or (self._state is State.JOINING and self._member.draft is not None):
            with suppress(LedgerError, KoreError, ConditionUnsupported):
                self._exchange(leaving=True)
        with self._lock:
            if not (self._state is State.ALONE and self._for_good):
                self._member.state = State.NEW

    def _exchange(self, *, leaving: bool) -> None:
        """Read, decide, and write on the condition that nobody else has. Raises KoreError, LedgerError."""
        for number in range(1, _TRIES + 1):
            version = self._object.read()
            with self._lock:
                draft = self._decide(version, leaving=leaving)
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
                    self._member.apply(draft, self._clock.monotonic())
            return
        raise StoreUnavailableError(f"{self._object.uri}: others changed it {_TRIES} times in a row.")

    # --- with the lock --------------------------------------------------------------------------------------------

    @property
    def _state(self) -> State:
        return self._member.state

    def _decide(self, version: Version | None, *, leaving: bool) -> Draft | None:
        """Return what to write; None: nothing. Waits where others were refused."""
        now, time, member = self._clock.monotonic(), self._object.time, self._member
        pause = time.latest(self._pause) if self._pause > now else 0.0
        draft = member.decide(version, now, pause=pause, leaving=leaving)
        ledger = draft.ledger if draft is not None else member.known
        if ledger is not None:
            self._not_before = max(self._not_before, min(time.surely_after(ledger.pause), now + LONGEST_PAUSE))
        return draft

    def _fail(self, err: Exception) -> None:
        """Note that the ledger could not be used this time."""
        now = self._clock.monotonic()
        if isinstance(err, ConditionUnsupported):
            err = LedgerError("is in a store without conditional writes", "Use a store that has them.")
        passes = isinstance(err, RetryableError | LedgerError)
        self._problem = err
        self._failing_since = now if self._failing_since is None else self._failing_since
        waited = now - self._failing_since
        if self._state is State.ALONE:
            self._member.stay_alone()
        elif self._state is State.SHARING:
            if self._member.has_lapsed(now):
                self._go_alone(now)
        elif not passes or waited > (self._terms.settle if isinstance(err, LedgerError) else self._terms.patience):
            self._go_alone(now, for_good=not passes)

    def _go_alone(self, now: float, *, for_good: bool = False) -> None:
        """Go on as without a ledger, and say so once."""
        self._for_good = for_good
        if self._member.known is None:  # else those are among what it knows
            super().remember(self._memory)
        self._member.go_alone(now)
        if self._object.uri in _warned:
            return
        _warned.add(self._object.uri)
        problem, advice = f"can't be used: {self._problem}", ""
        if isinstance(self._problem, LedgerError):
            problem, advice = f"{self._problem.problem}.", f" {self._problem.advice}"
        log.warning(
            "The ledger %s %s This task keeps to the limit by itself and learns of others on the account by being "
            "refused.%s",
            self._object.uri,
            problem,
            advice,
        )

    def _delay(self, now: float) -> float:
        """Return the seconds until the next look."""
        terms = self._terms
        if self._state is State.ALONE:
            return terms.rejoin
        if self._failing_since is not None:
            return _LEAST_PAUSE
        if now < self._member.settles_at:
            return min(terms.beat, self._member.settles_at - now + _SOON)
        return terms.hungry if self._member.hungry else terms.beat
