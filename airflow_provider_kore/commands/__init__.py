"""What the package offers in a terminal: one module per command.

Each has ``add_parser(commands)``, which declares its options, and ``run(options)``, which returns the exit status:
0 everything is as it should be, 1 something is not, 2 a mistake on the command line, or what was asked cannot be said.
Where it raises, the exit status is its default ``failed``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no other name for it


def say(line: str) -> None:
    """Write a line on standard error: how far it is, and why there is no answer."""
    sys.stderr.write(f"{line}\n")
