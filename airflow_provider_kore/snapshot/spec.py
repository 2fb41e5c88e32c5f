"""What to snapshot, checked once: after this nothing is optional and nobody parses a parameter again."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.formats import Format, parse_format
from airflow_provider_kore.parameters import (
    check_boolean,
    check_choice,
    check_count,
    check_date,
    check_number,
    is_missing,
    shown,
)
from airflow_provider_kore.snapshot.fields import FieldPolicies
from airflow_provider_kore.snapshot.filing import check_backfill
from airflow_provider_kore.walk.page import check_page_size

if TYPE_CHECKING:
    from airflow_provider_kore.walk.source import Source

ON_DRIFT: Final = ("retry", "fail", "accept")
"""What to do about a list that changed while it was read."""

LARGEST_ACCOUNT: Final = 5_000_000
"""Contacts that an account may hold at the most. Source: the vendor's campaign pages."""

LONGEST_PREFIX: Final = 512
"""Bytes; keys end at 1,024, and partitions, names and ids want their share."""

_BUCKET = re.compile(
    r"[a-zA-Z0-9._-]{1,255}"
    r"|arn:aws[a-z-]*:(?:s3|s3-object-lambda):[a-z0-9-]*:[0-9]{12}:accesspoint[/:][a-zA-Z0-9.-]{1,63}"
    r"|arn:aws[a-z-]*:s3-outposts:[a-z0-9-]+:[0-9]{12}:outpost[/:][a-zA-Z0-9-]{1,63}[/:]accesspoint[/:][a-zA-Z0-9-]{1,63}"
)
"""What boto3 takes: names as AWS gives them today (directory buckets and access point aliases among them), older ones
and those of other stores (capitals, underscores), and the ARNs of access points. Source: botocore, ``handlers.py``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunKey:
    """Which run of which task this is; the same in every try of it, on every worker."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @property
    def digest(self) -> str:
        """A short name for it that is safe in keys and metadata; run ids hold ``:`` and ``+``."""
        return digest([self.dag_id, self.run_id, self.task_id, self.map_index])


def digest(value: object) -> str:
    """Return 16 hex digits that stand for a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSpec:
    """One snapshot of one source."""

    source: Source
    prefix: str
    """The table's location in the bucket, without slashes at its ends; may be empty."""
    snapshot_date: str
    """YYYY-MM-DD: the partition."""
    file_format: Format
    compression: str
    run: RunKey
    try_number: int = 1
    generation: str | None = None
    """The same in every retry, another after each Clear and in each new run, be it of the same id; None: unknown."""
    logical_date: str | None = None
    run_type: str | None = None
    """What kind of run it is, as Airflow calls it: ``scheduled``, ``backfill``; None: unknown."""
    retry_follows: bool = True
    """Whether Airflow tries again by itself if this try fails in a way that may pass."""
    replace: bool = True
    page_size: int | None = None
    durable: bool = True
    staging_prefix: str
    """Where checkpoints go, outside the table; without slashes at its ends."""
    staging_expiry: float = 86_400.0
    """Seconds after which a beginning is too old to be continued."""
    on_drift: str = "retry"
    max_walks: int = 3
    """How often the list is walked at the most, because it changed."""
    min_rows: int = 0
    max_rows: int = LARGEST_ACCOUNT
    max_shrink: float = 0.99
    """Share of the last good snapshot's rows that may be missing; 1: all of them."""
    rows_per_file: int | None = None
    made_with: str = ""
    """A digest of what else shapes what is published: how objects are written, or which snapshots are compared."""
    policies: FieldPolicies = field(repr=False)

    @property
    def parameters_digest(self) -> str:
        """A name for all that shapes the rows: chunks made with other parameters are no beginning of this walk."""
        return digest([self.source.identity, self.page_size, self.policies.describe()])

    @property
    def recipe(self) -> str:
        """A name for all that shapes what is published: what was made by another recipe is not this task's result."""
        return digest(
            [
                self.source.identity,
                self.policies.describe(),
                [self.file_format.name, self.compression, self.rows_per_file],
                [self.on_drift, self.policies.on_missing, self.min_rows, self.max_rows],
                self.made_with,
            ]
        )

    @classmethod
    def parse(
        cls,
        *,
        source: Source,
        s3_prefix: object = "",
        snapshot_date: object,
        file_format: object = "jsonl",
        compression: object = None,
        replace: object = True,
        page_size: object = None,
        run: RunKey,
        try_number: int = 1,
        generation: object = None,
        logical_date: str | None = None,
        run_type: str | None = None,
        retry_follows: bool = True,
        allow_backfill: object = False,
        durable: object = True,
        staging_prefix: object = None,
        staging_expiry: object = 86_400.0,
        on_drift: object = "retry",
        max_walks: object = 3,
        min_rows: object = 0,
        max_rows: object = LARGEST_ACCOUNT,
        max_shrink: object = 0.99,
        rows_per_file: object = None,
        made_with: object = None,
        policies: FieldPolicies | None = None,
    ) -> Self:
        """Check every parameter as a DAG's author wrote it, or as a template rendered it (then it is a string).

        Raises ParameterError, which names the parameter.
        """
        check_backfill(run_type, allow_backfill)
        prefix = check_prefix("s3_prefix", s3_prefix)
        default = staging_prefix is None or staging_prefix == "None"
        staging = default_staging_prefix(prefix) if default else check_prefix("staging_prefix", staging_prefix)
        _check_apart(prefix, staging)
        least = check_count(f"min_{source.file_name}", min_rows, least=0, default=0)
        checked_format, checked_compression = parse_format(file_format, compression)
        return cls(
            source=source,
            prefix=prefix,
            snapshot_date=check_date("snapshot_date", snapshot_date),
            file_format=checked_format,
            compression=checked_compression,
            run=run,
            try_number=try_number,
            generation=None if generation is None else str(generation),
            logical_date=logical_date,
            run_type=run_type,
            retry_follows=retry_follows,
            replace=check_boolean("replace", replace),
            page_size=None if is_missing(page_size) else check_page_size(page_size),
            durable=check_boolean("durable", durable),
            staging_prefix=staging,
            staging_expiry=check_number("staging_expiry", staging_expiry, least=0.0),
            on_drift=check_choice("on_drift", on_drift, ON_DRIFT),
            max_walks=check_count("max_walks", max_walks, least=1, default=3),
            min_rows=least,
            max_rows=check_count(f"max_{source.file_name}", max_rows, least=max(1, least), default=LARGEST_ACCOUNT),
            max_shrink=check_number("max_shrink", max_shrink, least=0.0, most=1.0),
            rows_per_file=check_count("rows_per_file", rows_per_file, least=1, default=0) or None,
            made_with="" if made_with is None else digest(made_with),
            policies=policies or FieldPolicies.parse(),
        )


def check_bucket(value: object) -> str:
    """Return a bucket's name. Raises ParameterError."""
    if not isinstance(value, str) or not _BUCKET.fullmatch(value):
        raise ParameterError(
            "s3_bucket",
            f"{value!r} is no name of a bucket",
            "pass the bare name or the ARN of an access point, without s3:// and without a path",
        )
    return value


def check_prefix(parameter: str, value: object) -> str:
    """Return a key prefix without a slash at its end. Raises ParameterError."""
    if not isinstance(value, str):
        raise ParameterError(parameter, f"is {shown(value)}", "pass a string such as 'kore/contact_lists'")
    advice = "pass a path such as 'kore/contact_lists'"
    if value.startswith("/"):
        problem = f"{shown(value)} begins with a slash, which S3 takes for an empty folder"
        raise ParameterError(parameter, problem, advice)
    parts = value.rstrip("/").split("/") if value else []
    if any(part in {"", ".", ".."} for part in parts):
        raise ParameterError(
            parameter, f"{shown(value)} has an empty, '.' or '..' part, which many readers resolve or refuse", advice
        )
    if not value.isprintable():
        raise ParameterError(parameter, "holds a control character", advice)
    if len(value.encode()) > LONGEST_PREFIX:
        raise ParameterError(
            parameter, f"is longer than {LONGEST_PREFIX} bytes", "S3 keys end at 1,024; choose a shorter prefix"
        )
    return "/".join(parts)


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
