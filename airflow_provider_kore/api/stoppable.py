"""A transport that can be told to stop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_kore.api.transport import HttpRequest, HttpResponse, Transport
    from airflow_provider_kore.stop import Stop


class StoppableTransport:
    """A transport whose waiting ends with StoppedError when the walk is told to stop."""

    def __init__(self, transport: Transport, stop: Stop) -> None:
        self._transport = transport
        self._stop = stop

    def send(self, request: HttpRequest) -> HttpResponse:
        """See :class:`~airflow_provider_kore.api.transport.Transport`; raises StoppedError."""
        if threading.current_thread() is not threading.main_thread():
            return self._transport.send(request)  # signals reach the main thread alone, which waits for this one
        with self._stop.interruptible():
            return self._transport.send(request)

    def close(self) -> None:
        """See :class:`~airflow_provider_kore.api.transport.Transport`."""
        self._transport.close()
