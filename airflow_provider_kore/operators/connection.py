"""The connection test as a task: asked from the machine where the work will be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kore.task.declared import KORE_CONN_ID
from airflow_provider_kore.task.stoppable import StoppableOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.stop import Stop


class KoreConnectionCheckOperator(StoppableOperator):
    """Check the connection to Kore.ai from a worker, with one cheap authenticated request.

    Airflow's Test button is off by default and asks from the API server, whose network, proxy, clock and secrets may
    differ from the workers'. This says the same sentences: as XCom what works, as the task's error what doesn't.

    A cause that a person has to fix fails the task at once; one that may pass (no answer, a server in trouble, a spent
    allowance) is left to the task's retries.

    :param kore_conn_id: connection to Kore.ai. (str, default 'kore_default', templated)
    """

    kore_conn_id: str = KORE_CONN_ID
    doing = "Checking the connection"

    def __init__(self, *, kore_conn_id: str = "kore_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def _work(self, context: Context, stop: Stop) -> str:  # noqa: ARG002
        """Return the sentence."""
        from airflow_provider_kore.hooks.campaign import KoreCampaignHook

        sentence = KoreCampaignHook(self._checked("kore_conn_id")).check_connection()
        self.log.info(sentence)
        return sentence
