"""A task that can be told to stop: how it begins, is stopped, and ends. Its subclasses say what it does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_provider_kore.links.snapshot import push_links
from airflow_provider_kore.stop import Stop
from airflow_provider_kore.task.declared import Declared
from airflow_provider_kore.task.errors import task_errors
from airflow_provider_kore.task.retry_policy import set_retry_policy

if TYPE_CHECKING:
    from airflow.sdk import Context


class StoppableOperator(Declared, BaseOperator, ABC):
    """Do something that can be told to stop. Not for use in a DAG."""

    doing: ClassVar[str]
    """What goes on, for the message about an unforeseen error: ``Verifying the snapshots``."""
    ui_color = "#d9ead3"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._stop: Stop | None = None
        set_retry_policy(self)

    @abstractmethod
    def _work(self, context: Context, stop: Stop) -> Any:
        """Do it, and return the XCom. Raises KoreError."""

    def execute(self, context: Context) -> Any:
        """Do it, or the first stretch of it.

        Raises AirflowFailException where no retry can help, AirflowSkipException where there is nothing to do,
        RetryableError where a retry can help, TaskDeferred.
        """
        return self._run(context)

    def on_kill(self) -> None:
        """Stop: Airflow calls this on SIGTERM, and lets ``execute`` run on unless it raises (3.0 to 3.3)."""
        if self._stop is not None:
            self._stop.request()

    def _run(self, context: Context, **resumed: Any) -> Any:
        """Do it.

        :param resumed: what ``_work`` takes besides where it continues.
        """
        self._stop = stop = Stop()
        try:
            push_links(self, context.get("ti"), {})  # none, until they are known
            with task_errors(self.doing):
                self._refuse_templates()
                summary = self._work(context, stop, **resumed)
                stop.check()  # told at the very end: what is done stands, and the task still is no success
                return summary
        finally:
            self._stop = None
