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
else:
    try:
        from airflow.sdk import BaseHook  # 3.1 and later
    except ImportError:
        from airflow.hooks.base import BaseHook  # 3.0
    try:
        from airflow.sdk.exceptions import (  # 3.2 and later
            AirflowException,
            AirflowFailException,
            AirflowNotFoundException,
            AirflowSensorTimeout,
            AirflowSkipException,
        )
    except ImportError:
        from airflow.exceptions import (  # 3.0, 3.1
            AirflowException,
            AirflowFailException,
            AirflowNotFoundException,
            AirflowSensorTimeout,
            AirflowSkipException,
        )
    try:
        from airflow.sdk import RetryDecision, RetryPolicy  # 3.3
    except ImportError:
        RetryDecision = RetryPolicy = object  # 3.0 to 3.2 ask no policy

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "BaseHook",
    "RetryDecision",
    "RetryPolicy",
    "default_deferrable",
    "in_triggerer",
    "is_partitioned_at_runtime",
    "mask_secret",
    "names_no_outlets",
    "search_metadata_database",
    "stats",
    "threads_may_ask_the_supervisor",
]

T = TypeVar("T")


def mask_secret(secret: str) -> None:
    """Have Airflow replace this value by ``***`` in logs and rendered templates."""
    for module in ("airflow.sdk.log", "airflow.sdk.execution_time.secrets_masker"):  # 3.1 and later; 3.0
        with contextlib.suppress(ImportError, AttributeError):
            importlib.import_module(module).mask_secret(secret)
            return
    raise ImportError("This Airflow has no secrets masker where it is looked for.")


def stats() -> Any:
    """Return Airflow's metrics."""
    try:
        return importlib.import_module("airflow.sdk.observability.stats").Stats  # 3.2 and later
    except ImportError:
        return importlib.import_module("airflow.stats").Stats  # 3.0, 3.1


def default_deferrable() -> bool:
    """Return what ``[operators] default_deferrable`` says."""
    try:
        conf = importlib.import_module("airflow.sdk.configuration").conf  # 3.2 and later
    except ImportError:
        conf = importlib.import_module("airflow.configuration").conf  # 3.0, 3.1
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


async def in_triggerer(look_up: Callable[[], T], executor: Executor | None = None) -> T:
    """Call what looks up connections, from a trigger: where they are to be had, and without keeping others waiting.

    That is a thread which asgiref has started, from which Airflow finds its way back to the triggerer's event loop
    (3.0.6 and 3.1 ask asgiref for that loop; later ones know it). It must not be cancelled while it asks: on 3.0.6 and
    3.1 the answer would be taken for that of the next request. But 3.0.0, and whichever of its successors keep its
    protocol, read the answer from a pipe that their loop reads, too: either
    may get it, and a thread that doesn't waits for ever, with all triggers behind it. There the loop's own thread must
    ask, while nobody else does; its supervisor answers within milliseconds.

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
