"""What changed between two snapshots of a contact list: added, changed and gone contacts, as a table beside theirs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.changes.spec import ChangesSpec
from airflow_provider_kore.links.snapshot import ManifestLink, push_links
from airflow_provider_kore.parameters import check_choice, operator_parameter, optional, parameters_of
from airflow_provider_kore.snapshot.layout import Layout, default_changes_prefix
from airflow_provider_kore.task.assets import snapshot_uri
from airflow_provider_kore.task.context import run_date, run_parameters
from airflow_provider_kore.task.run import Landed, LandingOperator, Place, without_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow.sdk import BaseOperatorLink, Context

    from airflow_provider_kore.stop import Stop


_OF_SPEC: Final = parameters_of(ChangesSpec)

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

    :param contact_list_id: id of the list, ``cl-…``. (str, required, templated)
    :param s3_bucket: name of the bucket that holds the snapshots. (str, required, templated)
    :param s3_prefix: location of the table of snapshots. (str, default 'kore/contact_lists', templated)
    :param changes_prefix: location of the table of changes; None: ``{s3_prefix}_changes``. (str | None, default None,
        templated)
    :param snapshot_date: YYYY-MM-DD, the newer snapshot; None: the date of the run, as the snapshot's own task has it.
        (str | None, default None, templated)
    :param since: YYYY-MM-DD, the older snapshot; None: the last consistent one before. (str | None, default None,
        templated)
    :param before: repeat in each row what the older snapshot held. False: of who is gone only the id is written. (bool,
        default False, templated)
    :param replace: replace changes that another run has published. (bool, default True, templated)
    :param on_missing: what to do about a list that has no snapshot before this one: ``skip`` or ``fail``. (str, default
        'skip', templated)
    :param s3_settings: how objects are written, as in the transfers. (Mapping[str, Any] | None, default None,
        templated)
    :param aws_conn_id: connection to S3. (str | None, default 'aws_default', templated)
    """

    contact_list_id: str = _OF_SPEC["contact_list_id"]
    s3_bucket: str = operator_parameter(templated=True, doc="name of the bucket that holds the snapshots")
    s3_prefix: str = _OF_SPEC["s3_prefix"]
    changes_prefix: str | None = _OF_SPEC["changes_prefix"]
    snapshot_date: str | None = optional(_OF_SPEC["snapshot_date"])
    since: str | None = _OF_SPEC["since"]
    before: bool = _OF_SPEC["before"]
    replace: bool = _OF_SPEC["replace"]
    on_missing: str = operator_parameter(
        partial(check_choice, choices=ON_MISSING),
        templated=True,
        doc="what to do about a list that has no snapshot before this one: ``skip`` or ``fail``",
    )
    s3_settings: Mapping[str, Any] | None = operator_parameter(
        templated=True, is_json=True, doc="how objects are written, as in the transfers"
    )
    aws_conn_id: str | None = operator_parameter(templated=True, doc="connection to S3")
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

    def _places(self) -> Sequence[Place]:
        given = self._given()
        table = given["changes_prefix"] or default_changes_prefix(str(given["s3_prefix"]))
        partition = {"contact_list_id": given["contact_list_id"]}
        return (Place(bucket=given["s3_bucket"], prefix=table, partition=partition),)

    def _land(self, context: Context, stop: Stop, **noted: Any) -> Landed:  # noqa: ARG002  # it notes nothing
        from airflow_provider_kore.changes.run import find_changes
        from airflow_provider_kore.exceptions import NothingToCompareError
        from airflow_provider_kore.hooks.airflow_versions import AirflowSkipException
        from airflow_provider_kore.hooks.s3 import open_bucket
        from airflow_provider_kore.snapshot.phases import Teller

        on_missing = self._checked("on_missing")
        given = self._given(*_OF_SPEC)
        given["snapshot_date"] = self._checked("snapshot_date") or run_date(context)
        spec = ChangesSpec.parse(**given, **run_parameters(context, self.retries))
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
        summary = {
            **{name: manifest.content.get(name) for name in counts},
            "contact_list_id": spec.contact_list_id,
            "snapshot_date": output.snapshot_date,
            "since": manifest.content.get("older", {}).get("snapshot_date"),
            "snapshot_id": manifest.snapshot_id,
            "bucket": store.bucket,
            "manifest_key": key,
            "keys": manifest.keys,
        }
        uri = snapshot_uri(store.bucket, output.prefix, dict(output.dataset.partition))
        return Landed(summary=summary, events={uri: without_keys(summary)})
