"""One request in, one answer out: authentication, allowance, faults, endpoint, report. No HTTP.

The order is a gateway's: who is it, may they ask now, and only then what do they ask. A request that is refused for its
token therefore uses up no allowance, and one that a fault spoils has used up its ``jti``, like anywhere else.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.simulator.answers import (
    GENERIC_LIMIT,
    HOUR_LIMIT,
    INVALID_ARGUMENTS,
    INVALID_STREAM,
    MINUTE_LIMIT,
    SDK_CREDENTIALS,
    Answer,
    RefusedError,
    refusal,
)
from airflow_provider_kore.simulator.calls import UNKNOWN, Call, read_call
from airflow_provider_kore.simulator.endpoints import ENDPOINTS
from airflow_provider_kore.simulator.journal import Journal, ServedRequest
from airflow_provider_kore.simulator.limits import Allowance, Spent
from airflow_provider_kore.simulator.settings import with_changes
from airflow_provider_kore.simulator.state import State
from airflow_provider_kore.simulator.tokens import App, TokenCheck
from airflow_provider_kore.simulator.triggers import ArmedFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.simulator.faults import Fault
    from airflow_provider_kore.simulator.paging import Page
    from airflow_provider_kore.simulator.settings import Settings
    from airflow_provider_kore.simulator.triggers import Trigger


class Service:
    """The environment behind the HTTP server. Hold ``lock`` to touch ``state`` or ``journal``."""

    def __init__(self, settings: Settings) -> None:
        """Start with an empty account and the app that the settings describe."""
        self.lock = threading.RLock()
        self.state = State(settings)
        self.journal = Journal(settings.keep_requests)
        self.armed: list[ArmedFault] = []
        self._faults_so_far = 0
        self._tokens = TokenCheck()
        self._allowances: dict[str, Allowance] = {}
        self._number = 0

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change settings. Raises ValueError, and changes nothing, if one is wrong."""
        settings = with_changes(self.state.settings, changes)
        with self.lock:
            self.state.configure(settings)
            self.journal.keep(settings.keep_requests)

    def arm(self, fault: Fault, trigger: Trigger) -> ArmedFault:
        """Let a fault wait for its requests."""
        with self.lock:
            self._faults_so_far += 1
            armed = ArmedFault(self._faults_so_far, fault, trigger, self.disarm)
            self.armed.append(armed)
            return armed

    def disarm(self, armed: ArmedFault) -> None:
        """Take a fault away; nothing happens if it is gone already."""
        with self.lock:
            if armed in self.armed:
                self.armed.remove(armed)

    def settle(self) -> None:
        """Let pushed contacts appear whose time has come."""
        with self.lock:
            self.state.settle(time.monotonic(), self._number + 1)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer a request. ``target`` is its path and query, header names are in lower case."""
        with self.lock:
            settings = self.state.settings
            self._number += 1
            arrived, now = time.time(), time.monotonic()
            self.state.settle(now, self._number)
            call = read_call(method, target, headers, body, number=self._number, arrived=now)
            struck: list[ArmedFault] = []
            try:
                answer = self._answer(call, settings, struck)
            except RefusedError as err:
                answer = refusal(err.status, err.message, err.reason, settings)
            for armed in struck:
                answer = armed.fault.deliver(answer)
            answer = self._with_limit_headers(answer, settings)
            answer = _with_server_clock(answer, settings)
            self.journal.add(_record(call, arrived, answer, struck), settings.minute_seconds)
            return answer

    def _answer(self, call: Call, settings: Settings, struck: list[ArmedFault]) -> Answer:
        app = self._authenticate(call, settings)
        spent = self._allowances.setdefault(app.settings.account_id, Allowance()).admit(call.arrived, settings)
        if spent is not None:
            return _rate_limited(spent, settings)
        struck += self._strike(call, settings)
        for armed in struck:
            list_id = armed.trigger.list_id or call.list_id
            if list_id in self.state.lists:
                armed.fault.change(self.state, list_id)
        for armed in struck:
            spoilt = armed.fault.answer(settings)
            if spoilt is not None:
                return spoilt
        call.check_method()

        rows = 0

        def shape(page: Page) -> Page:
            nonlocal rows
            for armed in struck:
                page = armed.fault.shape(page)
            rows = len(page.items)
            return page

        answer = ENDPOINTS[call.endpoint](self.state, replace(call, shape=shape))
        late = answer.delivery.latency + rows * settings.row_latency
        status = settings.post_status if call.method == "POST" and not answer.refused else answer.status
        return replace(answer, status=status, delivery=replace(answer.delivery, latency=late))

    def _authenticate(self, call: Call, settings: Settings) -> App:
        if call.stream_id and not call.stream_id.startswith("st-"):
            raise RefusedError(400, INVALID_STREAM, "stream id")
        now = time.time() + settings.clock_offset
        app = self._tokens.app(call.headers.get("auth", ""), self.state.apps, now, settings)
        if call.endpoint not in {UNKNOWN, "interaction_details"} and call.stream_id != app.settings.stream_id:
            raise RefusedError(401, SDK_CREDENTIALS, "stream of another app")
        if call.headers.get("iid") != app.settings.stream_id:
            raise RefusedError(401, SDK_CREDENTIALS, "header iid")
        if call.account is None and settings.account_in_query == "refused" and "accountId" in call.query:
            raise RefusedError(412, INVALID_ARGUMENTS, "accountId in the query")
        accounts = [call.headers.get("accountid")]
        needed = bool(call.account) or (call.account is None and settings.account_in_query == "required")
        if call.endpoint == "interaction_details":
            accounts.append(call.target_id)
        elif "accountId" in call.query or (needed and call.version in {"v1", "v2"}):
            accounts.append(call.query.get("accountId"))
        if any(account != app.settings.account_id for account in accounts):
            if settings.wrong_account == "unauthorized":
                raise RefusedError(401, SDK_CREDENTIALS, "accountId")
            raise RefusedError(412, INVALID_ARGUMENTS, "accountId")
        content_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
        if settings.require_content_type and content_type != "application/json":
            raise RefusedError(412, INVALID_ARGUMENTS, "Content-Type")
        return app

    def _with_limit_headers(self, answer: Answer, settings: Settings) -> Answer:
        if settings.limit_headers == "none":
            return answer
        left = self._allowances.setdefault(settings.account_id, Allowance()).left(time.monotonic(), settings)
        told = {"Limit": settings.requests_per_minute, "Remaining": left}
        headers = ((f"{settings.limit_headers}-{name}", str(value)) for name, value in told.items())
        return replace(answer, headers=(*answer.headers, *headers))

    def _strike(self, call: Call, settings: Settings) -> list[ArmedFault]:
        if not self.armed:
            return []
        skip = _number(call, "skip") or 0
        limit = _number(call, "limit") or settings.default_limit
        if settings.limit_handling == "ignore":
            limit = settings.default_limit
        elif settings.limit_handling == "clamp":
            limit = min(limit, settings.max_limit)
        return [armed for armed in self.armed if armed.strikes(call, skip, limit)]


def _rate_limited(spent: Spent, settings: Settings) -> Answer:
    named = spent.window if settings.rate_limit_message == "window" else settings.rate_limit_message
    text = {"minute": MINUTE_LIMIT, "hour": HOUR_LIMIT, "generic": GENERIC_LIMIT}[named]
    answer = refusal(settings.rate_limit_status, text, f"rate limit, {spent.window}", settings)
    if settings.rate_limit_body != "errors":
        status = {"status": settings.failure_status} if settings.rate_limit_body == "status" else {}
        answer = replace(answer, body=json.dumps({**status, "message": text}).encode())
    retry_after = settings.retry_after
    if retry_after == "wait":
        retry_after = str(int(spent.wait) + 1)
    elif retry_after == "date":
        retry_after = formatdate(time.time() + settings.clock_offset + spent.wait + 1, usegmt=True)
    return replace(answer, headers=(("Retry-After", retry_after),)) if retry_after else answer


def _with_server_clock(answer: Answer, settings: Settings) -> Answer:
    if settings.clock_offset:
        date = formatdate(time.time() + settings.clock_offset, usegmt=True)
        answer = replace(answer, headers=(*answer.headers, ("Date", date)))
    if settings.latency:
        late = answer.delivery.latency + settings.latency
        answer = replace(answer, delivery=replace(answer.delivery, latency=late))
    return answer


def _number(call: Call, name: str) -> int | None:
    """Read a paging number for the report; None if it is not there or is no number, which the endpoint then refuses."""
    value: object = call.query.get(name)
    if call.method == "POST":
        try:
            value = call.fields.get(name, value)
        except RefusedError:
            return None
    try:
        return int(value) if isinstance(value, (int, str)) else None
    except ValueError:
        return None


def _record(call: Call, arrived: float, answer: Answer, struck: list[ArmedFault]) -> ServedRequest:
    return ServedRequest(
        number=call.number,
        time=arrived,
        method=call.method,
        path=call.path,
        query=call.query,
        endpoint=call.endpoint,
        skip=_number(call, "skip"),
        limit=_number(call, "limit"),
        status=0 if answer.delivery.reset == "before_headers" else answer.status,
        bytes=len(answer.body),
        fault="+".join(armed.fault.name for armed in struck),
        refused=answer.refused,
    )
