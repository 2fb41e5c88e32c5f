"""What the manifest says of a snapshot: all but its files, and what the table was before."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore import __version__
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.learning import describe_history
from airflow_provider_kore.snapshot.manifest_checks import SCHEMA_VERSION
from airflow_provider_kore.snapshot.rivals import instant
from airflow_provider_kore.snapshot.spec import BACKFILL

if TYPE_CHECKING:
    from airflow_provider_kore.formats import ColumnSet
    from airflow_provider_kore.snapshot.walking import Walking
    from airflow_provider_kore.walk.proof import Walked

log = logging.getLogger(__name__)

TOLERATED: Final = timedelta(days=1)
"""A run of yesterday's interval reads today, after midnight, and is on time."""


def describe(walking: Walking, walked: Walked, columns: ColumnSet, *, past_told: bool) -> dict[str, Any]:
    """Return the manifest without its files.

    :param columns: as they are written.
    :param past_told: whether what stands already could be read.
    """
    spec, staging, config, at = walking.spec, walking.staging, walking.shared.client.config, walking.clock.time()
    learned = walked.state.progress.learned.with_earlier(walking.remembered)
    history = describe_history(walking, walked) if spec.dataset.grows_at_end else None
    dataset, state, spent, evidence = spec.dataset, walked.state, staging.spent, walked.evidence
    spec.policies.check_missing(staging.fields)  # of a walk whose checkpoints hold all of it, no page was added
    unseen = spec.policies.unseen(staging.fields.found)
    warnings = [
        f"No {dataset.row} has the field '{quoted(name)}' that a field policy names."
        for name in unseen
        if evidence.contacts
    ]
    warnings += [
        f"No {dataset.row} has the field '{quoted(name)}' that columns names."
        for name, _ in spec.columns
        if evidence.contacts and not staging.columns.covers([name])
    ]
    if not past_told:
        warnings.append("The last manifest could not be read: columns and types are those of this snapshot alone.")
    warnings += dataset.warnings(walked.source_state, evidence)
    warnings += [told for name, told in walked.source_state.exposed.items() if spec.policies.hides(name)]
    misfiled = filed_elsewhere(spec.snapshot_date, state.started, title=dataset.title, run_type=spec.run_type)
    warnings += [misfiled] if misfiled else []
    if history and history["off"]:
        warnings.append(f"All of the list is read each time, and it is not built on a snapshot: {history['off']}.")
    for warning in warnings:
        log.warning(warning)
    if walked.drift:
        log.warning("The list changed while it was read, and on_drift is accept: %s.", "; ".join(walked.drift))
    return {
        "schema_version": SCHEMA_VERSION,
        "provider_version": __version__,
        "snapshot_id": state.walk_id,
        **walked.source_state.identity,
        "account_id": config.account_id,
        "stream_id": config.stream_id,
        "snapshot_date": spec.snapshot_date,
        dataset.file_name: evidence.contacts,
        "consistent": not walked.drift,
        "drift": list(walked.drift),
        "witnesses": {"agreed": list(walked.witnesses), "disagreed": list(evidence.disagreed)},
        "total_results": evidence.total,
        "duplicates_removed": evidence.duplicates,
        "appended_while_reading": walked.appended,
        **walked.source_state.facts,
        "run": walking.layout.describe_run(),
        "walk": {
            "started_at": instant(state.started),
            "ended_at": instant(at),
            "walks": walking.walks,
            "pages": state.pages,
            "page_size": learned.size or None,
            "page_size_too_large": learned.too_large or None,
            "requests": spent.requests,
            "retries": spent.retries,
            "rate_limited": spent.rate_limited,
            "rate_limit_wait_seconds": round(spent.waited, 3),
            "resumed_from": state.resumed_from,
        },
        "fields": {**spec.policies.describe(), "missing": spec.policies.missing(staging.fields)},
        **({"incremental": history} if history else {}),
        "columns_truncated": columns.truncated,
        "file_format": spec.file_format.name,
        "compression": spec.compression,
        "warnings": warnings,
    }


def filed_elsewhere(snapshot_date: str, started: float, *, title: str, run_type: str | None) -> str | None:
    """Return the sentence about a snapshot whose partition is not the day on which it was read; None if it is.

    :param snapshot_date: YYYY-MM-DD.
    :param started: when the walk began, in seconds since the epoch.
    :param title: of what was read: ``contact list cl-1``.
    """
    read = datetime.fromtimestamp(started, UTC).date()
    backfill = run_type == BACKFILL
    if abs(read - date.fromisoformat(snapshot_date)) <= (timedelta(0) if backfill else TOLERATED):
        return None
    return (
        f"This snapshot shows {title} as it was on {read}, and is filed under {snapshot_date}"
        f"{', by a backfill' if backfill else ''}."
    )
