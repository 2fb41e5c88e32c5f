"""What changed between two snapshots of a contact list: added, changed and gone contacts, as a table beside theirs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_provider_kore.links.snapshot import ManifestLink, push_links
from airflow_provider_kore.parameters import Parameter, check_choice
from airflow_provider_kore.snapshot.layout import Layout, default_changes_prefix
from airflow_provider_kore.task.context import run_date, run_parameters
from airflow_provider_kore.task.run import Landed, LandingOperator, Place

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airflow.sdk import BaseOperatorLink, Context

    from airflow_provider_kore.stop import Stop


ON_MISSING: Final = ("skip", "fail")
"""What to do about a list that has no earlier snapshot."""


class ContactListChangesOperator(LandingOperator):
    """Compare two snapshots of a contact list in S3, and land what changed beside them. Asks nothing of Kore.ai.

    Writes ``{changes_prefix}/contact_list_id={id}/snapshot_date={date}/changes.jsonl.gz`` and a ``_manifest.json``.
    A row is ``{"_id": …, "change": "added" | "changed" | "gone", "contact": {…} | null, "before": {…} | null}``.
    Returns a summary as XCom: ``added``, ``changed``, ``gone``, ``unchanged``, ``changes``, ``contact_list_id``,
    ``snapshot_date``, ``since``, ``snapshot_id``, ``bucket``, ``manifest_key`` and ``keys``.

    Ends as skipped where the list has no earlier snapshot at all: changes begin with the second one. Fails, and changes
    nothing, where a side is missing or not proven consistent, or the two were made with different field policies or
    formats.

    ``outlets`` are assets and aliases that the changes update; by default the asset that is the table's location, or
    where that can't be known in the DAG file, and for mapped tasks, the alias ``kore_contact_list_changes``.
    """

    declared: ClassVar[Mapping[str, Parameter]] = {
        "contact_list_id": Parameter(templated=True, doc="id of the list, ``cl-…``"),
        "s3_bucket": Parameter(templated=True, doc="name of the bucket that holds the snapshots"),
        "s3_prefix": Parameter(default="kore/contact_lists", templated=True, doc="location of the table of snapshots"),
        "changes_prefix": Parameter(
            default=None, templated=True, doc="location of the table of changes; None: ``{s3_prefix}_changes``"
        ),
        "snapshot_date": Parameter(
            default=None,
            templated=True,
            doc="YYYY-MM-DD, the newer snapshot; None: the date of the run, as the snapshot's own task has it",
        ),
        "since": Parameter(
            default=None, templated=True, doc="YYYY-MM-DD, the older snapshot; None: the last consistent one before"
        ),
        "before": Parameter(
            default=False,
            templated=True,
            doc="repeat in each row what the older snapshot held. False: of who is gone only the id is written",
        ),
        "replace": Parameter(default=True, templated=True, doc="replace changes that another run has published"),
        "on_missing": Parameter(
            default="skip",
            check=partial(check_choice, choices=ON_MISSING),
            templated=True,
            doc="what to do about a list that has no snapshot before this one: ``skip`` or ``fail``",
        ),
        "s3_settings": Parameter(
            default=None, templated=True, is_json=True, doc="how objects are written, as in the transfers"
        ),
        "aws_conn_id": Parameter(default="aws_default", templated=True, doc="connection to S3"),
    }
    operator_extra_links: Collection[BaseOperatorLink] = (ManifestLink(),)
    asset_alias = "kore_contact_list_changes"
    doing = "Comparing the snapshots"

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
        super().__init__(**kwargs)
        self._keep(locals())

    def _place(self) -> Place:
        given = self._given()
        table = given["changes_prefix"] or default_changes_prefix(str(given["s3_prefix"]))
        partition = {"contact_list_id": given["contact_list_id"]}
        return Place(bucket=given["s3_bucket"], prefix=table, partition=partition)

    def _land(self, context: Context, stop: Stop) -> Landed:
        from airflow_provider_kore.changes.run import find_changes
        from airflow_provider_kore.changes.spec import ChangesSpec
        from airflow_provider_kore.exceptions import NothingToCompareError
        from airflow_provider_kore.hooks.airflow_versions import AirflowSkipException
        from airflow_provider_kore.hooks.s3 import open_bucket
        from airflow_provider_kore.snapshot.phases import Teller

        on_missing = self._checked("on_missing")
        given = self._given("contact_list_id", "s3_prefix", "changes_prefix", "since", "before", "replace")
        date = self._checked("snapshot_date") or run_date(context)
        spec = ChangesSpec.parse(**given, snapshot_date=date, **run_parameters(context, self.retries))
        bucket = open_bucket(*self._given("s3_bucket", "aws_conn_id", "s3_settings").values())
        store, output = bucket.store, spec.output
        key = Layout(output).manifest
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
        return Landed(
            place=Place(bucket=store.bucket, prefix=output.prefix, partition=dict(output.dataset.partition)),
            summary={
                **{name: manifest.content.get(name) for name in counts},
                "contact_list_id": given["contact_list_id"],
                "snapshot_date": output.snapshot_date,
                "since": manifest.content.get("older", {}).get("snapshot_date"),
                "snapshot_id": manifest.snapshot_id,
                "bucket": store.bucket,
                "manifest_key": key,
                "keys": manifest.keys,
            },
        )
