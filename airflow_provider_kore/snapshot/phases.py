"""What goes on when nothing else is said: a line once something takes long, and then at least every half minute.

Each phase says what it is about and how far it has come. :meth:`Teller.look` writes the line if one is due. What is
done calls it now and then, and so does a thread of :meth:`Teller.watching`, because a call that hangs calls nothing.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

from airflow_provider_kore.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_kore.clock import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST: Final = 10.0
"""Seconds after which a phase is told of."""

SILENCE: Final = 28.0
"""Seconds without a line at the most, so that with the time between two looks there is one every 30 s."""

_LOOK_EVERY: Final = 1.0


class Phase:
    """Something that may take long.

    :param what: in words that follow "Still": ``building the file``.
    :param unit: what is counted, in the plural.
    :param total: how many of them there are.
    :param file: is read meanwhile: where it stands says how far it is.
    """

    def __init__(
        self, teller: Teller, began: float, what: str, *, unit: str, total: int | None, file: BinaryIO | None
    ) -> None:
        """Begin."""
        self.began = began
        self._teller = teller
        self._what, self._unit, self._total, self._file = what, unit, total, file
        self._done = 0
        self._told = False

    def __str__(self) -> str:
        """Say what it is, and how far."""
        if not self._unit:
            return self._what
        done = self._done if self._file is None or self._file.closed else self._file.tell()
        of = "" if self._total is None else f" of {self._total:,}"
        return f"{self._what}, {done:,}{of} {self._unit}"

    def is_due(self, now: float, last: float) -> bool:
        """Say whether a line is due, and note that it is written then.

        :param last: when the last line was written, whatever it was about.
        """
        first = not self._told and now - self.began >= FIRST and now - last >= FIRST
        due = first or now - last >= SILENCE
        self._told = self._told or due
        return due

    def begin_again(self, now: float, done: int, total: int | None) -> None:
        """Note that what was waited for has come, and the next is waited for."""
        self.began, self._told = now, False
        self._done, self._total = done, total

    def reached(self, done: int) -> None:
        """Note how many are done, and write a line if one is due."""
        self._done = done
        self._teller.look()

    def counted(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the same, and count those that are done."""
        for done, item in enumerate(items, start=1):
            yield item
            self._done = done


class Teller:
    """Knows what is being done. One thread does things; any may look."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._phases: list[Phase] = []
        self._last = self._clock.monotonic()
        self.asleep = False
        """Whether nothing is to be said."""

    @contextmanager
    def phase(
        self, what: str, unit: str = "", total: int | None = None, file: BinaryIO | None = None
    ) -> Iterator[Phase]:
        """Do something that may take long, until the end of the block; see :class:`Phase`."""
        phase = Phase(self, self._clock.monotonic(), what, unit=unit, total=total, file=file)
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
        if self.asleep:
            return
        phases = self._phases[-1:]  # once: another thread may end it
        now = self._clock.monotonic()
        for phase in phases:
            if phase.is_due(now, self._last):
                self._last = now
                log.info("Still %s (%.0f s so far).", str(phase), now - phase.began)

    def quiet(self, clock: Clock) -> Clock:
        """Return a clock in whose sleep nothing is said: who sleeps says himself why, and until when."""
        return _QuietClock(self, clock)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look every second, from a thread."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(_LOOK_EVERY):
                self.look()

        threading.Thread(target=watch, name="kore-teller", daemon=True).start()
        try:
            yield
        finally:
            ended.set()


class _QuietClock:
    def __init__(self, teller: Teller, clock: Clock) -> None:
        self._teller = teller
        self.monotonic, self.time = clock.monotonic, clock.time
        self._clock = clock

    def sleep(self, seconds: float) -> None:
        self._teller.asleep = True
        try:
            self._clock.sleep(seconds)
        finally:
            self._teller.asleep = False
