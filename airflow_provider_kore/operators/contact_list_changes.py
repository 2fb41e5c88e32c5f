"""What changed between two snapshots of a contact list: added, changed and gone contacts, as a table beside theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_provider_kore.links.snapshot import ManifestLink, push_links
from airflow_provider_kore.snapshot.layout import default_changes_prefix
from airflow_provider_kore.task.assets import AssetOperator, default_outlets, emit_events, named_outlets, snapshot_uri
from airflow_provider_kore.task.errors import task_errors
from airflow_provider_kore.task.retry_policy import set_retry_policy
from airflow_provider_kore.transfers.snapshot_to_s3 import manifest_key, run_date, run_parameters

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow.sdk import BaseOperatorLink, Context

    from airflow_provider_kore.stop import Stop


ON_MISSING: Final = ("skip", "fail")
"""What to do about a list that has no earlier snapshot."""


class ContactListChangesOperator(AssetOperator):
    """Compare two snapshots of a contact list in S3, and land what changed beside them. Asks nothing of Kore.ai.

    Writes ``{changes_prefix}/contact_list_id={id}/snapshot_date={date}/changes.jsonl.gz`` and a ``_manifest.json``.
    A row is ``{"_id": …, "change": "added" | "changed" | "gone", "contact": {…} | null, "before": {…} | null}``.
    Returns a summary as XCom: ``added``, ``changed``, ``gone``, ``unchanged``, ``changes``, ``contact_list_id``,
    ``snapshot_date``, ``since``, ``snapshot_id``, ``bucket``, ``manifest_key`` and ``keys``.

    Ends as skipped where the list has no earlier snapshot at all: changes begin with the second one. Fails, and changes
    nothing, where a side is missing or not proven consistent, or the two were made with different field policies or
    formats.

    :param contact_list_id: id of the list, ``cl-…``. (templated)
    :param s3_bucket: name of the bucket that holds the snapshots. (templated)
    :param s3_prefix: location of the table of snapshots. (templated)
    :param changes_prefix: location of the table of changes; None: ``{s3_prefix}_changes``. (templated)
    :param snapshot_date: YYYY-MM-DD, the newer snapshot; None: the date of the run, as the snapshot's own task has it.
        (templated)
    :param since: YYYY-MM-DD, the older snapshot; None: the last consistent one before. (templated)
    :param before: repeat in each row what the older snapshot held; False: of contacts that are gone only the id is
        written. (templated)
    :param replace: replace changes that another run has published. (templated)
    :param on_missing: what to do about a list that has no snapshot before this one: ``skip`` or ``fail``. (templated)
    :param s3_settings: how objects are written, as in the transfers. (templated)
    :param aws_conn_id: connection of the amazon provider. (templated)
    :param outlets: assets and aliases that the changes update. None: the asset that is the table's location, or the
        alias ``kore_contact_list_changes`` where only the running task knows it.
    """

    template_fields: Sequence[str] = (
        "contact_list_id",
        "s3_bucket",
        "s3_prefix",
        "changes_prefix",
        "snapshot_date",
        "since",
        "before",
        "replace",
        "on_missing",
        "s3_settings",
        "aws_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"s3_settings": "json"}
    ui_color = "#d9ead3"
    operator_extra_links: Collection[BaseOperatorLink] = (ManifestLink(),)
    asset_alias = "kore_contact_list_changes"

    def __init__(
        self,
        *,
        contact_list_id: str,
        s3_bucket: str,
        s3_prefix: str = "kore/contact_lists",
        changes_prefix: str | None = None,
        snapshot_date: str | None = None,
        since: str | None = None,
        before: bool = False,
        replace: bool = True,
        on_missing: str = "skip",
        s3_settings: Mapping[str, Any] | None = None,
        aws_conn_id: str | None = "aws_default",
        **kwargs: Any,
    ) -> None:
        outlets = named_outlets(kwargs)
        super().__init__(outlets=outlets, **kwargs)
        self.contact_list_id = contact_list_id
        self.s3_bucket = s3_bucket
        self.s3_prefix = s3_prefix
        self.changes_prefix = changes_prefix
        self.snapshot_date = snapshot_date
        self.since = since
        self.before = before
        self.replace = replace
        self.on_missing = on_missing
        self.s3_settings = s3_settings
        self.aws_conn_id = aws_conn_id
        self._stop: Stop | None = None
        set_retry_policy(self)
        if outlets is None:
            table = changes_prefix or default_changes_prefix(str(s3_prefix))
            partition = {"contact_list_id": contact_list_id}
            self.add_outlets(default_outlets(s3_bucket, table, partition, alias=self.asset_alias))

    def execute(self, context: Context) -> dict[str, Any]:
        """Compare.

        Raises AirflowSkipException where there is nothing to compare yet, or changes of a newer snapshot stand;
        AirflowFailException where no retry can help, RetryableError where one can.
        """
        from airflow_provider_kore.stop import Stop

        push_links(self, context["ti"], {})  # none, until it is known
        self._stop = Stop()
        try:
            with task_errors("Comparing the snapshots"):
                return self._compare(context, self._stop)
        finally:
            self._stop = None

    def on_kill(self) -> None:
        """Stop: Airflow calls this on SIGTERM, and lets ``execute`` run on unless it raises (3.0 to 3.3)."""
        if self._stop is not None:
            self._stop.request()

    def _compare(self, context: Context, stop: Stop) -> dict[str, Any]:
        from airflow_provider_kore.changes.run import find_changes
        from airflow_provider_kore.changes.spec import ChangesSpec
        from airflow_provider_kore.exceptions import NothingToCompareError
        from airflow_provider_kore.hooks.airflow_versions import AirflowSkipException
        from airflow_provider_kore.hooks.s3 import open_bucket
        from airflow_provider_kore.parameters import check_choice, refuse_templates
        from airflow_provider_kore.snapshot.phases import Teller

        refuse_templates({name: getattr(self, name) for name in self.template_fields})
        on_missing = check_choice("on_missing", self.on_missing, ON_MISSING)
        spec = ChangesSpec.parse(
            contact_list_id=self.contact_list_id,
            s3_prefix=self.s3_prefix,
            changes_prefix=self.changes_prefix,
            snapshot_date=self.snapshot_date or run_date(context),
            since=self.since,
            before=self.before,
            replace=self.replace,
            **run_parameters(context, self.retries),
        )
        bucket = open_bucket(self.s3_bucket, self.aws_conn_id, self.s3_settings)
        store, key = bucket.store, manifest_key(spec.output)
        push_links(self, context["ti"], {ManifestLink: bucket.console.object_url(store.bucket, key)})
        teller = Teller()
        try:
            with teller.watching():
                manifest = find_changes(spec, store, stop, teller=teller)
        except NothingToCompareError as err:
            if on_missing == "skip":
                raise AirflowSkipException(str(err)) from None
            raise
        counts = ("added", "changed", "gone", "unchanged", "changes")
        summary = {
            **{name: manifest.content.get(name) for name in counts},
            "contact_list_id": self.contact_list_id,
            "snapshot_date": spec.output.snapshot_date,
            "since": manifest.content.get("older", {}).get("snapshot_date"),
            "snapshot_id": manifest.snapshot_id,
            "bucket": store.bucket,
            "manifest_key": key,
            "keys": manifest.keys,
        }
        uri = snapshot_uri(store.bucket, spec.output.prefix, dict(spec.output.source.partition))
        emit_events(self, context, uri, {name: value for name, value in summary.items() if name != "keys"})
        return summary
