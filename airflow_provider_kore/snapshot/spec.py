"""What to snapshot, checked once: after this nothing is optional, and no parameter is parsed again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.formats import ON_SCHEMA_CHANGE
from airflow_provider_kore.parameters import (
    as_given,
    check_boolean,
    check_choice,
    check_count,
    check_date,
    check_number,
    check_prefix,
    check_seconds,
    checked,
    parameter,
    parameters_of,
)
from airflow_provider_kore.snapshot.author_columns import check_columns, check_columns_fit

if TYPE_CHECKING:
    from airflow_provider_kore.formats import Format
    from airflow_provider_kore.snapshot.author_columns import Columns
    from airflow_provider_kore.snapshot.fields import FieldPolicies
    from airflow_provider_kore.walk.source import Dataset, Source

ON_DRIFT: Final = ("retry", "fail", "accept")
"""What to do about a list that changed while it was read."""

BACKFILL: Final = "backfill"
"""What Airflow (3.0 to 3.3) says of a run that a backfill has made, as ``dag_run.run_type``."""

LARGEST_ACCOUNT: Final = 5_000_000
"""Contacts that an account may hold at the most. Source: the vendor's campaign pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunKey:
    """Which run of which task this is; the same in every try of it, on every worker."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    item: str | None = None
    """Which of the snapshots that the task takes; None: it takes one."""

    @property
    def digest(self) -> str:
        """A short name for it that is safe in keys and metadata; run ids hold ``:`` and ``+``."""
        item = [] if self.item is None else [self.item]
        return digest([self.dag_id, self.run_id, self.task_id, self.map_index, *item])


def digest(value: object) -> str:
    """Return 16 hex digits that stand for a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def check_backfill(run_type: str | None, allow_backfill: object) -> None:
    """Refuse a run of a backfill unless its author allows it, before a request is spent. Raises ParameterError.

    The API shows everything as it is now: such a run would file it under a day on which it was different, and nothing
    about such a partition looks wrong.

    :param run_type: as Airflow calls it; None: unknown.
    """
    if check_boolean("allow_backfill", allow_backfill) or run_type != BACKFILL:
        return
    raise ParameterError(
        "allow_backfill",
        "is False, and this run belongs to a backfill: Kore.ai shows everything as it is now, so today's contacts "
        "would be filed under a day that is over",
        "leave such days without a snapshot, or pass allow_backfill=True; the manifest then says when it was read",
    )


def _count_or_none(name: str, value: object) -> int | None:
    return check_count(name, value, least=1, default=0) or None


def _staging_prefix(name: str, value: object) -> str | None:
    return None if value is None or value == "None" else check_prefix(name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSpec:
    """One snapshot of one source. What an operator passes on is declared here, and in the operator's signature."""

    source: Source
    run: RunKey
    try_number: int = 1
    generation: str | None = None
    """The same in every retry, another after each Clear and in each new run, be it of the same id; None: unknown."""
    logical_date: str | None = None
    run_type: str | None = None
    """What kind of run it is, as Airflow calls it: ``scheduled``, ``backfill``; None: unknown."""
    retry_follows: bool = True
    """Whether Airflow tries again by itself if this try fails in a way that may pass."""
    made_with: str = ""
    """A digest of what else shapes what is published: how objects are written, or which snapshots are compared."""
    policies: FieldPolicies = field(repr=False)
    prefix: str = parameter(
        check_prefix, "", name="s3_prefix", templated=True, doc="location of the table in the bucket"
    )
    """Without slashes at its ends; may be empty."""
    snapshot_date: str = parameter(
        check_date,
        templated=True,
        doc="YYYY-MM-DD, names the partition. None: the date (UTC) of the run: its partition date where it has one "
        "(Airflow 3.3), else its logical date, else the date it was due (``run_after``)",
    )
    file_format: Format = parameter(  # noqa: RUF009 - a field, as all others
        as_given, "jsonl", templated=True, doc="``jsonl``, ``csv`` or ``parquet``"
    )
    compression: str = parameter(as_given, None, templated=True, doc="one that the format has; None: its default")
    replace: bool = parameter(
        check_boolean,
        True,
        templated=True,
        doc="replace a snapshot that another run has published; what this run itself published may always be found "
        "again",
    )
    allow_backfill: bool = parameter(
        check_boolean,
        False,
        templated=True,
        doc="take a snapshot in a run of a backfill, too, which files what is there today under a day that is over; "
        "False: refuse",
    )
    page_size: int | None = parameter(
        _count_or_none, None, templated=True, doc="rows to ask for in one request; None: as the connection says"
    )
    durable: bool = parameter(
        check_boolean,
        True,
        doc="keep checkpoints in S3, so that a retry continues on any worker",
    )
    on_drift: str = parameter(
        partial(check_choice, choices=ON_DRIFT),
        "retry",
        templated=True,
        doc="what to do if what is read changes meanwhile: ``retry`` (walk again), ``fail``, or ``accept`` (land it "
        "with ``consistent: false``)",
    )
    max_walks: int = parameter(
        partial(check_count, least=1, default=3), 3, doc="how often it is walked at the most, because it changed"
    )
    min_rows: int = parameter(
        partial(check_count, least=0, default=0), 0, templated=True, doc="fail rather than land fewer"
    )
    max_rows: int = parameter(
        partial(check_count, least=1, default=LARGEST_ACCOUNT),
        LARGEST_ACCOUNT,
        templated=True,
        doc="fail rather than read more, so that an endless list ends",
    )
    max_shrink: float = parameter(
        partial(check_number, least=0.0, most=1.0),
        0.99,
        templated=True,
        doc="fail if more than this share of the last good snapshot's rows is missing; 1 allows all",
    )
    rows_per_file: int | None = parameter(
        _count_or_none,
        None,
        templated=True,
        doc="split the snapshot into files of so many rows; then the manifest is its commit",
    )
    columns: Columns = parameter(  # noqa: RUF009 - a field, as all others
        check_columns,
        None,
        templated=True,
        is_json=True,
        doc='the first columns of a csv or parquet table, in this order: names, or ``{"name": …, "type": …}`` in '
        "parquet; fields that it doesn't name come after them. None: as the table has them, then as they come",
    )
    on_schema_change: str = parameter(
        partial(check_choice, choices=ON_SCHEMA_CHANGE),
        "widen",
        templated=True,
        doc="what to do about a value that does not fit its column's type in parquet: ``widen`` where files of before "
        "are still read right, else fail; ``fail``; or ``text``, which makes the column a string from now on",
    )
    staging_prefix: str = parameter(
        _staging_prefix,
        None,
        templated=True,
        doc="where checkpoints go, outside the table; None: beside it, below ``_staging``",
    )
    """Without slashes at its ends."""
    staging_expiry: float = parameter(
        partial(check_number, least=0.0), 86_400.0, doc="seconds after which a beginning is too old to be continued"
    )

    incremental: bool = parameter(
        check_boolean,
        False,
        templated=True,
        doc="build on the last snapshot and read only what is new, where nothing else can have changed; else all of "
        "the list",
    )
    full_walk_every: float = parameter(
        check_seconds,
        604_800.0,
        doc="seconds after which all of the list is read again, so that contacts which were edited in place are seen",
    )
    probes: int = parameter(
        partial(check_count, least=0, default=2),
        2,
        doc="how many pages at random places must be as they were in the last snapshot before it is built on",
    )

    @property
    def dataset(self) -> Dataset:
        """What it is of, in words and names."""
        return self.source.dataset

    @property
    def parameters_digest(self) -> str:
        """A name for all that shapes the rows: chunks made with other parameters are no beginning of this walk."""
        return digest([self.dataset.identity, self.page_size, self.policies.describe()])

    @property
    def recipe(self) -> str:
        """A name for all that shapes what is published: what was made by another recipe is not this task's result."""
        return digest(
            [
                self.dataset.identity,
                self.policies.describe(),
                [self.file_format.name, self.compression, self.rows_per_file],
                [self.columns, self.on_schema_change],
                [self.on_drift, self.policies.on_missing, self.min_rows, self.max_rows],
                self.made_with,
            ]
        )

    def of(self, source: Source) -> Self:
        """Return the same for one of several sources that the task takes snapshots of."""
        return replace(self, source=source, run=replace(self.run, item=source.dataset.name))

    @classmethod
    def parse(
        cls,
        *,
        source: Source,
        generation: object = None,
        made_with: object = None,
        policies: FieldPolicies | None = None,
        **given: Any,
    ) -> Self:
        """Check every parameter as a DAG's author wrote it, or as a template rendered it (then it is a string).

        :param given: the parameters that this class declares, whose bounds of rows are named after the source's rows in
            messages; and its other attributes, which are taken as they are.

        Raises ParameterError, which names the parameter.
        """
        from airflow_provider_kore.formats import parse_format
        from airflow_provider_kore.snapshot.fields import FieldPolicies

        declared = parameters_of(cls)
        known = {name: given.pop(name) for name in [*given] if name not in declared}
        check_backfill(known.get("run_type"), given.get("allow_backfill", False))
        called = {name: f"{name[:4]}{source.dataset.file_name}" for name in ("min_rows", "max_rows")}
        values = checked(cls, given, called)
        if (least := values["min_rows"]) > (most := values["max_rows"]):
            advice = f"lower it, or raise {called['max_rows']}"
            raise ParameterError(called["min_rows"], f"is {least:,}, and {called['max_rows']} is {most:,}", advice)
        if values["staging_prefix"] is None:
            values["staging_prefix"] = default_staging_prefix(values["prefix"])
        _check_apart(values["prefix"], values["staging_prefix"])
        values["file_format"], values["compression"] = parse_format(values["file_format"], values["compression"])
        policies = policies or FieldPolicies.parse()
        check_columns_fit(values["columns"], values["file_format"], policies)
        return cls(
            source=source,
            generation=None if generation is None else str(generation),
            made_with="" if made_with is None else digest(made_with),
            policies=policies,
            **known,
            **values,
        )


def default_staging_prefix(prefix: str) -> str:
    """Return where checkpoints go by default: beside the table, never below it.

    ``a/b`` stages in ``a/_staging/b``, so that a policy for ``a/*`` covers both.
    """
    parent, _, name = prefix.rpartition("/")
    return "/".join(part for part in (parent, "_staging", name) if part)


def _check_apart(prefix: str, staging: str) -> None:
    """Keep checkpoints and table from lying in each other: each is cleaned up by other rules. Raises ParameterError."""
    advice = "pass a prefix of its own beside the table, such as " + repr(default_staging_prefix(prefix))
    if not staging:
        raise ParameterError("staging_prefix", "is empty, and checkpoints need a place of their own", advice)
    if f"{staging}/".startswith(f"{prefix}/") or (not prefix and staging[0] not in "_."):
        raise ParameterError(
            "staging_prefix", f"{staging!r} lies inside the table {prefix!r}, whose readers would see it", advice
        )
    if f"{prefix}/".startswith(f"{staging}/"):
        raise ParameterError("staging_prefix", f"the table {prefix!r} lies inside {staging!r}", advice)
