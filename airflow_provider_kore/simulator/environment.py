"""A simulated environment: one request in, one answer out. No HTTP.

The order is a gateway's: who is it, may they ask now, and only then what do they ask. A request that is refused for its
token therefore uses up no allowance, and one that a fault spoils has used up its ``jti``, like anywhere else.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import fields, replace
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
from airflow_provider_kore.simulator.calls import NOWHERE, Call
from airflow_provider_kore.simulator.endpoints import ENDPOINTS, UnknownIdError, answer_to_unknown_id
from airflow_provider_kore.simulator.faults import make_fault
from airflow_provider_kore.simulator.journal import Journal, ServedRequest
from airflow_provider_kore.simulator.limits import Allowance
from airflow_provider_kore.simulator.paging import print_page
from airflow_provider_kore.simulator.state import State
from airflow_provider_kore.simulator.tokens import TokenCheck
from airflow_provider_kore.simulator.triggers import ArmedFault, Trigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.simulator.limits import Spent
    from airflow_provider_kore.simulator.settings import Settings
    from airflow_provider_kore.simulator.tokens import App

_TRIGGER_FIELDS = frozenset(field.name for field in fields(Trigger))


class Environment(State):
    """What an environment holds, what goes wrong there, what it answers and what it served."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._journal = Journal()
        self._armed: list[ArmedFault] = []
        self._faults_so_far = 0
        self._tokens = TokenCheck()
        self._allowances: defaultdict[str, Allowance] = defaultdict(Allowance)

    # --- What goes wrong -------------------------------------------------------------------------------------------

    def add_fault(self, name: str, **conditions: Any) -> ArmedFault:
        """Let something go wrong until it is removed.

        :param name: one of ``FAULTS``.
        :param conditions: fields of :class:`Trigger` say when; all others are the fault's own parameters.

        Raises ValueError with a sentence for a name or parameter that does not exist.
        """
        when = {key: value for key, value in conditions.items() if key in _TRIGGER_FIELDS}
        own = {key: value for key, value in conditions.items() if key not in _TRIGGER_FIELDS}
        fault, trigger = make_fault(name, own), Trigger(**{"seed": self.settings.seed, **when})
        with self.lock:
            self._faults_so_far += 1
            armed = ArmedFault(self._faults_so_far, fault, trigger, self._disarm)
            self._armed.append(armed)
            return armed

    def fault(self, name: str, **conditions: Any) -> ArmedFault:
        """Do the same for a ``with`` block: ``with kore.fault("server_error", after_requests=70): …``."""
        return self.add_fault(name, **conditions)

    def _disarm(self, armed: ArmedFault) -> None:
        with self.lock:
            if armed in self._armed:
                self._armed.remove(armed)

    @property
    def faults(self) -> list[ArmedFault]:
        """The faults that are there, in the order in which they were added."""
        with self.lock:
            return list(self._armed)

    def clear_faults(self) -> None:
        """Take all faults away."""
        for fault in self.faults:
            fault.remove()

    # --- What it served --------------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[ServedRequest]:
        """The requests it served, oldest first; at most ``keep_requests``. Calls to the control API don't count."""
        with self.lock:
            return list(self._journal.served)

    @property
    def page_requests(self) -> list[ServedRequest]:
        """Those of them that asked for a page of contacts."""
        return [record for record in self.requests if record.endpoint == "contacts"]

    def forget_requests(self) -> None:
        """Start ``requests`` and ``report()`` afresh. Allowances and faults remember."""
        with self.lock:
            self._journal.forget()

    def report(self) -> dict[str, Any]:
        """Sum up what was served: per endpoint, status, fault and reason, rate limit refusals, peak, bytes."""
        with self.lock:
            return self._journal.report()

    # --- What it answers -------------------------------------------------------------------------------------------

    def _respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer a request. ``target`` is its path and query, header names are in lower case."""
        with self.lock:
            settings = self.settings
            self._settle()
            self._number += 1
            arrived = time.time()
            call = Call(method, target, headers, body, number=self._number, arrived=time.monotonic())
            struck: list[ArmedFault] = []
            try:
                answer = self._answer(call, settings, struck)
            except RefusedError as err:
                answer = refusal(err.status, err.message, err.reason, settings)
            for armed in struck:
                answer = armed.fault.deliver(answer)
            answer = self._with_limit_headers(answer, settings)
            if settings.clock_offset:
                date = formatdate(time.time() + settings.clock_offset, usegmt=True)
                answer = answer.with_header("Date", date)
            answer = answer.late(settings.latency)
            self._journal.add(_record(call, arrived, answer, struck), settings)
            return answer

    def _answer(self, call: Call, settings: Settings, struck: list[ArmedFault]) -> Answer:
        app = self._authenticate(call, settings)
        spent = self._allowances[app.settings.account_id].admit(call.arrived, settings)
        if spent is not None:
            return _rate_limited(spent, settings)
        struck += self._strike(call, settings)
        for armed in struck:
            list_id = armed.trigger.list_id or call.list_id
            if list_id in self.lists:
                armed.fault.change(self, list_id)
        for armed in struck:
            spoilt = armed.fault.answer(settings)
            if spoilt is not None:
                return spoilt
        call.check_method()
        try:
            found = ENDPOINTS[call.endpoint](self, call)
        except UnknownIdError as err:
            found = answer_to_unknown_id(settings, call, str(err))
        if isinstance(found, Answer):
            answer = found
        else:
            for armed in struck:
                found = armed.fault.shape(found)
            answer = Answer(
                status=200, body=print_page(found, settings), latency=len(found.items) * settings.row_latency
            )
        succeeded = call.method == "POST" and not answer.refused
        return replace(answer, status=settings.post_status) if succeeded else answer

    def _authenticate(self, call: Call, settings: Settings) -> App:
        if call.stream_id and not call.stream_id.startswith("st-"):
            raise RefusedError(400, INVALID_STREAM, "stream id")
        now = time.time() + settings.clock_offset
        app = self._tokens.app(call.headers.get("auth", ""), self.apps, now, settings)
        if call.endpoint not in {NOWHERE.endpoint, "interaction_details"} and call.stream_id != app.settings.stream_id:
            raise RefusedError(401, SDK_CREDENTIALS, "stream of another app")
        if call.headers.get("iid") != app.settings.stream_id:
            raise RefusedError(401, SDK_CREDENTIALS, "header iid")
        if call.route.account is None and settings.account_in_query == "refused" and "accountId" in call.query:
            raise RefusedError(412, INVALID_ARGUMENTS, "accountId in the query")
        accounts = [call.headers.get("accountid")]
        needed = bool(call.route.account) or (call.route.account is None and settings.account_in_query == "required")
        if call.endpoint == "interaction_details":
            accounts.append(call.target_id)
        elif "accountId" in call.query or needed:
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
        left = self._allowances[settings.account_id].left(time.monotonic(), settings)
        answer = answer.with_header(f"{settings.limit_headers}-Limit", str(settings.requests_per_minute))
        return answer.with_header(f"{settings.limit_headers}-Remaining", str(left))

    def _strike(self, call: Call, settings: Settings) -> list[ArmedFault]:
        skip = _number(call, "skip") or 0
        limit = _number(call, "limit") or settings.default_limit
        if settings.limit_handling == "ignore":
            limit = settings.default_limit
        elif settings.limit_handling == "clamp":
            limit = min(limit, settings.max_limit)
        return [armed for armed in self._armed if armed.strikes(call, skip, limit)]


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
    return answer.with_header("Retry-After", retry_after)


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
        status=0 if answer.reset == "before_headers" else answer.status,
        bytes=len(answer.body),
        fault="+".join(armed.fault.name for armed in struck),
        refused=answer.refused,
    )
