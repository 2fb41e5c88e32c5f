"""The part of the demo that is Airflow: run one DAG by ``dag.test()`` and tell the demo how it goes.

``in_airflow.py DAG_ID DESCRIPTOR``: lines of JSON go to the file descriptor, Airflow's own log to standard output.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TextIO


class Messenger(logging.Handler):
    """Passes on what the provider logs while the task runs."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(logging.INFO)
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line."""
        self.send(log=record.getMessage())

    def send(self, **message: str) -> None:
        """Send anything."""
        self._out.write(json.dumps(message) + "\n")


def main(dag_id: str, descriptor: str) -> int:
    """Run the DAG; return 0 if it succeeds."""
    with os.fdopen(int(descriptor), "w", buffering=1) as out:
        messenger = Messenger(out)
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
        dag: Any = bag.dags.get(dag_id)
        if dag is None:
            problems = "; ".join(text.strip().splitlines()[-1] for text in bag.import_errors.values())
            messenger.send(error=f"dags/ holds no DAG {dag_id}. {problems}".strip())
            return 1

        def on_failure(context: Any) -> None:
            messenger.send(error=f"{type(context['exception']).__name__}: {context['exception']}")

        for task in dag.tasks:
            task.on_failure_callback = [on_failure]
            task.retries = 0  # a person is watching, and wants to know at once
        logging.getLogger("airflow_provider_kore").addHandler(messenger)
        logging.getLogger("airflow_provider_kore").setLevel(logging.INFO)
        messenger.send(started=dag_id)
        state = dag.test().state
        messenger.send(state=str(state))
        return 0 if state == "success" else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
