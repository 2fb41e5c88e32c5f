"""When Airflow should try a task again, by what went wrong: a retry policy for those versions that have them (3.3)."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_kore.clock import LONGEST_WAIT, bounded_wait
from airflow_provider_kore.exceptions import FatalError, RetryableError
from airflow_provider_kore.hooks.airflow_versions import RetryDecision, RetryPolicy

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context


class KoreRetryPolicy(RetryPolicy):
    """Fail at once where no retry can help, and wait as long as the server has asked to.

    At most six hours, though, and the task's ``max_retry_delay`` where it has one.

    All other errors, and a wait that the task's ``retry_delay`` covers, are left to the task's own settings. A policy
    adds no retries: the task's ``retries`` says how many there are.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - Airflow's signature
        max_tries: int,  # noqa: ARG002
        context: Context | None = None,
    ) -> RetryDecision:
        """Decide; Airflow calls this on the worker, after a try has failed."""
        if isinstance(exception, FatalError):
            return RetryDecision.fail(reason=f"No retry can help: {type(exception).__name__}")
        wait = bounded_wait(exception.retry_after) if isinstance(exception, RetryableError) else None
        if wait is not None:
            task = context.get("task") if context else None
            wait = min(wait, _seconds(getattr(task, "max_retry_delay", None), LONGEST_WAIT))
            if task is None or wait > _seconds(getattr(task, "retry_delay", None), 0.0):
                return RetryDecision.retry(
                    delay=timedelta(seconds=wait), reason=f"The server asked to wait {wait:.0f} s"
                )
        return RetryDecision.default()

    def serialize(self) -> dict[str, object]:
        """Return nothing: there is nothing to configure."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, object]) -> KoreRetryPolicy:  # noqa: ARG003 - Airflow's signature
        """Return a policy."""
        return cls()


def _seconds(delay: object, otherwise: float) -> float:
    found = bounded_wait(delay.total_seconds() if isinstance(delay, timedelta) else delay, math.inf)
    return otherwise if found is None else found


def set_retry_policy(operator: BaseOperator) -> None:
    """Give an operator this policy, unless its author chose one or its Airflow has none (3.0 to 3.2)."""
    if getattr(operator, "retry_policy", operator) is None:
        operator.retry_policy = KoreRetryPolicy()
