"""``check``: test a connection from this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airflow_provider_kore.commands import connection_options, find_hook

if TYPE_CHECKING:
    import argparse

    from airflow_provider_kore.commands import Commands


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    commands.add_parser(
        "check",
        parents=[connection_options()],
        help="test a connection from this machine",
        description="Make one cheap authenticated request, and say in a sentence what works or what has to be fixed. "
        "The connection is looked up as Airflow does: secrets backends, AIRFLOW_CONN_…, Airflow's database. "
        "Exit status: 0 it works, 1 it does not.",
    ).set_defaults(run=run, failed=1)


def run(options: argparse.Namespace) -> int:
    """Say one sentence: what works on standard output, what does not on standard error."""
    works, sentence = find_hook(options).test_connection()
    (sys.stdout if works else sys.stderr).write(f"{sentence}\n")
    return 0 if works else 1
