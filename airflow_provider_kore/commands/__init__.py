"""What the package offers in a terminal: one module per command.

Each has ``add_parser(commands)``, which declares its options, and ``run(options)``, which returns the exit status:
0 everything is as it should be, 1 something is not, 2 a mistake on the command line, or what was asked cannot be said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no other name for it
