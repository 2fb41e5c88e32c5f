"""A loopback server that keeps the Kore.ai Campaign API's contract, and misbehaves on command.

It is for tests of a DAG that reads contact lists: in pytest through the fixture ``kore``, in a shell through
``python -m airflow_provider_kore.simulator``. It shares no code with the client, so that a misunderstanding in one
of them shows in the other. Importing this package is cheap; the server's parts load when a name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_kore.simulator.faults import FAULTS
    from airflow_provider_kore.simulator.settings import Settings
    from airflow_provider_kore.simulator.simulator import Simulator

__all__ = ["FAULTS", "Settings", "Simulator"]


_MODULES = {"FAULTS": "faults", "Settings": "settings", "Simulator": "simulator"}


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for: collecting tests must not pay for an HTTP server."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
