"""A task that lands something in S3: how it waits without a worker, and tells what it did.

What is landed, and with which parameters, its subclasses say (in ``transfers`` and ``operators``).
"""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import AssetAlias

from airflow_provider_kore.exceptions import DeadlineError, PausedError
from airflow_provider_kore.hooks.airflow_versions import names_no_outlets
from airflow_provider_kore.task.assets import default_outlets, emit_events
from airflow_provider_kore.task.lineage import snapshot_lineage
from airflow_provider_kore.task.stoppable import StoppableOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

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


class LandingOperator(StoppableOperator):
    """Land something in S3, which updates an asset. Not for use in a DAG."""

    asset_alias: ClassVar[str]
    """Stands for the asset where the DAG file can't tell which it is."""

    def __init__(self, **kwargs: Any) -> None:
        # No parameter of the signature: a mapped task takes the default there for what its author said, and then fails
        # before it begins (3.3).
        outlets = kwargs.pop("outlets", None)
        if outlets is None:
            outlets = (kwargs.get("default_args") or {}).get("outlets")
        super().__init__(outlets=outlets, **kwargs)
        self._wants_outlets = outlets is None
        self._landed: Landed | None = None  # for get_openlineage_facets_on_complete

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Prepare mapped tasks, whose outlet is the alias unless their author names others.

        Airflow refuses to run a task with outlets that its DAG doesn't know (3.0 to 3.3), so a mapped task has to have
        them here: when it is expanded, it is too late.
        """
        partial = super().partial(**kwargs)
        if names_no_outlets(partial.kwargs):
            partial.kwargs["outlets"] = [AssetAlias(cls.asset_alias)]
        return partial

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
    def _land(self, context: Context, stop: Stop, **noted: Any) -> Landed:
        """Do it. Raises KoreError; PausedError where a wait is longer than a worker should be kept for.

        :param noted: what the stretch before has noted for this one.
        """

    def _noted(self) -> dict[str, Any]:
        """Return what the next stretch of this try should know, as JSON."""
        return {}

    def resume(
        self,
        context: Context,
        event: object = None,  # noqa: ARG002
        *,
        since: float | None = None,
        try_number: int | None = None,
        **noted: Any,
    ) -> Any:
        """Continue after the checkpoint; Airflow calls this when a deferred wait is over.

        Where the walk continues is decided by its checkpoints alone. Airflow's ``dag.test()`` loses the arguments, and
        Airflow 3.0 may bring those of an earlier try.
        """
        same_try = try_number == context["ti"].try_number
        return self._run(context, since=since if same_try else None, **noted)

    def _work(self, context: Context, stop: Stop, since: float | None = None, **noted: Any) -> dict[str, Any]:
        since = time.time() if since is None else since
        try:
            self._landed = landed = self._land(context, stop, **noted)
        except PausedError as err:
            stop.check()  # a task that was told to stop must not come back
            self._pause(context, err, since)
        emit_events(self, context, landed.events, without_keys(landed.summary))
        return dict(landed.summary)

    def _pause(self, context: Context, err: PausedError, since: float) -> NoReturn:
        """Give the slot back until the next request may start. Raises TaskDeferred, DeadlineError."""
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
