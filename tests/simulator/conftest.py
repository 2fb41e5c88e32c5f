"""Calls to the simulator that owe nothing to the client: ``requests``, and tokens signed right here."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import requests

from airflow_provider_kore.simulator import environment, pytest_plugin, state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.simulator import Simulator


def pytest_configure(config: pytest.Config) -> None:
    """Bring the fixture along where the package is not installed, only checked out."""
    if not config.pluginmanager.has_plugin("kore"):
        config.pluginmanager.register(pytest_plugin, "kore")


class Caller:
    """A caller that keeps to the contract unless a test makes it break one point.

    ``None`` as the value of a header, claim or query parameter leaves it out.
    """

    def __init__(self, simulator: Simulator, connection: dict[str, Any] | None = None) -> None:
        self.simulator = simulator
        self.connection = connection or simulator.connection
        self.session = requests.Session()
        self.session.trust_env = False

    def token(self, *, algorithm: str | None = None, key: str | None = None, **claims: Any) -> str:
        now = int(time.time())
        payload = {
            "sub": "tester",
            "appId": self.connection["login"],
            "iat": now,
            "exp": now + 300,
            **claims,
        }
        return jwt.encode(
            {name: value for name, value in payload.items() if value is not None},
            key or self.connection["password"],
            algorithm or self.connection["extra"]["jwt_algorithm"],
        )

    def __call__(
        self,
        path: str,
        *,
        method: str = "GET",
        base: str = "campaign/api/v2/public",
        stream: str | None = None,
        token: str | None = None,
        headers: dict[str, str | None] | None = None,
        json: Any = None,
        timeout: float = 30,
        **query: Any,
    ) -> requests.Response:
        extra = self.connection["extra"]
        sent = {
            "auth": self.token() if token is None else token,
            "iid": extra["stream_id"],
            "accountId": extra["account_id"],
            "Content-Type": "application/json",
            **(headers or {}),
        }
        if base.endswith("v2/public"):
            query = {"accountId": extra["account_id"], **query}
        return self.session.request(
            method,
            f"{self.connection['host']}/{base}/{stream or extra['stream_id']}/campaign/{path}",
            params={name: value for name, value in query.items() if value is not None},
            headers={name: value for name, value in sent.items() if value is not None},
            json=json,
            timeout=timeout,
            allow_redirects=False,
        )

    def post(self, path: str, json: Any = None, **more: Any) -> requests.Response:
        return self(path, method="POST", json={} if json is None else json, **more)

    def add_contacts(self, body: Any, *, token: str | None = None) -> requests.Response:
        """Push contacts: the third base path, and no account in the query."""
        return self.post("contactList/addContacts", body, base="api/1.1/public", token=token)

    def page(self, list_id: str = "cl-1", **query: Any) -> requests.Response:
        query = {"accountId": self.connection["extra"]["account_id"], **query}
        return self(f"contactList/{list_id}/getAllContacts", **query)

    def walk(self, list_id: str = "cl-1", limit: int = 50) -> list[dict[str, Any]]:
        """Read a list page by page, as trustingly as the tests of a good server may."""
        found: list[dict[str, Any]] = []
        while True:
            data = self.page(list_id, skip=len(found), limit=limit).json()["data"]
            found += data["results"]
            if not data["hasMore"]:
                return found


@pytest.fixture
def call(kore: Simulator) -> Iterator[Caller]:
    """Yield a caller of the fixture ``kore``, which holds the list ``cl-1`` of 120 contacts."""
    kore.add_list("cl-1", contacts=120)
    caller = Caller(kore)
    with caller.session:
        yield caller


@dataclass
class Clock:
    """The simulator's clock in the place of the machine's."""

    now: float = 1_000_000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return time.time()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of windows and delays, which moves when a test moves it, however busy the machine is."""
    clock = Clock()
    monkeypatch.setattr(environment, "time", clock)
    monkeypatch.setattr(state, "time", clock)
    return clock


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return how many seconds the server has waited each time; in truth it waits none."""
    waited: list[float] = []
    really = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await really(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return waited


@pytest.fixture
def caller_of() -> type[Caller]:
    """Return the class, for tests that start simulators themselves."""
    return Caller


def refusal_of(response: requests.Response, key: str = "msg") -> tuple[int, str]:
    """Status and text of a refusal; its code is always the documented one."""
    (error,) = response.json()["errors"]
    assert error["code"] == 4002
    return response.status_code, error[key]


@pytest.fixture(name="refusal_of")
def _refusal_of() -> Any:
    return refusal_of
