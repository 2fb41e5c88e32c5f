"""What an error means for the task: fail now, try again, or tell us. Nothing but these leaves an operator."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def task_errors() -> Iterator[None]:
    """Turn what no retry can help into AirflowFailException, and an error that was not foreseen into one of ours.

    The text and the frames of an unforeseen error stay out of the log: they may hold a contact or a secret. Raises
    AirflowFailException, RetryableError, and Airflow's own exceptions as they are.
    """
    from airflow_provider_kore.exceptions import FatalError, KoreError, UnforeseenError
    from airflow_provider_kore.hooks.airflow_versions import AirflowException, AirflowFailException

    try:
        yield
    except FatalError as err:
        failure: Exception = AirflowFailException(str(err))
    except (KoreError, AirflowException):
        raise
    except Exception as err:  # noqa: BLE001  # whatever it is
        failure = UnforeseenError(
            f"{type(err).__name__} at {_place(err)}, which this provider did not foresee. Nothing was published. Try "
            "again; if it stays so, report this line at the project's issue tracker."
        )
    else:
        return
    raise failure from None  # or a log shows the sentence twice, and what the error held


def _place(err: BaseException) -> str:
    """Return where an error was raised, as far as this package is concerned: ``snapshot/walk.py:120``."""
    here = Path(__file__).parent
    frames = [frame for frame in traceback.extract_tb(err.__traceback__) if Path(frame.filename).is_relative_to(here)]
    if not frames:
        return "an unknown place"
    return f"{Path(frames[-1].filename).relative_to(here)}:{frames[-1].lineno}"
