"""One request, until it is answered: wait for the allowance, sign, send, judge the answer, and send again."""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.api import refusals
from airflow_provider_kore.api.answers import memory_of
from airflow_provider_kore.api.auth import TokenSource
from airflow_provider_kore.api.refusals import WebPageError
from airflow_provider_kore.api.transport import HttpRequest, HttpResponse
from airflow_provider_kore.exceptions import (
    ContractError,
    CredentialsError,
    KoreError,
    PausedError,
    RateLimitedError,
    RetryableError,
)
from airflow_provider_kore.walk.cost import Spent

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.api.allowance import Allowance
    from airflow_provider_kore.api.calls import Call, Payload
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.api.retry import RetryPolicy
    from airflow_provider_kore.api.transport import Transport
    from airflow_provider_kore.clock import Clock

log = logging.getLogger(__name__)

RETURN: Final = 2
"""Requests that prove after a pause that the list is still the same; so many pages have to be read before the next."""

WHATEVER_IT_COSTS: Final = 20
"""By so many times that for which no pause is made; a worker is not held for longer, even if that loses requests."""

LONG_WAIT: Final = 5.0
"""Seconds from which on a wait is worth a line in the log."""

TELL_EVERY: Final = 25.0
"""Seconds between two lines of a wait, so that with what comes in between there is one every 30 s."""

ASK_AGAIN: Final = 2
"""How often an answer that breaks the contract is asked for again before that is an error."""


_SUCCESS: Final = 2


class Sender:
    """Sends the requests of one client. Any thread may make an exchange that was prepared.

    :param on_token: called with every token that is minted.
    :param pause_after: seconds; instead of waiting longer, raise PausedError. None: wait.
    """

    def __init__(
        self,
        config: ApiConfig,
        clock: Clock,
        transport: Transport,
        allowance: Allowance,
        retry: RetryPolicy,
        *,
        on_token: Callable[[str], None] | None = None,
        pause_after: float | None = None,
    ) -> None:
        self._config = config
        self.clock = clock
        self._transport = transport
        self.retry = retry
        self._pause_after = pause_after
        self._tokens = TokenSource(config, clock, on_token)
        self._accepted = False
        self._totals: dict[str, float] = asdict(Spent())
        self._lock = threading.Lock()
        self._refusal: RateLimitedError | None = None
        """What the last answer was, if it was a refusal for the rate."""
        self.allowance = allowance
        self.largest = 0
        """Bytes of the largest body so far."""
        self.costliest = 0
        """Bytes that the page in one took at the most."""
        self.latency = float("inf")
        """Seconds of the fastest answer."""
        self.took: float | None = None
        """Seconds of the last answer that :meth:`send` returned; None: it was asked for ahead."""

    def close(self) -> None:
        """Give up the connections."""
        self._transport.close()

    @property
    def spent(self) -> Spent:
        """Since the client was made."""
        with self._lock:
            return Spent(**self._totals)  # type: ignore[arg-type]  # all of them but the seconds are counts

    def spend(self, **more: float) -> None:
        """Add to what was spent, by the names of :class:`Spent`."""
        with self._lock:
            for name, amount in more.items():
                self._totals[name] += amount

    def send(self, call: Call, *, first: Callable[[], Payload] | None = None, retry: RetryPolicy | None = None) -> Any:
        """Send a request until it succeeds, and return what its call makes of the answer.

        :param first: its first attempt, if that was made ahead.

        Raises RetryableError when the retries are used up, FatalError at once, PausedError where that is asked for.
        """
        retry = retry or self.retry
        failures = 0
        broken = 0
        refusal: RateLimitedError | None = None
        waited = 0.0
        renewed = False
        while True:
            began: float | None = None
            if first is not None:
                attempt, first = first, None
            else:
                waited += self._wait_for_place(refusal, retry.longest_rate_wait - waited)
                attempt, began = self.prepare(call), self.clock.monotonic()
            try:
                payload = attempt()
                self.took = None if began is None else self.clock.monotonic() - began
                return call.read(payload)
            except (ContractError, WebPageError) as err:
                broken += 1
                self._before_asking_again(retry, broken, err)
            except CredentialsError:
                # Once per request, if a new token can differ: this one worked before, or the clocks were just compared.
                if renewed or not (self._accepted or self._tokens.corrected):
                    raise
                renewed = True
                self._tokens.renew()
            except RateLimitedError as err:
                refusal = err
            except RetryableError as err:
                failures += 1
                delay = retry.delay(failures, err)
                if delay is None:
                    raise
                if delay >= LONG_WAIT:
                    log.info("%s Trying again in %.0f s (%d of %d).", err, delay, failures, retry.attempts - 1)
                self._wait(delay, "the server asked for it")
            self.spend(retries=1)

    def _before_asking_again(self, retry: RetryPolicy, broken: int, err: KoreError) -> None:
        """Wait a moment after an answer that breaks the contract, or raise if it stays so."""
        delay = retry.delay(broken, err) if broken <= ASK_AGAIN else None
        if delay is None:
            raise err
        log.info("%s Asking again (%d of %d).", err, broken, ASK_AGAIN)
        self._wait(delay, "an answer broke the contract")

    def _wait_for_place(self, refusal: RateLimitedError | None, patience: float) -> float:
        """Wait until the allowance has room for a request, and book it; return the seconds that took.

        :param refusal: why the request is not sent at once, if it was sent before.
        :param patience: seconds to wait after a refusal.
        """
        refusal = refusal or self._refusal  # a page that was read ahead may have met it
        waited, told = 0.0, -TELL_EVERY
        while (wait := self.allowance.book()) > 0:
            if refusal is not None and waited + wait > patience:
                raise refusal
            if waited + wait > self.allowance.longest_wait:
                self.allowance.give_up(wait)
                raise RateLimitedError(
                    "The account's allowance is spent by others who share it. Its next place comes free in about "
                    f"{wait:.0f} s; try again then.",
                    wait,
                )
            if wait >= LONG_WAIT and waited - told >= TELL_EVERY:
                told = waited
                log.info(
                    "%s Next request in %.0f s, at %s UTC.",
                    refusal or f"The allowance of {self.allowance} is spent.",
                    wait,
                    _instant(self.clock.time(), wait),
                )
            slept = self._wait(wait, "the allowance is spent", most=self.allowance.patience)
            self.spend(waited=slept)
            waited += slept
        return waited

    def _wait(self, seconds: float, why: str, most: float = math.inf) -> float:
        """Wait so long, or as long as that is worth it; return which."""
        if self._is_worth_a_pause(seconds):
            self.allowance.give_up(seconds)
            raise PausedError(f"Pausing for {seconds:.0f} s: {why}.", seconds)
        slept = min(seconds, most)
        left = slept
        while left > 0:
            step = min(left, TELL_EVERY)
            self.clock.sleep(step)
            left -= step
            if left >= 1:
                log.info("Still waiting: %s. Going on in %.0f s.", why, left)
        return slept

    def _is_worth_a_pause(self, seconds: float) -> bool:
        """Say whether to pause rather than wait. Who returns spends :data:`RETURN` before anything new is read.

        Where requests come one by one, each after a long wait, pauses before that would never let it get anywhere.
        """
        after, spent = self._pause_after, self.spent
        if after is None or seconds <= after:
            return False
        return spent.pages >= RETURN or spent.requests == spent.rate_limited or seconds >= WHATEVER_IT_COSTS * after

    def prepare(self, call: Call, largest: int | None = None) -> Callable[[], Payload]:
        """Return the exchange of a booked request, which any thread may make once.

        :param largest: bytes that the body may have; None: as many as are read at all.
        """
        self.spend(requests=1)
        request = HttpRequest(
            method=call.method,
            path=call.path,
            query=call.query,
            headers={
                "auth": self._tokens.token(),
                "iid": self._config.stream_id,
                "accountId": self._config.account_id,
                "Content-Type": "application/json",
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
                "User-Agent": "airflow-provider-kore",
            },
            body=call.body,
            largest=largest,
        )
        return partial(self._exchange, request, call, self.clock.monotonic())

    def _exchange(self, request: HttpRequest, call: Call, started: float) -> Payload:
        refusal: RateLimitedError | None = None
        try:
            response = self._transport.send(request)
            self.latency = min(self.latency, self.clock.monotonic() - started)
            self.largest = max(self.largest, len(response.body))
            self.costliest = max(self.costliest, memory_of(response.body))
            self.spend(bytes=len(response.body))
            return self._judge(response, call)
        except RateLimitedError as err:
            refusal = err
            raise
        finally:
            self._refusal = refusal
            if refusal is None:
                self.allowance.settle()
            else:
                self.spend(rate_limited=1)
                hourly = refusal.window == "hourly"
                self.allowance.refused(started=started, hourly=hourly, retry_after=refusal.retry_after)

    def _judge(self, response: HttpResponse, call: Call) -> Payload:
        """Return the parsed body of a success; raise what any other answer stands for."""
        date = refusals.parse_date(response.headers.get("Date"))
        if date is not None:
            self._tokens.observe(date)
        payload: Payload | None = None
        problem: ValueError | None = None
        try:
            payload = call.parse(response.body)
        except ValueError as err:
            problem = err
        if response.status // 100 == _SUCCESS and payload is not None:  # the vendor's pages name no status
            status = payload.get("status")
            if isinstance(status, str) and status.lower() == "success":
                self._accepted = True
                return payload
        raise refusals.explain(
            response, payload, problem, what=call.what, skew=self._tokens.skew, now=self.clock.time()
        )


def _instant(now: float, wait: float) -> str:
    """Return the time of day after a wait; the date as well where that is not today."""
    then = datetime.fromtimestamp(now + wait, UTC)
    today = then.date() == datetime.fromtimestamp(now, UTC).date()
    return then.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")
