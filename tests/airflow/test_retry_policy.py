"""Whether and when a failed task is tried again: by what went wrong, and by what the server said."""

from __future__ import annotations

import importlib.metadata
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_kore.exceptions import CredentialsError, RateLimitedError, RetryableError, ServerError
from airflow_provider_kore.operators.connection import KoreConnectionCheckOperator
from airflow_provider_kore.task.retry_policy import KoreRetryPolicy
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

if TYPE_CHECKING:
    from bench import Bench

HAS_POLICIES = importlib.metadata.version("apache-airflow").startswith("3.3.")


def snapshot(**parameters: Any) -> ContactListToS3Operator:
    return ContactListToS3Operator(
        task_id="snapshot", contact_list_id="cl-1", s3_bucket="lake", retry_delay=timedelta(minutes=1), **parameters
    )


def decide(error: Exception, operator: Any = None) -> Any:
    context: Any = {"task": operator or snapshot()}
    return KoreRetryPolicy().evaluate(error, 1, 5, context)


def test_operators_have_the_policy_where_airflow_has_policies() -> None:
    for operator in (snapshot(), KoreConnectionCheckOperator(task_id="check")):
        found = getattr(operator, "retry_policy", None)
        assert isinstance(found, KoreRetryPolicy) if HAS_POLICIES else found is None


@pytest.mark.requires_airflow("3.3")
def test_mapped_tasks_have_it_too_on_the_worker_that_asks_it() -> None:
    with DAG("a_dag"):
        mapped = ContactListToS3Operator.partial(task_id="snapshot", s3_bucket="lake").expand(contact_list_id=["cl-1"])
    assert isinstance(mapped.unmap({"contact_list_id": "cl-1"}).retry_policy, KoreRetryPolicy)


@pytest.mark.requires_airflow("3.3")
def test_a_policy_of_the_authors_own_is_kept() -> None:
    from airflow.sdk import ExceptionRetryPolicy

    mine = ExceptionRetryPolicy(rules=[])
    assert snapshot(retry_policy=mine).retry_policy is mine


@pytest.mark.requires_airflow("3.3")
def test_what_no_retry_can_help_fails_at_once() -> None:
    decision = decide(CredentialsError("The server refuses the credentials."))
    assert (decision.action.value, decision.reason) == ("fail", "No retry can help: CredentialsError")


@pytest.mark.requires_airflow("3.3")
def test_the_servers_own_delay_is_kept() -> None:
    decision = decide(RateLimitedError("The allowance is spent.", retry_after=1_800.4))
    assert (decision.action.value, decision.retry_delay) == ("retry", timedelta(seconds=1_800.4))
    assert decision.reason == "The server asked to wait 1800 s"


@pytest.mark.requires_airflow("3.3")
@pytest.mark.parametrize(
    "error",
    [
        ServerError("The server failed.", retry_after=60.0),  # the task's own retry_delay covers that
        ServerError("The server failed."),
        RetryableError("Later.", retry_after=0.0),
        ValueError("Not ours."),
    ],
)
def test_everything_else_is_left_to_the_tasks_own_settings(error: Exception) -> None:
    decision = decide(error)
    assert (decision.action.value, decision.retry_delay) == ("default", None)


@pytest.mark.requires_airflow("3.3")
@pytest.mark.parametrize("asked", [999_999_999.0, 1e300, float("inf"), 10**400])
def test_no_server_parks_a_task_for_longer_than_six_hours_or_the_tasks_own_most(asked: float) -> None:
    error = RateLimitedError("The allowance is spent.", retry_after=asked)
    assert decide(error).retry_delay == timedelta(hours=6)
    assert decide(error, snapshot(max_retry_delay=timedelta(hours=1))).retry_delay == timedelta(hours=1)


@pytest.mark.requires_airflow("3.3")
@pytest.mark.parametrize("asked", [float("nan"), -1.0, "soon", True])
def test_what_is_no_time_is_left_to_the_tasks_own_settings(asked: object) -> None:
    assert decide(ServerError("The server failed.", retry_after=asked)).action.value == "default"  # type: ignore[arg-type]


def test_a_server_that_names_a_long_delay_is_not_asked_again_in_the_same_try(bench: Bench) -> None:
    """What it named reaches Airflow with the error, for a policy to read."""
    with (
        bench.kore.fault("service_unavailable", endpoint="contacts", at_offset=100, retry_after="1800") as fault,
        pytest.raises(ServerError) as caught,
    ):
        bench.run()
    assert caught.value.retry_after == 1_800.0
    assert fault.fired == 1
