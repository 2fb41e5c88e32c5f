"""Errors that were not foreseen, as a sentence of our own: nothing else leaves an operator, a sensor or a trigger."""

from __future__ import annotations

import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.exceptions import FatalError, KoreError, RetryableError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

_MAY_PASS = (OSError, MemoryError, RuntimeError, concurrent.futures.CancelledError)


def start_thread(name: str, target: Callable[..., object], *arguments: Any) -> threading.Thread:
    """Start a thread that holds up no end of the process. Raises UnreachableError if the system has none left."""
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        raise UnreachableError(
            "No thread can be started here. Try again later; if it stays so, look at what else runs on this machine, "
            "and at its limit of processes."
        ) from None
    return thread


def explain(what: str, err: BaseException) -> KoreError:
    """Return our own error for any other: its kind and where it was raised, but not its text, which may hold anything.

    RetryableError where the cause may pass (the network, memory, threads, Airflow's API server), else FatalError.
    """
    trace = err.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = ""
    if trace is not None:
        place = f" in {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}, line {trace.tb_lineno}"
    kind = type(err).__name__
    origin = type(err).__module__
    if (isinstance(err, _MAY_PASS) and not isinstance(err, RecursionError)) or kind == "AirflowRuntimeError":
        return RetryableError(
            f"{what} failed ({kind}{place}). Try again; if it stays, "
            "report this sentence at the project's issue tracker."
        )
    if origin.startswith(("botocore", "boto3")):
        return FatalError(
            f"{what} failed: AWS's library refuses the connection or its credentials ({kind}). Check profile, region, "
            "role and endpoint_url of the AWS connection."
        )
    return FatalError(
        f"{what} failed in a way that was not foreseen ({kind}{place}). Check the connections' fields and this "
        "task's parameters; if they are right, report this sentence at the project's issue tracker."
    )


def guarded(what: str, work: Callable[[], T], explained: Callable[[str, Exception], KoreError] = explain) -> T:
    """Call something; raise nothing but a KoreError.

    :param what: what is done, for the message: ``Looking at campaign cd-1``.
    :param explained: makes the error of ours, of that and the other one.
    """
    try:
        return work()
    except KoreError:
        raise
    except Exception as err:  # noqa: BLE001 - whatever it is
        error = explained(what, err)
    # Raised outside the except: the original's text and frames may hold an answer, a URI or a secret.
    raise error
