"""What every trigger has in common: look, wait, look again, until something is found, goes wrong or is too late."""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_kore.clock import bounded_wait
from airflow_provider_kore.exceptions import ContractError, FatalError, KoreError, RetryableError, WrongStatusError
from airflow_provider_kore.hooks.airflow_versions import in_triggerer
from airflow_provider_kore.parameters import LONGEST_DURATION
from airflow_provider_kore.triggers.threads import bounded
from airflow_provider_kore.unexpected import explain, guarded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from concurrent.futures import Executor

    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from airflow_provider_kore.hooks.campaign import KoreCampaignHook

LEAST_INTERVAL: Final = 1.0
"""Seconds between two looks at the least."""

LONGEST_BACKOFF: Final = 1800.0
"""Seconds between two looks that fail at the most, unless the interval is longer or the server names more."""

LAST_LOOK: Final = 10.0
"""Seconds past its deadline that a look is waited for at the most."""

TO_CONNECT: Final = 60.0
"""Seconds that looking up the connections may take, wherever Airflow keeps them."""

LONGEST_TEXT: Final = 100
"""Characters of a status or an instant that a server tells: what is longer is neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one look saw. Holds no contact data: it goes into events, logs and XComs."""

    sentence: str
    """In words: ``Campaign cd-1 is Active.``"""
    found: bool
    """Whether this is what is waited for."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """JSON; the task's XCom if it is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What a look needs, its connections looked up."""

    kore: KoreCampaignHook
    s3: S3Hook | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class PollTrigger(BaseTrigger, ABC):
    """Look at something in Kore.ai now and then, until it has a status; end with one event that says what came of it.

    A look costs one request, which is not sent again at once if it fails. A failure that may pass is followed by a
    longer wait, and by the end only when there were ``max_failures`` in a row.

    All there is to know is in the arguments, which the database keeps: one that is started anew, on any triggerer, goes
    on to the same deadline. Its first look comes at a random moment of the interval, so that many that start together
    don't ask together.
    """

    kore_conn_id: str
    """Read anew for each look: a secret may be replaced meanwhile."""
    poke_interval: float
    """Seconds between two looks."""
    deadline: float
    """Seconds since the epoch; the last look is then."""
    max_failures: int
    """Failed looks in a row that end the waiting."""
    statuses: Sequence[str]
    """What is waited for."""
    failed_statuses: Sequence[str]
    """What ends the waiting as a failure."""
    not_before: float = 0.0
    """Seconds since the epoch: no look comes earlier, because the server has asked for that."""

    def __post_init__(self) -> None:
        """Let Airflow set what it wants to know of a trigger."""
        super().__init__()

    def connect(self) -> Hooks:
        """Look up the connections. Raises ConnectionNotFoundError, ConfigError."""
        from airflow_provider_kore.hooks.campaign import KoreCampaignHook

        kore = KoreCampaignHook(self.kore_conn_id)
        _ = kore.ledger
        return Hooks(kore=kore)

    @abstractmethod
    def look(self, hooks: Hooks) -> Sight:
        """Look once; blocks for one request, and looks up no connection any more. Raises KoreError."""

    def sight_of(
        self, told: Mapping[str, object], asked: Mapping[str, str], status_name: str, *, what: str, advice: str
    ) -> Sight:
        """Return what an answer says of the status.

        :param asked: the id that was asked for, by its name; begins the summary.
        :param status_name: what the summary calls the status.
        :param what: names it in messages: ``contact list``.
        :param advice: what to do about a status from which it won't come.

        Raises WrongStatusError, ContractError.
        """
        (asked_id,) = asked.values()
        status = told_status(told, asked_id, f"{what} {asked_id}")
        found, wanted = status in self.statuses, " or ".join(self.statuses)
        sentence = f"{what.capitalize()} {asked_id} is {status}"
        if status in self.failed_statuses and not found:
            raise WrongStatusError(f"{sentence}, and {wanted} was waited for. {advice}")
        return Sight(
            sentence=f"{sentence}{'' if found else f', not {wanted} yet'}.",
            found=found,
            summary={**asked, status_name: status},
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of this class and its arguments, as JSON."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {each.name: getattr(self, each.name) for each in fields(self)},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event; its payload is that of :func:`found`, :func:`failed` or :func:`too_late`."""
        yield TriggerEvent(await self._wait())

    async def _wait(self) -> dict[str, Any]:
        """Look until there is something to tell, and return that."""
        failures = 0
        delay = max(random.uniform(0.0, self._interval), self.not_before - time.time())  # noqa: S311
        while True:
            await asyncio.sleep(max(0.0, min(delay, self._left)))
            last = self._left <= 0
            try:
                sight = await self._see()
            except RetryableError as err:
                failures += 1
                delay = self._backoff(failures, err)
                if self._left <= 0:
                    return too_late(str(err))
                if failures >= self.max_failures or (bounded_wait(err.retry_after) or 0.0) > self._left:
                    return failed(err, failures)
                self.log.warning(
                    "%s Looking again in %.0f s (failure %d of %d).", err, delay, failures, self.max_failures
                )
                continue
            except Exception as err:  # noqa: BLE001 - whatever it is, a task waits for the event
                return failed(err if isinstance(err, FatalError) else explain("The look", err))
            if sight.found:
                return found(sight)
            if last:
                return too_late(sight.sentence)
            failures = 0
            delay = self._interval * random.uniform(0.9, 1.1)  # noqa: S311
            self.log.info("%s Looking again in %.0f s.", sight.sentence, delay)

    async def _see(self) -> Sight:
        """Look once, in threads of our own, until a bound. Raises KoreError."""
        from asgiref.sync import sync_to_async

        async def look_up(executor: Executor) -> Hooks:
            return await in_triggerer(lambda: guarded("Looking up the connections", self.connect), executor)

        hooks = await bounded(self._lane, "Looking up the connections", self._bound(TO_CONNECT), look_up)

        async def see(executor: Executor) -> Sight:
            look: Any = sync_to_async(guarded, thread_sensitive=False, executor=executor)  # type: ignore[call-overload]
            sight: Sight = await look("The look", lambda: self.look(hooks))
            return sight

        return await bounded(self._lane, "The look", self._bound(self.patience(hooks)), see)

    def patience(self, hooks: Hooks) -> float:
        """Return the seconds that a look may take: what the connection allows for an answer, and a margin."""
        from airflow_provider_kore.hooks.campaign import LOOK_WAITS

        config = hooks.kore.config
        for_place = 0.0 if config.allowance_ledger is None else LOOK_WAITS
        return min(config.timeout, 300.0) + 30.0 + for_place

    @property
    def _lane(self) -> tuple[str, ...]:
        """Which looks hang together."""
        return (self.kore_conn_id,)

    @property
    def _left(self) -> float:
        """Seconds until the deadline; a clock that was set wrong, or a deadline that is none, can't make it a year."""
        return bounded_wait(self.deadline - time.time(), LONGEST_DURATION) or 0.0

    def _bound(self, patience: float) -> float:
        return min(patience, self._left + LAST_LOOK)

    @property
    def _interval(self) -> float:
        return max(LEAST_INTERVAL, bounded_wait(self.poke_interval, LONGEST_DURATION) or 0.0)

    def _backoff(self, failures: int, err: RetryableError) -> float:
        backoff = min(self._interval * 2.0 ** min(failures - 1, 32), max(LONGEST_BACKOFF, self._interval))
        return max(backoff, bounded_wait(err.retry_after) or 0.0) * random.uniform(1.0, 1.1)  # noqa: S311


def found(sight: Sight) -> dict[str, Any]:
    """Return the payload for what was waited for."""
    return {"outcome": "found", "message": sight.sentence, "summary": dict(sight.summary)}


def failed(err: KoreError, failures: int = 1) -> dict[str, Any]:
    """Return the payload for an error: its sentence, and whether a retry of the task can help."""
    fatal = isinstance(err, FatalError)
    message = str(err) if failures == 1 else f"{err} ({failures} looks in a row have failed.)"
    return {
        "outcome": "failed",
        "error": type(err).__name__,
        "message": message,
        "fatal": fatal,
        "retry_after": None if fatal else bounded_wait(getattr(err, "retry_after", None)),
    }


def too_late(sentence: str) -> dict[str, Any]:
    """Return the payload for a deadline that has passed: what the last look saw, or why it saw nothing."""
    return {"outcome": "too_late", "message": sentence}


def is_short_text(value: object) -> bool:
    """Say whether text of a server may be shown as it is: one printable line, of at most 100 characters."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT and value.isprintable()


def told_status(told: Mapping[str, object], asked: str, what: str) -> str:
    """Return the status in an answer.

    :param asked: the id that was asked for.
    :param what: names it in messages: ``campaign cd-1``.

    Raises ContractError if there is none, or if the answer is about something else.
    """
    if told.get("id", told.get("_id", asked)) != asked:
        raise ContractError(f"The answer for {what} is about another one. Check the id.")
    return told_text(told, "status", what, "Check the id, and the connection's api_version.")


def told_text(told: Mapping[str, object], name: str, what: str, advice: str) -> str:
    """Return a short text in an answer. Raises ContractError if there is none, or if it can't be shown."""
    value = told.get(name)
    if isinstance(value, str) and is_short_text(value):
        return value
    is_there = isinstance(value, str) and value
    problem = f"{name} that is longer than {LONGEST_TEXT} characters or not printable" if is_there else f"no {name}"
    raise ContractError(f"The answer for {what} has {f'a {problem}' if is_there else problem}. {advice}")
