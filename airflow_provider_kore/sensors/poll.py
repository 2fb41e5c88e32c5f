"""What every sensor has in common: look on a worker, or let a trigger look, and end the task as either says."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import fields, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_kore import exceptions
from airflow_provider_kore.clock import bounded_wait
from airflow_provider_kore.exceptions import ParameterError, RetryableError
from airflow_provider_kore.hooks.airflow_versions import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    default_deferrable,
)
from airflow_provider_kore.parameters import (
    check_boolean,
    check_count,
    check_seconds,
    operator_parameter,
    shown,
    structure,
)
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.task.declared import KORE_CONN_ID, Declared
from airflow_provider_kore.task.errors import task_errors
from airflow_provider_kore.task.retry_policy import set_retry_policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_kore.triggers.poll import PollTrigger, Sight

GRACE: Final = 120.0
"""Seconds that a trigger has to tell that its deadline has passed, before Airflow takes it for lost."""

_LONGEST_MESSAGE: Final = 2000
"""Characters of an event's message that are shown: anything may have written it."""


class PollSensor(Declared, BaseSensorOperator, ABC):
    """Wait for something in Kore.ai. Not for use in a DAG: its subclasses say for what.

    A look costs one request. One that fails in a way that may pass (no answer, a server in trouble, a spent allowance)
    is no failure of the task, unless ``max_failures`` follow each other. What a person has to fix fails it at once.

    All other parameters are those of Airflow's BaseSensorOperator.

    :param kore_conn_id: connection to Kore.ai, read again for each look. (str, default 'kore_default', templated)
    :param poke_interval: seconds, or a timedelta, between two looks. Each is a request of the account's allowance.
        (timedelta | float, default 300.0)
    :param max_failures: failed looks in a row that fail the task. With ``mode="reschedule"`` each is the first. (int,
        default 10)
    :param deferrable: wait in the triggerer, which takes no worker slot; None: ``[operators] default_deferrable``.
        (bool | None, default None)
    :param timeout: seconds, or a timedelta, that one try may wait, however often it is deferred or rescheduled.
        (timedelta | float | None, default None)
    """

    kore_conn_id: str = replace(KORE_CONN_ID, doc="connection to Kore.ai, read again for each look")
    poke_interval: float = operator_parameter(
        check_seconds,
        doc="seconds, or a timedelta, between two looks. Each is a request of the account's allowance",
    )
    max_failures: int = operator_parameter(
        partial(check_count, least=1, default=10),
        doc='failed looks in a row that fail the task. With ``mode="reschedule"`` each is the first',
    )
    deferrable: bool = operator_parameter(
        check_boolean,
        doc="wait in the triggerer, which takes no worker slot; None: ``[operators] default_deferrable``",
    )
    timeout: float = operator_parameter(
        check_seconds,
        doc="seconds, or a timedelta, that one try may wait, however often it is deferred or rescheduled",
    )
    ui_color = "#e6f1f2"

    def __init__(
        self,
        *,
        kore_conn_id: str = "kore_default",
        poke_interval: timedelta | float = 300.0,
        max_failures: int = 10,
        deferrable: bool | None = None,
        timeout: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        if timeout is not None:
            kwargs["timeout"] = check_seconds("timeout", timeout)
        super().__init__(poke_interval=check_seconds("poke_interval", poke_interval), **kwargs)
        self.kore_conn_id = kore_conn_id
        self.max_failures = max_failures
        self.deferrable = default_deferrable() if deferrable is None else check_boolean("deferrable", deferrable)
        self._failures = 0
        self._not_before = 0.0
        set_retry_policy(self)

    @abstractmethod
    def _trigger(self) -> type[PollTrigger]:
        """Return what looks: its arguments are parameters of this sensor, ``statuses`` is ``status``."""

    def execute(self, context: Context) -> Any:
        """Wait.

        Raises AirflowFailException where no retry can help, AirflowSensorTimeout at the deadline, RetryableError after
        ``max_failures``.
        """
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
        sight = None if time.time() < self._not_before else self._look(time.time() + self.timeout)
        if sight is None or not sight.found:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=dict(sight.summary))

    def _get_next_poke_interval(self, *args: Any, **kwargs: Any) -> float:
        """Wait as long as the server has asked for, too: in ``mode="reschedule"`` no other process knows of it."""
        return max(float(super()._get_next_poke_interval(*args, **kwargs)), self._not_before - time.time())

    def resume(self, context: Context, event: dict[str, Any], try_number: int | None = None) -> Any:
        """End the task as the trigger says; Airflow calls this when it has fired.

        A retry starts anew, but Airflow 3.0 calls this again, with the old event: the number of the try tells.
        """
        if try_number is not None and try_number != context["ti"].try_number:
            return self.execute(context)
        return self._skipping(self._end, event)

    def _end(self, event: dict[str, Any]) -> Any:
        told = event if isinstance(event, dict) else {}
        outcome, message, summary = told.get("outcome"), told.get("message"), told.get("summary")
        message = quoted(message, _LONGEST_MESSAGE) if isinstance(message, str) and message else None
        if outcome == "found" and message and isinstance(summary, dict):
            self.log.info(message)
            return summary
        if outcome == "too_late" and message:
            raise AirflowSensorTimeout(f"{message} The timeout of {self.timeout:.0f} s is over.")
        if outcome == "failed" and message and told.get("fatal"):
            raise AirflowFailException(message)
        if outcome == "failed" and message:
            kind = getattr(exceptions, str(told.get("error")), None)
            if not (isinstance(kind, type) and issubclass(kind, RetryableError)):
                kind = RetryableError
            raise kind(message, bounded_wait(told.get("retry_after")))
        raise RetryableError(
            "The trigger told something that this task cannot read. Install the same version of "
            "airflow-provider-kore for workers and triggerers; the next try looks anew."
        )

    def _make_trigger(self, deadline: float) -> PollTrigger:
        """Return what looks, with what is meant by the parameters of its names. Raises ParameterError."""
        self._refuse_templates()
        kind = self._trigger()
        names = {field.name: {"statuses": "status"}.get(field.name, field.name) for field in fields(kind)}
        del names["deadline"], names["not_before"]
        checked = {argument: self._checked(name) for argument, name in names.items()}
        return kind(deadline=deadline, not_before=self._not_before, **checked)

    def _look(self, deadline: float) -> Sight | None:
        """Return what there is to see; None if that could not be found out, but may be next time."""
        try:
            with task_errors("The look"):
                trigger = self._make_trigger(deadline)
                sight = trigger.look(trigger.connect())
        except RetryableError as err:
            self._failures += 1
            self._not_before = time.time() + (bounded_wait(err.retry_after) or 0.0)
            most = self._checked("max_failures")
            if self._failures >= most or self._not_before > deadline:
                raise
            self.log.warning("%s (Failure %d of %d.)", err, self._failures, most)
            return None
        self._failures = 0
        self.log.info(sight.sentence)
        return sight

    def _skipping(self, step: Any, *arguments: Any) -> Any:
        """Do a step with what ``soft_fail`` and ``never_fail`` ask for, as Airflow's own ``execute`` does it."""
        try:
            return step(*arguments)
        except (AirflowFailException, AirflowSensorTimeout, RetryableError) as err:
            if self.never_fail or (self.soft_fail and not isinstance(err, RetryableError)):
                raise AirflowSkipException(str(err)) from err
            raise


def check_statuses(parameter: str, value: object, *, known: Sequence[str], least: int = 1) -> list[str]:
    """Return statuses, from one or several, none of them a misspelt documented one. Raises ParameterError."""
    from airflow_provider_kore.api.campaigns import check_spelling

    given = structure(parameter, value)
    statuses = [given] if isinstance(given, str) else given
    if (
        not isinstance(statuses, list | tuple | set | frozenset)
        or len(statuses) < least
        or not all(isinstance(each, str) and each.strip() for each in statuses)
    ):
        raise ParameterError(parameter, f"is {shown(value)}", f"use {', '.join(known)}")
    check_spelling(parameter, list(statuses), known)
    return list(statuses)


def wanted_statuses(known: Sequence[str]) -> Any:
    """Declare what is waited for.

    :param known: statuses that the vendor documents.
    """
    return operator_parameter(
        partial(check_statuses, known=known),
        templated=True,
        doc="the status to wait for, or a list of which any will do",
    )


def fatal_statuses(known: Sequence[str]) -> Any:
    """Declare what ends the waiting as a failure. See :func:`wanted_statuses`."""
    return operator_parameter(
        partial(check_statuses, known=known, least=0),
        templated=True,
        doc="statuses that fail the task at once, unless they are in ``status``",
    )
