"""Where everything lies in the bucket.

Hive-style partitions, which Athena, Glue, Spark, Trino and DuckDB read as a table without configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from airflow_provider_kore.snapshot.spec import digest

if TYPE_CHECKING:
    from airflow_provider_kore.snapshot.source import Source
    from airflow_provider_kore.snapshot.spec import SnapshotSpec

MANIFEST_NAME: Final = "_manifest.json"
"""Engines that read Hive tables pass over names that begin with an underscore."""


def list_prefix(prefix: str, source: Source) -> str:
    """Return below which all snapshots of a source are; ends with a slash.

    :param prefix: the table's location in the bucket, without slashes at its ends; may be empty.
    """
    return _join(prefix, *(f"{key}={value}" for key, value in source.partition), "")


@dataclass(frozen=True, slots=True)
class Layout:
    """The keys of one snapshot."""

    spec: SnapshotSpec
    source: tuple[str, ...] = ()
    """Which environment, account and application it belongs to; they share no checkpoints."""

    @property
    def list_prefix(self) -> str:
        """All snapshots of this source; ends with a slash."""
        return list_prefix(self.spec.prefix, self.spec.source)

    @property
    def partition(self) -> str:
        """The source on one date; ends with a slash."""
        return f"{self.list_prefix}snapshot_date={self.spec.snapshot_date}/"

    @property
    def object(self) -> str:
        """The one object of the snapshot."""
        return f"{self.files}{self._suffix}"

    @property
    def files(self) -> str:
        """What the keys of all its files begin with."""
        return f"{self.partition}{self.spec.source.file_name}"

    def parts(self, snapshot_id: str) -> str:
        """Return what the keys of all files of one snapshot begin with, if they are several."""
        return f"{self.files}-{snapshot_id}-"

    def part(self, snapshot_id: str, number: int) -> str:
        """Return the key of one of several files, whose names belong to one snapshot alone."""
        return f"{self.parts(snapshot_id)}{number:05d}{self._suffix}"

    @property
    def manifest(self) -> str:
        """The manifest beside it."""
        return f"{self.partition}{MANIFEST_NAME}"

    @property
    def task_staging(self) -> str:
        """What all runs of this task have staged; ends with a slash."""
        run = self.spec.run
        return _join(self.spec.staging_prefix, quote(run.dag_id, safe=""), quote(run.task_id, safe=""), "")

    @property
    def staging(self) -> str:
        """What this run has staged with these parameters; ends with a slash."""
        return f"{self.task_staging}{self.spec.run.digest}-{digest([*self.source, self.spec.parameters_digest])}/"

    @property
    def _suffix(self) -> str:
        return self.spec.file_format.suffix(self.spec.compression)


def default_changes_prefix(prefix: str) -> str:
    """Return where changes go by default: beside the table of snapshots. ``a/b`` has its changes in ``a/b_changes``."""
    return f"{prefix.strip('/')}_changes".lstrip("_")


def _join(*parts: str) -> str:
    return "/".join(part for index, part in enumerate(parts) if part or index == len(parts) - 1)
