"""Threads of our own for what may hang, so that nothing else in a triggerer waits for it, such as look-ups of names.

asyncio's default executor is shared by everything in a triggerer (``getaddrinfo`` among it) and has some eight threads.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any, Final, TypeVar

from airflow_provider_kore.exceptions import UnreachableError
from airflow_provider_kore.unexpected import start_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

T = TypeVar("T")

MOST: Final = 16
"""Threads of one lane, those that hang among them."""

MOST_OF_ALL: Final = 128
"""Threads of all lanes."""

ASKED_AGAIN: Final = 0.05
"""Seconds between two looks for a free thread."""

_lock = threading.Lock()
_running: Counter[Hashable] = Counter()
_left: set[asyncio.Future[Any]] = set()
"""What goes on without anybody waiting: asyncio itself holds a task by a weak reference only."""


class OneThread(Executor):
    """A daemon thread for one call, and its place among those of its lane until that call has ended.

    A daemon, so that a triggerer can exit while it hangs.
    """

    def __init__(self, lane: Hashable) -> None:
        self._lane = lane
        self._has_place = True
        self.is_used = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Start the thread. Raises UnreachableError if the system has none left."""
        future: Future[T] = Future()

        def work() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as err:  # noqa: BLE001 - handed on
                self.end()
                # SystemExit in a future would end the event loop
                future.set_exception(err if isinstance(err, Exception) else RuntimeError(type(err).__name__))
            else:
                self.end()
                future.set_result(result)

        future.set_running_or_notify_cancel()
        start_thread(f"kore-look {self._lane}", work)
        self.is_used = True
        return future

    def end(self) -> None:
        """Give the place back."""
        with _lock:
            _running[self._lane] -= self._has_place
            self._has_place = False


async def bounded(lane: Hashable, what: str, seconds: float, work: Callable[[OneThread], Awaitable[T]]) -> T:
    """Await what may run in a thread, but not for longer than its bound, whatever the thread does.

    What is not waited for any more goes on by itself, is not cancelled (half an exchange with Airflow's supervisor
    would spoil the next one) and keeps its place until it ends.

    :param lane: what hangs together: those of one lane share :data:`MOST` threads, and can't take another's.
    :param what: what is done, for messages: ``The look at campaign cd-1``.
    :param work: is given the executor to use.

    Raises UnreachableError at the bound, and what the work raises.
    """
    ends = time.monotonic() + seconds
    thread = await _place(lane, what, seconds, ends)
    try:
        task: asyncio.Future[T] = asyncio.ensure_future(work(thread))
        _left.add(task)
        task.add_done_callback(_forget)
        await asyncio.wait({task}, timeout=max(0.0, ends - time.monotonic()))
        if task.done():
            return task.result()
    finally:
        if not thread.is_used:  # a thread gives its place back when it ends
            thread.end()
    raise UnreachableError(
        f"{what} did not end within {seconds:.0f} s, and is not waited for any longer. If the server is just slow, "
        "lower the connection's timeout field, so that it says what it waits for."
    )


async def _place(lane: Hashable, what: str, seconds: float, ends: float) -> OneThread:
    while True:
        with _lock:
            if _running[lane] < MOST and _running.total() < MOST_OF_ALL:
                _running[lane] += 1
                return OneThread(lane)
        if time.monotonic() >= ends:
            raise UnreachableError(
                f"{what} was not begun: all threads for looks were taken for {seconds:.0f} s, {_running[lane]} of them "
                "by earlier ones over the same connection. If those hang, check the server, and what stands in between."
            )
        await asyncio.sleep(ASKED_AGAIN)


def _forget(task: asyncio.Future[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        task.exception()  # was seen, so asyncio doesn't complain that it was never asked for
