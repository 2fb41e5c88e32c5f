"""The package as a command: ``python -m airflow_provider_kore check`` tests a connection from this machine."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook

_USAGE_ERROR = 2
_MOST_REQUESTS = 12


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0 the connection works, 1 it does not, 2 a mistake on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_kore", description="What the Kore.ai provider offers in a terminal."
    )
    connection = argparse.ArgumentParser(add_help=False)
    connection.add_argument("--conn-id", default="kore_default", help="Airflow connection (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser(
        "check",
        parents=[connection],
        help="test a connection from this machine",
        description="Make one cheap authenticated request, and say in a sentence what works or what has to be fixed. "
        "The connection is looked up as Airflow does: secrets backends, AIRFLOW_CONN_…, Airflow's database. "
        "Exit status: 0 it works, 1 it does not.",
    )
    explore = commands.add_parser(
        "explore",
        parents=[connection],
        help="learn what the vendor leaves open",
        description="With at most 12 read requests, learn what the vendor's pages leave open (largest limit, order, "
        "totals, …), and print it as settings of the simulator, without contact data, ready for an issue. "
        "Exit status: 0 learned, 1 the connection does not work, 2 a mistake on the command line.",
    )
    explore.add_argument("--contact-list-id", help="list whose pages to look at (default: one of the catalogue)")
    explore.add_argument("--json", action="store_true", help="print JSON instead of a table")
    explore.add_argument(
        "--most-requests",
        type=int,
        default=_MOST_REQUESTS,
        choices=range(1, _MOST_REQUESTS + 1),
        metavar="N",
        help="requests at the most, 1 to %(default)s (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)  # the sentence is the answer; Airflow 3.1 and 3.2 have more to say while they load
    from airflow_provider_kore.hooks.airflow_versions import search_metadata_database
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook

    search_metadata_database()
    hook = KoreCampaignHook(options.conn_id)
    return _check(hook) if options.command == "check" else _explore(hook, options)


def _check(hook: KoreCampaignHook) -> int:
    """Say one sentence: what works on standard output, what does not on standard error."""
    works, sentence = hook.test_connection()
    (sys.stdout if works else sys.stderr).write(f"{sentence}\n")
    return 0 if works else 1


def _explore(hook: KoreCampaignHook, options: argparse.Namespace) -> int:
    """Print what was learned on standard output, or one line on standard error."""
    from airflow_provider_kore.clock import SystemClock
    from airflow_provider_kore.exceptions import KoreError, ParameterError
    from airflow_provider_kore.explore.report import as_json, as_text
    from airflow_provider_kore.explore.run import explore

    try:
        findings = explore(
            hook.config,
            contact_list_id=options.contact_list_id,
            most_requests=options.most_requests,
            allowance=hook.allowance(hook.config, SystemClock(), most=options.most_requests),
        )
    except ParameterError as err:
        _, _, advice = err.args
        sys.stderr.write(f"--contact-list-id: {advice}\n")
        return _USAGE_ERROR
    except KoreError as err:
        sys.stderr.write(f"{' '.join(str(err).split())}\n")
        return 1
    except Exception as err:  # noqa: BLE001 - whose text may hold what must not get into an issue
        sys.stderr.write(f"An error that was not foreseen ended this: {type(err).__name__}.\n")
        return 1
    sys.stdout.write(as_json(findings) if options.json else as_text(findings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
