"""One comparison: which two snapshots, and where the changes go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.parameters import as_given, check_boolean, check_date, parameter, unless_missing
from airflow_provider_kore.snapshot.layout import Tables
from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec

if TYPE_CHECKING:
    from airflow_provider_kore.walk.source import Dataset


class ContactListChanges(ContactListSource):
    """The changes of one contact list, as something that is published."""

    @property
    def dataset(self) -> Dataset:
        """Changes, in the partition of their list."""
        return replace(super().dataset, row="change", rows="changes", file_name="changes")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesSpec(Tables):
    """One comparison, checked. What an operator passes on is declared here, and in the operator's signature."""

    contact_list_id: str = parameter(as_given, templated=True, doc="id of the list, ``cl-…``")
    snapshot_date: str = parameter(
        check_date,
        templated=True,
        doc="YYYY-MM-DD, the newer snapshot; None: the date of the run, as the snapshot's own task has it",
    )
    since: str | None = parameter(
        unless_missing(check_date),
        None,
        templated=True,
        doc="YYYY-MM-DD, the older snapshot; None: the last consistent one before",
    )
    before: bool = parameter(
        check_boolean,
        False,
        templated=True,
        doc="repeat in each row what the older snapshot held. False: of who is gone only the id is written",
    )
    replace: bool = parameter(check_boolean, True, templated=True, doc="replace changes that another run has published")
    snapshot: SnapshotSpec
    """The newer side, as far as it names a place."""
    output: SnapshotSpec
    """Where the changes go."""

    @classmethod
    def parse(
        cls,
        *,
        run: RunKey,
        try_number: int = 1,
        generation: object = None,
        logical_date: str | None = None,
        **given: object,
    ) -> Self:
        """Check every parameter as a DAG's author wrote it, or a template rendered it.

        :param given: the parameters that this class declares.

        Raises ParameterError, which names the parameter.
        """
        values = cls.places(given)
        contact_list_id, prefix, date, since = (
            values[name] for name in ("contact_list_id", "prefix", "snapshot_date", "since")
        )
        target = values["changes_prefix"]
        if prefix and (target == prefix or target.startswith(f"{prefix}/")):
            raise ParameterError(
                "changes_prefix",
                f"{target!r} lies inside the table {prefix!r}",
                "pass a prefix beside it: readers would take changes for contacts",
            )
        if since is not None and since >= date:
            raise ParameterError(
                "since", f"is {since}, which is not before snapshot_date {date}", "pass the date of an older snapshot"
            )
        snapshot = SnapshotSpec.parse(
            source=ContactListSource(contact_list_id=contact_list_id), s3_prefix=prefix, snapshot_date=date, run=run
        )
        output = SnapshotSpec.parse(
            source=ContactListChanges(contact_list_id=contact_list_id),
            s3_prefix=target,
            snapshot_date=date,
            replace=values["replace"],
            max_shrink=1,
            run=run,
            try_number=try_number,
            generation=generation,
            logical_date=logical_date,
        )
        return cls(snapshot=snapshot, output=output, **values)
