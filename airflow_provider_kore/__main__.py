"""The package as a command: ``python -m airflow_provider_kore check`` tests a connection from this machine."""

from __future__ import annotations

import argparse
import logging
import sys


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0 the connection works, 1 it does not, 2 a mistake on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_kore", description="What the Kore.ai provider offers in a terminal."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    check = commands.add_parser(
        "check",
        help="test a connection from this machine",
        description="Make one cheap authenticated request, and say in a sentence what works or what has to be mended. "
        "The connection is looked up as Airflow does: secrets backends, AIRFLOW_CONN_…, Airflow's database. "
        "Exit status: 0 it works, 1 it does not.",
    )
    check.add_argument("--conn-id", default="kore_default", help="Airflow connection (default: %(default)s)")
    return _check(parser.parse_args(arguments).conn_id)


def _check(conn_id: str) -> int:
    """Say one sentence: what works on standard output, what does not on standard error."""
    logging.disable(logging.WARNING)  # the sentence is the answer; Airflow 3.1 and 3.2 have more to say while they load
    from airflow_provider_kore.hooks.airflow_versions import search_metadata_database
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook

    search_metadata_database()
    works, sentence = KoreCampaignHook(conn_id).test_connection()
    (sys.stdout if works else sys.stderr).write(f"{sentence}\n")
    return 0 if works else 1


if __name__ == "__main__":
    sys.exit(main())
