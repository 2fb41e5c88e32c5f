"""Everything the server can do wrong, one small class each, in one file per kind.

A class's ``name`` is its name in ``kore.fault(...)``, in ``--fault`` and in the documentation. The first sentence of
its docstring says what the client sees; its fields are its parameters. A new class needs nothing else: tests, command
line and control API go through :data:`FAULTS`.
"""

from airflow_provider_kore.simulator.faults import bodies, list_changes, pages, refusals, transport
from airflow_provider_kore.simulator.faults.fault import FAULTS, Fault, make_fault

__all__ = ["FAULTS", "Fault", "bodies", "list_changes", "make_fault", "pages", "refusals", "transport"]
