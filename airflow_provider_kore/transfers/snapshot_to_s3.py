"""What every snapshot operator has in common: parameters in, a call to the core, XCom out."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from airflow_provider_kore.links.snapshot import ManifestLink, SnapshotLink, push_links
from airflow_provider_kore.task.assets import AssetOperator, default_outlets, emit_events, named_outlets, snapshot_uri
from airflow_provider_kore.task.errors import task_errors
from airflow_provider_kore.task.lineage import snapshot_lineage
from airflow_provider_kore.task.metrics import send_metrics
from airflow_provider_kore.task.retry_policy import set_retry_policy
from airflow_provider_kore.task.state import ShownProgress

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import BaseOperatorLink, Context

    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.exceptions import PausedError
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.hooks.s3_console import S3Console
    from airflow_provider_kore.snapshot.fields import FieldPolicies
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.walk.source import Source


LONGEST_TRY: Final = 31_622_400.0
"""Seconds (366 days) that a try, or a wait, may be allowed to take."""

_OF_RUN: Final = ("start_date", "clear_number")


class SnapshotToS3Operator(AssetOperator, ABC):
    """Land a snapshot of something that the Campaign API lists: complete, atomic, and continued where a try stopped.

    Not for use in a DAG: its subclasses say what the snapshot is of.

    Errors that no retry can mend fail the task at once; all others leave its checkpoints in place for the next try.

    :param s3_bucket: bare name of the bucket, or the ARN of an access point. (templated)
    :param s3_prefix: location of the table in the bucket. (templated)
    :param snapshot_date: YYYY-MM-DD, names the partition; None: the run's own date. (templated)
    :param file_format: ``jsonl``, ``csv`` or ``parquet``. (templated)
    :param compression: one that the format has; None: the format's default. (templated)
    :param replace: replace a snapshot that another run has published. (templated)
    :param allow_backfill: take a snapshot in a backfill as well, which files today's list under a past day. (templated)
    :param page_size: rows to ask for in one request; None: as the connection says. (templated)
    :param durable: keep checkpoints in S3, so that a retry continues on any worker.
    :param on_drift: what to do if the list changes while it is read: ``retry`` (walk it again), ``fail``, or ``accept``
        (land it with ``consistent: false``). (templated)
    :param max_walks: how often the list is walked at most.
    :param min_rows: fail rather than land fewer; subclasses name it after what they land.
    :param max_rows: fail rather than read more, so that an endless list ends; subclasses name it likewise.
    :param max_shrink: fail if more than this share of the last good snapshot's rows is missing; 1 allows all.
        (templated)
    :param fields: fields to keep, as a list or ``{"keep": […]}``, or to leave out, ``{"drop": […]}``; None: keep all.
        (templated)
    :param field_policies: ``{"phoneNumber": "hash", "firstName": "mask", …}``, applied before anything reaches S3.
        (templated)
    :param on_missing_field: what to do if a row lacks a field that a policy names: ``warn`` or ``fail``.
    :param hash_conn_id: connection whose password is the key for ``hash``; its login, or else its id, names the key.
        (templated)
    :param rows_per_file: split the snapshot into files of this many rows, committed by its manifest; None: one file.
        (templated)
    :param staging_prefix: where checkpoints go; None: beside the table (``a/_staging/b`` for ``a/b``). (templated)
    :param staging_expiry: seconds after which an unfinished walk is too old to be continued.
    :param s3_settings: how objects are written: ``encryption``, ``kms_key_id``, ``acl``, ``tags``, ``storage_class``, …
        (templated)
    :param deferrable: give the worker slot back during long waits for the allowance; needs ``durable`` and a triggerer.
        None: as ``[operators] default_deferrable`` says. (templated)
    :param defer_after: seconds; a longer wait is deferred.
    :param deadline: seconds that one try may take, deferred waits included.
    :param kore_conn_id: connection to Kore.ai. (templated)
    :param aws_conn_id: connection of the amazon provider. (templated)
    :param outlets: assets and aliases that the snapshot updates. None: the asset that is the table's location, or an
        alias (:attr:`asset_alias`) where only the running task knows it.
    :param partition: the partition keys above ``snapshot_date``, as far as the DAG's author names them; None: only the
        connection tells. Not for use in a DAG.
    """

    template_fields: Sequence[str] = (
        "s3_bucket",
        "s3_prefix",
        "snapshot_date",
        "file_format",
        "compression",
        "replace",
        "allow_backfill",
        "page_size",
        "on_drift",
        "min_rows",
        "max_rows",
        "max_shrink",
        "fields",
        "field_policies",
        "rows_per_file",
        "staging_prefix",
        "s3_settings",
        "deferrable",
        "hash_conn_id",
        "kore_conn_id",
        "aws_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "fields": "json",
        "field_policies": "json",
        "s3_settings": "json",
    }
    ui_color = "#d9ead3"
    operator_extra_links: Collection[BaseOperatorLink] = (SnapshotLink(), ManifestLink())
    asset_alias = "kore_snapshots"

    def __init__(
        self,
        *,
        s3_bucket: str,
        s3_prefix: str,
        snapshot_date: str | None = None,
        file_format: str = "jsonl",
        compression: str | None = None,
        replace: bool = True,
        allow_backfill: bool = False,
        page_size: int | None = None,
        durable: bool = True,
        on_drift: str = "retry",
        max_walks: int = 3,
        min_rows: int = 0,
        max_rows: int = 5_000_000,
        max_shrink: float = 0.99,
        fields: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        field_policies: Mapping[str, str] | None = None,
        on_missing_field: str = "warn",
        hash_conn_id: str | None = None,
        rows_per_file: int | None = None,
        staging_prefix: str | None = None,
        staging_expiry: float = 86_400.0,
        s3_settings: Mapping[str, Any] | None = None,
        deferrable: bool | None = None,
        defer_after: float = 30.0,
        deadline: float = 86_400.0,
        kore_conn_id: str = "kore_default",
        aws_conn_id: str | None = "aws_default",
        partition: Mapping[str, object] | None = None,
        **kwargs: Any,
    ) -> None:
        outlets = named_outlets(kwargs)
        super().__init__(outlets=outlets, **kwargs)
        self.s3_bucket = s3_bucket
        self.s3_prefix = s3_prefix
        self.snapshot_date = snapshot_date
        self.file_format = file_format
        self.compression = compression
        self.replace = replace
        self.allow_backfill = allow_backfill
        self.page_size = page_size
        self.durable = durable
        self.on_drift = on_drift
        self.max_walks = max_walks
        self.min_rows = min_rows
        self.max_rows = max_rows
        self.max_shrink = max_shrink
        self.fields = fields
        self.field_policies = field_policies
        self.on_missing_field = on_missing_field
        self.hash_conn_id = hash_conn_id
        self.rows_per_file = rows_per_file
        self.staging_prefix = staging_prefix
        self.staging_expiry = staging_expiry
        self.s3_settings = s3_settings
        self.deferrable = deferrable
        self.defer_after = defer_after
        self.deadline = deadline
        self.kore_conn_id = kore_conn_id
        self.aws_conn_id = aws_conn_id
        self._stop: Stop | None = None
        self._lineage: dict[str, Any] = {}
        set_retry_policy(self)
        if outlets is None:
            self.add_outlets(default_outlets(s3_bucket, s3_prefix, partition, alias=self.asset_alias))

    @abstractmethod
    def _source(self, hook: KoreCampaignHook) -> Source:
        """Return what the snapshot is of. Raises ParameterError, and ConfigError if it needs the connection."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Take the snapshot, or the first stretch of it.

        Raises AirflowFailException where no retry can help, AirflowSkipException where a newer snapshot stands,
        RetryableError where a retry can help, TaskDeferred.
        """
        return self._run(context, since=time.time())

    def resume(
        self, context: Context, event: object = None, *, since: float | None = None, try_number: int | None = None
    ) -> dict[str, Any]:
        """Continue behind the checkpoint; Airflow calls this when a deferred wait is over.

        Where the walk continues is decided by its checkpoints alone. Airflow's ``dag.test()`` loses the arguments, and
        Airflow 3.0 may bring those of an earlier try.
        """
        del event
        same_try = since is not None and try_number == context["ti"].try_number
        return self._run(context, since=since if same_try and since is not None else time.time())

    def _run(self, context: Context, since: float) -> dict[str, Any]:
        from airflow_provider_kore.exceptions import PausedError
        from airflow_provider_kore.stop import Stop

        push_links(self, context["ti"], {})  # none, until they are known
        self._stop = Stop()
        try:
            with task_errors("Taking the snapshot"):
                try:
                    summary = self._take_snapshot(context, self._stop)
                except PausedError as err:
                    self._stop.check()  # a task that was told to stop must not come back
                    self._pause(context, err, since)
                self._stop.check()  # told at the very end: the snapshot stands, and the task still is no success
                return summary
        finally:
            self._stop = None

    def on_kill(self) -> None:
        """Stop: Airflow calls this on SIGTERM, and lets ``execute`` run on unless it raises (3.0 to 3.3)."""
        if self._stop is not None:
            self._stop.request()

    def _pause(self, context: Context, err: PausedError, since: float) -> NoReturn:
        """Give the slot back until the next request may start. Raises TaskDeferred, DeadlineError."""
        from airflow_provider_kore.exceptions import DeadlineError
        from airflow_provider_kore.triggers.wait import WaitTrigger

        until = time.time() + (err.retry_after or 0.0)
        left = since + self.deadline - until
        if left <= 0:
            raise DeadlineError(
                f"The next request may not start before {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S} UTC, "
                f"which is past the deadline of {self.deadline:.0f} s. What was read is checkpointed: clear the task "
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
            kwargs={"since": since, "try_number": context["ti"].try_number},
            timeout=timedelta(seconds=left + (err.retry_after or 0.0)),
        )

    def _pause_after(self, spec: SnapshotSpec) -> float | None:
        """Return the seconds from which on a wait is deferred; None: never."""
        from airflow_provider_kore.exceptions import ParameterError
        from airflow_provider_kore.hooks.airflow_versions import default_deferrable
        from airflow_provider_kore.parameters import check_boolean, check_number, is_missing

        longest = check_number("defer_after", self.defer_after, least=0.0, most=LONGEST_TRY)
        self.deadline = check_number("deadline", self.deadline, least=1.0, most=LONGEST_TRY)
        chosen = None if is_missing(self.deferrable) else check_boolean("deferrable", self.deferrable)
        if chosen and not spec.durable:
            raise ParameterError("deferrable", "needs durable=True", "a walk continues from checkpoints in S3")
        wanted = default_deferrable() if chosen is None else chosen
        return longest if wanted and spec.durable else None

    def _take_snapshot(self, context: Context, stop: Stop) -> dict[str, Any]:
        from airflow_provider_kore.clock import SystemClock
        from airflow_provider_kore.hooks.campaign import KoreCampaignHook
        from airflow_provider_kore.hooks.s3 import open_bucket
        from airflow_provider_kore.parameters import check_text, refuse_templates
        from airflow_provider_kore.snapshot.phases import Teller
        from airflow_provider_kore.snapshot.run import take_snapshot
        from airflow_provider_kore.stop import StoppableClock

        refuse_templates({name: getattr(self, name) for name in self.template_fields})
        hook = KoreCampaignHook(check_text("kore_conn_id", self.kore_conn_id, "kore_default"))
        spec = self._spec(context, hook)
        bucket = open_bucket(self.s3_bucket, self.aws_conn_id, self.s3_settings)
        store = bucket.store
        progress = ShownProgress(context)
        teller = Teller()
        clock = teller.quiet(StoppableClock(SystemClock(), stop))
        ti = context["ti"]
        with hook.connect(clock=clock, stop=stop, pause_after=self._pause_after(spec)) as client:
            push_links(self, ti, self._links(spec, client.config, bucket.console))
            try:
                with teller.watching():
                    manifest = take_snapshot(
                        spec,
                        client,
                        store,
                        clock,
                        stop,
                        staging_store=bucket.staging,
                        on_checkpoint=progress.checkpoint,
                        teller=teller,
                    )
            finally:
                progress.close()
                send_metrics(client.spent, dag_id=ti.dag_id, task_id=ti.task_id)
        summary = {
            spec.source.file_name: manifest.rows,
            "consistent": manifest.consistent,
            **dict(spec.source.partition),
            **{name: manifest.content.get(name) for name in spec.source.summary},
            "snapshot_date": spec.snapshot_date,
            "snapshot_id": manifest.snapshot_id,
            "bucket": store.bucket,
            "manifest_key": manifest_key(spec),
            "keys": manifest.keys,
        }
        uri = snapshot_uri(store.bucket, spec.prefix, dict(spec.source.partition))
        emit_events(self, context, uri, {name: value for name, value in summary.items() if name != "keys"})
        progress.landed(manifest.rows, f"s3://{store.bucket}/{manifest_key(spec)}")
        self._lineage = {
            "manifest": manifest.content,
            "source": spec.source,
            "base_url": client.config.base_url,
            "uri": uri,
        }
        return summary

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage | None:  # noqa: ARG002
        """Tell OpenLineage what was read and written; its Airflow provider calls this when a try has ended."""
        return snapshot_lineage(**self._lineage) if self._lineage else None

    def _links(self, spec: SnapshotSpec, config: ApiConfig, console: S3Console) -> dict[type[BaseOperatorLink], str]:
        from airflow_provider_kore.snapshot.layout import Layout

        layout = Layout(spec)
        return {
            SnapshotLink: console.folder_url(self.s3_bucket, layout.partition),
            ManifestLink: console.object_url(self.s3_bucket, layout.manifest),
            **self._source_links(config),
        }

    def _source_links(self, config: ApiConfig) -> dict[type[BaseOperatorLink], str]:  # noqa: ARG002  # some have one
        """Return the links to what the snapshot is of."""
        return {}

    def _spec(self, context: Context, hook: KoreCampaignHook) -> SnapshotSpec:
        """Check every parameter. Raises ParameterError, ConfigError."""
        from airflow_provider_kore.snapshot.spec import SnapshotSpec

        spec = SnapshotSpec.parse(
            source=self._source(hook),
            s3_prefix=self.s3_prefix,
            snapshot_date=self.snapshot_date or run_date(context),
            file_format=self.file_format,
            compression=self.compression,
            replace=self.replace,
            allow_backfill=self.allow_backfill,
            run_type=run_type(context),
            retry_follows=_retry_follows(context, self.retries),
            page_size=self.page_size,
            durable=self.durable,
            on_drift=self.on_drift,
            max_walks=self.max_walks,
            min_rows=self.min_rows,
            max_rows=self.max_rows,
            max_shrink=self.max_shrink,
            policies=self._policies(),
            rows_per_file=self.rows_per_file,
            staging_prefix=self.staging_prefix,
            staging_expiry=self.staging_expiry,
            made_with=self._made_with(),
            **run_parameters(context, self.retries),
        )
        spec.file_format.require(spec.compression)
        return spec

    def _made_with(self) -> object:
        return str(self.s3_settings or "")

    def _policies(self) -> FieldPolicies:
        from airflow_provider_kore.parameters import is_missing, structure
        from airflow_provider_kore.snapshot.fields import FieldPolicies

        policies = FieldPolicies.parse(
            structure("fields", self.fields), structure("field_policies", self.field_policies), self.on_missing_field
        )
        if not policies.needs_key or self.hash_conn_id is None or is_missing(self.hash_conn_id):
            return policies.with_key(None, None)
        from airflow_provider_kore.hooks.airflow_versions import mask_secret
        from airflow_provider_kore.hooks.connections import find_connection

        connection = find_connection(self.hash_conn_id)
        key = connection.password or ""
        if key:
            mask_secret(key)
        return policies.with_key(key.encode(), connection.login or self.hash_conn_id)


def run_parameters(context: Context, retries: int | None) -> dict[str, Any]:
    """Return what :class:`~airflow_provider_kore.snapshot.spec.SnapshotSpec` wants to know of a run and its try.

    :param retries: of the task.
    """
    from airflow_provider_kore.snapshot.spec import RunKey

    ti = context["ti"]
    logical_date = context.get("logical_date")
    return {
        "run": RunKey(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
        ),
        "try_number": ti.try_number,
        "generation": _generation(context, retries),
        "logical_date": logical_date.isoformat() if logical_date else None,
    }


def _generation(context: Context, retries: int | None) -> str | None:
    """Return what stays the same in each retry, and differs after each Clear and in each new run under an old id.

    Clearing a task sets its ``max_tries`` to the tries so far plus its ``retries``; clearing a run that is over, and
    creating one anew, sets the run's ``start_date``; and ``clear_number`` counts (Airflow 3.0 to 3.2: only clears of a
    run that is over; 3.3: all). None of them is enough alone. None if Airflow does not tell.
    """
    from airflow_provider_kore.snapshot.spec import digest

    run: Any = context["dag_run"]
    tries = getattr(context["ti"], "max_tries", None)
    if tries is None:
        return None
    return digest([str(each) for each in (tries, retries, *(getattr(run, name, None) for name in _OF_RUN))])


def _retry_follows(context: Context, retries: int | None) -> bool:
    """Say whether Airflow tries again by itself after this try."""
    ti = context["ti"]
    most = getattr(ti, "max_tries", None)
    return bool(ti.try_number <= ((retries or 0) if most is None else most))


def run_type(context: Context) -> str | None:
    """Return what kind of run this is: ``scheduled``, ``manual``, ``backfill``, … (Airflow 3.0 to 3.3)."""
    found = getattr(context["dag_run"], "run_type", None)
    return None if found is None else str(getattr(found, "value", found))


def run_date(context: Context) -> str:
    """Return the date (UTC, YYYY-MM-DD) that names the partition of a run.

    A run that was triggered by hand or by an asset may have no logical date; ``run_after`` is never missing, and the
    same in every try (Airflow 3.0 to 3.3).
    """
    run = context["dag_run"]
    instant: Any = context.get("partition_date") or context.get("logical_date") or run.run_after
    if isinstance(instant, datetime):
        return instant.astimezone(UTC).date().isoformat()
    return str(instant)[:10]


def manifest_key(spec: SnapshotSpec) -> str:
    """Return the key of a snapshot's manifest."""
    from airflow_provider_kore.snapshot.layout import Layout

    return Layout(spec).manifest
