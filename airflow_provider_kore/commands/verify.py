"""``verify``: prove that what lies in a bucket is what was landed there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airflow_provider_kore.commands import STATUS, bucket_options, open_place, say

if TYPE_CHECKING:
    import argparse

    from airflow_provider_kore.commands import Commands


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "verify",
        parents=[bucket_options()],
        help="prove that what lies in a bucket is what was landed there",
        description="Read every snapshot below an address, a table, a list or one day: its manifest against its JSON "
        "Schema and its digest, each file against its checksums, rows and ids, and the chain that the snapshots are. "
        "Asks neither Kore.ai nor Airflow, and changes nothing. Exit status: 0 everything is as it was landed, 1 "
        "something is wrong, 2 it could not be looked at.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=run, failed=STATUS["unseen"])


def run(options: argparse.Namespace) -> int:
    """Print what was found on standard output, how far it is on standard error."""
    from airflow_provider_kore.audit import report
    from airflow_provider_kore.audit.progress import Progress
    from airflow_provider_kore.audit.verify import verify

    found = verify(*open_place(options), progress=Progress(say))
    sys.stdout.write(report.as_json(found) if options.json else report.as_text(found))
    return STATUS[found.findings.status]
