"""Where everything lies in the bucket.

Hive-style partitions, which Athena, Glue, Spark, Trino and DuckDB read as a table without configuration.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.formats import FORMATS
from airflow_provider_kore.parameters import check_prefix, checked, parameter, unless_missing
from airflow_provider_kore.snapshot.spec import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.walk.source import Source

MANIFEST_NAME: Final = "_manifest.json"
"""Engines that read Hive tables pass over names that begin with an underscore."""

LONGEST_KEY: Final = 1024
"""Bytes of a key. Source: S3 user guide, "Naming Amazon S3 objects"."""

_SUFFIX: Final = "(?:{})".format(
    "|".join(sorted({re.escape(each.suffix(how)) for each in FORMATS.values() for how in each.compressions}))
)
_PART: Final = r"-(?P<snapshot>[0-9a-f]{12,16})-[0-9a-f]{8}-\d{5,}"
CHUNK: Final = (
    r"(?P<walk>[0-9a-f]{12})/(?P<start>\d{12})-(?P<end>\d{12})-(?P<before>[0-9a-f]{32})-(?P<tag>[0-9a-f]{32})"
    r"\.jsonl\.gz"
)
"""The name of a chunk below its run's staging."""
_LONGEST_CHUNK: Final = len("0123456789ab/012345678901-012345678901--.jsonl.gz") + 2 * 32
_staged = re.compile(rf"(?P<run>[0-9a-f]{{16}}-[0-9a-f]{{16}})/(?:{CHUNK}|probe-[0-9a-f]{{32}})").fullmatch


def list_prefix(prefix: str, source: Source) -> str:
    """Return below which all snapshots of a source are; ends with a slash.

    :param prefix: the table's location in the bucket, without slashes at its ends; may be empty.
    """
    return _join(prefix, *(f"{key}={value}" for key, value in source.dataset.partition), "")


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
        return f"{self.partition}{self.spec.dataset.file_name}"

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
    def recipe(self) -> str:
        """A name for all that shapes what this try would publish, and for whether it would."""
        return digest([*self.source, self.spec.recipe])

    def describe_run(self) -> dict[str, Any]:
        """Return what the manifest says of the run that made it."""
        spec = self.spec
        return {
            **{name: value for name, value in asdict(spec.run).items() if value is not None},
            "try_number": spec.try_number,
            "generation": spec.generation,
            "recipe": self.recipe,
            "logical_date": spec.logical_date,
            "run_type": spec.run_type,
            "digest": spec.run.digest,
        }

    def snapshot_of_part(self, key: str) -> str | None:
        """Return the snapshot that the key of one of several files of this partition names; None for any other key."""
        found = _published_name(self.spec.dataset.file_name).fullmatch(key.removeprefix(self.partition))
        return found["snapshot"] if found and key.startswith(self.partition) else None

    def is_published(self, key: str, *, any_date: bool = False) -> bool:
        """Say whether a key has the form of those that snapshots of this partition are published under.

        :param any_date: those of the source's other partitions, too.
        """
        dated = re.match(rf"{re.escape(self.list_prefix)}snapshot_date=\d{{4}}-\d\d-\d\d/", key, re.ASCII)
        partition = dated[0] if any_date and dated else self.partition
        name = key.removeprefix(partition)
        return key.startswith(partition) and _published_name(self.spec.dataset.file_name).fullmatch(name) is not None

    def is_of_other_form(self, key: str) -> bool:
        """Say whether it has that form, and is no name of one of several files of this very format."""
        return self.is_published(key) and not (self.snapshot_of_part(key) and key.endswith(self._suffix))

    def staged_by(self, key: str) -> str | None:
        """Return which run of this task has staged an object, None if its key is not of the form of a checkpoint."""
        found = _staged(key.removeprefix(self.task_staging)) if key.startswith(self.task_staging) else None
        return found["run"] if found else None

    def check_keys(self) -> None:
        """Raise ParameterError if a key would be longer than S3 takes."""
        for name, key, more in (
            ("s3_prefix", self.part("0" * 16 + "-" + "0" * 8, 0), 0),
            ("staging_prefix", self.staging, _LONGEST_CHUNK),
        ):
            length = len(key.encode()) + more
            if length > LONGEST_KEY:
                raise ParameterError(
                    name,
                    f"leads to keys of {length:,} bytes, and S3 takes {LONGEST_KEY:,}",
                    "use a shorter prefix, or shorter DAG and task ids",
                )

    @property
    def _suffix(self) -> str:
        return self.spec.file_format.suffix(self.spec.compression)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """A table of contact lists and the one of its changes, as what works on both is told where they are."""

    prefix: str = parameter(
        check_prefix, "kore/contact_lists", name="s3_prefix", templated=True, doc="location of the table of snapshots"
    )
    changes_prefix: str = parameter(
        unless_missing(check_prefix),
        None,
        templated=True,
        doc="location of the table of changes; None: ``{s3_prefix}_changes``",
    )

    @classmethod
    def places(cls, given: Mapping[str, object]) -> dict[str, Any]:
        """Return the attributes that a class declares, as :func:`checked` does. Raises ParameterError."""
        values = checked(cls, given)
        values["changes_prefix"] = values["changes_prefix"] or default_changes_prefix(values["prefix"])
        return values


def default_changes_prefix(prefix: str) -> str:
    """Return where changes go by default: beside the table of snapshots. ``a/b`` has its changes in ``a/b_changes``."""
    return f"{prefix.strip('/')}_changes".lstrip("_")


def form_of(file_name: str, name: str) -> tuple[str, str, str | None] | None:
    """Return format, compression and snapshot that a published file's name tells; None if it has no such form.

    :param file_name: what such names begin with: ``contacts``.
    :param name: without its folder. Of a parquet file it tells no compression, and of one file no snapshot.
    """
    found = _published_name(file_name).fullmatch(name)
    suffix = name[name.index(".") :] if found else ""
    for each in FORMATS.values():
        for compression in each.compressions:
            if found and each.suffix(compression) == suffix:
                return each.name, compression, found["snapshot"]
    return None


@lru_cache(maxsize=16)
def _published_name(file_name: str) -> re.Pattern[str]:
    """Return the form of a published file's name: ``contacts.csv.gz``, or ``contacts-…-00000.csv.gz``.

    :param file_name: what it begins with: ``contacts``.
    """
    return re.compile(rf"{re.escape(file_name)}(?:{_PART})?{_SUFFIX}")


def _join(*parts: str) -> str:
    return "/".join(part for index, part in enumerate(parts) if part or index == len(parts) - 1)
