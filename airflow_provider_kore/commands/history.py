"""``history``: the snapshots of a list, day by day, as a table, as JSON, or as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_kore.commands import STATUS, bucket_options, open_place, say
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    import argparse

    from airflow_provider_kore.commands import Commands


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "history",
        parents=[bucket_options()],
        help="show the snapshots of a list, day by day",
        description="Say of each snapshot of a list how many rows it has, how many came and went since the one before, "
        "whether it is consistent, and what it cost. Asks neither Kore.ai nor Airflow. Exit status: 0 all could be "
        "read, 1 one is damaged, 2 one could not be looked at, or there is none.",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of a table")
    form.add_argument("--plot", type=Path, metavar="FILE.svg", help="write a picture instead; of one list")
    parser.add_argument("--manifests-only", action="store_true", help="read no file: cheap, and without added and gone")
    parser.set_defaults(run=run, failed=STATUS["unseen"])


def run(options: argparse.Namespace) -> int:
    """Print the history on standard output, or draw it; how far it is on standard error."""
    from airflow_provider_kore.audit.findings import worst
    from airflow_provider_kore.audit.history import histories
    from airflow_provider_kore.audit.plot import svg
    from airflow_provider_kore.audit.progress import Progress
    from airflow_provider_kore.audit.report import history_as_json, history_as_text
    from airflow_provider_kore.audit.verify import scope
    from airflow_provider_kore.exceptions import ParameterError

    store, prefix = open_place(options)
    prefix = scope(prefix)
    found = histories(store, prefix, progress=Progress(say), ids=not options.manifests_only)
    if not found:
        raise ParameterError("address", f"{quoted(store.uri(prefix), 300)} holds no snapshot", "check the address")
    if options.plot is None:
        sys.stdout.write(history_as_json(found) if options.json else history_as_text(found))
    elif len(found) > 1:
        raise ParameterError("--plot", "draws one list", f"name one of the {len(found):,} that are there")
    else:
        try:
            options.plot.write_text(svg(found[0]), encoding="utf-8")
        except OSError as err:
            raise ParameterError("--plot", f"{options.plot} cannot be written", str(err.strerror)) from None
    return STATUS[worst(history.status for history in found)]
