"""The campaigns of an application as one verified snapshot in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kore.parameters import operator_parameter
from airflow_provider_kore.transfers.snapshot_to_s3 import OF_SPEC, SnapshotToS3Operator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.walk.source import Source


class CampaignsToS3Operator(SnapshotToS3Operator):
    """Land a snapshot of the voice or the SMS campaigns in S3, one row per campaign, without their call results.

    Writes ``{s3_prefix}/stream_id={id}/campaign_type={type}/snapshot_date={date}/campaigns.…`` and a
    ``_manifest.json`` beside it. Returns a summary as XCom: ``campaigns``, ``manifest_key``, ``keys``,
    ``snapshot_id``, ``snapshot_date``, ``consistent``, ``stream_id``, ``campaign_type`` and ``bucket``.

    :param campaign_type: ``voice`` or ``sms``. (str, default 'voice', templated)
    :param filters: which campaigns: ``{"status": ["Active", …], "priority": […], "dialing_mode": […], "start_date":
        "2026-01-01", "end_date": "2026-01-31"}``, all of them optional. Each set of filters wants an ``s3_prefix`` of
        its own. (Mapping[str, Any] | None, default None, templated)
    :param s3_bucket: name of the bucket. (str, required, templated)
    :param s3_prefix: location of the table in the bucket. (str, default 'kore/campaigns', templated)
    :param min_campaigns: fail rather than land fewer. (int, default 0, templated)
    :param max_campaigns: fail rather than read more, so that an endless list ends. (int, default 5000000, templated)
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

    campaign_type: str = operator_parameter(templated=True, doc="``voice`` or ``sms``")
    filters: Mapping[str, Any] | None = operator_parameter(
        templated=True,
        doc='which campaigns: ``{"status": ["Active", …], "priority": […], "dialing_mode": […], "start_date": '
        '"2026-01-01", "end_date": "2026-01-31"}``, all of them optional. Each set of filters wants an '
        "``s3_prefix`` of its own",
    )
    min_campaigns: int = OF_SPEC["min_rows"]
    max_campaigns: int = OF_SPEC["max_rows"]
    asset_alias = "kore_campaigns"

    def __init__(
        self,
        *,
        campaign_type: str = "voice",
        filters: Mapping[str, Any] | None = None,
        s3_bucket: str,
        s3_prefix: str = "kore/campaigns",
        min_campaigns: int = 0,
        max_campaigns: int = 5_000_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(s3_bucket=s3_bucket, s3_prefix=s3_prefix, **kwargs)
        self._keep(locals())

    def _source(self, hook: KoreCampaignHook) -> Source:
        from airflow_provider_kore.api.campaigns import CampaignQuery
        from airflow_provider_kore.api.sources.campaigns import CampaignsSource

        query = CampaignQuery.parse(*self._given("campaign_type", "filters").values())
        return CampaignsSource(stream_id=hook.config.stream_id, query=query)
