"""The call results of one campaign of Kore.ai as one verified snapshot in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kore.parameters import check_boolean, operator_parameter
from airflow_provider_kore.transfers.snapshot_to_s3 import OF_SPEC, SnapshotToS3Operator

if TYPE_CHECKING:
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.walk.source import Source


class CampaignContactsToS3Operator(SnapshotToS3Operator):
    """Land a snapshot of a campaign's call results in S3, one row per contact.

    Writes ``{s3_prefix}/campaign_id={id}/snapshot_date={date}/contacts.…`` and a ``_manifest.json`` beside it.
    Returns a summary as XCom: ``contacts``, ``campaign_status``, ``manifest_key``, ``keys``, ``snapshot_id``,
    ``snapshot_date``, ``consistent``, ``campaign_id`` and ``bucket``.

    While a campaign is ``Active`` its results change, and the API does not tell which: look at ``campaign_status``.
    Rows have no id of the vendor's; ``_id`` is made of ``uniqueId`` and ``phoneNumber`` and tells neither.

    :param campaign_id: id of the campaign, ``cd-…``. (str, required, templated)
    :param s3_bucket: name of the bucket. (str, required, templated)
    :param s3_prefix: location of the table in the bucket. (str, default 'kore/campaign_contacts', templated)
    :param min_contacts: fail rather than land fewer. (int, default 0, templated)
    :param max_contacts: fail rather than read more, so that an endless list ends. (int, default 5000000, templated)
    :param replace_instance: a campaign that was stopped and started again, or recurs, has lost its earlier results at
        Kore.ai. If the partition holds those, the task fails; True: replace them. (bool, default False, templated)
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

    campaign_id: str = operator_parameter(templated=True, doc="id of the campaign, ``cd-…``")
    min_contacts: int = OF_SPEC["min_rows"]
    max_contacts: int = OF_SPEC["max_rows"]
    replace_instance: bool = operator_parameter(
        check_boolean,
        templated=True,
        doc="a campaign that was stopped and started again, or recurs, has lost its earlier results at Kore.ai. If "
        "the partition holds those, the task fails; True: replace them",
    )
    asset_alias = "kore_campaign_contacts"
    partition = ("campaign_id",)

    def __init__(
        self,
        *,
        campaign_id: str,
        s3_bucket: str,
        s3_prefix: str = "kore/campaign_contacts",
        min_contacts: int = 0,
        max_contacts: int = 5_000_000,
        replace_instance: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(s3_bucket=s3_bucket, s3_prefix=s3_prefix, **kwargs)
        self._keep(locals())

    def _source(self, hook: KoreCampaignHook) -> Source:  # noqa: ARG002  # others need the connection
        from airflow_provider_kore.api.sources.call_results import CampaignContactsSource

        return CampaignContactsSource(
            campaign_id=self._checked("campaign_id"), replace_instance=self._checked("replace_instance")
        )
