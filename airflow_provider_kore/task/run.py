"""A task that lands something in S3: how it begins, is stopped, waits without a worker, and tells what it did.

What is landed, and with which parameters, its subclasses say (in ``transfers`` and ``operators``).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow_provider_kore.links.snapshot import push_links
from airflow_provider_kore.task.assets import AssetOperator, default_outlets, emit_events, named_outlets
from airflow_provider_kore.task.declared import Declared
from airflow_provider_kore.task.errors import task_errors
from airflow_provider_kore.task.lineage import snapshot_lineage
from airflow_provider_kore.task.retry_policy import set_retry_policy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from airflow_provider_kore.exceptions import PausedError
    from airflow_provider_kore.stop import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A table's location: what the asset is called after."""

    bucket: Any
    prefix: Any
    partition: Mapping[str, Any] | None
    """The partition keys above ``snapshot_date``, with their values; None: the DAG file doesn't tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """What a task has landed, for Airflow to show."""

    summary: Mapping[str, Any]
    """The task's XCom."""
    events: Mapping[str, Mapping[str, Any]]
    """What is said of each asset, by its URI: the table's location."""
    lineage: Sequence[Mapping[str, Any]] = ()
    """What OpenLineage is told of some of them, as :func:`snapshot_lineage` takes it."""


def without_keys(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an asset's event says of what a task has landed: its XCom without ``keys``."""
    return {name: value for name, value in summary.items() if name != "keys"}


class LandingOperator(Declared, AssetOperator, ABC):
    """Land something in S3. Not for use in a DAG."""

    doing: ClassVar[str]
    """What goes on, for the message about an unforeseen error: ``Taking the snapshot``."""
    ui_color = "#d9ead3"

    def __init__(self, **kwargs: Any) -> None:
        outlets = named_outlets(kwargs)
        super().__init__(outlets=outlets, **kwargs)
        self._wants_outlets = outlets is None
        self._stop: Stop | None = None
        self._landed: Landed | None = None  # for get_openlineage_facets_on_complete
        set_retry_policy(self)

    def _keep(self, given: Mapping[str, Any]) -> None:
        """Keep parameters, and with the last of them the outlets that follow from them."""
        super()._keep(given)
        if self._wants_outlets and all(name in vars(self) for name in self.declared):
            for place in self._places():
                self.add_outlets(default_outlets(place.bucket, place.prefix, place.partition, alias=self.asset_alias))

    @abstractmethod
    def _places(self) -> Sequence[Place]:
        """Return where the tables will be, as far as the DAG's author has said."""

    @abstractmethod
    def _land(self, context: Context, stop: Stop) -> Landed:
        """Do it. Raises KoreError; PausedError where a wait is longer than a worker should be kept for."""

    def _noted(self) -> dict[str, Any]:
        """Return arguments of :meth:`resume` that the next stretch of this try should have besides."""
        return {}

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it, or the first stretch of it.

        Raises AirflowFailException where no retry can help, AirflowSkipException where there is nothing to do,
        RetryableError where a retry can help, TaskDeferred.
        """
        return self._run(context, since=time.time())

    def resume(
        self, context: Context, event: object = None, *, since: float | None = None, try_number: int | None = None
    ) -> dict[str, Any]:
        """Continue after the checkpoint; Airflow calls this when a deferred wait is over.

        Where the walk continues is decided by its checkpoints alone. Airflow's ``dag.test()`` loses the arguments, and
        Airflow 3.0 may bring those of an earlier try.
        """
        del event
        same_try = since is not None and try_number == context["ti"].try_number
        return self._run(context, since=since if same_try and since is not None else time.time())

    def on_kill(self) -> None:
        """Stop: Airflow calls this on SIGTERM, and lets ``execute`` run on unless it raises (3.0 to 3.3)."""
        if self._stop is not None:
            self._stop.request()

    def _run(self, context: Context, since: float) -> dict[str, Any]:
        from airflow_provider_kore.exceptions import PausedError
        from airflow_provider_kore.stop import Stop

        self._stop = stop = Stop()
        try:
            push_links(self, context["ti"], {})  # none, until they are known
            with task_errors(self.doing):
                self._refuse_templates()
                try:
                    landed = self._land(context, stop)
                except PausedError as err:
                    stop.check()  # a task that was told to stop must not come back
                    self._pause(context, err, since)
                emit_events(self, context, landed.events, without_keys(landed.summary))
                self._landed = landed
                stop.check()  # told at the very end: what has landed stands, and the task still is no success
                return dict(landed.summary)
        finally:
            self._stop = None

    def _pause(self, context: Context, err: PausedError, since: float) -> NoReturn:
        """Give the slot back until the next request may start. Raises TaskDeferred, DeadlineError."""
        from airflow_provider_kore.exceptions import DeadlineError
        from airflow_provider_kore.triggers.wait import WaitTrigger

        until = time.time() + (err.retry_after or 0.0)
        deadline = self._checked("deadline")
        left = since + deadline - until
        if left <= 0:
            raise DeadlineError(
                f"The next request may not start before {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S} UTC, "
                f"which is past the deadline of {deadline:.0f} s. What was read is checkpointed: clear the task "
                "to continue there, or raise the parameter deadline."
            )
        self.log.info(
            "Deferring until %s UTC: %s The checkpoints tell where to continue.",
            f"{datetime.fromtimestamp(until, UTC):%H:%M:%S}",
            err,
        )
        self.defer(
            trigger=WaitTrigger(moment=datetime.fromtimestamp(until, UTC)),
            method_name="resume",
            kwargs={"since": since, "try_number": context["ti"].try_number, **self._noted()},
            timeout=timedelta(seconds=left + (err.retry_after or 0.0)),
        )

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage | None:  # noqa: ARG002
        """Tell OpenLineage what was read and written; its Airflow provider calls this when a try has ended.

        It finds this method by its name, on the operator, and gives it the task instance alone, in a forked child that
        must not ask Airflow for an XCom over the parent's socket (3.0 to 3.3, provider 2.20). So what ``execute`` has
        landed has to be kept on the operator.
        """
        landed = self._landed
        return snapshot_lineage(landed.lineage) if landed and landed.lineage else None
