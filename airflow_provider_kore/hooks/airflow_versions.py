"""Where each supported Airflow keeps what we need of it: one file to look at when a version is added or dropped."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from airflow.sdk import BaseHook, Context, RetryDecision, RetryPolicy
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
    )

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "BaseHook",
    "RetryDecision",
    "RetryPolicy",
]

T = TypeVar("T")


def _found(name: str, *modules: str) -> Any:
    """Return what the first of these modules holds under a name that holds anything there."""
    for module in modules:
        with contextlib.suppress(ImportError, AttributeError):
            return getattr(importlib.import_module(module), name)
    raise ImportError(f"This Airflow has no {name} where it is looked for: {', '.join(modules)}.")


def mask_secret(secret: str) -> None:
    """Have Airflow replace this value by ``***`` in logs and rendered templates."""
    _found("mask_secret", "airflow.sdk.log", "airflow.sdk.execution_time.secrets_masker")(secret)  # 3.1 and later; 3.0


def stats() -> Any:
    """Return Airflow's metrics."""
    return _found("Stats", "airflow.sdk.observability.stats", "airflow.stats")  # 3.2 and later; 3.0, 3.1


def default_deferrable() -> bool:
    """Return what ``[operators] default_deferrable`` says."""
    conf = _found("conf", "airflow.sdk.configuration", "airflow.configuration")  # 3.2 and later; 3.0, 3.1
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


async def in_triggerer(look_up: Callable[[], T], executor: Executor | None = None) -> T:
    """Call what looks up connections, from a trigger: where they are to be had, and without keeping others waiting.

    That is a thread which asgiref has started, from which Airflow finds its way back to the triggerer's event loop
    (3.0.6 and 3.1 ask asgiref for that loop; later ones know it). It must not be cancelled while it asks: on 3.0.6 and
    3.1 the answer would be taken for that of the next request. But 3.0.0, and whichever of its successors keep its
    protocol, read the answer from a pipe that their loop reads, too: either
    may get it, and a thread that doesn't waits for ever, and all triggers with it. There the loop's own thread must
    ask, while no other thread does; its supervisor answers within milliseconds.

    :param executor: whose thread to use; None: the event loop's own, which everything in a triggerer shares.
    """
    comms = getattr(sys.modules.get("airflow.sdk.execution_time.task_runner"), "SUPERVISOR_COMMS", None)
    if comms is None or not (hasattr(comms, "get_message") and hasattr(comms, "lock")):
        from asgiref.sync import sync_to_async

        called: T = await sync_to_async(look_up, thread_sensitive=False, executor=executor)()  # type: ignore[arg-type]
        return called
    while comms.lock.locked():
        await asyncio.sleep(0.01)
    return look_up()


def search_metadata_database() -> None:
    """Have connections looked up in Airflow's database, too, in a process that is neither a task nor a server.

    Airflow 3.1 and later look there only in what they call a server context, which ``airflow connections get`` declares
    in this way as well; 3.0 always does.
    """
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")


def names_no_outlets(partial_kwargs: Mapping[str, Any]) -> bool:
    """Say whether neither the author nor the defaults of the DAG name a mapped task's outlets.

    Airflow puts in the very list then that is every operator's default (3.0 to 3.3); an empty one of the author's own
    is another, and says that there are to be none.
    """
    outlets = partial_kwargs.get("outlets")
    operator = sys.modules["airflow.sdk.bases.operator"]
    defaults = [getattr(operator, name, {}) for name in ("OPERATOR_DEFAULTS", "_PARTIAL_DEFAULTS")]  # 3.1 on; 3.0
    return outlets is None or any(outlets is default.get("outlets") for default in defaults)


def threads_may_ask_the_supervisor() -> bool:
    """Say whether a task's supervisor may be asked from several threads, which then wait for each other.

    That is so in a task's own process (3.2, 3.3), and not in ``dag.test()``, where nothing is out of reach either.
    """
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    return hasattr(getattr(runner, "SUPERVISOR_COMMS", None), "_thread_lock")


def is_partitioned_at_runtime(context: Context) -> bool:
    """Say whether it is for the task to say which partition it made: ``schedule=PartitionedAtRuntime()`` (3.3).

    In any other DAG a partition named here would keep the event from consumers that know no partitions.
    """
    timetable = getattr(context.get("dag"), "timetable", None)
    return bool(getattr(timetable, "partitioned_at_runtime", False)) and not context.get("partition_key")


if not TYPE_CHECKING:
    _EXCEPTIONS = ("airflow.sdk.exceptions", "airflow.exceptions")  # 3.2 and later; 3.0, 3.1
    AirflowException = _found("AirflowException", *_EXCEPTIONS)
    AirflowFailException = _found("AirflowFailException", *_EXCEPTIONS)
    AirflowNotFoundException = _found("AirflowNotFoundException", *_EXCEPTIONS)
    AirflowSensorTimeout = _found("AirflowSensorTimeout", *_EXCEPTIONS)
    AirflowSkipException = _found("AirflowSkipException", *_EXCEPTIONS)
    BaseHook = _found("BaseHook", "airflow.sdk", "airflow.hooks.base")  # 3.1 and later; 3.0
    try:
        from airflow.sdk import RetryDecision, RetryPolicy  # 3.3
    except ImportError:
        RetryDecision = RetryPolicy = object  # 3.0 to 3.2 ask no policy
