"""Guards: an empty or collapsed source does not replace good data unnoticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import ShrunkError

if TYPE_CHECKING:
    from airflow_provider_kore.snapshot.past import Past
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.walk.source import SourceState


def check_guards(spec: SnapshotSpec, past: Past | None, rows: int, state: SourceState | None = None) -> None:
    """Compare a walk's result with what the author expects and with the last good snapshot of it, of any date.

    :param past: None: it can't be had, and nothing needs it.

    Raises ShrunkError with both numbers.
    """
    source = spec.source
    has = f"{source.dataset.headline} has {rows:,} {source.dataset.rows}"
    if rows < spec.min_rows:
        parameter = f"min_{source.dataset.file_name}"
        raise ShrunkError(
            f"{has}, and {parameter} is {spec.min_rows:,}. "
            f"Nothing was replaced. Look at the list in Kore.ai; if that is right, lower {parameter}."
        )
    if spec.max_shrink >= 1 or past is None:
        return
    last = past.good(state)
    if last is None or last.rows == 0:
        return
    missing = 1 - rows / last.rows
    if missing > spec.max_shrink:
        raise ShrunkError(
            f"{has}, {missing:.1%} fewer than the "
            f"{last.rows:,} of its last good snapshot ({last.snapshot_date or 'no date'}), and max_shrink is "
            f"{spec.max_shrink:g}. Nothing was replaced. Look at the list in Kore.ai; if that is right, raise "
            "max_shrink "
            "for this run (1 allows everything)."
        )
