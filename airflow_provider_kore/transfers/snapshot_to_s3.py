"""What every snapshot operator has in common: parameters in, a call to the core, XCom out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_kore.links.snapshot import ManifestLink, SnapshotLink, push_links
from airflow_provider_kore.parameters import (
    Parameter,
    check_boolean,
    check_date,
    check_number,
    check_text,
    is_missing,
    parameters_of,
    structure,
)
from airflow_provider_kore.snapshot.spec import SnapshotSpec
from airflow_provider_kore.task.context import retry_follows, run_date, run_parameters, run_type
from airflow_provider_kore.task.metrics import send_metrics
from airflow_provider_kore.task.run import DEADLINE, LONGEST_TRY, Landed, LandingOperator, Place
from airflow_provider_kore.task.state import ShownProgress

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow.sdk import BaseOperatorLink, Context

    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.snapshot.fields import FieldPolicies
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.walk.source import Source


def _unless_missing(check: Any, name: str, value: object) -> Any:
    return None if is_missing(value) else check(name, value)


_OF_SPEC = parameters_of(SnapshotSpec)
_BOUNDS = ("min_rows", "max_rows")


def bounds(rows: str) -> dict[str, Parameter]:
    """Return how the bounds of a snapshot's rows are declared, named after what a row is: ``min_contacts``."""
    return {name.replace("rows", rows): _OF_SPEC[name] for name in _BOUNDS}


class SnapshotToS3Operator(LandingOperator, ABC):
    """Land a snapshot of something that the Campaign API lists: complete, atomic, and continued where a try stopped.

    Not for use in a DAG: its subclasses say what the snapshot is of.

    Errors that no retry can fix fail the task at once; all others leave its checkpoints in place for the next try.
    ``outlets`` are assets and aliases that the snapshot updates; by default the asset that is the table's location, or
    where that can't be known in the DAG file, and for mapped tasks, :attr:`asset_alias`, to which the task adds it.
    """

    declared: ClassVar[Mapping[str, Parameter]] = {
        "s3_bucket": Parameter(templated=True, doc="name of the bucket"),
        **{name: one for name, one in _OF_SPEC.items() if name not in _BOUNDS},
        "snapshot_date": replace(_OF_SPEC["snapshot_date"], default=None, check=partial(_unless_missing, check_date)),
        "fields": Parameter(
            default=None,
            check=structure,
            templated=True,
            is_json=True,
            doc='fields to keep, as a list or ``{"keep": […]}``, or to leave out, ``{"drop": […]}``',
        ),
        "field_policies": Parameter(
            default=None,
            check=structure,
            templated=True,
            is_json=True,
            doc='``{"phoneNumber": "hash", "firstName": "mask", …}``, applied before anything reaches S3',
        ),
        "on_missing_field": Parameter(
            default="warn",
            doc="what to do about rows that lack a field that a policy names, as after a vendor's rename: ``warn`` "
            "(they are counted in the manifest, too) or ``fail``",
        ),
        "hash_conn_id": Parameter(
            default=None,
            check=partial(_unless_missing, lambda _, value: value),
            templated=True,
            doc="connection whose password is the key for ``hash``; its login, or else its id, names the key",
        ),
        "s3_settings": Parameter(
            default=None,
            templated=True,
            is_json=True,
            doc="how objects are written: ``encryption``, ``kms_key_id``, ``acl``, ``tags``, ``storage_class``, … (the "
            "fields of :class:`~airflow_provider_kore.store.s3.settings.S3Settings`)",
        ),
        "deferrable": Parameter(
            default=None,
            check=partial(_unless_missing, check_boolean),
            templated=True,
            doc="give the worker slot back during long waits for the allowance; needs ``durable`` and a triggerer. "
            "None: as ``[operators] default_deferrable`` says",
        ),
        "defer_after": Parameter(
            default=30.0,
            check=partial(check_number, least=0.0, most=LONGEST_TRY),
            doc="seconds; a wait that is longer is deferred",
        ),
        "deadline": DEADLINE,
        "kore_conn_id": Parameter(
            default="kore_default",
            check=partial(check_text, example="kore_default"),
            templated=True,
            doc="connection to Kore.ai",
        ),
        "aws_conn_id": Parameter(default="aws_default", templated=True, doc="connection to S3"),
    }
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

    def _place(self) -> Place:
        given = self._given()
        partition = None if self.partition is None else {name: given[name] for name in self.partition}
        return Place(bucket=given["s3_bucket"], prefix=given["s3_prefix"], partition=partition)

    def _land(self, context: Context, stop: Stop) -> Landed:
        from airflow_provider_kore.clock import SystemClock
        from airflow_provider_kore.hooks.campaign import KoreCampaignHook
        from airflow_provider_kore.hooks.s3 import open_bucket
        from airflow_provider_kore.snapshot.layout import Layout
        from airflow_provider_kore.snapshot.phases import Teller
        from airflow_provider_kore.snapshot.run import take_snapshot
        from airflow_provider_kore.stop import StoppableClock

        hook = KoreCampaignHook(self._checked("kore_conn_id"))
        spec = self._spec(context, hook)
        bucket = open_bucket(*self._given("s3_bucket", "aws_conn_id", "s3_settings").values())
        store, layout, ti = bucket.store, Layout(spec), context["ti"]
        progress, teller = ShownProgress(context), Teller()
        clock = teller.quiet(StoppableClock(SystemClock(), stop))
        with hook.connect(clock=clock, stop=stop, pause_after=self._pause_after(spec)) as client:
            links: dict[type[BaseOperatorLink], str] = {
                SnapshotLink: bucket.console.folder_url(store.bucket, layout.partition),
                ManifestLink: bucket.console.object_url(store.bucket, layout.manifest),
            }
            push_links(self, ti, links | self._source_links(client.config))
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
        progress.landed(manifest.rows, f"s3://{store.bucket}/{layout.manifest}")
        partition = dict(spec.dataset.partition)
        return Landed(
            place=Place(bucket=store.bucket, prefix=spec.prefix, partition=partition),
            summary={
                spec.dataset.file_name: manifest.rows,
                "consistent": manifest.consistent,
                **partition,
                **{name: manifest.content.get(name) for name in spec.dataset.summary},
                "snapshot_date": spec.snapshot_date,
                "snapshot_id": manifest.snapshot_id,
                "bucket": store.bucket,
                "manifest_key": layout.manifest,
                "keys": manifest.keys,
            },
            lineage={"manifest": manifest.content, "source": spec.source, "base_url": client.config.base_url},
        )

    def _spec(self, context: Context, hook: KoreCampaignHook) -> SnapshotSpec:
        """Check every parameter. Raises ParameterError, ConfigError."""
        source = self._source(hook)
        called = {
            name: name.replace("rows", source.dataset.file_name) if name in _BOUNDS else name for name in _OF_SPEC
        }
        given = {name: getattr(self, attribute) for name, attribute in called.items()}
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
        from airflow_provider_kore.exceptions import ParameterError
        from airflow_provider_kore.hooks.airflow_versions import default_deferrable

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
        from airflow_provider_kore.hooks.airflow_versions import mask_secret
        from airflow_provider_kore.hooks.connections import find_connection

        connection = find_connection(conn_id)
        key = connection.password or ""
        if key:
            mask_secret(key)
        return policies.with_key(key.encode(), connection.login or conn_id)
