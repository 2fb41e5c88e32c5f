"""The simulator as Python sees it: start it, fill it, spoil it, ask it what it served."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.simulator.control import PREFIX, control
from airflow_provider_kore.simulator.environment import Environment
from airflow_provider_kore.simulator.server import HttpServer
from airflow_provider_kore.simulator.settings import Settings, with_changes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from airflow_provider_kore.simulator.answers import Answer
    from airflow_provider_kore.simulator.tokens import App


class Simulator(Environment):
    """A Kore.ai environment on this machine.

    For example::

        with Simulator(requests_per_minute=0) as kore:
            kore.add_list("cl-1", contacts=5_000)
            kore.connection  # for AIRFLOW_CONN_KORE_DEFAULT

    :param host: address to listen on. Anyone who reaches it can read the made-up secret, so keep it on loopback.
    :param port: 0 for a free one.
    :param certfile: PEM certificate chain; with it the server speaks https.
    :param keyfile: PEM key of that certificate, if it is not in the same file.
    :param settings: any of :class:`Settings`.

    It listens and answers from ``start()``, or the beginning of the ``with`` block, on. All methods may be called from
    any thread.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        certfile: str | None = None,
        keyfile: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(with_changes(Settings(), settings))
        self._address = (host, port)
        self._certificate = (certfile, keyfile)
        self._server: HttpServer | None = None

    def start(self) -> Self:
        """Start to serve. Raises OSError if the port is taken or the certificate cannot be read."""
        if self._server is None:
            tls = None
            certfile, keyfile = self._certificate
            if certfile is not None:
                tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                tls.load_cert_chain(certfile, keyfile)
            host, port = self._address
            self._server = HttpServer(self._respond, host=host, port=port, tls=tls)
            self._server.start()
        return self

    def stop(self) -> None:
        """Close every connection and free the port; what was served can still be asked for."""
        if self._server is not None:
            self._server.stop()

    def __enter__(self) -> Self:
        """Start to serve."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop to serve."""
        self.stop()

    def _respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if target.startswith(PREFIX):
            return control(self, method, target, body)
        return super()._respond(method, target, headers, body)

    # --- Where it is -----------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without a slash at the end. Raises RuntimeError before ``start()``."""
        if self._server is None:
            raise RuntimeError("the simulator is not started: use it in a with block, or call start()")
        scheme = "http" if self._certificate[0] is None else "https"
        return f"{scheme}://{self._server.host}:{self._server.port}"

    @property
    def connection(self) -> dict[str, Any]:
        """The Airflow connection of the app that the settings describe, as ``AIRFLOW_CONN_…`` takes it in JSON."""
        return self.connection_for(self.apps[self.settings.client_id])

    def connection_for(self, app: App) -> dict[str, Any]:
        """Return the Airflow connection of an app that :meth:`add_app` returned."""
        return {
            "conn_type": "kore",
            "host": self.url,
            "login": app.settings.client_id,
            "password": app.signing_key,
            "extra": {
                "stream_id": app.settings.stream_id,
                "account_id": app.settings.account_id,
                "jwt_algorithm": app.settings.jwt_algorithm,
                "send_jti": app.settings.enforce_jti,
                "requests_per_minute": self.settings.requests_per_minute,
                "requests_per_hour": self.settings.requests_per_hour,
            },
        }
