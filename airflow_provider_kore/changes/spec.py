"""One comparison: which two snapshots, and where the changes go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.parameters import check_boolean, check_date, check_prefix
from airflow_provider_kore.snapshot.layout import default_changes_prefix
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
class ChangesSpec:
    """One comparison, checked."""

    snapshot: SnapshotSpec
    """The newer side, as far as it names a place."""
    output: SnapshotSpec
    """Where the changes go."""
    since: str | None
    """YYYY-MM-DD, the older side; None: the last consistent snapshot before the newer."""
    before: bool
    """Whether rows repeat what the older side held."""

    @classmethod
    def parse(
        cls,
        *,
        contact_list_id: str,
        s3_prefix: object,
        changes_prefix: object = None,
        snapshot_date: object,
        since: object = None,
        before: object = False,
        replace: object = True,
        run: RunKey,
        try_number: int = 1,
        generation: object = None,
        logical_date: str | None = None,
    ) -> Self:
        """Check every parameter as a DAG's author wrote it, or a template rendered it. Raises ParameterError."""
        prefix = check_prefix("s3_prefix", s3_prefix)
        target = (
            default_changes_prefix(prefix)
            if changes_prefix in (None, "")
            else check_prefix("changes_prefix", changes_prefix)
        )
        if prefix and (target == prefix or target.startswith(f"{prefix}/")):
            raise ParameterError(
                "changes_prefix",
                f"{target!r} lies inside the table {prefix!r}",
                "pass a prefix beside it: readers would take changes for contacts",
            )
        date = check_date("snapshot_date", snapshot_date)
        older = None if since in (None, "") else check_date("since", since)
        if older is not None and older >= date:
            raise ParameterError(
                "since", f"is {older}, which is not before snapshot_date {date}", "pass the date of an older snapshot"
            )
        snapshot = SnapshotSpec.parse(
            source=ContactListSource(contact_list_id=contact_list_id),
            s3_prefix=prefix,
            snapshot_date=date,
            run=run,
        )
        output = SnapshotSpec.parse(
            source=ContactListChanges(contact_list_id=contact_list_id),
            s3_prefix=target,
            snapshot_date=date,
            replace=replace,
            run=run,
            try_number=try_number,
            generation=generation,
            logical_date=logical_date,
        )
        return cls(snapshot=snapshot, output=output, since=older, before=check_boolean("before", before))
