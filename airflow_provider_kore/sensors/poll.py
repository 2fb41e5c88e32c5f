"""What every sensor has in common: look on a worker, or let a trigger look, and end the task as either says."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_kore.clock import bounded_wait
from airflow_provider_kore.hooks.airflow_versions import default_deferrable
from airflow_provider_kore.task.retry_policy import set_retry_policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_kore.triggers.poll import PollTrigger, Sight

GRACE = 120.0
"""Seconds that a trigger has to tell that its deadline has passed, before Airflow takes it for lost."""

LONGEST = 31_622_400.0
"""Seconds (366 days) of the longest interval and the longest timeout."""


class PollSensor(BaseSensorOperator, ABC):
    """Wait for something in Kore.ai. Not for use in a DAG: its subclasses say for what.

    A look costs one request. One that fails in a way that may pass (no answer, a server in trouble, a spent allowance)
    is no failure of the task, unless ``max_failures`` follow each other. What a person has to mend fails it at once.

    :param kore_conn_id: connection to Kore.ai, read again for each look. (templated)
    :param poke_interval: seconds, or a timedelta, between two looks. Each is a request of the account's allowance.
    :param max_failures: failed looks in a row that fail the task. With ``mode="reschedule"`` each is the first.
    :param deferrable: wait in the triggerer, which takes no worker slot; None: ``[operators] default_deferrable``.
    :param timeout: seconds, or a timedelta, that one try may wait, however often it is deferred or rescheduled.

    All others are those of Airflow's BaseSensorOperator.
    """

    ui_color = "#e6f1f2"

    def __init__(
        self,
        *,
        kore_conn_id: str = "kore_default",
        poke_interval: timedelta | float = 300.0,
        max_failures: int = 10,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("timeout") is not None:
            kwargs["timeout"] = _duration("timeout", kwargs["timeout"])
        super().__init__(poke_interval=_duration("poke_interval", poke_interval), **kwargs)
        self.kore_conn_id = kore_conn_id
        self.max_failures = max_failures
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self._failures = 0
        self._not_before = 0.0
        set_retry_policy(self)

    @abstractmethod
    def _trigger(self, **common: Any) -> PollTrigger:
        """Return what looks. Raises ParameterError."""

    def execute(self, context: Context) -> Any:
        """Wait.

        Raises AirflowFailException where no retry can help, AirflowSensorTimeout at the deadline, RetryableError after
        ``max_failures``.
        """
        self._skipping(self._check_durations)
        if not self.deferrable:
            return super().execute(context)
        deadline = time.time() + self.timeout
        sight = self._skipping(self._look, deadline)
        if sight is not None and sight.found:
            return dict(sight.summary)
        self.defer(
            trigger=self._make_trigger(deadline),
            method_name="resume",
            kwargs={"try_number": context["ti"].try_number},
            timeout=timedelta(seconds=self.timeout + GRACE),
        )
        return None

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - Airflow's signature
        """Look once."""
        if time.time() < self._not_before:
            return PokeReturnValue(is_done=False)
        sight = self._look(time.time() + self.timeout)
        if sight is None:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=sight.found, xcom_value=dict(sight.summary) if sight.found else None)

    def resume(self, context: Context, event: dict[str, Any], try_number: int | None = None) -> Any:
        """End the task as the trigger says; Airflow calls this when it has fired.

        A retry starts anew, but Airflow 3.0 calls this again, with the old event: the number of the try tells.
        """
        if try_number is not None and try_number != context["ti"].try_number:
            return self.execute(context)
        return self._skipping(self._end, event)

    def _end(self, event: dict[str, Any]) -> Any:
        from airflow_provider_kore import exceptions
        from airflow_provider_kore.hooks.airflow_versions import AirflowFailException, AirflowSensorTimeout

        told = event if isinstance(event, dict) else {}
        outcome, message, summary = told.get("outcome"), told.get("message"), told.get("summary")
        message = _one_line(message) if isinstance(message, str) and message else None
        if outcome == "found" and message and isinstance(summary, dict):
            self.log.info(message)
            return summary
        if outcome == "too_late" and message:
            raise AirflowSensorTimeout(f"{message} The timeout of {self.timeout:.0f} s is over.")
        if outcome == "failed" and message and told.get("fatal"):
            raise AirflowFailException(message)
        if outcome == "failed" and message:
            kind = getattr(exceptions, str(told.get("error")), None)
            if not (isinstance(kind, type) and issubclass(kind, exceptions.RetryableError)):
                kind = exceptions.RetryableError
            raise kind(message, bounded_wait(told.get("retry_after")))
        raise exceptions.RetryableError(
            "The trigger told something that this task cannot read. Install the same version of "
            "airflow-provider-kore for workers and triggerers; the next try looks anew."
        )

    def _check_durations(self) -> None:
        """Raise AirflowFailException for those that no clock can count, before anything waits for them."""
        from airflow_provider_kore.exceptions import ParameterError
        from airflow_provider_kore.hooks.airflow_versions import AirflowFailException

        try:
            for name in ("poke_interval", "timeout"):
                setattr(self, name, _seconds(name, getattr(self, name)))
        except ParameterError as err:
            raise AirflowFailException(str(err)) from err

    def _make_trigger(self, deadline: float) -> PollTrigger:
        from airflow_provider_kore.parameters import check_number

        return self._trigger(
            kore_conn_id=self.kore_conn_id,
            poke_interval=self.poke_interval,
            deadline=deadline,
            max_failures=int(check_number("max_failures", self.max_failures, least=1, whole=True)),
        )

    def _look(self, deadline: float) -> Sight | None:
        """Return what there is to see; None if that could not be found out, but may be next time."""
        from airflow_provider_kore.exceptions import FatalError, RetryableError
        from airflow_provider_kore.hooks.airflow_versions import AirflowFailException
        from airflow_provider_kore.unexpected import guarded

        most = 1
        try:
            trigger = self._make_trigger(deadline)
            most = trigger.max_failures
            sight = guarded("The look", lambda: trigger.look(trigger.connect()))
        except FatalError as err:
            raise AirflowFailException(str(err)) from err
        except RetryableError as err:
            self._failures += 1
            if self._failures >= most:
                raise
            self._not_before = time.time() + (bounded_wait(err.retry_after) or 0.0)
            self.log.warning("%s (Failure %d of %d.)", err, self._failures, most)
            return None
        self._failures = 0
        self.log.info(sight.sentence)
        return sight

    def _skipping(self, step: Any, *arguments: Any) -> Any:
        """Do a step with what ``soft_fail`` and ``never_fail`` ask for, as Airflow's own ``execute`` does it."""
        from airflow_provider_kore.exceptions import RetryableError
        from airflow_provider_kore.hooks.airflow_versions import (
            AirflowFailException,
            AirflowSensorTimeout,
            AirflowSkipException,
        )

        try:
            return step(*arguments)
        except (AirflowFailException, AirflowSensorTimeout) as err:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(err)) from err
            raise
        except RetryableError as err:
            if self.never_fail:
                raise AirflowSkipException(str(err)) from err
            raise


def check_statuses(parameter: str, given: object, known: Sequence[str], *, least: int = 1) -> list[str]:
    """Return statuses, from one or several, none of them a misspelt documented one. Raises ParameterError."""
    from airflow_provider_kore.api.campaigns import check_spelling
    from airflow_provider_kore.exceptions import ParameterError

    statuses = [given] if isinstance(given, str) else given
    if not isinstance(statuses, list | tuple | set | frozenset) or len(statuses) < least:
        raise ParameterError(parameter, f"is {_shown(given)}", f"use {', '.join(known)}")
    if not all(isinstance(each, str) and each.strip() for each in statuses):
        raise ParameterError(parameter, f"is {_shown(given)}", f"use {', '.join(known)}")
    check_spelling(parameter, list(statuses), known)
    return list(statuses)


def _shown(given: object) -> str:
    return f"{given!r}"[:80]


def _duration(parameter: str, given: Any) -> Any:
    """Return an interval as Airflow takes it. Raises ParameterError for one that Airflow would fall over."""
    return given if isinstance(given, timedelta) else _seconds(parameter, given)


def _seconds(parameter: str, given: object) -> float:
    """Return a number of seconds that clocks and dates can count. Raises ParameterError."""
    from airflow_provider_kore.parameters import check_number

    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    try:
        return check_number(parameter, seconds, least=0.0, most=LONGEST)
    except OverflowError:  # a whole number of hundreds of digits
        return check_number(parameter, "inf", least=0.0, most=LONGEST)


def _one_line(text: str) -> str:
    """Return text for a log: of an event that anything may have written."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[:2000])
