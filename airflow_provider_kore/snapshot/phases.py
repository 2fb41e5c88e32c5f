"""What goes on when nothing else is said: a line once something takes long, and then at least every half minute.

Each phase says what it is about and how far it has come. :meth:`Teller.look` writes the line if one is due. What is
done calls it now and then, and so does a thread of :meth:`Teller.watching`, because a call that hangs calls nothing.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_kore.clock import Clock

log = logging.getLogger(__name__)

FIRST: Final = 10.0
"""Seconds after which a phase is told of."""

SILENCE: Final = 28.0
"""Seconds without a line at the most, so that with the time between two looks there is one every 30 s."""

_LOOK_EVERY: Final = 1.0


@dataclass(slots=True, kw_only=True, eq=False)
class Phase:
    """Something that may take long."""

    what: str
    """In words that follow "Still": ``building the file``."""
    began: float
    unit: str = ""
    """What :attr:`done` counts, in the plural."""
    total: int | None = None
    done: int = 0
    told: bool = False

    def __str__(self) -> str:
        if not self.unit:
            return self.what
        of = "" if self.total is None else f" of {self.total:,}"
        return f"{self.what}, {self.done:,}{of} {self.unit}"

    def begin_again(self, now: float, done: int, total: int | None) -> None:
        """Note that what was waited for has come, and the next is waited for."""
        self.began, self.told = now, False
        self.done, self.total = done, total

    def counted(self, rows: Iterable[str]) -> Iterator[str]:
        """Yield the same, and count."""
        for row in rows:
            self.done += 1
            yield row


class Teller:
    """Knows what is being done. One thread does things; any may look."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._phases: list[Phase] = []
        self._last = self._clock.monotonic()
        self._asleep = False

    @contextmanager
    def phase(self, what: str, unit: str = "", total: int | None = None) -> Iterator[Phase]:
        """Do something that may take long, until the end of the block.

        :param what: in words that follow "Still": ``building the file``.
        :param unit: what is counted, in the plural.
        """
        phase = Phase(what=what, began=self._clock.monotonic(), unit=unit, total=total)
        self._phases.append(phase)
        try:
            yield phase
        finally:
            self._phases.remove(phase)

    def told(self) -> None:
        """Note that something was written to the log."""
        self._last = self._clock.monotonic()

    def look(self) -> None:
        """Write a line about the innermost phase, if one is due."""
        if self._asleep:
            return
        phases = self._phases[-1:]  # once: another thread may end it
        now = self._clock.monotonic()
        for phase in phases:
            first = not phase.told and now - phase.began >= FIRST and now - self._last >= FIRST
            if first or now - self._last >= SILENCE:
                phase.told = True
                self._last = now
                log.info("Still %s (%.0f s so far).", str(phase), now - phase.began)

    def quiet(self, clock: Clock) -> Clock:
        """Return a clock in whose sleep nothing is said: who sleeps says himself why, and until when."""
        return _QuietClock(self, clock)

    @contextmanager
    def sleeping(self) -> Iterator[None]:
        """Say nothing until the end of the block."""
        self._asleep = True
        try:
            yield
        finally:
            self._asleep = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look every second, from a thread, and listen to what else this package logs meanwhile."""
        ended = threading.Event()
        ear = _Ear(self)
        package = logging.getLogger(__name__.partition(".")[0])

        def watch() -> None:
            while not ended.wait(_LOOK_EVERY):
                self.look()

        package.addHandler(ear)
        threading.Thread(target=watch, name="kore-teller", daemon=True).start()
        try:
            yield
        finally:
            ended.set()
            package.removeHandler(ear)


class _QuietClock:
    def __init__(self, teller: Teller, clock: Clock) -> None:
        self._teller = teller
        self.monotonic, self.time = clock.monotonic, clock.time
        self._clock = clock

    def sleep(self, seconds: float) -> None:
        with self._teller.sleeping():
            self._clock.sleep(seconds)


class _Ear(logging.Handler):
    """Notes when a line was written, and writes none."""

    def __init__(self, teller: Teller) -> None:
        super().__init__(logging.INFO)
        self._teller = teller

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
        """Note it."""
        self._teller.told()
