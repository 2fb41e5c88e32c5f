"""What leaves an operator, whatever happens in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.exceptions import (
    ContentionError,
    ParameterError,
    RetryableError,
    StoppedError,
    SupersededError,
)
from airflow_provider_kore.hooks.airflow_versions import AirflowFailException, AirflowSkipException
from airflow_provider_kore.task.errors import task_errors

if TYPE_CHECKING:
    from bench import Bench

PRIVATE = "+15550001111"


@pytest.mark.parametrize(
    "kind", [TypeError, KeyError, ZeroDivisionError, RecursionError, MemoryError, UnicodeError, StopIteration, OSError]
)
def test_an_error_that_was_not_foreseen_is_told_without_what_it_held(kind: type[Exception]) -> None:
    with pytest.raises((RetryableError, AirflowFailException)) as caught, task_errors("The work"):
        raise kind(PRIVATE)
    assert kind.__name__ in str(caught.value)
    assert PRIVATE not in str(caught.value)
    assert caught.value.__suppress_context__, "the log would show what it held"


def test_what_no_retry_can_help_fails_the_task_with_one_sentence() -> None:
    with (
        pytest.raises(AirflowFailException, match="Parameter 'x': is wrong; say it right") as caught,
        task_errors("The work"),
    ):
        raise ParameterError("x", "is wrong", "say it right")
    assert caught.value.__suppress_context__, "the log would show the sentence twice"


def test_a_task_whose_purpose_another_has_fulfilled_is_skipped_with_the_sentence() -> None:
    with pytest.raises(AirflowSkipException, match="newer snapshot stays") as caught, task_errors("The work"):
        raise SupersededError("Its newer snapshot stays.")
    assert caught.value.__suppress_context__, "the log would show the sentence twice"


@pytest.mark.parametrize(
    "error",
    [
        StoppedError("stopped"),
        ContentionError("others"),
        AirflowSkipException("skip"),
        KeyboardInterrupt(),
        SystemExit(1),
    ],
)
def test_all_else_passes_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, task_errors("The work"):
        raise error
    assert caught.value is error


def test_the_place_is_one_in_this_package(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **named: Any) -> None:
        raise AttributeError(PRIVATE)

    monkeypatch.setattr("airflow_provider_kore.snapshot.run.check_guards", fail)
    with pytest.raises(AirflowFailException, match=r"AttributeError in test_task_errors\.py, line \d+") as caught:
        bench.run()
    assert PRIVATE not in str(caught.value)
