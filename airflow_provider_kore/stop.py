"""How a walk is told to stop, and when it may be interrupted.

Airflow's signal handler calls ``on_kill`` on top of whatever line runs, raises nothing, and gives a marked or cleared
task five seconds (Airflow 3.0 to 3.3). Raising there may cut a message to the supervisor in half, so the handler raises
only while the walk says that it is waiting for the network; otherwise the walk looks at the flag itself.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_kore.exceptions import StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_kore.clock import Clock

T = TypeVar("T")

_LOOK_EVERY = 0.5
"""Seconds between two looks at the flag while sleeping."""


class Stop:
    """A flag with a voice. ``request`` may come from a signal handler, any number of times."""

    def __init__(self) -> None:
        self.requested = False
        self._interruptible = False
        self._parent = os.getppid()

    def request(self) -> None:
        """Ask the walk to stop; raises StoppedError at once where it is only waiting."""
        first, self.requested = not self.requested, True
        if first and self._interruptible:
            self._interruptible = False
            raise _stopped()

    def check(self) -> None:
        """Raise StoppedError if the walk was asked to stop, or if its supervisor is gone and a retry may run."""
        reason = self.reason()
        if reason is not None:
            raise reason

    def reason(self) -> StoppedError | None:
        """Return what :meth:`check` would raise."""
        if self.requested:
            return _stopped()
        if os.getppid() != self._parent:
            self.requested = True
            return StoppedError(
                "The process that supervised this task is gone; it stops here, so that its retry runs alone."
            )
        return None

    def guard(self, items: Iterable[T], *, every: int = 1) -> Iterator[T]:
        """Yield the items, and check before every so many of them. Raises StoppedError."""
        for number, item in enumerate(items):
            if number % every == 0:
                self.check()
            yield item

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let a request raise at once until the end of the block."""
        self._interruptible = True
        try:
            self.check()  # after the line above, so that no request falls in between
            yield
        finally:
            self._interruptible = False


def _stopped() -> StoppedError:
    return StoppedError("The task was told to stop before it had ended.")


class StoppableClock:
    """A clock whose sleep ends with StoppedError when the walk is told to stop."""

    def __init__(self, clock: Clock, stop: Stop) -> None:
        self._clock = clock
        self._stop = stop

    def monotonic(self) -> float:
        """See :class:`~airflow_provider_kore.clock.Clock`."""
        return self._clock.monotonic()

    def time(self) -> float:
        """See :class:`~airflow_provider_kore.clock.Clock`."""
        return self._clock.time()

    def sleep(self, seconds: float) -> None:
        """Sleep; raises StoppedError."""
        end = self._clock.monotonic() + seconds
        # signals reach the main thread alone: only there may a request raise out of the middle of a wait
        alone = threading.current_thread() is not threading.main_thread()
        while (left := end - self._clock.monotonic()) > 0:
            self._stop.check()
            with nullcontext() if alone else self._stop.interruptible():
                self._clock.sleep(min(left, _LOOK_EVERY))
        self._stop.check()
