"""``ddl``: the definition for Athena of the table that was landed."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_kore.commands import STATUS, bucket_options, open_place, say

if TYPE_CHECKING:
    import argparse

    from airflow_provider_kore.commands import Commands


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "ddl",
        parents=[bucket_options()],
        help="print the definition of a landed table for Athena",
        description="Read the manifests below an address, of one contact list or of a table of many, and print the "
        "CREATE EXTERNAL TABLE for Athena and Glue, with partition projection. What the definition cannot show is said "
        "on standard error. Exit status: 0 printed, 2 there is no table to define, or it cannot be read.",
    )
    parser.add_argument("--table", help="name of the table (default: after its folder)")
    parser.add_argument("--database", help="name of the database (default: the one that the query runs in)")
    parser.set_defaults(run=run, failed=STATUS["unseen"])


def run(options: argparse.Namespace) -> int:
    """Print the statement on standard output, notes on standard error."""
    from airflow_provider_kore.readers.athena import create_table
    from airflow_provider_kore.readers.table import find_table

    table = find_table(*open_place(options), today=datetime.now(UTC).date())
    statement = create_table(table, name=options.table, database=options.database)
    for note in table.notes:
        say(note)
    sys.stdout.write(f"{statement}\n")
    return STATUS["fine"]
