"""A task that proves that what lies in a bucket is what was landed there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.parameters import check_prefix, operator_parameter
from airflow_provider_kore.task.stoppable import StoppableOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.audit.verify import Report
    from airflow_provider_kore.exceptions import KoreError
    from airflow_provider_kore.stop import Stop

_SAID: Final = 3
"""Findings that the error names; all of them are in the log."""


class SnapshotVerificationOperator(StoppableOperator):
    """Verify every snapshot below a prefix, as ``python -m airflow_provider_kore verify`` does. Reads S3 alone.

    Fails with CorruptSnapshotError where anything is not as it was landed; the log names each such place. Fails as well
    where there is no snapshot, or something could not be looked at, which a retry may help.
    Returns a summary as XCom: ``bucket``, ``prefix``, ``tables``, ``snapshots``, ``rows``, ``files``, ``bytes``,
    ``first_date``, ``last_date`` and ``notes``, how often each thing was found that is worth knowing and no error.

    :param s3_bucket: name of the bucket that holds the snapshots. (str, required, templated)
    :param s3_prefix: location of a table of snapshots, of one list in it, or of one day of a list. (str, default
        'kore/contact_lists', templated)
    :param aws_conn_id: connection to S3. (str | None, default 'aws_default', templated)
    """

    s3_bucket: str = operator_parameter(templated=True, doc="name of the bucket that holds the snapshots")
    s3_prefix: str = operator_parameter(
        check_prefix,
        templated=True,
        doc="location of a table of snapshots, of one list in it, or of one day of a list",
    )
    aws_conn_id: str | None = operator_parameter(templated=True, doc="connection to S3")
    doing = "Verifying the snapshots"

    def __init__(
        self,
        *,
        s3_bucket: str,
        s3_prefix: str = "kore/contact_lists",
        aws_conn_id: str | None = "aws_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def _work(self, context: Context, stop: Stop) -> dict[str, Any]:  # noqa: ARG002
        """Verify. Raises CorruptSnapshotError, StorePermissionError, StoreUnavailableError."""
        from airflow_provider_kore.audit.progress import Progress
        from airflow_provider_kore.audit.report import summary
        from airflow_provider_kore.audit.verify import verify
        from airflow_provider_kore.hooks.s3 import open_bucket

        prefix = self._checked("s3_prefix")
        store = open_bucket(self.s3_bucket, self.aws_conn_id).store
        report = verify(store, prefix, progress=Progress(self.log.info, stop=stop))
        for one in report.findings.kept:
            tell = self.log.info if one.level == "note" else self.log.error
            tell("%s", one)
        if report.findings.left_out:
            self.log.error("%d more were found.", report.findings.left_out)
        self.log.info(summary(report))
        if report.findings.status != "fine":
            raise _error(report)
        return {"bucket": store.bucket, "prefix": prefix, **_counted(report)}


def _counted(report: Report) -> dict[str, Any]:
    snapshots = report.snapshots
    dates = [one.date for one in snapshots]
    return {
        "tables": len(report.tables),
        "snapshots": len(snapshots),
        "rows": sum(one.rows for one in snapshots),
        "files": sum(one.files for one in snapshots),
        "bytes": sum(one.bytes for one in snapshots),
        "first_date": min(dates),
        "last_date": max(dates),
        "notes": dict(Counter(one.kind for one in report.findings.kept)),
    }


def _error(report: Report) -> KoreError:
    """Return why this is no proof: what is wrong, or else what could not be looked at."""
    from airflow_provider_kore.audit.report import summary
    from airflow_provider_kore.exceptions import CorruptSnapshotError, StorePermissionError, StoreUnavailableError

    status = report.findings.status
    found = [one for one in report.findings.kept if one.level == status]
    said = " ".join(map(str, found[:_SAID]))
    more = report.findings.numbers[status] - len(found[:_SAID])
    text = f"{summary(report)} {said}" + (f" The log names {more:,} more." if more > 0 else "")
    if status == "wrong":
        return CorruptSnapshotError(text)
    return StoreUnavailableError(text) if any(one.retry for one in found) else StorePermissionError(text)
