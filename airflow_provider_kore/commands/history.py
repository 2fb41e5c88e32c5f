"""``history``: the snapshots of a list, day by day, as a table, as JSON, or as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_kore.commands.bucket import open_place
from airflow_provider_kore.commands.bucket import options as bucket_options
from airflow_provider_kore.commands.verify import STATUS, say

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
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the history on standard output; how far it is, and why there is none, on standard error."""
    from airflow_provider_kore.audit.history import histories
    from airflow_provider_kore.audit.plot import svg
    from airflow_provider_kore.audit.progress import Progress
    from airflow_provider_kore.audit.report import history_as_json, history_as_text
    from airflow_provider_kore.audit.verify import scope
    from airflow_provider_kore.exceptions import KoreError

    try:
        place = open_place(options)
        found = histories(place.store, scope(place.prefix), progress=Progress(say), ids=not options.manifests_only)
        if not found:
            say(f"{place.store.uri(scope(place.prefix))}: there is no snapshot. Check the address.")
            return STATUS["unseen"]
        if options.plot is None:
            sys.stdout.write(history_as_json(found) if options.json else history_as_text(found))
        elif len(found) > 1:
            say(f"--plot draws one list, and there are {len(found):,}: name one.")
            return STATUS["unseen"]
        else:
            options.plot.write_text(svg(found[0]), encoding="utf-8")
    except KoreError as err:
        say(" ".join(str(err).split()))
        return STATUS["unseen"]
    except OSError as err:
        say(f"--plot: {options.plot} cannot be written ({err.strerror}).")
        return STATUS["unseen"]
    except Exception as err:  # noqa: BLE001 - whose text may hold a contact
        say(f"An error that was not foreseen ended this: {type(err).__name__}.")
        return STATUS["unseen"]
    statuses = {history.status for history in found}
    return next((STATUS[status] for status in ("wrong", "unseen") if status in statuses), STATUS["fine"])
