"""What every snapshot operator has in common: parameters in, a call to the core, XCom out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from airflow_provider_kore.clock import Clock, SystemClock
from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.hooks.airflow_versions import default_deferrable, stats
from airflow_provider_kore.links.snapshot import ManifestLink, SnapshotLink, push_links
from airflow_provider_kore.parameters import (
    as_given,
    check_boolean,
    check_seconds,
    operator_parameter,
    optional,
    parameters_of,
    structure,
    unless_missing,
)
from airflow_provider_kore.snapshot.layout import Layout
from airflow_provider_kore.snapshot.spec import SnapshotSpec
from airflow_provider_kore.stop import Stop, StoppableClock
from airflow_provider_kore.task.assets import snapshot_uri
from airflow_provider_kore.task.context import retry_follows, run_date, run_parameters, run_type
from airflow_provider_kore.task.declared import KORE_CONN_ID
from airflow_provider_kore.task.run import Landed, LandingOperator, Place, without_keys
from airflow_provider_kore.task.state import ShownProgress

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from airflow.sdk import BaseOperatorLink, Context

    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.hooks.s3 import Bucket
    from airflow_provider_kore.snapshot.fields import FieldPolicies
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.snapshot.phases import Teller
    from airflow_provider_kore.walk.cost import Spent
    from airflow_provider_kore.walk.source import Source


OF_SPEC: Final = parameters_of(SnapshotSpec)
"""What a snapshot wants to know, as it declares it; an operator's bounds are named after its rows: ``min_contacts``."""

_BOUNDS: Final = ("min_rows", "max_rows")


class Opened(NamedTuple):
    """What a task that takes snapshots works with."""

    spec: SnapshotSpec
    client: CampaignClient
    bucket: Bucket
    clock: Clock
    teller: Teller
    progress: ShownProgress

    def lineage_of(self, spec: SnapshotSpec, manifest: Manifest) -> dict[str, Any]:
        """Return what OpenLineage is told of a snapshot; its ``uri`` is also that of its asset."""
        return {
            "manifest": manifest.content,
            "source": spec.source,
            "base_url": self.client.config.base_url,
            "uri": snapshot_uri(self.bucket.store.bucket, spec.prefix, dict(spec.dataset.partition)),
        }


def summary_of(spec: SnapshotSpec, manifest: Manifest, bucket: str) -> dict[str, Any]:
    """Return what is said of a snapshot that has landed."""
    return {
        spec.dataset.file_name: manifest.rows,
        "consistent": manifest.consistent,
        **dict(spec.dataset.partition),
        **{name: manifest.content.get(name) for name in spec.dataset.summary},
        "snapshot_date": spec.snapshot_date,
        "snapshot_id": manifest.snapshot_id,
        "bucket": bucket,
        "manifest_key": Layout(spec).manifest,
        "keys": manifest.keys,
    }


class SnapshotToS3Operator(LandingOperator, ABC):
    """Land a snapshot of something that the Campaign API lists: complete, atomic, and continued where a try stopped.

    Not for use in a DAG: its subclasses say what the snapshot is of.

    Errors that no retry can fix fail the task at once; all others leave its checkpoints in place for the next try.
    ``outlets`` are assets and aliases that the snapshot updates; by default the asset that is the table's location, or
    where that can't be known in the DAG file, and for mapped tasks, :attr:`asset_alias`, to which the task adds it.

    :param s3_bucket: name of the bucket. (str, required, templated)
    :param s3_prefix: location of the table in the bucket. (str, default '', templated)
    :param snapshot_date: YYYY-MM-DD, names the partition. None: the date (UTC) of the run: its partition date where it
        has one (Airflow 3.3), else its logical date, else the date it was due (``run_after``). (str | None, default
        None, templated)
    :param file_format: ``jsonl``, ``csv`` or ``parquet``. (str, default 'jsonl', templated)
    :param compression: one that the format has; None: its default. (str | None, default None, templated)
    :param replace: replace a snapshot that another run has published; what this run itself published may always be
        found again. (bool, default True, templated)
    :param allow_backfill: take a snapshot in a run of a backfill, too, which files what is there today under a day that
        is over; False: refuse. (bool, default False, templated)
    :param page_size: rows to ask for in one request; None: as the connection says. (int | None, default None,
        templated)
    :param durable: keep checkpoints in S3, so that a retry continues on any worker. (bool, default True)
    :param on_drift: what to do if what is read changes meanwhile: ``retry`` (walk again), ``fail``, or ``accept`` (land
        it with ``consistent: false``). (str, default 'retry', templated)
    :param max_walks: how often it is walked at the most, because it changed. (int, default 3)
    :param max_shrink: fail if more than this share of the last good snapshot's rows is missing; 1 allows all. (float,
        default 0.99, templated)
    :param fields: fields to keep, as a list or ``{"keep": […]}``, or to leave out, ``{"drop": […]}``. (Sequence[str] |
        Mapping[str, Sequence[str]] | None, default None, templated)
    :param field_policies: ``{"phoneNumber": "hash", "firstName": "mask", …}``, applied before anything reaches S3.
        (Mapping[str, str] | None, default None, templated)
    :param on_missing_field: what to do about rows that lack a field that a policy names, as after a vendor's rename:
        ``warn`` (they are counted in the manifest, too) or ``fail``. (str, default 'warn')
    :param hash_conn_id: connection whose password is the key for ``hash``; its login, or else its id, names the key.
        (str | None, default None, templated)
    :param rows_per_file: split the snapshot into files of so many rows; then the manifest is its commit. (int | None,
        default None, templated)
    :param columns: the first columns of a csv or parquet table, in this order: names, or ``{"name": …, "type": …}`` in
        parquet; fields that it doesn't name come after them. None: as the table has them, then as they come.
        (Sequence[str | Mapping[str, str]] | None, default None, templated)
    :param on_schema_change: what to do about a value that does not fit its column's type in parquet: ``widen`` where
        files of before are still read right, else fail; ``fail``; or ``text``, which makes the column a string from now
        on. (str, default 'widen', templated)
    :param staging_prefix: where checkpoints go, outside the table; None: beside it, below ``_staging``. (str | None,
        default None, templated)
    :param staging_expiry: seconds after which a beginning is too old to be continued. (float, default 86400.0)
    :param s3_settings: how objects are written: ``encryption``, ``kms_key_id``, ``acl``, ``tags``, ``storage_class``, …
        (the fields of :class:`~airflow_provider_kore.store.s3.settings.S3Settings`). (Mapping[str, Any] | None, default
        None, templated)
    :param deferrable: give the worker slot back during long waits for the allowance; needs ``durable`` and a triggerer.
        None: as ``[operators] default_deferrable`` says. (bool | None, default None, templated)
    :param defer_after: seconds; a wait that is longer is deferred. (float, default 30.0)
    :param deadline: seconds that one try may take with all its deferred waits. (float, default 86400.0)
    :param kore_conn_id: connection to Kore.ai. (str, default 'kore_default', templated)
    :param aws_conn_id: connection to S3. (str | None, default 'aws_default', templated)
    """

    s3_bucket: str = operator_parameter(templated=True, doc="name of the bucket")
    s3_prefix: str = OF_SPEC["s3_prefix"]
    snapshot_date: str | None = optional(OF_SPEC["snapshot_date"])
    file_format: str = OF_SPEC["file_format"]
    compression: str | None = OF_SPEC["compression"]
    replace: bool = OF_SPEC["replace"]
    allow_backfill: bool = OF_SPEC["allow_backfill"]
    page_size: int | None = OF_SPEC["page_size"]
    durable: bool = OF_SPEC["durable"]
    on_drift: str = OF_SPEC["on_drift"]
    max_walks: int = OF_SPEC["max_walks"]
    max_shrink: float = OF_SPEC["max_shrink"]
    rows_per_file: int | None = OF_SPEC["rows_per_file"]
    columns: Sequence[str | Mapping[str, str]] | None = OF_SPEC["columns"]
    on_schema_change: str = OF_SPEC["on_schema_change"]
    staging_prefix: str | None = OF_SPEC["staging_prefix"]
    staging_expiry: float = OF_SPEC["staging_expiry"]
    fields: Sequence[str] | Mapping[str, Sequence[str]] | None = operator_parameter(
        check=structure,
        templated=True,
        is_json=True,
        doc='fields to keep, as a list or ``{"keep": […]}``, or to leave out, ``{"drop": […]}``',
    )
    field_policies: Mapping[str, str] | None = operator_parameter(
        check=structure,
        templated=True,
        is_json=True,
        doc='``{"phoneNumber": "hash", "firstName": "mask", …}``, applied before anything reaches S3',
    )
    on_missing_field: str = operator_parameter(
        doc="what to do about rows that lack a field that a policy names, as after a vendor's rename: ``warn`` "
        "(they are counted in the manifest, too) or ``fail``",
    )
    hash_conn_id: str | None = operator_parameter(
        check=unless_missing(as_given),
        templated=True,
        doc="connection whose password is the key for ``hash``; its login, or else its id, names the key",
    )
    s3_settings: Mapping[str, Any] | None = operator_parameter(
        templated=True,
        is_json=True,
        doc="how objects are written: ``encryption``, ``kms_key_id``, ``acl``, ``tags``, ``storage_class``, … (the "
        "fields of :class:`~airflow_provider_kore.store.s3.settings.S3Settings`)",
    )
    deferrable: bool | None = operator_parameter(
        check=unless_missing(check_boolean),
        templated=True,
        doc="give the worker slot back during long waits for the allowance; needs ``durable`` and a triggerer. "
        "None: as ``[operators] default_deferrable`` says",
    )
    defer_after: float = operator_parameter(check_seconds, doc="seconds; a wait that is longer is deferred")
    deadline: float = operator_parameter(
        partial(check_seconds, least=1.0),
        doc="seconds that one try may take with all its deferred waits",
    )
    kore_conn_id: str = KORE_CONN_ID
    aws_conn_id: str | None = operator_parameter(templated=True, doc="connection to S3")
    operator_extra_links: Collection[BaseOperatorLink] = (SnapshotLink(), ManifestLink())
    asset_alias = "kore_snapshots"
    doing = "Taking the snapshot"
    partition: ClassVar[tuple[str, ...] | None] = None
    """Parameters that are the partition keys above ``snapshot_date``; None: only the connection tells."""

    def __init__(
        self,
        *,
        s3_bucket: str,
        s3_prefix: str = "",
        snapshot_date: str | None = None,
        file_format: str = "jsonl",
        compression: str | None = None,
        replace: bool = True,
        allow_backfill: bool = False,
        page_size: int | None = None,
        durable: bool = True,
        on_drift: str = "retry",
        max_walks: int = 3,
        max_shrink: float = 0.99,
        fields: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        field_policies: Mapping[str, str] | None = None,
        on_missing_field: str = "warn",
        hash_conn_id: str | None = None,
        rows_per_file: int | None = None,
        columns: Sequence[str | Mapping[str, str]] | None = None,
        on_schema_change: str = "widen",
        staging_prefix: str | None = None,
        staging_expiry: float = 86_400.0,
        s3_settings: Mapping[str, Any] | None = None,
        deferrable: bool | None = None,
        defer_after: float = 30.0,
        deadline: float = 86_400.0,
        kore_conn_id: str = "kore_default",
        aws_conn_id: str | None = "aws_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    @abstractmethod
    def _source(self, hook: KoreCampaignHook) -> Source:
        """Return what the snapshot is of. Raises ParameterError, and ConfigError if it needs the connection."""

    def _source_links(self, config: ApiConfig) -> dict[type[BaseOperatorLink], str]:  # noqa: ARG002  # some have one
        """Return the links to what the snapshot is of."""
        return {}

    def _places(self) -> Sequence[Place]:
        given = self._given()
        partition = None if self.partition is None else {name: given[name] for name in self.partition}
        return (Place(bucket=given["s3_bucket"], prefix=given["s3_prefix"], partition=partition),)

    def _links(self, opened: Opened) -> dict[type[BaseOperatorLink], str]:
        console, store, layout = opened.bucket.console, opened.bucket.store, Layout(opened.spec)
        return {
            SnapshotLink: console.folder_url(store.bucket, layout.partition),
            ManifestLink: console.object_url(store.bucket, layout.manifest),
            **self._source_links(opened.client.config),
        }

    @contextmanager
    def _opened(self, context: Context, stop: Stop) -> Iterator[Opened]:
        """Check every parameter, and connect to both sides until the end of the block."""
        from airflow_provider_kore.hooks.campaign import KoreCampaignHook
        from airflow_provider_kore.hooks.s3 import open_bucket
        from airflow_provider_kore.snapshot.phases import Teller

        hook = KoreCampaignHook(self._checked("kore_conn_id"))
        spec = self._spec(context, hook)
        bucket = open_bucket(*self._given("s3_bucket", "aws_conn_id", "s3_settings").values())
        ti, progress, teller = context["ti"], ShownProgress(context), Teller()
        clock = teller.quiet(StoppableClock(SystemClock(), stop))
        with hook.connect(clock=clock, stop=stop, pause_after=self._pause_after(spec)) as client:
            opened = Opened(spec, client, bucket, clock, teller, progress)
            push_links(self, ti, self._links(opened))
            try:
                with teller.watching():
                    yield opened
            finally:
                progress.close()
                _count(client.spent, {"dag_id": ti.dag_id, "task_id": ti.task_id})

    def _land(self, context: Context, stop: Stop, **noted: Any) -> Landed:  # noqa: ARG002  # one list notes nothing
        from airflow_provider_kore.snapshot.run import take_snapshot

        with self._opened(context, stop) as opened:
            spec, store = opened.spec, opened.bucket.store
            manifest = take_snapshot(
                spec,
                opened.client,
                store,
                opened.clock,
                stop,
                staging_store=opened.bucket.staging,
                on_checkpoint=opened.progress.checkpoint,
                teller=opened.teller,
            )
        opened.progress.landed(manifest.rows, store.uri(Layout(spec).manifest))
        summary, lineage = summary_of(spec, manifest, store.bucket), opened.lineage_of(spec, manifest)
        return Landed(summary=summary, events={lineage["uri"]: without_keys(summary)}, lineage=(lineage,))

    def _spec(self, context: Context, hook: KoreCampaignHook) -> SnapshotSpec:
        """Check every parameter. Raises ParameterError, ConfigError."""
        source = self._source(hook)
        called = {name: name.replace("rows", source.dataset.file_name) if name in _BOUNDS else name for name in OF_SPEC}
        given = {name: getattr(self, each) for name, each in called.items() if hasattr(self, each)}
        spec = SnapshotSpec.parse(
            **given | {"snapshot_date": given["snapshot_date"] or run_date(context)},
            source=source,
            run_type=run_type(context),
            retry_follows=retry_follows(context, self.retries),
            policies=self._policies(),
            made_with=str(self._checked("s3_settings") or ""),
            **run_parameters(context, self.retries),
        )
        spec.file_format.require(spec.compression)
        return spec

    def _pause_after(self, spec: SnapshotSpec) -> float | None:
        """Return the seconds from which on a wait is deferred; None: never."""
        longest: float = self._checked("defer_after")
        self._checked("deadline")
        chosen = self._checked("deferrable")
        if chosen and not spec.durable:
            raise ParameterError("deferrable", "needs durable=True", "a walk continues from checkpoints in S3")
        wanted = default_deferrable() if chosen is None else chosen
        return longest if wanted and spec.durable else None

    def _policies(self) -> FieldPolicies:
        from airflow_provider_kore.snapshot.fields import FieldPolicies

        policies = FieldPolicies.parse(
            self._checked("fields"), self._checked("field_policies"), self._checked("on_missing_field")
        )
        conn_id = self._checked("hash_conn_id")
        if not policies.needs_key or conn_id is None:
            return policies.with_key(None, None)
        from airflow_provider_kore.hooks.connections import hash_key

        return policies.with_key(*hash_key(conn_id))


def _count(spent: Spent, tags: dict[str, str]) -> None:
    """Add what one stretch of a walk has cost to Airflow's metrics (``kore.rows``, ``kore.requests``, …).

    ``kore.waited`` counts milliseconds, ``kore.bytes`` those of unpacked answers.
    """
    for name, count in (asdict(spent) | {"waited": round(1000 * spent.waited)}).items():
        if count:
            stats().incr(f"kore.{name}", count, tags=tags)
