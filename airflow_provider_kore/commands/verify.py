"""``verify``: prove that what lies in a bucket is what was landed there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.commands.bucket import open_place
from airflow_provider_kore.commands.bucket import options as bucket_options

if TYPE_CHECKING:
    import argparse

    from airflow_provider_kore.commands import Commands

STATUS: Final = {"fine": 0, "wrong": 1, "unseen": 2}
"""Exit statuses."""


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
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what was found on standard output; how far it is, and why it could not begin, on standard error."""
    from airflow_provider_kore.audit.progress import Progress
    from airflow_provider_kore.audit.report import as_json, as_text
    from airflow_provider_kore.audit.verify import verify
    from airflow_provider_kore.exceptions import KoreError

    try:
        place = open_place(options)
        report = verify(place.store, place.prefix, progress=Progress(say))
    except KoreError as err:
        say(" ".join(str(err).split()))
        return STATUS["unseen"]
    except Exception as err:  # noqa: BLE001 - whose text may hold a contact
        say(f"An error that was not foreseen ended this: {type(err).__name__}.")
        return STATUS["unseen"]
    sys.stdout.write(as_json(report) if options.json else as_text(report))
    return STATUS[report.findings.status]


def say(line: str) -> None:
    """Write a line on standard error."""
    sys.stderr.write(f"{line}\n")
