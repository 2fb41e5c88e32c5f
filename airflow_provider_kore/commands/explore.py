"""``explore``: learn what the vendor leaves open."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from airflow_provider_kore.commands import connection_options, find_hook

if TYPE_CHECKING:
    from airflow_provider_kore.commands import Commands

_MOST_REQUESTS = 12


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "explore",
        parents=[connection_options()],
        help="learn what the vendor leaves open",
        description="With at most 12 read requests, learn what the vendor's pages leave open (largest limit, order, "
        "totals, …), and print it as settings of the simulator, without contact data, ready for an issue. "
        "Exit status: 0 learned, 1 the connection does not work, 2 a mistake on the command line.",
    )
    parser.add_argument(
        "--contact-list-id", type=_list_id, help="list whose pages to look at (default: one of the catalogue)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--most-requests",
        type=int,
        default=_MOST_REQUESTS,
        choices=range(1, _MOST_REQUESTS + 1),
        metavar="N",
        help="requests at the most, 1 to %(default)s (default: %(default)s)",
    )
    parser.set_defaults(run=run, failed=1)


def run(options: argparse.Namespace) -> int:
    """Print what was learned."""
    from airflow_provider_kore.clock import SystemClock
    from airflow_provider_kore.explore.report import as_json, as_text
    from airflow_provider_kore.explore.run import explore

    hook = find_hook(options)
    findings = explore(
        hook.config,
        contact_list_id=options.contact_list_id,
        most_requests=options.most_requests,
        allowance=hook.allowance(hook.config, SystemClock(), most=options.most_requests),
    )
    sys.stdout.write(as_json(findings) if options.json else as_text(findings))
    return 0


def _list_id(text: str) -> str:
    """Check an id, and don't show it again."""
    from airflow_provider_kore.api.endpoints import check_id
    from airflow_provider_kore.exceptions import ParameterError

    try:
        return check_id("contact_list_id", text)
    except ParameterError as err:
        advice = err.args[-1]
    raise argparse.ArgumentTypeError(advice)
