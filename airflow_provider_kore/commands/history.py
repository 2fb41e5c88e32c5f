"""``history``: the snapshots of a list, day by day, as a table, as JSON, or as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_kore.commands.bucket import STATUS, answer, say
from airflow_provider_kore.commands.bucket import options as bucket_options
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    import argparse

    from airflow_provider_kore.commands import Commands
    from airflow_provider_kore.commands.bucket import Place


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
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the history on standard output, or draw it; how far it is on standard error."""
    return answer(options, lambda place: _show(place, options))


def _show(place: Place, options: argparse.Namespace) -> int:
    from airflow_provider_kore.audit.history import histories
    from airflow_provider_kore.audit.plot import svg
    from airflow_provider_kore.audit.progress import Progress
    from airflow_provider_kore.audit.report import history_as_json, history_as_text
    from airflow_provider_kore.audit.verify import scope

    prefix = scope(place.prefix)
    found = histories(place.store, prefix, progress=Progress(say), ids=not options.manifests_only)
    problem = ""
    if not found:
        problem = f"{place.store.uri(quoted(prefix, 300))}: there is no snapshot. Check the address."
    elif options.plot is None:
        sys.stdout.write(history_as_json(found) if options.json else history_as_text(found))
    elif len(found) > 1:
        problem = f"--plot draws one list, and there are {len(found):,}: name one."
    else:
        try:
            options.plot.write_text(svg(found[0]), encoding="utf-8")
        except OSError as err:
            problem = f"--plot: {options.plot} cannot be written ({err.strerror})."
    if problem:
        say(problem)
        return STATUS["unseen"]
    statuses = {history.status for history in found}
    return next((STATUS[status] for status in ("wrong", "unseen") if status in statuses), STATUS["fine"])
