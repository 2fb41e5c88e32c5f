"""The package as a command: ``python -m airflow_provider_kore check`` tests a connection from this machine."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys

from airflow_provider_kore.commands import check, ddl, explore, history, say, verify

_COMMANDS = (check, ddl, explore, history, verify)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0, or what the command says; 2 a mistake on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_kore", description="What the Kore.ai provider offers in a terminal."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(commands)
    options = parser.parse_args(arguments)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # the answer is what is printed; Airflow has more to say while it loads
    try:
        return _answer(options)
    finally:
        logging.disable(before)


def _answer(options: argparse.Namespace) -> int:
    """Run a command; where it raises, one line on standard error says why."""
    from airflow_provider_kore.exceptions import KoreError, ParameterError

    try:
        return int(options.run(options))
    except ParameterError as err:
        parameter, problem, advice = err.args
        say(f"{parameter}: {problem}; {advice}.")
    except KoreError as err:
        say(" ".join(str(err).split()))
    except Exception as err:  # noqa: BLE001 - whose text may hold a contact
        say(f"An error that was not foreseen ended this: {type(err).__name__}.")
    return int(options.failed)


if __name__ == "__main__":
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"  # 3.3 writes to standard output without ``logging``
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error does: a terminal may not know all letters
    sys.exit(main())
