"""What an error means for the task: fail now, try again, or pass. Nothing but our own sentences leaves an operator."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def task_errors(what: str) -> Iterator[None]:
    """Turn what no retry can help into AirflowFailException, and what was not foreseen into a sentence of ours.

    The text and the frames of an unforeseen error stay out of the log: they may hold a contact or a secret.

    :param what: what is done, for the message about an unforeseen error: ``Taking the snapshot``.

    Raises AirflowFailException, AirflowSkipException where another run's newer snapshot stands, RetryableError, and
    Airflow's own exceptions as they are.
    """
    from airflow_provider_kore.exceptions import FatalError, RetryableError, SupersededError
    from airflow_provider_kore.hooks.airflow_versions import (
        AirflowException,
        AirflowFailException,
        AirflowSkipException,
    )
    from airflow_provider_kore.unexpected import explain

    try:
        yield
    except (RetryableError, AirflowException):
        raise
    except SupersededError as err:  # what the task was there for is done
        failure: Exception = AirflowSkipException(str(err))
    except FatalError as err:
        failure = AirflowFailException(str(err))
    except Exception as err:  # noqa: BLE001  # whatever it is
        failure = explain(what, err)
        if isinstance(failure, FatalError):
            failure = AirflowFailException(str(failure))
    else:
        return
    raise failure from None  # or a log shows the sentence twice, and what the error held
