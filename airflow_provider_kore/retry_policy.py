"""When Airflow should try a task again, by what went wrong: a retry policy for those versions that have them (3.3)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import FatalError, RetryableError
from airflow_provider_kore.hooks.airflow_versions import RetryDecision, RetryPolicy

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context


class KoreRetryPolicy(RetryPolicy):
    """Fail at once where no retry can help, and wait as long as the server has asked to.

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
        if isinstance(exception, RetryableError) and exception.retry_after is not None:
            asked = timedelta(seconds=exception.retry_after)
            task = context.get("task") if context else None
            if task is None or asked > task.retry_delay:
                return RetryDecision.retry(
                    delay=asked, reason=f"The server asked to wait {exception.retry_after:.0f} s"
                )
        return RetryDecision.default()

    def serialize(self) -> dict[str, object]:
        """Return nothing: there is nothing to configure."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, object]) -> KoreRetryPolicy:  # noqa: ARG003 - Airflow's signature
        """Return a policy."""
        return cls()


def set_retry_policy(operator: BaseOperator) -> None:
    """Give an operator this policy, unless its author chose one or its Airflow has none (3.0 to 3.2)."""
    if getattr(operator, "retry_policy", operator) is None:
        operator.retry_policy = KoreRetryPolicy()
