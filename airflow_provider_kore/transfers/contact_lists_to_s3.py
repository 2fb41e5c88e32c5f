"""Many contact lists of Kore.ai, or all of an application, each as one verified snapshot in S3, by one task."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.exceptions import PausedError
from airflow_provider_kore.links.snapshot import SnapshotLink
from airflow_provider_kore.parameters import check_count, operator_parameter
from airflow_provider_kore.snapshot.layout import Layout
from airflow_provider_kore.snapshot.spec import digest
from airflow_provider_kore.task.assets import snapshot_uri
from airflow_provider_kore.task.run import Landed, Place, without_keys
from airflow_provider_kore.transfers.snapshot_to_s3 import OF_SPEC, Opened, SnapshotToS3Operator, summary_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from airflow.sdk import BaseOperatorLink, Context

    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.walk.source import Source

NAMED: Final = 20
"""Lists that XCom names at the most, of each kind; ``manifest_keys`` says where all of them are."""

EACH: Final = "each"
"""In the place of a list's id."""

MOST_LINEAGE: Final = 100
"""Lists that OpenLineage is told of at the most, in one event."""


class ContactListsToS3Operator(SnapshotToS3Operator):
    """Land a snapshot of each of many contact lists in S3, or of all, by one task that asks for nothing twice.

    Each list gets the object, the manifest, the guards and the asset's event that ``ContactListToS3Operator`` gives it,
    in the same place: ``{s3_prefix}/contact_list_id={id}/snapshot_date={date}/``. The shortest lists come first.

    The catalogue of lists is asked before the first list is read and after the last, and once in 500 requests; that is
    the look at each list before and after its walk, which else costs two requests a list. One more is spent to find
    out whether the catalogue tells of changes as the lists do themselves. A list is published when a look has proven
    it: within 500 requests after it was read, and not at once, because a look of its own would cost a request for
    each. With ``durable=False`` nothing could wait, so each list is looked at by itself after it was read.

    A list that fails does not stop the others. At its end the task fails, and says of each list why; its retry reads
    only what is missing. Returns a summary as XCom: ``contact_lists``, ``contacts``, ``consistent``,
    ``contact_list_ids`` (the first 20), ``inconsistent``, ``superseded`` and ``gone`` (likewise), ``snapshot_ids`` (a
    digest of all), ``snapshot_date``, ``stream_id``, ``bucket`` and ``manifest_keys`` (where each manifest is).

    :param contact_list_ids: ids of the lists, ``cl-…``; None: all of the application. (Sequence[str] | None, default
        None, templated)
    :param name_pattern: only lists whose names match this shell pattern: ``Spring *``. Capitals count; None: any name.
        (str | None, default None, templated)
    :param statuses: only lists with one of these statuses: ``Ready``, ``Validating``, ``Validated``, ``Invalid``; None:
        any. (Sequence[str] | None, default None, templated)
    :param sources: only lists from one of these sources: ``localDrive``, ``apiIntegration``, ``passiveApi``; None: any.
        (Sequence[str] | None, default None, templated)
    :param min_contact_lists: fail rather than begin where fewer lists are meant than this. (int, default 1, templated)
    :param s3_bucket: name of the bucket. (str, required, templated)
    :param s3_prefix: location of the table in the bucket. (str, default 'kore/contact_lists', templated)
    :param min_contacts: fail rather than land fewer. (int, default 0, templated)
    :param max_contacts: fail rather than read more, so that an endless list ends. (int, default 5000000, templated)
    :param incremental: build on the last snapshot and read only what is new, where nothing else can have changed; else
        all of the list. (bool, default False, templated)
    :param full_walk_every: seconds after which all of the list is read again, so that contacts which were edited in
        place are seen. (float, default 604800.0)
    :param probes: how many pages at random places must be as they were in the last snapshot before it is built on.
        (int, default 0)
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

    contact_list_ids: Sequence[str] | None = operator_parameter(
        templated=True, is_json=True, doc="ids of the lists, ``cl-…``; None: all of the application"
    )
    name_pattern: str | None = operator_parameter(
        templated=True,
        doc="only lists whose names match this shell pattern: ``Spring *``. Capitals count; None: any name",
    )
    statuses: Sequence[str] | None = operator_parameter(
        templated=True,
        is_json=True,
        doc="only lists with one of these statuses: ``Ready``, ``Validating``, ``Validated``, ``Invalid``; None: any",
    )
    sources: Sequence[str] | None = operator_parameter(
        templated=True,
        is_json=True,
        doc="only lists from one of these sources: ``localDrive``, ``apiIntegration``, ``passiveApi``; None: any",
    )
    min_contact_lists: int = operator_parameter(
        partial(check_count, least=0, default=1),
        templated=True,
        doc="fail rather than begin where fewer lists are meant than this",
    )
    min_contacts: int = OF_SPEC["min_rows"]
    max_contacts: int = OF_SPEC["max_rows"]
    incremental: bool = OF_SPEC["incremental"]
    full_walk_every: float = OF_SPEC["full_walk_every"]
    probes: int = replace(OF_SPEC["probes"], default=0)
    operator_extra_links = (SnapshotLink(),)
    asset_alias = "kore_contact_lists"
    doing = "Taking the snapshots"

    def __init__(
        self,
        *,
        contact_list_ids: Sequence[str] | None = None,
        name_pattern: str | None = None,
        statuses: Sequence[str] | None = None,
        sources: Sequence[str] | None = None,
        min_contact_lists: int = 1,
        s3_bucket: str,
        s3_prefix: str = "kore/contact_lists",
        min_contacts: int = 0,
        max_contacts: int = 5_000_000,
        incremental: bool = False,
        full_walk_every: float = 604_800.0,
        probes: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(s3_bucket=s3_bucket, s3_prefix=s3_prefix, **kwargs)
        self._keep(locals())
        self._failed: Collection[str] = ()

    def _noted(self) -> dict[str, Any]:
        return {"failed": list(self._failed)}

    def _source(self, hook: KoreCampaignHook) -> Source:  # noqa: ARG002  # others need the connection
        """Return one of the lists, in whose place each of them comes."""
        from airflow_provider_kore.api.sources.contacts import ContactListSource

        return ContactListSource(contact_list_id=EACH)

    def _places(self) -> Sequence[Place]:
        given = self._given()
        ids, bucket, prefix = given["contact_list_ids"], given["s3_bucket"], given["s3_prefix"]
        chosen = any(given[name] is not None for name in ("name_pattern", "statuses", "sources"))
        known = isinstance(ids, (list, tuple)) and all(isinstance(each, str) and "{" not in each for each in ids)
        if chosen or not known or "{" in f"{bucket}{prefix}":
            return (Place(bucket=bucket, prefix=prefix, partition=None),)
        return [Place(bucket=bucket, prefix=prefix, partition={"contact_list_id": each}) for each in dict.fromkeys(ids)]

    def _links(self, opened: Opened) -> dict[type[BaseOperatorLink], str]:
        store = opened.bucket.store
        return {SnapshotLink: opened.bucket.console.folder_url(store.bucket, f"{opened.spec.prefix}/".lstrip("/"))}

    def _land(self, context: Context, stop: Stop, **noted: Any) -> Landed:
        from airflow_provider_kore.api.sources.lists import Choice, ChosenLists
        from airflow_provider_kore.snapshot.many import Outcome, take_snapshots

        failed = noted.get("failed", ())  # in this try; they are tried again when all others have landed
        choice = Choice.parse(**self._given("contact_list_ids", "name_pattern", "statuses", "sources"))
        least, told, outcome = self._checked("min_contact_lists"), _Told(), Outcome()
        with self._opened(context, stop) as opened:
            lists = ChosenLists(choice, together=opened.spec.durable)
            try:
                take_snapshots(
                    opened.spec,
                    lists,
                    opened.client,
                    opened.bucket.store,
                    clock=opened.clock,
                    stop=stop,
                    staging_store=opened.bucket.staging,
                    teller=opened.teller,
                    outcome=outcome,
                    least=least,
                    later=failed,
                    on_landed=partial(told.note, opened),
                    on_checkpoint=opened.progress.checkpoint,
                )
            except PausedError:
                self._failed = [
                    name for name in {**outcome.failed, **dict.fromkeys(failed)} if name not in outcome.landed
                ]
                raise
        if (problem := outcome.problem(lists.unusable)) is not None:
            raise problem
        table = snapshot_uri(opened.bucket.store.bucket, opened.spec.prefix, {})
        opened.progress.landed(sum(outcome.landed.values()), table)
        summary = {
            **told.summary(),
            **{name: _first(getattr(outcome, name)) for name in ("superseded", "gone")},
            "contact_lists": len(outcome.landed),
            "contacts": sum(outcome.landed.values()),
            "contact_list_ids": _first(outcome.landed),
            "snapshot_date": opened.spec.snapshot_date,
            "stream_id": opened.client.config.stream_id,
            "bucket": opened.bucket.store.bucket,
            "manifest_keys": Layout(opened.spec).manifest.replace(EACH, "{contact_list_id}"),
        }
        return Landed(summary=summary, events=told.events, lineage=told.lineage)


class _Told:
    """What Airflow is told of the lists that have landed."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.lineage: list[dict[str, Any]] = []
        self._inconsistent: list[str] = []
        self._snapshots: list[str] = []

    def note(self, opened: Opened, spec: SnapshotSpec, manifest: Manifest) -> None:
        """Note a snapshot that stands."""
        lineage = opened.lineage_of(spec, manifest)
        self.events[lineage["uri"]] = without_keys(summary_of(spec, manifest, opened.bucket.store.bucket))
        if len(self.lineage) < MOST_LINEAGE:
            self.lineage.append(lineage)
        if not manifest.consistent:
            self._inconsistent.append(spec.dataset.name)
        self._snapshots.append(f"{spec.dataset.name} {manifest.snapshot_id}")

    def summary(self) -> dict[str, Any]:
        """Return what they have in common."""
        return {
            "consistent": not self._inconsistent,
            "inconsistent": _first(self._inconsistent),
            "snapshot_ids": digest(sorted(self._snapshots)),
        }


def _first(names: Iterable[str]) -> list[str]:
    return list(islice(names, NAMED))
