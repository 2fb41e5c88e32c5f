"""Calls that are made ahead of their turn, on threads of their own, while their results are taken in order."""

from __future__ import annotations

import time
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from airflow_provider_kore.exceptions import UnreachableError
from airflow_provider_kore.unexpected import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable
    from types import TracebackType

    from airflow_provider_kore.clock import Clock

K = TypeVar("K", bound="Hashable")
T = TypeVar("T")

GRACE: Final = 2.0
"""Seconds that a call which is under way gets to return, when the task has to end: Airflow gives a task five."""

GROWTH: Final = 4
"""How many times as many calls are under way after each wait: a short walk is over before small steps get anywhere."""

_LOOK_EVERY: Final = 0.1
"""Seconds between two looks at whether the wait should end."""


class Prefetcher(Generic[K, T]):
    """Keeps as many calls under way as hide their latency, and no more: the depth grows only while the walk waits.

    The standard library's pool is not used because its threads hold up the end of the process until their last call
    has returned, and a task that is told to stop has five seconds.

    :param most: calls under way at the same time, at the most.
    :param clock: one that can be stopped ends a wait, as soon as what is under way had time to come.
    """

    def __init__(self, most: int, clock: Clock | None = None) -> None:
        self._most = most
        self._clock = clock
        self.ending: Exception | None = None
        """Why nothing new is to be started."""
        self.meanwhile: Callable[[], float | None] = lambda: None
        """Called while a result is waited for: starts what may start, and returns the seconds until more may."""
        self._last_moment = 0.0
        self.depth = 1
        """How many calls are worth having under way."""
        self._threads = 0
        self._jobs: SimpleQueue[tuple[Future[T], Callable[[], T]] | None] = SimpleQueue()
        self._ahead: dict[K, Future[T]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """See :meth:`close`."""
        self.close()

    def close(self) -> None:
        """Let go of what is under way; its results are not needed."""
        self.keep(())
        for _ in range(self._threads):
            self._jobs.put(None)

    def __len__(self) -> int:
        """Return how many calls have a result that was not taken."""
        return len(self._ahead)

    def __contains__(self, key: K) -> bool:
        return key in self._ahead

    def is_done(self, key: K) -> bool:
        """Say whether a call's result is there already."""
        return key not in self._ahead or self._ahead[key].done()

    def end(self, reason: Exception | None) -> None:
        """Note why nothing new is to be started, if there is a reason and none was noted before.

        What is under way has :data:`GRACE` from then on.
        """
        if reason is not None and self.ending is None:
            self.ending = reason
            self._last_moment = time.monotonic() + GRACE

    def keep(self, keys: Collection[K]) -> None:
        """Drop the results that will not be taken.

        Their calls are not cancelled: each has taken a place of the allowance, and gives it back at its end.
        """
        if self._ahead.keys() - keys:
            self._ahead = {key: future for key, future in self._ahead.items() if key in keys}

    def start(self, key: K, call: Callable[[], T]) -> None:
        """Make a call; its result waits for :meth:`take`. Where the system has no thread left, it is made at once.

        A caller that is interrupted here (Airflow's execution_timeout comes out of any line) has no call to wait for.
        """
        future: Future[T] = Future()
        if self._threads <= len(self._ahead):
            try:
                start_thread("kore-prefetch", _work, self._jobs)
                self._threads += 1
            except UnreachableError:
                if not self._threads:
                    _make(future, call)
                    self._ahead[key] = future
                    return
        self._jobs.put((future, call))
        self._ahead[key] = future

    def take(self, key: K) -> T:
        """Return the result of a call, or raise what it raised."""
        future = self._ahead[key]
        if not future.done():
            self.depth = min(self._most, GROWTH * self.depth)
            while not future.done():
                pause = self.meanwhile()
                if not wait([future], timeout=_LOOK_EVERY if pause is None else min(pause, _LOOK_EVERY)).done:
                    self._look()
        self._ahead.pop(key, None)
        return future.result()

    def _look(self) -> None:
        """Raise what the clock has raised, after a grace."""
        if self._clock is None:
            return
        if self.ending is None:
            try:
                self._clock.sleep(0.0)
            except Exception as err:  # noqa: BLE001  # raised below
                self.end(err)
        elif time.monotonic() > self._last_moment:
            raise self.ending


def _work(jobs: SimpleQueue[tuple[Future[T], Callable[[], T]] | None]) -> None:
    while (job := jobs.get()) is not None:
        _make(*job)


def _make(future: Future[T], call: Callable[[], T]) -> None:
    try:
        future.set_result(call())
    except BaseException as err:  # noqa: BLE001  # raised again where the result is taken
        future.set_exception(err)
